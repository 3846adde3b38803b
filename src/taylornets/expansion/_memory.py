"""Rejects orders that do not fit into memory, using the counts of `taylornets.series`."""

from typing import Any

from taylornets._checks import ArgumentError
from taylornets.series import live_bytes, memory_limit


def refuse_too_large(jaxpr: Any, order: int, limit: float | None = None) -> None:
    """Raises if the coefficients of the given order, by an optimistic count from shapes, exceed the memory.

    Args:
        jaxpr: the open program of the model.
        order: the order.
        limit: available bytes; by default the memory of the device. `math.inf` disables the check.

    Raises:
        ArgumentError: naming the degree, before anything is allocated.
    """
    if order < 2:
        return
    limit = memory_limit() if limit is None else limit
    count = live_bytes(jaxpr, order + 1)
    if count > limit:
        raise ArgumentError(
            "degree",
            f"an order whose coefficients fit into the {limit / 1e9:.3g} GB of this device",
            f"order {order}, which requires about {count / 1e9:.3g} GB",
            f"Order 1 requires about {live_bytes(jaxpr, 2) / 1e9:.3g} GB. Lower the degree, split the batch, or pass "
            "max_bytes=... to override.",
        )
