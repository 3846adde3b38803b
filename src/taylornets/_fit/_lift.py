"""The quadratic model in its convex lift, and the proximal map of its penalty (theory 5 and 11).

With `Θ_r = Σ_j w_rj w_rjᵀ ⪰ 0` the model is linear, `f = f⁰ + A(Θ)` with `A(Θ)_i = Σ_r a_r c_ir ⟨x_i, Θ_r x_i⟩` and `c_ir =
σ''(u_ir)/(2√m)`, and the penalty is `λ g^{p/4}` with `g = Σ_r t_r²`, `t_r = tr Θ_r`. For a dual vector `ν`, centers `Θ⁰` and
`ε > 0`, let `Θ(ν)` be the minimizer over `Θ ⪰ 0` of

    ⟨ν, A(Θ)⟩ + λ g^{p/4} + (ε/2) ‖Θ - Θ⁰‖².

Stationarity gives `Θ_r = Π₊(S_r - c t_r I)` with `S_r = Θ⁰_r - M_r(ν)/ε`, `c = 2a/ε`, `a = λ (p/4) g^{p/4 - 1}`. For a given
`a`, with the eigenvalues `s_1 ≥ s_2 ≥ ...` of `S_r`, the trace is `t_r = Σ_{k ≤ ρ} s_k/(1 + cρ)`, where `ρ` counts the
eigenvalues above `c t_r`. `g` falls as `a` grows, so the equation for `a` has one root.

The eigenvectors with positive eigenvalue, of all units, form one flat list of **pairs** `(r, k)`. Everything else needs
only these: a product costs `n × pairs × d`, and no array has `n × m × d` entries.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from taylornets import _checks, _devices, _programs
from taylornets.certificates import dual_bound, weighted_sum
from taylornets.objectives import Objective
from taylornets.two_layer import map_blocks

_ROOT_STEPS = 60  # bisection of log a over 16 decades: to 16 · ln 10 / 2^60
_ROOT_DECADES = 16.0
# Lengths of the list of pairs: of few examples, so that few programs are compiled; of many, so that little is padded.
_FIRST_SIZE, _SIZE_GROWTH, _FINE_GROWTH, _MANY = 64, 1.25, 1.08, 2**12


class DualPoint(NamedTuple):
    """The quantities that depend on the outputs `f` alone; `ν_i = p_i ℓ'(f_i)` is in the domain of the conjugate.

    `moments` are the matrices `M_r(ν)` of all units. `dual` is `max_t D(tν)`, `dual_vector` its `tν`, and `total` the number
    `C(tν)` of theory 5. `fenchel` is `Σ_i p_i (ℓ(f_i) - ⟨ℓ'(f_i), f_i⟩) = -Σ_i p_i ℓ*(ν_i/p_i)`, less the cost of a linear
    block; `f` includes the outputs of that block.
    """

    f: Float[Array, "n outputs"]
    nu: Float[Array, "n outputs"]
    moments: Float[Array, "m d d"]
    fenchel: Float[Array, ""]
    dual: Float[Array, ""]
    dual_vector: Float[Array, "n outputs"]
    total: Float[Array, ""]


class Prox(NamedTuple):
    """The minimizer `Θ(ν)`: eigenvectors (columns), shifted eigenvalues `s - c t` in ascending order, and scalars.

    `ranks` are the numbers of positive eigenvalues, `a` is the slope of the penalty in `g`, `slope_growth` is `da/dg`,
    `penalty` is `λ g^{p/4}`, `distance` is `(ε/2) ‖Θ - Θ⁰‖²`.
    """

    theta: Float[Array, "m d d"]
    vectors: Float[Array, "m d d"]
    shifted: Float[Array, "m d"]
    traces: Float[Array, " m"]
    ranks: Int[Array, " m"]
    a: Float[Array, ""]
    slope_growth: Float[Array, ""]
    epsilon: Float[Array, ""]
    penalty: Float[Array, ""]
    distance: Float[Array, ""]


class Pairs(NamedTuple):
    """The flat list of pairs (unit, eigenvector with positive eigenvalue), padded with pairs of sign 0.

    `values` are the eigenvalues of `Θ`, `signs` are the output signs of the units.
    """

    unit: Int[Array, " pairs"]
    present: Bool[Array, " pairs"]
    vector: Float[Array, "pairs d"]
    values: Float[Array, " pairs"]
    signs: Float[Array, "pairs outputs"]


class Evaluation(NamedTuple):
    """The state of the method at `f` for given centers.

    `residual` is `F(f) = f - f_Θ`, minus the gradient of the dual function `D_ε` in `ν`; `proximal_dual` is `D_ε`; `primal` is
    the objective of `Θ`, and of the linear block of `ν` if there is one.
    """

    point: DualPoint
    prox: Prox
    pairs: Pairs
    features: Any
    residual: Float[Array, "n outputs"]
    proximal_dual: Float[Array, ""]
    primal: Float[Array, ""]


def dual_point(risk: Objective, f: Float[Array, "n outputs"]) -> DualPoint:
    """Computes the dual vector of outputs, its moment matrices and its dual value."""
    nu, moments, suprema, fenchel = _moments_of(risk, f)
    dual, vector = dual_bound(risk, nu, suprema)
    return DualPoint(f, nu, moments, fenchel, dual, vector, _scaled_total(nu, vector, suprema))


@_programs.program
def _moments_of(risk: Objective, f: Float[Array, "n outputs"]) -> tuple[Array, Array, Array, Array]:
    slopes = risk.loss.derivative(f, risk.targets())
    nu = slopes * risk.weights()[:, None]
    half = risk.moment_matrices(nu)
    spectra = risk.features.eigvalsh(half)
    suprema = risk.net.both_halves(jnp.maximum(-spectra[:, 0], 0), jnp.maximum(spectra[:, -1], 0))
    fenchel = weighted_sum(risk, risk.loss.value(f, risk.targets()) - jnp.sum(slopes * f, axis=1))
    if risk.block is not None:
        fenchel = fenchel - risk.block.cost(nu)
    return nu, risk.net.both_halves(half, -half), suprema, fenchel


@_programs.program
def _scaled_total(nu: Array, vector: Array, suprema: Array) -> Array:
    """Returns `C(tν)` for `vector = t ν`."""
    size = jnp.linalg.norm(nu)
    return jnp.linalg.norm(suprema) * jnp.linalg.norm(vector) / jnp.where(size > 0, size, 1)


@_programs.program
def prox(risk: Objective, moments: Float[Array, "m d d"], centers: Float[Array, "m d d"], epsilon: Array) -> Prox:
    """Computes the minimizer `Θ(ν)`; one eigendecomposition per unit."""
    power, strength = risk.penalty.power / 4, risk.strength
    ascending, vectors = _devices.eigh(centers - moments / epsilon, risk.features.layout)
    descending = ascending[:, ::-1]
    sums, counts = jnp.cumsum(descending, axis=1), jnp.arange(1, descending.shape[1] + 1)

    def traces_of(a: Array) -> tuple[Array, Array]:
        c = 2 * a / epsilon
        candidates = sums / (1 + c * counts)
        ranks = jnp.sum(descending > c * jnp.maximum(candidates, 0), axis=1)
        last = jnp.take_along_axis(candidates, jnp.maximum(ranks - 1, 0)[:, None], axis=1)[:, 0]
        return jnp.where(ranks > 0, jnp.maximum(last, 0), 0), ranks

    def slope(a: Array) -> Array:
        return strength * power * jnp.sum(traces_of(a)[0] ** 2) ** (power - 1)

    a = strength * power if power == 1 else _root(slope, slope(jnp.zeros_like(epsilon)))
    traces, ranks = traces_of(a)
    g = jnp.sum(traces**2)
    shifted = ascending - (2 * a / epsilon) * traces[:, None]
    beyond = jnp.arange(shifted.shape[1]) < shifted.shape[1] - ranks[:, None]
    shifted = jnp.where(beyond, jnp.minimum(shifted, 0), shifted)
    ranks = jnp.sum(shifted > 0, axis=1)  # the same number but for rounding
    theta = (vectors * jnp.maximum(shifted, 0)[:, None, :]) @ jnp.swapaxes(vectors, 1, 2)
    growth = jnp.where(g > 0, a * (power - 1) / jnp.where(g > 0, g, 1), 0)
    distance = epsilon / 2 * jnp.sum((theta - centers) ** 2)
    return Prox(theta, vectors, shifted, traces, ranks, a, growth, epsilon, strength * g**power, distance)


def _root(slope: Any, high: Array) -> Array:
    """Solves `slope(a) = a` for a decreasing function with `slope(0) = high`, by bisection of `log a`."""
    safe = jnp.where(high > 0, high, 1)

    def step(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, up = bracket
        middle = (low + up) / 2
        below = slope(safe * jnp.exp(middle)) > safe * jnp.exp(middle)
        return jnp.where(below, middle, low), jnp.where(below, up, middle)

    low, up = lax.fori_loop(
        0, _ROOT_STEPS, step, (jnp.full_like(high, -_ROOT_DECADES * math.log(10)), jnp.zeros_like(high))
    )
    return jnp.where(high > 0, safe * jnp.exp((low + up) / 2), 0)


def list_of_pairs(risk: Objective, found: Prox, size: int | None = None) -> Pairs:
    """Returns the pairs with positive eigenvalue, padded to `size` or to one of a geometric sequence of sizes."""
    active = np.flatnonzero(_checks.host(found.shifted) > 0)
    if size is None:
        size, growth = _FIRST_SIZE, _SIZE_GROWTH if risk.count < _MANY else _FINE_GROWTH
        while size < len(active):
            size = math.ceil(size * growth)
    index = np.zeros(size, np.int32)
    index[: len(active)] = active
    return _gather(risk.net.a, found, index, np.arange(size) < len(active))


@_programs.program
def _gather(signs: Array, found: Prox, index: Any, present: Any) -> Pairs:
    unit, column = index // found.shifted.shape[1], index % found.shifted.shape[1]
    values = jnp.where(present, found.shifted[unit, column], 0)
    return Pairs(unit, present, found.vectors[unit, :, column], values, signs[unit] * present[:, None])


def pair_features(risk: Objective, pairs: Pairs, block: Any) -> tuple[Array, Array]:
    """Returns `c_ir ⟨x_i, u_k⟩` and `⟨x_i, u_k⟩` of the pairs on one block of examples, shapes `(pairs, b)`."""
    projections = pairs.vector @ block.x.T
    return risk.scaled_derivative(block, 2)[pairs.unit % risk.net.pairs] * projections, projections


@_programs.program
def assemble(risk: Objective, point: DualPoint, found: Prox, pairs: Pairs) -> Evaluation:
    """Computes outputs, residual and objective of `Θ`; features of the pairs are kept unless the objective is chunked."""
    prepared = risk.features
    stores = prepared.blocks.stored is not None

    def one(block: Any) -> tuple[Array, Any]:
        features, projections = pair_features(risk, pairs, block)
        outputs = pairs.signs.T @ (pairs.values[:, None] * features * projections)
        return outputs, features if stores else None

    outputs, features = map_blocks(one, prepared.blocks)
    lifted = prepared.unblock(outputs)
    if not risk.net.symmetric:
        lifted = lifted + risk.initial_outputs()
    proximal = point.fenchel + jnp.sum(point.nu * lifted) + found.penalty + found.distance
    total, penalty = lifted, found.penalty
    if risk.block is not None:
        total, penalty = lifted + risk.block.outputs(point.nu), penalty + risk.block.cost(point.nu)
    primal = weighted_sum(risk, risk.loss.value(total, risk.targets())) + penalty
    return Evaluation(point, found, pairs, features, point.f - total, proximal, primal)


def truncated(risk: Objective, found: Prox, rank: int) -> Prox:
    """Returns `Θ` with only the `rank` largest eigenvalues of every unit."""
    shifted = _checks.host(found.shifted)
    kept = np.where(np.arange(shifted.shape[1]) >= shifted.shape[1] - rank, shifted, np.minimum(shifted, 0))
    traces = np.sum(np.maximum(kept, 0), axis=1)
    penalty = float(risk.strength) * float(np.sum(traces**2)) ** (risk.penalty.power / 4)
    like = found.penalty.dtype
    return found._replace(
        shifted=jnp.asarray(kept), traces=jnp.asarray(traces), ranks=jnp.asarray(np.sum(kept > 0, axis=1), found.ranks.dtype),
        penalty=jnp.asarray(penalty, like),
    )  # fmt: skip


def evaluate(risk: Objective, point: DualPoint, centers: Array, epsilon: Array, size: int | None) -> Evaluation:
    """Evaluates the method's state at the dual point `point`; `size` fixes the length of the list of pairs."""
    found = prox(risk, point.moments, centers, epsilon)
    return assemble(risk, point, found, list_of_pairs(risk, found, size))
