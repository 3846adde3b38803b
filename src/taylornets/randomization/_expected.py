"""Expected loss of a randomized network (theory 2): exact, by normal approximation, by enumeration, or by sampling."""

import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from taylornets import _checks, losses
from taylornets.randomization._multipliers import NodeValues
from taylornets.randomization._randomization import Moments, Randomization, prepare_signs
from taylornets.randomization._signs import Signs
from taylornets.two_layer import TwoLayerNetwork

_METHODS = ("auto", "exact", "normal", "enumerate", "monte_carlo")
_ENUMERATION_LIMIT = 2**20  # this many draws easily fit into memory
_FEW_DRAWS = 2**14
_HERMITE_NODES = 64
_SAMPLES = 4096


class ExactSquared(eqx.Module):
    """The expected loss `E ‖f - y‖² = ‖E f - y‖² + Σ_c Var f_c` per example, from the moments of a block.

    For any quadratic loss with Hessian `b I`: `E ℓ(f, y) = ℓ(E f, y) + (b/2) Σ_c Var f_c`.
    """

    loss: losses.Loss = eqx.field(static=True)

    def __call__(self, moments: Moments, y: Float[Array, "b outputs"]) -> Float[Array, "b"]:
        """Computes the expected loss of each example; moments of shape `(outputs, b)`."""
        return self.loss.value(moments.mean.T, y) + self.loss.curvature_bound / 2 * jnp.sum(moments.variance, axis=0)


class NormalExpected(eqx.Module):
    """The expectation `E ℓ(μ + σ g, y)` for a loss that is a sum over outputs, by Gauss-Hermite quadrature for each output.

    The square root in `σ` has an infinite slope at zero variance, although the expectation is smooth there
    (`∂/∂σ² = E ℓ''/2`). Adding the machine epsilon to the variance keeps the slope finite and changes the value by at
    most `ε sup ℓ''/2`.
    """

    loss: losses.Loss = eqx.field(static=True)

    def __call__(self, moments: Moments, y: Float[Array, "b outputs"]) -> Float[Array, "b"]:
        """Computes the expected loss of each example; moments of shape `(outputs, b)`."""
        mean, variance = moments.mean.T, moments.variance.T
        deviation = jnp.sqrt(variance + jnp.finfo(mean.dtype).eps)
        nodes, weights = np.polynomial.hermite_e.hermegauss(_HERMITE_NODES)
        grid = jnp.asarray(nodes, mean.dtype)[:, None, None]
        values = jax.vmap(lambda shift: self.loss.value(mean + deviation * shift, y))(grid)
        return jnp.asarray(weights / weights.sum(), mean.dtype) @ values


class OfOutputs(eqx.Module):
    """The loss of each example under one draw."""

    loss: losses.Loss = eqx.field(static=True)

    def __call__(self, outputs: Array, y: Float[Array, "b outputs"]) -> Float[Array, "b"]:
        """Computes the losses of the examples; outputs of shape `(outputs, b)`. For complex outputs, `|v - y|²`."""
        if jnp.iscomplexobj(outputs):
            half = self.loss.curvature_bound / 2
            return self.loss.value(outputs.real.T, y) + half * jnp.sum(outputs.imag**2, axis=0)
        return self.loss.value(outputs.T, y)


def sampled_loss(randomization: Randomization, loss: losses.Loss) -> OfOutputs:
    """Returns the loss under one draw.

    Raises:
        ArgumentError: for complex outputs under a loss that is not quadratic.
    """
    _check_loss(randomization, loss)
    return OfOutputs(loss)


def _check_loss(randomization: Randomization, loss: losses.Loss) -> None:
    complex_outputs = not randomization.rule.real
    if complex_outputs and not loss.quadratic:
        why = "Roots of unity yield complex outputs. Use SignedMoments."
        raise _checks.ArgumentError("loss", "'squared', |v - y|², for complex outputs", repr(loss.name), why)


def example_expectation(loss: losses.Loss, randomization: Randomization) -> ExactSquared | NormalExpected:
    """Returns the deterministic expectation used for training: exact for a quadratic loss, otherwise the normal limit.

    Raises:
        ArgumentError: for a loss that is not a sum over outputs (softmax): its expectation needs the joint
            distribution of all outputs; for complex outputs under a loss that is not quadratic.
    """
    _check_loss(randomization, loss)
    if loss.quadratic:
        return ExactSquared(loss)
    if loss.separable:
        return NormalExpected(loss)
    raise _checks.ArgumentError(
        "loss",
        f"one of {', '.join(map(repr, losses.names(separable=True)))} for a deterministic expected loss",
        repr(loss.name),
        "Its outputs are correlated under random signs; use method='monte_carlo' with a key, or another loss.",
    )


def expected_loss(
    loss: str | losses.Loss,
    randomization: Randomization,
    net: TwoLayerNetwork,
    w: Array,
    x: Array,
    y: Any,
    method: str = "auto",
    key: Any = None,
) -> Array:
    """Computes the expected loss `(1/n) Σ_i E_s ℓ(f(sW; x_i), y_i)` of a randomized network.

    Methods:
        - `"exact"`: squared loss, `(E_s f - y)² + Var_s f`; one pass, no error.
        - `"normal"`: losses that are sums over outputs; the random part is replaced by a normal variable of the same
          variance, integrated by Gauss-Hermite quadrature with 64 nodes. `normal_error_bound` bounds the error.
        - `"enumerate"`: any loss; averages over all draws, up to 2^20 of them (`m ≤ 20` for signs).
        - `"monte_carlo"`: any loss; averages over 4096 draws and requires `key`.
        - `"auto"`: exact for the squared loss; otherwise enumeration up to 2^14 draws, normal if available, or Monte Carlo.

    Args:
        loss: a name of `taylornets.losses`, or a loss.
        randomization: `Signs()`, `SignedMoments(k)`, or `RootsOfUnity(k)` (with complex outputs for `k ≥ 3`, which support
            only the squared loss `|v - y|²`).
        net: the network.
        w: displacement, shape `(m, d)`.
        x: examples, shape `(n, d)`.
        y: `n` targets in the form expected by the loss.
        method: see above.
        key: a JAX random key, for `"monte_carlo"`.

    Returns:
        The expected loss, averaged over examples, a scalar.

    Raises:
        ArgumentError: if the method does not support the loss or the width, or requires a missing key.

    Source: theory 2.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jnp.eye(3)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> signs, w = tn.randomization.Signs(), 0.1 * net.w0
        >>> exact = tn.randomization.expected_loss("squared", signs, net, w, x, y)
        >>> all_draws = tn.randomization.expected_loss("squared", signs, net, w, x, y, method="enumerate")
        >>> bool(jnp.isclose(exact, all_draws, rtol=1e-4))
        True
    """
    loss = losses.get(loss)
    method = _checks.choice("method", method, _METHODS)
    y = loss.prepare_targets(y, net.outputs, dtype=net.a.dtype)
    _checks.array("y", y, (jnp.shape(x)[0] if jnp.ndim(x) else "n", net.outputs), "One target for each example of x.")
    each = sampled_loss(randomization, loss)
    choices, units = len(randomization.rule.nodes), randomization.rule.count(net)
    if method == "auto":
        method = _automatic(loss, choices**units)
    if method in ("exact", "normal"):
        if method == "exact" and not loss.quadratic:
            raise _checks.ArgumentError("method", "'normal', 'enumerate' or 'monte_carlo' for this loss", "'exact'")
        expectation = ExactSquared(loss) if method == "exact" else NormalExpected(loss)
        if method == "normal" and not loss.separable:
            example_expectation(loss, randomization)
        moments = randomization.moments(net, w, x)
        return jnp.mean(expectation(Moments(moments.mean.T, moments.variance.T), y))
    outputs = _outputs(randomization, net, w, x)
    if method == "enumerate":
        if choices**units > _ENUMERATION_LIMIT:
            needed = f"at most 2^20 draws for 'enumerate'; {choices} per unit"
            raise _checks.ArgumentError("method", needed, f"{choices}^{units}, width {net.width}")
        draws = jnp.asarray(list(itertools.product(range(choices), repeat=units)))
        probabilities = _probabilities(randomization)[draws].prod(axis=1)
    else:
        if key is None:
            raise _checks.ArgumentError("key", "a JAX random key for method='monte_carlo'", "None")
        draws = jax.random.choice(key, choices, (_SAMPLES, units), p=_probabilities(randomization))
        probabilities = jnp.full((_SAMPLES,), 1 / _SAMPLES)

    def one(draw: Array) -> Array:
        return jnp.mean(each(outputs(draw).T, y))

    return probabilities.astype(y.dtype) @ lax.map(one, draws, batch_size=256)


def _probabilities(randomization: Randomization) -> Array:
    """Returns the probabilities of the nodes."""
    weights = jnp.abs(randomization.weights)
    return weights / jnp.sum(weights)


def _outputs(randomization: Randomization, net: TwoLayerNetwork, w: Array, x: Array) -> Callable[[Array], Array]:
    """Returns the outputs, shape `(n, outputs)`, as a function of the indices of the drawn nodes."""
    if isinstance(randomization, Signs):
        mean, odd = randomization.odd_parts(net, w, x)
        return lambda draw: mean + odd @ ((1 - 2 * draw)[:, None] * net.a)
    randomization.check(net, w, x)
    values = prepare_signs(net, x).apply(NodeValues(randomization.rule), w)  # (n, nodes, m)

    def outputs(draw: Array) -> Array:
        each = jnp.tile(draw, net.width // draw.shape[0])
        return jnp.take_along_axis(values, each[None, None], axis=1)[:, 0] @ net.a

    return outputs


def normal_error_bound(loss: str | losses.Loss, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
    """Bounds `|E_s ℓ - E_g ℓ|`, the error of replacing random signs by a normal variable, for each example.

    For `c_r = m^{-1/2} a_r o_r`, the terms `s_r c_r` and `g_r c_r` have the same first three moments, so exchanging
    them one at a time (Lindeberg) costs at most `sup|ℓ''''| (E s⁴ + E g⁴) c_r⁴/24 = sup|ℓ''''| c_r⁴/6` each. A second bound is
    the Lipschitz constant of the loss times the Wasserstein distance to the normal limit, `Σ|c_r|³/Σ c_r²` (Goldstein
    2010, constant 1), which also applies to the Huber loss. The result is the smaller bound, excluding the quadrature error.

    Args:
        loss: a name of `taylornets.losses`, or a loss, that is a sum over outputs.
        net: the network.
        w: displacement, shape `(m, d)`.
        x: examples, shape `(n, d)`.

    Returns:
        Bounds, shape `(n,)`, summed over outputs.
    """
    loss = losses.get(loss)
    example_expectation(loss, Signs())
    _, odd = Signs().odd_parts(net, w, x)
    entries = jnp.abs(odd)[:, :, None] * jnp.abs(net.a)[None]
    variance = jnp.sum(entries**2, axis=1)
    smooth = loss.fourth_derivative_bound / 6 * jnp.sum(entries**4, axis=1)
    rough = loss.output_lipschitz * jnp.sum(entries**3, axis=1) / variance
    return jnp.sum(jnp.where(variance > 0, jnp.minimum(smooth, rough), 0), axis=1)


def _automatic(loss: losses.Loss, draws: int) -> str:
    if loss.quadratic:
        return "exact"
    if draws <= _FEW_DRAWS:
        return "enumerate"
    return "normal" if loss.separable else "monte_carlo"
