"""Invalid files: exit code 2, a one-line message, no traceback, no output files."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bad_files
import numpy as np
import pandas as pd
import pytest
from bad_files import A, B, good

import taylornets as tn
from taylornets import cli
from taylornets.datafiles import read
from taylornets.tabular._model_table import describe, whole
from taylornets.tabular._path import FitSettings, new_model, quietly
from taylornets.tabular._prepare import prepared
from taylornets.tabular._problem import pose, split_of

Run = Callable[..., tuple[int, str, str]]


def contents(folder: Path) -> dict[str, Any]:
    """All entries below a folder: links by target, files by content."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes() if path.stat().st_size < 10**7 else path.stat().st_size
        else:
            found[name] = None
    return found


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command in this process, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(words))
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


def check_refusal(result: tuple[int, str, str], message: str) -> None:
    code, out, err = result
    assert (code, out) == (2, ""), err
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert len(err) < 600
    assert "Traceback" not in err
    assert not re.search(r"\w+Error\b", err)
    assert re.search(message, err), err


@pytest.mark.parametrize("name", bad_files.FIT)
def test_fit_refuses(name: str, run: Run, tmp_path: Path):
    make, words, message = bad_files.FIT[name]
    data = make(tmp_path)
    before = contents(tmp_path)
    check_refusal(run("fit", data, *(() if "--out" in words else ("--out", "new")), *words), message)
    assert contents(tmp_path) == before


def test_good_table_is_not_refused(tmp_path: Path):
    """The unmodified table is valid, so that each case has exactly one defect."""
    table = read(str(tmp_path / bad_files.csv(good())(tmp_path)))
    assert pose(table, "y", "auto", 0).task == "regression"
    for make in (bad_files.npz(**good()), bad_files.arrow(good())):
        again = read(str(tmp_path / make(tmp_path)))
        assert again.digest(["a", "b", "y"]) == table.digest(["a", "b", "y"])


def test_no_permission(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name = bad_files.csv(good())(tmp_path)
    (tmp_path / name).chmod(0)
    if os.geteuid() == 0:  # who may read everything

        def refuse(path: Path, *_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refuse)
    check_refusal(run("fit", name, "--target", "y"), r"DATA: .*'a\.csv' \(Permission denied\)")


def test_column_that_is_empty_where_it_counts(tmp_path: Path):
    """The only value of the column lies in a test row: it is left out with a note."""
    test = split_of(None, bad_files.ROWS, 0).test[0]
    name = bad_files.csv(good(a=[3.5 if i == test else "" for i in range(bad_files.ROWS)]))(tmp_path)
    found = pose(read(str(tmp_path / name)), "y", "auto", 0)
    assert [*found.inputs.columns] == ["b"]
    assert "Features left out because they have no values in the training rows: 'a'." in found.notes


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved classifier with two numeric inputs and a string input, and a model of order 3."""
    folder = tmp_path_factory.mktemp("model")
    frame = {"a": A, "b": B, "c": ["s", "t", "s"] * 8, "y": bad_files.KIND}
    pd.DataFrame(frame).to_csv(folder / "good.csv", index=False)
    table = read(str(folder / "good.csv"))
    problem = pose(table, "y", "auto", 0)
    steps, features = prepared(problem)
    for order, name in ((2, "model.safetensors"), (3, "third.safetensors")):
        made = new_model("classification", FitSettings(order=order, width=4), 1e-2).set_params(tol=0.5, max_iter=3)
        quietly(lambda made=made: made.fit(features, problem.y))
        tn.save(whole(steps, made, describe(problem, table, 0)), folder / name)
    return folder


NEW = {"a": A, "b": B, "c": ["s"] * 24}
MODELS: dict[str, tuple[Callable[[Path, Path], str], str]] = {
    "absent": (lambda model, folder: "nothing", r"MODEL: .*No such file"),
    "folder without a model": (lambda model, folder: ".", r"MODEL: .*No such file"),
    "table": (lambda model, folder: "new.csv", r"MODEL: .*which is not a model file"),
    "cut": (lambda model, folder: saved(folder, (model / "model.safetensors").read_bytes()[:-9]), r"MODEL: .*damaged"),
    "one bit": (lambda model, folder: saved(folder, flip((model / "model.safetensors").read_bytes())), r"MODEL: .*damaged"),
    "empty": (lambda model, folder: saved(folder, b""), r"MODEL: .*of 0 bytes"),
    "pickle": (lambda model, folder: saved(folder, b"\x80\x04N."), r"MODEL: .*of 4 bytes|which is not a model file"),
    "device": (lambda model, folder: "/dev/zero", r"MODEL: .*a device or a pipe"),
    "loop": (lambda model, folder: bad_files.loop(folder), r"MODEL: .*symbolic links"),
    "estimator without a table": (lambda model, folder: plain(folder), r"MODEL: .*does not contain a description of its table"),
}  # fmt: skip


def saved(folder: Path, data: bytes) -> str:
    (folder / "m.safetensors").write_bytes(data)
    return "m.safetensors"


def flip(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


def plain(folder: Path) -> str:
    tn.save(tn.NTKRegressor().fit(A[:, None], B), folder / "m.safetensors")
    return "m.safetensors"


@pytest.mark.parametrize("command", ["predict", "certify"])
@pytest.mark.parametrize("name", MODELS)
def test_bad_models_are_refused(name: str, command: str, run: Run, model: Path, tmp_path: Path):
    make, message = MODELS[name]
    pd.DataFrame(NEW).to_csv(tmp_path / "new.csv", index=False)
    source = make(model, tmp_path)
    before = contents(tmp_path)
    check_refusal(run(command, source, "new.csv"), message)
    assert contents(tmp_path) == before


TABLES: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str]] = {
    "column missing": ("predict", {"a": A, "c": ["s"] * 24}, (), r"DATA: .*got a table without 'b'"),
    "columns missing": ("predict", {"z": A}, (), r"without 'a' and 2 more"),
    "words for numbers": ("predict", NEW | {"a": ["s", "t"] * 12}, (), r"numbers in column 'a', as during fitting, got 's'"),
    "infinity": ("predict", NEW | {"a": [*A[:23], np.inf]}, (), r"finite numbers, got inf in row 24"),
    "ending of the predictions": ("predict", NEW, ("--out", "p.xlsx"), r"--out: .*\.csv or \.parquet"),
    "predictions over a folder": ("predict", NEW, ("--out", "full.csv"), r"--out: expected a file, got full\.csv"),
    "predictions below a file": ("predict", NEW, ("--out", "new.csv/p.csv"), r"--out: expected a file that can be written"),
    "no target to certify": ("certify", NEW, (), r"DATA: expected a table with the target column 'y', got a table without"),
    "empty target to certify": ("certify", NEW | {"y": [""] * 24}, (), r"a table without it"),
    "unknown class": ("certify", NEW | {"y": ["u", "x"] * 12}, (), r"class labels of the model in column 'y', got 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_do_not_fit_the_model(name: str, run: Run, model: Path, tmp_path: Path):
    command, columns, words, message = TABLES[name]
    (tmp_path / "full.csv").mkdir()
    pd.DataFrame(columns).to_csv(tmp_path / "new.csv", index=False)
    before = contents(tmp_path)
    check_refusal(run(command, str(model), "new.csv", *words), message)
    assert contents(tmp_path) == before


def test_order_three_has_no_certificate(run: Run, model: Path):
    words = ("certify", str(model / "third.safetensors"), str(model / "good.csv"))
    check_refusal(run(*words), r"MODEL: expected a model of order 1 or 2, which has a certificate, got order 3")
