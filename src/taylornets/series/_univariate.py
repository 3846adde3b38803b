"""Rules of functions of one variable, by the differential equation that each of them solves.

With z(t) the operand, y = φ(z) and u = φ'(z), the chain rule y' = u z' gives, coefficient by coefficient,

    k y_k = Σ_{j=1..k} j z_j u_{k-j},

so y_k needs u only up to order k − 1. A rule states how u follows from y and z (for tanh, u = 1 − y²). The cost is two
Cauchy products a function, whatever the order.
"""

import math
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import polygamma

from taylornets.series._bilinear import product, quotient, square, square_coefficient
from taylornets.series._engine import Context, along_curve, bind, bind1, register
from taylornets.series._series import (
    Series,
    Value,
    cauchy,
    coefficients,
    make,
    minus,
    plus,
    primal,
    truncate,
    zeros_like,
)

FAMILY = "univariate"


def _scaled(z: Sequence[Any]) -> list[Any]:
    """The products j z_j."""
    return [c if c is None or j <= 1 else j * c for j, c in enumerate(z)]


def _next(scaled: Sequence[Any], u: Sequence[Any], k: int) -> Any:
    """y_k from j z_j and u_0..u_{k-1}."""
    total = cauchy(scaled, u, k, mul, 1)
    return total if total is None or k == 1 else total / k


def solve(z: Value, start: Any, order: int, slope: Callable[[list[Any], int], Any]) -> Value:
    """Y with y_0 = start and y' = u z', where `slope(y, k)` gives u_k from y_0..y_k."""
    scaled = _scaled(coefficients(z, order))
    y: list[Any] = [start]
    u: list[Any] = []
    for k in range(1, order + 1):
        u.append(slope(y, k - 1))
        y.append(_next(scaled, [*u, None], k))
    return make(y)


def smooth(
    z: Value, order: int, value: Callable[[Value, int], Value], slope: Callable[[Value, Value, int], Value]
) -> Value:
    """Y = φ(z) with a derivative of its own: the tangent of y(t) is φ'(z(t)) times the tangent of z(t).

    Without it, reverse mode would walk back through the recurrence and keep every partial sum of it; with it, it keeps
    the series of φ'(z) alone and costs one Cauchy product.

    Args:
        z: the operand.
        order: order of truncation.
        value: gives φ(z) to an order.
        slope: gives φ'(z) to an order, from z and y = φ(z).
    """

    @jax.custom_jvp
    def run(coefs: tuple[Any, ...]) -> tuple[Any, ...]:
        return coefficients(value(make(coefs), order), order)

    def tangent(primals: Any, tangents: Any) -> tuple[Any, Any]:
        y = run(*primals)
        u = coefficients(slope(make(*primals), make(y), order), order)
        # A tangent that is zero for lack of dependence (the primal of a model in the displacement) is not multiplied.
        dz = [None if isinstance(t, SymbolicZero) else t for t in tangents[0]]
        dy = [cauchy(u, dz, k, mul) for k in range(order + 1)]
        return y, tuple(_missing(v, d) for v, d in zip(y, dy, strict=True))

    run.defjvp(tangent, symbolic_zeros=True)
    return make(run(coefficients(z, order)))


def _missing(value: Any, tangent: Any) -> Any:
    return zeros_like(value) if tangent is None and value is not None else tangent


@register(FAMILY, "exp", "exp2", "expm1", "tanh", "logistic", "tan")
def _autonomous(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    slope = _SLOPES[equation.primitive.name]

    def derivative(_: Value, y: Value, order: int) -> Value:
        c = coefficients(y, order)
        return make([slope(list(c), k) for k in range(order + 1)])

    return [
        smooth(values[0], ctx.order, lambda z, order: solve(z, bind1(equation, primal(z)), order, slope), derivative)
    ]


def _one(k: int, value: Any) -> Any:
    """`value` + 1 at order 0, `value` at the others."""
    return value + 1 if k == 0 else value


# u_k from y_0..y_k. exp: u = y; exp2: y ln 2; expm1: y + 1; tanh: 1 − y²; logistic: y − y²; tan: 1 + y².
_SLOPES: dict[str, Callable[[list[Any], int], Any]] = {
    "exp": lambda y, k: y[k],
    "exp2": lambda y, k: None if y[k] is None else y[k] * math.log(2.0),
    "expm1": lambda y, k: _one(k, y[k]),
    "tanh": lambda y, k: minus(None, square_coefficient(y, k)) if k else 1 - y[0] * y[0],
    "logistic": lambda y, k: minus(y[k], square_coefficient(y, k)) if k else y[0] * (1 - y[0]),
    "tan": lambda y, k: square_coefficient(y, k) if k else 1 + y[0] * y[0],
}


@register(FAMILY, "log", "log1p")
def _log(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # z y' = z':  y_k = (z_k − (1/k) Σ_{j=1..k-1} j y_j z_{k-j}) / z_0, with 1 + z for log1p.
    shift = 1 if equation.primitive.name == "log1p" else 0

    def value(z: Value, order: int) -> Value:
        c = coefficients(z, order)
        base = c[0] + shift
        y: list[Any] = [bind1(equation, c[0])]
        scaled: list[Any] = [None]
        for k in range(1, order + 1):
            total = cauchy(scaled, c, k, mul, 1, k - 1)
            rest = minus(c[k], None if total is None else total / k)
            y.append(None if rest is None else rest / base)
            scaled.append(None if y[k] is None else k * y[k])
        return make(y)

    return [smooth(values[0], ctx.order, value, lambda z, _, order: quotient(None, _shift(z, shift), order))]


@register(FAMILY, "sin", "cos", "sinh", "cosh")
def _pair(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # s' = c z' and c' = ∓s z', solved together.
    (z,) = values
    name = equation.primitive.name
    odd, even = (lax.sin, lax.cos) if name in ("sin", "cos") else (lax.sinh, lax.cosh)
    scaled = _scaled(coefficients(z, ctx.order))
    s: list[Any] = [odd(primal(z))]
    c: list[Any] = [even(primal(z))]
    for k in range(1, ctx.order + 1):
        up, down = _next(scaled, [*c, None], k), _next(scaled, [*s, None], k)
        s.append(up)
        c.append(minus(None, down) if name in ("sin", "cos") and down is not None else down)
    return [make(s if name in ("sin", "sinh") else c)]


@register(FAMILY, "sqrt")
def _sqrt(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # y² = z:  y_k = (z_k − Σ_{0<j<k} y_j y_{k-j}) / (2 y_0);   φ' = 1/(2 y).
    def value(z: Value, order: int) -> Value:
        return _square_root(z, bind1(equation, primal(z)), order)

    return [smooth(values[0], ctx.order, value, lambda _, y, order: quotient(None, _map(y, lambda c: 2 * c), order))]


def _square_root(z: Value, start: Any, order: int) -> Value:
    c = coefficients(z, order)
    y: list[Any] = [start]
    for k in range(1, order + 1):
        y.append(None)
        rest = minus(c[k], square_coefficient(y, k, 1))
        y[k] = None if rest is None else rest / (2 * start)
    return make(y)


@register(FAMILY, "rsqrt")
def _rsqrt(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # φ' = −y³/2.
    def value(z: Value, order: int) -> Value:
        start = bind1(equation, primal(z))
        return _root(z, start, start * start, -1 / 2, order)

    def slope(_: Value, y: Value, order: int) -> Value:
        return _map(product(square(y, order), y, order, mul), lambda c: -c / 2)

    return [smooth(values[0], ctx.order, value, slope)]


@register(FAMILY, "cbrt")
def _cbrt(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    (z,) = values
    return [_root(z, bind1(equation, primal(z)), 1 / primal(z), 1 / 3, ctx.order)]


def _root(z: Value, start: Any, inverse: Any, exponent: float, order: int) -> Value:
    """z^r from z_0^r and 1/z_0. z y' = r z' y:  k z_0 y_k = Σ_{j=1..k} (r j − (k − j)) z_j y_{k-j}."""
    c = coefficients(z, order)
    y: list[Any] = [start]
    for k in range(1, order + 1):
        total = None
        for j in range(1, k + 1):
            if c[j] is not None and y[k - j] is not None:
                total = plus(total, ((exponent * j - (k - j)) / k) * (c[j] * y[k - j]))
        y.append(None if total is None else total * inverse)
    return make(y)


@register(FAMILY, "erf", "erfc", "atan", "asin", "acos", "asinh", "acosh", "atanh", "erf_inv")
def _from_slope(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # u is elementary in z: form it to order K − 1, multiply by z' and integrate.
    (z,) = values
    name = equation.primitive.name
    if jnp.issubdtype(primal(z).dtype, jnp.complexfloating):  # branch cuts: leave them to JAX's own derivative
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    if name == "erf_inv":  # y' = (√π/2) exp(y²) z'
        return [_solve_erf_inv(z, bind1(equation, primal(z)), ctx.order)]

    def value(z: Value, order: int) -> Value:
        u = coefficients(_slope(name, truncate(z, order - 1), order - 1), order - 1)
        scaled = _scaled(coefficients(z, order))
        return make([bind1(equation, primal(z))] + [_next(scaled, [*u, None], k) for k in range(1, order + 1)])

    return [smooth(z, ctx.order, value, lambda z, _, order: _slope(name, z, order))]


def _slope(name: str, z: Value, order: int) -> Value:
    """φ'(z) as a series."""
    zz = square(z, order)
    if name in ("erf", "erfc"):
        sign = 2 / math.sqrt(math.pi) if name == "erf" else -2 / math.sqrt(math.pi)
        minus_zz = _map(zz, lambda c: -c)
        gauss = solve(minus_zz, lax.exp(primal(minus_zz)), order, _SLOPES["exp"])
        return _map(gauss, lambda c: c * sign)
    # The square under the root, or the denominator itself.
    base = {
        "atan": lambda: _shift(zz, 1),
        "atanh": lambda: _shift(_map(zz, lambda c: -c), 1),
        "asinh": lambda: _shift(zz, 1),
        "acosh": lambda: _shift(zz, -1),
        "asin": lambda: _shift(_map(zz, lambda c: -c), 1),
        "acos": lambda: _shift(_map(zz, lambda c: -c), 1),
    }[name]()
    if name in ("atan", "atanh"):
        return quotient(None, base, order)
    root = _inverse_root(base, order)
    return _map(root, lambda c: -c) if name == "acos" else root


def _map(x: Value, function: Callable[[Any], Any]) -> Value:
    if not isinstance(x, Series):
        return function(x)
    return make([None if c is None else function(c) for c in x.coefficients])


def _shift(x: Value, number: int) -> Value:
    if not isinstance(x, Series):
        return x + number
    return Series((x[0] + number, *x.coefficients[1:]))


def _inverse_root(x: Value, order: int) -> Value:
    """x(t)^(-1/2), by 1/√x."""
    return quotient(None, _square_root(x, lax.sqrt(primal(x)), order), order)


def _solve_erf_inv(z: Value, start: Any, order: int) -> Value:
    scaled = _scaled(coefficients(z, order))
    y: list[Any] = [start]
    for k in range(1, order + 1):
        known = make([*y])
        power = square(known, k - 1)
        gauss = solve(power, lax.exp(primal(power)), k - 1, _SLOPES["exp"])
        total = cauchy(scaled, [*coefficients(gauss, k - 1), None], k, mul, 1)
        y.append(None if total is None else total * (math.sqrt(math.pi) / 2 / k))
    return make(y)


def compose(x: Value, derivatives: Sequence[Any], order: int) -> Value:
    """φ(x(t)) from derivatives[j] = φ^(j)(x_0)/j!, by Horner's scheme in the moving part of x."""
    if not isinstance(x, Series):
        return derivatives[0]
    move = (None, *x.coefficients[1:])
    result: list[Any] = [derivatives[order]] + [None] * order
    for j in range(order - 1, -1, -1):
        # The factor `move` starts at order 1, so only orders up to K − j of the partial result matter.
        result = [cauchy(move, result, k, mul, 1) for k in range(order + 1)]
        result[0] = derivatives[j]
    return make(result)


@register(FAMILY, "pow")
def _pow(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    x, r = values
    if isinstance(r, Series):  # x^r = exp(r log x) has its own conventions at x = 0: JAX's derivative keeps them
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    # φ^(j)(x_0)/j! = binom(r, j) x_0^(r-j); where the binomial vanishes (r a natural number) the term does, at 0 too.
    derivatives = [bind1(equation, primal(x), r)]
    binomial = jnp.ones((), jnp.result_type(derivatives[0]))
    exponent = jnp.asarray(r)
    for j in range(1, ctx.order + 1):
        binomial = binomial * (exponent - (j - 1)) / j
        power = lax.pow(*jnp.broadcast_arrays(primal(x), jnp.where(binomial == 0, 1, exponent - j)))
        derivatives.append(jnp.where(binomial == 0, 0, binomial * power))
    return [compose(x, derivatives, ctx.order)]


@register(FAMILY, "lgamma", "digamma")
def _gamma(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # lgamma' = digamma = polygamma of order 0, and each further derivative raises the order by one.
    (x,) = values
    at = primal(x)
    derivatives = [bind1(equation, at)]
    if equation.primitive.name == "lgamma":
        derivatives.append(lax.digamma(at))
    for n in range(1, ctx.order + 2 - len(derivatives)):
        j = len(derivatives)
        derivatives.append(polygamma(n, at) / math.factorial(j))
    return [compose(x, derivatives[: ctx.order + 1], ctx.order)]
