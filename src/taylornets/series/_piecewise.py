"""Rules for piecewise linear operations: the primal selects the piece, whose linear map applies to higher coefficients."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from taylornets.series._engine import RuleContext, along_curve, bind, bind1, register
from taylornets.series._linear import accumulate
from taylornets.series._series import TaylorSeries, Value, coefficient, each, make, plus, primal, zeros_like

FAMILY = "piecewise linear"

PIECEWISE = (
    "sort", "top_k", "reduce_max", "reduce_min", "cummax", "cummin", "reduce_window_max",
    "reduce_window_min", "select_and_gather_add", "select_and_scatter_add", "rem", "approx_top_k",
)  # fmt: skip


@register(FAMILY, *PIECEWISE)
def _piecewise(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # Linearizing the operation at the primal inherits JAX's convention at ties (the mean of both slopes for `max`, equal
    # weights of all maxima for `reduce_max`), and the permutation for `sort`. All second derivatives vanish.
    # An empty operand has no derivative; its weights (0/0) are never formed.
    moving = [i for i, v in enumerate(values) if isinstance(v, TaylorSeries) and v.primal.size]
    start = [primal(v) for v in values]
    if not moving:
        return bind(equation, *start)

    def restricted(*moved: Any) -> tuple[list[Any], list[Any]]:
        full = list(start)
        for i, value in zip(moving, moved, strict=True):
            full[i] = value
        outs = bind(equation, *full)
        return [y for y in outs if _inexact(y)], [y for y in outs if not _inexact(y)]

    smooth, linear, constant = jax.linearize(restricted, *[start[i] for i in moving], has_aux=True)
    rows = [[y] for y in smooth]
    for k in range(1, ctx.order + 1):
        terms = [coefficient(values[i], k) for i in moving]
        if all(c is None for c in terms):
            outs: Sequence[Any] = [None] * len(rows)
        else:
            outs = linear(*[zeros_like(start[i]) if c is None else c for i, c in zip(moving, terms, strict=True)])
        for row, out in zip(rows, outs, strict=True):
            row.append(out)
    varying, fixed = iter(map(make, rows)), iter(constant)
    return [next(varying) if _inexact(v.aval) else next(fixed) for v in equation.outvars]


@register(FAMILY, "max", "min")
def _extremum(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    if not jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.complexfloating):
        return _piecewise(ctx, equation, values)
    # Complex numbers are ordered lexicographically by real and imaginary part; since 0.12, JAX defines no derivative of it.
    start = bind1(equation, *map(primal, values))
    hits = [(primal(v) == start).astype(start.dtype) for v in values]

    def coefficient_of(k: int) -> Any:
        terms = [
            None if coefficient(v, k) is None else hit * coefficient(v, k) for v, hit in zip(values, hits, strict=True)
        ]
        total = plus(*terms)
        return None if total is None else total / sum(hits)

    return [make([start, *[coefficient_of(k) for k in range(1, ctx.order + 1)]])]


@register(FAMILY, "clamp")
def _clamp(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # JAX's derivative in a bound requires one of full shape.
    shape = primal(values[1]).shape
    return _piecewise(ctx, equation, [each(v, lambda c: jnp.broadcast_to(c, shape)) for v in values])


@register(FAMILY, "scatter-max", "scatter-min")
def _scatter_extremum(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # The derivative belongs to the operand or update that attains the extremum; ties are weighted equally.
    x, at, updates = values[0], primal(values[1]), values[2]
    start = bind1(equation, primal(x), at, primal(updates))

    def spread(update: Any) -> Any:
        return accumulate(equation, start, at, update)

    # The transposed scatter gathers the updated entries, with the scatter's own out-of-bounds mode.
    (here,) = jax.linear_transpose(spread, primal(updates))(start)
    hits = (primal(updates) == here).astype(start.dtype)
    kept = (primal(x) == start).astype(start.dtype)
    share = kept + spread(hits)

    def coefficient_of(k: int) -> Any:
        a, b = coefficient(x, k), coefficient(updates, k)
        total = plus(None if a is None else kept * a, None if b is None else spread(hits * b))
        return None if total is None else total / share

    return [make([start, *[coefficient_of(k) for k in range(1, ctx.order + 1)]])]


def _inexact(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jnp.inexact)


@register(FAMILY, "abs")
def _abs(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    if jnp.issubdtype(
        equation.invars[0].aval.dtype, jnp.complexfloating
    ):  # √(re² + im²) is smooth, not piecewise linear
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    return _piecewise(ctx, equation, values)


@register("locally constant", "stop_gradient", "floor", "ceil", "round")
def _constant(_: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    return bind(equation, *map(primal, values))


@register("locally constant", "sign")
def _sign(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    if jnp.issubdtype(equation.invars[0].aval.dtype, jnp.complexfloating):
        return along_curve(ctx, _phase, values)
    return _constant(ctx, equation, values)


def _phase(z: Any) -> list[Any]:
    """Computes the sign of a complex number as z / |z|; before 0.11, JAX treated the sign as locally constant."""
    modulus = lax.abs(z)
    return [z / jnp.where(modulus == 0, 1, modulus).astype(z.dtype)]
