"""Statistical fits and intervals shared by claims and reports."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_Z = 1.959964  # the normal quantile of 97.5 %


def wilson(successes: float, count: int) -> tuple[float, float]:
    """Returns Wilson's 95 % interval for a probability, from the number of successes in `count` independent trials.

    Args:
        successes: number of successes, between 0 and `count`.
        count: number of trials, at least 1.

    Returns:
        The interval `(low, high)`, within [0, 1].

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927).

    Example:
        >>> [round(end, 3) for end in wilson(81, 263)]
        [0.255, 0.366]
    """
    center = (successes + _Z * _Z / 2) / (count + _Z * _Z)
    half = _Z / (count + _Z * _Z) * math.sqrt(successes * (count - successes) / count + _Z * _Z / 4)
    return max(0.0, center - half), min(1.0, center + half)


def crossing(points: Sequence[tuple[float, float]], goal: float) -> float:
    """Returns the point at which a curve first falls below a goal, by interpolating `log y` over `log x`.

    Args:
        points: pairs `(x, y)` of positive numbers, `x` ascending.
        goal: a positive number.

    Returns:
        The abscissa; infinite if no point lies below the goal, or for a single point. A curve that begins below
        the goal is extrapolated backward from its first two points.

    Example:
        >>> round(crossing([(1, 1.0), (10, 0.1), (100, 0.01)], 0.05), 6)
        20.0
    """
    below = next((i for i, (_, y) in enumerate(points) if y < goal), None)
    if below is None or len(points) < 2:
        return math.inf
    (x0, y0), (x1, y1) = points[max(below - 1, 0)], points[max(below, 1)]
    share = (math.log(y0) - math.log(goal)) / (math.log(y0) - math.log(y1)) if y1 < y0 else 0.5
    return math.exp(math.log(x0) + share * (math.log(x1) - math.log(x0)))


def loglog_slope(x: Float[np.ndarray, "points"], y: Float[np.ndarray, "points"]) -> float:
    """Returns the least-squares slope of `log y` over `log x`."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def bootstrap_slope(
    x: Float[np.ndarray, "points"], y: Float[np.ndarray, "seeds points"], seed: int, resamples: int = 2000
) -> tuple[float, tuple[float, float]]:
    """Returns the slope of the geometric mean over seeds, with a 95 % percentile bootstrap interval over the seeds.

    Args:
        x: abscissas, shape `(points,)`.
        y: positive values, one row per seed, shape `(seeds, points)`.
        seed: random seed of the bootstrap.
        resamples: number of bootstrap samples.

    Returns:
        The slope and the interval `(low, high)`.
    """
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(y), size=(resamples, len(y)))
    slopes = np.array([loglog_slope(x, row) for row in y])  # linear in log y: the slope of the mean is the mean slope
    low, high = np.quantile(slopes[draws].mean(axis=1), [0.025, 0.975])
    return float(slopes.mean()), (float(low), float(high))


def spread(y: Float[np.ndarray, "seeds points"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean over seeds with its 95 % normal interval: `(mean, low, high)`, each of shape `(points,)`."""
    mean = y.mean(axis=0)
    half = 1.96 * y.std(axis=0, ddof=1) / np.sqrt(len(y))
    return mean, mean - half, mean + half


def bootstrap_independent_slope(
    x: Float[np.ndarray, "points"], y: Float[np.ndarray, "seeds points"], seed: int, resamples: int = 2000
) -> tuple[float, tuple[float, float]]:
    """Returns the slope and interval of `bootstrap_slope` for independent points, resampling the seeds of each point.

    Args:
        x: abscissas, shape `(points,)`.
        y: positive values, shape `(seeds, points)`; each column has its own independent seeds.
        seed: random seed of the bootstrap.
        resamples: number of bootstrap samples.

    Returns:
        The slope and the interval `(low, high)`.
    """
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(y), size=(resamples, *y.shape))
    means = np.take_along_axis(np.log(y)[None], draws, axis=1).mean(axis=1)
    centered = np.log(x) - np.log(x).mean()
    slopes = means @ centered / (centered @ centered)
    low, high = np.quantile(slopes, [0.025, 0.975])
    return loglog_slope(x, np.exp(np.log(y).mean(axis=0))), (float(low), float(high))
