"""Metrics by the names of scikit-learn: the score by which the penalty is selected, and which is reported."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics

from taylornets import _checks

_RESAMPLES, _LEVEL, _SEED = 400, 0.95, 0
_LEAST = 1e-300  # of a probability, so that its logarithm is finite


@dataclass(frozen=True)
class Outputs:
    """What a model says about rows.

    Args:
        predictions: classes or numbers, shape `(n,)`.
        probabilities: shape `(n, classes)`, or None.
        classes: the classes of the columns; empty for regression.
    """

    predictions: np.ndarray
    probabilities: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> "Outputs":
        """Returns the outputs for some rows."""
        some = None if self.probabilities is None else self.probabilities[rows]
        return Outputs(self.predictions[rows], some, self.classes)


def outputs_of(model: Any, x: Any, probabilities: bool = True) -> Outputs:
    """Evaluates a model; probabilities only if it has them."""
    found = model.predict_proba(x) if probabilities and hasattr(model, "predict_proba") else None
    return Outputs(np.asarray(model.predict(x)), found, tuple(map(str, getattr(model, "classes_", ()))))


@dataclass(frozen=True)
class Metric:
    """A metric.

    Args:
        name: its name in scikit-learn.
        words: its name in sentences.
        task: the task that it fits.
        compute: function of targets and `Outputs`; larger is better.
        sign: −1 for losses, which scikit-learn negates; reports show them as they are.
        probabilities: whether it needs probabilities.
        classes: number of classes that it is limited to, or None.
    """

    name: str
    words: str
    task: str
    compute: Callable[[np.ndarray, Outputs], Any]
    sign: int = 1
    probabilities: bool = False
    classes: int | None = None

    def __call__(self, y: Any, outputs: Outputs) -> float:
        """The score, larger is better; NaN where it is undefined, as without two classes or without probabilities."""
        if not len(y) or (self.probabilities and outputs.probabilities is None):
            return float("nan")
        return float(self.compute(np.asarray(y), outputs))

    def shown(self, score: float) -> float:
        """The value in reports: losses without the minus sign."""
        return self.sign * score

    def interval(self, y: np.ndarray, outputs: Outputs) -> tuple[float, float]:
        """A 95 % percentile bootstrap interval of the value in reports."""
        generator = np.random.default_rng(_SEED)
        draws: list[float] = []
        for _ in range(_RESAMPLES):
            rows = generator.integers(len(y), size=len(y))
            draws.append(self.shown(self(y[rows], outputs.take(rows))))
        known = np.array([draw for draw in draws if np.isfinite(draw)])
        if not len(known):
            return float("nan"), float("nan")
        low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        return float(low), float(high)


def own_probabilities(y: np.ndarray, outputs: Outputs) -> np.ndarray:
    """The probability of each row's own class; 0 for a class that the model does not have."""
    assert outputs.probabilities is not None
    places = {name: place for place, name in enumerate(outputs.classes)}
    at = np.array([places.get(str(name), -1) for name in y])
    return np.where(at >= 0, outputs.probabilities[np.arange(len(y)), np.maximum(at, 0)], 0.0)


def log_loss(y: np.ndarray, outputs: Outputs) -> float:
    """The mean negative logarithm of the probability of each row's own class, in nats."""
    return float(-np.mean(np.log(np.maximum(own_probabilities(y, outputs), _LEAST))))


def _brier(y: np.ndarray, outputs: Outputs) -> float:
    """Mean squared distance of the probabilities from 0 and 1; for two classes, of those of one class."""
    assert outputs.probabilities is not None
    hit = y.astype(str)[:, None] == np.array(outputs.classes)
    return float(np.mean(np.sum((outputs.probabilities - hit) ** 2, axis=1))) / (2 if hit.shape[1] == 2 else 1)


def _over_classes(one: Callable[..., Any]) -> Callable[[np.ndarray, Outputs], float]:
    """A binary metric: of the last class if there are two, else its mean over the classes that occur."""

    def compute(y: np.ndarray, outputs: Outputs) -> float:
        assert outputs.probabilities is not None
        found: list[float] = []
        places = [1] if len(outputs.classes) == 2 else range(len(outputs.classes))
        for place in places:
            hit = y.astype(str) == outputs.classes[place]
            if hit.any() and not hit.all():
                found.append(float(one(hit, outputs.probabilities[:, place])))
        return float(np.mean(found)) if found else float("nan")

    return compute


def _labels(name: str, words: str, score: Callable[..., Any], classes: int | None = None) -> Metric:
    return Metric(name, words, "classification", lambda y, found: score(y, found.predictions), classes=classes)


def _of_last(score: Any) -> Callable[[np.ndarray, Outputs], float]:
    """A score of the last of two classes, such as F1."""
    return lambda y, found: score(y == found.classes[-1], found.predictions == found.classes[-1], zero_division=0.0)


def _loss(name: str, words: str, score: Any) -> Metric:
    return Metric(name, words, "regression", lambda y, found: -score(y, found.predictions), -1)


_f1: Any = metrics.f1_score
_BINARY = "classification"
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _labels("accuracy", "accuracy", metrics.accuracy_score),
        _labels("balanced_accuracy", "balanced accuracy",
                lambda y, p: np.mean([np.mean(p[y == name] == name) for name in np.unique(y)])),
        _labels("f1_macro", "macro F1", lambda y, p: _f1(y, p, average="macro", zero_division=0.0)),
        _labels("f1_weighted", "weighted F1", lambda y, p: _f1(y, p, average="weighted", zero_division=0.0)),
        _labels("matthews_corrcoef", "Matthews correlation", metrics.matthews_corrcoef),
        Metric("f1", "F1", _BINARY, _of_last(metrics.f1_score), classes=2),
        Metric("precision", "precision", _BINARY, _of_last(metrics.precision_score), classes=2),
        Metric("recall", "recall", _BINARY, _of_last(metrics.recall_score), classes=2),
        Metric("roc_auc", "area under the ROC curve", _BINARY, _over_classes(metrics.roc_auc_score), 1, True, 2),
        Metric("roc_auc_ovr", "mean area under the ROC curves", _BINARY, _over_classes(metrics.roc_auc_score), 1, True),
        Metric("average_precision", "average precision", _BINARY, _over_classes(metrics.average_precision_score), 1, True),
        Metric("neg_log_loss", "log loss", _BINARY, lambda y, found: -log_loss(y, found), -1, True),
        Metric("neg_brier_score", "Brier score", _BINARY, lambda y, found: -_brier(y, found), -1, True),
        Metric("r2", "R²", "regression", lambda y, found: metrics.r2_score(y, found.predictions) if len(y) > 1 else np.nan),
        Metric("explained_variance", "explained variance", "regression",
               lambda y, found: metrics.explained_variance_score(y, found.predictions)),
        _loss("neg_mean_squared_error", "mean squared error", metrics.mean_squared_error),
        _loss("neg_root_mean_squared_error", "root mean squared error", metrics.root_mean_squared_error),
        _loss("neg_mean_absolute_error", "mean absolute error", metrics.mean_absolute_error),
        _loss("neg_median_absolute_error", "median absolute error", metrics.median_absolute_error),
        _loss("neg_mean_absolute_percentage_error", "mean absolute percentage error",
              metrics.mean_absolute_percentage_error),
        _loss("neg_max_error", "maximum error", metrics.max_error),
    )
}  # fmt: skip


def check_metric(name: str | None, task: str | None = None, classes: int | None = None) -> Metric | None:
    """Returns a metric by name; None stands for the default of the task.

    Args:
        name: a name of `METRICS`, or None.
        task: `"classification"` or `"regression"`, or None if it is not known yet.
        classes: number of classes, if it is known.

    Raises:
        ArgumentError: for an unknown name, or a metric of the other task or of another number of classes.
    """
    if name is None:
        return None
    _checks.choice("metric", name, tuple(METRICS))
    metric = METRICS[name]
    fitting = [
        other.name for other in METRICS.values()
        if other.task == task and (classes is None or other.classes in (None, classes))
    ]  # fmt: skip
    if task is not None and name not in fitting:
        what = f"a metric for {task}" if metric.task != task else f"a metric for {classes} classes"
        advice = f"Choose one of {', '.join(fitting)}."
        raise _checks.ArgumentError("metric", what, repr(name), advice, (("metric", None),))
    return metric
