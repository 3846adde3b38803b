"""Weights of order `k` for a given target (theory 6; BL20 section 5).

By Hermite expansion `E_w0[σ^{(k)}(⟨w0, x⟩) He_q(⟨w0, β⟩ B_x)] = c_{k,q} ⟨β, x̂⟩^q` on `‖x‖ = B_x`, with unit `β` and
`x̂ = x/B_x`. So with `q = p - k` and `h(w0) = α He_q(⟨w0, β⟩ B_x)/c_{k,q}`, displacements `w_± = ρ_± β` of the two units of
each pair whose powers differ by `ρ_+^k - ρ_-^k = 2 k! m^{-1/2} h(w0)/B_x^k` make `f^(k)` an average over the pairs that tends to
`α ⟨β, x̂⟩^p` with error `O(m^{-1/2})`.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial.hermite_e import hermeval

from taylornets import _checks
from taylornets.targets import Polynomial
from taylornets.two_layer import TwoLayerNetwork

# Below this, relative to the norm of σ^{(k)}, a Hermite coefficient is a rounding error of zero.
_ZERO = 1e-9


def planted_weights(net: TwoLayerNetwork, target: Polynomial, order: int = 2) -> Float[Array, "m d"]:
    """A displacement whose term of the given order is the target, up to `O(m^{-1/2})`.

    The pairs are dealt out to the directions in turn; with `J` directions each gets a `J`-th of them and `J` times the
    weight, so norms grow by the factor `J` in `‖W‖_{2,2k}^{2k}`.

    Args:
        net: a network with symmetric initialization and one output; the target is met on `‖x‖ = net.input_norm`.
        target: a polynomial in `net.inputs` variables.
        order: `k ≥ 1`, at most the smallest power of the target.

    Returns:
        The displacement, shape `(m, d)`. Its norm tends to
        `‖W‖_{2,2k}^{2k} → 2 k!² α² q!/c_{k,q}²` for one direction and even `k`, half of that for odd `k` (`B_x = 1`).

    Raises:
        ArgumentError: for a power that the activation cannot express at this order (`c_{k,q} = 0`), a network without
            pairs or with several outputs, directions of another dimension.

    Source: theory 6.
    """
    order = _checks.integer("order", order, 1)
    if not net.symmetric or net.outputs != 1:
        raise _checks.ArgumentError(
            "net",
            "symmetric initialization and one output",
            f"symmetric={net.symmetric}, outputs={net.outputs}",
        )
    _checks.array("target.directions", target.directions, ("J", net.inputs))
    half, count = net.width // 2, len(target.powers)
    if count > half:
        raise _checks.ArgumentError("net", f"at least {2 * count} units for {count} directions", f"width {net.width}")
    first, second = jnp.zeros((half, net.inputs), net.w0.dtype), jnp.zeros((half, net.inputs), net.w0.dtype)
    scale = 2 * math.factorial(order) * count / math.sqrt(net.width) / net.input_norm**order
    for j, (beta, power, alpha) in enumerate(
        zip(target.directions, target.powers, target.coefficients, strict=True)
    ):
        length = jnp.linalg.norm(beta)
        unit = beta / length
        size = alpha * (length * net.input_norm) ** power
        profile = hermeval(net.w0[j:half:count] @ unit * net.input_norm, [0] * (power - order) + [1])
        h = scale * size * jnp.asarray(profile) / _coefficient(net, order, power)
        if order % 2:
            root = jnp.sign(h) * (jnp.abs(h) / 2) ** (1 / order)
            plus, minus = root, -root
        else:
            plus, minus = jnp.maximum(h, 0) ** (1 / order), jnp.maximum(-h, 0) ** (1 / order)
        positive = net.a[j:half:count, 0] > 0
        first = first.at[j::count].set(jnp.where(positive, plus, minus)[:, None] * unit)
        second = second.at[j::count].set(jnp.where(positive, minus, plus)[:, None] * unit)
    return jnp.concatenate([first, second])


def _coefficient(net: TwoLayerNetwork, order: int, power: int) -> float:
    """`c_{k,q}` with `q = power - k`, refused where it vanishes."""
    if power < order:
        raise _checks.ArgumentError("order", f"at most the smallest power of the target, {power}", str(order))
    value = net.activation.hermite_coefficient(order, power - order)
    size = np.linalg.norm([net.activation.hermite_coefficient(order, q) / math.sqrt(math.factorial(q)) for q in range(8)])
    if abs(value) <= _ZERO * size * math.sqrt(math.factorial(power - order)):
        raise _checks.ArgumentError(
            "target.powers",
            f"powers p with E[σ^({order})(g) He_(p-{order})(g)] ≠ 0 for {net.activation.name}",
            str(power),
            "Use another order or activation: this one cannot express that power.",
        )
    return value
