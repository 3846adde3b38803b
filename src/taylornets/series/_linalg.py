"""Rules for factorizations: the defining equation of each is solved order by order with the factors of order 0."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from taylornets.series._engine import RuleContext, along_curve, bind, bind1, register
from taylornets.series._series import Value, cauchy, coefficients, make, minus, primal, zeros_like

FAMILY = "linear algebra"


def _adjoint(a: Any) -> Any:
    return jnp.conj(jnp.swapaxes(a, -1, -2))


def _matmul(a: Any, b: Any) -> Any:
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _complex(values: Sequence[Value]) -> bool:
    return any(jnp.issubdtype(primal(v).dtype, jnp.complexfloating) for v in values)


@register(FAMILY, "triangular_solve")
def _triangular_solve(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # op(A) x = b or x op(A) = b:  x_k solves it for b_k − Σ_{j≥1} op(A_j) x_{k-j}. Only one triangle is read.
    params = equation.params
    skip = 1 if params["unit_diagonal"] else 0

    def operator(a: Any) -> Any:
        a = jnp.tril(a, -skip) if params["lower"] else jnp.triu(a, skip)
        a = jnp.conj(a) if params["conjugate_a"] else a
        return jnp.swapaxes(a, -1, -2) if params["transpose_a"] else a

    def image(a: Any, x: Any) -> Any:
        return _matmul(a, x) if params["left_side"] else _matmul(x, a)

    a, b = (coefficients(v, ctx.order) for v in values)
    moved = [None] + [None if c is None else operator(c) for c in a[1:]]
    x: list[Any] = [bind1(equation, a[0], b[0])]
    for k in range(1, ctx.order + 1):
        x.append(None)
        right = minus(b[k], cauchy(moved, x, k, image, 1))
        x[k] = None if right is None else bind1(equation, a[0], right)
    return [make(x)]


@register(FAMILY, "cholesky")
def _cholesky(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # L L^H = A. With R_k = A_k − Σ_{0<j<k} L_j L_{k-j}^H and L_k = L_0 X:  X + X^H = L_0^{-1} R_k L_0^{-H}, so X is the
    # lower triangle of the right-hand side with half its diagonal.
    a = coefficients(values[0], ctx.order)
    start = bind1(equation, a[0])
    factor: list[Any] = [jnp.tril(start)]  # the raw result is undefined above the diagonal
    for k in range(1, ctx.order + 1):
        right = minus(a[k], cauchy(factor, [*factor, None], k, lambda p, q: _matmul(p, _adjoint(q)), 1, k - 1))
        factor.append(None if right is None else _matmul(factor[0], _half_lower(_two_sided(factor[0], right))))
    return [make([start, *factor[1:]])]


def _two_sided(factor: Any, middle: Any) -> Any:
    left = lax.linalg.triangular_solve(factor, middle, left_side=True, lower=True)
    return lax.linalg.triangular_solve(factor, left, left_side=False, lower=True, transpose_a=True, conjugate_a=True)


def _half_lower(a: Any) -> Any:
    return jnp.tril(a, -1) + _diagonal(a) / 2


def _diagonal(a: Any) -> Any:
    """Returns the diagonal part of each matrix."""
    return jnp.tril(jnp.triu(a))


@register(FAMILY, "qr")
def _qr(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    shape = primal(values[0]).shape
    reduced = not equation.params["full_matrices"] and shape[-2] >= shape[-1] and not equation.params.get("pivoting")
    if not reduced or _complex(values):
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    # A = Q R and Q^T Q = I. With C = (A_k − Σ_{0<j<k} Q_j R_{k-j}) R_0^{-1} = Q_k + Q_0 T, T = R_k R_0^{-1} upper
    # triangular, M = Q_0^T Q_k satisfies M + M^T = −S, S = Σ_{0<j<k} Q_j^T Q_{k-j}, and Q_0^T C = M + T fixes its
    # strict lower triangle.
    a = coefficients(values[0], ctx.order)
    q0, r0 = bind(equation, a[0])
    q: list[Any] = [q0]
    r: list[Any] = [r0]
    for k in range(1, ctx.order + 1):
        right = minus(a[k], cauchy(q, [*r, None], k, _matmul, 1, k - 1))
        s = cauchy(q, [*q, None], k, lambda x, y: _matmul(jnp.swapaxes(x, -1, -2), y), 1, k - 1)
        if right is None and s is None:
            q.append(None)
            r.append(None)
            continue
        right = zeros_like(a[0]) if right is None else right
        s = zeros_like(r0) if s is None else s
        c = lax.linalg.triangular_solve(r0, right, left_side=False, lower=False)
        inner = _matmul(jnp.swapaxes(q0, -1, -2), c)
        low = jnp.tril(inner, -1)
        m = low - jnp.swapaxes(low, -1, -2) - jnp.triu(s) + _diagonal(s) / 2
        # M = low on the strict lower triangle; above the diagonal M = −S − low^T; on it −S/2.
        t = inner - m
        q.append(c - _matmul(q0, t))
        r.append(_matmul(t, r0))
    return [make(q), make(r)]


@register(FAMILY, "eigh")
def _eigh(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    if _complex(values) or equation.params.get("subset_by_index") is not None:
        return along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    # A V = V Λ, V^T V = I. With V_k = V_0 U_k and B_k = V_0^T A_k V_0, order k reads
    #   Λ_0 U_k − U_k Λ_0 − Λ_k = −R,   R = Σ_{j=1..k} B_j U_{k-j} − Σ_{j=1..k-1} U_j Λ_{k-j},
    # so λ_k = diag R and U_k = R / (λ_j − λ_i) off the diagonal; there, the norm gives −½ Σ_{0<j<k} U_j^T U_{k-j}.
    a = coefficients(values[0], ctx.order)
    vectors, first = bind(equation, a[0])
    b = [None if c is None else _matmul(_adjoint(vectors), _matmul((c + _adjoint(c)) / 2, vectors)) for c in a]
    eye = jnp.broadcast_to(jnp.eye(vectors.shape[-1], dtype=vectors.dtype), vectors.shape)
    gaps = first[..., None, :] - first[..., :, None]
    inverse = jnp.where(eye == 1, 0, 1 / (gaps + eye))
    u: list[Any] = [eye]
    lam: list[Any] = [first]
    for k in range(1, ctx.order + 1):
        right = minus(
            cauchy(b, [*u, None], k, _matmul, 1), cauchy(u, [*lam, None], k, lambda x, y: x * y[..., None, :], 1, k - 1)
        )
        norm = cauchy(u, [*u, None], k, lambda x, y: _matmul(_adjoint(x), y), 1, k - 1)
        lam.append(None if right is None else jnp.diagonal(right, axis1=-2, axis2=-1))
        step = None if right is None else right * inverse
        u.append(minus(step, None if norm is None else norm * eye / 2))
    return [make([vectors, *[None if c is None else _matmul(vectors, c) for c in u[1:]]]), make(lam)]
