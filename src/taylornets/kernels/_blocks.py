"""Blocks of an NTK for models that treat examples one by one: Jacobian rows, and how two blocks are multiplied."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array

from taylornets._trees import Segment, refuse_nan
from taylornets.kernels._products import Leaves
from taylornets.kernels._sides import Side
from taylornets.kernels._storage import Store
from taylornets.series import contains
from taylornets.two_layer import TwoLayerNetwork

_SMALL = 64  # rows up to which one program for the whole batch compiles faster than it runs
_ROWS = (256, 1024)  # of a block: large enough for efficient products
_PARTS = 8  # blocks a side, of which 9/16 of the pairs are computed
_SHARE = 1 / 16  # of the memory, for the Jacobian rows of one block
_STORED = 1 / 4  # of the memory, for the Jacobian rows of all blocks
# A pass over a block has smaller products than a contraction: it must count at most half of the operations.
_PASS = 2.0


class Blocks:
    """A model on blocks of examples.

    Args:
        leaves: the parameters that move.
        side: the batch.
        size: examples per block.
        way: how rows are represented and multiplied.
        stored: whether the rows of all blocks fit into memory.
    """

    def __init__(self, leaves: Leaves, side: Side, size: int, way: "_Contraction", stored: bool):
        self.leaves, self.side, self.size, self.way, self.stored = leaves, side, size, way, stored
        self.outputs = math.prod(side.shape[1:])

    @staticmethod
    def of(here: Segment, side: Side, limit: float, batch_size: int | None, custom_vjp: str) -> "Blocks | None":
        """Returns the blocks, or None for a model that needs the whole batch."""
        leaves, (n, c) = here.start, (side.shape[0], math.prod(side.shape[1:]))
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((leaves, side.x)))
        if side.closed is None or traced:
            return None
        net = here.line.f
        way: _Contraction
        if isinstance(net, TwoLayerNetwork) and len(leaves) == 1 and jnp.shape(leaves[0]) == net.w0.shape:
            way = _Closed(net)
        else:
            special = custom_vjp != "rule" and contains(side.closed, "custom_vjp_call")
            if n * c <= _SMALL or special or not _independent(here, side):
                return None
            way = _Contraction(lambda leaves, x: here.model((x,))(leaves), side.dtype)
        parameters = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        size = Blocks.size_of(n, c, parameters, limit, batch_size)
        found = Blocks(leaves, side, size, way, way.bytes_per_row(parameters) * n * c <= _STORED * limit)
        try:
            rows = jax.eval_shape(way.rows, leaves, found.block(side.x, n, 0))
        except Exception:  # whatever a model cannot do under `vmap`
            return None
        if type(way) is _Contraction and way.pass_is_cheaper(leaves, rows, found):
            found.way = _Columns(way.model, way.dtype)
        return found

    @staticmethod
    def size_of(n: int, c: int, parameter_bytes: int, limit: float, batch_size: int | None) -> int:
        """Returns the number of examples per block."""
        if batch_size is not None:
            return min(n, -(-batch_size // c))
        low, high = _ROWS
        rows = min(max(low, -(-n * c // _PARTS)), high, max(1.0, _SHARE * limit / max(parameter_bytes, 1)))
        return min(n, max(1, int(rows) // c))

    def block(self, x: Any, n: int, i: int) -> Any:
        """The examples of a block; the last one repeats the last example."""
        chosen = np.minimum(np.arange(i * self.size, (i + 1) * self.size), n - 1)
        return jax.tree.map(lambda a: jnp.asarray(a)[chosen], x)

    def fill(self, store: Store, progress: Callable[[float], None] | None) -> None:
        """Computes the kernel, one row of blocks at a time."""
        n, count = self.side.shape[0], -(-self.side.shape[0] // self.size)
        store.begin(self.size, *self.leaves, *jax.tree.leaves(self.side.x))
        cache: dict[int, Any] = {}
        for i in range(store.done, count):
            mine = self._rows(i, cache)
            for j in range(i, count):
                theirs = self._rows(j, cache) if self.way.needs_rows else self.block(self.side.x, n, j)
                store.write(self._slice(i, n), self._slice(j, n), np.asarray(self.way.pair(self.leaves, mine, theirs)))
            cache.pop(i, None)
            store.finish_row()
            if progress is not None:
                progress((i + 1) * (2 * count - i) / (count * (count + 1)))

    def across(self, other: Side) -> Array:
        """Computes the block between two batches, shape `(rows, rows of the other)`."""
        n, n2 = self.side.shape[0], other.shape[0]
        values = np.empty((n * self.outputs, n2 * self.outputs), other.dtype)
        refuse_nan(_compiled(other)(self.leaves, other.x), {other.name: other.x})
        for j in range(-(-n2 // self.size)):
            x2 = self.block(other.x, n2, j)
            theirs = self.way.rows(self.leaves, x2) if self.way.needs_rows else x2
            for i in range(-(-n // self.size)):
                rows, columns = self._slice(i, n), self._slice(j, n2)
                block = np.asarray(self.way.pair(self.leaves, self._rows(i, {}), theirs))
                values[rows, columns] = block[: rows.stop - rows.start, : columns.stop - columns.start]
        return jnp.asarray(values)

    def diagonal(self) -> Array:
        """Computes the squared norms of the Jacobian rows."""
        n = self.side.shape[0]
        parts = [self.way.squares(self._rows(i, {})) for i in range(-(-n // self.size))]
        return jnp.concatenate(parts)[: n * self.outputs]

    def _rows(self, i: int, cache: dict[int, Any]) -> Any:
        if i in cache:
            return cache[i]
        found = self.way.rows(self.leaves, self.block(self.side.x, self.side.shape[0], i))
        if self.stored:
            cache[i] = found
        return found

    def _slice(self, i: int, n: int) -> slice:
        return slice(i * self.size * self.outputs, min((i + 1) * self.size, n) * self.outputs)


class _Contraction:
    """Jacobian rows of both blocks, multiplied with each other."""

    needs_rows = True

    def __init__(self, model: Callable[[Leaves, Any], Array], dtype: Any):
        self.model, self.dtype = model, dtype
        self.wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
        self.rows, self.pair, self.squares = jax.jit(self._rows), jax.jit(self._pair), jax.jit(self._squares)

    def bytes_per_row(self, parameter_bytes: int) -> int:
        """Memory of one row."""
        return parameter_bytes

    def _rows(self, leaves: Leaves, x: Any) -> Leaves:
        """Returns the gradients of all outputs of a block: for each leaf, shape `(b c, size)`."""

        def one(example: Any) -> Leaves:
            batch = jax.tree.map(lambda a: a[None], example)
            values, pull_back = jax.vjp(lambda leaves: self.model(leaves, batch).reshape(-1), leaves)
            return jax.vmap(lambda u: pull_back(u)[0])(jnp.eye(values.size, dtype=values.dtype))

        return [leaf.reshape(leaf.shape[0] * leaf.shape[1], -1) for leaf in jax.vmap(one)(x)]

    def _pair(self, leaves: Leaves, mine: Leaves, theirs: Leaves) -> Array:
        del leaves
        total = jnp.zeros((mine[0].shape[0], theirs[0].shape[0]), self.wide)
        for a, b in zip(mine, theirs, strict=True):
            for part in (jnp.real, jnp.imag) if jnp.iscomplexobj(a) else (jnp.asarray,):
                left, right = (part(side).astype(self.wide) for side in (a, b))
                total = total + jnp.matmul(left, right.T, precision=lax.Precision.HIGHEST)
        return total.astype(self.dtype)

    def _squares(self, rows: Leaves) -> Array:
        return sum(jnp.sum(jnp.abs(leaf) ** 2, axis=1) for leaf in rows).astype(self.dtype)  # pyright: ignore

    def pass_is_cheaper(self, leaves: Leaves, rows: Leaves, blocks: Blocks) -> bool:
        """Whether forward passes of rows over a block count fewer operations than their products."""
        x = jax.eval_shape(lambda: blocks.block(blocks.side.x, blocks.side.shape[0], 0))
        if any(jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in rows):
            return False
        height = rows[0].shape[0]
        products = 2.0 * height**2 * sum(leaf.shape[1] for leaf in rows)
        try:
            if not blocks.stored:
                products += _operations(self.rows, leaves, x)
            return _PASS * _operations(_Columns(self.model, self.dtype).pair, leaves, rows, x) < products
        except Exception:  # a model without forward mode
            return False


class _Columns(_Contraction):
    """Jacobian rows of one block, pushed forward through the model on the other one."""

    needs_rows = False

    def _pair(self, leaves: Leaves, mine: Leaves, theirs: Any) -> Array:
        def push(row: Leaves) -> Array:
            tangent = [a.reshape(leaf.shape) for a, leaf in zip(row, leaves, strict=True)]
            return jax.jvp(lambda leaves: self.model(leaves, theirs).reshape(-1), (leaves,), (tangent,))[1]

        return jax.vmap(push)(mine)


class _Closed(_Contraction):
    """Two-layer networks: slopes and inputs instead of Jacobian rows."""

    def __init__(self, net: TwoLayerNetwork):
        self.net = net
        super().__init__(lambda leaves, x: net(leaves[0], x), net.w0.dtype)

    def bytes_per_row(self, parameter_bytes: int) -> int:
        return parameter_bytes // max(self.net.inputs, 1)

    def _rows(self, leaves: Leaves, x: Any) -> Leaves:
        slopes = self.net.activation.derivative(1)(x @ (self.net.w0 + leaves[0]).T) / math.sqrt(self.net.width)
        return [(slopes[:, None, :] * self.net.a.T).reshape(-1, self.net.width), x]

    def _pair(self, leaves: Leaves, mine: Leaves, theirs: Leaves) -> Array:
        del leaves
        (left, x1), (right, x2) = mine, theirs
        inner = jnp.matmul(x1, x2.T, precision=lax.Precision.HIGHEST)
        c = self.net.outputs
        return jnp.matmul(left, right.T, precision=lax.Precision.HIGHEST) * jnp.repeat(jnp.repeat(inner, c, 0), c, 1)

    def _squares(self, rows: Leaves) -> Array:
        left, x = rows
        return jnp.sum(left**2, axis=1) * jnp.repeat(jnp.sum(x**2, axis=1), self.net.outputs)


def _compiled(side: Side) -> Callable[[Leaves, Any], Array]:
    return jax.jit(lambda leaves, _: side.function(leaves))


def _independent(here: Segment, side: Side) -> bool:
    """Whether the outputs of the first and the last example do not depend on the other examples."""
    values = jax.jit(side.function)(here.start).reshape(side.shape[0], -1)
    refuse_nan(values, {side.name: side.x})
    if side.shape[0] == 1:
        return True
    scale, tolerance = float(jnp.max(jnp.abs(values))), math.sqrt(float(jnp.finfo(side.dtype).eps))
    alone = jax.jit(lambda leaves, x: here.model((x,))(leaves))
    for i in (0, side.shape[0] - 1):
        try:
            found = alone(here.start, jax.tree.map(lambda a, i=i: jnp.asarray(a)[i : i + 1], side.x))
        except Exception:  # a model that needs batches of its own size
            return False
        if found.size != values.shape[1] or float(jnp.max(jnp.abs(found.reshape(-1) - values[i]))) > tolerance * scale:
            return False
    return True


def _operations(function: Any, *args: Any) -> float:
    """Operations of a compiled function, by XLA's count."""
    cost = function.lower(*args).cost_analysis()
    return float((cost[0] if isinstance(cost, list) else cost)["flops"])
