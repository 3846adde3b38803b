"""The studies of real networks at a small size: parametrizations, resumption, and what the theory says of order and width."""

import csv
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import taylornets as tn

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("digits_cnn", "digits_mlp", "sequence_transformer")


@pytest.fixture(scope="module")
def load() -> Iterator[Any]:
    """Imports a script as Python does that runs it: files beside it can be imported."""
    sys.path.insert(0, str(EXAMPLES))
    yield importlib.import_module
    sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def study(load) -> Any:
    return load("_study")


def _settings(study: Any, steps: int, orders: tuple[int, ...] = (1, 2)) -> Any:
    return study.Settings("softplus", orders, steps)


@pytest.mark.parametrize("name", NAMES)
def test_both_parametrizations_begin_as_the_same_function(load, study, name):
    example = load(name).EXAMPLE
    x = example.data()["test"][0][:50]
    network = example.build(64, "softplus", jax.random.key(0))
    (f, start), (g, other) = (network.parametrized(kind) for kind in study.PARAMETRIZATIONS)
    one, two = map(np.asarray, jax.jit(lambda p, q, x: (f(p, x), g(q, x)))(start, other, x))
    assert two == pytest.approx(one, rel=1e-4, abs=1e-4)
    # In the NTK parametrization every matrix has entries N(0, 1): mean squares within 5 standard errors.
    for leaf, factor in zip(map(np.asarray, jax.tree.leaves(other)), jax.tree.leaves(network.factors), strict=True):
        if leaf.ndim >= 2:
            assert float(np.mean(leaf**2)) == pytest.approx(1, abs=5 * (2 / leaf.size) ** 0.5)
        else:
            assert factor == 1
            assert np.all(leaf == leaf[0])
            assert leaf[0] in {0, 1}
    # The factors are right: the outputs are of order 1, where one wrong factor of √64 would show.
    assert 0.3 < float(np.sqrt(np.mean(two**2))) < 3


def test_activations_are_standardized(study):
    for function in study.ACTIVATIONS.values():
        values = function(jax.random.normal(jax.random.key(0), (100_000,)))
        # Standard errors are below 0.01: false alarms of less than one in a billion.
        assert float(jnp.mean(values)) == pytest.approx(0, abs=0.03)
        assert float(jnp.mean(values**2)) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_network_learns(load, name):
    example = load(name).EXAMPLE
    data = example.data()
    f, params = example.build(16, example.activation, jax.random.key(0)).parametrized("standard")
    optimizer = optax.sgd(example.rates["standard"][1], momentum=0.9)

    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        def loss(p: Any) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(f(p, x), y).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for batch in tn.training.Batches(*data["train"], batch_size=64, steps=150, key=jax.random.key(1)):
        params, state = step(params, state, *batch)
    right = float(jnp.mean(jax.jit(f)(params, data["test"][0]).argmax(-1) == data["test"][1]))
    assert right > 0.6  # chance is 1/10 and 1/7


def test_the_sequences_have_the_answer_and_no_linear_one(load):
    example = load("sequence_transformer")
    x, y = example.sequences()["train"]
    repeats = x[:, 1:] == x[:, :1]
    assert (repeats.sum(1) == 1).all()
    assert (repeats.argmax(1) == y).all()
    # The mean of every indicator of (place, token), given the answer, is what it is without: 1/8 with n/7 examples each.
    for label in range(7):
        assert np.eye(8)[x[y == label]].mean(0) == pytest.approx(np.full((8, 8), 1 / 8), abs=0.07)


@pytest.fixture(scope="module")
def records(load, study, tmp_path_factory) -> tuple[Any, Any, list[Any], Path, list[dict[str, Any]]]:
    """A narrow convolutional network in the NTK parametrization at the small rate."""
    example = load("digits_cnn").EXAMPLE
    out = tmp_path_factory.mktemp("study")
    settings = _settings(study, 60)
    cells = [study.Cell("ntk", example.rates["ntk"][0], 4, 0)]
    return example, settings, cells, out, study.run(example, settings, cells, out, list[str]().append)


def test_the_distance_falls_with_the_order(records):
    (found,) = records[-1]
    assert found["diverged"] == {}
    assert found["accuracy"]["full"] > found["accuracy_before"] + 0.1
    assert found["train_loss"]["full"] < np.log(10)
    assert found["distance"]["2"] < found["distance"]["1"] < 1
    assert found["explained"][1] > found["explained"][0]
    assert 0 < found["seconds_training"] < found["seconds"]


def test_a_wider_network_is_nearer_to_order_one(study, records):
    example, _, cells, _, (narrow,) = records
    wide = study.measure(example, _settings(study, 60, (1,)), cells[0]._replace(width=16))
    assert wide["distance"]["1"] < narrow["distance"]["1"]
    assert wide["ntk_drift"] < narrow["ntk_drift"]


def test_a_study_resumes(study, records, monkeypatch):
    example, settings, cells, out, whole = records
    measured: list[Any] = []

    def again(*arguments: Any) -> Any:
        measured.append(arguments[2])
        return whole[0]

    monkeypatch.setattr(study, "measure", again)
    said: list[str] = []
    # A finished cell is read, and gives the same table; another seed and another setting are measured.
    assert study.table(study.run(example, settings, cells, out, said.append)) == study.table(whole)
    assert measured == []
    assert said == []
    study.run(example, settings, [*cells, cells[0]._replace(seed=1)], out, said.append)
    assert [cell.seed for cell in measured] == [1]
    study.run(example, _settings(study, 61), cells, out, said.append)
    assert len(measured) == 2
    assert len(said) == 2


def test_the_report_holds_what_was_measured(study, records, tmp_path):
    example, settings, _, _, found = records
    said: list[str] = []
    study.report(example, settings, found, tmp_path, said.append)
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["width"], row["model"]) for row in rows] == [("4", "1"), ("4", "2"), ("4", "full")]
    assert float(rows[1]["distance_mean"]) == found[0]["distance"]["2"]
    assert float(rows[2]["accuracy_mean"]) == found[0]["accuracy"]["full"]
    assert (tmp_path / "orders_needed.csv").read_text().count("ntk") == 2  # the head names the kernel's drift
    assert (tmp_path / "digits_cnn.svg").read_text().startswith("<?xml")
    assert any("Required order" in text for text in said)


def _record(seed: int, distance: dict[str, float], diverged: dict[str, int]) -> dict[str, Any]:
    accuracy = dict.fromkeys((*distance, "full"), 0.5)
    return {
        "parametrization": "ntk", "rate": 1.0, "width": 16, "seed": seed, "accuracy": accuracy, "distance": distance,
        "agreement": distance, "diverged": diverged, "verdict": "lazy: so", "ntk_drift": 0.1,
    }  # fmt: skip


def test_runs_that_diverge_are_counted_and_not_averaged(study):
    found = [
        _record(0, {"1": 0.2, "2": 0.05, "3": 0.01}, {}),
        _record(1, {"1": 0.4, "2": 0.07, "3": 1e9}, {"3": 17}),
    ]
    first, second, third, _ = study.table(found)
    assert first.distance.mean == pytest.approx(0.3)
    assert first.distance.deviation == pytest.approx(0.02**0.5)
    assert second.diverged == ()
    assert third.distance.mean == 0.01
    assert third.diverged == (17,)
    assert study.needed(found)[0][3:5] == ("2", "lazy (2 of 2)")
    # Order 3 alone would be near enough, but it diverged in one seed.
    assert study.needed([_record(0, {"3": 0.01}, {}), _record(1, {"3": 0.01}, {"3": 2})])[0][3] == "above 3"
    # Where the full model diverged there is nothing to be compared with.
    assert np.isnan(study.table([_record(0, {"1": 0.2}, {"full": 3})])[0].distance.mean)


@pytest.mark.parametrize(("name", "orders"), list(zip(NAMES, [(), (1,), (1, 2)], strict=True)))
def test_factory(load, name, orders):
    f, params, data, optimizer, loss = load(name).factory()
    batches = tn.training.Batches(*data["train"], batch_size=16, steps=5, key=jax.random.key(0))
    probe = tuple(part[:20] for part in data["test"])
    found = tn.taylorized_training(
        f, params, batches, orders=orders, loss=loss, optimizer=optimizer, settings=tn.training.TrainingSettings(together=True),
        probe=tn.training.Probe(*probe, every=5, ntk_inputs=0),
    )  # fmt: skip
    assert found.diverged == ()
    assert found.history.train_loss["full"][-1] < 5
    distances = [found.history.relative_distance[order][-1] for order in orders]
    assert distances == sorted(distances, reverse=True)
    assert all(distance < 1 for distance in distances)


def test_help_and_options(study, load, capsys):
    example = load("digits_cnn").EXAMPLE
    asked = study.options(example, ["--widths", "16", "1024", "--parametrization", "ntk", "--rates", "0.1"])
    assert (asked.widths, asked.parametrization, asked.rates, asked.seeds) == ([16, 1024], ["ntk"], [0.1], 5)
    with pytest.raises(SystemExit):
        study.options(example, ["--help"])
    assert "--rates" in capsys.readouterr().out
