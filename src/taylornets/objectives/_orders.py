"""Sets of orders, and one penalty and one power for each (theory 12)."""

from typing import Any

import numpy as np

from taylornets import _checks

SUM, ORDERS = "linear+quadratic", (1, 2)
RATIO = 100.0
"""Default `λ1/λ2`: validation over 10, 100 and 1000 chose it in 7 of 8 runs (theory 12)."""


def orders_of(model: Any) -> tuple[int, ...] | None:
    """Returns the orders of a sum, ascending; None for a model that is not a sum.

    Raises:
        ArgumentError: for one order, an order given twice, or orders that are not ascending.
    """
    if isinstance(model, str):
        return ORDERS if model == SUM else None
    if not isinstance(model, tuple | list):
        return None
    orders = tuple(_checks.order_of("model", order, 1) for order in model)
    if len(set(orders)) < len(orders):
        raise _checks.ArgumentError("model", "each order once", str(orders), f"Use (1, 2) or {SUM!r}.")
    if list(orders) != sorted(orders):
        advice = "Penalties, powers and displacements then have the same order."
        raise _checks.ArgumentError("model", "ascending orders", str(orders), advice)
    if orders != ORDERS:
        advice = "For a single order, pass the integer. Sums of other orders have no certificate."
        raise _checks.ArgumentError("model", "the orders (1, 2)", str(orders), advice)
    return orders


def is_sum(model: Any) -> bool:
    """Returns whether the model is a sum of orders; raises like `orders_of`."""
    return orders_of(model) is not None


def listed(value: Any) -> list[Any] | None:
    """Returns the entries of a sequence or of an array with one axis; None for anything else."""
    if isinstance(value, tuple | list):
        return list(value)
    return np.asarray(value).tolist() if not isinstance(value, str) and np.ndim(value) == 1 else None


def plain(penalty: Any) -> float | tuple[float, ...]:
    """Returns a penalty as a float, or several as a tuple of floats."""
    given = listed(penalty)
    return float(penalty) if given is None else tuple(map(float, given))


def strengths(penalty: Any) -> tuple[float, float]:
    """Returns `(λ1, λ2)` from a pair, or from a number `λ2` with `λ1 = 100 λ2`."""
    given = listed(penalty)
    if given is None:
        _checks.positive("penalty", penalty)
        return RATIO * float(penalty), float(penalty)
    if len(given) != 2:
        advice = "One strength for each order, (λ1, λ2)."
        raise _checks.ArgumentError("penalty", "a number or a pair", f"{len(given)} numbers", advice)
    for place, value in enumerate(given):
        _checks.positive(f"penalty[{place}]", value, "A block without a penalty would fit all examples.")
    return float(given[0]), float(given[1])


def quadratic_power(power: Any) -> float:
    """Returns the power of the quadratic block; that of the linear block is 2."""
    given = listed(power)
    if given is None:
        return power
    if len(given) != 2 or given[0] != 2:
        advice = "The linear block is optimized in closed form, which requires the power 2."
        raise _checks.ArgumentError("power", "a number or a pair (2, p)", str(tuple(given)), advice)
    return given[1]
