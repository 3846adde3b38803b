"""Rules of products: Cauchy's formula over the pairs of coefficients that are present, and what is built from it."""

import math
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any

import jax
import jax.numpy as jnp

from taylornets.series._engine import Context, bind1, register
from taylornets.series._series import Series, Value, cauchy, coefficient, coefficients, make, minus, plus, primal

FAMILY = "bilinear"


def product(a: Value, b: Value, order: int, times: Callable[[Any, Any], Any]) -> Value:
    """The series of a(t)·b(t) for a bilinear `times`."""
    p, q = coefficients(a, order), coefficients(b, order)
    return make([cauchy(p, q, k, times) for k in range(order + 1)])


@register(FAMILY, "mul")
def _mul(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    a, b = values
    if a is b:
        return [square(a, ctx.order)]
    return [product(a, b, ctx.order, lambda p, q: bind1(equation, p, q))]


# Below this many rows a product reads its matrix more slowly than it multiplies, so the coefficients that meet the same
# matrix go through in one product. Above it, the copy into one array costs more than it saves. Measured on two cores
# (`benchmarks/taylor_mode.py`, table "stacking"); a heuristic, without influence on the result.
STACK_ROWS = 32


@register(FAMILY, "dot_general", "conv_general_dilated")
def _contraction(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    p, q = (coefficients(v, ctx.order) for v in values)
    present = [sum(c is not None for c in side) for side in (p, q)]
    if equation.primitive.name == "dot_general" and min(present) <= 2 < max(present):
        few = 0 if present[0] <= present[1] else 1
        if _rows(equation, 1 - few) <= STACK_ROWS:
            return [_stacked(ctx.order, equation, (p, q), few)]
    return [product(values[0], values[1], ctx.order, lambda a, b: bind1(equation, a, b))]


def _rows(equation: Any, side: int) -> int:
    """Elements of one operand of a `dot_general` along the axes that are neither summed nor shared."""
    contracted, shared = equation.params["dimension_numbers"]
    shape = equation.invars[side].aval.shape
    return math.prod(n for i, n in enumerate(shape) if i not in (*contracted[side], *shared[side]))


def _stacked(order: int, equation: Any, sides: tuple[Sequence[Any], Sequence[Any]], few: int) -> Value:
    """The product when one side has few coefficients: each meets all those of the other side, stacked, at once."""
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
    """x(t)²; each unordered pair of coefficients is multiplied once."""
    c = coefficients(x, order)
    return make([square_coefficient(c, k) for k in range(order + 1)])


def square_coefficient(c: Sequence[Any], k: int, start: int = 0) -> Any:
    """Σ_{j=start..k-start} c_j c_{k-j}."""
    # Index pairs j < k - j occur twice, the middle one once.
    total = cauchy(c, c, k, mul, start, (k + 1) // 2 - 1)
    total = None if total is None else 2 * total
    if k % 2 == 0 and k // 2 >= start and c[k // 2] is not None:
        middle = c[k // 2] * c[k // 2]
        total = middle if total is None else total + middle
    return total


@register(FAMILY, "square")
def _square(ctx: Context, _: Any, values: Sequence[Value]) -> Sequence[Value]:
    return [square(values[0], ctx.order)]


@register(FAMILY, "integer_pow")
def _integer_pow(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    exponent = equation.params["y"]
    power = _power(values[0], abs(exponent), ctx.order)
    if exponent < 0:
        power = quotient(None, power, ctx.order)
    # JAX's own order of multiplication for the value itself, so that order 0 is the model's output to the last bit.
    return [make([bind1(equation, primal(values[0])), *coefficients(power, ctx.order)[1:]])]


def _power(x: Value, exponent: int, order: int) -> Value:
    """x(t)^exponent for an exponent ≥ 1 by repeated squaring; no division, so it is right where x_0 = 0."""
    if exponent == 1:
        return x
    half = square(_power(x, exponent // 2, order), order)
    return half if exponent % 2 == 0 else product(half, x, order, mul)


def quotient(numerator: Value, denominator: Value, order: int) -> Value:
    """n(t)/d(t), from d(t) q(t) = n(t): q_k = (n_k − Σ_{j≥1} d_j q_{k-j}) / d_0. A numerator of `None` is one."""
    d, n = coefficients(denominator, order), coefficients(numerator, order)
    q = [1 / d[0] if numerator is None else n[0] / d[0]]
    for k in range(1, order + 1):
        q.append(None)
        rest = minus(n[k], cauchy(d, q, k, mul, 1))
        q[k] = None if rest is None else rest / d[0]
    return make(q)


@register(FAMILY, "div")
def _div(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    n, d = values
    if not isinstance(d, Series):
        return [make([None if c is None else bind1(equation, c, d) for c in coefficients(n, ctx.order)])]
    q = quotient(n, d, ctx.order)
    return [make([bind1(equation, primal(n), primal(d)), *[coefficient(q, k) for k in range(1, ctx.order + 1)]])]
