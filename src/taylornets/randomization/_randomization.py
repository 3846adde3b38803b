"""What every randomization shares: the rule its multipliers are drawn by, samples, exact moments (theory 2)."""

import abc
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks
from taylornets.two_layer import Network, Prepared, TwoLayerNetwork, prepare


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


class MultiplierRule(NamedTuple):
    """Nodes and weights of a multiplier.

    Attributes:
        nodes: `z_t`, real or complex; complex ones come with their conjugates.
        weights: `c_t`, real.
        shared: whether the two units of a pair share one draw, which cancels order 0 in every sample.
    """

    nodes: tuple[complex, ...] | tuple[float, ...]
    weights: tuple[float, ...]
    shared: bool

    @property
    def total(self) -> float:
        """`T = Σ_t |c_t|`."""
        return float(np.sum(np.abs(self.weights)))

    @property
    def real(self) -> bool:
        """Whether all nodes are."""
        return not np.iscomplexobj(self.nodes)

    def count(self, net: Network) -> int:
        """How many independent draws a network takes."""
        return net.pairs if self.shared else net.width

    def draws(self, key: PRNGKeyArray, net: Network, shape: tuple[int, ...]) -> Array:
        """Numbers of nodes, shape `(*shape, count)`."""
        chances = jnp.abs(jnp.asarray(self.weights, net.w0.dtype)) / self.total
        return jax.random.choice(key, len(self.nodes), (*shape, self.count(net)), p=chances)

    def upper(self) -> list[tuple[Any, float]]:
        """Nodes with `Im z ≥ 0` and their weights, doubled where the conjugate stands for itself.

        Activations are real on the real axis, so conjugate nodes have conjugate values.
        """
        pairs = zip(self.nodes, self.weights, strict=True)
        return [(z.real if z.imag == 0 else z, c if z.imag == 0 else 2 * c) for z, c in pairs if z.imag >= 0]


class Randomization(eqx.Module):
    """Base of all randomizations: independent multipliers of the units' displacements.

    Attributes:
        order: `k ≥ 2`, the lowest order above 0 that survives in the mean.

    Example:
        >>> import taylornets as tn
        >>> isinstance(tn.randomization.SignedMoments(order=3), tn.randomization.Randomization)
        True
    """

    order: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        _checks.integer("order", self.order, 2, "Order 1 is the network itself: nothing lies below it.")

    @property
    @abc.abstractmethod
    def rule(self) -> MultiplierRule:
        """Nodes and weights as numbers of double precision."""

    @property
    @abc.abstractmethod
    def response(self) -> Any:
        """The exact moments as a function of the projections."""

    @abc.abstractmethod
    def check(self, net: TwoLayerNetwork, w: Array | None, x: Array) -> None:
        """Refuses networks that the construction does not serve."""

    @property
    def nodes(self) -> Array:
        """Values `z_t` of a multiplier."""
        return jnp.asarray(np.asarray(self.rule.nodes))

    @property
    def weights(self) -> Array:
        """Signed weights `c_t` of the nodes: `Σ c_t z_t^j = 0` for `1 ≤ j < k`, `Σ c_t z_t^k = 1`."""
        return jnp.asarray(self.rule.weights)

    @property
    def total_variation(self) -> float:
        """`T = Σ_t |c_t|`: outputs of a sample are weighted by `±T`."""
        return self.rule.total

    def sample(self, key: PRNGKeyArray, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """One draw of the network, with fresh multipliers for every unit.

        Args:
            key: a JAX random key.
            net: the network.
            w: displacement, shape `(m, d)`.
            x: examples, shape `(n, d)`.

        Returns:
            Outputs, shape `(n, outputs)`; complex for roots of unity of order ≥ 3.

        Raises:
            ArgumentError: for a network that the construction does not serve.
        """
        self.check(net, w, x)
        return prepare_signs(net, x).apply(self.response.redrawn(key, net), w)

    def mean(self, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """The mean over all draws, exact and real; arguments as in `sample`. Shape `(n, outputs)`."""
        return self.moments(net, w, x).mean

    def variance(self, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """`E|f - E f|²` of every output, exact; arguments as in `sample`. Shape `(n, outputs)`."""
        return self.moments(net, w, x).variance

    def moments(self, net: TwoLayerNetwork, w: Array, x: Array) -> Moments:
        """Mean and variance from one pass, each of shape `(n, outputs)`."""
        self.check(net, w, x)
        return prepare_signs(net, x).apply(self.response, w)


def prepare_signs(net: TwoLayerNetwork, x: Array, chunk_size: int | None = None) -> Prepared:
    """Features that the responses of randomizations read."""
    return prepare(net, x, (), chunk_size, preactivations=True)
