"""Blocks of an NTK, for models that treat examples one by one."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from taylornets import _devices
from taylornets._checks import host
from taylornets._trees import Segment, refuse_nan
from taylornets.kernels._products import Leaves
from taylornets.kernels._ring import Ring
from taylornets.kernels._sides import Side
from taylornets.kernels._storage import SymmetricMatrix
from taylornets.kernels._ways import Way, cheaper, closed_form, contraction
from taylornets.series import contains
from taylornets.two_layer import TwoLayerNetwork

_SMALL = 64  # rows up to which one program for the whole batch compiles faster than it runs
_ROWS = (256, 1024)  # of a block: large enough for efficient products
_ROWS_WHOLE = (4096, 16384)  # on an accelerator
_PARTS = 8  # blocks a side, of which 9/16 of the pairs are computed
_SHARE = 1 / 16  # of the memory, for the Jacobian rows of one block
_STORED = 1 / 4  # of the memory, for the Jacobian rows of all blocks


class Blocks:
    """A model on blocks of examples.

    Args:
        leaves: the parameters that move.
        side: the batch.
        size: examples per block.
        way: how rows are represented and multiplied.
        stored: whether the rows of all blocks fit into memory.
    """

    def __init__(self, leaves: Leaves, side: Side, size: int, way: Way, stored: bool):
        self.leaves, self.side, self.size, self.way, self.stored = leaves, side, size, way, stored
        self.outputs = math.prod(side.shape[1:])

    @staticmethod
    def of(here: Segment, side: Side, limit: float, batch_size: int | None, custom_vjp: str) -> "Blocks | Ring | None":
        """Returns the blocks, or None for a model that needs the whole batch; `limit` is that of all devices together."""
        leaves, (n, c) = here.start, (side.shape[0], math.prod(side.shape[1:]))
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((leaves, side.x)))
        if side.closed is None or traced:
            return None
        net = here.line.f
        if isinstance(net, TwoLayerNetwork) and len(leaves) == 1 and jnp.shape(leaves[0]) == net.w0.shape:
            way = closed_form(net)
        else:
            special = custom_vjp != "rule" and contains(side.closed, "custom_vjp_call")
            if n * c <= _SMALL or special or not _independent(here, side):
                return None
            way = contraction(lambda leaves, x: here.model((x,))(leaves), side.dtype)
        parameters = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        devices = side.spread.count if side.spread is not None else 1
        size = Blocks.size_of(n // devices, c, parameters, limit / devices, batch_size)
        found = Blocks(leaves, side, size, way, parameters // way.rows_share * n * c <= _STORED * limit)
        try:
            rows = jax.eval_shape(way.rows, leaves, found.block(side.x, n, 0))
        except Exception:  # whatever a model cannot do under `vmap`
            return None
        if way.model is not None:
            x = found.block(side.x, n, 0)
            found.way = cheaper(way.model, side.dtype, found.stored, leaves, rows, x)
        if side.spread is None:
            return found
        ring = Ring(found.way, leaves, side.spread, size, c, found.stored)
        return ring if ring.works() else found

    @staticmethod
    def size_of(n: int, c: int, parameter_bytes: int, limit: float, batch_size: int | None) -> int:
        """Returns the number of examples per block."""
        if batch_size is not None:
            return min(n, -(-batch_size // c))
        low, high = _ROWS if _devices.layout() == _devices.CACHE else _ROWS_WHOLE
        rows = min(max(low, -(-n * c // _PARTS)), high, max(1.0, _SHARE * limit / max(parameter_bytes, 1)))
        return min(n, max(1, int(rows) // c))

    def block(self, x: Any, n: int, i: int) -> Any:
        """The examples of a block; the last one repeats the last example."""
        chosen = np.minimum(np.arange(i * self.size, (i + 1) * self.size), n - 1)
        return jax.tree.map(lambda a: jnp.asarray(a)[chosen], x)

    def fill(self, store: SymmetricMatrix, progress: Callable[[float], None] | None) -> None:
        """Computes the kernel, one row of blocks at a time."""
        n, count = self.side.shape[0], -(-self.side.shape[0] // self.size)
        store.begin(self.size, *self.leaves, *jax.tree.leaves(self.side.x))
        cache: dict[int, Any] = {}
        for i in range(store.done, count):
            mine = self._rows(i, cache)
            for j in range(i, count):
                theirs = self._rows(j, cache) if self.way.needs_rows else self.block(self.side.x, n, j)
                store.write(self._slice(i, n), self._slice(j, n), host(self.way.pair(self.leaves, mine, theirs)))
            cache.pop(i, None)
            store.finish_row()
            if progress is not None:
                progress((i + 1) * (2 * count - i) / (count * (count + 1)))

    def gram(self, progress: Callable[[float], None] | None) -> Array:
        """Computes the kernel, shape `(rows, rows)`; a single block is not transferred."""
        if self.size < self.side.shape[0]:
            rows = self.side.shape[0] * self.outputs
            store = SymmetricMatrix.in_memory((rows, rows), self.side.dtype)
            self.fill(store, progress)
            return jnp.asarray(store.values)
        x = self.block(self.side.x, self.size, 0)
        rows = self.way.rows(self.leaves, x)
        return self.way.pair(self.leaves, rows, rows if self.way.needs_rows else x)

    def across(self, other: Side) -> Array:
        """Computes the block between two batches, shape `(rows, rows of the other)`."""
        n, n2 = self.side.shape[0], other.shape[0]
        values = np.empty((n * self.outputs, n2 * self.outputs), other.dtype)
        for j in range(-(-n2 // self.size)):
            x2 = self.block(other.x, n2, j)
            theirs = self.way.rows(self.leaves, x2) if self.way.needs_rows else x2
            for i in range(-(-n // self.size)):
                rows, columns = self._slice(i, n), self._slice(j, n2)
                block = host(self.way.pair(self.leaves, self._rows(i, {}), theirs))
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
