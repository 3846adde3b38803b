"""Random signs: the randomization that removes the odd orders (theory 2; BL20 section 3)."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks
from taylornets.activations import Activation
from taylornets.two_layer import BlockFeatures, Network, Prepared, TwoLayerNetwork, contract, prepare


class Moments(NamedTuple):
    """First two moments of every output over the signs; a block has shape `(outputs, b)`, a data set `(n, outputs)`."""

    mean: Array
    variance: Array


@runtime_checkable
class Random(Protocol):
    """A response that belongs to a randomization: moments over all draws, or the outputs under one."""

    def redrawn(self, key: PRNGKeyArray, net: Network) -> Any:
        """The response under a fresh draw."""
        ...


class SignMoments(eqx.Module):
    """Response whose outputs are the exact mean and variance of `f(sW; x)` over independent signs.

    With `e_r` and `o_r` the even and odd parts of `v ↦ σ(u_r + v)`: mean `m^{-1/2} Σ_r a_r e_r`, variance
    `m^{-1} Σ_r a_r² o_r²`.
    """

    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Float[Array, "pairs h 1 b"]) -> Moments:
        """Moments of the block, each of shape `(outputs, b)`."""
        scale = 1 / (2 * math.sqrt(net.width))
        parts = [_even_and_square(part[:, 0], features.u, net.activation, scale) for part in v]
        # Paired units have the same a², so their squares are added before the contraction.
        squares = parts[0][1] + parts[1][1] if net.symmetric else parts[0][1]
        signs = net.a[: squares.shape[0]]
        fused = jnp.sum(signs**2 * squares, axis=0)[None] if signs.shape[1] == 1 else (signs**2).T @ squares
        return Moments(contract(net, [even for even, _ in parts]), fused)

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "SampledSigns":
        """The response under one draw of the signs."""
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
        """Fresh signs for the units of a network."""
        return cls(jax.random.rademacher(key, (net.width,), net.w0.dtype))

    def __call__(self, net: Network, features: BlockFeatures, v: Float[Array, "pairs h 1 b"]) -> Array:
        """Outputs of shape `(outputs, b)`."""
        signed = v[:, :, 0] * self.signs.reshape(*v.shape[:2], 1)
        return contract(net, [net.activation(features.u + part) / math.sqrt(net.width) for part in signed])

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "SampledSigns":
        """The response under another draw of the signs."""
        return SampledSigns.draw(key, net)


class OddParts(eqx.Module):
    """Response that keeps every unit's part: mean `(outputs, b)` and `m^{-1/2} o_r` of shape `(m, b)`."""

    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Float[Array, "pairs h 1 b"]) -> tuple[Array, Array]:
        """Mean and scaled odd parts of the block."""
        scale = 1 / (2 * math.sqrt(net.width))
        ends = [(net.activation(features.u + t) * scale, net.activation(features.u - t) * scale) for t in v[:, :, 0]]
        mean = contract(net, [plus + minus for plus, minus in ends])
        return mean, jnp.concatenate([plus - minus for plus, minus in ends])


@eqx.filter_custom_jvp
def _even_and_square(
    t: Float[Array, "h b"], u: Float[Array, "h b"], activation: Activation, scale: float
) -> tuple[Float[Array, "h b"], Float[Array, "h b"]]:
    """`e` and `o²` for the even and odd parts of `σ(u + ·)` at `t`, times `2 scale` and its square."""
    plus, minus = activation(u + t), activation(u - t)
    return (plus + minus) * scale, ((plus - minus) * scale) ** 2


@_even_and_square.def_jvp
def _even_and_square_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    """With `σ'_± = σ'(u ± t)`: `de = σ'_+ (du + dt) + σ'_- (du - dt)`, `d(o²) = 2 o (σ'_+ (du + dt) - σ'_- (du - dt))`.

    Written out, the pass keeps two arrays for its way back, where automatic differentiation keeps five.
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


class Signs(eqx.Module):
    """Independent random signs `s_r = ±1` on the displacement: `f(sW; x)`.

    `E_s f^(1) = 0` and `f^(2)` does not change for any draw: every odd term has mean zero, every even one is untouched.
    Mean and variance are exact for the whole network and any activation.

    Attributes:
        nodes: the values `(1, -1)` of a multiplier, weights below.
        weights: `(1/2, 1/2)`: the moment conditions `Σ_t c_t z_t = 0`, `Σ_t c_t z_t² = 1`.

    Source: theory 2; BL20 section 3.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> w, x = jax.numpy.full((8, 3), 0.1), jax.numpy.ones((5, 3))
        >>> tn.randomization.Signs().variance(net, w, x).shape
        (5, 1)
    """

    @property
    def order(self) -> int:
        """The lowest order above 0 that survives in the mean."""
        return 2

    @property
    def nodes(self) -> Float[Array, "2"]:
        """Values of a multiplier."""
        return jnp.array([1.0, -1.0])

    @property
    def weights(self) -> Float[Array, "2"]:
        """Signed weights of the nodes; here the probabilities."""
        return jnp.array([0.5, 0.5])

    @property
    def response(self) -> SignMoments:
        """The exact moments as a function of the projections."""
        return SignMoments()

    def check(self, net: TwoLayerNetwork, w: Array | None, x: Array) -> None:
        """Signs serve every network."""
        del net, w, x

    def sample(self, key: PRNGKeyArray, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """One draw of `f(sW; x)` with fresh signs for every unit.

        Args:
            key: a JAX random key.
            net: the network.
            w: displacement, shape `(m, d)`.
            x: examples, shape `(n, d)`.

        Returns:
            Outputs, shape `(n, outputs)`.
        """
        w = _checks.array("w", w, (net.width, net.inputs))
        return net(w * jax.random.rademacher(key, (net.width, 1), w.dtype), x)

    def mean(self, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """`E_s f(sW; x)`, exact; arguments as in `sample`. Shape `(n, outputs)`."""
        return self.moments(net, w, x).mean

    def variance(self, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """`Var_s f(sW; x)` of every output, exact; arguments as in `sample`. Shape `(n, outputs)`."""
        return self.moments(net, w, x).variance

    def moments(self, net: TwoLayerNetwork, w: Array, x: Array) -> Moments:
        """Mean and variance from one pass, each of shape `(n, outputs)`."""
        return prepare_signs(net, x).apply(SignMoments(), w)

    def odd_parts(self, net: TwoLayerNetwork, w: Array, x: Array) -> tuple[Array, Array]:
        """The two parts of `f(sW) = mean + Σ_r s_r a_r m^{-1/2} o_r`: mean `(n, outputs)`, `m^{-1/2} o_r` `(n, m)`."""
        return prepare_signs(net, x).apply(OddParts(), w)


def prepare_signs(net: TwoLayerNetwork, x: Array, chunk_size: int | None = None) -> Prepared:
    """Features that `SignMoments` reads."""
    return prepare(net, x, (), chunk_size, preactivations=True)
