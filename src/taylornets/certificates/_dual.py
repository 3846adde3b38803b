"""Dual certificates: bounds on the optimality gap of any displacement `w` (theory 5).

**Weak duality.** Fenchel's inequality `ℓ(f⁰ + v, y) ≥ ⟨s, f⁰ + v⟩ - ℓ*(s, y)` holds for every slope `s`. With `s_i =
n ν_i`, summed over the examples, for every `W`

    P(W) ≥ -(1/n) Σ_i [ℓ*(n ν_i, y_i) - ⟨n ν_i, f⁰_i⟩] + Σ_i ⟨ν_i, f^(k)(W; x_i)⟩ + λ ‖W‖_{2,2k}^p.

Unit `r` contributes at least `-τ_r ‖w_r‖^k` to the middle sum (`two_layer.unit_suprema` of `-ν`), and by Cauchy-Schwarz
all of them at least `-C s` with `C = ‖τ‖₂`, `s = ‖W‖_{2,2k}^k`. What remains is `inf_s λ s^{p/k} - C s = -R*(C)`. Hence

    D(ν) = -(1/n) Σ_i [ℓ*(n ν_i, y_i) - ⟨n ν_i, f⁰_i⟩] - R*(C)  ≤  inf P.

**Weights.** With example weights `p_i` (which sum to 1) in place of `1/n`, the slopes are `s_i = ν_i/p_i` and all means are
weighted; an example of weight 0 has `ν_i = 0`.

**The randomized network** has a separate bound, see `_randomized`.

**Rounding.** The computed dual value is lowered by an allowance for rounding, `16 ε (√n + d)` times the sum of the
magnitudes of its terms, so that the certificate remains valid in floating-point arithmetic. The allowance is about 1e-13
relative in float64 and about 1e-4 in float32.
"""

from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from taylornets import _checks, _devices, _programs, losses, models
from taylornets.certificates._bounds import (
    conjugate_magnitude,
    golden_section,
    initial_inner,
    mean_conjugate,
    rounding_allowance,
    slopes_of,
)
from taylornets.certificates._randomized import randomized_bound
from taylornets.models import Model, ModelLike
from taylornets.objectives import (
    ORDERS,
    SUM,
    Objective,
    linear_outputs,
    orders_of,
    single_objective,
    sum_objective,
    value_of_sum,
)
from taylornets.penalties import GroupPenalty
from taylornets.two_layer import TwoLayerNetwork, failures_raised

_LARGEST_MULTIPLE = 1024.0
_NO_CERTIFICATE = "For orders ≥ 3 the dual bound requires norms of symmetric tensors, which are NP-hard to compute."


class Certificate(eqx.Module):
    """Certifies that `primal` is at most `gap` above the global minimum of the penalized objective.

    Attributes:
        primal: `P(w)`, the objective at `w`.
        dual: `D(ν) ≤ min P`, a lower bound on the objective of *every* displacement of every rank.
        dual_vector: the dual vector `ν` that attains the bound, shape `(n, outputs)`.

    Certificates of estimators hold NumPy arrays, which keep float64 precision even if JAX runs in float32.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jnp.eye(3)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> found = tn.certify(net, 0.1 * net.w0, x, y, penalty=0.1)
        >>> bool(found.gap >= 0), found.dual_vector.shape
        (True, (3, 1))
    """

    primal: Float[Array | np.ndarray, ""]
    dual: Float[Array | np.ndarray, ""]
    dual_vector: Float[Array | np.ndarray, "n outputs"]

    @property
    def gap(self) -> Any:
        """`primal - dual ≥ P(w) - min P`, a scalar."""
        primal, dual = self._bounds()
        return primal - dual

    @property
    def relative_gap(self) -> Any:
        """The relative gap, `gap / |primal|`; 0 if both bounds are 0."""
        gap = self.gap
        return gap / (abs(self._bounds()[0]) + (gap == 0).astype(gap.dtype))

    def _bounds(self) -> Any:
        """Both bounds, on the host unless they are traced: arithmetic with two numbers is not worth a compiled program."""
        bounds = self.primal, self.dual
        return bounds if any(isinstance(bound, Tracer) for bound in bounds) else jax.device_get(bounds)

    def __str__(self) -> str:
        return (
            f"objective {float(self.primal):.9g} is within {float(self.gap):.2e} "
            f"({float(self.relative_gap):.1e} relative) of the global minimum"
        )


def certify(
    net: TwoLayerNetwork,
    w: Any,
    x: Any,
    y: Any,
    *,
    loss: str | losses.Loss = "squared",
    penalty: Any,
    power: Any = 8,
    model: ModelLike | tuple[int, ...] = "quadratic",
    dual_vector: ArrayLike | None = None,
    chunk_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    linear_kernel: ArrayLike | None = None,
) -> Certificate:
    """Bounds the optimality gap of any displacement in the penalized objective.

    Args:
        net: the network.
        w: any displacement, optimal or not, shape `(m, d)`, or `(m, R, d)` for the quadratic model; for the sum, `(V, W)`.
        x: examples, shape `(n, d)`, or row blocks as in `fit`.
        y: targets in the form the loss expects; None for an iterable of blocks.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`; of a sum as in `taylornets.fit`.
        power: `p`; at least 4 for the quadratic and randomized models, 2 for the linear model; of a sum as in `fit`.
        model: `"quadratic"`, `"linear"` (the ridge dual), or `"randomized"` (the bound then includes the coupling error,
            which decreases as `m^{-1/2}`; it holds for every displacement, not only in a ball). `"linear+quadratic"` or
            `(1, 2)`: the bound holds for all pairs of displacements.
        dual_vector: `ν`, shape `(n, outputs)`, for example from a solution of higher rank; by default the derivative of the
            loss at `w` times the example weights (`1/n` if unweighted). Both are optimized over a scalar multiple.
        chunk_size: see `TwoLayerNetwork.prepare`.
        sample_weight: weights of the examples, shape `(n,)`, see `taylornets.objective`. The certificate refers to
            the weighted problem.
        linear_kernel: for a sum trained with `linear_kernel=`, the same Gram matrix; `V` then holds dual coefficients.

    Returns:
        The certificate; its arrays have the dtype of the network.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 5.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> bool(tn.certify(net, 0.1 * net.w0, x, x[:, 0], penalty=1e-3).gap >= 0)
        True
    """
    shared: dict[str, Any] = {
        "loss": loss, "penalty": penalty, "power": power, "chunk_size": chunk_size, "sample_weight": sample_weight,
    }  # fmt: skip
    orders, single = orders_of(model), cast("Any", model)
    together = orders is not None
    if orders not in (None, ORDERS):
        raise _checks.ArgumentError("model", f"{ORDERS}, the only sum with a certificate", str(orders), _NO_CERTIFICATE)
    if linear_kernel is not None and not together:
        raise _checks.ArgumentError("linear_kernel", f"None except for model={SUM!r}", f"model={model!r}")
    if not together and not models.get(single).certifiable:
        _checks.choice("model", model, models.names(certifiable=True), _NO_CERTIFICATE)
    if together:
        risk = sum_objective(net, x, y, kernel=linear_kernel, **shared)
    else:
        risk = single_objective(net, x, y, model=single, **shared)
    if dual_vector is not None:
        dual_vector = _checks.array("dual_vector", dual_vector, (risk.count, net.outputs))
        _checks.together({"w": w, "y": risk.targets(), "dual_vector": dual_vector})
    if together:
        with failures_raised(risk.features.blocks.x):
            return jax.block_until_ready(certify_sum(risk, w, dual_vector))
    w = risk.displacement(w)  # here, while its values can still be checked
    with failures_raised(risk.features.blocks.x):
        return jax.block_until_ready(certify_objective(risk, w, dual_vector))


@_devices.exact
def certify_sum(risk: Objective, w: Any, dual_vector: Array | None = None) -> Certificate:
    """Computes the certificate of a prepared sum at a pair of displacements; see `certify`."""
    if not isinstance(w, tuple | list) or len(w) != 2:
        raise _checks.ArgumentError("w", f"a pair (V, W) for model={SUM!r}", _checks.shown(w))
    own = risk.block is None or risk.block.own
    v = _checks.array("w[0]", w[0], (risk.net.width, risk.net.inputs) if own else (risk.count, risk.net.outputs))
    block = risk.displacement(w[1])
    if dual_vector is None:
        slopes = risk.loss.derivative(risk.outputs(block) + linear_outputs(risk, v), risk.targets())
        dual_vector = slopes * risk.weights()[:, None]
    return Certificate(value_of_sum(risk, v, block), *dual_bound(risk, dual_vector))


@_devices.exact
def certify_objective(risk: Objective, w: Array, dual_vector: Array | None = None) -> Certificate:
    """Computes the certificate of a prepared objective (`"linear"`, `"quadratic"` or `"randomized"`); see `certify`."""
    _require_certifiable(risk.model)
    if risk.order == 1 and jnp.ndim(w) != 2:
        # Copies of a linear unit are equivalent to one unit under a weaker penalty, which the bound does not cover.
        needed, came = "shape (m, d) for the linear model", f"shape {jnp.shape(w)}"
        raise _checks.ArgumentError("w", needed, came, "Sum over the copies.")
    if dual_vector is None:
        dual_vector = dual_candidate(risk, w)
    value = risk(w)
    if risk.model.randomization is not None:
        return Certificate(value, *_randomized_bound(risk, dual_vector, value))
    return Certificate(value, *dual_bound(risk, dual_vector))


_randomized_bound = _programs.program(randomized_bound)


@_programs.program
def dual_candidate(risk: Objective, w: Array) -> Float[Array, "n outputs"]:
    """`ν_i = p_i ℓ'_i(f_i)` at the outputs of `w` (at their mean for the randomized model); `p_i = 1/n` if unweighted."""
    return risk.loss.derivative(risk.mean_outputs(w), risk.targets()) * risk.weights()[:, None]


def dual_bound(
    risk: Objective, dual_vector: Float[Array, "n outputs"], suprema: Float[Array, " m"] | None = None
) -> tuple[Array, Array]:
    """Returns `max_t D(tν)` and the maximizer `tν` for a single order; `suprema` are the `τ_r` of `-ν` if known."""
    if suprema is None:
        suprema = _suprema(risk, dual_vector)
    return _best_multiple(risk, dual_vector, suprema)


@_programs.program
def _suprema(risk: Objective, dual_vector: Float[Array, "n outputs"]) -> Float[Array, " m"]:
    slopes = slopes_of(risk, dual_vector)
    return risk.unit_suprema(-slopes * risk.weights()[:, None])


# Compiled apart from its callers, so that they share the program: the search is most of their compilation.
@_programs.program
def _best_multiple(
    risk: Objective, dual_vector: Float[Array, "n outputs"], suprema: Float[Array, " m"]
) -> tuple[Array, Array]:
    loss, y = risk.loss, risk.targets()
    slopes = slopes_of(risk, dual_vector)
    dual_vector = slopes * risk.weights()[:, None]
    total = jnp.linalg.norm(suprema)
    constant = initial_inner(risk, dual_vector)
    # `s` stands for `‖W‖_{2,2k}^k`. The conjugate of order 2 is taken in `s = ‖W‖_{2,4}²`; every `q` is one of its powers.
    penalty = GroupPenalty(2, 2 * risk.penalty.power / risk.order)
    linear = 0.0 if risk.block is None else risk.block.cost(dual_vector)

    def value(t: Array) -> Array:
        quadratic = penalty.conjugate(t * total, risk.strength)
        return -mean_conjugate(risk, t * slopes) + t * constant - quadratic - t**2 * linear

    _, high = loss.scale_range(slopes, y)
    limit = jnp.minimum(jnp.asarray(high, total.dtype), _LARGEST_MULTIPLE)
    candidates = jnp.stack(
        [jnp.zeros_like(total), jnp.minimum(1.0, limit), golden_section(value, jnp.zeros_like(limit), limit)]
    )
    values = lax.map(value, candidates)
    best = jnp.argmax(values)
    t = candidates[best]
    magnitude = (
        conjugate_magnitude(risk, t * slopes) + jnp.abs(t * constant) + penalty.conjugate(t * total, risk.strength)
    )
    if risk.block is not None:
        magnitude = magnitude + t**2 * risk.block.magnitude(dual_vector)
    return values[best] - rounding_allowance(risk, magnitude), t * dual_vector


def _require_certifiable(model: Model) -> None:
    if not model.certifiable:
        raise _checks.ArgumentError("model", "a model with a certificate", repr(model.name), _NO_CERTIFICATE)
