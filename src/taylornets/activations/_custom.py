"""Any JAX function of a real scalar as an activation."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array
from typing_extensions import override

from taylornets import _checks
from taylornets.activations import _quadrature
from taylornets.activations._base import Activation
from taylornets.activations._traits import Traits


@dataclasses.dataclass(frozen=True)
class Custom(Activation):
    """An activation defined by a JAX function of a real scalar, with derivatives by nested forward differentiation.

    The cost of order `k` grows like `2^k`. Two instances are equal if their functions are the same object. To avoid
    recompilation, pass the same function object instead of a new lambda.

    Args:
        function: takes a real scalar and returns a real scalar of the same dtype.
        kinks_at: points where some derivative jumps, for quadrature; at a kink, JAX's own derivative is used.
        continuous: number of continuous derivatives, None for all.
        complex_arguments: whether the function accepts complex arguments.
        strip_width: half-width of the strip on which it is then analytic.
        bounds: `bounds[k]` is a known Lipschitz constant of `σ^{(k-1)}` (for `k = 0` a bound on `|σ|`);
            higher orders have an infinite bound.

    Raises:
        ArgumentError: if the function does not map a scalar to a real scalar.

    Source: theory section 1.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> sigma = tn.activations.Custom(lambda t: t * jnp.exp(-t))
        >>> float(sigma.derivative(2)(0.0))
        -2.0
    """

    function: Callable[[Any], Any]
    kinks_at: tuple[float, ...] = ()
    continuous: int | None = None
    complex_arguments: bool = False
    strip_width: float = 0.0
    bounds: tuple[float, ...] = ()

    def __post_init__(self):
        needed = "a JAX function of a real scalar that returns a real scalar"
        advice = "Write it with jax.numpy, for example lambda t: t * jax.numpy.tanh(t)."
        try:
            result = jax.eval_shape(self.function, jax.ShapeDtypeStruct((), jnp.dtype("float32")))
        except Exception as error:
            raise _checks.ArgumentError("activation", needed, f"one that raised {error!r:.200}", advice) from error
        if (
            not isinstance(result, jax.ShapeDtypeStruct)
            or result.shape
            or not jnp.issubdtype(result.dtype, jnp.floating)
        ):
            raise _checks.ArgumentError("activation", needed, f"one that returned {result}", advice)

    @property
    @override
    def traits(self) -> Traits:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return Traits(name, self.complex_arguments, self.strip_width, self.kinks_at, self.continuous)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:

        def up_to(k: int) -> Callable[[Array], tuple[Array, ...]]:
            if k == 0:
                return lambda point: (jnp.asarray(self.function(point), t.dtype),)
            below = up_to(k - 1)

            def extended(point: Array) -> tuple[Array, ...]:
                values, slopes = jax.jvp(below, (point,), (jnp.ones_like(point),))
                return (*values, slopes[-1])

            return extended

        flat = jax.vmap(up_to(max(orders, default=0)))(t.ravel())
        return tuple(flat[k].reshape(t.shape) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        return _quadrature.hermite_coefficient(self, k, q)

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        return _quadrature.dual_series(self, k, rho)

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        """Returns the bound passed by the user: pointwise values alone imply no bound."""
        return float(self.bounds[k]) if k < len(self.bounds) else math.inf
