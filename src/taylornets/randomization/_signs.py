"""Random signs: the randomization that cancels the odd orders (theory 2; Bai & Lee (2020), section 3)."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets.activations import Activation
from taylornets.randomization._randomization import Moments, MultiplierRule, Randomization, prepare_signs
from taylornets.two_layer import BlockFeatures, Network, Projections, TwoLayerNetwork, contract


class SignMoments(eqx.Module):
    """Response whose outputs are the exact mean and variance of `f(sW; x)` over independent signs.

    For the even and odd parts `e_r` and `o_r` of `v ↦ σ(u_r + v)`, the mean is `m^{-1/2} Σ_r a_r e_r` and the variance is
    `m^{-1} Σ_r a_r² o_r²`.
    """

    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Moments:
        """Computes the moments of the block, each of shape `(outputs, b)`."""
        scale = 1 / (2 * math.sqrt(net.width))
        parts = [_even_and_square(part[:, 0], features.u, net.activation, scale) for part in v]
        # Paired units have the same a², so their squares are added before the contraction.
        squares = parts[0][1] + parts[1][1] if net.symmetric else parts[0][1]
        signs = net.a[: squares.shape[0]]
        fused = jnp.sum(signs**2 * squares, axis=0)[None] if signs.shape[1] == 1 else (signs**2).T @ squares
        return Moments(contract(net, [even for even, _ in parts]), fused)

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "SampledSigns":
        """Returns the response under one draw of the signs."""
        return SampledSigns.draw(key, net)


class SampledSigns(eqx.Module):
    """Response under one draw of the signs: the outputs `f(sW; x)` themselves.

    Attributes:
        signs: `s`, shape `(m,)`.
    """

    signs: Float[Array, " m"]
    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    @classmethod
    def draw(cls, key: PRNGKeyArray, net: Network) -> "SampledSigns":
        """Draws new signs for the units of a network."""
        return cls(jax.random.rademacher(key, (net.width,), net.w0.dtype))

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Array:
        """Returns outputs of shape `(outputs, b)`."""
        signs = self.signs.reshape(len(v), -1, 1)
        signed = [part[:, 0] * sign for part, sign in zip(v, signs, strict=True)]
        return contract(net, [net.activation(features.u + part) / math.sqrt(net.width) for part in signed])

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "SampledSigns":
        """Returns the response under a new draw of the signs."""
        return SampledSigns.draw(key, net)


class OddParts(eqx.Module):
    """Response with the part of every unit: the mean, shape `(outputs, b)`, and `m^{-1/2} o_r`, shape `(m, b)`."""

    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> tuple[Array, Array]:
        """Computes the mean and the scaled odd parts of the block."""
        scale = 1 / (2 * math.sqrt(net.width))
        u = jnp.asarray(features.u)
        ends = [(net.activation(u + t[:, 0]) * scale, net.activation(u - t[:, 0]) * scale) for t in v]
        mean = contract(net, [plus + minus for plus, minus in ends])
        return mean, jnp.concatenate([plus - minus for plus, minus in ends])


@eqx.filter_custom_jvp
def _even_and_square(
    t: Float[Array, "h b"], u: Float[Array, "h b"], activation: Activation, scale: float
) -> tuple[Float[Array, "h b"], Float[Array, "h b"]]:
    """Computes `e` and `o²` for the even and odd parts of `σ(u + ·)` at `t`, times `2 scale` and its square."""
    plus, minus = activation(u + t), activation(u - t)
    return (plus + minus) * scale, ((plus - minus) * scale) ** 2


@_even_and_square.def_jvp
def _even_and_square_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Differentiates `e` and `o²` with `σ'_± = σ'(u ± t)`.

    `de = σ'_+ (du + dt) + σ'_- (du - dt)` and `d(o²) = 2 o (σ'_+ (du + dt) - σ'_- (du - dt))`.
    This form stores two arrays for the backward pass, whereas automatic differentiation stores five.
    """
    t, u, activation, scale = primals
    dt, du, _, _ = tangents
    (plus, slope_plus), (minus, slope_minus) = (activation.derivatives(end, (0, 1)) for end in (u + t, u - t))
    odd = plus - minus
    values = (plus + minus) * scale, (odd * scale) ** 2
    if du is None:
        return values, ((slope_plus - slope_minus) * scale * dt, 2 * scale**2 * odd * (slope_plus + slope_minus) * dt)
    dt = jnp.zeros_like(t) if dt is None else dt
    up, down = slope_plus * (du + dt), slope_minus * (du - dt)
    return values, ((up + down) * scale, 2 * scale**2 * odd * (up - down))


class Signs(Randomization):
    """Independent random signs `s_r = ±1` on the displacement: `f(sW; x)`.

    Every odd term has mean zero (`E_s f^(1) = 0`), and every even term is the same for all draws.
    Mean and variance are exact for the full network and any activation.

    Source: theory 2; Bai & Lee (2020), section 3.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> w, x = jax.numpy.full((8, 3), 0.1), jax.numpy.ones((5, 3))
        >>> tn.randomization.Signs().variance(net, w, x).shape
        (5, 1)
    """

    order: int = eqx.field(static=True, default=2, init=False)

    @property
    def rule(self) -> MultiplierRule:
        """Returns the nodes ±1, each with weight 1/2."""
        return MultiplierRule((1.0, -1.0), (0.5, 0.5), False)

    @property
    def response(self) -> SignMoments:
        """Returns the response that computes the exact moments."""
        return SignMoments()

    def check(self, net: TwoLayerNetwork, w: Array | None, x: Array) -> None:
        """Accepts every network."""
        del net, w, x

    def odd_parts(self, net: TwoLayerNetwork, w: Array, x: Array) -> tuple[Array, Array]:
        """Computes the parts of `f(sW) = mean + Σ_r s_r a_r m^{-1/2} o_r`: mean `(n, outputs)`, `m^{-1/2} o_r` `(n, m)`."""
        return prepare_signs(net, x).apply(OddParts(), w)
