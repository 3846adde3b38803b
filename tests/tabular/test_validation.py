"""Cross-validation, metrics and calibrated probabilities of `taylornets fit`, against scikit-learn and brute force."""

import contextlib
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from sklearn import metrics as skm
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

import taylornets as tn
from taylornets import ArgumentError, cli, records
from taylornets.cli import _fit
from taylornets.datafiles import from_frame
from taylornets.tabular import _baselines, _curve, _path, _selection
from taylornets.tabular._cross_validation import walk
from taylornets.tabular._folds import folds_of
from taylornets.tabular._metrics import METRICS, Outputs, check_metric, log_loss
from taylornets.tabular._problem import pose
from taylornets.tabular._temperature import log_probabilities, temperature_of

PLACES = np.arange(90)


def frame(rows: int = 90) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, rows))
    kind = np.where(a + 0.5 * generator.normal(size=rows) > 0.3, "yes", "no")
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.permutation(rows), unit="D")
    person = [f"person {i % 30}" for i in range(rows)]
    return pd.DataFrame({"a": a, "b": b, "kind": kind, "day": day, "person": person, "y": a**2 + b})


# --- folds ---------------------------------------------------------------------------------------------------------


def problem(target: str = "y", **how: Any) -> Any:
    columns = [
        "a",
        "b",
        target,
        *(["day"] if how.get("division") == "time" else []),
        *(["person"] if "group" in how else []),
    ]
    return pose(from_frame(frame()[columns]), target, "auto", 0, cv=5, **how)


@pytest.mark.parametrize("target", ["y", "kind"])
@pytest.mark.parametrize("how", [{}, {"group": "person"}])
def test_folds_partition_the_training_rows(target: str, how: dict[str, Any]):
    posed = problem(target, **how)
    assert len(posed.split.validation) == 0
    assert len(posed.split.train) + len(posed.split.test) == 90
    found = folds_of(posed, 5, 0)
    every = np.concatenate([held for _, held in found])
    assert sorted(every) == list(range(len(posed.split.train)))
    for some, held in found:
        assert not set(some) & set(held)
        assert len(some) + len(held) == len(posed.split.train)
    if how:
        names = posed.groups[posed.split.train]
        assert all(not set(names[some]) & set(names[held]) for some, held in found)
    elif target == "kind":
        y = posed.y[posed.split.train]
        counts = [int(np.sum(y[held] == "yes")) for _, held in found]
        assert max(counts) - min(counts) <= 1


def test_folds_of_ordered_rows_are_later_than_what_trains():
    posed = problem(division="time")
    days = frame()["day"].to_numpy()[posed.split.train]
    for some, held in folds_of(posed, 5, 0):
        assert days[some].max() < days[held].min()
    shuffled = folds_of(problem(), 5, 0)[0]
    assert frame()["day"].to_numpy()[shuffled[0]].max() > frame()["day"].to_numpy()[shuffled[1]].min()


def test_too_many_folds_are_refused():
    with pytest.raises(ArgumentError, match=r"cv: expected at most 25 folds for 76 training rows, got 30"):
        folds_of(problem(), 30, 0)
    with pytest.raises(ArgumentError, match=r"cv: expected at most \d folds for 2\d training groups, got 12"):
        folds_of(problem(group="person"), 12, 0)


class Constant:
    """A path whose model always predicts its penalty."""

    def fit_path(self, x: Any, y: Any, penalties: Any) -> Any:
        for penalty in penalties:
            self.value = penalty
            yield self


def test_the_score_of_a_fold_is_at_the_penalty_of_the_others():
    """Constant predictions, scored by minus the squared error: brute force over folds and penalties."""
    y = np.random.default_rng(1).normal(size=12)
    folds = [(np.setdiff1d(np.arange(12), held), held) for held in np.arange(12).reshape(4, 3)]
    penalties = (1.0, 0.3, -0.2, -1.0)

    def judge(model: Any, rows: Any) -> Any:  # the accuracy or R², 7, is not what is compared
        score = -float(np.mean((rows[1] - model.value) ** 2))
        return (score, 0.0), 7.0, score

    found = walk(Constant, (y, y), folds, penalties, judge, lambda *_: None, math.inf)
    table = np.array([[-np.mean((y[held] - p) ** 2) for p in penalties] for _, held in folds])
    assert found.best == int(np.argmax(table.mean(0)))
    best = [int(np.argmax(np.delete(table, i, 0).mean(0))) for i in range(4)]
    assert found.result.penalties == tuple(penalties[i] for i in best)
    np.testing.assert_allclose(found.result.scores, [table[i, b] for i, b in enumerate(best)])
    assert found.result.mean <= table.mean(0).max()
    assert found.held.tolist() == [7.0] * 4
    low, high = found.result.interval
    assert low < found.result.mean < high


def test_every_size_of_the_learning_curve_has_all_classes():
    """Two of 96 rows of a class: an eighth of the rows, drawn in proportion, would lack it."""
    labels = np.array(["usual"] * 94 + ["rare"] * 2)
    for seed in range(5):
        order = _selection.spread_evenly(labels, 96, seed)
        assert sorted(order) == list(range(96))
        assert set(labels[order[:2]]) == {"usual", "rare"}
        assert np.sum(labels[order[:48]] == "rare") in (1, 2)


# --- metrics -------------------------------------------------------------------------------------------------------


class Answers:
    """A model with given answers, for the scorers of scikit-learn."""

    def __init__(self, outputs: Outputs):
        self.outputs, self.classes_ = outputs, np.array([*range(len(outputs.classes))])
        self._estimator_type = "classifier" if outputs.classes else "regressor"

    def __sklearn_tags__(self) -> Any:
        kind: Any = type("Any", (ClassifierMixin if self.outputs.classes else RegressorMixin, BaseEstimator), {})
        return kind().__sklearn_tags__()

    def predict(self, _: Any) -> Any:
        names = {name: i for i, name in enumerate(self.outputs.classes)}
        return np.array([names[p] for p in self.outputs.predictions]) if names else self.outputs.predictions

    def predict_proba(self, _: Any) -> Any:
        return self.outputs.probabilities


CLASSES = [
    (name, count)
    for name, metric in METRICS.items()
    for count in (2, 3)
    if metric.task == "classification" and metric.classes in (None, count)
]


@pytest.mark.parametrize(("name", "count"), CLASSES)
def test_metrics_of_classes_are_those_of_scikit_learn(name: str, count: int):
    metric = METRICS[name]
    generator = np.random.default_rng(count)
    p = generator.dirichlet(np.ones(count), size=60)
    classes = tuple("abc"[:count])
    numbers = generator.integers(count, size=60)
    outputs = Outputs(np.array(classes)[np.argmax(p, 1)], p, classes)
    expected = get_scorer(name)(Answers(outputs), np.zeros((60, 1)), numbers)
    assert metric(np.array(classes)[numbers], outputs) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.task == "regression"])
def test_metrics_of_numbers_are_those_of_scikit_learn(name: str):
    y, found = np.random.default_rng(0).normal(size=(2, 40))
    expected = get_scorer(name)(Answers(Outputs(found)), np.zeros((40, 1)), y)
    assert METRICS[name](y, Outputs(found)) == pytest.approx(expected, rel=1e-9)


def test_a_metric_that_does_not_fit_is_one_sentence():
    with pytest.raises(
        ArgumentError, match=r"metric: expected a metric for regression, got 'accuracy'. Choose one of r2, "
    ):
        check_metric("accuracy", "regression")
    with pytest.raises(
        ArgumentError, match=r"metric: expected a metric for 3 classes, got 'roc_auc'. Choose one of .*roc_auc_ovr"
    ):
        check_metric("roc_auc", "classification", 3)
    with pytest.raises(ArgumentError, match=r"metric: expected .*got 'R2'"):
        check_metric("R2")
    assert check_metric(None, "regression") is None


# --- probabilities -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("sharpness", [3.0, 1 / 3])
def test_the_temperature_is_found(count: int, sharpness: float):
    """Labels drawn from known probabilities, whose outputs are then multiplied: the temperature undoes it."""
    generator = np.random.default_rng(0)
    true = 1.5 * generator.normal(size=(4000, count))
    if count == 2:
        places = (generator.uniform(size=4000) < expit(true[:, 0])).astype(int)
        decision = sharpness * true[:, 0]
    else:
        places = np.array([generator.choice(count, p=row) for row in softmax(true, axis=1)])
        decision = sharpness * true
    classes = np.array(list("abcd"[:count]))
    found = temperature_of(classes[places], decision, classes, True, 0)
    assert found.value == pytest.approx(sharpness, rel=0.1)
    assert found.after < found.before

    def loss(t: float) -> float:
        return skm.log_loss(places, np.exp(log_probabilities(decision, t, True)))

    best: Any = minimize_scalar(loss, bounds=(0.05, 20), method="bounded")
    assert found.value == pytest.approx(best.x, rel=1e-3)
    assert loss(1.0) == pytest.approx(found.before)
    assert ("less confident" in found.sentence) == (sharpness > 1)


def test_calibrated_outputs_and_few_rows_are_not_scaled():
    """The negative control: on calibrated outputs, a temperature fitted on other rows does not lower the loss (seed fixed)."""
    generator = np.random.default_rng(3)
    true = generator.normal(size=200)
    y = np.where(generator.uniform(size=200) < expit(true), "b", "a")
    found = temperature_of(y, true, np.array(["a", "b"]), False, 0)
    assert found.value == 1
    assert "does not lower" in found.sentence
    assert "too few" in temperature_of(y[:10], true[:10], np.array(["a", "b"]), False, 0).sentence


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_predicted_probabilities_use_the_temperature():
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = np.array(["a", "b", "c"])[(x[:, 0] > 0).astype(int) + (x[:, 1] > 1)]
    model: Any = tn.TaylorClassifier(width=8, random_state=0, max_iter=20, tol=1e-1).fit(x, y)
    plain, decision = model.predict_proba(x), model.decision_function(x)
    model.temperature_ = 2.5
    np.testing.assert_allclose(model.predict_proba(x), np.exp(log_probabilities(decision, 2.5, True)), rtol=1e-6)
    assert log_loss(y, Outputs(y, plain, ("a", "b", "c"))) == pytest.approx(skm.log_loss(y, plain), rel=1e-6)
    assert model.fit(x, y).temperature_ == 1


# --- the command ---------------------------------------------------------------------------------------------------


def run(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        cli.main(list(words))
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue(), err.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (
        ("_RIDGES", (1e-3,)),
        ("_ALPHAS", (0.1,)),
        ("_COSTS", (1.0,)),
        ("_DECAYS", ()),
        ("_LEAVES", (5,)),
    ):
        monkeypatch.setattr(_baselines, name, value)
    monkeypatch.setattr(_baselines, "_TREES", 3)
    every = _baselines.families
    monkeypatch.setattr(_baselines, "families", lambda *how: tuple(f for f in every(*how) if f.candidates))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(_curve, "_CURVE", (1.0,))
    monkeypatch.setattr(_fit, "write_report", lambda folder, _: folder / "report.html")
    monkeypatch.setattr(_path, "PENALTIES", (1e-2, 1e-4))
    frame()[["a", "b", "kind"]].to_csv(tmp_path / "t.csv", index=False)
    return tmp_path


def test_cv_and_metric_on_the_command_line(folder: Path):
    words = ("fit", "t.csv", "--target", "kind", "--width", "8", "--out", "o")
    code, out, err = run(*words, "--cv", "3", "--metric", "f1")
    assert code == 0, err
    facts = json.loads((folder / "o" / "run.json").read_text())
    assert facts["split"] == {"train": 76, "validation": 0, "test": 14}
    assert len(facts["cross_validation"]["scores"]) == 3
    assert re.search(r"F1, 3-fold cross-validation +0\.\d+", out)
    page = records.load_page(folder / "o")
    assert page is not None
    (folds,) = [table for section in page.sections for table in section.tables if table.name == "folds"]
    assert tuple(folds.columns) == ("fold", "held-out rows", "penalty", "F1")
    assert sum(list(row)[1] for row in folds.rows) == 76
    assert "The probabilities" in (folder / "o" / "MODEL.md").read_text()
    assert any("expected calibration error" in section.facts for section in page.sections)
    code, out, _ = run("certify", "o", "t.csv")
    assert code == 0
    assert "76 training rows" in out
    code, _, err = run("predict", "o", "t.csv")
    assert re.search(r"F1 0\.\d{4} on the same rows", err)
    for metric, message in (("r2", "expected a metric for classification, got 'r2'"), ("nonsense", "got 'nonsense'")):
        code, _, err = run(*words, "--metric", metric, "--dry-run")
        assert code == 2
        assert err.startswith("--metric: expected")
        assert message in err
    code, _, err = run(*words, "--cv", "1", "--dry-run")
    assert (code, err.partition(":")[0]) == (2, "--cv")
