"""Validation of the arguments of public functions, with messages of the form "expected ..., got ..., advice"."""

import difflib
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

# Part of this module; apart, since the command line answers `--help` without importing JAX.
from taylornets._errors import SHOWN, ArgumentError, cut
from taylornets._errors import Mends as Mends  # noqa: PLC0414
from taylornets._errors import joined as joined  # noqa: PLC0414

# Higher orders are almost certainly typos: tracing alone would take minutes.
HIGHEST_ORDER = 256
_QUOTED = 60  # characters of a value from a file


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
    return cut(" ".join(repr(value).split()), SHOWN)


def short(value: Any) -> str:
    """Formats a value read from a file for a message: quoted, truncated, on one line."""
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 4]}...{text[-1]}"


def counted(count: Any, noun: str) -> str:
    """Formats a number of things: `1 row`, `1,204 test rows`, `2 classes`."""
    ending = "" if count == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{count:,} {noun}{ending}"


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
    count = _not_finite(result)
    if count:
        raise ArgumentError(
            argument, "finite numbers", f"{count} NaN or infinite of {result.size}", advice or "Remove or impute them."
        )
    return result


def together(values: Mapping[str, Any]) -> None:
    """Raises if arrays that were placed on devices lie on different ones, for which JAX has no common program.

    Args:
        values: arrays, or trees of arrays, by the names of the arguments. Arrays that JAX may move, and traced ones, do not
            count.
    """
    placed: tuple[str, Any] | None = None
    for argument, tree in values.items():
        for leaf in jax.tree.leaves(tree):
            if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer) or not leaf.committed:
                continue
            placed = placed or (argument, leaf.sharding.device_set)
            if leaf.sharding.device_set != placed[1]:
                needed = f"arrays on the devices of {placed[0]}, {_device_names(placed[1])}"
                advice = "Move one of them with jax.device_put, for example to x.sharding."
                raise ArgumentError(argument, needed, _device_names(leaf.sharding.device_set), advice)


def _device_names(devices: Any) -> str:
    names = [str(device) for device in sorted(devices, key=lambda device: device.id)]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def host(value: Any, dtype: Any = None) -> np.ndarray:
    """Copies an array to the host; of an array on several processes, every process receives all of it.

    Like every operation on such an array, it has to be called by all of them. The array is gathered in compiled code.

    Args:
        value: an array or array-like.
        dtype: dtype of the result; by default that of the array.
    """
    concrete = isinstance(value, jax.Array) and not isinstance(value, Tracer)
    if concrete and not (value.is_fully_addressable or value.is_fully_replicated):
        value = jax.jit(_same, out_shardings=NamedSharding(_mesh_of(value), PartitionSpec()))(value)
    return np.asarray(value, dtype)


def gathered(tree: Any) -> Any:
    """Returns a tree whose arrays are on automatic axes; those on several processes are gathered in every process.

    For computations that close over their examples or choose among them: compiled code cannot close over such arrays.
    """

    def one(value: Any) -> Any:
        here = not isinstance(value, jax.Array) or isinstance(value, Tracer) or value.is_fully_addressable
        return automatic(value) if here else jnp.asarray(host(value))

    return jax.tree.map(one, tree)


def _same(value: jax.Array) -> jax.Array:
    return value


def _mesh_of(value: jax.Array) -> Mesh:
    """The mesh of a sharded array, with automatic axes."""
    sharding = value.sharding
    if isinstance(sharding, NamedSharding) and isinstance(sharding.mesh, Mesh):
        return Mesh(sharding.mesh.devices, sharding.mesh.axis_names)
    return Mesh(np.array(sorted(sharding.device_set, key=lambda device: device.id)), ("devices",))


def _not_finite(value: jax.Array) -> int:
    """Counts NaN and infinities: on the host, or, for an array on several processes, where it is, in compiled code."""
    if value.is_fully_addressable:
        return int(value.size - np.isfinite(np.asarray(value)).sum())
    return int(jnp.sum(~jnp.isfinite(value)))


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
