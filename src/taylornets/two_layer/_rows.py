"""Rows that stay outside the devices: memory-mapped arrays, and sources that yield blocks of rows.

A program that runs over blocks of examples asks for each block when it needs it (`taylornets.two_layer._passes`), so a device
holds one block of `READ_BYTES` at a time, whatever the number of rows. A memory-mapped array is read at any place; a source is
iterated from its beginning once per pass. Arrays with one entry per row (targets, weights, outputs, dual vectors) are stored.
"""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checks

READ_BYTES = 2**24
_HEAD = 1024
_PAIRS = "Each block is a pair (x, y) with shapes (b, {d}) and (b,) or (b, outputs)."
_AGAIN = "Pass a list of blocks, or an object whose __iter__ begins a new pass, not a generator."


class HostRows:
    """The examples of a data set, read in blocks; created by `HostRows.of`.

    Attributes:
        shape: `(n, d)`.
        dtype: the floating dtype in which blocks are delivered.
        targets: the targets that the source yields along with the rows; None for memory-mapped arrays.
        head: the first rows, for checks of a model on examples.
        failure: the error that ended the last pass, if any: a compiled program cannot raise it itself.
    """

    def __init__(self, values: Any, rows: int, dtype: np.dtype, head: np.ndarray, targets: np.ndarray | None = None):
        self.shape, self.dtype, self.head, self.targets = (rows, head.shape[1]), dtype, head, targets
        self.failure: Exception | None = None
        self._values, self._lock = values, threading.Lock()
        self._pass: _Pass | None = None

    @classmethod
    def of(cls, x: Any, inputs: int) -> "HostRows":
        """Validates a memory-mapped array or a source of pairs `(x, y)` in one pass.

        Raises:
            ArgumentError: for a wrong shape, NaN or infinity, no rows, or a source that can be iterated only once.
        """
        if isinstance(x, np.memmap):
            return _mapped(x, inputs)
        if isinstance(x, Iterator):
            raise _checks.ArgumentError("x", "blocks that can be iterated several times", "an iterator", _AGAIN)
        total, head, targets = 0, np.zeros((0, inputs)), []
        for block in x:
            rows, y = _pair(block, inputs)
            total, head, targets = total + len(rows), head if total else rows[:_HEAD].copy(), [*targets, y]
        if not total:
            raise _checks.ArgumentError("x", "at least one block of rows", "none")
        return cls(x, total, head.dtype, head, _joined(targets))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the rows `start..stop`, as far as they exist."""
        stop = min(stop, self.shape[0])
        with self._lock:
            if isinstance(self._values, np.memmap):
                return np.asarray(self._values[start:stop], self.dtype)
            if self._pass is None or self._pass.position != start:
                self._pass = _Pass(self._values, self.shape[1], self.dtype)
                self._pass.skip(start)
            return self._pass.take(stop - start)

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """Returns the rows of these numbers; memory-mapped arrays only."""
        return np.asarray(self._values[chosen], self.dtype)

    @property
    def addressable(self) -> bool:
        """Whether single rows can be read."""
        return isinstance(self._values, np.memmap)


class _Pass:
    """One iteration of a source, as a stream of rows of one dtype."""

    def __init__(self, blocks: Iterable[Any], inputs: int, dtype: np.dtype):
        self._blocks, self._inputs, self._dtype = iter(blocks), inputs, dtype
        self._left = np.zeros((0, inputs), dtype)
        self.position = 0

    def skip(self, count: int) -> None:
        while self.position < count:
            self.take(min(count - self.position, max(len(self._left), 1)))

    def take(self, count: int) -> np.ndarray:
        parts: list[np.ndarray] = []
        while count:
            if not len(self._left):
                block = next(self._blocks, None)
                if block is None:
                    got = f"a pass that ended after {self.position} rows"
                    raise _checks.ArgumentError("x", "the same rows in every pass", got, _AGAIN)
                self._left = _pair(block, self._inputs, self._dtype)[0]
            part, self._left = self._left[:count], self._left[count:]
            parts, count = [*parts, part], count - len(part)
            self.position += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def is_rows(x: Any) -> bool:
    """Whether the argument holds rows outside the devices: a memory-mapped array, or an iterable of blocks, not an array."""
    if isinstance(x, np.memmap):
        return True
    if isinstance(x, list | tuple):
        return bool(x) and isinstance(x[0], tuple) and len(x[0]) == 2 and np.ndim(x[0][0]) == 2
    array_like = isinstance(x, str | bytes | dict) or hasattr(x, "__array__") or hasattr(x, "shape")
    return isinstance(x, Iterable) and not array_like


def blocks_of(x: Any, inputs: int) -> Iterator[np.ndarray]:
    """Yields the rows of a memory-mapped array or of an iterable of blocks, `x` or `(x, y)`, block by block."""
    if not isinstance(x, np.memmap):
        for block in x:
            yield _checked(block[0] if isinstance(block, tuple) else block, inputs)
        return
    rows = _mapped_shape(x, inputs)
    size = rows_per_read(inputs, x.dtype.itemsize)
    for start in range(0, rows, size):
        yield _checked(x[start : start + size], inputs)


def rows_per_read(inputs: int, itemsize: int) -> int:
    """The number of rows that are read at a time."""
    return max(READ_BYTES // (inputs * itemsize), 1)


@contextmanager
def failures_raised(x: Any) -> Generator[None]:
    """Raises the error of a source in place of the one with which the compiled program ended."""
    try:
        yield
    except Exception:
        rows = getattr(x, "rows", None)
        if isinstance(rows, HostRows) and rows.failure is not None:
            raise rows.failure from None
        raise


def _mapped(x: np.memmap, inputs: int) -> HostRows:
    rows = _mapped_shape(x, inputs)
    size = rows_per_read(inputs, x.dtype.itemsize)
    for start in range(0, rows, size):
        _checked(x[start : start + size], inputs)
    head = _checked(x[:_HEAD], inputs).copy()
    return HostRows(x, rows, head.dtype, head)


def _mapped_shape(x: np.memmap, inputs: int) -> int:
    if x.ndim != 2 or x.shape[1] != inputs or not x.shape[0]:
        raise _checks.ArgumentError("x", f"a memory-mapped array of shape (n, {inputs})", f"shape {x.shape}")
    return x.shape[0]


def _pair(block: Any, inputs: int, dtype: np.dtype | None = None) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(block, tuple | list) or len(block) != 2:
        advice = _PAIRS.format(d=inputs)
        raise _checks.ArgumentError("x", "blocks (x, y)", f"a block that is {_checks.shown(block)}", advice)
    rows, y = _checked(block[0], inputs, dtype), np.asarray(block[1])
    if y.ndim == 0 or len(y) != len(rows):
        expected, got = f"{len(rows)} targets for a block of {len(rows)} rows", f"shape {y.shape}"
        raise _checks.ArgumentError("y", expected, got, _PAIRS.format(d=inputs))
    return rows, y


def _checked(block: Any, inputs: int, dtype: np.dtype | None = None) -> np.ndarray:
    """Validates a block of rows; returns it in a dtype, by default the one that JAX would give it in this thread."""
    found = np.asarray(block)
    if found.ndim != 2 or found.shape[1] != inputs:
        raise _checks.ArgumentError("x", f"blocks of shape (b, {inputs})", f"a block of shape {found.shape}")
    if found.dtype.kind not in "fiub" and not jnp.issubdtype(found.dtype, jnp.floating):
        raise _checks.ArgumentError("x", "real numbers", f"dtype {found.dtype}")
    if dtype is None:
        known = found.dtype if jnp.issubdtype(found.dtype, jnp.floating) else np.dtype(float)
        dtype = jax.dtypes.canonicalize_dtype(known)
    found = found.astype(dtype, copy=False)
    bad = int(found.size - np.isfinite(found).sum())
    if bad:
        raise _checks.ArgumentError(
            "x", "finite numbers", f"{bad} NaN or infinite in a block", "Remove or impute them."
        )
    return found


def _joined(targets: list[np.ndarray]) -> np.ndarray:
    if len({y.shape[1:] for y in targets}) > 1:
        shapes = sorted({str(y.shape[1:]) for y in targets})
        raise _checks.ArgumentError("y", "targets of one shape in all blocks", " and ".join(shapes))
    return np.concatenate(targets)
