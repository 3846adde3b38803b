"""Scores of predictions, with confidence intervals for scores and their differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import r2_score

from taylornets import statistics

_RESAMPLES = 2000
_LEVEL = 0.95
_GROUPED = 5000  # rows from which groups of rows are resampled


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
        ahead = (y == first).astype(int) - (y == second)
        counts = np.array([np.sum(ahead == value) for value in (-1, 0, 1)])
        drawn = generator.multinomial(len(y), counts / len(y), _RESAMPLES)  # the law of a resample, without its rows
        draws = (drawn[:, 2] - drawn[:, 0]) / len(y)
    else:
        one, other = _resampled(y, (first, second), seed)
        draws = one - other
    low, high = np.quantile(draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _resampled(y: np.ndarray, predictions: tuple[np.ndarray, ...], seed: int) -> list[np.ndarray]:
    """Bootstrap samples of R², with the same rows for all predictions.

    R² depends on sums over rows. With many rows, equally large random groups of them are resampled, whose sums have the same
    variance.
    """
    generator = np.random.default_rng(seed)
    centered = y - y.mean()
    terms = np.stack([np.ones(len(y)), centered, centered**2, *((y - values) ** 2 for values in predictions)])
    if len(y) > _GROUPED:
        size = -(-len(y) // _GROUPED)
        mixed = generator.permutation(len(y))[: size * (len(y) // size)]
        terms = terms[:, mixed].reshape(len(terms), -1, size).sum(axis=2)
    found: list[list[float]] = [[] for _ in predictions]
    for _ in range(_RESAMPLES):
        count, linear, square, *errors = terms[:, generator.integers(terms.shape[1], size=terms.shape[1])].sum(axis=1)
        total = square - linear**2 / count
        for values, error in zip(found, errors, strict=True):
            if total > 1e-12 * square:  # R² is undefined for a constant resample
                values.append(1 - float(error / total))
    return [np.array(values) for values in found]
