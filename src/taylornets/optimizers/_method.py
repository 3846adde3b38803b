"""Derivatives of an objective, as methods use them."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


@runtime_checkable
class Closed(Protocol):
    """An objective with derivatives in closed form, such as `taylornets.objective`."""

    def value_and_gradient(self, w: Array) -> tuple[Array, Array]: ...
    def hessian_vector_product(self, w: Array, direction: Array) -> Array: ...
    def require_second_derivative(self) -> None: ...


def value_and_gradient(fun: Any, w: Array) -> tuple[Array, Array]:
    """Computes value and gradient, in closed form if available."""
    return fun.value_and_gradient(w) if isinstance(fun, Closed) else jax.value_and_grad(fun)(w)


def hessian_vector_product(fun: Any, w: Array, direction: Array) -> Array:
    """Multiplies the Hessian at `w` by a direction, in closed form if available."""
    if isinstance(fun, Closed):
        return fun.hessian_vector_product(w, direction)
    return jax.jvp(jax.grad(fun), (w,), (direction,))[1]


def require_second_derivative(fun: Any) -> None:
    """Raises if the objective does not support second-order methods."""
    if isinstance(fun, Closed):
        fun.require_second_derivative()


def strongly_typed(state: Any) -> Any:
    """Makes all arrays of a state strongly typed.

    Weakly typed scalars would become strongly typed in the first segment, and the second segment would be recompiled.
    """

    def convert(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        return lax.convert_element_type(leaf, leaf.dtype)

    return jax.tree.map(convert, state)
