"""What two outputs, two kernels or two points in parameter space have in common, as numbers."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from taylornets._checks import ArgumentError
from taylornets.expansion._line import Line

TASKS = ("auto", "classification", "regression")


def classes(outputs: Array) -> Array:
    """The predicted classes: the largest of several outputs on the last axis, or whether a single one is positive.

    Args:
        outputs: shape `(n, ..., C)`, or `(n,)` for one output.

    Returns:
        Integers, shape `(n, ...)`.
    """
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        return jnp.argmax(outputs, axis=-1)
    single = outputs if outputs.ndim == 1 else outputs[..., 0]
    return (single > 0).astype(jnp.int32)


def true_classes(y: Array, outputs: Array) -> Array:
    """The classes that targets name: integer labels, rows of probabilities, or signs for one output.

    Args:
        y: labels of the shape of `classes(outputs)`, or targets of the shape of the outputs.
        outputs: what they are compared with, shape `(n, ..., C)`.

    Returns:
        Integers, shape of `classes(outputs)`.
    """
    if y.shape == outputs.shape:
        return classes(y)
    labels = y.reshape(outputs.shape[:-1] if outputs.ndim > 1 else outputs.shape)
    return labels if outputs.ndim > 1 and outputs.shape[-1] > 1 else (labels > 0).astype(jnp.int32)


def rms(difference: Array) -> Array:
    """The distance of two functions on the probe inputs: the root mean square over examples of the norm of the outputs."""
    return jnp.sqrt(jnp.sum(difference**2) / difference.shape[0])


def one_minus_cosine(first: Array, second: Array) -> Array:
    """1 − ⟨A, B⟩/(‖A‖ ‖B‖) of two kernel matrices: 0 for the same up to a factor. By differences, to keep small drifts."""
    a, b = first / jnp.linalg.norm(first.ravel()), second / jnp.linalg.norm(second.ravel())
    return jnp.sum((a - b) ** 2) / 2


def refuse_outputs(name: str, outputs: Any, examples: int) -> None:
    """Refuses what is not one real array with an example a row; only shapes and types are read."""
    needed = f"a model that returns one real array of shape ({examples}, ...), an example a row"
    leaves = jax.tree_util.tree_leaves(outputs)
    if len(leaves) != 1 or not hasattr(outputs, "shape"):
        raise ArgumentError(name, needed, f"{len(leaves)} arrays", "Return the logits (or predictions) alone.")
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise ArgumentError(name, needed, f"dtype {outputs.dtype}", "Return the logits, not the predicted labels.")
    if outputs.ndim == 0 or outputs.shape[0] != examples:
        advice = f"For a model of one example pass lambda params, x: jax.vmap(lambda one: {name}(params, one))(x)."
        raise ArgumentError(name, needed, f"shape {outputs.shape}", advice)


def rows(argument: str, x: Any) -> int:
    """The number of examples: the common length of the first axis of all leaves."""
    leaves = jax.tree_util.tree_leaves(x)
    lengths = {int(leaf.shape[0]) if getattr(leaf, "ndim", 0) else 0 for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths:
        shapes = ", ".join(str(getattr(leaf, "shape", type(leaf).__name__)) for leaf in leaves) or "none"
        raise ArgumentError(argument, "an array (or a tree of them) with an example a row", f"shapes {shapes}")
    return lengths.pop()


def refuse_not_finite(argument: str, leaves: Sequence[Any], paths: Sequence[str]) -> None:
    """Refuses NaN and infinity in parameters, naming the leaf."""
    for leaf, path in zip(leaves, paths, strict=True):
        if isinstance(leaf, jax.Array | np.ndarray) and jnp.issubdtype(leaf.dtype, jnp.inexact):
            wrong = int(np.sum(~np.isfinite(np.asarray(leaf, dtype=complex))))
            if wrong:
                came = f"{wrong} NaN or infinite of {leaf.size} in the leaf at {path}"
                raise ArgumentError(argument, "finite numbers in every leaf", came, "Look for the step that made them.")


def moving_mask(line: Line) -> Any:
    """A tree of booleans like the parameters: which leaves an optimizer may move, arrays of real or complex numbers.

    Python numbers (a dropout rate in an Equinox module) are settings, which nothing trains.
    """
    mask = [m and isinstance(a, jax.Array | np.ndarray) for m, a in zip(line.movable, line.leaves, strict=True)]
    return jax.tree_util.tree_unflatten(line.structure, mask)


def displacements(start: Any, end: Any) -> dict[str, Array]:
    """The Euclidean distance of two trees of parameters, leaf by leaf, under the leaves' names.

    Args:
        start: arrays, and None or anything else, which is left out.
        end: the same.
    """
    first = jax.tree_util.tree_flatten_with_path(start)[0]
    second = jax.tree_util.tree_leaves(end)
    return {
        leaf_name(path): jnp.sqrt(jnp.sum(jnp.abs(b - a) ** 2))
        for (path, a), b in zip(first, second, strict=True)
        if isinstance(a, jax.Array | np.ndarray) and jnp.issubdtype(a.dtype, jnp.inexact)
    }


def leaf_name(path: Any) -> str:
    """A leaf's path in words, such as `layers.0.weight`."""
    return jax.tree_util.keystr(path, simple=True, separator=".") or "params"


def refuse_other_tree(argument: str, start: Any, other: Any) -> None:
    """Refuses a tree of parameters that is not like the start, naming the first leaf that is missing, too much or different."""
    mine, theirs = (
        {leaf_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
        for tree in (start, other)
    )
    advice = "It must be a tree like the start's, leaf by leaf."
    for name, leaf in mine.items():
        if name not in theirs:
            raise ArgumentError(argument, f"the leaf {name} of the start", "a tree without it", advice)
        new = theirs[name]
        if isinstance(leaf, jax.Array | np.ndarray):
            shape, dtype = getattr(new, "shape", None), getattr(new, "dtype", None)
            if shape != leaf.shape:
                came = f"a {type(new).__name__}" if shape is None else f"shape {shape}"
                raise ArgumentError(f"{argument} at {name}", f"shape {leaf.shape} as in the start", came, advice)
            if dtype != leaf.dtype:
                raise ArgumentError(
                    f"{argument} at {name}", f"dtype {leaf.dtype} as in the start", f"dtype {dtype}", advice
                )
    for name in theirs:
        if name not in mine:
            raise ArgumentError(argument, "no leaves beside those of the start", f"the leaf {name}", advice)
    if jax.tree_util.tree_structure(start) != jax.tree_util.tree_structure(other):
        raise ArgumentError(argument, "the containers of the start's tree", "others with the same leaves", advice)
