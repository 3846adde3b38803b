"""Rules for operations that are linear in the varying operands: they apply to each coefficient separately."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from taylornets.series._engine import RuleContext, along_curve, bind, bind1, register
from taylornets.series._series import TaylorSeries, Value, coefficient, make, minus, plus, primal, zeros_like

FAMILY = "linear"

# Linear in the first operand; the others are indices.
UNARY = (
    "neg", "reshape", "broadcast_in_dim", "transpose", "squeeze", "rev", "slice", "reduce_sum",
    "convert_element_type", "real", "imag", "conj", "copy", "cumsum", "reduce_window_sum", "fft",
    "gather", "dynamic_slice", "sharding_constraint", "name", "reduce_precision", "psum", "all_gather",
    "all_to_all", "ppermute", "reduce_scatter", "split", "tile", "unstack",
    "pvary", "psum_invariant",
)  # fmt: skip
# Jointly linear in the operands at the given positions.
JOINT = {
    "concatenate": None,
    "stack": None,
    "pad": (0, 1),
    "dynamic_update_slice": (0, 1),
    "complex": (0, 1),
    "select_n": None,
    "scatter": (0, 2),
    "scatter-add": (0, 2),
    "scatter-sub": (0, 2),
}


@register(FAMILY, *UNARY)
def _unary(_: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    x, *rest = values
    if not isinstance(x, TaylorSeries):  # only the indices vary, and they are locally constant
        return bind(equation, *map(primal, values))
    rest = [primal(v) for v in rest]
    homogeneous = equation
    if equation.primitive.name == "gather":  # the fill value for out-of-bounds indices does not depend on the operand
        homogeneous = equation.replace(params={**equation.params, "fill_value": 0})
    rows = [bind(equation, x.primal, *rest)]
    rows += [None if c is None else bind(homogeneous, c, *rest) for c in x.coefficients[1:]]
    return [make([None if row is None else row[i] for row in rows]) for i in range(len(equation.outvars))]


@register(FAMILY, "optimization_barrier")
def _barrier(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    columns = [[coefficient(v, k) for v in values] for k in range(ctx.order + 1)]
    return [make(row) for row in zip(*[_present(equation, column) for column in columns], strict=True)]


def _present(equation: Any, column: Sequence[Any]) -> list[Any]:
    """Applies the operation to the nonzero coefficients of one order, each of which has its own output."""
    chosen = [c for c in column if c is not None]
    outs = iter(equation.primitive.bind(*chosen) if chosen else ())
    return [None if c is None else next(outs) for c in column]


@register(FAMILY, "device_put")
def _device_put(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # Several arrays at once, each with its own output and parameters: absent coefficients are passed as zeros.
    rows: list[list[Any]] = [[] for _ in values]
    for k in range(ctx.order + 1):
        column = [coefficient(v, k) for v in values]
        if all(c is None for c in column):
            outs: Sequence[Any] = column
        else:
            outs = bind(
                equation, *[zeros_like(primal(v)) if c is None else c for v, c in zip(values, column, strict=True)]
            )
        for row, out, c in zip(rows, outs, column, strict=True):
            row.append(None if c is None else out)
    return [make(row) for row in rows]


@register(FAMILY, *JOINT)
def _joint(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    name = equation.primitive.name
    if name == "scatter" and equation.params["update_jaxpr"] is not None:  # applies a function in place: not linear
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    chosen = JOINT[name]
    positions = range(name == "select_n", len(values)) if chosen is None else chosen
    start = [primal(v) for v in values]
    coefs = [bind1(equation, *start)]
    zeros: dict[int, Any] = {}
    for k in range(1, ctx.order + 1):
        terms = {i: coefficient(values[i], k) for i in positions}
        if all(c is None for c in terms.values()):
            coefs.append(None)
            continue
        operands = list(start)
        for i, c in terms.items():
            operands[i] = zeros.setdefault(i, zeros_like(start[i])) if c is None else c
        coefs.append(bind1(equation, *operands))
    return [make(coefs)]


def accumulate(equation: Any, shape: Any, indices: Any, updates: Any) -> Any:
    """Returns zeros of the shape and dtype of `shape` with the updates added at the scatter indices."""
    params = equation.params
    settings = {name: params[name] for name in ("indices_are_sorted", "unique_indices", "mode")}
    return lax.scatter_add(zeros_like(shape), indices, updates, params["dimension_numbers"], **settings)


@register(FAMILY, "add", "add_any")
def _add(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    a, b = values
    coefs = [plus(coefficient(a, k), coefficient(b, k)) for k in range(ctx.order + 1)]
    return [make(_same_shape(coefs, equation))]


@register(FAMILY, "sub")
def _sub(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    a, b = values
    coefs = [minus(coefficient(a, k), coefficient(b, k)) for k in range(ctx.order + 1)]
    return [make(_same_shape(coefs, equation))]


def _same_shape(coefs: Sequence[Any], equation: Any) -> list[Any]:
    # One side may be a scalar literal in place of an array; a coefficient of that side alone must be broadcast.
    shape = equation.outvars[0].aval.shape
    return [c if c is None or jnp.shape(c) == shape else jnp.broadcast_to(c, shape) for c in coefs]
