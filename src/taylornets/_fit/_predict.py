"""Predictions of rows that do not fit into memory, block by block."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checks
from taylornets.two_layer import Network, blocks_of


def predict_blocks(evaluate: Callable[[Any], Any], x: Any, net: Network, out: Any) -> Any:
    """Evaluates a model on blocks of rows; returns NumPy arrays, or writes to `out`.

    Args:
        evaluate: maps examples `(b, d)` to predictions: an array `(b, outputs)`, or a pair of arrays.
        x: a memory-mapped array or an iterable of blocks.
        net: the network.
        out: an array of shape `(n, outputs)`, or None.

    Returns:
        The predictions; `out` if given.
    """
    found, start, size = [], 0, 0
    for rows in blocks_of(x, net.inputs):
        size = max(size, len(rows))  # one shape, and so one program, for all blocks but longer ones
        padded = np.pad(rows, ((0, size - len(rows)), (0, 0))) if len(rows) < size else rows
        outputs = _cut(evaluate(jnp.asarray(padded)), len(rows))
        if out is None:
            found.append(outputs)
        else:
            stop = start + len(rows)
            if (
                isinstance(outputs, tuple)
                or np.ndim(out) != 2
                or np.shape(out)[1:] != outputs.shape[1:]
                or stop > len(out)
            ):
                _wrong_shape(out, net, f"at least {stop} rows")
            out[start:stop] = outputs
        start += len(rows)
    if not start:
        raise _checks.ArgumentError("x", "at least one block of rows", "none")
    if out is None:
        return jax.tree.map(lambda *parts: np.concatenate(parts), *found)
    if len(out) != start:
        _wrong_shape(out, net, f"{start} rows")
    return out


def _cut(outputs: Any, count: int) -> Any:
    """Moves the outputs of the first examples to the host."""
    return jax.tree.map(lambda a: np.asarray(a)[:count], outputs)


def _wrong_shape(out: Any, net: Network, rows: str) -> None:
    expected = f"an array of shape (n, {net.outputs}) for {rows} of x"
    raise _checks.ArgumentError("out", expected, _checks.shown(out), "Parts of a sum are returned without `out`.")
