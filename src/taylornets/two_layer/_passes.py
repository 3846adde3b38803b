"""Loops over blocks of examples, on the device or read from the host as the loop reaches them.

A `RowBlocks` takes the place of the array of blocks. A loop then has two levels: the outer one reads a group of blocks from
the host (`jax.pure_callback`), the inner one runs over the blocks of the group.
"""

import itertools
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from taylornets import _checks
from taylornets.two_layer._rows import HostRows

_sources: dict[int, HostRows] = {}
_numbers = itertools.count()


class RowBlocks(eqx.Module):
    """Blocks of rows on the host, with the shape and dtype of the array of blocks that they replace.

    The source is identified by a number, an argument of the compiled programs: they neither hold nor depend on the data.

    Attributes:
        token: the number of the source.
        shape: `(blocks, b, d)`; `blocks` is a multiple of `group`.
        group: the number of blocks that are read at a time.
        dtype: the dtype of the rows.
        addressable: whether single rows can be read.
    """

    token: Int[Array, ""]
    shape: tuple[int, int, int] = eqx.field(static=True)
    group: int = eqx.field(static=True)
    dtype: Any = eqx.field(static=True)
    addressable: bool = eqx.field(static=True)

    @classmethod
    def of(cls, rows: HostRows, size: int, group: int) -> "RowBlocks":
        """Cuts rows into blocks of `size`, and reads `group` of them at a time; the last ones are padded with zeros."""
        number, reads = next(_numbers), -(-rows.shape[0] // (size * group))
        token = jnp.asarray(number, jnp.int32)
        _sources[number] = rows
        weakref.finalize(token, _sources.pop, number, None)
        return cls(token, (reads * group, size, rows.shape[1]), group, rows.dtype, rows.addressable)

    @property
    def rows(self) -> HostRows:
        """The source."""
        return _sources[int(self.token)]

    def read(self, index: Int[Array, ""]) -> Float[Array, "group b d"]:
        """Reads one group of blocks."""
        shape = (self.group, *self.shape[1:])
        return _fetched(partial(_read, shape=shape), shape, self.dtype, self.token, index)

    def take(self, chosen: Int[Array, " size"]) -> Float[Array, "size d"]:
        """Reads single rows."""
        if not self.addressable:
            advice = "Use a memory-mapped array, or a method that passes over all rows."
            raise _checks.ArgumentError("x", "rows with random access for minibatches", "a source of blocks", advice)
        return _fetched(_take, (chosen.shape[0], self.shape[2]), self.dtype, self.token, chosen)


def map_blocks(function: Callable[[Any], Any], blocks: Any) -> Any:
    """Applies a function to every block; a single block needs no loop."""
    found = _host_blocks(blocks)
    if found is not None:

        def group(item: Any) -> Any:
            return map_blocks(function, _with_rows(item, found))

        # Under reverse differentiation, rows are read again instead of stored.
        nested = lax.map(jax.checkpoint(group), _grouped(blocks, found))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), nested)
    if jax.tree.leaves(blocks)[0].shape[0] > 1:
        return lax.map(function, blocks)
    return jax.tree.map(lambda leaf: leaf[None], function(only_block(blocks)))


def fold_blocks(add: Callable[[Any, Any], Any], start: Any, blocks: Any) -> Any:
    """Folds a function over the blocks; a single block needs no loop."""
    found = _host_blocks(blocks)
    if found is not None:

        @jax.checkpoint
        def group(total: Any, item: Any) -> tuple[Any, None]:
            return fold_blocks(add, total, _with_rows(item, found)), None

        return lax.scan(group, start, _grouped(blocks, found))[0]
    if jax.tree.leaves(blocks)[0].shape[0] > 1:
        return lax.scan(lambda total, item: (add(total, item), None), start, blocks)[0]
    return add(start, only_block(blocks))


def only_block(blocks: Any) -> Any:
    """Removes the axis of the blocks if there is one block, without a copy."""
    return jax.tree.map(lambda leaf: lax.squeeze(leaf, (0,)), blocks)


def first_block(blocks: Any) -> Any:
    """Returns an item like the first block; rows on the host are zero."""

    def first(leaf: Any) -> Array:
        return jnp.zeros(leaf.shape[1:], leaf.dtype) if isinstance(leaf, RowBlocks) else leaf[0]

    return jax.tree.map(first, blocks, is_leaf=_is_host)


def _is_host(leaf: Any) -> bool:
    return isinstance(leaf, RowBlocks)


def _host_blocks(blocks: Any) -> RowBlocks | None:
    """The blocks on the host, if there are some; at most one leaf is of this kind."""
    return next(filter(_is_host, jax.tree.leaves(blocks, is_leaf=_is_host)), None)


def _grouped(blocks: Any, found: RowBlocks) -> Any:
    """Splits the blocks into groups; the number of the group takes the place of its rows."""
    reads = found.shape[0] // found.group

    def split(leaf: Any) -> Array:
        if _is_host(leaf):
            return jnp.arange(reads, dtype=jnp.int32)
        return leaf.reshape(reads, found.group, *leaf.shape[1:])

    leaves, structure = jax.tree.flatten(blocks, is_leaf=_is_host)
    return _Group(tuple(map(split, leaves)), structure, tuple(map(_is_host, leaves)))


class _Group(eqx.Module):
    """The leaves of a group of blocks."""

    leaves: tuple[Any, ...]
    structure: Any = eqx.field(static=True)
    hosts: tuple[bool, ...] = eqx.field(static=True)


def _with_rows(item: _Group, found: RowBlocks) -> Any:
    """Reads the rows of a group."""
    leaves = [found.read(leaf) if host else leaf for leaf, host in zip(item.leaves, item.hosts, strict=True)]
    return jax.tree.unflatten(item.structure, leaves)


def _fetched(callback: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: Any, *args: Array) -> Array:
    """Calls a function on the host.

    JAX converts what it returns to the precision of the thread that runs it, which ignores `jax.enable_x64` of the thread that
    called the program: numbers of 64 bits are therefore returned as pairs of integers.
    """
    if np.dtype(dtype).itemsize < 8:
        return jax.pure_callback(callback, jax.ShapeDtypeStruct(shape, dtype), *args)

    def pairs(*args: Any) -> np.ndarray:
        return np.ascontiguousarray(callback(*args)).view(np.uint32).reshape(*shape, 2)

    found = jax.pure_callback(pairs, jax.ShapeDtypeStruct((*shape, 2), np.uint32), *args)
    return lax.bitcast_convert_type(found, dtype)


def _read(token: Any, index: Any, *, shape: tuple[int, int, int]) -> np.ndarray:
    rows, count = _sources[int(token)], shape[0] * shape[1]
    try:
        block = rows.read(int(index) * count, (int(index) + 1) * count)
    except Exception as error:
        rows.failure = error
        raise
    padded = np.zeros((count, shape[2]), rows.dtype) if len(block) < count else block
    if padded is not block:
        padded[: len(block)] = block
    return padded.reshape(shape)


def _take(token: Any, chosen: Any) -> np.ndarray:
    return _sources[int(token)].take(np.asarray(chosen))
