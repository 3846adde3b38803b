"""Minibatches of arrays, reproducible from any step."""

from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex, overload

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from taylornets import _checks
from taylornets._trees import moves, rows

Batch = tuple[Any, Any]


class Batches(Sequence[Batch]):
    """A sequence of shuffled minibatches; batch `i` depends only on the key and `i`, so that a run can resume at any step.

    Every epoch is a new permutation of the examples; an incomplete last batch is dropped.

    Args:
        x: inputs, an array or a tree of arrays of shape `(n, ...)`.
        y: targets, an array or a tree of arrays of shape `(n, ...)`.
        batch_size: examples per batch, at most `n`.
        steps: number of batches.
        key: JAX random key for the permutations.

    Raises:
        ArgumentError: for mismatched lengths, or a batch size above `n`.

    Example:
        >>> import jax, numpy as np, taylornets as tn
        >>> data = tn.training.Batches(np.arange(6.0)[:, None], np.arange(6), batch_size=2, steps=100, key=jax.random.key(0))
        >>> len(data), data[99][0].shape
        (100, (2, 1))
    """

    def __init__(self, x: Any, y: Any, *, batch_size: int, steps: int, key: PRNGKeyArray):
        self.x, self.y = (jax.tree.map(_checks.host, part) for part in (x, y))
        self._rows = rows("x", self.x)
        if rows("y", self.y) != self._rows:
            raise _checks.ArgumentError("y", f"{self._rows} examples, as in x", f"{rows('y', self.y)}")
        self._size = _checks.integer("batch_size", batch_size, 1)
        if self._size > self._rows:
            raise _checks.ArgumentError("batch_size", f"at most the {self._rows} examples", str(batch_size))
        self._steps = _checks.integer("steps", steps, 1)
        self._key = key
        self._epoch = -1
        self._order = np.arange(0)

    def __len__(self) -> int:
        return self._steps

    @overload
    def __getitem__(self, index: SupportsIndex) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._steps))]
        chosen = self._chosen(range(self._steps)[index])  # raises IndexError, as a list does
        return jax.tree.map(lambda a: a[chosen], self.x), jax.tree.map(lambda a: a[chosen], self.y)

    def _chosen(self, step: int) -> np.ndarray:
        """Returns the examples of a batch."""
        epoch, place = divmod(step, self._rows // self._size)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.asarray(jax.random.permutation(jax.random.fold_in(self._key, epoch), self._rows))
        return self._order[place * self._size : (place + 1) * self._size]

    def first_with_nan(self, steps: int) -> int | None:
        """Returns the first of `count` batches whose inputs contain NaN."""
        bad = np.zeros(self._rows, bool)
        for leaf in jax.tree.leaves(self.x):
            if moves(leaf):
                bad |= np.isnan(leaf).reshape(self._rows, -1).any(axis=1)
        return next((step for step in range(steps) if bad[self._chosen(step)].any()), None) if bad.any() else None

    def __iter__(self) -> Iterator[Batch]:
        return (self[i] for i in range(self._steps))


def batches_from(batches: Any, first: int) -> Iterator[Batch]:
    """Yields the batches from number `first` on; a sequence is indexed directly."""
    if isinstance(batches, Sequence):
        return (batches[i] for i in range(first, len(batches)))
    iterator = iter(batches)
    for _ in range(first):
        next(iterator, None)
    return iterator


def check_batch(batch: Any, step: int) -> Batch:
    """Returns a batch as `(x, y)`; raises for other types."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        came = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
        raise _checks.ArgumentError("batches", "pairs (x, y)", f"{came} at step {step}")
    x, y = jax.tree.map(_checks.automatic, tuple(batch))
    n = rows(f"x of batch {step}", x)
    if rows(f"y of batch {step}", y) != n:
        raise _checks.ArgumentError("batches", "as many targets as inputs", f"{n} and {rows('y', y)} at step {step}")
    return x, y
