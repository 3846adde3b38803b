"""Kernels against contracted Jacobians, their limit, closed forms, and another library's ridge regression."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
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


def by_parts(function, kinks, low=-12.0, high=12.0):
    """Integrates adaptively, splitting at the kinks."""
    edges = [low, *sorted(point for point in kinks if low < point < high), high]
    return sum(quad(function, a, b, epsabs=1e-12, epsrel=1e-12, limit=200)[0] for a, b in itertools.pairwise(edges))


DUALS = [("relu", 0), ("relu", 1), ("cubic_relu", 1), ("cubic_relu", 2), ("erf", 1), ("tanh", 1), ("softplus", 1)]


@pytest.mark.parametrize(("activation", "k"), DUALS)
@pytest.mark.parametrize("rho", [-0.6, 0.95])
def test_dual_activations_against_adaptive_integration(activation, k, rho):
    """`E[σ^{(k)}(g) σ^{(k)}(g')]` as an iterated integral over `g` and an independent `h`, `g' = ρ g + (1-ρ²)^{1/2} h`."""
    sigma = tn.activations.get(activation)
    root = math.sqrt(1 - rho**2)
    functions = {
        "relu": [lambda t: max(t, 0.0), lambda t: float(t > 0)],
        "cubic_relu": [None, lambda t: max(t, 0.0) ** 2 / 2, lambda t: max(t, 0.0)],
        "erf": [None, lambda t: 2 / math.sqrt(math.pi) * math.exp(-(t**2))],
        "tanh": [None, lambda t: 1 / math.cosh(t) ** 2],
        "softplus": [None, lambda t: 1 / (1 + math.exp(-t))],
    }
    f = functions[activation][k]

    def inner(g):
        return by_parts(lambda h: f(rho * g + root * h) * math.exp(-(h**2) / 2), [-rho * g / root])

    expected = by_parts(lambda g: f(g) * inner(g) * math.exp(-(g**2) / 2), [0.0], -9, 9) / (2 * math.pi)
    assert float(sigma.dual(k)(rho)) == pytest.approx(expected, rel=1e-8, abs=1e-9)


def data():
    x = sphere(40, 5)
    return x, jnp.stack([x[:, 0] ** 2, x[:, 1]], axis=1)


def test_ridge_path_equals_scikit_learn():
    x, y = data()
    new = sphere(7, 5, 3)
    gram = kernels.infinite_width_ntk("cubic_relu", x)
    prepared = kernels.kernel_ridge(gram, y)
    cross = kernels.infinite_width_ntk("cubic_relu", new, x)
    ridges = (1e-1, 1e-3)
    for ridge, coefficients in zip(ridges, prepared.path(ridges), strict=True):
        reference = KernelRidge(alpha=40 * ridge, kernel="precomputed").fit(np.asarray(gram), np.asarray(y))
        np.testing.assert_allclose(cross @ coefficients, reference.predict(np.asarray(cross)), rtol=1e-7)
        np.testing.assert_allclose(coefficients, prepared.coefficients(ridge), rtol=1e-10)


def test_leave_one_out_equals_fits_without_the_example():
    x, y = data()
    gram = kernels.infinite_width_ntk("relu", x)
    found = kernels.kernel_ridge(gram, y).leave_one_out(1e-2)
    for i in (0, 17):
        rest = np.delete(np.arange(40), i)
        coefficients = np.linalg.solve(np.asarray(gram)[np.ix_(rest, rest)] + 0.4 * np.eye(39), np.asarray(y)[rest])
        np.testing.assert_allclose(found[i], y[i] - gram[i, rest] @ coefficients, rtol=1e-9)


def test_spectrum_reports_condition_and_semidefiniteness():
    x, y = data()
    gram = kernels.infinite_width_ntk("cubic_relu", x)
    spectrum = kernels.kernel_ridge(gram, y).spectrum
    np.testing.assert_allclose(spectrum.condition_number, np.linalg.cond(gram), rtol=1e-6)
    assert bool(spectrum.positive_semidefinite)
    assert "positive semidefinite up to rounding" in str(spectrum)
    twice = jnp.concatenate([x, x])  # singular: eigenvalues at zero are a rounding error of either sign
    singular = kernels.kernel_ridge(kernels.infinite_width_ntk("relu", twice), jnp.concatenate([y, y])).spectrum
    assert bool(singular.positive_semidefinite)
    assert float(singular.condition_number) > 1e12
    broken = kernels.kernel_ridge(gram - 0.1 * jnp.eye(40), y)
    assert not bool(broken.spectrum.positive_semidefinite)
    assert "NOT positive semidefinite" in str(broken.spectrum)
    assert bool(jnp.isinf(broken.condition_number))
    with pytest.raises(tn.ArgumentError, match=r"ridges: expected ridges above 0\.00\d+, where K \+ nλ I is positive"):
        broken.path([1e-4])


NET = tn.TwoLayerNetwork.init(jax.random.key(7), 5, 16)


@pytest.mark.parametrize("kernel", ["cubic_relu", NET, lambda x1, x2: (1 + x1 @ x2.T) ** 2])
def test_conjugate_gradients_equal_the_decomposition(kernel):
    x, y = data()
    new = sphere(7, 5, 3)
    if isinstance(kernel, str):
        gram, cross = kernels.infinite_width_ntk(kernel, x), kernels.infinite_width_ntk(kernel, new, x)
    else:
        function = kernel if not isinstance(kernel, tn.TwoLayerNetwork) else lambda a, b: kernels.ntk(NET, a, b)
        gram, cross = function(x, x), function(new, x)
    expected = kernels.kernel_ridge(gram, y).coefficients(1e-2)
    found = kernels.kernel_ridge_cg(kernel, x, y, 1e-2, chunk_size=16, tol=1e-11)
    assert found.converged
    assert float(found.residual) < 1e-10
    np.testing.assert_allclose(found.coefficients, expected, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(
        kernels.predict(kernel, new, x, found.coefficients, chunk_size=3), cross @ expected, rtol=1e-7, atol=1e-8
    )
    if kernel is NET:
        stored = kernels.kernel_ridge_cg(gram, x, y, 1e-2, tol=1e-11)
        np.testing.assert_allclose(stored.coefficients, expected, rtol=1e-7, atol=1e-8)
        again = kernels.kernel_ridge_cg(kernel, x, y, 1e-2, chunk_size=16, tol=1e-11, start=expected)
        assert int(again.steps) < int(found.steps)
        early = kernels.kernel_ridge_cg(kernel, x, y, 1e-2, chunk_size=16, tol=1e-11, max_steps=2)
        assert not early.converged
        assert float(early.residual) > 1e-3


def test_conjugate_gradients_stall_in_single_precision_and_stay_finite():
    """The last ridge of the path is below the rounding error of the smallest eigenvalues."""
    x, y = sphere(300, 3).astype(jnp.float32), jax.random.normal(jax.random.key(4), (300, 1), jnp.float32)
    gram, start = kernels.infinite_width_ntk("cubic_relu", x), None
    for ridge, error in ((1e-4, 1e-3), (1e-5, 1e-2), (1e-6, 0.1)):
        found = kernels.kernel_ridge_cg(gram, x, y, ridge, tol=1e-4, start=start)
        start = found.coefficients
        exact = np.linalg.solve(np.asarray(gram, float) + 300 * ridge * np.eye(300), np.asarray(y, float))
        np.testing.assert_allclose(gram @ found.coefficients, gram @ exact, atol=error)
        assert found.coefficients.dtype == jnp.float32
        assert found.converged == (float(found.residual) <= 1e-3)


def test_errors():
    with pytest.raises(tn.ArgumentError, match="x1: expected examples on one sphere"):
        kernels.infinite_width_ntk("relu", jnp.array([[1.0, 0.0], [0.0, 2.0]]))
    with pytest.raises(tn.ArgumentError, match=r"x2: expected shape \(n2, 2\)"):
        kernels.infinite_width_ntk("relu", jnp.eye(2), jnp.eye(3))
    with pytest.raises(tn.ArgumentError, match="gram: expected a symmetric matrix, got entries that differ by 1"):
        kernels.kernel_ridge(jnp.array([[1.0, 1.0], [0.0, 1.0]]), jnp.ones((2, 1)))
    x, y = data()
    with pytest.raises(tn.ArgumentError, match="ridge: expected a finite number > 0"):
        kernels.kernel_ridge_cg("relu", x, y, 0.0)
    with pytest.raises(tn.ArgumentError, match="ridges: expected a finite number > 0"):
        kernels.kernel_ridge(jnp.eye(2), jnp.ones((2, 1))).path([-1.0])
    with pytest.raises(tn.ArgumentError, match="kernel: expected an activation, a network, a function of x1 and x2"):
        kernels.kernel_ridge_cg(3, x, y, 1.0)
    with pytest.raises(tn.ArgumentError, match="x1: expected examples on one sphere"):
        kernels.kernel_ridge_cg("relu", x * jnp.arange(1.0, 41)[:, None], y, 1.0)
    with pytest.raises(tn.ArgumentError, match=r"x_new: expected shape \(n_new, 5\)"):
        kernels.predict("relu", jnp.eye(4), x, y)
