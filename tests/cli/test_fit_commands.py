"""The commands `fit`, `predict` and `certify` on valid tables."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import taylornets as tn
from taylornets import cli, records
from taylornets.cli import _fit
from taylornets.cli._requests import request
from taylornets.datafiles import read
from taylornets.tabular import _baselines, _curve, _run
from taylornets.tabular._problem import pose

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--width", "8", "--penalty", "1e-3")


def table(rows: int = 60) -> pd.DataFrame:
    """A table of flats with missing numbers and strings, numeric codes, and two targets."""
    generator = np.random.default_rng(1)
    size, age = generator.uniform(20, 120, rows), generator.uniform(0, 90, rows)
    place = generator.choice(["north", "south", "Zürich"], rows)
    rent = 10 * size - 2 * age + 200 * (place == "Zürich") + generator.normal(0, 20, rows)
    age[::7], place[::9] = np.nan, ""
    dear = np.where(rent > np.median(rent), "dear", "cheap")
    return pd.DataFrame(
        {"size": size, "age": age, "place": place, "code": np.arange(rows) % 4, "rent": rent, "dear": dear}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table as CSV and two fits of it."""
    folder = tmp_path_factory.mktemp("fits")
    table().to_csv(folder / "flats.csv", index=False, sep=";", encoding="utf-16")
    with few_baselines():
        for target, other in (("rent", "dear"), ("dear", "rent")):
            words = ["--target", target, "--drop", other, "--categorical", "code", "--out", str(folder / target)]
            with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()):
                cli.main(["fit", str(folder / "flats.csv"), *words, *SMALL])
            assert ended.value.code == 0
    return folder


@contextlib.contextmanager
def few_baselines() -> Any:
    """One candidate per baseline, and a small random forest."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("_RIDGES", (1e-3,)),
            ("_ALPHAS", (0.1,)),
            ("_COSTS", (1.0,)),
            ("_DECAYS", (1.0,)),
            ("_LEAVES", (5,)),
            ("_LEAF_NODES", (7,)),
        ):
            patch.setattr(_baselines, name, value)
        patch.setattr(_baselines, "_TREES", 5)
        patch.setattr(_baselines, "_ROUNDS", 5)
        patch.setattr(_curve, "_CURVE", (0.5, 1.0))
        yield


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str | Path) -> tuple[int, str, str]:
        with few_baselines(), pytest.raises(SystemExit) as ended:
            cli.main(list(map(str, words)))
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


def test_what_a_fit_leaves(folder: Path):
    names = {path.name for path in (folder / "rent").iterdir()}
    assert names == {"MODEL.md", "model.safetensors", "report.html", "run.json", "records", "figures", "tables"}
    run = json.loads((folder / "rent" / "run.json").read_text())
    assert (run["status"], run["task"], run["target"], run["seed"]) == ("finished", "regression", "rent", 0)
    assert run["split"] == {"train": 42, "validation": 9, "test": 9}
    assert run["columns"] == {"numbers": ["size", "age"], "categories": ["place", "code"]}
    assert run["certificate"]["primal"] >= run["certificate"]["dual"]
    assert set(run["timings"]) == {"reading", "training", "all"}
    assert {"residuals.svg", "learning_curve.svg", "comparison.svg"} <= {
        p.name for p in (folder / "rent/figures").iterdir()
    }
    compared = pd.read_csv(folder / "rent" / "tables" / "comparison.csv")
    assert [*compared["model"]] == [
        "Taylor, order 2", "NTK ridge", "kernel ridge", "SVM", "random forest", "gradient boosting", "MLP", "no inputs",
    ]  # fmt: skip
    assert not np.isnan(compared["fit (s)"].to_numpy()).any()


def test_report_says_what_was_done(folder: Path):
    page = (folder / "rent" / "report.html").read_text()
    assert page.count("<script") == 1  # that of the package; its hash is in the content security policy
    assert not re.search(r"http-equiv=.refresh|src=.http|href=.http", page)
    for words in (
        "The task is regression of", "42 for training, 9 for selecting hyperparameters (validation), and 9 for the scores",
        "missing values imputed by the median and flagged", "missing values form the category (missing)", "one-hot encoded",
        "no other weights of this network", "It does not state how well", "root mean square error", "--categorical code",
    ):  # fmt: skip
        assert words in page.replace("\n", " ").replace("&#39;", "'"), words
    page = (folder / "dear" / "report.html").read_text()
    assert "Calibration" in page
    assert "the column contains 2 distinct strings" in page
    assert "np.str_" not in page


def test_seed_decides_every_bit_of_the_model(folder: Path, run: Run, tmp_path: Path):
    words = ("fit", folder / "flats.csv", "--target", "dear", "--drop", "rent", "--categorical", "code", *SMALL)
    assert run(*words, "--out", tmp_path / "again")[0] == 0
    again = (tmp_path / "again" / "model.safetensors").read_bytes()
    assert again == (folder / "dear" / "model.safetensors").read_bytes()


def test_predict_without_the_target(folder: Path, run: Run, tmp_path: Path):
    new = (
        table().drop(columns=["rent", "dear"]).iloc[:5].assign(extra=1, place=["Bern", "", "north", "south", "Zürich"])
    )
    new.to_csv(tmp_path / "new.csv", index=False)
    code, out, err = run("predict", folder / "dear", tmp_path / "new.csv")
    assert code == 0
    found = pd.read_csv(io.StringIO(out))
    assert [*found.columns] == ["prediction", "probability of cheap", "probability of dear"]
    np.testing.assert_allclose(found.iloc[:, 1:].sum(axis=1), 1)
    assert err == "Ignored columns not used by the model: extra.\n"
    model = tn.load(folder / "dear" / "model.safetensors")
    frame = new[["size", "age", "place", "code"]].astype({"code": str}).replace({"place": {"": np.nan}})
    frame["place"] = frame["place"].astype(object)
    assert [*found["prediction"]] == [*model.predict(frame)]
    code, out, err = run("predict", folder / "dear", tmp_path / "new.csv", "--out", tmp_path / "p.parquet")
    assert (code, out) == (0, "")
    again = pd.read_parquet(tmp_path / "p.parquet")
    assert np.array_equal(again["probability of dear"], model.predict_proba(frame)[:, 1])


def test_predict_with_the_target_scores(folder: Path, run: Run, tmp_path: Path):
    code, out, err = run("predict", folder / "rent", folder / "flats.csv", "--out", tmp_path / "p.csv")
    assert (code, out) == (0, "")
    assert re.search(r"R² 0\.\d+ on the 60 rows with a target\. This is the table that the model was fitted on", err)
    assert len(pd.read_csv(tmp_path / "p.csv")) == 60


def test_certify_proves_the_same_again(folder: Path, run: Run):
    code, out, _ = run("certify", folder / "rent", folder / "flats.csv")
    assert code == 0
    assert "the certificate covers its 42 training rows" in out
    stated = json.loads((folder / "rent" / "run.json").read_text())["certificate"]
    primal, dual = (
        float(re.findall(rf"{name}\s+([\d.e-]+)", out)[0]) for name in ("saved weights", "over all weights")
    )
    np.testing.assert_allclose([primal, dual], [stated["primal"], stated["dual"]], rtol=1e-8)


def test_certify_on_other_rows_says_so(folder: Path, run: Run, tmp_path: Path):
    table(30).to_csv(tmp_path / "other.csv", index=False)
    code, out, _ = run("certify", folder / "rent", tmp_path / "other.csv")
    assert code == 0
    assert "not the table that the model was fitted on; the certificate covers all of its 30 rows" in out


def test_classes_written_as_numbers(run: Run, tmp_path: Path):
    """`1.0` in the file of the fit, `1` in the other: the same class, and the same table."""
    rows = table().drop(columns="rent").assign(dear=lambda frame: (frame["dear"] == "dear").astype(float))
    rows.to_csv(tmp_path / "fit.csv", index=False)
    assert run("fit", tmp_path / "fit.csv", "--target", "dear", "--out", tmp_path / "run", *SMALL)[0] == 0
    rows.astype({"dear": int}).to_csv(tmp_path / "whole.csv", index=False)
    code, out, err = run("predict", tmp_path / "run", tmp_path / "whole.csv")
    assert (code, set(pd.read_csv(io.StringIO(out))["prediction"])) == (0, {0, 1})
    assert "This is the table that the model was fitted on" in err
    assert (
        "This is the table that the model was fitted on" in run("certify", tmp_path / "run", tmp_path / "whole.csv")[1]
    )
    rows.assign(dear=rows["dear"] + 0.5).to_csv(tmp_path / "other.csv", index=False)
    code, _, err = run("certify", tmp_path / "run", tmp_path / "other.csv")
    assert (code, err) == (
        2,
        "DATA: expected class labels of the model in column 'dear', got '0.5'. "
        "Remove rows with other labels from the file.\n",
    )


def test_report_is_made_again_from_its_record(folder: Path, run: Run):
    page = folder / "dear" / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert run("report", folder / "dear")[0] == 0
    assert page.read_bytes() == before


def test_constant_columns_of_bundled_sets_and_on_request(tmp_path: Path):
    digits = read("sklearn:digits")
    assert {"pixel_0_0", "pixel_4_0", "pixel_4_7"} == set(pose(digits, None, "auto", 0).dropped)
    table().assign(one=1, none="").to_csv(tmp_path / "flats.csv", index=False)
    found = pose(read(str(tmp_path / "flats.csv")), "rent", "auto", 0, drop_constant=True)
    assert found.dropped == ["one", "none"]


def test_request_as_a_line_for_the_shell(tmp_path: Path):
    options = {
        "target": "a b", "order": 2, "out": tmp_path, "task": "auto", "width": 64, "penalty": None, "rank": None, "seed": 0,
        "drop": ("x", "y"), "drop_constant": True, "categorical": (), "encoding": None, "separator": None, "decimal": None,
    }  # fmt: skip
    line = "taylornets fit t.csv --target 'a b' --out {} --width 64 --seed 0 --drop x --drop y"
    assert request("t.csv", options).command == f"{line} --drop-constant".format(tmp_path)
    assert request("t.csv", options | {"drop_constant": False}).command == line.format(tmp_path)


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_interrupted_training_writes_nothing(folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_run, "learn", interrupt)
    code, out, err = run("fit", folder / "flats.csv", "--target", "rent", "--out", tmp_path / "new", *SMALL)
    assert (code, out) == (130, "")
    assert err.endswith("Interrupted. Nothing was written.\n")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_report_keeps_a_whole_model(
    folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_fit, "write_report", interrupt)
    words = ("fit", folder / "flats.csv", "--target", "rent", "--drop", "dear", "--out", tmp_path / "new", *SMALL)
    code, _, err = run(*words)
    assert code == 130
    assert "Interrupted. The model was saved" in err
    assert tn.load(tmp_path / "new" / "model.safetensors")[-1].width == 8


@pytest.mark.parametrize("stage", ["training", "comparing"])
def test_killed_fit_leaves_a_whole_model_or_none(stage: str, folder: Path, tmp_path: Path):
    """Kills the process at the start of a stage that is named on standard error."""
    command = [sys.executable, "-c", "from taylornets.cli import main; main()", "fit", str(folder / "flats.csv")]
    options = ["--target", "rent", "--drop", "dear", "--out", str(tmp_path / "new"), *SMALL]
    with subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(f"{stage}:"):
                os.kill(process.pid, signal.SIGKILL)
                break
        process.wait(60)
    assert process.returncode == -signal.SIGKILL
    if stage == "training":
        assert [path.name for path in (tmp_path / "new").iterdir()] == [".taylornets-lock"]
        return
    assert tn.load(tmp_path / "new" / "model.safetensors").n_features_in_ == 4
    assert json.loads((tmp_path / "new" / "run.json").read_text())["status"] == "running"
    assert not (tmp_path / "new" / "report.html").exists()
    _run.check_folder(
        tmp_path / "new", "fit", lambda out: records.load_page_run(out, ("fit",))
    )  # another fit may take its place
