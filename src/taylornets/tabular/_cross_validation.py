"""Cross-validation of the penalty and of the score: one regularization path per fold."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from taylornets.records.progress import Tell
from taylornets.tabular._folds import Fold

_LEVEL = 0.95


@dataclass(frozen=True)
class CrossValidated:
    """Scores of the held-out folds, each at the penalty that the other folds selected.

    Args:
        penalties: that penalty, one per fold.
        scores: score of each fold: accuracy or R², or the metric of the request.
        rows: number of held-out rows of each fold.
        held: targets and decision values of all held-out rows at the selected penalty; None for regression.
    """

    penalties: tuple[float, ...]
    scores: tuple[float, ...]
    rows: tuple[int, ...]
    held: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def mean(self) -> float:
        """Mean score of the folds."""
        return float(np.mean(self.scores))

    @property
    def interval(self) -> tuple[float, float]:
        """An approximate 95 % interval of the mean: Student's t over the folds, whose training rows overlap."""
        count = len(self.scores)
        half = stats.t.ppf((1 + _LEVEL) / 2, count - 1) * np.std(self.scores, ddof=1) / count**0.5
        return self.mean - float(half), self.mean + float(half)


@dataclass(frozen=True)
class Walk:
    """Scores along the regularization paths of all folds.

    Args:
        penalties: the penalties that every fold reached.
        keys: selection criterion and tie-breaker, shape `(folds, penalties, 2)`; larger is better.
        train: mean score on the rows that train, one per penalty.
        held: mean score on the held-out rows, one per penalty.
        best: place of the selected penalty.
        result: the scores of the folds.
    """

    penalties: tuple[float, ...]
    keys: np.ndarray
    train: np.ndarray
    held: np.ndarray
    best: int
    result: CrossValidated


def chosen(keys: np.ndarray) -> int:
    """The place of the largest mean criterion over the folds; ties are broken by the second number.

    Args:
        keys: shape `(folds, penalties, 2)`.
    """
    means = keys.mean(axis=0)
    return max(range(len(means)), key=lambda place: tuple(means[place]))


def walk(
    new: Callable[[], Any], data: tuple[Any, Any], folds: Sequence[Fold], penalties: Sequence[float],
    judge: Callable[[Any, tuple[Any, Any]], tuple[tuple[float, float], float, float]], tell: Tell, limit: float,
) -> Walk:  # fmt: skip
    """Fits a path with warm starts on each fold.

    The penalty with the best mean criterion is selected. The score of a fold is taken at the penalty that is best on the
    *other* folds, so that no fold's score profits from its own selection.

    Args:
        new: creates an estimator with the settings of a path.
        data: inputs and targets.
        folds: places that train and that are held out.
        penalties: in decreasing order.
        judge: returns, for a model on rows, the criterion with its tie-breaker, accuracy or R², and the score of a fold.
        tell: called as `tell(fraction, message)`.
        limit: seconds; the first fold ends the path early so that all folds fit into it.

    Source: Varma & Simon, "Bias in error estimation when using cross-validation for model selection" (2006).
    """
    x, y = data
    count, begin = len(penalties), time.perf_counter()
    keys, train, held, scored = [list[Any]() for _ in range(4)]
    decisions: list[tuple[Any, list[Any]]] = []
    for number, (some, out) in enumerate(folds):
        model = new()
        fitted = model.fit_path(x[some], y[some], penalties[:count])
        rows: list[list[Any]] = [[], [], [], [], []]
        for place, penalty in enumerate(penalties[:count]):
            tell((number + place / count) / len(folds), f"fold {number + 1} of {len(folds)}, penalty {penalty:g}")
            next(fitted)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a fold may lack a class
                key, score, reported = judge(model, (x[out], y[out]))
                rows[0].append(key)
                rows[1].append(judge(model, (x[some], y[some]))[1])
                rows[2].append(score)
                rows[4].append(reported)
            rows[3].append(model.decision_function(x[out]) if hasattr(model, "classes_") else None)
            if number == 0 and time.perf_counter() - begin > limit / len(folds):
                count = place + 1
                break
        keys.append(rows[0])
        train.append(rows[1])
        held.append(rows[2])
        scored.append(rows[4])
        decisions.append((getattr(model, "classes_", None), rows[3]))
    table, scores = np.asarray(keys, float), np.asarray(scored, float)
    best = chosen(table)
    others = [chosen(np.delete(table, number, axis=0)) if len(folds) > 1 else best for number in range(len(folds))]
    result = CrossValidated(
        tuple(float(penalties[place]) for place in others),
        tuple(float(scores[number, place]) for number, place in enumerate(others)),
        tuple(len(out) for _, out in folds),
        _held(np.unique(y), y, folds, decisions, best),
    )
    return Walk(tuple(penalties[:count]), table, np.mean(train, axis=0), np.mean(held, axis=0), best, result)


def _held(
    classes: Any, y: Any, folds: Sequence[Fold], decisions: Any, best: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Targets and decision values of the held-out rows, of the folds that have all classes."""
    kept = [
        (y[out], values[best]) for (_, out), (own, values) in zip(folds, decisions, strict=True)
        if own is not None and len(own) == len(classes)
    ]  # fmt: skip
    if not kept:
        return None
    return np.concatenate([part for part, _ in kept]), np.concatenate([part for _, part in kept])
