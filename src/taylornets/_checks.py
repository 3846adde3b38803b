"""Validation at the entry of every public function: the argument, what was needed, what came, what to do."""

import difflib
import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

# Orders above this are slips of the keyboard: tracing alone would take minutes.
HIGHEST_ORDER = 256
_LONGEST = 600  # characters of a message
_SHOWN = 80  # characters of a value in a message
_QUOTED = 60  # characters of a value from a file


class ArgumentError(ValueError):
    """An argument that cannot be used; the message names it, what was needed, what came and what to do.

    A message has 600 characters at most: what is too long is cut in the middle, so that the advice is kept.

    Attributes:
        argument: name of the argument, as the caller writes it.

    Example:
        >>> import taylornets as tn
        >>> try:
        ...     tn.losses.get("square")
        ... except tn.ArgumentError as error:
        ...     print(error.argument)
        loss
    """

    def __init__(self, argument: str, needed: str, came: str, advice: str = ""):
        self.argument = argument
        tail = f" {advice}" if advice else ""
        room = max(_LONGEST - len(f"{argument}: needed , got .{tail}"), 2 * _SHOWN)
        came = cut(came, max(room - len(needed), room // 2))
        super().__init__(f"{argument}: needed {cut(needed, room - len(came))}, got {came}.{tail}"[:_LONGEST])


def cut(text: str, length: int) -> str:
    """`text`, or its beginning and end where it is longer than `length`."""
    if len(text) <= length:
        return text
    half = max((length - 5) // 2, 1)
    return f"{text[:half]} ... {text[-half:]}"


def shown(value: Any) -> str:
    """A value for a message: arrays by shape and dtype, everything else by its `repr`, cut."""
    if isinstance(value, jax.Array | np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}, dtype {value.dtype}"
    if isinstance(value, dict | list | tuple | set) and jax.tree_util.tree_leaves(value):
        leaves = jax.tree_util.tree_leaves(value)
        if any(isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves):
            return f"a {type(value).__name__} of {len(leaves)} arrays or values"
    if isinstance(value, Tracer) or callable(value):
        return f"a {type(value).__name__}"
    return cut(" ".join(repr(value).split()), _SHOWN)


def short(value: Any) -> str:
    """A value of a file for a message: quoted, not too long, on one line."""
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 4]}...{text[-1]}"


def order_of(argument: str, value: Any, minimum: int = 0, advice: str = "") -> int:
    """`value` as an order of a Taylor model: an integer from `minimum` to 256."""
    number = integer(argument, value, minimum, advice)
    if number > HIGHEST_ORDER:
        what = f"an order of at most {HIGHEST_ORDER}"
        raise ArgumentError(argument, what, shown(value), "Orders up to 8 are what networks need.")
    return number


def integer(argument: str, value: Any, minimum: int, advice: str = "") -> int:
    """`value` as an int not below `minimum`; booleans and floats are refused."""
    needed = f"an integer ≥ {minimum}"
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(argument, needed, shown(value), advice) from None
    if isinstance(value, bool | np.bool_) or number < minimum:
        raise ArgumentError(argument, needed, shown(value), advice)
    return number


def positive(argument: str, value: Any, advice: str = "") -> None:
    """Refuses numbers that are not finite and above zero; traced values pass."""
    if isinstance(value, Tracer):
        return
    if not isinstance(value, int | float | np.number | np.ndarray | jax.Array) or isinstance(value, bool):
        raise ArgumentError(argument, "a number > 0", shown(value), advice)
    number = np.asarray(value)  # on the host: a comparison of JAX arrays would be staged out under jit
    if number.ndim != 0 or not np.isfinite(number) or number <= 0:
        raise ArgumentError(argument, "a finite number > 0", shown(value), advice)


def choice(argument: str, value: Any, names: Iterable[str], otherwise: str = "") -> str:
    """`value` if it is one of `names`; else an error that offers the nearest one, or says what holds `otherwise`."""
    known = sorted(names)
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.4)
    advice = f"Did you mean {near[0]!r}?" if near else otherwise
    raise ArgumentError(argument, "one of " + ", ".join(map(repr, known)), shown(value), advice)


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
