"""Dual certificates: a proof of how far any `w` is from the global optimum (theory 5).

**Weak duality.** Fenchel's inequality `ℓ(f⁰ + v, y) ≥ ⟨s, f⁰ + v⟩ - ℓ*(s, y)` holds for every slope `s`. With `s_i = n ν_i`,
summed over the examples, for every `W`

    P(W) ≥ -(1/n) Σ_i [ℓ*(n ν_i, y_i) - ⟨n ν_i, f⁰_i⟩] + Σ_i ⟨ν_i, f^(k)(W; x_i)⟩ + λ ‖W‖_{2,2k}^p.

Unit `r` contributes at least `-τ_r ‖w_r‖^k` to the middle sum (`two_layer.unit_suprema` of `-ν`), and by Cauchy-Schwarz
all of them at least `-C s` with `C = ‖τ‖₂`, `s = ‖W‖_{2,2k}^k`. What remains is `inf_s λ s^{p/k} - C s = -R*(C)`. Hence

    D(ν) = -(1/n) Σ_i [ℓ*(n ν_i, y_i) - ⟨n ν_i, f⁰_i⟩] - R*(C)  ≤  inf P.

**The randomized network.** By Jensen `E_s ℓ(f(sW)) ≥ ℓ(E_s f(sW))`, and the even part beyond order 2 is at most
`m^{-1/2} L_j/j! Σ_r |⟨w_r, x⟩|^j`, where `L_j = sup|σ^{(j)}|`: `j = 4` when that is finite, else `j = 3` (the even part of
the remainder after order 2 is bounded by both). So the infimum over `s` becomes that of `λ s^{p/2} - C s - κ s^{j/2}`, with
`κ = L_j/j! · m^{-1/2} Σ_i |ν_i|₁ ‖x_i‖⁴` for `j = 4` (`Σ‖w_r‖⁴ = s²`) and `κ = L_j/j! · m^{-1/4} Σ_i |ν_i|₁ ‖x_i‖³` for
`j = 3` (`Σ‖w_r‖³ ≤ m^{1/4} s^{3/2}`). The bound holds for *all* `W`, not only near the one at hand.

**Rounding.** The computed dual value is lowered by an allowance for rounding, `16 ε (√n + d)` times the sum of the
magnitudes it is made of, so that a certificate stays one at the last digits: in float64 that is about 1e-13 relative, in
float32 about 1e-4.
"""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from taylornets import _checks, losses
from taylornets.objectives import Objective, objective
from taylornets.two_layer import TwoLayerNetwork, unit_suprema

_GOLDEN = (math.sqrt(5) - 1) / 2
_SEARCH_STEPS = 80  # 1024 · 0.618^80 < 2e-14: the multiple is found to rounding
_LARGEST_MULTIPLE = 1024.0


class Certificate(eqx.Module):
    """A proof that `primal` is at most `gap` above the global minimum of the penalized objective.

    Attributes:
        primal: `P(w)`, the objective at hand.
        dual: `D(ν) ≤ min P`, a lower bound on the objective of *every* displacement of every rank.
        dual_vector: the `ν` that proves it, shape `(n, outputs)`.
    """

    primal: Float[Array, ""]
    dual: Float[Array, ""]
    dual_vector: Float[Array, "n outputs"]

    @property
    def gap(self) -> Array:
        """`primal - dual ≥ P(w) - min P`."""
        return self.primal - self.dual

    @property
    def relative_gap(self) -> Array:
        """The gap over the objective at hand, `gap / |primal|`."""
        return self.gap / jnp.abs(self.primal)

    def __str__(self) -> str:
        return (
            f"objective {float(self.primal):.9g} is within {float(self.gap):.2e} "
            f"({float(self.relative_gap):.1e} relative) of the global minimum"
        )


def certify(
    net: TwoLayerNetwork,
    w: Array,
    x: Array,
    y: Any,
    *,
    loss: str | losses.Loss = "squared",
    penalty: float | Array,
    power: float = 8,
    model: str = "quadratic",
    dual_vector: Array | None = None,
    chunk_size: int | None = None,
) -> Certificate:
    """Bounds how far any displacement is from the global minimum of its penalized objective.

    Args:
        net: the network.
        w: any displacement, good or bad, shape `(m, d)`, or `(m, R, d)` for the quadratic and the linear model.
        x: examples, shape `(n, d)`.
        y: targets as the loss takes them.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`.
        power: `p`; at least 4 for the quadratic and the randomized model, 2 for the linear one.
        model: `"quadratic"`, `"linear"` (the ridge dual), or `"randomized"` (see the module's derivation: the bound then
            carries the coupling error, which falls with the width).
        dual_vector: `ν`, shape `(n, outputs)`, say from a solution of higher rank; by default the loss's slope at `w`
            over `n`. Either is improved over a scalar multiple.
        chunk_size: see `TwoLayerNetwork.prepare`.

    Returns:
        The certificate; its numbers have the dtype of the network.

    Raises:
        ArgumentError: for arguments that do not fit.

    Source: theory 5.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> bool(tn.certify(net, 0.1 * net.w0, x, x[:, 0], penalty=1e-3).gap >= 0)
        True
    """
    _checks.choice("model", model, ("linear", "quadratic", "randomized"))
    risk = objective(net, x, y, model=model, loss=loss, penalty=penalty, power=power, chunk_size=chunk_size)
    if dual_vector is not None:
        dual_vector = _checks.array("dual_vector", dual_vector, (risk.prepared.examples, net.outputs))
    return certify_objective(risk, w, dual_vector)


@eqx.filter_jit
def certify_objective(risk: Objective, w: Array, dual_vector: Array | None = None) -> Certificate:
    """The certificate of a prepared objective (`"linear"`, `"quadratic"` or `"randomized"`); see `certify`."""
    if dual_vector is None:
        dual_vector = dual_candidate(risk, w)
    dual, best = dual_bound(risk, dual_vector)
    return Certificate(risk(w), dual, best)


def dual_candidate(risk: Objective, w: Array) -> Float[Array, "n outputs"]:
    """`ν_i = ℓ'_i(f_i)/n` at the outputs of `w` (at their mean for the randomized model)."""
    outputs = risk.outputs(w)
    mean = outputs.mean if _is_randomized(risk) else outputs
    y = risk.targets()
    return risk.pointwise.loss.derivative(mean, y) / y.shape[0]


def dual_bound(risk: Objective, dual_vector: Float[Array, "n outputs"]) -> tuple[Array, Array]:
    """`max_t D(tν)` and the vector `tν` that attains it."""
    loss, y = risk.pointwise.loss, risk.targets()
    n = y.shape[0]
    slopes = loss.project(n * dual_vector, y)
    dual_vector = slopes / n
    randomized = _is_randomized(risk)
    order = 2 if randomized else risk.order
    prepared = risk.prepared
    total = jnp.linalg.norm(unit_suprema(prepared, order, -dual_vector))
    exponent, remainder = _remainder(risk, dual_vector) if randomized else (1.0, jnp.zeros_like(total))
    constant = jnp.sum(dual_vector * _initial_outputs(risk)) if not prepared.net.symmetric else jnp.zeros_like(total)

    def value(t: Array) -> Array:
        conjugates = jnp.mean(loss.conjugate(loss.project(t * slopes, y), y))
        return -conjugates + t * constant - _support(risk, t * total, t * remainder, exponent)

    _, high = loss.scale_range(slopes, y)
    limit = jnp.minimum(jnp.asarray(high, total.dtype), _LARGEST_MULTIPLE)
    candidates = jnp.stack([jnp.zeros_like(total), jnp.minimum(1.0, limit), _golden_section(value, limit)])
    values = lax.map(value, candidates)
    best = jnp.argmax(values)
    t = candidates[best]
    magnitude = (
        jnp.mean(jnp.abs(loss.conjugate(loss.project(t * slopes, y), y)) + jnp.sum(jnp.abs(t * slopes * y), axis=1))
        + jnp.abs(t * constant)
        + _support(risk, t * total, t * remainder, exponent)
    )
    allowance = 16 * jnp.finfo(total.dtype).eps * (math.sqrt(n) + prepared.net.inputs) * magnitude
    return values[best] - allowance, t * dual_vector


def _is_randomized(risk: Objective) -> bool:
    return risk.response.preactivations


def _initial_outputs(risk: Objective) -> Array:
    """`f^(0)` on the examples, shape `(n, outputs)`."""
    net = risk.prepared.net
    return net.term(0, jnp.zeros_like(net.w0), risk.prepared.x)


def _remainder(risk: Objective, dual_vector: Array) -> tuple[float, Array]:
    """The exponent `j/2` of `s` and the factor `κ` of the even remainder beyond order 2."""
    prepared = risk.prepared
    net = prepared.net
    j = 4 if math.isfinite(net.activation.derivative_bound(4)) and not net.activation.kinks else 3
    bound = net.activation.derivative_bound(j)
    if not math.isfinite(bound):
        raise _checks.ArgumentError(
            "model",
            "an activation whose third or fourth derivative is bounded, for a certificate of the randomized network",
            net.activation.name,
            "Certify the quadratic model instead.",
        )
    norms = jnp.linalg.norm(prepared.x, axis=1) ** j
    width_rate = net.width ** (-0.5 if j == 4 else -0.25)
    signs = jnp.max(jnp.abs(net.a))
    return j / 2, bound / math.factorial(j) * width_rate * signs * (jnp.sum(jnp.abs(dual_vector), axis=1) @ norms)


def _support(risk: Objective, total: Array, remainder: Array, exponent: float) -> Array:
    """`sup_{s ≥ 0} C s + κ s^e - λ s^q`, `q = p/k`; infinite where the penalty does not dominate.

    The derivative `C + κ e s^{e-1} - λ q s^{q-1}` has a single positive root when `q > e`. Bisection on it.
    """
    if not _is_randomized(risk):
        return risk.penalty.conjugate(total, risk.strength)
    strength, q = risk.strength, risk.penalty.power / 2
    if q == exponent:
        margin = strength - remainder
        return jnp.where(margin > 0, total**2 / (4 * jnp.where(margin > 0, margin, 1)), jnp.inf)
    if q < exponent:
        return jnp.where(remainder > 0, jnp.inf, risk.penalty.conjugate(total, strength))

    def slope(s: Array) -> Array:
        return total + remainder * exponent * s ** (exponent - 1) - strength * q * s ** (q - 1)

    # Twice each of the two one-term balances is above the root.
    top = 2 * (
        (2 * total / (strength * q)) ** (1 / (q - 1))
        + (2 * remainder * exponent / (strength * q)) ** (1 / (q - exponent))
    )

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        rising = slope(middle) > 0
        return jnp.where(rising, middle, low), jnp.where(rising, high, middle)

    low, high = lax.fori_loop(0, 2 * jnp.finfo(total.dtype).nmant, halve, (jnp.zeros_like(top), top))
    # On [low, high] the derivative of the concave end is at most slope(low): an upper bound of the supremum.
    return total * low + remainder * low**exponent - strength * low**q + jnp.maximum(slope(low), 0) * (high - low)


def _golden_section(value: Any, limit: Array) -> Array:
    """Argmax over `[0, limit]` of a concave function that may be minus infinity near the right end."""

    def step(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        keep_left = value(left) >= value(right)
        keep_left = keep_left | ~jnp.isfinite(value(right))
        return jnp.where(keep_left, low, left), jnp.where(keep_left, right, high)

    low, high = lax.fori_loop(0, _SEARCH_STEPS, step, (jnp.zeros_like(limit), limit))
    return (low + high) / 2


def is_certifiable(model: str | int) -> bool:
    """Whether a model has a certificate: single orders 1 and 2, and the randomized network."""
    return model in ("linear", "quadratic", "randomized", 1, 2)
