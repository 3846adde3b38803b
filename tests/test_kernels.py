"""Kernels against contracted Jacobians, their limit, closed forms, and another library's ridge regression."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

import taylornets as tn
from taylornets import kernels

pytestmark = pytest.mark.usefixtures("x64")


def sphere(n, d, seed=0):
    x = jax.random.normal(jax.random.key(seed), (n, d))
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("symmetric", [True, False])
def test_contracted_jacobians(symmetric):
    net = tn.TwoLayerNetwork.init(jax.random.key(1), 4, 10, 1, "softplus", symmetric)
    x1, x2 = sphere(6, 4), sphere(5, 4, 1)
    j1, j2 = (jax.jacrev(lambda w, x=x: net(w, x)[:, 0])(jnp.zeros((10, 4))).reshape(len(x), -1) for x in (x1, x2))
    np.testing.assert_allclose(kernels.ntk(net, x1, x2), j1 @ j2.T, rtol=1e-12)
    np.testing.assert_allclose(kernels.ntk(net, x1), j1 @ j1.T, rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "cubic_relu", "tanh"])
def test_finite_width_tends_to_infinite_width(activation):
    """The difference falls like m^{-1/2}: by about 8 from m = 2^8 to 2^14 (a factor of two for chance)."""
    x = sphere(20, 5)
    limit = kernels.infinite_width_ntk(activation, x)
    errors = []
    for width in (2**8, 2**14):
        draws = [tn.TwoLayerNetwork.init(jax.random.key(i), 5, width, activation=activation) for i in range(4)]
        errors.append(np.mean([jnp.linalg.norm(kernels.ntk(net, x) - limit) for net in draws]))
    assert 4 < errors[0] / errors[1] < 16


def test_arc_cosine_kernel():
    """ReLU: κ_1(ρ) = (π - arccos ρ)/(2π) (Cho and Saul 2009, order 0)."""
    x = sphere(30, 6)
    rho = jnp.clip(x @ x.T, -1, 1)
    np.testing.assert_allclose(
        kernels.infinite_width_ntk("relu", x), rho * (np.pi - jnp.arccos(rho)) / (2 * np.pi), atol=1e-12
    )


def test_ridge_equals_scikit_learn():
    x, new = sphere(40, 5), sphere(7, 5, 3)
    y = jnp.stack([x[:, 0] ** 2, x[:, 1]], axis=1)
    gram = kernels.infinite_width_ntk("cubic_relu", x)
    prepared = kernels.kernel_ridge(gram, y)
    for ridge in (1e-1, 1e-3):
        reference = KernelRidge(alpha=40 * ridge, kernel="precomputed").fit(np.asarray(gram), np.asarray(y))
        cross = kernels.infinite_width_ntk("cubic_relu", new, x)
        np.testing.assert_allclose(
            cross @ prepared.coefficients(ridge), reference.predict(np.asarray(cross)), rtol=1e-7
        )
    assert float(prepared.condition_number) > 1


def test_errors():
    with pytest.raises(tn.ArgumentError, match="x1: needed examples on one sphere"):
        kernels.infinite_width_ntk("relu", jnp.array([[1.0, 0.0], [0.0, 2.0]]))
    with pytest.raises(tn.ArgumentError, match=r"x2: needed shape \(n2, 2\)"):
        kernels.infinite_width_ntk("relu", jnp.eye(2), jnp.eye(3))
