"""The PAC-Bayes bound of a posterior `N(ν T, ·)` as a function of the scale `ν`, and its minimum (theory 13)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from taylornets.generalization._gibbs import MeanLoss
from taylornets.generalization._kl import kl_upper, log_xi

THRESHOLDS = (0.0, 1.0, 1.6)
_GRID = 30
_LARGEST = 5.0  # largest divergence per counted row that is searched: a bound of 1 - exp(-5)
_ACCURACY = 1e-7
_ROUNDING = 1e-13


class Divergence(NamedTuple):
    """`KL(ν) = (ν² second - 2 ν first + zeroth)/2`, between Gaussians of equal covariance with means `ν T` and `T_P`."""

    second: float
    first: float = 0.0
    zeroth: float = 0.0

    def __call__(self, scale: float) -> float:
        """Evaluates the divergence, plus the rounding of its terms, which cancel for informed priors."""
        terms = (scale**2 * self.second, -2 * scale * self.first, self.zeroth)
        return max(0.0, sum(terms) / 2) + (_ROUNDING * sum(map(abs, terms)) if self.zeroth > 0 else 0.0)


class Minimum(NamedTuple):
    """A bound at its best scale.

    Attributes:
        bound: the bound on the Gibbs loss of the threshold.
        scale: the scale of the posterior mean.
        loss: the empirical loss.
        kl: the divergence, in nats.
    """

    bound: float
    scale: float
    loss: float
    kl: float


# Maps an empirical loss and a divergence to the bound on the true loss.
Inequality = Callable[[float, float], float]


def seeger(rows: int, delta: float) -> Inequality:
    """Returns `kl^{-1}(L̂ | (KL + ln ξ(n) + ln 1/δ)/n)` (Seeger; Maurer), which holds for all posteriors at once."""
    constant = log_xi(rows) - math.log(delta)
    return lambda loss, kl: kl_upper(loss, (kl + constant) / rows)


def catoni(rows: int, delta: float, temperature: float) -> Inequality:
    """Returns `(1 - exp(-C L̂ - (KL + ln 1/δ)/n))/(1 - e^{-C})`, for a `C` fixed beforehand."""

    def bound(loss: float, kl: float) -> float:
        return min(1.0, -math.expm1(-temperature * loss - (kl - math.log(delta)) / rows) / -math.expm1(-temperature))

    return bound


def minimized(loss: MeanLoss, kl: Divergence, inequality: Inequality, rows: int, threshold: float) -> Minimum:
    """Minimizes the bound over the scale: a logarithmic grid, then Brent's method between the neighbors of the best point."""

    def bound(scale: float) -> float:
        return inequality(min(1.0, loss(scale, threshold)), kl(scale))

    center = kl.first / kl.second if kl.second > 0 else 0.0
    largest = max(center, 0.0) + math.sqrt(2 * _LARGEST * rows / kl.second)
    grid = np.concatenate([[0.0], largest * np.logspace(-4, 0, _GRID)])
    if center > 0:
        steps = np.concatenate([[0.0], np.logspace(-2, 1, 7)]) / math.sqrt(kl.second)
        near = np.concatenate([center - steps, center + steps])
        grid = np.unique(np.concatenate([grid, near[near > 0]]))
    values = [bound(float(scale)) for scale in grid]
    best = int(np.argmin(values))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(
        bound, bounds=(low, high), method="bounded", options={"xatol": _ACCURACY * max(high, 1e-300)}
    )
    scale = float(found.x) if found.fun <= values[best] else float(grid[best])
    return Minimum(bound(scale), scale, loss(scale, threshold), kl(scale))
