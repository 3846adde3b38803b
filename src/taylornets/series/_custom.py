"""Rules for functions with custom derivatives: custom forward and reverse rules, roots, linear solves."""

from collections.abc import Sequence
from typing import Any

from taylornets.series._control import expanded
from taylornets.series._effects import cells_of
from taylornets.series._engine import RuleContext, along_curve, bind, evaluate_closed, register, reverse
from taylornets.series._series import TaylorSeries, Value, coefficient, make, minus, primal, zeros_like

FAMILY = "custom derivative rule"


@register(FAMILY, "custom_jvp_call", "custom_root")
def _custom_jvp(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # As in nested `jvp`, the author's rule defines the derivative; the body only provides the value.
    return along_curve(ctx.silent(), lambda *operands: bind(equation, *operands), values)


@register(FAMILY, "custom_vjp_call", state=True)
def _custom_vjp(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # A reverse rule cannot run in forward mode (nested `jvp` raises for these functions), so the body is expanded or, on
    # request, the reverse rule is transposed.
    if ctx.custom_vjp == "rule" and not cells_of(values):
        return along_curve(ctx.silent(), lambda *operands: bind(equation, *operands), values, reverse)
    return expanded(ctx.silent(), equation, values)


@register("linear algebra", "custom_linear_solve")
def _linear_solve(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # A(t) x(t) = b(t):  A_0 x_k = b_k − [A(t) (x_0 + .. + x_{k-1} t^{k-1})]_k, every order with the solver of A_0.
    params = equation.params
    total = sum(params["const_lengths"])
    consts, b = list(values[:total]), list(values[total:])
    fixed = [primal(v) for v in consts]
    matrix = consts[: params["const_lengths"].matvec]
    moves = any(isinstance(v, TaylorSeries) for v in matrix)
    first = bind(equation, *fixed, *[primal(v) for v in b])
    x, aux = [[c] for c in first[: len(b)]], first[len(b) :]  # auxiliary outputs of the solver are constant
    for k in range(1, ctx.order + 1):
        right = [coefficient(v, k) for v in b]
        if moves:
            known = [make([*row, *[None] * (ctx.order + 1 - k)]) for row in x]
            image = evaluate_closed(ctx.silent(), params["jaxprs"].matvec, [*matrix, *known])
            right = [minus(r, coefficient(v, k)) for r, v in zip(right, image, strict=True)]
        if all(r is None for r in right):
            outs: Sequence[Any] = [None] * len(x)
        else:
            outs = bind(equation, *fixed, *[_or_zeros(r, v) for r, v in zip(right, b, strict=True)])[: len(x)]
        for row, out in zip(x, outs, strict=True):
            row.append(out)
    return [*map(make, x), *aux]


def _or_zeros(value: Any, like: Value) -> Any:
    """Returns `value`, or zeros of the shape of `like` if it is absent."""
    return zeros_like(primal(like)) if value is None else value
