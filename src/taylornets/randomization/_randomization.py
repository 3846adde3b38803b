"""The base of all randomizations: rules for multipliers, samples, exact moments (theory 2)."""

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
    """Mean and variance of every output over the signs; shape `(outputs, b)` for a block, `(n, outputs)` for a data set."""

    mean: Array
    variance: Array


@runtime_checkable
class Random(Protocol):
    """A response of a randomized network: moments over all draws, or the outputs under one draw."""

    def redrawn(self, key: PRNGKeyArray, net: Network) -> Any:
        """Returns the response under a new draw."""
        ...


class MultiplierRule(NamedTuple):
    """Nodes and weights of a multiplier.

    Attributes:
        nodes: `z_t`, real or complex; complex nodes come in conjugate pairs.
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
        """Whether all nodes are real."""
        return not np.iscomplexobj(self.nodes)

    def count(self, net: Network) -> int:
        """Returns the number of independent draws for a network."""
        return net.pairs if self.shared else net.width

    def draws(self, key: PRNGKeyArray, net: Network, shape: tuple[int, ...]) -> Array:
        """Draws node indices, shape `(*shape, count)`."""
        probabilities = jnp.abs(jnp.asarray(self.weights, net.w0.dtype)) / self.total
        return jax.random.choice(key, len(self.nodes), (*shape, self.count(net)), p=probabilities)

    def upper(self) -> list[tuple[Any, float]]:
        """Returns nodes with `Im z ≥ 0` and their weights, doubled for nodes that also represent their conjugates.

        Activations are real on the real axis, so conjugate nodes have conjugate values.
        """
        pairs = zip(self.nodes, self.weights, strict=True)
        return [(z.real if z.imag == 0 else z, c if z.imag == 0 else 2 * c) for z, c in pairs if z.imag >= 0]


class Randomization(eqx.Module):
    """Base of all randomizations: independent multipliers of the units' displacements.

    Attributes:
        order: `k ≥ 2`, the lowest order above 0 that remains in expectation.

    Example:
        >>> import taylornets as tn
        >>> isinstance(tn.randomization.SignedMoments(order=3), tn.randomization.Randomization)
        True
    """

    order: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        _checks.integer("order", self.order, 2, "Order 1 is the network itself, without lower orders to cancel.")

    @property
    @abc.abstractmethod
    def rule(self) -> MultiplierRule:
        """Returns nodes and weights in double precision."""

    @property
    @abc.abstractmethod
    def response(self) -> Any:
        """Returns the response that computes the exact moments."""

    @abc.abstractmethod
    def check(self, net: TwoLayerNetwork, w: Array | None, x: Array) -> None:
        """Raises for networks that the construction does not support."""

    @property
    def nodes(self) -> Array:
        """The values `z_t` of a multiplier."""
        return jnp.asarray(np.asarray(self.rule.nodes))

    @property
    def weights(self) -> Array:
        """The signed weights `c_t` of the nodes: `Σ c_t z_t^j = 0` for `1 ≤ j < k`, `Σ c_t z_t^k = 1`."""
        return jnp.asarray(self.rule.weights)

    @property
    def total_variation(self) -> float:
        """`T = Σ_t |c_t|`: outputs of a sample are weighted by `±T`."""
        return self.rule.total

    def sample(self, key: PRNGKeyArray, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """Evaluates one draw of the network, with new multipliers for every unit.

        Args:
            key: a JAX random key.
            net: the network.
            w: displacement, shape `(m, d)`.
            x: examples, shape `(n, d)`.

        Returns:
            Outputs, shape `(n, outputs)`; complex for roots of unity of order ≥ 3.

        Raises:
            ArgumentError: for a network that the construction does not support.
        """
        self.check(net, w, x)
        return prepare_signs(net, x).apply(self.response.redrawn(key, net), w)

    def mean(self, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """Computes the exact mean over all draws, which is real; arguments as in `sample`. Shape `(n, outputs)`."""
        return self.moments(net, w, x).mean

    def variance(self, net: TwoLayerNetwork, w: Array, x: Array) -> Array:
        """Computes the exact variance `E|f - E f|²` of every output; arguments as in `sample`. Shape `(n, outputs)`."""
        return self.moments(net, w, x).variance

    def moments(self, net: TwoLayerNetwork, w: Array, x: Array) -> Moments:
        """Computes mean and variance in one pass, each of shape `(n, outputs)`."""
        self.check(net, w, x)
        return prepare_signs(net, x).apply(self.response, w)


def prepare_signs(net: TwoLayerNetwork, x: Array, chunk_size: int | None = None) -> Prepared:
    """Prepares the features used by the responses of randomizations."""
    return prepare(net, x, (), chunk_size, preactivations=True)
