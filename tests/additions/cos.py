"""An activation in one file."""

import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array
from typing_extensions import override

from taylornets.activations._base import Activation
from taylornets.activations._registry import register
from taylornets.activations._traits import Traits


@dataclasses.dataclass(frozen=True)
class Cos(Activation):
    """`σ(t) = cos t`; entire."""

    @property
    @override
    def traits(self) -> Traits:
        return Traits("cos", analytic=True, strip=math.inf)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        return tuple((jnp.cos, lambda t: -jnp.sin(t), lambda t: -jnp.cos(t), jnp.sin)[k % 4](t) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        """`E cos(g + s) = e^{-1/2} cos s`, derivative of order `k + q` at 0."""
        return math.exp(-0.5) * (1.0, 0.0, -1.0, 0.0)[(k + q) % 4]

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        """`e^{-1} cosh ρ`, and for the sine `e^{-1} sinh ρ`."""
        return math.exp(-1) * (jnp.sinh(rho) if k % 2 else jnp.cosh(rho))

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        return 1.0


register("cos", Cos)
