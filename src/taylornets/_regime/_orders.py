"""What each order contributes to a movement, in double precision on the host: outputs are small beside what made them."""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

_LISTED = 6  # rows in a message


@dataclass(frozen=True)
class Orders:
    """A movement `M` between two ends and the Taylor terms in it. Ratios have an entry for each order from 1 on.

    Attributes:
        terms: orders 0 to `max_order`, shape `(max_order + 1, n, ...)`; NaN from the first order on that is not finite.
        last: the outputs at the end, shape `(n, ...)`.
        movement: `M`, shape `(n, ...)`.
        still: whether there is nothing to explain: `M` is zero, not finite, or rounding; then ratios are NaN.
        share: `⟨f_k, M⟩/‖M‖²`.
        error: `‖M − S_k‖/‖M‖`, with the sum `S_k` of the terms 1 to k.
        term: `‖f_k‖/‖M‖`.
        reason: which order is not finite for which inputs; empty where all are finite.
    """

    terms: np.ndarray
    last: np.ndarray
    movement: np.ndarray
    still: bool
    share: tuple[float, ...]
    error: tuple[float, ...]
    term: tuple[float, ...]
    reason: str

    @property
    def size(self) -> float:
        """`‖M‖`."""
        return float(np.linalg.norm(self.movement))

    @property
    def nearest(self) -> float:
        """The smallest distance of a Taylor model, `‖M − S_k‖`; infinite without any."""
        return min((e * self.size for e in self.error if not math.isnan(e)), default=math.inf)

    def explained(self, threshold: float) -> bool:
        """Whether some order explains a given part of the movement's square."""
        return any(1 - e**2 >= threshold for e in self.error)

    def part(self, outputs: np.ndarray) -> float:
        """`⟨outputs, M⟩/‖M‖²`."""
        return math.nan if self.still else float(np.sum(outputs * self.movement)) / self.size**2


def measured(first: np.ndarray, terms: np.ndarray, last: np.ndarray, unit: float, threshold: float) -> Orders:
    """The contributions of the orders.

    Args:
        first: the outputs at the initialization, of the same program as `last`.
        terms: the Taylor terms of orders 0 to `max_order`.
        last: the outputs at the end.
        unit: of rounding.
        threshold: the part of the movement that an order must explain.
    """
    wrong = np.asarray(~np.all(np.isfinite(terms.reshape(*terms.shape[:2], -1)), axis=2))  # by order and input
    highest = int(np.argmax(np.any(wrong, axis=1))) if wrong.any() else len(terms)
    # The term of order 0 is the value of the model's own program: that of the series may be rounded otherwise.
    terms = np.concatenate([first[None], terms[1:highest], np.full_like(terms[max(highest, 1) :], math.nan)])
    movement = last - first
    size = float(np.linalg.norm(movement))
    sums = np.cumsum(terms[1:], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = [float(np.divide(np.linalg.norm(movement - s), size)) for s in sums]
    # What a Taylor model explains is no rounding, however small it is: noise does not follow derivatives.
    explained = any(1 - e**2 >= threshold for e in error)
    still = not math.isfinite(size) or not (explained or size > unit * float(np.linalg.norm(first)))
    nothing = (math.nan,) * len(sums)
    found = Orders(terms, last, movement, still, nothing, nothing, nothing, _not_finite(highest, wrong[highest:]))
    if still:
        return found
    share = tuple(found.part(term) for term in terms[1:])
    norms = tuple(float(np.linalg.norm(term)) / size for term in terms[1:])
    return Orders(terms, last, movement, still, share, tuple(error), norms, found.reason)


def _not_finite(order: int, wrong: np.ndarray) -> str:
    if not len(wrong):
        return ""
    rows = np.flatnonzero(wrong[0])
    listed = ", ".join(map(str, rows[:_LISTED])) + (", ..." if len(rows) > _LISTED else "")
    inputs = f"{len(rows)} of {wrong.shape[1]} inputs (row{'s' if len(rows) > 1 else ''} {listed})"
    return f"order {order} is not finite at the initialization for {inputs}"


def double(leaf: Any) -> np.ndarray:
    """A leaf in double precision on the host, whatever type of float it has."""
    return np.asarray(leaf).astype(np.complex128 if jnp.iscomplexobj(leaf) else np.float64)
