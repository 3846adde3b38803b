"""Rules for functions of one variable, based on the differential equation that each function satisfies.

For the operand z(t), y = φ(z) and u = φ'(z), the chain rule y' = u z' gives, coefficient by coefficient,

    k y_k = Σ_{j=1..k} j z_j u_{k-j},

so y_k depends on u only up to order k − 1. A rule expresses u in terms of y and z (for tanh, u = 1 − y²). Each function
costs two Cauchy products.
"""

import math
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any

import jax
from jax import lax
from jax.custom_derivatives import SymbolicZero

from taylornets.series._bilinear import product, quotient, square, square_coefficient
from taylornets.series._engine import RuleContext, bind1, register
from taylornets.series._series import (
    TaylorSeries,
    Value,
    cauchy,
    coefficients,
    each,
    make,
    minus,
    plus,
    primal,
    zeros_like,
)

FAMILY = "univariate"


def scaled_orders(z: Sequence[Any]) -> list[Any]:
    """Returns the products j z_j."""
    return [c if c is None or j <= 1 else j * c for j, c in enumerate(z)]


def next_order(scaled: Sequence[Any], u: Sequence[Any], k: int) -> Any:
    """Computes y_k from j z_j and u_0..u_{k-1}."""
    total = cauchy(scaled, u, k, mul, 1)
    return total if total is None or k == 1 else total / k


def solve(z: Value, start: Any, order: int, slope: Callable[[list[Any], int], Any]) -> Value:
    """Solves y' = u z' with y_0 = start, where `slope(y, k)` returns u_k from y_0..y_k."""
    scaled = scaled_orders(coefficients(z, order))
    y: list[Any] = [start]
    u: list[Any] = []
    for k in range(1, order + 1):
        u.append(slope(y, k - 1))
        y.append(next_order(scaled, [*u, None], k))
    return make(y)


def smooth(
    z: Value, order: int, value: Callable[[Value, int], Value], slope: Callable[[Value, Value, int], Value]
) -> Value:
    """Computes y = φ(z) with a custom derivative: the tangent of y(t) is φ'(z(t)) times the tangent of z(t).

    Without it, reverse mode would differentiate the recurrence and store every partial sum; with it, reverse mode stores
    only the series of φ'(z) and costs one Cauchy product.

    Args:
        z: the operand.
        order: truncation order.
        value: computes φ(z) up to an order.
        slope: computes φ'(z) up to an order, from z and y = φ(z).
    """

    @jax.custom_jvp
    def run(coefs: tuple[Any, ...]) -> tuple[Any, ...]:
        return coefficients(value(make(coefs), order), order)

    def tangent(primals: Any, tangents: Any) -> tuple[Any, Any]:
        y = run(*primals)
        u = coefficients(slope(make(*primals), make(y), order), order)
        # A symbolically zero tangent (such as that of the primal with respect to the displacement) is not multiplied.
        dz = [None if isinstance(t, SymbolicZero) else t for t in tangents[0]]
        dy = [cauchy(u, dz, k, mul) for k in range(order + 1)]
        return y, tuple(_missing(v, d) for v, d in zip(y, dy, strict=True))

    run.defjvp(tangent, symbolic_zeros=True)
    return make(run(coefficients(z, order)))


def _missing(value: Any, tangent: Any) -> Any:
    return zeros_like(value) if tangent is None and value is not None else tangent


def shifted(x: Value, number: int) -> Value:
    """Adds a number to a series."""
    if not isinstance(x, TaylorSeries):
        return x + number
    return TaylorSeries((x[0] + number, *x.coefficients[1:]))


@register(FAMILY, "exp", "exp2", "expm1", "tanh", "logistic", "tan")
def _autonomous(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    slope = SLOPES[equation.primitive.name]

    def derivative(_: Value, y: Value, order: int) -> Value:
        c = coefficients(y, order)
        return make([slope(list(c), k) for k in range(order + 1)])

    return [
        smooth(values[0], ctx.order, lambda z, order: solve(z, bind1(equation, primal(z)), order, slope), derivative)
    ]


def _one(k: int, value: Any) -> Any:
    """Returns `value` + 1 at order 0, `value` at all other orders."""
    return value + 1 if k == 0 else value


# u_k from y_0..y_k. exp: u = y; exp2: y ln 2; expm1: y + 1; tanh: 1 − y²; logistic: y − y²; tan: 1 + y².
SLOPES: dict[str, Callable[[list[Any], int], Any]] = {
    "exp": lambda y, k: y[k],
    "exp2": lambda y, k: None if y[k] is None else y[k] * math.log(2.0),
    "expm1": lambda y, k: _one(k, y[k]),
    "tanh": lambda y, k: minus(None, square_coefficient(y, k)) if k else 1 - y[0] * y[0],
    "logistic": lambda y, k: minus(y[k], square_coefficient(y, k)) if k else y[0] * (1 - y[0]),
    "tan": lambda y, k: square_coefficient(y, k) if k else 1 + y[0] * y[0],
}


@register(FAMILY, "log", "log1p", "log2")
def _log(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    name = equation.primitive.name
    shift = 1 if name == "log1p" else 0
    unit = math.log(2.0) if name == "log2" else None

    def scaled(y: Value) -> Value:
        return y if unit is None else each(y, lambda c: c / unit)

    def value(z: Value, order: int) -> Value:
        start = bind1(equation, primal(z))
        moved = scaled(logarithm(shifted(z, shift) if shift else z, start, order))
        return make([start, *coefficients(moved, order)[1:]])

    def slope(z: Value, _: Value, order: int) -> Value:
        return scaled(quotient(None, shifted(z, shift) if shift else z, order))

    return [smooth(values[0], ctx.order, value, slope)]


def logarithm(z: Value, start: Any, order: int) -> Value:
    """Returns log z(t) from log z_0. z y' = z':  y_k = (z_k − (1/k) Σ_{j=1..k-1} j y_j z_{k-j}) / z_0."""
    c = coefficients(z, order)
    y: list[Any] = [start]
    scaled: list[Any] = [None]
    for k in range(1, order + 1):
        total = cauchy(scaled, c, k, mul, 1, k - 1)
        rest = minus(c[k], None if total is None else total / k)
        y.append(None if rest is None else rest / c[0])
        scaled.append(None if y[k] is None else k * y[k])
    return make(y)


@register(FAMILY, "sin", "cos", "sinh", "cosh")
def _pair(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # s' = c z' and c' = ∓s z', solved jointly.
    (z,) = values
    name = equation.primitive.name
    odd, even = (lax.sin, lax.cos) if name in ("sin", "cos") else (lax.sinh, lax.cosh)
    scaled = scaled_orders(coefficients(z, ctx.order))
    s: list[Any] = [odd(primal(z))]
    c: list[Any] = [even(primal(z))]
    for k in range(1, ctx.order + 1):
        up, down = next_order(scaled, [*c, None], k), next_order(scaled, [*s, None], k)
        s.append(up)
        c.append(minus(None, down) if name in ("sin", "cos") and down is not None else down)
    return [make(s if name in ("sin", "sinh") else c)]


@register(FAMILY, "sqrt")
def _sqrt(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # y² = z:  y_k = (z_k − Σ_{0<j<k} y_j y_{k-j}) / (2 y_0);   φ' = 1/(2 y).
    def value(z: Value, order: int) -> Value:
        return square_root(z, bind1(equation, primal(z)), order)

    return [smooth(values[0], ctx.order, value, lambda _, y, order: quotient(None, each(y, lambda c: 2 * c), order))]


def square_root(z: Value, start: Any, order: int) -> Value:
    """Returns √z(t) from √z_0."""
    c = coefficients(z, order)
    y: list[Any] = [start]
    for k in range(1, order + 1):
        y.append(None)
        rest = minus(c[k], square_coefficient(y, k, 1))
        y[k] = None if rest is None else rest / (2 * start)
    return make(y)


@register(FAMILY, "rsqrt")
def _rsqrt(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # φ' = −y³/2.
    def value(z: Value, order: int) -> Value:
        start = bind1(equation, primal(z))
        return _root(z, start, start * start, -1 / 2, order)

    def slope(_: Value, y: Value, order: int) -> Value:
        return each(product(square(y, order), y, order, mul), lambda c: -c / 2)

    return [smooth(values[0], ctx.order, value, slope)]


@register(FAMILY, "cbrt")
def _cbrt(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    (z,) = values
    return [_root(z, bind1(equation, primal(z)), 1 / primal(z), 1 / 3, ctx.order)]


def _root(z: Value, start: Any, inverse: Any, exponent: float, order: int) -> Value:
    """Returns z^r from z_0^r and 1/z_0. z y' = r z' y:  k z_0 y_k = Σ_{j=1..k} (r j − (k − j)) z_j y_{k-j}."""
    c = coefficients(z, order)
    y: list[Any] = [start]
    for k in range(1, order + 1):
        total = None
        for j in range(1, k + 1):
            if c[j] is not None and y[k - j] is not None:
                total = plus(total, ((exponent * j - (k - j)) / k) * (c[j] * y[k - j]))
        y.append(None if total is None else total * inverse)
    return make(y)
