"""The command `diagnose`: every form of a factory, the page, checkpoints, interruption and resumption, one-line errors."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as orbax
import pytest
from flax import nnx
from safetensors.numpy import save_file

import taylornets as tn
from taylornets import cli, records
from taylornets._checkpoints import read, series
from taylornets.cli import _diagnose
from taylornets.diagnosis import DiagnosisRequest
from taylornets.diagnosis._beyond import restored
from taylornets.diagnosis._data import named, settled
from taylornets.diagnosis._run import _prepared
from taylornets.diagnosis._user_model import TorchModel, build
from taylornets.records import Table

Run = Callable[..., tuple[int, str, str]]
FILE = Path(__file__).with_name("diagnosed.py")
SMALL = ("--steps", "4", "--orders", "1", "--max-order", "1")
LONG = ("--steps", "300", "--orders", "1", "--max-order", "1", "--probe", "10")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command in this process, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(factory: str, *words: object) -> tuple[int, str, str]:
        where = factory if ".py" in factory or factory.startswith("--") else f"{FILE}:{factory}"
        with pytest.raises(SystemExit) as ended:
            cli.main(["diagnose", where, *map(str, words)])
        out, error = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, error

    return call


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips drawing the page, which dominates the run time; one test covers it."""

    def no_page(folder: Path, progress: Any) -> Path:
        return folder / "report.html"

    monkeypatch.setattr(_diagnose, "write_report", no_page)


def tables(folder: Path) -> dict[str, Table]:
    """Tables of the page's record by name."""
    page = records.load_page(folder)
    assert page is not None
    return {table.name: table for section in page.sections for table in section.tables}


def figures(folder: Path) -> set[str]:
    """Names of the page's figures."""
    page = records.load_page(folder)
    assert page is not None
    return {figure.name for section in page.sections for figure in section.figures}


def load(name: str) -> Any:
    """Calls a factory of the user's file."""
    names: dict[str, Any] = {}
    exec(compile(FILE.read_text(), str(FILE), "exec"), names)
    return names[name]()


def facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


# --- what works ----------------------------------------------------------------------------------------------------


def test_the_page_of_images(run: Run, tmp_path: Path):
    code, out, error = run("images", "--steps", "32", "--orders", "1,2", "--max-order", "2", "--out", "found")
    assert code == 0, error
    found = facts(tmp_path / "found")
    assert found["status"] == "finished"
    record = records.load_page(tmp_path / "found")
    assert record is not None
    assert record.lead.partition(":")[0].lower() == found["regime"]["verdict"].partition(":")[0]
    assert record.lead.split(".")[0] in out
    page = (tmp_path / "found" / "report.html").read_text()
    for words in (
        "Learning curves of all orders",
        "The regime over time",
        "Displacement by layer",
        "hidden.w",
        "bottom",
    ):
        assert words in page
    names = {path.name for path in (tmp_path / "found" / "figures").iterdir()}
    assert names == {
        f"{name}.svg"
        for name in (
            "learning",
            "distance",
            "since",
            "regime",
            "pieces",
            "radius",
            "displacement",
            "disagreement",
            "inputs",
        )
    }
    # What the page says is what the library says of the same run.
    f, params, data, optimizer, loss = load("images")
    batches = tn.training.Batches(*data["train"], batch_size=60, steps=32, key=jax.random.key(0))
    again = tn.taylorized_training(f, params, batches, orders=(1, 2), loss=loss, optimizer=optimizer)
    regime = tn.regime(f, params, again.params["full"], data["test"][0], max_order=2)
    assert found["regime"]["share"] == pytest.approx(regime.share, rel=1e-4, abs=1e-6)
    assert found["regime"]["radius"] == pytest.approx(regime.radius, rel=1e-3)
    table = (tmp_path / "found" / "tables" / "models.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in table] == ["model", "order 1", "order 2", "the network"]
    # `report` draws the same page from the records alone.
    (tmp_path / "found" / "report.html").unlink()
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", str(tmp_path / "found")])
    assert ended.value.code == 0
    assert (tmp_path / "found" / "report.html").read_text() == page


@pytest.mark.usefixtures("undrawn")
def test_batches_without_end_and_numbers_as_targets(run: Run, tmp_path: Path):
    code, out, error = run("regression", *SMALL)
    assert code == 0, error
    assert "Report: " in out
    assert "loss 0." in error
    assert tables(tmp_path / "diagnosis")["differences"].columns == ("probe input", "target", "the network", "order 1")
    assert "inputs" not in figures(tmp_path / "diagnosis")


def prepared(factory: str, **options: Any) -> Any:
    """Model, data and loss as used by the study."""
    request = DiagnosisRequest(f"{FILE}:{factory}", Path("out"), "", **options)
    built = build(request.where, request.learning_rate)
    assert not isinstance(built, TorchModel)
    return _prepared(request, built)


def test_modules_of_frameworks_are_functions_of_their_parameters():
    """The function agrees with the module in evaluation mode and depends on its parameters."""
    x = load("equinox")[1][0][:5]
    modules = {"equinox": load("equinox")[0], "flax_nnx": load("flax_nnx")[0]}
    modules["flax_nnx"].eval()
    expected = {
        "equinox": jax.vmap(eqx.nn.inference_mode(modules["equinox"]))(x),
        "flax_nnx": modules["flax_nnx"](x),
    }
    linen = load("flax_linen")[0]
    variables = linen.init(jax.random.key(0), x)
    expected["flax_linen"] = linen.apply(variables, x)
    for name, outputs in expected.items():
        subject, _, target = prepared(name)
        assert np.asarray(subject.f(subject.params, x)) == pytest.approx(np.asarray(outputs), abs=1e-6)
        assert target.classification
        arrays, rest = eqx.partition(subject.params, eqx.is_inexact_array)
        moved = eqx.combine(jax.tree.map(lambda a: a + 0.1, arrays), rest)
        assert not np.allclose(subject.f(moved, x), outputs)


@pytest.mark.parametrize(
    ("data", "target", "classes"),
    [
        ("arrays.npz", None, ()),
        ("table.csv", "kind", ("a", "b")),
        ("sklearn:breast_cancer", None, ("benign", "malignant")),
    ],
)
def test_data_in_place_of_the_factory_s(tmp_path: Path, data: str, target: str | None, classes: tuple[str, ...]):
    x, y = np.random.default_rng(1).normal(2.0, 3.0, size=(40, 16)).astype("float32"), np.arange(40) % 2
    np.savez(tmp_path / "arrays.npz", x=x, y=y)
    rows = [",".join([*map(str, row), "ab"[label]]) for row, label in zip(x, y, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join([",".join([*(f"c{i}" for i in range(16)), "kind"]), *rows]))
    given = named(str(tmp_path / data) if ":" not in data else data, target)
    assert given.get("classes", ()) == classes
    inputs, labels = given["data"]
    if data == "arrays.npz":
        assert (inputs == x).all()
        assert (labels == y).all()
    else:
        assert inputs.mean(0) == pytest.approx(0, abs=1e-4)
        assert inputs.std(0) == pytest.approx(1, abs=1e-4)
        assert set(labels) == {0, 1}
    found = settled(given, batch_size=8, steps=3, probe=7, seed=0)
    held = round(0.2 * len(labels))
    assert (found.train, len(found.y)) == (len(labels) - held, min(7, held))
    assert [len(batch[1]) for batch in found.batches] == [8, 8, 8]
    # No probe example is trained on.
    kept = {row.tobytes() for row in found.batches.x}
    assert not any(row.tobytes() in kept for row in found.x)


@pytest.mark.usefixtures("undrawn")
def test_the_template_runs_as_it_is(run: Run, tmp_path: Path):
    code, out, _ = run("--init")
    assert code == 0
    assert "taylornets diagnose taylornets_model.py:factory" in out
    assert (tmp_path / "taylornets_model.py").read_text().count("# <- your") == 2
    assert run("taylornets_model.py:factory", *SMALL)[0] == 0
    code, _, error = run("--init")
    assert (code, error.count("\n")) == (2, 1)
    assert "--init: expected the name of a new file, got taylornets_model.py, which exists" in error


def trees(count: int) -> list[Any]:
    """Parameters that move away from the initialization along a straight line, with a visible second-order contribution."""
    start = load("images")[1]
    noise = jax.tree.map(lambda a: jax.random.normal(jax.random.key(7), a.shape), start)
    return [jax.tree.map(lambda a, d, t=t: a + 0.05 * t * d, start, noise) for t in range(count + 1)]


def flat(tree: Any) -> dict[str, np.ndarray]:
    """Leaves by the names that `diagnose` uses."""
    with_paths = jax.tree_util.tree_leaves_with_path(tree)
    return {".".join(str(key.key) for key in path): np.asarray(leaf) for path, leaf in with_paths}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same series of parameters in three formats; ten of them, so that names do not sort as numbers."""
    folder = tmp_path_factory.mktemp("saved")
    for name in ("safetensors", "equinox", "orbax"):
        (folder / name).mkdir()
    with orbax.StandardCheckpointer() as writer:
        for step in (1, 2, 10):
            tree = trees(10)[step]
            save_file(flat(tree), folder / "safetensors" / f"step_{step}.safetensors")
            eqx.tree_serialise_leaves(folder / "equinox" / f"step_{step}.eqx", tree)
            writer.save(folder / "orbax" / f"step_{step}", tree)
    return folder


@pytest.mark.parametrize("name", ["safetensors", "equinox", "orbax"])
def test_checkpoints_of_every_kind_are_the_trees_that_were_saved(saved: Path, name: str):
    paths = series([saved / name])
    assert [path.name.split(".")[0] for path in paths] == ["step_1", "step_2", "step_10"]
    for path, step in zip(paths, (1, 2, 10), strict=True):
        tree = trees(10)[step]
        found = read(path, trees(0)[0])
        assert jax.tree.structure(found) == jax.tree.structure(tree)
        assert all((a == b).all() for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(tree), strict=True))


def test_orbax_s_manager_and_flax_s_states(tmp_path: Path):
    graph, params = nnx.split(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    del graph
    with orbax.CheckpointManager(tmp_path / "manager") as manager:
        for step in (5, 10):
            manager.save(step, args=orbax.args.StandardSave(params))
    paths = series([tmp_path / "manager"])
    assert [path.name for path in paths] == ["5", "10"]
    start = nnx.to_pure_dict(params)
    found = read(paths[0], jax.tree.map(jnp.zeros_like, start))
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(start), strict=True))


@pytest.mark.usefixtures("undrawn")
def test_checkpoints_are_read_instead_of_training(run: Run, tmp_path: Path, saved: Path):
    code, _, error = run("images", "--checkpoints", saved / "equinox", "--max-order", "2")
    assert code == 0, error
    f, params, data, *_ = load("images")
    ends = [trees(10)[step] for step in (1, 2, 10)]
    regimes = [tn.regime(f, params, end, data["test"][0], max_order=2) for end in ends]
    rows = [tuple(row) for row in tables(tmp_path / "diagnosis")["regimes"].rows]
    assert [row[1] for row in rows] == ["step_1.eqx", "step_2.eqx", "step_10.eqx"]
    assert facts(tmp_path / "diagnosis")["regime"]["explained"] == pytest.approx(regimes[-1].explained, rel=1e-4)
    assert [found.error[0] for found in regimes] == sorted(found.error[0] for found in regimes)
    assert "learning" not in figures(tmp_path / "diagnosis")


@pytest.mark.usefixtures("undrawn")
def test_a_series_can_start_from_its_first(run: Run, tmp_path: Path, saved: Path):
    code, _, error = run("images", "--checkpoints", saved / "safetensors", "--start", "first", "--max-order", "1")
    assert code == 0, error
    f, _, data, *_ = load("images")
    ends = trees(10)
    regime = tn.regime(f, ends[1], ends[10], data["test"][0], max_order=1)
    assert facts(tmp_path / "diagnosis")["regime"]["error"] == pytest.approx(regime.error, rel=1e-4)


@pytest.mark.usefixtures("undrawn")
def test_settings_that_differ_and_numbers_that_are_missing(run: Run, tmp_path: Path):
    """A counter must be fixed, and a loop is not evaluated beyond the end; the page states both and shows dashes."""
    params = load("fixed_point")[1]
    end = {"sweeps": jnp.array(7), "w": params["w"] + 0.1}
    save_file({name: np.asarray(leaf) for name, leaf in end.items()}, tmp_path / "end.safetensors")
    words = ("--checkpoints", "end.safetensors", "--max-order", "1")
    code, _, error = run("fixed_point", *words)
    assert code == 2
    message = (
        r"end\.safetensors: expected non-trainable .*different values at sweeps\. Pass --fixed 'start' .*--fixed 'end'"
    )
    assert re.search(message, error), error
    code, out, error = run("fixed_point", *words, "--fixed", "start")
    assert code == 0, error
    found = facts(tmp_path / "diagnosis")["regime"]
    assert found["fixed"] == {"sweeps": "start"}
    assert set(found["reasons"]) == {"odd", "even", "radius_limit"}
    assert np.isfinite(found["ntk_drift"])
    page = records.load_page(tmp_path / "diagnosis")
    assert page is not None
    for said in (out, " ".join(next(iter(page.sections)).paragraphs)):
        assert re.search("[Ff]ixed at the initialization: sweeps", said)
        assert re.search("[Oo]dd orders, even orders, radius beyond the end point: .*while loop", said)
    found = tables(tmp_path / "diagnosis")
    assert tuple(next(iter(found["regimes"].rows)))[-3:-1] == (None, None)
    assert tuple(next(iter(found["orders"].rows)))[4] == "≥ 1"


def test_a_regime_is_read_as_it_was_written():
    """NaN, tuples and mappings survive JSON; files of earlier versions lack settings and reasons."""
    regime = tn.regime(
        lambda p, x: jnp.log(p["w"] * x) * p["s"], {"w": jnp.ones(()), "s": 2}, {"w": jnp.array(2.5), "s": 3},
        jnp.ones((2, 1)), max_order=1, fixed="end",
    )  # fmt: skip
    assert regime.fixed
    assert regime.reasons
    written = json.loads(json.dumps(dataclasses.asdict(regime)))
    assert repr(restored(written)) == repr(regime)  # NaN does not equal itself
    del written["fixed"], written["reasons"]
    assert (restored(written).fixed, restored(written).reasons) == ({}, {})


def start(folder: Path, *words: object) -> subprocess.Popen[str]:
    """Runs the command in its own process, as from an interactive shell."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    # Drawing takes longer than all the rest: the records are compared.
    code += "from taylornets.cli import _diagnose, main; "
    code += "_diagnose.write_report = lambda folder, progress: folder; main(sys.argv[1:])"
    line = ["diagnose", f"{FILE}:images", *LONG, "--out", str(folder), *map(str, words)]
    command = [sys.executable, "-c", code, *line]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def ended_at(process: subprocess.Popen[str], path: Path, how: signal.Signals) -> str:
    """Ends a process as soon as a file exists; returns its output."""
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    return process.communicate(timeout=120)[1]


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_was_interrupted_and_killed_goes_on_to_the_same_numbers(run: Run, tmp_path: Path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    interrupted = start(killed)
    said = ended_at(interrupted, killed / "training.checkpoint", signal.SIGINT)
    assert interrupted.returncode == 130, said
    assert f"kept in {killed}; resume with: taylornets diagnose {FILE}:images" in said
    assert said.rstrip().endswith("--resume")
    again = start(killed, "--resume")
    steps = len(list((killed / "regimes").iterdir()))
    assert steps < 16
    ended_at(again, killed / "regimes" / f"{18 * (steps + 2)}.json", signal.SIGKILL)
    assert facts(killed)["status"] == "running", "it ended before it was killed"
    last = start(killed, "--resume")
    assert last.communicate(timeout=300)[1].count("Traceback") == 0
    assert last.returncode == 0
    assert run("images", *LONG, "--out", undisturbed)[0] == 0
    pages = [records.load_page(folder) for folder in (killed, undisturbed)]
    assert pages[0] is not None
    assert pages[1] is not None
    # NaN is no number that is equal to itself: the sections are compared as text.
    assert records.dumps(pages[0].sections) == records.dumps(pages[1].sections)


# --- what does not -------------------------------------------------------------------------------------------------

WHERE = r"FILE\.py:FACTORY: expected "
BAD = {
    "raises": WHERE
    + r"a factory that returns .*got RuntimeError: no data at this place in line \d+ of diagnosed\.py\.",
    "leaves": WHERE + r"a factory .*got SystemExit: 3 in line",
    "nothing": WHERE
    + r"a factory that returns \(f, params0, data, optimizer, loss\).*got a NoneType\. Check its return",
    "three": WHERE + "a factory that returns .*got a tuple of 3",
    "no_function": WHERE + r"a function f\(params, x\) as first element, got a str",
    "no_optimizer": WHERE + "an optax optimizer, such as .*got a float",
    "unknown_loss": WHERE + r"one of .*got 'sofmax'\. Did you mean 'softmax'",
    "broken_loss": WHERE + r"a function loss\(outputs, y\) .*got one that fails on outputs \(18, 2\) and targets",
    "not_a_number": r"params: expected no NaN in any leaf, got 1 NaN of 8 in the leaf at hidden\.b",
    "no_parameters": WHERE + "parameters with floating-point arrays",
    "wide_inputs": WHERE + r"a model that takes inputs of shape \(18, 17\) float32, got TypeError: .* in line \d+",
    "short_labels": WHERE + r"one target per input in the training data, got x of \(90, 16\) and y of \(50,\)",
    "gaps": WHERE + r"finite numbers in the training data, got \d+ NaN or infinite values in x\. Remove or impute",
    "words": WHERE + r"y of the training data as numeric arrays .*got <U1 of shape \(90,\)",
    "large_labels": r"y: expected .*label",
    "two_outputs": r"f: expected a model that returns one real array .*got a tuple of 2 arrays",
    "one_example": r"f: expected a model that returns one real array of shape \(18, \.\.\.\).*got shape \(2,\)",
    "labels_out": "f: expected a model that returns one real array .*got dtype int32. Return the logits",
    "other_dict": WHERE + r"data, .*got a dict of 'inputs', 'labels'",
    "no_data": WHERE + "data, .*got none. Return data from the factory, or pass --data",
    "triples": WHERE + r"batch 0 as a pair \(x, y\), got a tuple",
    "no_batches": WHERE + "at least one batch, got none",
    "broken_batches": WHERE + r"readable data, got OSError: the disk is gone in line \d+ of diagnosed\.py",
    "NUMBER": WHERE + "a function NUMBER in .*got NUMBER, a int",
    "imagse": WHERE + r"a function imagse in .*got no function 'imagse'\. The file defines dense, start, images",
}


@pytest.mark.parametrize("factory", BAD)
def test_a_factory_that_cannot_be_used_is_one_line(run: Run, tmp_path: Path, factory: str):
    code, out, error = run(factory, "--out", "found")
    assert (code, out, error.count("\n")) == (2, "", 1), error
    assert re.match(BAD[factory], error), error
    assert not (tmp_path / "found").exists()


FILES = {
    "no colon": ("model.py", WHERE + r"a file and a function in it, such as model\.py:factory, got 'model\.py'"),
    "missing": (
        "none.py:factory",
        WHERE + r"a Python file, got none\.py, which does not exist\. --init writes a starter file",
    ),
    "syntax": (
        "syntax.py:factory",
        WHERE + r"a file syntax\.py that runs, got SyntaxError: .* in line 2 of syntax\.py",
    ),
    "import": (
        "imports.py:factory",
        WHERE + r"a file imports\.py that runs, got ModuleNotFoundError: No module named 'nn_x'",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_used_is_one_line(run: Run, tmp_path: Path, name: str):
    (tmp_path / "syntax.py").write_text("x = 1\ndef factory(:\n")
    (tmp_path / "imports.py").write_text("import nn_x\n")
    where, message = FILES[name]
    code, _, error = run(where)
    assert (code, error.count("\n")) == (2, 1)
    assert re.match(message, error), error


SETTINGS = {
    ("--orders", "1,x"): "--orders: expected orders such as 1,2,3, got '1,x'",
    ("--orders", "0"): "--orders: expected an integer ≥ 1, got 0",
    ("--orders", "1,1"): "--orders: expected distinct orders, got 1,1",
    ("--max-order", "0"): "--max-order: expected an integer ≥ 1, got 0",
    ("--steps", "no"): "--steps: expected an integer, got 'no'",
    ("--threshold", "1"): "--threshold: expected a number between 0 and 1, got 1.0",
    ("--images", "4"): "--images: expected a shape such as 8x8 or 32x32x3, or no, got '4'",
    (
        "--images",
        "5x5",
    ): r"--images: expected a shape with as many entries as an input, got \(5, 5\) for",
    ("--target", "y"): "--target: expected a table in --data, got none",
    ("--fixed", "both"): "--fixed: expected one of 'end', 'start', got 'both'",
    ("--max-order", "1000"): "--max-order: expected an order of at most 256, got 1000",
    ("--start", "last"): "--start: expected one of 'factory', 'first', got 'last'",
    ("--start", "first"): "--start: expected 'factory' without --checkpoints, got 'first'",
    ("--data", "none.npz"): r"--data: expected a file, got none\.npz, which does not exist",
    ("--data", "model.npz"): r"--data: expected an NPZ file with arrays x and y, got 'model\.npz'",
    ("--data", "sklearn:iris", "--target", "kind"): r"--target: expected one of .*got 'kind'",
    ("--checkpoints", "none"): r"--checkpoints: expected files ending in .*got none, which does not exist",
    ("--checkpoints", "."): r"--checkpoints: expected files ending in .*got the folder \., which contains none",
    (
        "--out",
        "taken",
    ): "--out: expected a new or empty folder, or one written by `taylornets diagnose`, got taken",
}


@pytest.mark.parametrize("words", SETTINGS, ids=" ".join)
def test_a_wrong_setting_is_one_line(run: Run, tmp_path: Path, words: tuple[str, ...]):
    (tmp_path / "model.npz").write_text("no archive")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes").write_text("mine")
    code, _, error = run("images", *words)
    assert (code, error.count("\n")) == (2, 1), error
    assert re.match(SETTINGS[words], error), error
    assert (tmp_path / "taken" / "notes").read_text() == "mine"


def wrong_shape(tree: Any) -> Any:
    return {**tree, "hidden": {**tree["hidden"], "b": jnp.zeros(9)}}


def one_missing(tree: Any) -> Any:
    return {"hidden": {"w": tree["hidden"]["w"]}, "out": tree["out"]}


def one_more(tree: Any) -> Any:
    return {**tree, "zeta": jnp.zeros(2)}


def with_nan(tree: Any) -> Any:
    return {**tree, "out": tree["out"].at[0, 0].set(jnp.nan)}


TREES = [
    (wrong_shape, r"at hidden\.b: expected .*\(8,\).*in the (start|initialization), got .*\(9,\)"),
    (
        one_missing,
        r"(expected the leaf hidden\.b of the initialization, got a checkpoint without it|at hidden\.b: expected float32)",
    ),
    (one_more, r"expected only leaves of the initialization, got (the leaf zeta|additional leaves)"),
    (with_nan, r": expected finite numbers in every leaf, got 1 NaN or infinite of 16 in the leaf at out\."),
]


@pytest.mark.parametrize("ending", ["safetensors", "eqx"])
@pytest.mark.parametrize(("change", "message"), TREES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_checkpoint_of_another_tree_names_the_leaf(
    run: Run, tmp_path: Path, ending: str, change: Callable[[Any], Any], message: str
):
    tree = change(trees(0)[0])
    path = tmp_path / f"one.{ending}"
    if ending == "eqx":
        eqx.tree_serialise_leaves(path, tree)
    else:
        names = {
            ".".join(str(key.key) for key in keys): np.asarray(leaf)
            for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        save_file(names, path)
    code, _, error = run("images", "--checkpoints", path, "--max-order", "1")
    lines = [line for line in error.splitlines() if not line.startswith(("preparing", "reading"))]
    assert (code, len(lines)) == (2, 1), error
    assert re.search(message, lines[0]), error
    if change is not with_nan:  # before anything is computed, so that a series may start from it too
        with pytest.raises(tn.ArgumentError, match=message):
            read(path, trees(0)[0])


@pytest.mark.parametrize("ending", ["safetensors", "eqx"])
def test_a_damaged_checkpoint_is_one_line(run: Run, tmp_path: Path, ending: str):
    (tmp_path / f"one.{ending}").write_bytes(b"\x80" * 100)
    code, _, error = run("images", "--checkpoints", tmp_path / f"one.{ending}")
    assert (code, error.count("\n")) == (2, 1)
    assert f"one.{ending}" in error


@pytest.mark.usefixtures("undrawn")
def test_resuming_another_run_is_refused(run: Run, tmp_path: Path):
    assert run("images", *SMALL)[0] == 0
    code, _, error = run("images", "--steps", "4", "--orders", "1,2", "--max-order", "1", "--resume")
    assert code == 2
    assert "--resume: expected the interrupted run, got " in error
    assert "which differs in the models" in error
    assert (tmp_path / "diagnosis" / "training.checkpoint").exists()
