"""How the blocks of an NTK are computed: contracted Jacobian rows, forward passes, or the closed form of two layers."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from taylornets.kernels._products import Leaves
from taylornets.two_layer import TwoLayerNetwork

# A pass over a block has smaller products than a contraction: it must count at most half of the operations.
_PASS = 2.0


@dataclasses.dataclass(frozen=True)
class Way:
    """How rows of a block are represented and multiplied.

    Attributes:
        name: "contraction", "columns" or "closed form".
        rows: maps parameters and a block to its rows, a list of arrays.
        pair: maps parameters, rows, and the rows of another block (or the block itself) to their products.
        squares: maps rows to their squared norms.
        needs_rows: whether `pair` takes the rows of the other block.
        rows_share: how many times smaller than gradients the rows are.
        model: the model, or None for the closed form.
    """

    name: str
    rows: Callable[..., Leaves]
    pair: Callable[..., Array]
    squares: Callable[..., Array]
    needs_rows: bool = True
    rows_share: int = 1
    model: Callable[[Leaves, Any], Array] | None = None


def contraction(model: Callable[[Leaves, Any], Array], dtype: Any) -> Way:
    """Jacobian rows of both blocks, multiplied with each other."""
    wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32

    def rows(leaves: Leaves, x: Any) -> Leaves:
        def one(example: Any) -> Leaves:
            batch = jax.tree.map(lambda a: a[None], example)
            values, pull_back = jax.vjp(lambda leaves: model(leaves, batch).reshape(-1), leaves)
            return jax.vmap(lambda u: pull_back(u)[0])(jnp.eye(values.size, dtype=values.dtype))

        return [leaf.reshape(leaf.shape[0] * leaf.shape[1], -1) for leaf in jax.vmap(one)(x)]

    def pair(leaves: Leaves, mine: Leaves, theirs: Leaves) -> Array:
        del leaves
        total = jnp.zeros((mine[0].shape[0], theirs[0].shape[0]), wide)
        for a, b in zip(mine, theirs, strict=True):
            for part in (jnp.real, jnp.imag) if jnp.iscomplexobj(a) else (jnp.asarray,):
                total = total + _product(part(a).astype(wide), part(b).astype(wide))
        return total.astype(dtype)

    def squares(rows: Leaves) -> Array:
        total = jnp.zeros(rows[0].shape[0], wide)
        for leaf in rows:
            total = total + jnp.sum(jnp.abs(leaf).astype(wide) ** 2, axis=1)
        return total.astype(dtype)

    return Way("contraction", jax.jit(rows), jax.jit(pair), jax.jit(squares), model=model)


def columns(model: Callable[[Leaves, Any], Array], dtype: Any) -> Way:
    """Jacobian rows of one block, pushed forward through the model on the other one."""

    def pair(leaves: Leaves, mine: Leaves, theirs: Any) -> Array:
        def push(row: Leaves) -> Array:
            tangent = [a.reshape(leaf.shape) for a, leaf in zip(row, leaves, strict=True)]
            return jax.jvp(lambda leaves: model(leaves, theirs).reshape(-1), (leaves,), (tangent,))[1]

        return jax.vmap(push)(mine)

    return dataclasses.replace(contraction(model, dtype), name="columns", pair=jax.jit(pair), needs_rows=False)


def closed_form(net: TwoLayerNetwork) -> Way:
    """Slopes and inputs of a two-layer network instead of Jacobian rows."""
    c = net.outputs

    def rows(leaves: Leaves, x: Any) -> Leaves:
        u = jnp.matmul(x, (net.w0 + leaves[0]).T, precision=lax.Precision.HIGHEST)
        slopes = net.activation.derivative(1)(u) / math.sqrt(net.width)
        return [(slopes[:, None, :] * net.a.T).reshape(-1, net.width), x]

    def pair(leaves: Leaves, mine: Leaves, theirs: Leaves) -> Array:
        del leaves
        (left, x1), (right, x2) = mine, theirs
        return _product(left, right) * jnp.repeat(jnp.repeat(_product(x1, x2), c, 0), c, 1)

    def squares(rows: Leaves) -> Array:
        left, x = rows
        return jnp.sum(left**2, axis=1) * jnp.repeat(jnp.sum(x**2, axis=1), c)

    share = max(net.inputs, 1)
    return Way("closed form", jax.jit(rows), jax.jit(pair), jax.jit(squares), rows_share=share)


def cheaper(
    model: Callable[[Leaves, Any], Array], dtype: Any, stored: bool, leaves: Leaves, rows: Leaves, x: Any
) -> Way:
    """Chooses between a contraction and forward passes by the operations that the compiler counts for one pair of blocks.

    Args:
        model: the outputs as a function of the moving leaves and a block.
        dtype: dtype of the outputs.
        stored: whether the rows of all blocks fit into memory; otherwise a contraction computes them again.
        leaves: the parameters that move.
        rows: shapes of the rows of a block.
        x: a block.
    """
    contracted, passed = contraction(model, dtype), columns(model, dtype)
    if any(jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in rows):
        return contracted
    products = 2.0 * rows[0].shape[0] ** 2 * sum(leaf.shape[1] for leaf in rows)
    try:
        if not stored:
            products += _operations(contracted.rows, leaves, x)
        return passed if _PASS * _operations(passed.pair, leaves, rows, x) < products else contracted
    except Exception:  # a model without forward mode
        return contracted


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)


def _operations(function: Any, *args: Any) -> float:
    """Operations of a function, by XLA's count."""
    cost = function.lower(*args).cost_analysis()
    return float((cost[0] if isinstance(cost, list) else cost)["flops"])
