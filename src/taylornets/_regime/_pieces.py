"""Descriptions of the output change that exist where the series at the initialization does not converge (theory 14).

The tangent at the middle of the line, and the smallest number of equal pieces of the line on each of which order 1 or 2,
expanded at the beginning of the piece, explains the change along the piece.
"""

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from taylornets._regime._orders import Orders

MOST_PIECES = 16  # pieces


class Pieces:
    """Expansions at points of the line, computed once each.

    Args:
        local: function of t that returns the terms of orders 0 to 2 in `s` of the outputs at `t + s`, shape `(3, n, ...)`.
        unit: unit roundoff of the outputs.
        orders: the output change and the terms at the initialization.
    """

    def __init__(self, local: Callable[[float], np.ndarray], unit: float, orders: Orders):
        self._local, self._unit, self._orders = local, unit, orders
        self._known: dict[Fraction, np.ndarray] = {}

    def midpoint(self) -> float:
        """`1 − ‖M − D‖²/‖M‖²`, where `D` is the derivative along the line at its middle."""
        return (
            1 - float(np.linalg.norm(self._orders.movement - self._at(Fraction(1, 2))[1])) ** 2 / self._orders.size**2
        )

    def fewest(self, order: int, threshold: float) -> int | None:
        """The smallest number of equal pieces, at most 16, on each of which `order` explains the fraction `threshold`.

        The first piece examined is the one that contains the last failure, so that most numbers are rejected by one expansion.

        Args:
            order: 1 or 2.
            threshold: fraction of the squared change along a piece.
        """
        worst = Fraction(0)
        for count in range(1, MOST_PIECES + 1):
            first = int(worst * count)
            rest = sorted(set(range(count)) - {first}, key=lambda i: abs(i - first))
            failed = next((i for i in (first, *rest) if not self._explains(i, count, order, threshold)), None)
            if failed is None:
                return count
            worst = Fraction(2 * failed + 1, 2 * count)
        return None

    def _explains(self, i: int, count: int, order: int, threshold: float) -> bool:
        here, after = self._at(Fraction(i, count)), Fraction(i + 1, count)
        last = self._orders.last if after == 1 else self._at(after)[0]
        movement, size = last - here[0], 1 / count
        model = sum(size**k * here[k] for k in range(1, order + 1))
        whole = float(np.linalg.norm(movement))
        if whole <= self._unit * float(np.linalg.norm(last)):
            return True  # the outputs stand still, up to rounding
        return 1 - (float(np.linalg.norm(movement - model)) / whole) ** 2 >= threshold  # false for NaN

    def _at(self, t: Fraction) -> np.ndarray:
        if t not in self._known:
            terms = self._orders.terms
            whole = t == 0 and len(terms) > 2 and np.isfinite(terms[2]).all()
            self._known[t] = terms[:3] if whole else self._local(float(t))
        return self._known[t]
