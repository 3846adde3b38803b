"""Checks that a model is a pure function: two traces must give the same program with the same constants."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.core import Tracer
from jax.extend import core

from taylornets._checks import ArgumentError
from taylornets._trees import refuse_kept_tracer, same
from taylornets.series import is_tracing, programs


def refuse_impure(model: Callable[..., Any], start: Any, first: Any) -> None:
    """Raises if the constants of a second trace differ from the first, as with noise drawn in Python or a global key.

    Args:
        model: the function that was traced.
        start: its argument.
        first: the closed program of the first trace.
    """

    def again(moved: Any) -> Any:  # a new function object: JAX caches the trace of the old one
        return model(moved)

    try:
        second = jax.make_jaxpr(again)(start)
    except jax.errors.UnexpectedTracerError as error:
        refuse_kept_tracer(error)
    mine, theirs = (list(_constants(closed.jaxpr, closed.consts)) for closed in (first, second))
    # Outside all transformations, any tracer was leaked by the model; inside one, it was if the first trace had a value there.
    traced = [
        isinstance(b, Tracer) and (not is_tracing() or not isinstance(a, Tracer))
        for a, b in zip(mine, theirs, strict=False)
    ]
    if any(traced):
        refuse_kept_tracer(None)
    if len(mine) != len(theirs) or not all(same(a, b) for a, b in zip(mine, theirs, strict=True)):
        got = "one whose constants differ between two calls (does it draw noise in Python or update a counter?)"
        raise ArgumentError("f", "a pure function", got, "Draw with jax.random and a key among the arguments.")


def _constants(jaxpr: Any, consts: Any, wanted: Sequence[bool] | None = None) -> Iterator[Any]:
    """Returns the constants of a program and its nested programs that affect its outputs or effects.

    Unused constants are ignored: some libraries create new ones in every trace (error codes of `checkify`).

    Args:
        jaxpr: an open program.
        consts: values of its constants.
        wanted: for each output, whether it is needed; all by default.
    """
    chosen = [True] * len(jaxpr.outvars) if wanted is None else wanted
    needed = {id(v) for v, w in zip(jaxpr.outvars, chosen, strict=True) if w}
    for equation in reversed(jaxpr.eqns):
        used = [id(v) in needed for v in equation.outvars]
        if not (any(used) or equation.effects):
            continue
        needed.update(map(id, equation.invars))
        yield from (atom.val for atom in equation.invars if isinstance(atom, core.Literal))
        for inner in programs(equation):
            same_outputs = len(inner.outvars) == len(used) and not equation.effects
            yield from _constants(inner, (), used if same_outputs else None)
    yield from (value for v, value in zip(jaxpr.constvars, consts, strict=False) if id(v) in needed)
    yield from (v.val for v, w in zip(jaxpr.outvars, chosen, strict=True) if w and isinstance(v, core.Literal))
