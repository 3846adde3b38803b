"""Mutable arrays: what a program keeps in one becomes a value that it passes on.

A reference is read and written by equations without a data flow between them. While a program is evaluated, a `StateCell`
stands for it and holds what it contains now, an array or a series. Where a program is run by JAX (a loop, a branch, a
checkpoint), `pure` turns the contents into arguments and results of it.
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
    """A mutable array of the program that is being evaluated.

    Attributes:
        value: what it holds now.
    """

    def __init__(self, value: Value):
        self.value = value


def cells_of(values: Sequence[Any]) -> list[StateCell]:
    """The cells among operands, each once."""
    return list({id(v): v for v in values if isinstance(v, StateCell)}.values())


def contents(cells: Sequence[StateCell]) -> list[Value]:
    """What each cell holds."""
    return [cell.value for cell in cells]


def put(cells: Sequence[StateCell], values: Sequence[Value]) -> None:
    """Writes a value to each cell."""
    for cell, value in zip(cells, values, strict=True):
        cell.value = value


def pure(cells: Sequence[StateCell], function: Callable[..., Any]) -> Callable[..., tuple[list[Value], Any]]:
    """`function`, which reads and writes the cells, as a function of their contents.

    Returns:
        A function of `(contents, *args)` that returns the contents afterwards and what `function(*args)` returns; it
        leaves the cells as they are.
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
    """Constants of a program with a cell for each reference that exists outside of it; written back at the end.

    Raises:
        ArgumentError: when the program leaves something there that moves with the parameters. Nobody outside could
            read more of it than its value; JAX's own derivatives refuse it as well.
    """
    known = {id(c): (c, StateCell(c[...])) for c in consts if isinstance(c, Ref)}
    before = {key: cell.value for key, (_, cell) in known.items()}
    yield [known[id(c)][1] if id(c) in known else c for c in consts]
    for key, (reference, cell) in known.items():
        if isinstance(cell.value, TaylorSeries):
            raise ArgumentError(
                "f",
                "a function that writes nothing that depends on params to a reference from outside",
                f"a write to a reference of shape {jnp.shape(cell.value.primal)}",
                "Create the reference inside of the function, or return the value.",
            )
        if cell.value is not before[key]:
            reference[...] = cell.value


def on_contents(function: Callable[..., Sequence[Any]], values: Sequence[Any]) -> tuple[Any, list[Value]]:
    """A function of references as a program of what they contain, and its operands.

    The program returns what the function returns and, after that, the contents of each cell at the end.

    Args:
        function: takes plain arrays, and references where `values` has cells.
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
