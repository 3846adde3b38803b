"""Contributions of the Taylor orders to an output change, computed in float64 on the host to limit cancellation errors."""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from taylornets._checks import host

_LISTED = 6  # rows listed in a message


@dataclass(frozen=True)
class Orders:
    """An output change `M` and its Taylor terms. Ratios have one entry per order, starting at order 1.

    Attributes:
        terms: orders 0 to `max_order`, shape `(max_order + 1, n, ...)`; NaN from the first non-finite order on.
        last: the outputs at the end point, shape `(n, ...)`.
        movement: `M`, shape `(n, ...)`.
        still: whether `M` is zero, not finite, or at the level of rounding; all ratios are then NaN.
        share: `⟨f_k, M⟩/‖M‖²`.
        error: `‖M − S_k‖/‖M‖`, where `S_k` is the sum of the terms 1 to k.
        term: `‖f_k‖/‖M‖`.
        reason: the first non-finite order and the affected inputs; empty if all terms are finite.
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
        """The smallest approximation error `‖M − S_k‖` over the orders; infinite if none is finite."""
        return min((e * self.size for e in self.error if not math.isnan(e)), default=math.inf)

    def explained(self, threshold: float) -> bool:
        """Whether some order explains at least the fraction `threshold` of `‖M‖²`."""
        return any(1 - e**2 >= threshold for e in self.error)

    def part(self, outputs: np.ndarray) -> float:
        """`⟨outputs, M⟩/‖M‖²`."""
        return math.nan if self.still else float(np.sum(outputs * self.movement)) / self.size**2


def measured(first: np.ndarray, terms: np.ndarray, last: np.ndarray, unit: float, threshold: float) -> Orders:
    """Computes the contributions of the orders.

    Args:
        first: the outputs at the initialization, computed by the same program as `last`.
        terms: the Taylor terms of orders 0 to `max_order`.
        last: the outputs at the end point.
        unit: unit roundoff of the computation.
        threshold: the fraction of `‖M‖²` that an order must explain.
    """
    wrong = np.asarray(~np.all(np.isfinite(terms.reshape(*terms.shape[:2], -1)), axis=2))  # by order and input
    highest = finite_orders(terms) + 1
    # The term of order 0 is taken from the model's own program, since the series may round it differently.
    terms = np.concatenate([first[None], terms[1:highest], np.full_like(terms[max(highest, 1) :], math.nan)])
    movement = last - first
    size = float(np.linalg.norm(movement))
    sums = np.cumsum(terms[1:], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = [float(np.divide(np.linalg.norm(movement - s), size)) for s in sums]
    # A change that a Taylor model explains is not rounding, however small: noise does not follow derivatives.
    explained = any(1 - e**2 >= threshold for e in error)
    still = not math.isfinite(size) or not (explained or size > unit * float(np.linalg.norm(first)))
    nothing = (math.nan,) * len(sums)
    found = Orders(terms, last, movement, still, nothing, nothing, nothing, _not_finite(highest, wrong[highest:]))
    if still:
        return found
    share = tuple(found.part(term) for term in terms[1:])
    norms = tuple(float(np.linalg.norm(term)) / size for term in terms[1:])
    return Orders(terms, last, movement, still, share, tuple(error), norms, found.reason)


def finite_orders(terms: np.ndarray) -> int:
    """The last order up to which all terms are finite, at most K; −1 if order 0 is not."""
    finite = np.isfinite(terms.reshape(len(terms), -1)).all(axis=1)
    return len(terms) - 1 if finite.all() else int(np.argmin(finite)) - 1


def _not_finite(order: int, wrong: np.ndarray) -> str:
    if not len(wrong):
        return ""
    rows = np.flatnonzero(wrong[0])
    listed = ", ".join(map(str, rows[:_LISTED])) + (", ..." if len(rows) > _LISTED else "")
    inputs = f"{len(rows)} of {wrong.shape[1]} inputs (row{'s' if len(rows) > 1 else ''} {listed})"
    return f"order {order} is not finite at the initialization for {inputs}"


def double(leaf: Any) -> np.ndarray:
    """Converts a leaf of any floating dtype to float64 (or complex128) on the host."""
    return host(leaf).astype(np.complex128 if jnp.iscomplexobj(leaf) else np.float64)
