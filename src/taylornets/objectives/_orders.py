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
    if len(orders) < 2:
        raise _checks.ArgumentError(
            "model", "at least two orders", str(orders), "For a single order, pass the integer."
        )
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


def strengths(penalty: Any, orders: tuple[int, ...] = ORDERS) -> tuple[float, ...]:
    """Returns one strength for each order, from as many numbers, or from one number `λ` with `λ1 = 100 λ` for order 1."""
    given = listed(penalty)
    if given is None:
        _checks.positive("penalty", penalty)
        return tuple((RATIO if k == 1 else 1.0) * float(penalty) for k in orders)
    if len(given) != len(orders):
        advice = f"One strength for each order, ({', '.join(f'λ{k}' for k in orders)})."
        raise _checks.ArgumentError("penalty", f"a number or {_numbers(orders)}", f"{len(given)} numbers", advice)
    for place, value in enumerate(given):
        _checks.positive(f"penalty[{place}]", value, "A block without a penalty would fit all examples.")
    return tuple(map(float, given))


def powers(power: Any, orders: tuple[int, ...] = ORDERS) -> tuple[Any, ...]:
    """Returns one power for each order, from as many numbers, or from one for all orders above 1; that of order 1 is 2."""
    given = listed(power)
    if given is None:
        return tuple(2.0 if k == 1 else power for k in orders)
    if len(given) != len(orders) or (orders[0] == 1 and given[0] != 2):
        advice = "The linear block is optimized in closed form, which requires the power 2." if orders[0] == 1 else ""
        example = ", ".join("2" if k == 1 else "p" if len(orders) == 2 else f"p{k}" for k in orders)
        expected = f"a number or {_numbers(orders)} ({example})"
        raise _checks.ArgumentError("power", expected, str(tuple(given)), advice)
    return tuple(given)


def _numbers(orders: tuple[int, ...]) -> str:
    return "a pair" if len(orders) == 2 else f"{len(orders)} numbers"
