"""Neural tangent kernels of two-layer networks, finite and infinite width, and ridge regression (theory 9)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from taylornets import _checks, activations
from taylornets.two_layer import TwoLayerNetwork


def ntk(net: TwoLayerNetwork, x1: Array, x2: Array | None = None) -> Float[Array, "n1 n2"]:
    """The finite-width kernel `K(x, x') = m^{-1} Σ_r σ'(u_r) σ'(u'_r) ⟨x, x'⟩` of every output: two matrix products.

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
    x1 = _checks.array("x1", x1, ("n1", net.inputs))
    x2 = x1 if x2 is None else _checks.array("x2", x2, ("n2", net.inputs))
    distinct = net.w0[: net.width // 2] if net.symmetric else net.w0
    slope = net.activation.derivative(1)
    return (slope(x1 @ distinct.T) @ slope(x2 @ distinct.T).T) / distinct.shape[0] * (x1 @ x2.T)


def infinite_width_ntk(
    activation: str | activations.Activation, x1: Array, x2: Array | None = None
) -> Float[Array, "n1 n2"]:
    """The limit of `ntk` for width to infinity, `⟨x, x'⟩ κ_1(⟨x, x'⟩/B_x²)`, on a sphere of radius `B_x = input_norm`.

    Args:
        activation: a name of `taylornets.activations`, or an activation.
        x1: examples of equal norm, shape `(n1, d)`.
        x2: examples of the same norm, shape `(n2, d)`; by default `x1`.

    Returns:
        The Gram matrix, shape `(n1, n2)`.

    Raises:
        ArgumentError: when the examples do not lie on one sphere.

    Source: theory 9.
    """
    sigma = activations.get(activation)
    x1 = _checks.array("x1", x1, ("n1", "d"))
    x2 = x1 if x2 is None else _checks.array("x2", x2, ("n2", x1.shape[1]))
    squares = jnp.concatenate([jnp.sum(x1**2, axis=1), jnp.sum(x2**2, axis=1)])
    radius, spread = squares.mean(), squares.max() - squares.min()
    if float(spread) > 1e-4 * float(radius):
        raise _checks.ArgumentError(
            "x1",
            "examples on one sphere",
            f"squared norms from {squares.min():.4g} to {squares.max():.4g}",
            "Scale them.",
        )
    products = x1 @ x2.T
    return products * sigma.dual(1)(jnp.clip(products / radius, -1, 1))


class KernelRidge(NamedTuple):
    """Ridge regression with one eigendecomposition for all ridges; made by `kernel_ridge`."""

    values: Float[Array, "n"]
    vectors: Float[Array, "n n"]
    projected: Float[Array, "n outputs"]

    def coefficients(self, ridge: float) -> Float[Array, "n outputs"]:
        """The dual coefficients `(K/n + λ I)^{-1} y/n` for one ridge: `f(x) = K(x, x_train) c`."""
        n = self.values.shape[0]
        return self.vectors @ (self.projected / (self.values + n * ridge)[:, None])

    @property
    def condition_number(self) -> Array:
        """Largest over smallest eigenvalue of the Gram matrix; infinite when rounding made one negative."""
        return jnp.where(self.values[0] > 0, self.values[-1] / self.values[0], jnp.inf)


def kernel_ridge(gram: Array, y: Array) -> KernelRidge:
    """Prepares ridge regression, which minimizes `(1/n) Σ ‖f(x_i) - y_i‖² + λ ‖f‖²`, for every `λ`.

    Args:
        gram: symmetric Gram matrix of the training examples, shape `(n, n)`.
        y: targets, shape `(n, outputs)`.

    Returns:
        The eigendecomposition; its smallest eigenvalue shows whether the kernel is positive semidefinite.
    """
    gram = _checks.array("gram", gram, ("n", "n"))
    y = _checks.array("y", y, (gram.shape[0], "outputs"))
    values, vectors = jnp.linalg.eigh(gram)
    return KernelRidge(values, vectors, vectors.T @ y)
