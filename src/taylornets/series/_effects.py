"""Mutable arrays, converted to explicit values.

Equations read and write a reference without data flow between them. During evaluation, a `StateCell` represents the
reference and stores its current contents, an array or a series. For programs run by JAX (loops, branches, checkpoints),
`pure` turns the contents into arguments and results.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax.ref import Ref

from taylornets._checks import ArgumentError
from taylornets.series._series import TaylorSeries, Value, primal


class StateCell:
    """A mutable array of the program under evaluation.

    Attributes:
        value: its current contents.
    """

    def __init__(self, value: Value):
        self.value = value


def cells_of(values: Sequence[Any]) -> list[StateCell]:
    """Returns the distinct cells among the operands."""
    return list({id(v): v for v in values if isinstance(v, StateCell)}.values())


def contents(cells: Sequence[StateCell]) -> list[Value]:
    """Returns the contents of each cell."""
    return [cell.value for cell in cells]


def put(cells: Sequence[StateCell], values: Sequence[Value]) -> None:
    """Writes a value to each cell."""
    for cell, value in zip(cells, values, strict=True):
        cell.value = value


def pure(cells: Sequence[StateCell], function: Callable[..., Any]) -> Callable[..., tuple[list[Value], Any]]:
    """Turns `function`, which reads and writes the cells, into a pure function of their contents.

    Returns:
        A function of `(contents, *args)` that returns the final contents and the result of `function(*args)`; the cells
        themselves are unchanged.
    """

    def run(held: Sequence[Value], *args: Any) -> tuple[list[Value], Any]:
        before = contents(cells)
        put(cells, held)
        try:
            outs = function(*args)
            return contents(cells), outs
        finally:
            put(cells, before)

    return run


@contextmanager
def inside(consts: Sequence[Any]) -> Generator[list[Any]]:
    """Yields the constants of a program with a cell for each external reference; writes the contents back at the end.

    Raises:
        ArgumentError: if the program writes a value that depends on the parameters to such a reference. Outside code could
            read only its order-0 coefficient; JAX's own derivatives raise in this case as well.
    """
    known = {id(c): (c, StateCell(c[...])) for c in consts if isinstance(c, Ref)}
    before = {key: cell.value for key, (_, cell) in known.items()}
    yield [known[id(c)][1] if id(c) in known else c for c in consts]
    for key, (reference, cell) in known.items():
        if isinstance(cell.value, TaylorSeries):
            raise ArgumentError(
                "f",
                "a function that does not write values depending on params to an external reference",
                f"a write to a reference of shape {jnp.shape(cell.value.primal)}",
                "Create the reference inside the function, or return the value.",
            )
        if cell.value is not before[key]:
            reference[...] = cell.value


def on_contents(function: Callable[..., Sequence[Any]], values: Sequence[Any]) -> tuple[Any, list[Value]]:
    """Traces a function of references as a program of their contents; returns the program and its operands.

    The program returns the results of the function, followed by the final contents of each cell.

    Args:
        function: takes plain arrays, and references in place of the cells in `values`.
        values: the operands.
    """
    cells = cells_of(values)
    where = [next((j for j, cell in enumerate(cells) if cell is v), None) for v in values]
    operands = [*contents(cells), *[v for v in values if not isinstance(v, StateCell)]]

    def run(*flat: Any) -> list[Any]:
        references = [jax.new_ref(held) for held in flat[: len(cells)]]
        plain = iter(flat[len(cells) :])
        outs = function(*[next(plain) if j is None else references[j] for j in where])
        return [*outs, *[jax.freeze(reference) for reference in references]]

    return jax.make_jaxpr(run)(*map(primal, operands)), operands
