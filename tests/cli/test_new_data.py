"""What `fit`, `certify` and `predict` say about new data: bound, intervals, groups, and what voids the promise (theory 13)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import taylornets as tn
from taylornets import cli
from taylornets.datafiles import Reading, read
from taylornets.records import bare
from taylornets.tabular import _curve, _path
from taylornets.tabular._problem import TableProblem, pose, split_of
from taylornets.tabular._promise import doubts_of, promise_of
from taylornets.tabular._split import Split

Capture = pytest.CaptureFixture[str]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    return int(ended.value.code or 0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A fit without baselines' searches; `--penalty` spares the path."""
    monkeypatch.setattr(_curve, "_CURVE", (1.0,))
    monkeypatch.setattr(_path, "PENALTIES", (1e-3,))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def table(rows: int = 240, groups: int = 40) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    group = generator.integers(0, groups, rows)
    a, b = generator.normal(size=(2, rows))
    label = np.where(a + 0.3 * generator.normal(size=rows) > 0, "yes", "no")
    return pd.DataFrame({"person": [f"p{g}" for g in group], "a": a, "b": b, "y": label, "z": 2 * a + b})


def test_bound_is_stated_by_fit_and_again_by_certify(quick: Path, capfd: Capture):
    data = table()
    data.to_csv("data.csv", index=False)
    options = ("--target", "y", "--drop", "z", "--drop", "person", "--width", "16", "--penalty", "1e-3")
    assert run("fit", "data.csv", *options, "--out", "out") == 0
    said = capfd.readouterr().out
    facts = json.loads(Path("out/run.json").read_text())
    wrong = round((1 - facts["scores"]["test"]) * facts["split"]["test"])
    bound = tn.generalization.holdout(np.arange(facts["split"]["test"]) >= wrong).bound
    assert facts["error_bound"] == pytest.approx(bound)
    sentence = tn.generalization.HoldOut(bound, 0.0, 1, 0.05, "").sentence
    assert sentence in " ".join(said.split())
    assert sentence.split(" %")[0] in " ".join(Path("out/report.html").read_text().split())
    assert run("certify", "out", "data.csv") == 0
    assert sentence in capfd.readouterr().out
    table(60).iloc[::-1].to_csv("new.csv", index=False)
    assert run("certify", "out", "new.csv") == 0
    assert "error is at most" in capfd.readouterr().out
    assert run("predict", "out", "new.csv", "--interval", "0.9", "--out", "sets.csv") == 0
    sets = pd.read_csv("sets.csv", keep_default_na=False)["set"]
    assert {"yes", "no"} <= set(sets) <= {"yes", "no", "no yes", ""}


def test_intervals_of_a_regression(quick: Path, capfd: Capture):
    table().drop(columns=["y", "person"]).to_csv("data.csv", index=False)
    assert run("fit", "data.csv", "--target", "z", "--width", "16", "--penalty", "1e-3", "--out", "out") == 0
    assert "with probability 90 %" in " ".join(capfd.readouterr().out.split())
    assert run("predict", "out", "data.csv", "--interval", "0.8", "--out", "p.csv") == 0
    found = pd.read_csv("p.csv")
    width = (found["high"] - found["low"]) / 2
    np.testing.assert_allclose(found["prediction"], (found["low"] + found["high"]) / 2)
    test = split_of(None, 240, 0).test
    off = np.sort(np.abs(found["prediction"] - table()["z"])[test])
    np.testing.assert_allclose(width, off[int(np.ceil(0.8 * (len(test) + 1))) - 1], rtol=1e-9)
    assert run("predict", "out", "data.csv", "--interval", "90") == 2
    assert "--interval: expected a probability below 1, got 90" in capfd.readouterr().err


def test_groups_stay_together(quick: Path, capfd: Capture):
    data = table()
    data.to_csv("data.csv", index=False)
    groups = data["person"].to_numpy().astype(str)
    split = split_of(None, len(data), 0, groups)
    parts = [set(groups[rows]) for rows in (split.train, split.validation, split.test)]
    assert len(parts[0] | parts[1] | parts[2]) == sum(map(len, parts))
    assert sum(map(len, (split.train, split.validation, split.test))) == len(data)
    alone = split_of(None, len(data), 0)  # without groups, they are torn apart
    assert set(groups[alone.train]) & set(groups[alone.test])
    options = ("--target", "y", "--drop", "z", "--width", "16", "--penalty", "1e-3", "--group", "person")
    assert run("fit", "data.csv", *options, "--out", "out") == 0
    assert "On new groups from the same source" in " ".join(capfd.readouterr().out.split())
    assert run("certify", "out", "data.csv") == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "On new groups from the same source" in said
    assert (
        f"on {len(set(groups[split_of(data['y'].to_numpy(), len(data), 0, groups).test]))} groups. Groups are exchangeable"
        in said
    )
    assert f"its {len(split_of(data['y'].to_numpy(), len(data), 0, groups).train)} training rows" in said
    assert run("predict", "out", "data.csv", "--interval", "0.9") == 2
    assert "got one fitted on groups of rows" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("group", "message"),
    [("persona", "group: expected one of"), ("y", "group: expected a column other than the target"),
     ("few", "group: expected a column with at least 20 groups, got 2")],
)  # fmt: skip
def test_groups_that_cannot_be_split_are_rejected(group: str, message: str, tmp_path: Path):
    data = table().assign(few=lambda d: np.where(d["a"] > 0, "u", "v"))
    data.to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(tn.ArgumentError, match=message):
        pose(read(str(tmp_path / "data.csv"), Reading()), "y", "auto", 0, group=group)


DOUBTS = {
    "nothing": (lambda d: d, []),
    "copies": (lambda d: pd.concat([d, d[:7]]), ["7 of the 247 rows repeat another row"]),
    "sorted classes": (lambda d: d.sort_values("y"), ["ordered by the target"]),
    "a date": (
        lambda d: d.assign(seen=[f"2024-01-{1 + i % 28:02d}" for i in range(len(d))]), ["column 'seen' looks like a date"],
    ),
    "a year": (lambda d: d.assign(year=np.arange(len(d)) % 9), ["column 'year' looks like a date"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTS)
def test_what_voids_the_promise_is_found(name: str, tmp_path: Path):
    change, expected = DOUBTS[name]
    change(table().drop(columns=["person", "z"])).to_csv(tmp_path / "data.csv", index=False)
    found = doubts_of(pose(read(str(tmp_path / "data.csv"), Reading()), "y", "auto", 0))
    assert len(found) == len(expected)
    assert all(part in bare(text) for part, text in zip(expected, found, strict=True))


def test_sorted_numbers_are_found(tmp_path: Path):
    table().drop(columns=["person", "y"]).sort_values("z").to_csv(tmp_path / "data.csv", index=False)
    (found,) = doubts_of(pose(read(str(tmp_path / "data.csv"), Reading()), "z", "auto", 0))
    assert "ordered by the target" in found


def test_rows_split_by_time_promise_nothing(quick: Path, capfd: Capture):
    last = ["later"] * 24  # a class that only the last rows have, none of them in training
    data = table().assign(seen=pd.date_range("2024-01-01", periods=240).strftime("%Y-%m-%d"))
    data["y"] = [*data["y"][:216], *last]
    data.to_csv("data.csv", index=False)
    options = ("--target", "y", "--drop", "z", "--drop", "person", "--width", "16", "--split", "time")
    assert run("fit", "data.csv", *options, "--out", "out") == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "The rows were split by time." in said
    assert "no bound holds" in said
    assert "error is at most" not in said
    assert json.loads(Path("out/run.json").read_text())["error_bound"] is None
    assert run("certify", "out", "data.csv") == 0
    said = capfd.readouterr().out
    assert "its 168 training rows" in said
    assert "error is at most" not in said
    assert run("predict", "out", "data.csv", "--interval", "0.9") == 2
    assert "got one whose rows were split by time" in capfd.readouterr().err
    table().to_csv("data.csv", index=False)
    assert run("fit", "data.csv", *options, "--group", "a") == 2
    assert "--group: expected a random split, got one with --split 'time'" in capfd.readouterr().err


def test_test_rows_of_a_class_without_training_rows_count_as_errors():
    class Model:
        classes_ = np.array(["a", "c"])

        def predict(self, x: np.ndarray) -> np.ndarray:
            return np.full(len(x), "a")

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            return np.tile([0.75, 0.25], (len(x), 1))

    labels = np.array(["a", "b", "c", "d"] * 6)
    problem = TableProblem(
        "t", "y", "classification", "", pd.DataFrame({"x": np.arange(24.0)}), labels, 0, [],
        Split(np.arange(8), np.arange(8, 16), np.arange(16, 24)),
    )  # fmt: skip
    model: Any = Model()
    promise = promise_of(problem, model, np.zeros((24, 1)))
    assert promise.error is not None
    assert promise.error.error == 0.75
    np.testing.assert_allclose(model.calibration_scores_[:, 0], [0.25] * 2 + [0.75] * 2 + [np.inf] * 4)


def test_columns_of_dates_are_named_letter_for_letter(quick: Path, capfd: Capture):
    days = pd.date_range("2024-01-01", periods=240).strftime("%Y-%m-%d")
    data = table().drop(columns=["person", "z"]).assign(**{"*seen* $x$": days})
    data.to_csv("data.csv", index=False)
    assert run("fit", "data.csv", "--target", "y", "--width", "16", "--penalty", "1e-3", "--out", "out") == 0
    assert "The column '*seen* $x$' looks like a date." in " ".join(capfd.readouterr().out.split())
    assert "The column `'*seen* $x$'` looks like a date." in Path("out/MODEL.md").read_text()
    assert run("certify", "out", "data.csv") == 0
    assert "error is at most" in capfd.readouterr().out
