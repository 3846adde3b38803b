"""The results of a fit, from which the sections of its page are built."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets.tabular._baselines import Result
from taylornets.tabular._metrics import Metric, check_metric, outputs_of
from taylornets.tabular._path import FitSettings, Learned
from taylornets.tabular._problem import TableProblem
from taylornets.tabular._promise import Promise
from taylornets.tabular._scores import score_of


@dataclass(frozen=True)
class FitFindings:
    """The results shown on the page.

    Args:
        problem: the learning problem.
        format: description of the file format.
        steps: the fitted preprocessing.
        features: all rows after preprocessing.
        settings: settings of the model.
        learned: the trained model.
        baselines: their results, in the order of the page.
        sizes: numbers of training rows in the learning curve.
        curves: scores of the learning curve, by label; our model on the test rows first.
        promise: the statement on new data.
    """

    problem: TableProblem
    format: str
    steps: Any
    features: np.ndarray
    settings: FitSettings
    learned: Learned
    baselines: list[Result]
    sizes: list[int]
    curves: dict[str, list[float]]
    promise: Promise

    @property
    def metric(self) -> Metric | None:
        """The metric of the request."""
        return check_metric(self.settings.metric)

    @property
    def selection(self) -> str:
        """The rows that select hyperparameters, in words."""
        return "validation rows" if self.learned.cv is None else f"{self.problem.cv} folds of the training rows"

    @property
    def model(self) -> Any:
        """The trained estimator."""
        return self.learned.model

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets of a part of the split."""
        rows = getattr(self.problem.split, name)
        return self.features[rows], self.problem.y[rows]


def scores(findings: FitFindings) -> dict[str, float]:
    """Returns the scores of our model by part of the split; with cross-validation, there are no validation rows."""
    score = score_of(findings.problem.task)
    parts = {name: findings.part(name) for name in ("train", "validation", "test")}
    return {name: score(y, findings.model.predict(x)) for name, (x, y) in parts.items() if len(y)}


def facts_of(findings: FitFindings) -> dict[str, Any]:
    """Returns the fields of run.json on the metric, cross-validation and the probabilities."""
    found: dict[str, Any] = {}
    metric, cv, temperature = findings.metric, findings.learned.cv, findings.learned.temperature
    x, y = findings.part("test")
    if metric is not None:
        outputs = outputs_of(findings.model, x)
        found["metric_scores"] = {
            "name": metric.words, "test": metric.shown(metric(y, outputs)), "interval": list(metric.interval(y, outputs)),
        }  # fmt: skip
    if cv is not None:
        found["cross_validation"] = {
            "scores": list(cv.scores), "penalties": list(cv.penalties), "mean": cv.mean,
            "interval": list(_clipped(cv.interval, metric)),
        }  # fmt: skip
    if temperature is not None:
        found["temperature"] = {
            "value": temperature.value, "log_loss_before": temperature.before, "log_loss_after": temperature.after,
            "rows": temperature.rows,
        }  # fmt: skip
    return found


def _clipped(ends: tuple[float, float], metric: Metric | None) -> tuple[float, float]:
    """An interval within the range of the score: at most 1, or at least 0 for a loss."""
    low, high = ends
    return (low, min(high, 1.0)) if metric is None or metric.sign > 0 else (max(low, 0.0), high)
