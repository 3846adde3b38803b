"""What the training loop asks of a method, and what a method asks of an objective."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PRNGKeyArray


@runtime_checkable
class Method(Protocol):
    """One object per optimization method; `fit` runs any of them.

    `scales_inputs` says whether the method is to work in coordinates in which the inputs have even spread.

    Example:
        >>> import taylornets as tn
        >>> isinstance(tn.optimizers.LBFGS(), tn.optimizers.Method)
        True
    """

    @property
    def scales_inputs(self) -> bool: ...
    def init(self, fun: Any, w: Array, key: PRNGKeyArray) -> Any:
        """The state at a start."""
        ...

    def advance(self, fun: Any, state: Any, steps: int) -> Any:
        """Runs up to `steps` further steps; ends early where nothing more can be gained or numbers are not finite."""
        ...

    def is_stalled(self, state: Any) -> bool:
        """Whether the method can gain nothing more."""
        ...


@runtime_checkable
class Closed(Protocol):
    """An objective with derivatives in closed form, such as `taylornets.objective`."""

    def value_and_gradient(self, w: Array) -> tuple[Array, Array]: ...
    def hessian_vector_product(self, w: Array, direction: Array) -> Array: ...
    def require_second_derivative(self) -> None: ...


def value_and_gradient(fun: Any, w: Array) -> tuple[Array, Array]:
    """Value and gradient, by the closed form where there is one."""
    return fun.value_and_gradient(w) if isinstance(fun, Closed) else jax.value_and_grad(fun)(w)


def hessian_vector_product(fun: Any, w: Array, direction: Array) -> Array:
    """The Hessian at `w` times a direction, by the closed form where there is one."""
    if isinstance(fun, Closed):
        return fun.hessian_vector_product(w, direction)
    return jax.jvp(jax.grad(fun), (w,), (direction,))[1]


def require_second_derivative(fun: Any) -> None:
    """Lets an objective refuse second-order methods."""
    if isinstance(fun, Closed):
        fun.require_second_derivative()


def strongly_typed(state: Any) -> Any:
    """A state whose arrays are strongly typed.

    Weakly typed scalars would come back strongly typed from the first segment, and the second would compile anew.
    """

    def convert(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        return lax.convert_element_type(leaf, leaf.dtype)

    return jax.tree.map(convert, state)
