"""Every public entry that takes a model answers every careless call with one sentence, the same everywhere."""

import re
from pathlib import Path

import jax
import optax
import pytest
from jaxtyping import config

import careless
import taylornets as tn
from careless import CARELESS, GOOD
from taylornets import diagnosis
from taylornets.records.progress import NoProgress


def expansion(entry, call):
    made = entry(
        call["f"], call["params"], *([] if entry is tn.linearize else [call.get("order", 2)]),
        trainable=call.get("trainable"), mode=call.get("mode", "auto"), fixed=call.get("fixed"),
    )  # fmt: skip
    return made(call["end"], call["x"])


def training(call):
    return tn.taylorized_training(
        call["f"], call["params"], [(call["x"], call["y"])] * 2, orders=(call.get("order", 1),),
        loss=call.get("loss", "squared"), optimizer=call.get("optimizer", optax.sgd(0.1)),
        probe=tn.training.Probe(ntk_inputs=0),
        settings=tn.training.TrainingSettings(mode=call.get("mode", "auto"), trainable=call.get("trainable")),
    )  # fmt: skip


def regime(call):
    return tn.regime(
        call["f"], call["params"], call["end"], call["x"], max_order=call.get("order", 2), ntk_inputs=0,
        trainable=call.get("trainable"), mode=call.get("mode", "auto"), fixed=call.get("fixed"),
    )  # fmt: skip


def cost(call):
    order, mode = call.get("order", 2), call.get("mode", "auto")
    return tn.cost(call["f"], call["params"], call["x"], order, trainable=call.get("trainable"), mode=mode)


ENTRIES = {
    "taylor_terms": lambda call: expansion(tn.taylor_terms, call),
    "taylor_expand": lambda call: expansion(tn.taylor_expand, call),
    "linearize": lambda call: expansion(tn.linearize, call),
    "explain": lambda call: tn.explain(call["f"], call["params"], call["x"], trainable=call.get("trainable")),
    "cost": cost,
    "regime": regime,
    "regime_path": lambda call: tn.regime_path(
        call["f"], [call["params"], GOOD["end"]], call["x"], trainable=call.get("trainable")
    ),
    "training": training,
    "model_ntk": lambda call: tn.kernels.model_ntk(
        call["f"], call["params"], call["x"], trainable=call.get("trainable")
    ),
}
PAIRS = [(entry, name) for name, mistake in CARELESS.items() for entry in mistake.only]


@pytest.fixture(autouse=True)
def fresh_and_without_run_time_types():
    """Users' calls are not checked by beartype before the library sees them."""
    config.update("jaxtyping_disable", True)
    careless.Kept.key = jax.random.key(0)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def diagnose(tmp_path, monkeypatch):
    """Runs the study of a factory that returns a careless call."""
    monkeypatch.syspath_prepend(str(Path(careless.__file__).parent))

    def run(name):
        file = tmp_path / "mistake.py"
        file.write_text(f"import careless\nfactory = careless.factory(careless.CARELESS[{name!r}].changes)\n")
        return diagnosis.diagnose(
            diagnosis.DiagnosisRequest(f"{file}:factory", tmp_path / "out", "diagnose", steps=2, max_order=2),
            NoProgress(),
        )

    return run


@pytest.mark.parametrize(("entry", "name"), PAIRS)
def test_one_sentence(entry, name, diagnose):
    mistake = CARELESS[name]
    with pytest.raises(tn.ArgumentError) as caught:
        diagnose(name) if entry == "diagnose" else ENTRIES[entry](GOOD | mistake.changes)
    said = str(caught.value)
    assert len(said) <= 600
    assert "\n" not in said
    assert not re.search(r"Array\(|array\(\[|\[\[", said)
    assert re.match(r".+: expected .+, got .+\.", said)
    for word in mistake.words:
        assert word in said.lower(), said


def test_every_entry_has_careless_calls():
    assert {entry for entry, _ in PAIRS} == {*ENTRIES, "diagnose"}


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_good_call_passes(entry):
    ENTRIES[entry](GOOD)
