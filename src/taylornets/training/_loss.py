"""Checks of the user's loss function: its return value, and the pairing of outputs with targets of the same example."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets._checks import ArgumentError

_EXPECTED = "a function loss(outputs, y) that returns real numbers: one per example, or their mean"
_LONGEST = 160  # characters quoted from the user's error


def with_fresh_targets(loss: Callable[..., Any], outputs: Any, y: Any) -> Any:
    """Calls `loss(outputs, y)` with fresh containers, so that it may modify them (`y.pop("weights")`)."""
    return loss(outputs, jax.tree.map(lambda leaf: leaf, y))


def refuse_loss(loss: Callable[..., Any], outputs: Any, y: Any) -> None:
    """Raises for a loss function that is incompatible with the outputs and targets of a model.

    Args:
        loss: `loss(outputs, y)`.
        outputs: the array of outputs, shape `(n, ...)`; only shape and dtype are read.
        y: targets, an array or a tree of them.
    """
    like = jax.ShapeDtypeStruct(outputs.shape, outputs.dtype)
    try:
        found = jax.eval_shape(lambda o, y: with_fresh_targets(loss, o, y), like, y)
    except (ArgumentError, jax.errors.ConcretizationTypeError):
        raise
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        shapes = ", ".join(str(jnp.shape(leaf)) for leaf in jax.tree.leaves(y)[:3])
        said = " ".join(str(error).split())[:_LONGEST]
        got = f"one that fails on outputs {like.shape} and targets {shapes} ({type(error).__name__}: {said})"
        raise ArgumentError("loss", _EXPECTED, got) from error
    leaves = jax.tree.leaves(found)
    if not leaves:
        raise ArgumentError("loss", _EXPECTED, "one that returns nothing", "Does it end with a return statement?")
    if len(leaves) > 1 or not hasattr(found, "dtype"):
        got = f"one that returns a {type(found).__name__} of {len(leaves)} arrays"
        raise ArgumentError("loss", _EXPECTED, got, "Return the loss alone.")
    if not jnp.issubdtype(found.dtype, jnp.floating):
        raise ArgumentError("loss", _EXPECTED, f"one that returns dtype {found.dtype}", "Return a floating-point loss.")
    _refuse_broadcast(loss, like, y)


def _refuse_broadcast(loss: Callable[..., Any], outputs: Any, y: Any) -> None:
    """Raises for a loss that broadcasts targets `(n,)` against outputs `(n, 1)`, or the reverse, to all pairs of examples.

    A mean over all pairs does not depend on the assignment of targets to examples: it is invariant under reversing the
    targets alone. Any other loss that depends on the targets changes, however it treats shapes. The check uses synthetic
    values, so that it also works for constant data.
    """
    leaves, structure = jax.tree.flatten(y)
    pairs = [[i] for i, leaf in enumerate(leaves) if _pairs_examples(outputs.shape, jnp.shape(leaf))]
    if not pairs:
        return
    if len(pairs) > 1:  # for example targets and weights, which belong together
        pairs.append([i for one in pairs for i in one])
    invented = [_invented(np.random.default_rng(i), leaf) for i, leaf in enumerate(leaves)]

    def value(o: Any, leaves: list[Any]) -> Any:
        return jnp.mean(with_fresh_targets(loss, o, jax.tree.unflatten(structure, leaves)))

    def variants(o: Any, leaves: list[Any]) -> list[Any]:
        changes = [(chosen, change) for chosen in pairs for change in (lambda leaf: leaf[::-1], jnp.zeros_like)]
        others = [[change(leaf) if i in at else leaf for i, leaf in enumerate(leaves)] for at, change in changes]
        return [value(o, given) for given in (leaves, *others)]

    given, *changed = jax.jit(variants)(_invented(np.random.default_rng(len(leaves)), outputs), invented)
    tolerance = float(jnp.finfo(given.dtype).eps) ** 0.5 * abs(float(given))
    for chosen, backward, absent in zip(pairs, changed[::2], changed[1::2], strict=True):
        if abs(float(backward - given)) <= tolerance < abs(float(absent - given)):
            shape = jnp.shape(leaves[chosen[0]])
            expected = f"targets of shape {outputs.shape} like the outputs"
            got = f"shape {shape}, which the loss function broadcasts to a mean over all pairs of examples"
            if int(np.prod(shape)) != int(np.prod(outputs.shape)):
                expected = f"targets that the loss pairs with the {outputs.shape[0]} rows of the outputs"
            advice = "Reshape y, or the outputs inside the loss; loss='squared' accepts both shapes."
            raise ArgumentError("y", expected, got, advice)


def _pairs_examples(outputs: tuple[int, ...], targets: tuple[int, ...]) -> bool:
    """Returns whether two shapes with different numbers of axes broadcast rows of one against other rows of the other."""
    if len(outputs) == len(targets) or outputs[0] == 1:
        return False
    try:
        np.broadcast_shapes(outputs, targets)
    except ValueError:
        return False
    return True


def _invented(draw: np.random.Generator, leaf: Any) -> Any:
    """Returns values of the shape and dtype of a leaf that increase by row and are constant within a row."""
    leaf = leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.asarray(leaf)
    count = leaf.shape[0]
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        rows = np.sort(draw.uniform(0.1, 0.9, count))
    elif jnp.issubdtype(leaf.dtype, jnp.integer) or leaf.dtype == bool:
        rows = np.arange(count) >= count / 2
    else:
        return leaf  # random keys
    return jnp.asarray(np.broadcast_to(rows.reshape(-1, *[1] * (len(leaf.shape) - 1)), leaf.shape), leaf.dtype)
