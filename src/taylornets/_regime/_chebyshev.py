"""Taylor coefficients at t = 0 of a function of one variable, from its values at Chebyshev nodes, with error estimates.

Each level interpolates `o(t)` at the `N + 1` extrema `r cos(π i/N)` of a Chebyshev polynomial, on `[−r, r]` with
`r = 1, 1/2, 1/4, ...` (theory 14). With the Chebyshev coefficients `a_j` of `o(r s)`, the term of order k is
`f_k = c_k/r^k`, where `c_k` is the coefficient of `s^k` in `Σ_j a_j T_j(s)`. Two errors are estimated:

- truncation: the coefficients beyond `N`, continued geometrically, each times `j^k/k!` (the coefficient of `s^k` in `T_j` is
  `T_j^(k)(0)/k! ≤ j^k/k!`), twice because aliasing folds them onto lower ones;
- noise: rounding of the values, or whatever keeps the last coefficients from decaying (a kink), times the Euclidean norm of
  the row of the linear map from values to `c_k`.

A smaller `r` reduces the first and multiplies the second by `r^(−k)`; each order takes the level with the smallest sum.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev

DEGREE = 16  # of the interpolant; a level has this many nodes beyond t = 0, which all levels share
LEVELS = 7  # the last interval is [−1/64, 1/64],
MORE_LEVELS = 3  # or down to 1/512 for an order 1 that is not yet accurate (many kinks)
UNRELIABLE = 0.05  # estimated error of a term from which on no value is reported
_LAST = 4  # coefficients that measure the tail; an even number, so that odd and even functions are measured
_FIRST = 0.01  # error of order 1 that needs no further levels
_GROWTH = 30.0  # heuristic: a level this much worse than the best one ends the search


@dataclass(frozen=True)
class Level:
    """The interpolant on `[−r, r]`.

    Attributes:
        radius: `r`.
        coefficients: `a_j`, shape `(DEGREE + 1, ...)`.
        error: estimate of the norm of the interpolation error on the interval.
    """

    radius: float
    coefficients: np.ndarray
    error: float

    def at(self, t: float) -> np.ndarray:
        """Evaluates the interpolant."""
        basis = chebyshev.chebvander(np.asarray([t / self.radius]), DEGREE)[0]
        return np.tensordot(basis, self.coefficients, 1)


@dataclass(frozen=True)
class Coefficients:
    """Taylor terms from evaluations.

    Attributes:
        terms: orders 0 to `max_order`, shape `(max_order + 1, ...)`.
        error: estimated relative error of the terms of order 1 and higher: relative to the norm of the term, or to the scale
            for smaller terms.
        absolute: estimated norm of the error of the same terms.
        levels: the interpolants, the largest interval first.
    """

    terms: np.ndarray
    error: tuple[float, ...]
    absolute: tuple[float, ...]
    levels: tuple[Level, ...]


@cache
def _maps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, the map from values to Chebyshev coefficients, and the map from these to monomial coefficients."""
    i = np.arange(DEGREE + 1)
    nodes = np.cos(np.pi * i / DEGREE)
    nodes[DEGREE // 2] = 0.0
    values = np.linalg.inv(chebyshev.chebvander(nodes, DEGREE))
    monomial = np.zeros((DEGREE + 1, DEGREE + 1))
    for j in i:
        monomial[: j + 1, j] = chebyshev.cheb2poly(np.eye(DEGREE + 1)[j])[: j + 1]
    return nodes, values, monomial


def nodes_of(level: int) -> list[float]:
    """The nodes of a level without t = 0, from the largest to the smallest."""
    return [float(t) * 2.0**-level for t in _maps()[0] if t]


def taylor(
    evaluate: Callable[[float], np.ndarray],
    order: int,
    unit: float,
    target: float,
    noise: float,
    scale: float,
    levels: int,
    needed: int | None = None,
) -> Coefficients:
    """Computes Taylor terms at t = 0.

    Args:
        evaluate: the function, returns float64 arrays of one shape.
        order: the highest order, at most `DEGREE // 2`.
        unit: machine epsilon of the values.
        target: relative error at which an order is accurate enough.
        noise: norm of the irreproducible part of a value.
        scale: norm below which a term has no relative error of its own.
        levels: largest number of levels.
        needed: the highest order whose accuracy calls for further levels, by default `order`.
    """
    nodes, to_coefficients, monomial = _maps()
    found: list[Level] = []
    best = [math.inf] * order
    absolute = [math.inf] * order
    terms = [np.zeros(0)] * order
    for number in range(levels):
        if number >= LEVELS and best[0] <= _FIRST:
            break
        r = 2.0**-number
        values = np.stack([evaluate(float(t) * r) for t in nodes])
        a = np.tensordot(to_coefficients, values, 1)
        c = np.tensordot(monomial, a, 1)
        size = max(float(np.linalg.norm(value)) for value in values)
        floor = max(2 * unit * size, noise)
        tail = Tail.of([float(np.linalg.norm(part)) for part in a], floor)
        found.append(Level(r, a, tail.beyond(lambda _: 1.0, DEGREE) + tail.noise))
        current: list[float] = []
        for k in range(1, order + 1):
            row = float(np.linalg.norm((monomial @ to_coefficients)[k]))
            wrong = 2 * tail.beyond(lambda j, k=k: j**k / math.factorial(k), DEGREE) + tail.noise * row
            own = max(float(np.linalg.norm(c[k])), scale * r**k)
            error = wrong / own if own > 0 and math.isfinite(wrong) else math.inf
            current.append(error)
            if error < best[k - 1] or not terms[k - 1].size:
                best[k - 1], absolute[k - 1], terms[k - 1] = error, wrong / r**k, c[k] / r**k
        pairs = list(zip(current, best, strict=True))[:needed]
        done = all(old <= target for _, old in pairs)
        worse = number > 1 and all(now > _GROWTH * old or old <= target for now, old in pairs)
        if done or worse:
            break
    zero = evaluate(0.0)
    return Coefficients(np.stack([zero, *terms]), tuple(best), tuple(absolute), tuple(found))


@dataclass(frozen=True)
class Tail:
    """The Chebyshev coefficients beyond the last one.

    Attributes:
        first: norm of the coefficients that follow.
        ratio: their geometric decay.
        noise: norm of the error of a value.
    """

    first: float
    ratio: float
    noise: float

    @classmethod
    def of(cls, norms: list[float], floor: float) -> "Tail":
        last, before = max(norms[-_LAST:]), max(norms[-3 * _LAST : -_LAST])
        if not math.isfinite(last) or not math.isfinite(before):
            return cls(math.inf, 0.0, math.inf)
        if last <= floor:
            return cls(0.0, 0.0, floor)
        # From the middle of one group to that of the other; a heuristic that errs to the safe side for ratios below one.
        ratio = (last / before) ** (1 / (2 * _LAST)) if before else 1.0
        return cls(last, ratio, max(floor, last))

    def beyond(self, weight: Callable[[int], float], degree: int) -> float:
        """`Σ_{j > N} |a_j| weight(j)` of the continued coefficients, `N` the degree; infinite without decay."""
        if not self.first:
            return 0.0
        if self.ratio >= 1 or not math.isfinite(self.first):
            return math.inf
        total, part, j = 0.0, self.first, degree
        while j < 100_000:
            j, part = j + 1, part * self.ratio
            step = part * weight(j)
            total += step
            if step <= 1e-3 * total * (1 - self.ratio):
                return total
        return math.inf
