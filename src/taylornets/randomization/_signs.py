"""Random signs: the randomization that removes the odd orders (theory 2; BL20 section 3)."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks
from taylornets.two_layer import BlockFeatures, Prepared, TwoLayerNetwork, contract, prepare


class Moments(NamedTuple):
    """First two moments of every output over the signs; a block has shape `(outputs, b)`, a data set `(n, outputs)`."""

    mean: Array
    variance: Array


class SignMoments(eqx.Module):
    """Response whose outputs are the exact mean and variance of `f(sW; x)` over independent signs.

    With `e_r` and `o_r` the even and odd parts of `v ↦ σ(u_r + v)`: mean `m^{-1/2} Σ_r a_r e_r`, variance
    `m^{-1} Σ_r a_r² o_r²`.
    """

    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: TwoLayerNetwork, features: BlockFeatures, v: Float[Array, "pairs h 1 b"]) -> Moments:
        """Moments of the block, each of shape `(outputs, b)`."""
        even, odd = even_odd(net, features, v)
        # Paired units have the same a², so their squares are added before the contraction.
        squares = sum(part**2 for part in odd[1:]) + odd[0] ** 2
        signs = net.a[: squares.shape[0]]
        fused = jnp.sum(signs**2 * squares, axis=0)[None] if signs.shape[1] == 1 else (signs**2).T @ squares
        return Moments(contract(net, even), fused)


class OddParts(eqx.Module):
    """Response that keeps every unit's part: mean `(outputs, b)` and `m^{-1/2} o_r` of shape `(m, b)`."""

    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(
        self, net: TwoLayerNetwork, features: BlockFeatures, v: Float[Array, "pairs h 1 b"]
    ) -> tuple[Array, Array]:
        """Mean and scaled odd parts of the block."""
        even, odd = even_odd(net, features, v)
        return contract(net, even), jnp.concatenate(odd)


def even_odd(
    net: TwoLayerNetwork, features: BlockFeatures, v: Float[Array, "pairs h 1 b"]
) -> tuple[list[Float[Array, "h b"]], list[Float[Array, "h b"]]]:
    """`m^{-1/2}` times the even and odd parts of `t ↦ σ(u + t)` at `t = v`, for the first and second units of the pairs."""
    scale = 1 / (2 * math.sqrt(net.width))
    even: list[Array] = []
    odd: list[Array] = []
    for part in v:
        t = part[:, 0]
        plus, minus = net.activation(features.u + t) * scale, net.activation(features.u - t) * scale
        even.append(plus + minus)
        odd.append(plus - minus)
    return even, odd


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
        """The mean `(n, outputs)` and `m^{-1/2} o_r(x_i)` of shape `(n, m)`: `f(sW) = mean + Σ_r s_r a_r m^{-1/2} o_r`."""
        return prepare_signs(net, x).apply(OddParts(), w)


def prepare_signs(net: TwoLayerNetwork, x: Array, chunk_size: int | None = None) -> Prepared:
    """Features that `SignMoments` reads."""
    return prepare(net, x, (), chunk_size, preactivations=True)
