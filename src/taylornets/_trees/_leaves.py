"""Leaves of a parameter tree: which leaves move, their names, and differences between two trees."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from taylornets._checks import ArgumentError, host

_LISTED = 5  # names in a message


def is_array(leaf: Any) -> bool:
    """Returns whether a leaf is an array; NumPy scalars and Python numbers are settings."""
    return isinstance(leaf, jax.Array | np.ndarray)


def moves(leaf: Any) -> bool:
    """Returns whether a leaf moves: it does if it is an array of floating or complex dtype (subject to `trainable`)."""
    return is_array(leaf) and bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def leaf_name(path: Any) -> str:
    """Formats the path of a leaf, such as `layers.0.weight`."""
    return jax.tree_util.keystr(path, simple=True, separator=".") or "params"


def listed(names: Sequence[str]) -> str:
    """Joins names for a message, listing only the first few."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def rows(argument: str, x: Any) -> int:
    """Returns the number of examples: the common length of the first axis of all leaves."""
    leaves = jax.tree_util.tree_leaves(x)
    lengths = {int(leaf.shape[0]) if getattr(leaf, "ndim", 0) else 0 for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths:
        shapes = listed([str(getattr(leaf, "shape", type(leaf).__name__)) for leaf in leaves]) or "none"
        raise ArgumentError(argument, "an array (or a tree of them) with one example per row", f"shapes {shapes}")
    return lengths.pop()


def same(first: Any, second: Any) -> bool:
    """Returns whether two leaves have the same value; traced leaves, whose values are unknown, count as equal.

    Functions are compared by name, since a module built twice contains two copies of a lambda. Objects of other types
    without an equality of their own are compared by type.
    """
    if first is second or isinstance(first, Tracer) or isinstance(second, Tracer):
        return True
    if is_array(first) and is_array(second):
        if first.shape != second.shape or first.dtype != second.dtype:
            return False
        if jnp.issubdtype(first.dtype, jax.dtypes.prng_key):
            first, second = jax.random.key_data(first), jax.random.key_data(second)
        with jax.ensure_compile_time_eval():
            a, b = host(first), host(second)
        return bool(np.array_equal(a.view(np.uint8) if a.dtype.kind == "V" else a,
                                   b.view(np.uint8) if b.dtype.kind == "V" else b, equal_nan=a.dtype.kind in "fc"))  # fmt: skip
    if type(first) is not type(second):
        return False
    if callable(first):
        return _qualified(first) == _qualified(second)
    plain = isinstance(first, bool | int | float | complex | str | bytes | np.generic | None)
    return bool(first == second or (first != first and second != second)) if plain else True  # noqa: PLR0124 (NaN)


def _qualified(function: Any) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", type(function).__qualname__)


def refuse_not_finite(argument: str, leaves: Sequence[Any], paths: Sequence[str]) -> None:
    """Raises for NaN or infinity in the parameters, naming the leaf."""
    for leaf, path in zip(leaves, paths, strict=True):
        if moves(leaf) and not isinstance(leaf, Tracer):
            wrong = int(jnp.sum(~jnp.isfinite(jnp.asarray(leaf))))
            if wrong:
                got = f"{wrong} NaN or infinite of {leaf.size} in the leaf at {path}"
                raise ArgumentError(
                    argument, "finite numbers in every leaf", got, "Find the training step that produced them."
                )


def displacements(start: Any, end: Any) -> dict[str, Array]:
    """Returns the Euclidean distance between two parameter trees for each leaf, keyed by leaf name.

    Args:
        start: tree of arrays; leaves that are not arrays are skipped.
        end: a tree of the same structure.
    """
    first = jax.tree_util.tree_flatten_with_path(start)[0]
    second = jax.tree_util.tree_leaves(end)
    return {
        leaf_name(path): jnp.sqrt(jnp.sum(jnp.abs(b - a) ** 2))
        for (path, a), b in zip(first, second, strict=True)
        if moves(a)
    }


def refuse_other_tree(argument: str, start: Any, other: Any, reference: str = "params0") -> None:
    """Raises if a tree does not match the initial parameters, naming the first missing, extra or different leaf.

    Args:
        argument: name of the other tree.
        start: the initial parameters.
        other: the tree to compare with them.
        reference: name of the initial parameters.
    """
    mine, theirs = (
        {leaf_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
        for tree in (start, other)
    )
    advice = f"Build it from {reference}, for example with jax.tree.map or an optimizer update."
    for name, leaf in mine.items():
        if name not in theirs:
            raise ArgumentError(argument, f"the leaf {name} of {reference}", "a tree without it", advice)
        if is_array(leaf):
            refuse_other_leaf(f"{argument} at {name}", leaf, theirs[name], reference)
    for name in theirs:
        if name not in mine:
            raise ArgumentError(argument, f"no leaves besides those of {reference}", f"the leaf {name}", advice)
    if jax.tree_util.tree_structure(start) != jax.tree_util.tree_structure(other):
        raise ArgumentError(argument, f"the containers of {reference}", "other containers with the same leaves", advice)


def refuse_other_leaf(argument: str, leaf: Any, new: Any, reference: str) -> None:
    """Raises if the shape or dtype of a leaf differs from that of the initial parameters."""
    shape, dtype = getattr(new, "shape", None), getattr(new, "dtype", None)
    if shape is None and isinstance(new, bool | int | float | complex):
        shape = ()
        dtype = leaf.dtype if not isinstance(new, complex) or jnp.iscomplexobj(leaf) else "complex"
    if shape != leaf.shape:
        got = f"a {type(new).__name__}" if shape is None else f"shape {shape}"
        raise ArgumentError(argument, f"shape {leaf.shape} as in {reference}", got)
    if dtype != leaf.dtype:
        advice = "Cast one of them: dtypes are never converted silently."
        raise ArgumentError(argument, f"dtype {leaf.dtype} as in {reference}", f"dtype {dtype}", advice)
