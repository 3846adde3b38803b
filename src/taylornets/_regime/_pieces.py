"""Descriptions of the output change that exist where the series at the initialization does not converge (theory 14).

The tangent at the middle of the line, and the smallest number of equal pieces of the line on each of which order 1 or 2,
expanded at the beginning of the piece, explains the change along the piece.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from taylornets._regime._orders import Orders

MOST = 16  # pieces


class Pieces:
    """Expansions at points of the line, computed once each.

    Args:
        local: function of t that returns the terms of orders 0 to 2 in `s` of the outputs at `t + s`, shape `(3, n, ...)`.
        unit: unit roundoff of the outputs.
        orders: the output change and the terms at the initialization.
        outputs: the outputs at `t`, shape `(n, ...)`; by default those of `local`.
    """

    def __init__(
        self,
        local: Callable[[float], np.ndarray],
        unit: float,
        orders: Orders,
        outputs: Callable[[float], np.ndarray] | None = None,
    ):
        self._local, self._unit, self._orders, self._outputs = local, unit, orders, outputs
        self._known: dict[Fraction, np.ndarray] = {}
        self._values: dict[Fraction, np.ndarray] = {}

    def midpoint(self) -> float:
        """`1 − ‖M − D‖²/‖M‖²`, where `D` is the derivative along the line at its middle."""
        return (
            1 - float(np.linalg.norm(self._orders.movement - self._at(Fraction(1, 2))[1])) ** 2 / self._orders.size**2
        )

    def fewest(self, order: int, threshold: float) -> int | None:
        """The smallest number of equal pieces, at most 16, on each of which `order` explains the fraction `threshold`.

        A number that fails is taken to rule out all smaller ones, so that not all numbers are examined. One expansion rejects
        most numbers: the first piece examined is the one that contains the last failure.

        Args:
            order: 1 or 2.
            threshold: fraction of the squared change along a piece.
        """
        failed, passed, count, worst = 0, MOST + 1, 1, Fraction(0)
        while failed + 1 < passed:
            wrong = self._failure(count, order, threshold, worst)
            if wrong is None:
                # Beyond one that fails, numbers pass at the price of an expansion per piece: the next ones are close.
                passed, count = count, max(failed + 1, count - 1)
                continue
            failed, worst, left = count, *wrong
            if failed == 1 and self._unexplained(int(worst * MOST), MOST, order) > 1 - threshold:
                return None  # one piece of the largest number fails
            # The relative error of a short piece is proportional to its length to the power of the order. Longer pieces err
            # more, so that this estimate is too large, and half of the way to it is taken.
            guess = (
                failed * min(2.0, (left / (1 - threshold)) ** (1 / (2 * order))) if math.isfinite(left) else 2 * failed
            )
            count = min(max(failed + 1, int(failed + guess) // 2), passed - 1)
        return None if passed > MOST else passed

    def _failure(self, count: int, order: int, threshold: float, worst: Fraction) -> tuple[Fraction, float] | None:
        """The middle of the first piece that `order` does not explain, with the fraction left over; None if there is none."""
        first = int(worst * count)
        rest = sorted(set(range(count)) - {first}, key=lambda i: abs(i - first))
        for i in (first, *rest):
            left = self._unexplained(i, count, order)
            if not 1 - left >= threshold:  # also for NaN
                return Fraction(2 * i + 1, 2 * count), left
        return None

    def _unexplained(self, i: int, count: int, order: int) -> float:
        """The fraction of the squared change along a piece that `order` does not explain; 0 if nothing changes."""
        here, after = self._at(Fraction(i, count)), Fraction(i + 1, count)
        last = self._orders.last if after == 1 else self._value(after)
        movement, size = last - here[0], 1 / count
        model = sum(size**k * here[k] for k in range(1, order + 1))
        whole = float(np.linalg.norm(movement))
        if whole <= self._unit * float(np.linalg.norm(last)):
            return 0.0  # the outputs stand still, up to rounding
        return (float(np.linalg.norm(movement - model)) / whole) ** 2

    def _at(self, t: Fraction) -> np.ndarray:
        if t not in self._known:
            terms = self._orders.terms
            whole = t == 0 and len(terms) > 2 and np.isfinite(terms[2]).all()
            self._known[t] = terms[:3] if whole else self._local(float(t))
        return self._known[t]

    def _value(self, t: Fraction) -> np.ndarray:
        """The outputs at a point, which cost less than an expansion."""
        if t in self._known:
            return self._known[t][0]
        if t not in self._values:
            self._values[t] = self._outputs(float(t)) if self._outputs is not None else self._at(t)[0]
        return self._values[t]
