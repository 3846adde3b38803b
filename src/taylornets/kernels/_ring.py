"""Blocks of an NTK whose examples are sharded over several devices.

Every device computes the Jacobian rows of its own examples, in parts. For two parts `a ≤ b`, the rows of part `b` travel around
the devices, and each device multiplies the rows that pass with its own rows of part `a`. For `a = b`, half of the way suffices,
since the kernel is symmetric, and the mirrored blocks are exchanged. Every device computes equally many blocks, and keeps the
rows of the kernel that belong to its examples.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array

from taylornets._checks import host
from taylornets.kernels._products import Leaves, products
from taylornets.kernels._sides import Side
from taylornets.kernels._spread import Spread
from taylornets.kernels._storage import SymmetricMatrix
from taylornets.kernels._ways import Way

_NOWHERE = PartitionSpec()


class Ring:
    """The kernel in blocks on several devices.

    Args:
        way: how rows are represented and multiplied.
        leaves: the parameters that move.
        spread: the examples.
        size: examples per device in one part.
        outputs: outputs of one example.
        stored: whether the rows of all examples fit into memory.
    """

    def __init__(self, way: Way, leaves: Leaves, spread: Spread, size: int, outputs: int, stored: bool):
        self.way, self.leaves, self.spread, self.stored = way, leaves, spread, stored
        self.count, self.outputs = spread.count, outputs
        self.own = jax.tree.leaves(spread.x)[0].shape[0] // self.count
        self.size = min(size, self.own)
        self.parts = -(-self.own // self.size)
        rows = spread.rows
        self._rows_of = spread.mapped(
            lambda leaves, x, some: way.rows(leaves, _taken(x, some)), _NOWHERE, rows, _NOWHERE
        )
        self._part = spread.mapped(_taken, rows, _NOWHERE)
        self._half = spread.mapped(lambda *given: self._turned(*given, half=True), _NOWHERE, rows, rows)
        self._whole = spread.mapped(lambda *given: self._turned(*given, half=False), _NOWHERE, rows, rows)
        self._alone = spread.mapped(lambda *given: way.pair(*given)[:, None], _NOWHERE, rows, _NOWHERE)
        self._squares = spread.mapped(way.squares, rows)

    def works(self) -> bool:
        """Whether the model can be evaluated by each device on its own; a constraint on its shardings, for example, cannot."""
        given = self.leaves, self.spread.x, self._some(0)
        try:
            self._rows_of.lower(*given)
            rows, part = jax.eval_shape(self._rows_of, *given), jax.eval_shape(self._part, *given[1:])
            self._half.lower(self.leaves, rows, rows if self.way.needs_rows else part)
        except Exception:
            return False
        return True

    def gram(self, progress: Callable[[float], None] | None) -> Array:
        """Computes the kernel, shape `(rows, rows)`; its rows stay with their examples."""
        panels = {(a, b): panel for a, b, panel in self._panels(0, progress)}

        def join(panels: dict[tuple[int, int], Array]) -> Array:
            def panel(a: int, b: int) -> Array:
                return panels[a, b] if a <= b else self._mirrored(panels[b, a])

            return self._in_rows(
                [self._in_columns([panel(a, b) for b in range(self.parts)], self.own) for a in range(self.parts)]
            )

        return self.spread.joined(join)(panels)

    def fill(self, store: SymmetricMatrix, progress: Callable[[float], None] | None) -> None:
        """Writes the kernel to the host, one row of parts at a time."""
        store.begin(self.size, self.count, *self.leaves, *jax.tree.leaves(self.spread.x))
        shape = 2 * (self.count, self.size * self.outputs)
        for a, b, panel in self._panels(store.done, progress):
            values = host(panel).reshape(shape)
            for d in range(self.count):
                for e in range(d if a == b else 0, self.count):
                    store.write(self._slice(d, a), self._slice(e, b), values[d, :, e])
            if b == self.parts - 1:
                store.finish_row()

    def across(self, other: Side) -> Array:
        """Computes the block between two batches, shape `(rows, rows of the other)`."""
        spread = other.spread
        same = spread is not None and (spread.mesh, spread.axes) == (self.spread.mesh, self.spread.axes)
        own = other.shape[0] // (self.count if same else 1)
        size = min(self.size, own)
        panels: list[list[Array]] = [[] for _ in range(self.parts)]
        cache: dict[int, Any] = {}
        for b in range(-(-own // size)):
            some = _chosen(b, size, own)
            if spread is not None and same:
                theirs = (
                    self._rows_of(self.leaves, spread.x, some) if self.way.needs_rows else self._part(spread.x, some)
                )
            else:
                theirs = _taken(other.x, some)
                theirs = self.way.rows(self.leaves, theirs) if self.way.needs_rows else theirs
            for a in range(self.parts):
                panels[a].append((self._whole if same else self._alone)(self.leaves, self._rows(a, cache), theirs))
        return self.spread.joined(lambda panels: self._in_rows([self._in_columns(row, own) for row in panels]))(panels)

    def diagonal(self) -> Array:
        """Computes the squared norms of the Jacobian rows."""
        parts = [self._squares(self._rows(a, {})) for a in range(self.parts)]
        return self.spread.joined(self._in_rows)(parts)

    def product(self, model: Callable[[Leaves, Any], Array], custom_vjp: str) -> Callable[[Array], Array] | None:
        """Returns the product with a vector, which moves only a gradient; None if a mode of differentiation is missing."""
        complete: list[bool] = []

        def one(leaves: Leaves, x: Any, v: Array) -> Array:
            closed = jax.make_jaxpr(lambda leaves: model(leaves, x))(leaves)
            made = products(lambda leaves: model(leaves, x).reshape(-1), closed, leaves, custom_vjp)
            complete.append(made.forward is not None and made.backward is not None)
            if made.backward is None or made.forward is None:
                return v
            return made.round_trip(v, lambda leaf: lax.psum(leaf, self.spread.axes))

        program = self.spread.mapped(one, _NOWHERE, self.spread.rows, self.spread.rows)
        jax.eval_shape(program, self.leaves, self.spread.x, jnp.zeros(self.count * self.own * self.outputs))
        return (lambda v: program(self.leaves, self.spread.x, v)) if all(complete) else None

    def _panels(self, first: int, progress: Callable[[float], None] | None) -> Iterator[tuple[int, int, Array]]:
        """Yields the pairs of parts `a ≤ b` and their blocks, shape `(rows of a, devices, rows of b on one device)`."""
        cache: dict[int, Any] = {}
        for a in range(first, self.parts):
            mine = self._rows(a, cache)
            for b in range(a, self.parts):
                theirs = self._rows(b, cache) if self.way.needs_rows else self._part(self.spread.x, self._some(b))
                yield a, b, (self._half if a == b else self._whole)(self.leaves, mine, theirs)
            cache.pop(a, None)
            if progress is not None:
                progress((a + 1) * (2 * self.parts - a) / (self.parts * (self.parts + 1)))

    def _turned(self, leaves: Leaves, mine: Leaves, theirs: Any, half: bool) -> Array:
        """On one device: its rows times those of all devices, shape `(rows, devices, rows of the other)`."""
        axes, count = self.spread.axes, self.count
        place = lax.axis_index(axes)
        onward = [(i, (i - 1) % count) for i in range(count)]

        def step(theirs: Any, _: None) -> tuple[Any, Array]:
            block = self.way.pair(leaves, mine, theirs)
            return jax.tree.map(lambda a: lax.ppermute(a, axes, onward), theirs), block

        steps = count // 2 + 1 if half else count
        blocks = lax.scan(step, theirs, None, length=steps)[1]
        if half and count % 2 == 0:  # two devices meet halfway; the first one's block is kept
            blocks = blocks.at[-1].set(jnp.where(place < count // 2, blocks[-1], 0))
        places = (place + jnp.arange(steps)) % count
        empty = jnp.zeros((count, *blocks.shape[1:]), blocks.dtype)
        panel = empty.at[places].set(blocks)
        if half:
            sent = empty.at[places[1:]].set(jnp.swapaxes(blocks[1:], 1, 2))
            panel = panel + lax.all_to_all(sent, axes, 0, 0, tiled=True)
        return jnp.swapaxes(panel, 0, 1)

    def _mirrored(self, panel: Array) -> Array:
        rows = panel.shape[-1]
        whole = panel.reshape(self.count, rows, self.count, rows)
        return jnp.transpose(whole, (2, 3, 0, 1)).reshape(-1, self.count, rows)

    def _in_columns(self, panels: list[Array], own: int) -> Array:
        """Joins blocks along their columns, the last axis, without the rows that pad the last part."""
        joined = jnp.concatenate(panels, axis=-1)[..., : own * self.outputs]
        return joined.reshape(joined.shape[0], -1)

    def _in_rows(self, panels: list[Array]) -> Array:
        """Joins blocks along their rows, the first axis."""
        parts = [panel.reshape(self.count, self.size * self.outputs, *panel.shape[1:]) for panel in panels]
        joined = jnp.concatenate(parts, axis=1)[:, : self.own * self.outputs]
        return joined.reshape(-1, *joined.shape[2:])

    def _rows(self, a: int, cache: dict[int, Any]) -> Leaves:
        if a in cache:
            return cache[a]
        found = self._rows_of(self.leaves, self.spread.x, self._some(a))
        if self.stored:
            cache[a] = found
        return found

    def _some(self, a: int) -> Array:
        return _chosen(a, self.size, self.own)

    def _slice(self, device: int, a: int) -> slice:
        begin, end = self.own * device + self.size * a, self.own * (device + 1)
        return slice(begin * self.outputs, min(begin + self.size, end) * self.outputs)


def _chosen(i: int, size: int, count: int) -> Any:
    """The examples of a part; the last one repeats the last example."""
    return np.minimum(np.arange(i * size, (i + 1) * size), count - 1)


def _taken(x: Any, some: Any) -> Any:
    return jax.tree.map(lambda a: jnp.asarray(a)[some], x)
