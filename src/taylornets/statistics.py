"""Fits and intervals that several claims share."""

import numpy as np
from jaxtyping import Float


def loglog_slope(x: Float[np.ndarray, "points"], y: Float[np.ndarray, "points"]) -> float:
    """The least-squares slope of `log y` over `log x`."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def bootstrap_slope(
    x: Float[np.ndarray, "points"], y: Float[np.ndarray, "seeds points"], seed: int, resamples: int = 2000
) -> tuple[float, tuple[float, float]]:
    """Slope of the geometric mean over seeds, with a 95 % percentile interval from resampling the seeds.

    Args:
        x: abscissas, shape `(points,)`.
        y: one row a seed, shape `(seeds, points)`, positive.
        seed: of the resampling.
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
    """Mean over seeds and a 95 % normal interval of the mean: `(mean, low, high)`, each of shape `(points,)`."""
    mean = y.mean(axis=0)
    half = 1.96 * y.std(axis=0, ddof=1) / np.sqrt(len(y))
    return mean, mean - half, mean + half


def bootstrap_independent_slope(
    x: Float[np.ndarray, "points"], y: Float[np.ndarray, "seeds points"], seed: int, resamples: int = 2000
) -> tuple[float, tuple[float, float]]:
    """As `bootstrap_slope`, for data that are independent from point to point: each point resamples its own seeds.

    Args:
        x: abscissas, shape `(points,)`.
        y: one row a seed, shape `(seeds, points)`, positive; rows mean nothing across points.
        seed: of the resampling.
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
