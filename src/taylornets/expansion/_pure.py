"""Whether a model is a pure function: traced twice, it must give one program with the same constants."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.core import Tracer
from jax.extend import core

from taylornets._checks import ArgumentError
from taylornets._trees import refuse_kept_tracer, same
from taylornets.expansion._memory import programs


def refuse_impure(model: Callable[..., Any], start: Any, first: Any) -> None:
    """Raises for a model whose second trace has other constants than the first: noise drawn in Python, a key kept outside.

    Args:
        model: the function that was traced.
        start: its argument.
        first: the closed program of the first trace.
    """

    def again(moved: Any) -> Any:  # another function object: JAX would return the first trace of the same one
        return model(moved)

    try:
        second = jax.make_jaxpr(again)(start)
    except jax.errors.UnexpectedTracerError as error:
        refuse_kept_tracer(error)
    mine, theirs = (list(_constants(closed.jaxpr, closed.consts)) for closed in (first, second))
    if any(isinstance(b, Tracer) and not isinstance(a, Tracer) for a, b in zip(mine, theirs, strict=False)):
        refuse_kept_tracer(None)
    if len(mine) != len(theirs) or not all(same(a, b) for a, b in zip(mine, theirs, strict=True)):
        got = "one whose constants differ between two calls (noise drawn in Python, or a counter?)"
        raise ArgumentError("f", "a pure function", got, "Draw with jax.random and a key among the arguments.")


def _constants(jaxpr: Any, consts: Any) -> Iterator[Any]:
    """All numbers that a program holds, those of the programs inside it included."""
    yield from consts
    for equation in jaxpr.eqns:
        yield from (atom.val for atom in equation.invars if isinstance(atom, core.Literal))
        for inner in programs(equation):
            yield from _constants(inner, ())
