"""Responses: models of the outputs as elementwise functions of the projections, contracted with the signs."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Inexact

from taylornets import activations

# Projections of a block of `b` examples, one array for each of the units that share initial weights; `R` is the rank.
Projections: TypeAlias = tuple[Float[Array, "h R b"], ...]


@runtime_checkable
class Network(Protocol):
    """The interface of `TwoLayerNetwork` used in this module (the class is defined on top of it)."""

    w0: Array
    a: Array
    activation: activations.Activation
    symmetric: bool
    input_norm: float

    @property
    def inputs(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def pairs(self) -> int: ...
    @property
    def halves(self) -> int: ...
    @property
    def signs(self) -> Array: ...
    def both_halves(self, first: Array, second: Array | None = None) -> Array: ...
    def term(self, k: int, w: ArrayLike, x: ArrayLike) -> Array: ...


class BlockFeatures(NamedTuple):
    """Features of one block, available to a response: `u` and the scaled derivatives `σ^{(k)}(u)/(k! √m)`."""

    u: Float[Array, "h b"] | None
    scaled: dict[int, Float[Array, "h b"]]


@runtime_checkable
class Response(Protocol):
    """A model of the outputs as an elementwise function of the projections `v`, contracted with the signs.

    `orders` lists the derivatives that the response uses, `preactivations` states whether it uses `u`, `shifted` whether its
    projections are those of `w0 + w` instead of `w`, and `copies` whether it supports displacements of rank above one.
    """

    @property
    def orders(self) -> tuple[int, ...]: ...
    @property
    def preactivations(self) -> bool: ...
    @property
    def shifted(self) -> bool: ...
    @property
    def copies(self) -> bool: ...
    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Any:
        """Returns the outputs of the block: a pytree of arrays whose last axis is `b`."""
        ...


def contract(net: Network, responses: Sequence[Inexact[Array, "h b"]]) -> Inexact[Array, "outputs b"]:
    """Returns `Σ_r a_r response_r`; `responses` has one array for each unit of a pair, or their difference.

    Paired units have opposite signs, so their responses are subtracted first. A single output is a weighted sum, which XLA
    fuses with the computation of the responses; it does not fuse the matrix product for several outputs.
    """
    total = responses[0] - responses[1] if len(responses) == 2 else responses[0]
    signs = net.a[: total.shape[0]].astype(total.dtype)
    return jnp.sum(signs * total, axis=0)[None] if signs.shape[1] == 1 else signs.T @ total


class Term(eqx.Module):
    """The single term `f^(k)`; `R` copies of a unit add up."""

    k: int = eqx.field(static=True)
    preactivations: bool = eqx.field(static=True, default=False, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)

    @property
    def orders(self) -> tuple[int, ...]:
        """The only derivative in use."""
        return (self.k,)

    @property
    def copies(self) -> bool:
        """False for order 0, which does not depend on `w`."""
        return self.k > 0

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Array:
        """Returns outputs of shape `(outputs, b)`."""
        scaled = features.scaled[self.k]
        return contract(net, [scaled * jnp.sum(part**self.k, axis=1) for part in v])


class Taylor(eqx.Module):
    """The sum of the terms of orders `0..k`, by Horner's rule."""

    k: int = eqx.field(static=True)
    preactivations: bool = eqx.field(static=True, default=False, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    @property
    def orders(self) -> tuple[int, ...]:
        """All orders of derivatives up to `k`."""
        return tuple(range(self.k + 1))

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Array:
        """Returns outputs of shape `(outputs, b)`."""
        scaled = features.scaled

        def horner(t: Array) -> Array:
            total = jnp.broadcast_to(scaled[self.k], t.shape)
            for order in reversed(range(self.k)):
                total = total * t + scaled[order]
            return total

        return contract(net, [horner(part[:, 0]) for part in v])


class Full(eqx.Module):
    """The network itself."""

    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=False, init=False)
    shifted: bool = eqx.field(static=True, default=True, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Array:
        """Returns outputs of shape `(outputs, b)`."""
        del features
        return contract(net, [net.activation(part[:, 0]) / math.sqrt(net.width) for part in v])
