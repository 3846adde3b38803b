"""Refusing an order that cannot fit into memory. What counts lives in the interpreter's room."""

from typing import Any

from taylornets._checks import ArgumentError
from taylornets.series import live_bytes, memory_limit


def refuse_too_large(jaxpr: Any, order: int, limit: float | None = None) -> None:
    """Raises when the order's coefficients alone, by an optimistic count from shapes, are beyond the memory.

    Args:
        jaxpr: the open program of the model.
        order: the order.
        limit: bytes that are there; the memory of the device unless given, and `math.inf` lets everything pass.

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
            f"order {order} with about {count / 1e9:.3g} GB alive at once",
            f"Order 1 takes about {live_bytes(jaxpr, 2) / 1e9:.3g} GB. Lower the degree, split the batch, or pass "
            "max_bytes=... to override.",
        )
