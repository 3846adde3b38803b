"""Rules for functions with closed-form derivatives of every order, by composition of series."""

import math
from collections.abc import Sequence
from operator import mul
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from taylornets.series._engine import RuleContext, along_curve, bind, bind1, register
from taylornets.series._series import TaylorSeries, Value, cauchy, make, primal
from taylornets.series._univariate import FAMILY


def compose(x: Value, derivatives: Sequence[Any], order: int) -> Value:
    """Returns φ(x(t)) from derivatives[j] = φ^(j)(x_0)/j!, by Horner's scheme in the non-constant part of x."""
    if not isinstance(x, TaylorSeries):
        return derivatives[0]
    move = (None, *x.coefficients[1:])
    result: list[Any] = [derivatives[order]] + [None] * order
    for j in range(order - 1, -1, -1):
        # The factor `move` starts at order 1, so only orders up to K − j of the partial result matter.
        result = [cauchy(move, result, k, mul, 1) for k in range(order + 1)]
        result[0] = derivatives[j]
    return make(result)


@jax.custom_jvp
def _monomial(x: Any, exponent: Any) -> Any:
    """Computes x^exponent; for a zero exponent its derivative is zero even at x = 0 (JAX computes 0 · 0^-1)."""
    return lax.pow(x, exponent)


def _monomial_tangent(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    x, exponent = primals
    dx, moved = tangents
    y = _monomial(x, exponent)
    tangent = jnp.zeros_like(y)
    if not isinstance(dx, SymbolicZero):
        flat = exponent == 0
        tangent += jnp.where(flat, 0, exponent * _monomial(x, jnp.where(flat, 1, exponent - 1))) * dx
    if not isinstance(moved, SymbolicZero):
        tangent += y * jnp.log(jnp.where(x == 0, 1, x)) * moved  # JAX's convention at x = 0
    return y, tangent


_monomial.defjvp(_monomial_tangent, symbolic_zeros=True)


@register(FAMILY, "pow")
def _pow(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    x, r = values
    if isinstance(r, TaylorSeries):  # x^r = exp(r log x) follows the conventions of JAX's derivative at x = 0
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    # φ^(j)(x_0)/j! = binom(r, j) x_0^(r-j); if the binomial vanishes (r a natural number), so does the term, even at x_0 = 0.
    derivatives = [bind1(equation, primal(x), r)]
    # As in `lax.pow`, an exponent of another dtype is converted.
    exponent = jnp.broadcast_to(lax.convert_element_type(r, derivatives[0].dtype), derivatives[0].shape)
    base = jnp.broadcast_to(primal(x), derivatives[0].shape)
    binomial = jnp.ones_like(exponent)
    for j in range(1, ctx.order + 1):
        binomial = binomial * (exponent - (j - 1)) / j
        derivatives.append(binomial * _monomial(base, jnp.where(binomial == 0, 0, exponent - j)))
    return [compose(x, derivatives, ctx.order)]


@register(FAMILY, "lgamma", "digamma", "polygamma")
def _gamma(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # lgamma' = digamma = polygamma of order 0, and each further derivative raises the order by one.
    *index, x = values
    at = primal(x)
    if any(isinstance(m, TaylorSeries) for m in index):  # JAX defines no derivative in the order
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    derivatives = [bind1(equation, *index, at)]
    lowest: Any = index[0] if index else 0  # of φ itself
    if equation.primitive.name == "lgamma":
        derivatives.append(lax.digamma(at))
        lowest = -1
    # A polygamma of order j grows as j!, beyond the range of half precision before the division.
    wide = at.astype(jnp.float32) if jnp.finfo(at.dtype).bits < 32 else at
    for j in range(len(derivatives), ctx.order + 1):
        grown = lax.polygamma(jnp.broadcast_to(lowest + j, at.shape).astype(wide.dtype), wide)
        derivatives.append((grown / float(math.factorial(j))).astype(at.dtype))
    return [compose(x, derivatives[: ctx.order + 1], ctx.order)]
