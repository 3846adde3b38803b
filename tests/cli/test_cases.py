"""Cases of everyday use that were reported as wrong: numbers with signs, codes with leading zeros, checkpoints of a series."""

import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pandas as pd
import pytest

from taylornets import ArgumentError, _checkpoints, cli, records
from taylornets.cli import _diagnose
from taylornets.datafiles import Reading, read
from taylornets.tabular._problem import pose

PLACES = np.arange(60)
SIGNED = {
    "percent": ([f"{i}%" for i in PLACES], PLACES),
    "thousands": ([f"{1000 + i // 2:,}" for i in PLACES], 1000 + PLACES // 2),
    "currency": ([f"€ {i}" for i in PLACES], PLACES),
    "decimal comma": ([f"{i // 10},{i % 10}" for i in PLACES], PLACES / 10),
}


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.parametrize("role", ["input", "target"])
def test_numbers_with_signs_are_numbers(kind: str, role: str, tmp_path: Path):
    words, numbers = SIGNED[kind]
    other = np.random.default_rng(0).normal(size=60)
    columns = {"p": words, "y": other} if role == "input" else {"a": other, "y": words}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    problem = pose(read(str(tmp_path / "t.csv")), "y", "auto", 0)
    assert (problem.task, problem.categories) == ("regression", [])
    found = problem.inputs["p"] if role == "input" else problem.y
    np.testing.assert_array_equal(found, numbers)


def test_words_without_a_number_stay_categories(tmp_path: Path):
    pd.DataFrame({"p": ["A%", "B%", "C%"] * 20, "y": PLACES}).to_csv(tmp_path / "t.csv", index=False)
    assert pose(read(str(tmp_path / "t.csv")), "y", "auto", 0).categories == ["p"]


@pytest.mark.parametrize("categorical", [(), ("zip",)])
def test_codes_keep_their_leading_zeros(categorical: tuple[str, ...], tmp_path: Path):
    codes = ["01234", "00501", "1234", "90210"] * 15
    pd.DataFrame({"a": PLACES, "zip": codes}).to_csv(tmp_path / "t.csv", index=False)
    problem = pose(read(str(tmp_path / "t.csv"), Reading(categorical=categorical)), "zip", "auto", 0)
    assert problem.task == "classification"
    assert problem.y.tolist() == codes


FACTORY = """
import equinox as eqx, jax, numpy as np, optax
def factory():
    a, b = jax.random.split(jax.random.key(0))
    layers = [eqx.nn.Linear(3, 4, key=a), eqx.nn.Lambda(jax.nn.relu), eqx.nn.Dropout(0.1), eqx.nn.Linear(4, 2, key=b)]
    x = np.random.default_rng(0).normal(size=(30, 3)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    return eqx.nn.Sequential(layers), {"train": (x[:20], y[:20]), "test": (x[20:], y[20:])}, optax.sgd(0.1), "softmax"
"""


def test_a_module_with_dropout_is_read_as_it_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Training saves a module that is not in inference mode; the axis has the steps of the file names."""
    (tmp_path / "net.py").write_text(FACTORY)
    names: dict[str, Any] = {}
    exec(FACTORY, names)
    module = names["factory"]()[0]
    assert not module.layers[2].inference
    for step in (0, 10, 100):
        moved = jax.tree.map(lambda leaf, step=step: leaf + step / 1000 if eqx.is_inexact_array(leaf) else leaf, module)
        eqx.tree_serialise_leaves(tmp_path / f"step_{step}.eqx", moved)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_diagnose, "write_report", lambda folder, _: folder / "report.html")
    paths = [word for step in (0, 10, 100) for word in ("--checkpoints", f"step_{step}.eqx")]
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        cli.main(["diagnose", "net.py:factory", *paths, "--max-order", "1"])
    assert ended.value.code == 0, said.getvalue()
    page = records.load_page(tmp_path / "diagnosis")
    assert page is not None
    steps = {tuple(series.x) for section in page.sections for figure in section.figures
             for panel in figure.panels for series in getattr(panel, "series", ()) if len(series.x) == 3}  # fmt: skip
    assert (0, 10, 100) in steps


def test_a_target_of_dates_has_a_way_out_with_two_columns(tmp_path: Path):
    days = pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d")
    pd.DataFrame({"temperature": np.sin(PLACES), "date": days}).to_csv(tmp_path / "t.csv", index=False)
    table = read(str(tmp_path / "t.csv"))
    with pytest.raises(
        ArgumentError, match=r"a column of dates\..* For example, use `target='temperature'`"
    ) as refused:
        pose(table, "date", "auto", 0)
    assert refused.value.mends == (("target", "temperature"),)
    assert pose(table, "temperature", "auto", 0).task == "regression"


@pytest.mark.parametrize(
    "header", [b"{'descr': '<f4', 'shape': (2, 3", b"{'descr': '<f4'\x00}", b"(" * 300, b"{'descr': 'O'}"]
)
@pytest.mark.parametrize("ending", ["eqx", "npz"])
def test_a_damaged_header_of_a_checkpoint_is_one_message(header: bytes, ending: str, tmp_path: Path):
    """NumPy hands the header to Python's tokenizer and parser, which have exceptions of their own."""
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(24)
    path = tmp_path / f"c.{ending}"
    path.write_bytes(array)
    if ending == "npz":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a.npy", array)
    with pytest.raises(ArgumentError, match=r"checkpoints: expected"):
        _checkpoints.read(path, {"a": np.zeros((2, 3), np.float32)})
