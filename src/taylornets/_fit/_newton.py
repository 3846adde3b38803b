"""The Newton equation of the proximal dual, `(I + 𝒢 H) δf = -F` (theory 11).

`H = blockdiag(p_i ℓ''_i)` maps changes of the outputs to changes of `ν`, and `𝒢 = -∂A(Θ)/∂ν` is symmetric and positive
semidefinite. With `dM_r = M_r(dν)`, the derivative of the projection in the eigenbasis `u_1, ..., u_d` of `S_r` (positive set
`P`, `ρ = |P|`), and `β_kl = ⟨u_k, dM_r u_l⟩`,

    dΘ_r = -(1/ε) [Σ_{k,l ∈ P} β_kl u_k u_lᵀ + Σ_{k ∈ P, l ∉ P} Ω_kl β_kl (u_k u_lᵀ + u_l u_kᵀ)] + shift_r Σ_{k ∈ P} u_k u_kᵀ,

    Ω_kl = θ_k/(θ_k - s_l + c t)   (θ_k > 0 the eigenvalue of Θ_r, s_l - c t ≤ 0 a shifted one),
    shift_r = (c τ_r/ε + dc t_r)/(1 + cρ_r),   τ_r = Σ_{k ∈ P} β_kk,   dc = 2 da/ε,
    da = (2b/ε) Σ_r t_r τ_r/(1 + cρ_r) / (1 + (4b/ε) Σ_r ρ_r t_r²/(1 + cρ_r)),   b = da/dg   (0 for p = 4).

So `dΘ_r = -Σ_{k ∈ P} (u_k z_kᵀ + z_k u_kᵀ)`, and `𝒢 dν = 2 Σ_{(r,k)} a_r c_ir ⟨x_i, u_k⟩ ⟨x_i, z_k⟩`: one product of size
`n × pairs × d` for `β`, one for the outputs, as for a Hessian-vector product of the primal.

`𝒢 H` is self-adjoint in the inner product `⟨u, H v⟩`. Conjugate gradients run in this inner product, which needs neither a
factor of `H` nor its inverse; one more product removes the error in the null space of `H`, where `𝒢 H` vanishes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from taylornets import _programs
from taylornets._fit._lift import Evaluation, pair_features
from taylornets.objectives import Objective
from taylornets.two_layer import fold_blocks, map_blocks

_DENSE_UNKNOWNS = 300  # up to this many n·C, the matrix is formed and factorized
_DENSE_ENTRIES = 2**23  # entries of the factor of 𝒢, nC × pairs × d
_MOST_PRODUCTS = 400


class Direction(NamedTuple):
    """The Newton direction, its decrement `⟨F, H (I + 𝒢H)^{-1} F⟩`, and the number of products with `𝒢`."""

    f: Float[Array, "n outputs"]
    decrement: Float[Array, ""]
    products: Array


def is_dense(risk: Objective, pairs: int) -> bool:
    """Whether the Newton matrix is formed: small problems, in which the cost of factorization does not matter."""
    unknowns = risk.count * risk.net.outputs
    return unknowns <= _DENSE_UNKNOWNS and unknowns * pairs * risk.net.inputs <= _DENSE_ENTRIES


def newton_direction(risk: Objective, state: Evaluation, tolerance: float) -> Direction:
    """Solves the Newton equation: exactly for small problems, else to a relative residual `tolerance`."""
    if is_dense(risk, state.pairs.unit.shape[0]):
        return _dense(risk, state)
    return _conjugate_gradients(risk, state, jnp.asarray(tolerance, state.residual.dtype))


class _Rotation(NamedTuple):
    """Eigenvectors of the unit of each pair, `(pairs, d, d)`, and the weights `½` or `Ω_kl` over `l`, `(pairs, d)`."""

    vectors: Array
    weights: Array


def _rotation(state: Evaluation) -> _Rotation:
    pairs, found = state.pairs, state.prox
    shifted = found.shifted[pairs.unit]
    gap = pairs.values[:, None] - jnp.minimum(shifted, 0)
    across = pairs.values[:, None] / jnp.where(gap > 0, gap, 1)
    weights = jnp.where(shifted > 0, 0.5, across) * pairs.present[:, None]
    return _Rotation(found.vectors[pairs.unit], weights)


def _shifts(state: Evaluation, trace_changes: Array) -> Array:
    """Returns `shift_r` for `τ_r`, shape `(m, ...)`."""
    found = state.prox
    epsilon, c = found.epsilon, 2 * found.a / found.epsilon
    share = 1 / (1 + c * found.ranks)
    cross = jnp.tensordot(found.traces * share, trace_changes, axes=1)
    curvature = 1 + 4 * found.slope_growth / epsilon * jnp.sum(found.ranks * found.traces**2 * share)
    da = 2 * found.slope_growth / epsilon * cross / curvature
    column = (slice(None),) + (None,) * (trace_changes.ndim - 1)
    return share[column] * (c / epsilon * trace_changes + 2 * da / epsilon * found.traces[column])


def curvature_product(risk: Objective, f: Array, v: Array) -> Array:
    """Returns `H v = p_i ℓ''_i v_i`, shape `(n, outputs)`."""
    return risk.loss.hessian_product(f, risk.targets(), v) * risk.weights()[:, None]


def product(risk: Objective, state: Evaluation, rotation: _Rotation, v: Float[Array, "n outputs"]) -> Array:
    """Returns `𝒢 v`, shape `(n, outputs)`."""
    prepared, pairs = risk.features, state.pairs
    blocks = (prepared.blocks, state.features)

    def features_of(block: Any, stored: Any) -> Array:
        return stored if stored is not None else pair_features(risk, pairs, block)[0]

    def forward(total: Array, item: Any) -> Array:
        (block, stored), row = item
        return total + (features_of(block, stored) * (pairs.signs @ row.T)) @ block.x

    moved = fold_blocks(forward, jnp.zeros_like(pairs.vector), (blocks, prepared.per_example(v)))
    beta = jnp.einsum("pd,pdl->pl", moved, rotation.vectors)
    own = jnp.einsum("pd,pd->p", moved, pairs.vector) * pairs.present
    traces = jax.ops.segment_sum(own, pairs.unit, state.prox.ranks.shape[0])
    shift = _shifts(state, traces)[pairs.unit]
    z = jnp.einsum("pdl,pl->pd", rotation.vectors, rotation.weights * beta) / state.prox.epsilon
    z = z - 0.5 * shift[:, None] * pairs.vector

    def backward(item: Any) -> Array:
        block, stored = item
        return 2 * pairs.signs.T @ (features_of(block, stored) * (z @ block.x.T))

    return prepared.unblock(map_blocks(backward, blocks))


@_programs.loop
def _conjugate_gradients(risk: Objective, state: Evaluation, tolerance: Array) -> Direction:
    rotation = _rotation(state)

    def operator(v: Array) -> Array:
        return product(risk, state, rotation, v)

    def curved(v: Array) -> Array:
        return curvature_product(risk, state.point.f, v)

    if risk.block is None:
        return conjugate_gradients(operator, curved, state.residual, tolerance)
    # (I + (𝒢 + 𝒦)H) δf = -F with B = I + 𝒦H is (I + 𝒢 H B⁻¹) (B δf) = -F, and H B⁻¹ is symmetric positive semidefinite.
    factors = jax.scipy.linalg.lu_factor(_newton_matrix(risk, _block_operator(risk), state.point.f))

    def solved(v: Array) -> Array:
        return jax.scipy.linalg.lu_solve(factors, v.reshape(-1)).reshape(v.shape)

    found = conjugate_gradients(operator, lambda v: curved(solved(v)), state.residual, tolerance)
    return found._replace(f=solved(found.f))


def conjugate_gradients(
    operator: Callable[[Array], Array], curved: Callable[[Array], Array], target: Array, tolerance: Array
) -> Direction:
    """Solves `(I + 𝒢 H) δf = -F` for the operators `𝒢` and `H` and the residual `F`, in the inner product `⟨u, H v⟩`."""

    def going(carry: tuple[Array, ...]) -> Array:
        *_, size, steps = carry
        return (size > tolerance**2 * first) & (steps < _MOST_PRODUCTS)

    def step(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        image, r, p, hp, size, steps = carry
        ghp = operator(hp)
        q = p + ghp
        alpha = size / jnp.vdot(hp, q)
        r = r - alpha * q
        hr = curved(r)
        new = jnp.vdot(r, hr)
        return image + alpha * ghp, r, r + new / size * p, hr + new / size * hp, new, steps + 1

    h_target = curved(target)
    first = jnp.vdot(target, h_target)
    start = (jnp.zeros_like(target), target, target, h_target, first, jnp.zeros((), jnp.int32))
    image, *_, steps = lax.while_loop(going, step, start)
    # `image = 𝒢 H z`: the last step of the fixed point `z = F - 𝒢 H z` is exact on the null space of H.
    change = image - target
    return Direction(change, -jnp.vdot(h_target, change), steps)


@_programs.program
def dense_operator(risk: Objective, state: Evaluation) -> Float[Array, "n outputs n outputs"]:
    """Returns `𝒢` as an array, from a factor with `nC × pairs × d` entries."""
    rotation, pairs, found = _rotation(state), state.pairs, state.prox
    prepared = risk.features
    x = risk.x
    features = prepared.unblock(map_blocks(lambda block: pair_features(risk, pairs, block)[0], prepared.blocks))
    signed = features[:, None, :] * pairs.signs.T[None]  # (n, outputs, pairs)
    coordinates = jnp.einsum("nd,pdl->npl", x, rotation.vectors)
    factor = signed[..., None] * (coordinates * jnp.sqrt(2 * rotation.weights / found.epsilon))[:, None]
    factor = factor.reshape(x.shape[0] * risk.net.outputs, -1)
    own = signed * jnp.einsum("nd,pd->np", x, pairs.vector)[:, None]
    traces = jax.ops.segment_sum(jnp.moveaxis(own, -1, 0), pairs.unit, found.ranks.shape[0])
    traces = traces.reshape(found.ranks.shape[0], -1)
    matrix = factor @ factor.T - traces.T @ _shifts(state, traces)
    return matrix.reshape(x.shape[0], risk.net.outputs, x.shape[0], risk.net.outputs)


@_programs.program
def _dense(risk: Objective, state: Evaluation) -> Direction:
    operator = dense_operator(risk, state)
    if risk.block is not None:
        operator = operator + _block_operator(risk)
    return solve_dense(risk, operator, state.point.f, state.residual)


def _block_operator(risk: Objective) -> Float[Array, "n outputs n outputs"]:
    """Returns `𝒦 = K/(2λ1)`, minus the derivative of the outputs of the linear block in `ν`."""
    n, outputs = risk.count, risk.net.outputs
    return (risk.block.gram / (2 * risk.block.strength)).reshape(n, outputs, n, outputs)


def solve_dense(
    risk: Objective, operator: Float[Array, "n outputs n outputs"], f: Array, target: Float[Array, "n outputs"]
) -> Direction:
    """Solves `(I + 𝒢 H) δf = -F` for an operator `𝒢` in an array."""
    change = -jnp.linalg.solve(_newton_matrix(risk, operator, f), target.reshape(-1)).reshape(target.shape)
    return Direction(change, -jnp.vdot(curvature_product(risk, f, target), change), jnp.zeros((), jnp.int32))


def _newton_matrix(risk: Objective, operator: Float[Array, "n outputs n outputs"], f: Array) -> Float[Array, "nC nC"]:
    """Returns `I + 𝒢 H`; `H` couples the outputs of an example only."""
    n, outputs = f.shape
    units = jnp.eye(outputs, dtype=f.dtype)
    curvature = jax.vmap(lambda unit: curvature_product(risk, f, jnp.broadcast_to(unit, f.shape)), out_axes=-1)
    matrix = jnp.einsum("icjd,jde->icje", operator, curvature(units)).reshape(n * outputs, n * outputs)
    return matrix + jnp.eye(n * outputs, dtype=matrix.dtype)
