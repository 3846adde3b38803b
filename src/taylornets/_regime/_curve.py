"""Derivatives of the outputs along the line from 0 to 1, from values at Chebyshev nodes, with error estimates (theory 14)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev

from taylornets._regime._chebyshev import UNRELIABLE, Tail
from taylornets._regime._orders import Orders
from taylornets._regime._pieces import MOST_PIECES
from taylornets._regime._values import Values

DEGREES = (16, 32, 64)  # of the interpolant; the nodes of one belong to the next
_ROUNDING = 4  # error of a value in units of its rounding: that of the model, and of t
_SLOPES = 1e-3  # accuracy, relative to the output change, at which no further evaluations are needed


def within(values: Values, orders: Orders) -> tuple[Callable[[float], np.ndarray] | None, float]:
    """The terms of orders 0 to 2 at points of the line by interpolation, or None, and the estimated error.

    The error is relative to the output change, at the point nearest to an end that `Pieces` asks for; that of order 2 counts
    half, since pieces are at most half as long as the line.
    """
    known = len(orders.terms) > 2 and np.isfinite(orders.terms[2]).all()
    nearest, curve, error = 1 / MOST_PIECES if known else 0.0, None, math.inf
    for degree in DEGREES:
        curve = Curve.through(values, degree, values.unit, values.noise)
        zero, one, two = curve.error(nearest)
        before, error = error, max(zero, one, two / 2) / orders.size
        if error <= _SLOPES or not error < before:  # the second: kinks, which no degree resolves
            break
    return (curve.local if curve is not None and error <= UNRELIABLE else None), error


@dataclass(frozen=True)
class Curve:
    """An interpolant on `[0, 1]`.

    Attributes:
        coefficients: `a_j` of the Chebyshev polynomials in `2 t − 1`, shape `(N + 1, ...)`.
        tail: the coefficients that follow.
    """

    coefficients: np.ndarray
    tail: Tail

    @classmethod
    def through(cls, evaluate: Callable[[float], np.ndarray], degree: int, unit: float, noise: float) -> "Curve":
        """Interpolates at `degree + 1` Chebyshev nodes; `unit` and `noise` as in `taylor`."""
        nodes, to_coefficients = _unit_nodes(degree)
        values = np.stack([evaluate(float(t)) for t in nodes])
        a = np.tensordot(to_coefficients, values, 1)
        floor = max(_ROUNDING * unit * max(float(np.linalg.norm(value)) for value in values), noise)
        return cls(a, Tail.of([float(np.linalg.norm(part)) for part in a], floor))

    def local(self, t: float) -> np.ndarray:
        """The terms of orders 0 to 2 in `s` at `t + s`, shape `(3, ...)`."""
        return np.tensordot(self._rows(t), self.coefficients, 1)

    def error(self, t: float) -> tuple[float, float, float]:
        """Estimated norms of the errors of `local(t)`."""
        degree, square = len(self.coefficients) - 1, 1 - (2 * t - 1) ** 2
        # The norm of the map from values to coefficients is below 1.
        noise = self.tail.noise * np.linalg.norm(self._rows(t), axis=1)

        def slope(j: int) -> float:  # bounds of T_j' at the ends and within
            return 2 * min(j**2, j / math.sqrt(square) if square else math.inf)

        def bend(j: int) -> float:  # of T_j''/2
            return 4 * min(j**2 * (j**2 - 1) / 6, (j**2 / square + j / square**1.5) / 2 if square else math.inf)

        found = [2 * self.tail.beyond(weight, degree) for weight in (lambda _: 1.0, slope, bend)]
        zero, one, two = (float(a + b) for a, b in zip(found, noise, strict=True))
        return zero, one, two

    def _rows(self, t: float) -> np.ndarray:
        """The linear map from coefficients to the terms of orders 0 to 2 at t."""
        degree, x = len(self.coefficients) - 1, np.asarray([2 * t - 1])
        found = [
            (2.0**k / math.factorial(k))
            * chebyshev.chebvander(x, degree - k)[0]
            @ chebyshev.chebder(np.eye(degree + 1), k)
            for k in range(3)
        ]
        return np.stack(found)


@cache
def _unit_nodes(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes on `[0, 1]` and the map from values to Chebyshev coefficients, a discrete cosine transform."""
    i = np.arange(degree + 1)
    ends = np.where((i == 0) | (i == degree), 0.5, 1.0)
    transform = 2 / degree * np.cos(np.pi * np.outer(i, i) / degree) * ends * ends[:, None]
    nodes = np.cos(np.pi * i / degree)
    nodes[degree // 2] = 0.0
    return (nodes + 1) / 2, transform
