"""Counting operations and live bytes of a program without running it, and refusing what cannot fit."""

import math
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from taylornets._checks import ArgumentError


def size_bytes(variable: Any) -> int:
    """Bytes of the array that a variable of a program stands for."""
    aval = variable.aval
    shape = getattr(aval, "shape", ())
    try:
        return math.prod(shape) * jnp.dtype(aval.dtype).itemsize
    except (AttributeError, TypeError):  # tokens and key arrays
        return 8 * math.prod(shape)


def programs(equation: Any) -> Iterator[Any]:
    """The open programs inside an equation."""
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)
            if hasattr(inner, "eqns"):
                yield inner


def live_bytes(jaxpr: Any, factor: int = 1) -> int:
    """The largest number of bytes alive at once, every result stored (a compiler that fuses needs less).

    Args:
        jaxpr: an open program.
        factor: how many arrays stand for each result; arguments and constants count once.
    """
    last: dict[int, int] = {}
    for position, equation in enumerate(jaxpr.eqns):
        for atom in equation.invars:
            last[id(atom)] = position
    for atom in jaxpr.outvars:
        last[id(atom)] = len(jaxpr.eqns)
    alive = sum(size_bytes(v) for v in (*jaxpr.constvars, *jaxpr.invars))
    largest = alive
    sizes: dict[int, int] = {}
    for position, equation in enumerate(jaxpr.eqns):
        inside = max((live_bytes(inner, factor) for inner in programs(equation)), default=0)
        for v in equation.outvars:
            sizes[id(v)] = factor * size_bytes(v)
            alive += sizes[id(v)]
        largest = max(largest, alive + inside)
        done = {id(a) for a in (*equation.invars, *equation.outvars) if last.get(id(a), position) <= position}
        alive -= sum(sizes.pop(key, 0) for key in done)
    return largest


def operations(jaxpr: Any) -> int:
    """Floating-point operations: 2 for each multiply-add of a product, 1 for each element of any other result.

    A `scan` counts its body times its length, a `while` loop once, a `cond` its most expensive branch.
    """
    return sum(_operations(equation) for equation in jaxpr.eqns)


def _operations(equation: Any) -> int:
    name = equation.primitive.name
    inner = [operations(program) for program in programs(equation)]
    out = sum(math.prod(getattr(v.aval, "shape", ())) for v in equation.outvars)
    if name == "scan":
        return equation.params["length"] * sum(inner)
    if inner:  # of the branches of a cond, or the four programs of a linear solve, one runs
        return max(inner) if name in ("cond", "custom_linear_solve") else sum(inner)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * out * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = equation.params["dimension_numbers"].rhs_spec[0]
        return 2 * out * math.prod(kernel) // kernel[features]
    read = math.prod(equation.invars[0].aval.shape) if name.startswith(("reduce_", "arg")) else out
    return 0 if name in _MOVES else read


# Operations that only move data.
_MOVES = frozenset((
    "reshape", "broadcast_in_dim", "transpose", "squeeze", "slice", "concatenate", "gather", "rev", "pad", "iota",
    "copy", "dynamic_slice", "dynamic_update_slice", "convert_element_type", "split", "scatter", "stop_gradient",
    "name",
))  # fmt: skip


def memory_limit() -> int:
    """Bytes of memory of the default device, or of this machine where the device does not say."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def refuse_too_large(jaxpr: Any, order: int, limit: float | None = None) -> None:
    """Raises when the order's coefficients alone, by a count from shapes, are beyond the memory of the device."""
    if order < 2:
        return
    limit = memory_limit() if limit is None else limit
    needed = live_bytes(jaxpr, order + 1)
    if needed > limit:
        raise ArgumentError(
            "degree",
            f"an order whose coefficients fit into the {limit / 1e9:.3g} GB of this device",
            f"order {order} with about {needed / 1e9:.3g} GB alive at once",
            f"Order 1 needs about {live_bytes(jaxpr, 2) / 1e9:.3g} GB. Lower the degree, or split the batch.",
        )
