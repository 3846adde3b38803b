"""The dual bound of the randomized network: the quadratic bound, the exact variance, and the coupling error (theory 5).

Write `t_r = ‖w_r‖²`, `b_i = ‖x_i‖`, `R = (Σ t_r²)^q`, `q = p/4`, and `e_ir`, `o_ir` for the even and odd parts of
`v ↦ σ(u_ir + v)` at `v_ir = ⟨w_r, x_i⟩`. The mean over signs is `f^(0) + f^(2) + m^{-1/2} Σ_r a_r ρ_ir` with the even
remainder `ρ = e - σ(u) - σ''(u) v²/2`, the variance `m^{-1} Σ_r a_r² o_ir²`. For the squared loss the risk is the
loss of the mean plus the variance (for a quadratic loss with Hessian `b I`, plus `b/2` times the variance, and `V_r` is
scaled accordingly); for every convex loss it is at least the loss of the mean (Jensen; then `V_r = 0`).
With example weights, `p_i` replaces `1/n` throughout.
Fenchel's inequality with slopes `n ν_i` gives, for *every* `W`,

    P(W) ≥ -(1/n) Σ ℓ*(n ν_i) + Σ ⟨ν_i, f^(0)_i⟩ + λ R + Σ_r ⟨w_r, (M_r(ν) + V_r - G_r(t_r)) w_r⟩.

- *Variance.* With `o = σ'v + δ`, `|δ| ≤ L_3|v|³/6`: `o² ≥ σ'²v² - (L_3/3)|σ'|v⁴`. The first part gives
  `V_r = (1/nm) Σ_i |a_r|² σ'(u_ir)² x_i x_iᵀ`, the second enters `G_r`. For cubic ReLU `o² ≥ σ'²v²` needs no correction.
  Otherwise `o² ≥ 0`, without either part, is the better bound for large units: each unit uses the tighter bound.
- *Even remainder*, with the coefficient `m^{-1/2} ⟨ν_i, a_r⟩`. Smooth activations: `|ρ| ≤ L_4 v⁴/24`. Cubic ReLU, whose fourth
  derivative is unbounded: `ρ = (|v| - |u|)_+³/12` exactly, nonnegative, and 0 for the many units that stay on
  their side of the kink, so that the total is of order `m^{-1/2}` as in the smooth case. With `L_3` alone: `|ρ| ≤ L_3|v|³/6`.
- Each of these is `v²` times a function that increases with `|v| ≤ b_i √t_r`. Replacing this function by its largest
  value, but keeping `v² = ⟨w_r, x_i⟩²`, gives a quadratic form: `G_r(t) = Σ_i g_ir(t) x_i x_iᵀ` with, in turn,
  `g = (L_3/3nm) |a_r|² |σ'| b² t`, `m^{-1/2} |⟨ν, a_r⟩| (L_4/24) b² t`,
  `m^{-1/2} max(-⟨ν, a_r⟩, 0) (b√t - |u|)_+³/(12 b² t)` and `m^{-1/2} |⟨ν, a_r⟩| (L_3/6) b √t`. For isotropic inputs this
  is `d` times smaller than the bound `v² ≤ b² t`.

With `ψ_r(t) = t λ_max(G_r(t) - M_r - V_r)` and any `μ`, adding and subtracting `μ Σ t_r²` separates the units:

    D = -(1/n) Σ ℓ*(n ν_i) + Σ ⟨ν_i, f^(0)_i⟩ - sup_S (μS - λS^q) - Σ_r sup_{t ≥ 0} [ψ_r(t) - μ t²].

For a fixed direction of `w_r` each term of `ψ_r` is convex in `t`, hence so is their supremum `ψ_r`: between grid points it
lies below its chord, where the inner supremum is that of a parabola. The grid ends at `T = (P/λ)^{2/p}` for the current
objective `P`: losses are nonnegative, so a displacement with a larger unit has an objective above `P`, and the bound need
not cover it. `μ` is chosen by golden-section search; any `μ` is valid.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from taylornets import _checks
from taylornets.activations import ReluPower
from taylornets.certificates._bounds import (
    conjugate_magnitude,
    golden_section,
    initial_inner,
    mean_conjugate,
    rounding_allowance,
    slopes_of,
)
from taylornets.objectives import Objective
from taylornets.penalties import GroupPenalty
from taylornets.two_layer import Block

_GRID = 16
_RATIO = 1.5  # of neighboring grid points; 60 grid points would reduce the gap by 3 %
_MULTIPLIER_RANGE = 8.0
_MULTIPLIER_STEPS = 60
_LEAST_MULTIPLE = 2.0**-10


class _Table(NamedTuple):
    """`ψ` of every unit on the grid `t`, which begins at 0, for each lower bound on the variance."""

    t: Float[Array, " grid"]
    psi: Float[Array, "bounds m grid"]


class _Search(NamedTuple):
    """The last multiple of `ν`, the best bound so far and its vector, and whether to continue."""

    multiple: Float[Array, ""]
    bound: Float[Array, ""]
    vector: Float[Array, "n outputs"]
    going: Bool[Array, ""]


def randomized_bound(risk: Objective, dual_vector: Float[Array, "n outputs"], value: Array) -> tuple[Array, Array]:
    """Maximizes the bound over `D(ν)`, `D(ν/2)`, `D(ν/4)`, ... and `D(0)`.

    Near an optimum `ν` itself is best. Smaller multiples help if the remainder exceeds the penalty. They are tried while the
    bound covers less than half of the objective and either increases or equals the bound at `ν = 0`.

    Args:
        risk: a randomized objective.
        dual_vector: `ν`, shape `(n, outputs)`.
        value: the current objective, a scalar; the bound covers all displacements whose objective does not exceed it.

    Returns:
        A lower bound on the objective, at most `value`, and the dual vector that attains it.
    """
    dual_vector = slopes_of(risk, dual_vector) * risk.weights()[:, None]
    trivial = -mean_conjugate(risk, jnp.zeros_like(dual_vector))

    def halve(search: _Search) -> _Search:
        multiple = search.multiple / 2
        vector = multiple * dual_vector
        bound = _bound_at(risk, vector, value)
        better = bound > search.bound
        going = (bound - trivial < (value - trivial) / 2) & (better | (search.bound == trivial))
        return _Search(
            multiple,
            jnp.where(better, bound, search.bound),
            jnp.where(better, vector, search.vector),
            going & (multiple > _LEAST_MULTIPLE),
        )

    start = _Search(jnp.full_like(trivial, 2), trivial, jnp.zeros_like(dual_vector), jnp.asarray(True))
    end = lax.while_loop(lambda search: search.going, halve, start)
    return jnp.minimum(end.bound, value), end.vector


def _bound_at(risk: Objective, dual_vector: Array, value: Array) -> Array:
    """Computes `D(ν)`; NaN becomes minus infinity."""
    slopes, q = slopes_of(risk, dual_vector), risk.penalty.power / 4
    table, size = _table(risk, dual_vector, value)

    def by_units(mu: Array) -> Array:
        return GroupPenalty(1, 2 * q).conjugate(mu, risk.strength) + jnp.sum(_unit_suprema(table, mu))

    if q == 1:
        mu = risk.strength
    else:
        center, spread = q * risk.strength * size ** (2 * q - 2), jnp.log(jnp.asarray(_MULTIPLIER_RANGE, slopes.dtype))
        logarithm = golden_section(lambda shift: -by_units(center * jnp.exp(shift)), -spread, spread, _MULTIPLIER_STEPS)
        mu = center * jnp.exp(logarithm)
    lost, constant = by_units(mu), initial_inner(risk, dual_vector)
    magnitude = conjugate_magnitude(risk, slopes) + jnp.abs(constant) + lost
    # Multiples below 1 of feasible slopes are feasible up to rounding, which the allowance covers.
    bound = -mean_conjugate(risk, slopes) + constant - lost - rounding_allowance(risk, magnitude)
    return jnp.where(jnp.isnan(bound), -jnp.inf, bound)


def _table(risk: Objective, dual_vector: Array, value: Array) -> tuple[_Table, Array]:
    """Computes `ψ` on the grid, and `S^{1/2}` at the optimum of the bound without the remainder."""
    net, q = risk.net, risk.penalty.power / 4
    moments, variances, odd = risk.moment_matrices(dual_vector), _variances(risk), _odd_remainder(risk)
    moments, variances = net.both_halves(moments, -moments), net.both_halves(variances)
    reach = (value / risk.strength) ** (2 / risk.penalty.power)
    powers = reach * _RATIO ** jnp.arange(1 - _GRID, 1).astype(moments.dtype)
    grid = jnp.concatenate([jnp.zeros(1, moments.dtype), powers])

    # A single eigenvalue call: in JAX 0.10.2 two independent calls in one program can deadlock, since both hold threads of the
    # CPU pool while waiting for more.
    def top(t: Array) -> Float[Array, "bounds m"]:
        even = _even_remainder(risk, dual_vector, t) - moments
        forms = [even - variances] if odd is None else [even + t * odd - variances, even]
        return risk.features.eigvalsh(jnp.stack(forms))[..., -1]

    tops = lax.map(top, grid)
    # Without the remainder, `Σ sup_t [τ t - μt²] = C²/4μ` balances `sup_S (μS - λS^q)` at `S^{1/2} = size`.
    total = jnp.linalg.norm(jnp.maximum(tops[0, 0], 0))
    size = (total / (2 * q * risk.strength)) ** (1 / (2 * q - 1))
    return _Table(grid, jnp.moveaxis(grid[:, None, None] * tops, 0, -1)), size


def _variances(risk: Objective) -> Float[Array, "h d d"]:
    """`V_r` of the distinct units; zero for losses that are not quadratic."""
    net = risk.net
    if not _has_variance(risk):
        return jnp.zeros((net.pairs, net.inputs, net.inputs), net.w0.dtype)
    squares = risk.loss.curvature_bound / 2 * jnp.sum(net.signs**2, axis=1)[:, None]

    def weigh(block: Block, weights: Array) -> Array:
        return squares * risk.scaled_derivative(block, 1) ** 2 * weights.T  # the weights contain m^{-1/2}

    return risk.weighted_moments(weigh, risk.weights()[:, None])


def _has_variance(risk: Objective) -> bool:
    return risk.loss.quadratic and (_is_cubic(risk) or math.isfinite(_bound(risk, 3)))


def _odd_remainder(risk: Objective) -> Float[Array, "m d d"] | None:
    """Bound on the overestimation by `V_r`, divided by `t`; None if no correction is required."""
    net = risk.net
    if _is_cubic(risk) or not _has_variance(risk):
        return None
    half = risk.loss.curvature_bound / 2
    share = half * jnp.sum(net.a**2, axis=1)[:, None] / math.sqrt(net.width) * _bound(risk, 3) / 3

    def weigh(block: Block, weights: Array) -> Array:
        slopes = net.both_halves(jnp.abs(risk.scaled_derivative(block, 1)))
        return share * slopes * jnp.sum(block.x**2, axis=1) * weights.T

    return risk.weighted_moments(weigh, risk.weights()[:, None])


def _even_remainder(risk: Objective, dual_vector: Array, t: Array) -> Float[Array, "m d d"]:
    """The contribution of the even remainder to `G_r(t)`."""

    def weigh(block: Block, rows: Array) -> Array:
        return _weights(risk, t, block, risk.net.a @ rows.T)

    return risk.weighted_moments(weigh, dual_vector)


def _weights(risk: Objective, t: Array, block: Block, inner: Float[Array, "m b"]) -> Float[Array, "m b"]:
    """`g_ir(t)` of the even remainder, given `⟨ν_i, a_r⟩`."""
    net = risk.net
    reach, rate = (jnp.linalg.norm(block.x, axis=1) * jnp.sqrt(t))[None, :], 1 / math.sqrt(net.width)
    if _is_cubic(risk):
        u = net.both_halves(jnp.abs(risk.preactivations(block)))
        share = jnp.maximum(1 - u / jnp.where(reach > 0, reach, 1), 0) ** 3
        return rate / 12 * jnp.maximum(-inner, 0) * reach * share
    third, fourth = _bound(risk, 3), _bound(risk, 4)
    if math.isfinite(fourth) and not net.activation.kinks:
        return rate * fourth / 24 * jnp.abs(inner) * reach**2
    if math.isfinite(third):
        return rate * third / 6 * jnp.abs(inner) * reach
    raise _checks.ArgumentError(
        "model",
        "an activation with a bounded third or fourth derivative, for a certificate of the randomized network",
        net.activation.name,
        "Certify the quadratic model instead.",
    )


def _unit_suprema(table: _Table, mu: Array) -> Float[Array, " m"]:
    """Upper bound on `sup [ψ(t) - μ t²]` over the grid for every unit: the smallest over the bounds on the variance."""
    t = jnp.expand_dims(table.t, range(table.psi.ndim - 1))
    left, right = t[..., :-1], t[..., 1:]
    slope = (table.psi[..., 1:] - table.psi[..., :-1]) / (right - left)
    top = jnp.clip(slope / (2 * mu), left, right)
    return jnp.min(jnp.max(table.psi[..., :-1] + slope * (top - left) - mu * top**2, axis=-1), axis=0)


def _is_cubic(risk: Objective) -> bool:
    return risk.net.activation == ReluPower(3)


def _bound(risk: Objective, k: int) -> float:
    """`sup|σ^{(k)}|`."""
    return risk.net.activation.derivative_bound(k)
