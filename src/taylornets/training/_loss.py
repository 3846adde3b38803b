"""The user's loss function: what it returns, and whether it pairs every output with the target of its own example."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets._checks import ArgumentError

_EXPECTED = "a function loss(outputs, y) that returns real numbers: one per example, or their mean"
_LONGEST = 160  # characters of the user's error in a message


def with_fresh_targets(loss: Callable[..., Any], outputs: Any, y: Any) -> Any:
    """`loss(outputs, y)` with containers of its own, so that it may consume them (`y.pop("weights")`)."""
    return loss(outputs, jax.tree.map(lambda leaf: leaf, y))


def refuse_loss(loss: Callable[..., Any], outputs: Any, y: Any) -> None:
    """Raises for a loss function that cannot be used with a model's outputs and targets.

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

    A mean over all pairs does not see which target belongs to which example: it stays the same when the targets alone are
    reversed. Any other loss that depends on them changes, whatever it does with the shapes. Invented values are compared,
    so that data in which nothing differs cannot deceive.
    """
    leaves, structure = jax.tree.flatten(y)
    pairs = [[i] for i, leaf in enumerate(leaves) if _pairs_examples(outputs.shape, jnp.shape(leaf))]
    if not pairs:
        return
    if len(pairs) > 1:  # targets and weights, say, which belong together
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
            got = f"shape {shape}, which the loss function broadcasts: it is a mean over all pairs of examples"
            if int(np.prod(shape)) != int(np.prod(outputs.shape)):
                expected = f"targets that the loss pairs with the {outputs.shape[0]} rows of the outputs"
            advice = "Reshape y, or the outputs within the loss; loss='squared' takes both shapes."
            raise ArgumentError("y", expected, got, advice)


def _pairs_examples(outputs: tuple[int, ...], targets: tuple[int, ...]) -> bool:
    """Whether two shapes broadcast so that rows of one meet other rows of the other: with different numbers of axes."""
    if len(outputs) == len(targets) or outputs[0] == 1:
        return False
    try:
        np.broadcast_shapes(outputs, targets)
    except ValueError:
        return False
    return True


def _invented(draw: np.random.Generator, leaf: Any) -> Any:
    """Values of a leaf's shape and dtype that grow from row to row and are equal within one: probabilities, labels."""
    leaf = leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.asarray(leaf)
    count = leaf.shape[0]
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        rows = np.sort(draw.uniform(0.1, 0.9, count))
    elif jnp.issubdtype(leaf.dtype, jnp.integer) or leaf.dtype == bool:
        rows = np.arange(count) >= count / 2
    else:
        return leaf  # random keys
    return jnp.asarray(np.broadcast_to(rows.reshape(-1, *[1] * (len(leaf.shape) - 1)), leaf.shape), leaf.dtype)
