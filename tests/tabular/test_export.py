"""Exported programs predict what the model predicts, in a process without JAX, pandas, scikit-learn and taylornets."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import taylornets as tn
from taylornets import ArgumentError
from taylornets.datafiles import Reading, from_frame
from taylornets.estimators import save
from taylornets.tabular import export, predict
from taylornets.tabular._model_table import MODEL, describe, whole
from taylornets.tabular._prepare import prepared
from taylornets.tabular._problem import pose

BLOCKED = ("jax", "taylornets", "sklearn", "pandas", "scipy")
ALONE = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r})); sys.argv = sys.argv[1:]; import runpy; "


def alone(code: str, *words: object) -> str:
    """Runs code in a process that cannot import any of the blocked modules."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE + code, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(program: Path) -> int:
    """Lines of a program that are not blank."""
    return sum(bool(line.strip()) for line in program.read_text().splitlines())


def rows(count: int = 80) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, count))
    a[::7] = np.nan
    kind = np.array(["u", "v 'w'", "[x]", ""])[generator.integers(4, size=count)]
    rare = np.array(["usual"] * (count - 60) + [f"rare {i}" for i in range(60)])
    days = generator.integers(900, size=count)
    day = np.datetime_as_string(np.datetime64("2020-02-28") + days.astype("timedelta64[D]"))
    y = np.nan_to_num(a) ** 2 + b + (kind == "u")
    return pd.DataFrame({"a": a, "b": b, "kind": kind, "rare": rare, "flag": b > 0, "day": day, "y": y})


def fitted(folder: Path, order: int, target: str, only: list[str] | None = None) -> pd.DataFrame:
    """Saves a model of a table in a folder, as `taylornets fit` does, and returns the table."""
    table = rows()
    table["class"] = np.digitize(table["y"], [0.0, 1.0]) if target == "class" else 0
    table["class"] = table["class"].map({0: "low", 1: "mid", 2: "high"})
    table: Any = table[[*(only or ["a", "b", "kind", "rare", "flag", "day"]), target]]
    read = from_frame(table)
    problem = pose(read, target, "auto", 0, kept=() if only else ("rare",))
    steps, features = prepared(problem)
    kind: Any = tn.TaylorRegressor if target == "y" else tn.TaylorClassifier
    model = kind(order=order, width=8, random_state=0, max_iter=20, tol=1e-1, penalty=1e-3)
    model.fit(features[problem.split.train], problem.y[problem.split.train])
    model.temperature_ = 1.7
    save(whole(steps, model, describe(problem, read, 0)), folder / MODEL)
    return table


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("order", "target"), [(2, "class"), (3, "y")])
def test_a_program_of_a_table_predicts_the_same(order: int, target: str, tmp_path: Path):
    table = fitted(tmp_path, order, target)
    table.loc[3, "kind"], table.loc[4, "rare"], table.loc[5, "a"] = "never seen", "never seen", np.nan
    table.to_csv(tmp_path / "new.csv", index=False)
    program, _ = export(str(tmp_path), tmp_path / "predict.py")
    assert lines(program) <= 47  # dates take eight of them
    ours = predict(str(tmp_path), str(tmp_path / "new.csv"), Reading()).frame
    printed = alone("runpy.run_path(sys.argv[0], run_name='__main__')", program, tmp_path / "new.csv").splitlines()
    assert printed[0] == "prediction"
    if target == "y":
        np.testing.assert_allclose([float(line) for line in printed[1:]], ours["prediction"], rtol=1e-6, atol=1e-6)
        return
    assert printed[1:] == ours["prediction"].tolist()
    code = "import csv; m = runpy.run_path(sys.argv[0]); r = list(csv.DictReader(open(sys.argv[1]))); "
    code += "print(m['probabilities']({n: [row[n] for row in r] for n in m['META']['columns']}).tolist())"
    found = json.loads(alone(code, program, tmp_path / "new.csv"))
    np.testing.assert_allclose(found, ours.filter(like="probability"), rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("only", "most"), [(["a", "b"], 30), (["kind", "flag"], 34), (["a", "kind"], 34)])
def test_a_program_has_about_thirty_lines(only: list[str], most: int, tmp_path: Path):
    fitted(tmp_path, 2, "y", only).to_csv(tmp_path / "new.csv", index=False)
    program, _ = export(str(tmp_path), tmp_path / "predict.py")
    assert lines(program) <= most
    printed = alone("runpy.run_path(sys.argv[0], run_name='__main__')", program, tmp_path / "new.csv").splitlines()
    ours = predict(str(tmp_path), str(tmp_path / "new.csv"), Reading()).frame
    np.testing.assert_allclose([float(line) for line in printed[1:]], ours["prediction"], rtol=1e-6, atol=1e-6)


def test_orders_above_the_power_of_the_activation_vanish(tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(30, 2))
    model = tn.TaylorRegressor(order=2, activation="relu", width=4, random_state=0, max_iter=2, tol=1e3, penalty=1e-3)
    save(model.fit(x, x[:, 0]), tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", x)
    export(str(tmp_path / "m.safetensors"), tmp_path / "p.py")
    code = "import numpy; print(runpy.run_path(sys.argv[0])['predict'](numpy.load(sys.argv[1])).tolist())"
    np.testing.assert_allclose(json.loads(alone(code, tmp_path / "p.py", tmp_path / "x.npy")), model.predict(x))


CASES = {
    "copies, two outputs, float32": (2, 2, "several", np.float32), "order 3, in a ball": (3, 1, 0, np.float64),
    "sum of orders": ((1, 2), "auto", 0, np.float64), "two classes": (2, 1, 2, np.float64),
    "three classes, order 1": (1, 1, 3, np.float64), "sum without a certificate": ((1, 3), "auto", 3, np.float64),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("order", "rank", "classes", "dtype"), CASES.values(), ids=CASES)
def test_a_program_of_an_estimator_predicts_the_same(order: Any, rank: Any, classes: Any, dtype: Any, tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(dtype)
    number = x[:, 0] * x[:, 1] + x[:, 2]
    how: dict[str, Any] = {
        "order": order,
        "width": 6,
        "rank": rank,
        "random_state": 0,
        "max_iter": 5,
        "tol": 1e-1,
        "penalty": 1e-3,
    }
    how |= {"scaling": "ball"} if order == 3 else {}
    if classes in (2, 3):
        labels = np.digitize(number, [0.0, 1.0][: classes - 1])
        model: Any = tn.TaylorClassifier(**how).fit(x, labels)
        expected = model.predict_proba(x)
    else:
        model = tn.TaylorRegressor(**how).fit(x, number if classes == 0 else np.stack([number, -number], 1))
        expected = model.predict(x)
    save(model, tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", x)
    export(str(tmp_path / "m.safetensors"), tmp_path / "p.py")
    name = "probabilities" if classes in (2, 3) else "predict"
    code = f"import numpy; m = runpy.run_path(sys.argv[0]); print(m['{name}'](numpy.load(sys.argv[1])).tolist())"
    found = json.loads(alone(code, tmp_path / "p.py", tmp_path / "x.npy"))
    np.testing.assert_allclose(
        found, expected, rtol=1e-6 if dtype == np.float64 else 1e-4, atol=1e-6 if dtype == np.float64 else 1e-5
    )
    assert lines(tmp_path / "p.py") <= 25


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_cannot_be_exported_is_one_sentence(tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    model: Any = tn.TaylorRegressor(order=1, width=6, rank=1, max_iter=5, tol=1e-1, scaling="ball").fit(x, x[:, 0])
    for change, message in (
        (
            None,
            r"model: expected a TaylorRegressor or TaylorClassifier whose model has a single order ≥ 1, .* got NTK",
        ),
        (("activation_", "silu"), r"expected a model whose activation is a ReLU power, got 'silu'"),
        (("model_", "full"), r"or is a sum of orders, got the model 'full'"),
    ):
        other = tn.NTKRegressor().fit(x, x[:, 0]) if change is None else copy.copy(model)
        if change is not None:
            setattr(other, *change)
        save(other, tmp_path / "m.safetensors")
        with pytest.raises(ArgumentError, match=message):
            export(str(tmp_path / "m.safetensors"), tmp_path / "p.py")
    with pytest.raises(ArgumentError, match=r"out: expected a file with the extension .py, got 'p.txt'"):
        export("m", Path("p.txt"))
    assert not (tmp_path / "p.py").exists()
