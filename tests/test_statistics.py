"""Intervals, crossings and exponents, on data with known answers."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from taylornets import statistics

X = 2.0 ** np.arange(4, 10)


def test_wilson_interval_of_a_textbook():
    # Newcombe (1998): 81 of 263, the score method without continuity correction.
    assert statistics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("successes", "count"), [(0, 7), (3, 7), (7, 7), (250, 1000)])
def test_wilson_interval_inverts_the_score_test(successes: int, count: int):
    """Its ends are the probabilities p with |s - p| = z sqrt(p (1 - p) / n)."""
    share, low, high = successes / count, *statistics.wilson(successes, count)

    def excess(p: float) -> float:
        return abs(share - p) - 1.959964 * math.sqrt(p * (1 - p) / count)

    expected = (
        brentq(excess, 1e-15, share - 1e-9, xtol=1e-15) if successes else 0.0,
        brentq(excess, share + 1e-9, 1 - 1e-15, xtol=1e-15) if successes < count else 1.0,
    )
    assert (low, high) == pytest.approx(expected, abs=1e-12)


def test_wilson_interval_covers():
    """Of 4000 binomial draws, 95 % lie in the interval; the test allows 5 standard errors, a false alarm of 1 in 10^6."""
    draws = np.random.default_rng(0).binomial(50, 0.3, size=4000)
    covered = np.mean([low <= 0.3 <= high for low, high in (statistics.wilson(int(k), 50) for k in draws)])
    # The exact coverage of Wilson's interval at n = 50, p = 0.3 is 0.957.
    assert abs(covered - 0.957) < 5 * math.sqrt(0.957 * 0.043 / 4000)


@pytest.mark.parametrize("slope", [-1.0, -0.25, 0.0, 2.0])
def test_slopes_of_power_laws(slope: float):
    y = 3.0 * X**slope
    assert statistics.loglog_slope(X, y) == pytest.approx(slope, abs=1e-12)
    # Seeds that differ by a factor have the same slope: the interval is a point.
    seeds = y * np.array([[1.0], [2.0], [5.0]])
    found, interval = statistics.bootstrap_slope(X, seeds, seed=0)
    assert (found, *interval) == pytest.approx((slope,) * 3, abs=1e-12)


def _noisy(slope: float, spread: float, seed: int) -> np.ndarray:
    return X**slope * np.exp(spread * np.random.default_rng(seed).standard_normal((40, len(X))))


@pytest.mark.parametrize("estimate", [statistics.bootstrap_slope, statistics.bootstrap_independent_slope])
def test_bootstrap_has_the_width_of_the_normal_interval(estimate):
    """For independent normal noise of log y the slope is normal with deviation s / sqrt(n Sxx): both bootstraps find it."""
    y = _noisy(-0.5, 0.3, seed=1)
    found, (low, high) = estimate(X, y, seed=2)
    centered = np.log(X) - np.log(X).mean()
    deviation = 0.3 / math.sqrt(len(y) * centered @ centered)
    assert found == pytest.approx(
        -0.5, abs=4 * deviation
    )  # 4 standard errors: a false alarm of 6 in 10^5, at a fixed seed
    assert (high - low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.25)
    assert low < found < high
    assert found == pytest.approx(statistics.loglog_slope(X, np.exp(np.log(y).mean(axis=0))), abs=1e-12)


def test_bootstrap_is_a_function_of_its_seed():
    y = _noisy(1.0, 0.5, seed=3)
    assert statistics.bootstrap_slope(X, y, seed=4) == statistics.bootstrap_slope(X, y, seed=4)
    assert statistics.bootstrap_slope(X, y, seed=4)[1] != statistics.bootstrap_slope(X, y, seed=5)[1]


def test_a_slope_common_to_a_seed_widens_the_paired_bootstrap_only():
    """Negative control: seeds with slopes of their own are not independent from point to point."""
    slopes = np.random.default_rng(6).normal(-0.5, 0.2, size=30)
    y = X ** slopes[:, None]
    _, (low, high) = statistics.bootstrap_slope(X, y, seed=0)
    assert (high - low) / (2 * 1.96 * slopes.std() / math.sqrt(30)) == pytest.approx(1, abs=0.15)
    resampled = statistics.bootstrap_independent_slope(X, y, seed=0)[1]
    assert resampled[1] - resampled[0] != pytest.approx(high - low, rel=0.15)


def test_spread_is_the_normal_interval():
    y = np.array([[1.0, 5.0], [3.0, 5.0]])
    mean, low, high = statistics.spread(y)
    np.testing.assert_allclose(mean, [2.0, 5.0])
    np.testing.assert_allclose(high - mean, [1.96, 0.0])  # deviation sqrt(2), over sqrt(2)
    np.testing.assert_allclose(mean - low, [1.96, 0.0])


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_crossing_of_a_power_law_is_exact(power: float):
    points = [(float(x), 5.0 / x**power) for x in (1, 2, 7, 40, 100)]
    for goal in (0.3, 0.7, 4.0):
        assert statistics.crossing(points, goal) == pytest.approx((5.0 / goal) ** (1 / power), rel=1e-12)


def test_crossing_before_the_first_point_is_extrapolated():
    points = [(10.0, 0.1), (20.0, 0.05)]
    assert statistics.crossing(points, 0.5) == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize("points", [[], [(1.0, 0.01)], [(1.0, 1.0), (2.0, 0.5)]])
def test_no_crossing_is_infinite(points: list[tuple[float, float]]):
    assert statistics.crossing(points, 0.1) == math.inf


def test_crossing_takes_the_first_of_several():
    points = [(1.0, 1.0), (2.0, 0.05), (3.0, 1.0), (4.0, 0.05)]
    assert 1.0 < statistics.crossing(points, 0.1) < 2.0
