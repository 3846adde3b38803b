"""The landscape certificate: the curvature inequality of Bai & Lee (2020), and the bound it gives at a point (theory 4).

For the quadratic model, any `W`, any comparator `W*`, and independent signs `s`, convexity of the loss gives

    E_s ∇²L(W)[sW*, sW*] = A + (2/n) Σ_i ℓ'_i f^(2)(W*; x_i) ≤ A + 2 (L(W*) - L(W)) + ⟨∇L(W), W⟩,
    A = (1/nm) Σ_i Σ_r (a_rᵀ ℓ''_i a_r) σ''(u_ir)² ⟨w_r, x_i⟩² ⟨w*_r, x_i⟩² = Σ_r ⟨w*_r, Q_r w*_r⟩.

The penalty `λ g^q`, `g = Σ_r ‖w_r‖⁴`, `q = p/4`, has `⟨∇R, W⟩ = p R`, and with `i_r = ⟨w_r, w*_r⟩`

    E_s ∇²R(W)[sW*, sW*] = Σ_r ⟨w*_r, N_r w*_r⟩,
    N_r = [16 q(q-1) g^{q-2} ‖w_r‖⁴ + 8 q g^{q-1}] w_r w_rᵀ + 4 q g^{q-1} ‖w_r‖² I

(theory 4 has `q = 2`). The left side is at least `λ_min ‖W*‖_F²`. Together, for the penalized objective `P`,

    2 (P(W) - P(W*)) ≤ ⟨∇P(W), W⟩ - (p-2) λ R(W) + Σ_r ⟨w*_r, (Q_r + λ N_r - λ_min I) w*_r⟩ - 2 λ R(W*).

The sum is at most `C s` with `s = ‖W*‖_{2,4}²`, `C = (Σ_r c_r²)^{1/2}`, `c_r = max(λ_max(Q_r + λ N_r - λ_min I), 0)`, as in
the dual bound. So `sup_s C s - 2 λ s^{p/2}`, a conjugate, bounds the excess over *every* comparator, or over the ball
`s ≤ B²` if a radius is given. `Q_r` is O(1/m) for bounded `‖W‖_{2,4}`; the contribution of the penalty does not decrease
with the width, so the dual certificate is tighter.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, _devices, _programs, losses
from taylornets.certificates._dual import Certificate, certify_objective
from taylornets.objectives import Objective, objective
from taylornets.optimizers import Stationarity, stationarity
from taylornets.penalties import GroupPenalty
from taylornets.two_layer import Block, TwoLayerNetwork


class Landscape(eqx.Module):
    """The terms of the curvature inequality at a point, and the resulting bound on the excess objective.

    Attributes:
        objective: `P(W)`.
        gradient_inner: `⟨∇P(W), W⟩`.
        min_eigenvalue: the lower bound on the smallest Hessian eigenvalue used in the inequality.
        loss_curvature: `C` of `Q_r` alone.
        penalty_curvature: `C` of `λ N_r` alone.
        curvature: `C` of all parts combined.
        penalty: `λ R(W)`.
        excess_bound: upper bound on `P(W) - P(W*)` for every `W*` (in the ball).
        certificate: the dual certificate at the same point.
        stationarity: the second-order test that gave `min_eigenvalue`.
    """

    objective: Float[Array, ""]
    gradient_inner: Float[Array, ""]
    min_eigenvalue: Float[Array, ""]
    loss_curvature: Float[Array, ""]
    penalty_curvature: Float[Array, ""]
    curvature: Float[Array, ""]
    penalty: Float[Array, ""]
    excess_bound: Float[Array, ""]
    certificate: Certificate
    stationarity: Stationarity = eqx.field(static=True)

    def __str__(self) -> str:
        return (
            f"objective {float(self.objective):.6g} exceeds that of any comparator by at most {float(self.excess_bound):.3g} "
            f"(curvature inequality) and the global minimum by at most {float(self.certificate.gap):.3g} (dual certificate)"
        )


class Inequality(eqx.Module):
    """The curvature inequality for one comparator; it states that `slack ≥ 0`.

    Attributes:
        expected_curvature: `E_s ∇²P(W)[sW*, sW*]`, computed exactly.
        loss_curvature: `A`.
        penalty_curvature: `λ E_s ∇²R(W)[sW*, sW*]`.
        gradient_inner: `⟨∇P(W), W⟩`.
        objective: `P(W)`.
        comparator_objective: `P(W*)`.
        bound: the right side of `expected_curvature ≤ bound`.
    """

    expected_curvature: Float[Array, ""]
    loss_curvature: Float[Array, ""]
    penalty_curvature: Float[Array, ""]
    gradient_inner: Float[Array, ""]
    objective: Float[Array, ""]
    comparator_objective: Float[Array, ""]
    bound: Float[Array, ""]

    @property
    def slack(self) -> Array:
        """`bound - expected_curvature`, twice the slack in the convexity of the loss."""
        return self.bound - self.expected_curvature


@_devices.exact
def landscape(
    net: TwoLayerNetwork,
    w: ArrayLike,
    x: ArrayLike,
    y: object,
    *,
    key: PRNGKeyArray,
    loss: str | losses.Loss = "squared",
    penalty: float,
    power: float = 8,
    radius: float | None = None,
) -> Landscape:
    """Bounds the excess objective of `w` in the quadratic model from its gradient and its smallest Hessian eigenvalue.

    Args:
        net: the network.
        w: any displacement, shape `(m, d)`.
        x: examples, shape `(n, d)`.
        y: targets in the form the loss expects.
        key: JAX random key for the second-order test.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`.
        power: `p ≥ 4`.
        radius: restricts comparators to the ball `‖W*‖_{2,4} ≤ radius`; unrestricted by default.

    Returns:
        The terms, the bound, and the dual certificate for comparison.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 4; Bai & Lee (2020), section 4.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=16)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> y = x[:, 0] * x[:, 1]
        >>> w = tn.fit(net, x, y, penalty=1e-2).w
        >>> found = tn.certificates.landscape(net, w, x, y, key=jax.random.key(2), penalty=1e-2)
        >>> bool(found.excess_bound >= found.certificate.gap)
        True
    """
    if radius is not None:
        _checks.positive("radius", radius)
    risk = objective(net, x, y, loss=loss, penalty=penalty, power=power)
    w = _checks.array("w", w, (net.width, net.inputs), "The curvature inequality does not cover copies of units.")
    return landscape_objective(risk, w, stationarity(risk, w, key=key), radius)


@_devices.exact
def landscape_objective(risk: Objective, w: Array, test: Stationarity, radius: float | None = None) -> Landscape:
    """Computes `landscape` for a prepared quadratic objective, given the second-order test at `w`."""
    eigenvalue = jnp.asarray(test.lower_bound, w.dtype)
    numbers = _bound(risk, w, eigenvalue, jnp.inf if radius is None else radius)
    return Landscape(*numbers, certificate=certify_objective(risk, w), stationarity=test)


@_programs.program
def _bound(risk: Objective, w: Array, eigenvalue: Array, radius: float) -> tuple[Array, ...]:
    value, gradient = risk.value_and_gradient(w)
    inner, penalty = jnp.vdot(gradient, w), risk.penalty_value(w)
    from_loss, from_penalty = loss_curvature_matrices(risk, w), penalty_curvature_matrices(risk, w)

    def supremum(matrices: Array) -> Array:
        return jnp.linalg.norm(jnp.maximum(risk.features.eigvalsh(matrices)[:, -1], 0))

    total = supremum(from_loss + from_penalty - eigenvalue * jnp.eye(w.shape[1], dtype=w.dtype))
    power = risk.penalty.power
    # The sup over s of C s - 2λ s^{p/2} is attained at s* = (C/(pλ))^{1/(p/2 - 1)}, or at the boundary of a smaller ball.
    best = (total / (power * risk.strength)) ** (1 / (power / 2 - 1))
    size = jnp.minimum(best, radius**2)
    inside = total * size - 2 * risk.strength * size ** (power / 2)
    supremum_all = jnp.where(best <= radius**2, GroupPenalty(2, power).conjugate(total, 2 * risk.strength), inside)
    excess = (inner - (power - 2) * penalty + supremum_all) / 2
    return value, inner, eigenvalue, supremum(from_loss), supremum(from_penalty), total, penalty, excess


@_devices.exact
def curvature_inequality(risk: Objective, w: Array, comparator: Array) -> Inequality:
    """Computes the terms of the curvature inequality for one comparator.

    Args:
        risk: a quadratic objective, `taylornets.objective(...)`.
        w: displacement, shape `(m, d)`.
        comparator: `W*`, of the same shape.

    Returns:
        The terms; `expected_curvature` is computed from the derivatives of the objective, not from the inequality.

    Raises:
        ArgumentError: for other models or mismatched shapes.

    Source: theory 4.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jnp.eye(3)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> risk = tn.objective(net, x, y, penalty=0.1)
        >>> found = tn.certificates.curvature_inequality(risk, 0.1 * net.w0, net.w0)
        >>> bool(found.slack >= 0)
        True
    """
    net = risk.net
    if risk.model.term != 2:
        raise _checks.ArgumentError("risk", "the objective of the quadratic model", repr(risk.model.name))
    w = _checks.array("w", w, (net.width, net.inputs))
    comparator = _checks.array("comparator", comparator, (net.width, net.inputs))
    return _inequality(risk, w, comparator)


@_programs.program
def _inequality(risk: Objective, w: Array, comparator: Array) -> Inequality:
    value, gradient = risk.value_and_gradient(w)
    comparator_value, inner = risk(comparator), jnp.vdot(gradient, w)

    def form(matrices: Array) -> Array:
        return jnp.einsum("rd,rde,re->", comparator, matrices, comparator)

    from_loss, from_penalty = form(loss_curvature_matrices(risk, w)), form(penalty_curvature_matrices(risk, w))
    outputs, y, weight = risk.outputs(w), risk.targets(), risk.weights()[:, None]
    slopes = risk.loss.derivative(outputs, y)
    expected = from_loss + 2 * jnp.sum(weight * slopes * risk.term(2, comparator)) + from_penalty
    power = risk.penalty.power
    here, there = risk.penalty_value(w), risk.penalty_value(comparator)
    bound = 2 * (comparator_value - value) + inner + from_loss + from_penalty - (power - 2) * here - 2 * there
    return Inequality(expected, from_loss, from_penalty, inner, value, comparator_value, bound)


def loss_curvature_matrices(risk: Objective, w: Float[Array, "m d"]) -> Float[Array, "m d d"]:
    """`Q_r` of the quadratic model; the factor `σ''²/m` is four times the squared prepared feature."""
    net, loss = risk.net, risk.loss
    outputs, y = risk.outputs(w), risk.targets()
    columns = jax.vmap(lambda unit: loss.hessian_product(outputs, y, jnp.broadcast_to(unit, y.shape)), in_axes=0)
    hessians = jnp.moveaxis(columns(jnp.eye(net.outputs, dtype=w.dtype)), 0, -1).reshape(y.shape[0], -1)
    hessians = hessians * risk.weights()[:, None]

    def weigh(block: Block, rows: Array) -> Array:
        v = risk.projections(w, block)
        scaled = net.both_halves(risk.scaled_derivative(block, 2))
        local = rows.reshape(-1, net.outputs, net.outputs)
        curvature = jnp.einsum("rc,bce,re->rb", net.a, local, net.a)
        return curvature * (2 * scaled * v) ** 2

    return risk.weighted_moments(weigh, hessians)


def penalty_curvature_matrices(risk: Objective, w: Float[Array, "m d"]) -> Float[Array, "m d d"]:
    """`λ N_r` of the penalty `λ ‖W‖_{2,4}^p`."""
    q, squares = risk.penalty.power / 4, jnp.sum(w * w, axis=1)
    g = jnp.sum(squares**2)
    safe = jnp.where(g == 0, 1, g)  # at W = 0 the matrices vanish for p > 4, and for p = 4 their coefficients do
    outer = jnp.where(g == 0, 0, 16 * q * (q - 1) * safe ** (q - 2)) * squares**2 + 8 * q * g ** (q - 1)
    level = 4 * q * g ** (q - 1) * squares
    identity = jnp.eye(w.shape[1], dtype=w.dtype)
    return risk.strength * (outer[:, None, None] * w[:, :, None] * w[:, None, :] + level[:, None, None] * identity)
