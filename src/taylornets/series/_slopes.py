"""Rules for functions with elementary derivatives: form the derivative as a series, multiply by z' and integrate."""

import math
from collections.abc import Sequence
from operator import mul
from typing import Any

import jax.numpy as jnp
from jax import lax

from taylornets.series._bilinear import product, quotient, square
from taylornets.series._engine import RuleContext, along_curve, bind, bind1, register
from taylornets.series._series import (
    TaylorSeries,
    Value,
    cauchy,
    coefficients,
    derivative,
    each,
    integral,
    make,
    minus,
    plus,
    primal,
    truncate,
)
from taylornets.series._univariate import (
    FAMILY,
    SLOPES,
    next_order,
    scaled_orders,
    shifted,
    smooth,
    solve,
    square_root,
)


@register(FAMILY, "erf", "erfc", "atan", "asin", "acos", "asinh", "acosh", "atanh", "erf_inv")
def _from_slope(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # u is elementary in z: form it to order K − 1, multiply by z' and integrate.
    (z,) = values
    name = equation.primitive.name
    # Branch cuts follow JAX's own derivative, except where its sign is wrong (acosh, left of the imaginary axis).
    if jnp.issubdtype(primal(z).dtype, jnp.complexfloating) and name != "acosh":
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    if name == "erf_inv":  # y' = (√π/2) exp(y²) z'
        return [_solve_erf_inv(z, bind1(equation, primal(z)), ctx.order)]

    def value(z: Value, order: int) -> Value:
        u = coefficients(_slope(name, truncate(z, order - 1), order - 1), order - 1)
        scaled = scaled_orders(coefficients(z, order))
        return make([bind1(equation, primal(z))] + [next_order(scaled, [*u, None], k) for k in range(1, order + 1)])

    return [smooth(z, ctx.order, value, lambda z, _, order: _slope(name, z, order))]


def _slope(name: str, z: Value, order: int) -> Value:
    """Returns φ'(z) as a series."""
    zz = square(z, order)
    if name in ("erf", "erfc"):
        sign = 2 / math.sqrt(math.pi) if name == "erf" else -2 / math.sqrt(math.pi)
        minus_zz = each(zz, lambda c: -c)
        gauss = solve(minus_zz, lax.exp(primal(minus_zz)), order, SLOPES["exp"])
        return each(gauss, lambda c: c * sign)
    if name == "acosh":  # not √(z² − 1), which is a different function for complex z
        return product(_inverse_root(shifted(z, -1), order), _inverse_root(shifted(z, 1), order), order, mul)
    # The argument of the square root, or the denominator itself.
    base = {
        "atan": lambda: shifted(zz, 1),
        "atanh": lambda: shifted(each(zz, lambda c: -c), 1),
        "asinh": lambda: shifted(zz, 1),
        "asin": lambda: shifted(each(zz, lambda c: -c), 1),
        "acos": lambda: shifted(each(zz, lambda c: -c), 1),
    }[name]()
    if name in ("atan", "atanh"):
        return quotient(None, base, order)
    root = _inverse_root(base, order)
    return each(root, lambda c: -c) if name == "acos" else root


def _inverse_root(x: Value, order: int) -> Value:
    """Returns x(t)^(-1/2), computed as 1/√x."""
    return quotient(None, square_root(x, lax.sqrt(primal(x)), order), order)


def _solve_erf_inv(z: Value, start: Any, order: int) -> Value:
    scaled = scaled_orders(coefficients(z, order))
    y: list[Any] = [start]
    for k in range(1, order + 1):
        known = make([*y])
        power = square(known, k - 1)
        gauss = solve(power, lax.exp(primal(power)), k - 1, SLOPES["exp"])
        total = cauchy(scaled, [*coefficients(gauss, k - 1), None], k, mul, 1)
        y.append(None if total is None else total * (math.sqrt(math.pi) / 2 / k))
    return make(y)


@register(FAMILY, "atan2")
def _atan2(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # The angle θ of the point (x, y):  (x² + y²) θ' = x y' − y x'.
    y, x = values
    start = bind1(equation, primal(y), primal(x))
    if jnp.issubdtype(start.dtype, jnp.complexfloating):
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    shorter = ctx.order - 1
    turned = [
        product(truncate(a, shorter), derivative(b), shorter, mul) if isinstance(b, TaylorSeries) else None
        for a, b in ((x, y), (y, x))
    ]
    area = [None if v is None else coefficients(v, shorter) for v in turned]
    numerator = [minus(*[None if c is None else c[k] for c in area]) for k in range(ctx.order)]
    squares = [coefficients(square(truncate(v, shorter), shorter), shorter) for v in (x, y)]
    radius = make([plus(a, b) for a, b in zip(*squares, strict=True)])
    return [integral(start, quotient(make(numerator), radius, shorter), ctx.order)]
