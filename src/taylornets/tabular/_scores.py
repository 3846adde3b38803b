"""Scores of predictions, with confidence intervals for scores and their differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import r2_score

from taylornets import statistics

_RESAMPLES = 2000
_LEVEL = 0.95


def accuracy(y: Any, predictions: Any) -> float:
    """Accuracy: the fraction of correct labels."""
    return float(np.mean(np.asarray(y) == np.asarray(predictions)))


def r_squared(y: Any, predictions: Any) -> float:
    """R²: 1 for perfect predictions, 0 for predicting the mean."""
    return float(r2_score(y, predictions))


def score_of(task: str) -> Callable[[Any, Any], float]:
    """The score of a task; larger is better."""
    return accuracy if task == "classification" else r_squared


def name_of(task: str) -> str:
    """The name of the score."""
    return "accuracy" if task == "classification" else "R²"


def interval(task: str, y: np.ndarray, predictions: np.ndarray, seed: int) -> tuple[float, float]:
    """A 95 % interval of a score: Wilson's for accuracy, percentile bootstrap for R²."""
    if task == "classification":
        return statistics.wilson(float(np.sum(y == predictions)), len(y))
    low, high = np.quantile(_resampled(y, (predictions,), seed)[0], [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def difference(task: str, y: np.ndarray, first: np.ndarray, second: np.ndarray, seed: int) -> tuple[float, float]:
    """A 95 % paired bootstrap interval of the score difference, first minus second predictions."""
    if task == "classification":
        generator = np.random.default_rng(seed)
        ahead = (y == first).astype(float) - (y == second)
        draws = ahead[generator.integers(len(y), size=(_RESAMPLES, len(y)))].mean(axis=1)
    else:
        one, other = _resampled(y, (first, second), seed)
        draws = one - other
    low, high = np.quantile(draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _resampled(y: np.ndarray, predictions: tuple[np.ndarray, ...], seed: int) -> list[np.ndarray]:
    """Bootstrap samples of R², with the same rows for all predictions."""
    generator = np.random.default_rng(seed)
    found: list[list[float]] = [[] for _ in predictions]
    for _ in range(_RESAMPLES):
        rows = generator.integers(len(y), size=len(y))
        total = np.sum((y[rows] - y[rows].mean()) ** 2)
        for values, prediction in zip(found, predictions, strict=True):
            if total > 0:  # R² is undefined for a constant resample
                values.append(1 - float(np.sum((y[rows] - prediction[rows]) ** 2) / total))
    return [np.array(values) for values in found]
