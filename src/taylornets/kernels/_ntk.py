"""Neural tangent kernels of two-layer networks, of finite and infinite width."""

from collections.abc import Callable

import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from taylornets import _checks, activations
from taylornets.two_layer import TwoLayerNetwork


def ntk(net: TwoLayerNetwork, x1: ArrayLike, x2: ArrayLike | None = None) -> Float[Array, "n1 n2"]:
    """Computes the finite-width NTK `K(x, x') = m^{-1} Σ_r σ'(u_r) σ'(u'_r) ⟨x, x'⟩` of each output with two matrix products.

    Args:
        net: the network (signs `±1`, so that `a_r² = 1`).
        x1: examples, shape `(n1, d)`.
        x2: examples, shape `(n2, d)`; by default `x1`.

    Returns:
        The Gram matrix, shape `(n1, n2)`.

    Source: theory 9.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> tn.kernels.ntk(net, jax.numpy.eye(3)).shape
        (3, 3)
    """
    first = _checks.array("x1", x1, ("n1", net.inputs))
    second = first if x2 is None else _checks.array("x2", x2, ("n2", net.inputs))
    _checks.together({"net": net, "x1": first, "x2": second})
    distinct = net.w0[: net.pairs]
    slope = net.activation.derivative(1)
    return (slope(first @ distinct.T) @ slope(second @ distinct.T).T) / distinct.shape[0] * (first @ second.T)


def infinite_width_ntk(
    activation: str | activations.Activation, x1: ArrayLike, x2: ArrayLike | None = None
) -> Float[Array, "n1 n2"]:
    """Computes the infinite-width limit of `ntk`, `⟨x, x'⟩ κ_1(⟨x, x'⟩/B_x²)`, on a sphere of radius `B_x = input_norm`.

    Args:
        activation: a name of `taylornets.activations`, or an activation.
        x1: examples of equal norm, shape `(n1, d)`.
        x2: examples of the same norm, shape `(n2, d)`; by default `x1`.

    Returns:
        The Gram matrix, shape `(n1, n2)`.

    Raises:
        ArgumentError: if the examples do not lie on one sphere.

    Source: theory 9.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> tn.kernels.infinite_width_ntk("relu", jnp.eye(2)).tolist()  # ⟨x, x'⟩ (π - arccos ρ)/(2π)
        [[0.5, 0.0], [0.0, 0.5]]
    """
    sigma = activations.get(activation)
    first = _checks.array("x1", x1, ("n1", "d"))
    second = first if x2 is None else _checks.array("x2", x2, ("n2", first.shape[1]))
    return on_sphere(sigma, squared_radius(first, second))(first, second)


def on_sphere(activation: activations.Activation, squared_radius: Array) -> Callable[[Array, Array], Array]:
    """Computes the infinite-width NTK for examples of known squared norm."""
    dual = activation.dual(1)

    def kernel(x1: Array, x2: Array) -> Array:
        products = x1 @ x2.T
        return products * dual(products / squared_radius)

    return kernel


def squared_radius(*data: Array) -> Array:
    """Returns the common squared norm of all examples; raises if they do not lie on one sphere (not checked if traced)."""
    squares = jnp.concatenate([jnp.sum(x**2, axis=1) for x in data])
    radius, spread = squares.mean(), squares.max() - squares.min()
    if not isinstance(spread, Tracer) and float(spread) > 1e-4 * float(radius):
        came = f"squared norms from {squares.min():.4g} to {squares.max():.4g}"
        raise _checks.ArgumentError("x1", "examples on one sphere", came, "Normalize them.")
    return radius
