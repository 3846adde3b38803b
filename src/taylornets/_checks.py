"""Validation of the arguments of public functions, with messages of the form "expected ..., got ..., advice"."""

import difflib
import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding

# Higher orders are almost certainly typos: tracing alone would take minutes.
HIGHEST_ORDER = 256
_LONGEST = 600  # characters of a message
_SHOWN = 80  # characters of a value in a message
_QUOTED = 60  # characters of a value from a file
Mends = tuple[tuple[str, Any], ...]


class ArgumentError(ValueError):
    """An invalid argument; the message states its name, the expected value, the value passed and how to fix it.

    A message has at most 600 characters: longer parts are truncated in the middle, so that the advice is kept. The attributes
    are never truncated. To report the error under another argument name, call `renamed` instead of parsing the message.

    Args:
        argument: name of the argument, as the caller writes it.
        expected: description of valid values, a noun phrase.
        got: description of the value passed.
        advice: how to fix the call, in full sentences. Arguments appear as in a call: `` `drop` `` or `` `order=2` ``.
        mends: arguments that fix the call, as pairs of a name and a value, such as `(("drop", "id"),)`.
        others: further errors of the same call, so that all of them are reported at once.

    Attributes:
        argument: as passed.
        expected: as passed.
        got: as passed.
        advice: as passed.
        mends: as passed.
        others: as passed.

    Example:
        >>> import taylornets as tn
        >>> error = tn.ArgumentError("order", "an integer ≥ 1", "0", "Use 2.")
        >>> print(error)
        order: expected an integer ≥ 1, got 0. Use 2.
        >>> print(error.renamed("degree"))
        degree: expected an integer ≥ 1, got 0. Use 2.
    """

    def __init__(
        self, argument: str, expected: str, got: str, advice: str = "", mends: Mends = (),
        others: tuple["ArgumentError", ...] = (),
    ):  # fmt: skip
        super().__init__(argument, expected, got, advice, mends, others)  # pickle and copy reconstruct from these
        self.argument = argument
        self.expected = expected
        self.got = got
        self.advice = advice
        self.mends = mends
        self.others = others

    def __str__(self) -> str:
        return "\n".join((self._line(), *map(str, self.others)))

    def _line(self) -> str:
        tail = f" {self.advice}" if self.advice else ""
        room = max(_LONGEST - len(f"{self.argument}: expected , got .{tail}"), 2 * _SHOWN)
        got = cut(self.got, max(room - len(self.expected), room // 2))
        expected = cut(self.expected, room - len(got))
        return f"{self.argument}: expected {expected}, got {got}.{tail}"[:_LONGEST]

    def renamed(self, argument: str) -> "ArgumentError":
        """Returns the same error under another argument name."""
        return type(self)(argument, self.expected, self.got, self.advice, self.mends, self.others)


def joined(errors: Iterable[ArgumentError]) -> ArgumentError:
    """Returns one error that reports all `errors`, in their order; at least one."""
    first, *others = errors
    return ArgumentError(first.argument, first.expected, first.got, first.advice, first.mends, (*first.others, *others))


def cut(text: str, length: int) -> str:
    """Returns `text`, truncated in the middle if it is longer than `length`."""
    if len(text) <= length:
        return text
    half = max((length - 5) // 2, 1)
    return f"{text[:half]} ... {text[-half:]}"


def shown(value: Any) -> str:
    """Formats a value for a message: arrays by shape and dtype, everything else by its truncated `repr`."""
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
    """Formats a value read from a file for a message: quoted, truncated, on one line."""
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 4]}...{text[-1]}"


def order_of(argument: str, value: Any, minimum: int = 0, advice: str = "") -> int:
    """Returns `value` as the order of a Taylor model: an integer from `minimum` to 256."""
    number = integer(argument, value, minimum, advice)
    if number > HIGHEST_ORDER:
        what = f"an order of at most {HIGHEST_ORDER}"
        raise ArgumentError(argument, what, shown(value), "Networks rarely need orders above 8.")
    return number


def integer(argument: str, value: Any, minimum: int, advice: str = "") -> int:
    """Returns `value` as an int ≥ `minimum`; rejects booleans and floats."""
    expected = f"an integer ≥ {minimum}"
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(argument, expected, shown(value), advice) from None
    if isinstance(value, bool | np.bool_) or number < minimum:
        raise ArgumentError(argument, expected, shown(value), advice)
    return number


def positive(argument: str, value: Any, advice: str = "") -> None:
    """Raises unless the number is finite and positive; traced values pass."""
    if isinstance(value, Tracer):
        return
    if not isinstance(value, int | float | np.number | np.ndarray | jax.Array) or isinstance(value, bool):
        raise ArgumentError(argument, "a number > 0", shown(value), advice)
    number = np.asarray(value)  # on the host: a comparison of JAX arrays would be staged out under jit
    if number.ndim != 0 or not np.isfinite(number) or number <= 0:
        raise ArgumentError(argument, "a finite number > 0", shown(value), advice)


def choice(argument: str, value: Any, names: Iterable[str], otherwise: str = "") -> str:
    """Returns `value` if it is one of `names`; otherwise raises, suggesting the closest name or the advice `otherwise`."""
    known = sorted(names)
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.4)
    advice = f"Did you mean {near[0]!r}?" if near else otherwise
    raise ArgumentError(argument, "one of " + ", ".join(map(repr, known)), shown(value), advice)


def array(argument: str, value: Any, shape: tuple[int | str, ...], advice: str = "") -> jax.Array:
    """Returns `value` as a real floating-point array of the given shape, finite unless traced.

    Args:
        argument: name for messages.
        value: array-like.
        shape: an int fixes the length of an axis; a string names an axis of any nonzero length.
        advice: what to do, appended to the message.

    Returns:
        The array; integers and booleans are converted to the default floating type, floating types are kept.

    Raises:
        ArgumentError: for a wrong number of axes, a wrong length, an empty axis, complex or non-numeric
            entries, NaN or infinity.
    """
    wanted = "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
    try:
        result = automatic(jnp.asarray(value))
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


def automatic(value: Any) -> Any:
    """Moves an array from a mesh with explicit axes to the same devices with automatic axes, without a copy.

    With explicit axes, every operation must state the sharding of an ambiguous result; the compiler derives it from the data.
    Other values are returned as they are.
    """
    sharding = getattr(value, "sharding", None)
    if not isinstance(value, jax.Array) or isinstance(value, Tracer) or not isinstance(sharding, NamedSharding):
        return value
    mesh = sharding.mesh
    if not isinstance(mesh, Mesh) or AxisType.Explicit not in mesh.axis_types:
        return value
    return jax.device_put(value, NamedSharding(Mesh(mesh.devices, mesh.axis_names), sharding.spec))
