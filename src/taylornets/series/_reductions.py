"""Rules for products and log-sum-exps over an axis; without division, so zero factors need no special treatment."""

import math
from collections.abc import Sequence
from operator import mul
from typing import Any

import jax.numpy as jnp
from jax import lax

from taylornets.series._bilinear import product
from taylornets.series._engine import RuleContext, along_curve, bind, bind1, register
from taylornets.series._series import TaylorSeries, Value, coefficients, each, fill, make, primal, zeros_like
from taylornets.series._univariate import SLOPES, logarithm, solve

FAMILY = "reduction"


@register(FAMILY, "reduce_prod")
def _reduce_prod(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # A binary tree of about n Cauchy products, in log2(n) steps.
    (x,) = values
    axes, shape = equation.params["axes"], primal(x).shape
    start = bind1(equation, primal(x))
    count = math.prod(shape[i] for i in axes)
    if count == 0:
        return [start]
    x = each(x, lambda c: jnp.moveaxis(c, axes, range(len(axes))).reshape(count, *start.shape))
    while count > 1:
        half = count // 2
        pairs = product(each(x, lambda c, n=half: c[:n]), each(x, lambda c, n=half: c[n : 2 * n]), ctx.order, mul)
        x = _joined(pairs, each(x, lambda c, n=half: c[2 * n :])) if count % 2 else pairs
        count -= half
    return [make([start, *[None if c is None else c[0] for c in coefficients(x, ctx.order)[1:]]])]


def _joined(first: Value, second: Value) -> Value:
    """Concatenates two series along the first axis; `first` must have all coefficients of `second`."""
    coefs = coefficients(first, first.order)
    tail = coefficients(fill(second, tuple(c is not None for c in coefs)), first.order)
    return make([None if a is None else jnp.concatenate([a, b]) for a, b in zip(coefs, tail, strict=True)])


@register(FAMILY, "cumprod")
def _cumprod(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    (x,) = values
    start = bind1(equation, primal(x))
    # A partial product has coefficients at all orders that are sums of orders present in x.
    present = [True] + [False] * ctx.order
    for k in range(1, ctx.order + 1):
        present[k] = any(x[j] is not None and present[k - j] for j in range(1, k + 1))
    partial = lax.associative_scan(
        lambda a, b: product(a, b, ctx.order, mul),
        fill(x, tuple(present)),
        reverse=equation.params["reverse"],
        axis=equation.params["axis"],
    )
    return [make([start, *coefficients(partial, ctx.order)[1:]])]


@register(FAMILY, "cumlogsumexp")
def _cumlogsumexp(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # With m_i the largest of the x_j(0) summed so far, y_i(t) = m_i + log s_i(t), s_i(t) = Σ_j e^(x_j(t) − m_i): sums with
    # fixed weights of the series of e^(x_j(t) − x_j(0)), rescaled as m_i grows.
    (x,) = values
    at = primal(x)
    if jnp.issubdtype(at.dtype, jnp.complexfloating):
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    moving = TaylorSeries((zeros_like(at), *x.coefficients[1:]))
    growth = solve(moving, jnp.ones_like(at), ctx.order, SLOPES["exp"])

    def add(a: tuple[Any, TaylorSeries], b: tuple[Any, TaylorSeries]) -> tuple[Any, Value]:
        (first, p), (second, q) = a, b
        top = lax.max(first, second)
        finite = jnp.where(top == -jnp.inf, 0, top)  # all terms so far are −∞: the sum is zero
        left, right = lax.exp(first - finite), lax.exp(second - finite)
        pairs = zip(p.coefficients, q.coefficients, strict=True)
        return top, make([None if c is None else c * left + d * right for c, d in pairs])

    params = equation.params
    _, total = lax.associative_scan(add, (at, growth), reverse=params["reverse"], axis=params["axis"])
    # If all terms are e^(−∞), the sum stays zero: −∞ is constant.
    total = TaylorSeries((jnp.where(total[0] == 0, 1, total[0]), *total.coefficients[1:]))
    return [logarithm(total, bind1(equation, at), ctx.order)]
