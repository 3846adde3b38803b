"""Validation at the entry of every public function: the argument, what was needed, what came, what to do."""

import difflib
import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


class ArgumentError(ValueError):
    """An argument that cannot be used; the message names it, what was needed, what came and what to do.

    Attributes:
        argument: name of the argument, as the caller writes it.
    """

    def __init__(self, argument: str, needed: str, came: str, advice: str = ""):
        self.argument = argument
        super().__init__(f"{argument}: needed {needed}, got {came}." + (f" {advice}" if advice else ""))


def integer(argument: str, value: Any, minimum: int, advice: str = "") -> int:
    """`value` as an int not below `minimum`; booleans and floats are refused."""
    needed = f"an integer ≥ {minimum}"
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(argument, needed, repr(value), advice) from None
    if isinstance(value, bool | np.bool_) or number < minimum:
        raise ArgumentError(argument, needed, repr(value), advice)
    return number


def positive(argument: str, value: Any, advice: str = "") -> None:
    """Refuses numbers that are not finite and above zero; traced values pass."""
    if isinstance(value, Tracer):
        return
    if not isinstance(value, int | float | np.number | np.ndarray | jax.Array) or isinstance(value, bool):
        raise ArgumentError(argument, "a number > 0", repr(value), advice)
    number = np.asarray(value)  # on the host: a comparison of JAX arrays would be staged out under jit
    if number.ndim != 0 or not np.isfinite(number) or number <= 0:
        raise ArgumentError(argument, "a finite number > 0", str(value), advice)


def choice(argument: str, value: Any, names: Iterable[str], otherwise: str = "") -> str:
    """`value` if it is one of `names`; else an error that offers the nearest one, or says what holds `otherwise`."""
    known = sorted(names)
    if value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.4)
    advice = f"Did you mean {near[0]!r}?" if near else otherwise
    raise ArgumentError(argument, "one of " + ", ".join(map(repr, known)), repr(value), advice)


def array(argument: str, value: Any, shape: tuple[int | str, ...], advice: str = "") -> jax.Array:
    """`value` as a real floating-point array of the given shape, finite unless traced.

    Args:
        argument: name for messages.
        value: array-like.
        shape: an int fixes an axis, a string names one whose length is free but not zero.
        advice: what to do, appended to the message.

    Returns:
        The array; integers and booleans become the default floating type, floating types are kept.

    Raises:
        ArgumentError: for another number of axes, another length, an empty axis, complex or non-numeric
            entries, NaN or infinity.
    """
    wanted = "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
    try:
        result = jnp.asarray(value)
    except (TypeError, ValueError):
        raise ArgumentError(argument, f"a real array of shape {wanted}", f"a {type(value).__name__}", advice) from None
    if jnp.issubdtype(result.dtype, jnp.complexfloating):
        raise ArgumentError(argument, f"a real array of shape {wanted}", f"dtype {result.dtype}", advice)
    if not jnp.issubdtype(result.dtype, jnp.floating):
        result = result.astype(jnp.result_type(float))
    fits = result.ndim == len(shape) and all(
        isinstance(axis, str) or axis == length for axis, length in zip(shape, result.shape, strict=True)
    )
    if not fits:
        raise ArgumentError(argument, f"shape {wanted}", f"shape {result.shape}", advice)
    if 0 in result.shape:
        raise ArgumentError(argument, f"a non-empty array of shape {wanted}", f"shape {result.shape}", advice)
    if isinstance(result, Tracer):
        return result
    finite = np.isfinite(np.asarray(result))  # on the host: an operation of JAX would be staged out under jit
    if not finite.all():
        count = int(np.sum(~finite))
        raise ArgumentError(
            argument, "finite numbers", f"{count} NaN or infinite of {result.size}", advice or "Remove or impute them."
        )
    return result
