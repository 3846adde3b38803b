"""Conformal prediction: intervals and sets that cover single new observations (theory 13)."""

import math
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from taylornets import _checks


def conformal(scores: ArrayLike, level: float = 0.9) -> float:
    """Computes the split-conformal threshold: a new score is at most this large with probability `level` or more.

    The threshold is the `⌈(n + 1) level⌉`-th smallest score, and infinite if there are too few. The probability is over the
    calibration rows and the new row together; it holds for every model and every `n` if these are exchangeable.

    Args:
        scores: nonconformity scores of rows that training did not use, shape `(n,)`: for example `|y - f(x)|`, which gives the
            interval `f(x) ± threshold`, or `1 - p(y | x)`, which gives the set of classes with `p ≥ 1 - threshold`.
        level: coverage, between 0 and 1.

    Returns:
        The threshold, in units of the scores.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 13; Vovk, Gammerman & Shafer (2005), section 4.1; Lei et al. (2018), theorem 2.2.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> tn.generalization.conformal(np.arange(1.0, 10.0), 0.8), tn.generalization.conformal(np.arange(1.0, 10.0), 0.95)
        (8.0, inf)
    """
    check_level(level)
    values = np.sort(_checks.host(_checks.array("scores", scores, ("n",)), np.float64))
    place = math.ceil((len(values) + 1) * level - 1e-9)
    return float(values[place - 1]) if place <= len(values) else math.inf


def jackknife_plus(predictions: np.ndarray, residuals: np.ndarray, level: float) -> np.ndarray:
    """Computes jackknife+ intervals: a new target lies in its interval with probability `2 level - 1` or more.

    The usual coverage is about `level`; the guarantee requires exact leave-one-out predictions and exchangeable rows.

    Args:
        predictions: of the new inputs by the models without example `i`, shape `(n2, n)`.
        residuals: leave-one-out residuals `|y_i - f_{-i}(x_i)|`, shape `(n,)`.
        level: coverage, between 0 and 1.

    Returns:
        Lower and upper ends, shape `(n2, 2)`; infinite if there are too few examples.

    Source: Barber, Candès, Ramdas & Tibshirani (2021), theorem 1.
    """
    n = len(residuals)
    place = math.ceil((n + 1) * level - 1e-9)
    if place > n:
        return np.tile([-math.inf, math.inf], (len(predictions), 1))
    lower = np.sort(predictions - residuals, axis=1)[:, n - place]
    upper = np.sort(predictions + residuals, axis=1)[:, place - 1]
    return np.stack([lower, upper], axis=-1)


def check_level(level: Any, argument: str = "level") -> None:
    """Raises unless `level` is a probability strictly between 0 and 1."""
    _checks.positive(argument, level, "The usual coverage is 0.9.")
    if not level < 1:
        raise _checks.ArgumentError(argument, "a probability below 1", str(level), "The usual coverage is 0.9.")
