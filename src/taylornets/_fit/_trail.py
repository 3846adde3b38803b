"""Outputs along a regularization path, extrapolated in `log λ`: often closer to the next solution than the last outputs are.

The dual Newton method starts from those with the larger dual value, which saves 8 to 59 % of its steps (theory 11).
"""

from typing import Any

import numpy as np
from jaxtyping import Array


class Trail:
    """The outputs at the last two penalties, numbers or tuples of numbers."""

    def __init__(self) -> None:
        self._points: list[tuple[float, Array]] = []

    def add(self, penalty: Any, outputs: Array) -> None:
        """Adds the outputs at a penalty."""
        self._points = [*self._points[-1:], (_position(penalty), outputs)]

    def at(self, penalty: Any) -> Array | None:
        """Returns the extrapolated outputs, or None without two different penalties."""
        if len(self._points) < 2 or self._points[0][0] == self._points[1][0]:
            return None
        (first, before), (second, last) = self._points
        return last + (_position(penalty) - second) / (second - first) * (last - before)


def _position(penalty: Any) -> float:
    return float(np.sum(np.log(penalty)))
