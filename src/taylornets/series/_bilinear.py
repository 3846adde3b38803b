"""Rules for products and operations built from them: the Cauchy product over pairs of nonzero coefficients."""

import math
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any

import jax
import jax.numpy as jnp

from taylornets.series._engine import RuleContext, along_curve, bind, bind1, register
from taylornets.series._linear import accumulate
from taylornets.series._series import (
    TaylorSeries,
    Value,
    cauchy,
    coefficient,
    coefficients,
    make,
    minus,
    plus,
    primal,
)

FAMILY = "bilinear"


def product(a: Value, b: Value, order: int, times: Callable[[Any, Any], Any]) -> Value:
    """Returns the series of a(t)·b(t) for a bilinear `times`."""
    p, q = coefficients(a, order), coefficients(b, order)
    return make([cauchy(p, q, k, times) for k in range(order + 1)])


@register(FAMILY, "mul")
def _mul(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    a, b = values
    if a is b:
        return [square(a, ctx.order)]
    return [product(a, b, ctx.order, lambda p, q: bind1(equation, p, q))]


# Below this many rows a product is limited by reading the matrix, so coefficients multiplied by the same matrix are stacked
# into one product. Above it, the copy into one array costs more than it saves. Measured on two cores
# (`benchmarks/taylor_mode.py`, table "stacking"); a heuristic that does not affect the result.
STACK_ROWS = 32


# Linear in each of two operands; the others are indices.
PAIRS = {
    "ragged_dot_general": (0, 1),
    "bcoo_dot_general": (0, 2),
    "bcsr_dot_general": (0, 3),
    "coo_matmat": (0, 3),
    "coo_matvec": (0, 3),
    "csr_matmat": (0, 3),
    "csr_matvec": (0, 3),
}


@register(FAMILY, *PAIRS)
def _pair(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    first, second = PAIRS[equation.primitive.name]
    start = list(map(primal, values))

    def times(a: Any, b: Any) -> Any:
        operands = list(start)
        operands[first], operands[second] = a, b
        return bind1(equation, *operands)

    return [product(values[first], values[second], ctx.order, times)]


@register(FAMILY, "scatter-mul")
def _scatter_mul(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # With the updates scattered into an array of ones, this is an ordinary product.
    x, at, updates = values[0], primal(values[1]), values[2]
    if not isinstance(updates, TaylorSeries):
        return [make([None if c is None else bind1(equation, c, at, updates) for c in coefficients(x, ctx.order)])]
    if not equation.params["unique_indices"]:  # updates multiply each other: JAX defines no derivative
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    factor = [bind1(equation, jnp.ones_like(primal(x)), at, updates[0])]
    factor += [None if c is None else accumulate(equation, primal(x), at, c) for c in updates.coefficients[1:]]
    return [product(x, make(factor), ctx.order, mul)]


@register(FAMILY, "dot_general", "conv_general_dilated")
def _contraction(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    p, q = (coefficients(v, ctx.order) for v in values)
    present = [sum(c is not None for c in side) for side in (p, q)]
    if equation.primitive.name == "dot_general" and min(present) <= 2 < max(present):
        few = 0 if present[0] <= present[1] else 1
        if _rows(equation, 1 - few) <= STACK_ROWS:
            return [_stacked(ctx.order, equation, (p, q), few)]
    return [product(values[0], values[1], ctx.order, lambda a, b: bind1(equation, a, b))]


def _rows(equation: Any, side: int) -> int:
    """Returns the size of one operand of a `dot_general` along the axes that are neither contracted nor batched."""
    contracted, shared = equation.params["dimension_numbers"]
    shape = equation.invars[side].aval.shape
    return math.prod(n for i, n in enumerate(shape) if i not in (*contracted[side], *shared[side]))


def _stacked(order: int, equation: Any, sides: tuple[Sequence[Any], Sequence[Any]], few: int) -> Value:
    """Returns the product if one side has few coefficients: each multiplies all stacked coefficients of the other side."""
    short, long = sides[few], sides[1 - few]
    total: list[Any] = [None] * (order + 1)
    for i, matrix in enumerate(short):
        orders = [j for j in range(order + 1 - i) if long[j] is not None]
        if matrix is None or not orders:
            continue

        def times(vector: Any, matrix: Any = matrix) -> Any:
            return bind1(equation, *((matrix, vector) if few == 0 else (vector, matrix)))

        images = jax.vmap(times)(jnp.stack([long[j] for j in orders]))
        for image, j in zip(images, orders, strict=True):
            total[i + j] = plus(total[i + j], image)
    return make(total)


def square(x: Value, order: int) -> Value:
    """Returns x(t)², multiplying each unordered pair of coefficients once."""
    c = coefficients(x, order)
    return make([square_coefficient(c, k) for k in range(order + 1)])


def square_coefficient(c: Sequence[Any], k: int, start: int = 0) -> Any:
    """Returns Σ_{j=start..k-start} c_j c_{k-j}."""
    # Index pairs j < k - j occur twice, the middle one once.
    total = cauchy(c, c, k, mul, start, (k + 1) // 2 - 1)
    total = None if total is None else 2 * total
    if k % 2 == 0 and k // 2 >= start and c[k // 2] is not None:
        middle = c[k // 2] * c[k // 2]
        total = middle if total is None else total + middle
    return total


@register(FAMILY, "square")
def _square(ctx: RuleContext, _: Any, values: Sequence[Value]) -> Sequence[Value]:
    return [square(values[0], ctx.order)]


@register(FAMILY, "one_minus_square")
def _one_minus_square(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    squares = coefficients(square(values[0], ctx.order), ctx.order)
    return [make([bind1(equation, primal(values[0])), *[minus(None, c) for c in squares[1:]]])]


@register(FAMILY, "polynomial")
def _polynomial(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # Horner's scheme: the operands are x and the coefficients, lowest degree first.
    x, *rest, total = values
    for term in reversed(rest):
        shifted = product(total, x, ctx.order, mul)
        total = make([plus(coefficient(shifted, k), coefficient(term, k)) for k in range(ctx.order + 1)])
    shape = equation.outvars[0].aval.shape
    higher = [coefficient(total, k) for k in range(1, ctx.order + 1)]
    higher = [None if c is None else jnp.broadcast_to(c, shape) for c in higher]
    return [make([bind1(equation, *map(primal, values)), *higher])]


@register(FAMILY, "integer_pow")
def _integer_pow(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    exponent = equation.params["y"]
    start = bind1(equation, primal(values[0]))
    if exponent == 0:
        return [start]
    # Invert first: x^n may overflow where x^-n is small but representable.
    base = values[0] if exponent > 0 else quotient(None, values[0], ctx.order)
    power = _power(base, abs(exponent), ctx.order)
    return [make([start, *coefficients(power, ctx.order)[1:]])]


def _power(x: Value, exponent: int, order: int) -> Value:
    """Returns x(t)^exponent for an exponent ≥ 1 by repeated squaring; without division, so it is correct at x_0 = 0."""
    if exponent == 1:
        return x
    half = square(_power(x, exponent // 2, order), order)
    return half if exponent % 2 == 0 else product(half, x, order, mul)


def quotient(numerator: Value, denominator: Value, order: int) -> Value:
    """Returns n(t)/d(t) from d(t) q(t) = n(t): q_k = (n_k − Σ_{j≥1} d_j q_{k-j}) / d_0. `None` is the numerator 1."""
    d, n = coefficients(denominator, order), coefficients(numerator, order)
    q = [1 / d[0] if numerator is None else n[0] / d[0]]
    for k in range(1, order + 1):
        q.append(None)
        rest = minus(n[k], cauchy(d, q, k, mul, 1))
        q[k] = None if rest is None else rest / d[0]
    return make(q)


@register(FAMILY, "div")
def _div(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    n, d = values
    if not isinstance(d, TaylorSeries):
        return [make([None if c is None else bind1(equation, c, d) for c in coefficients(n, ctx.order)])]
    q = quotient(n, d, ctx.order)
    return [make([bind1(equation, primal(n), primal(d)), *[coefficient(q, k) for k in range(1, ctx.order + 1)]])]
