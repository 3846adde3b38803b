"""Second-order stationarity against dense Hessians, and functions with known spectra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.optimizers import _stationarity, spectral_radius

pytestmark = pytest.mark.usefixtures("x64")


def problem(model: str = "quadratic", activation: str = "cubic_relu", width: int = 24):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    net = tn.TwoLayerNetwork.init(jax.random.key(1), 5, width, activation=activation)
    return tn.objective(net, x, 5 * x[:, 0] * x[:, 1], model=model, penalty=1e-5), net


def dense(fun, w):
    return np.linalg.eigvalsh(np.asarray(jax.hessian(fun)(w)).reshape(w.size, w.size))


@pytest.mark.parametrize("model", ["quadratic", "randomized"])
def test_against_the_dense_hessian(model):
    """Saddle, minimum and random points: relative error ≤ 1e-6 wherever convergence is claimed; θ - r never above λ_min."""
    fun, net = problem(model)
    minimum = tn.fit(net, *_data(), model=model, penalty=1e-5, method="negative_curvature", throw=False).w
    points = [0 * net.w0, minimum, 0.1 * net.w0, 2 * net.w0]
    converged = 0
    for w in points:
        found, values = tn.stationarity(fun, w, key=jax.random.key(5)), dense(fun, w)
        assert found.lower_bound <= values[0] + 1e-14 * abs(values[-1])
        assert found.min_eigenvalue >= values[0] - 1e-12 * np.abs(values).max()
        assert found.spectral_radius == pytest.approx(np.abs(values).max(), rel=0.05)
        assert found.gradient_norm == pytest.approx(float(jnp.linalg.norm(jax.grad(fun)(w))), rel=1e-12, abs=1e-12)
        assert float(jnp.linalg.norm(found.direction)) == pytest.approx(1)
        if found.converged:
            converged += 1
            assert found.min_eigenvalue == pytest.approx(values[0], rel=1e-6)
    assert converged >= 3


def _data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, 5 * x[:, 0] * x[:, 1]


@pytest.mark.parametrize("size", [3, 50])
def test_repeated_and_zero_eigenvalues(size):
    key = jax.random.key(0)
    sphere = tn.stationarity(lambda w: jnp.sum(w**2), jnp.ones(size), key=key)
    assert (sphere.min_eigenvalue, sphere.converged) == (pytest.approx(2), True)
    flat = tn.stationarity(jnp.sum, jnp.ones(size), key=key)
    assert (flat.min_eigenvalue, flat.residual, flat.spectral_radius) == (0, 0, 0)
    saddle = tn.stationarity(lambda w: jnp.sum(w**2) - 3 * w[0] ** 2, jnp.ones(size), key=key)
    assert saddle.min_eigenvalue == pytest.approx(-4)
    assert abs(float(saddle.direction[0])) == pytest.approx(1)
    assert spectral_radius(lambda w: jnp.sum(w**2) - 3 * w[0] ** 2, jnp.ones(size), key=key) == pytest.approx(
        4, rel=0.05
    )


def test_not_converged_is_said():
    """A smallest eigenvalue below the rounding level: 1 part in 10^18 of the largest."""
    scales = jnp.concatenate([jnp.full(1, 1e-18), jnp.linspace(0.5, 1, 99)])
    found = tn.stationarity(lambda w: jnp.sum(scales * w**2), jnp.ones(100), key=jax.random.key(0), max_products=400)
    assert not found.converged
    assert found.lower_bound <= 2e-18
    assert "not converged" in str(found)


def test_claims_are_no_sharper_than_the_tolerance_of_lanczos(monkeypatch: pytest.MonkeyPatch):
    """Eigenvalues closer than the resolution are not separated: the residual may belong to the second smallest."""
    monkeypatch.setattr(_stationarity, "_RUNGS", (1e-3,))
    scales = jnp.concatenate([jnp.asarray([0.1, 0.105]), jnp.linspace(0.2, 1, 200)])
    found = tn.stationarity(lambda w: jnp.sum(scales * w**2) / 2, jnp.ones(202), key=jax.random.key(0))
    assert found.residual < 1e-6 < found.resolution == pytest.approx(1e-3, rel=0.05)
    assert found.lower_bound == found.min_eigenvalue - found.uncertainty
    assert found.uncertainty > found.resolution
    assert not found.converged


def test_too_few_products_claim_nothing():
    """No eigenvector found: an infinite residual, so that the lower bound is trivial, and an exact Rayleigh quotient."""
    scales = jnp.concatenate([jnp.full(200, -1.0), jnp.linspace(-0.999, 1, 2000)])
    found = tn.stationarity(lambda w: jnp.sum(scales * w**2) / 2, jnp.ones(2200), key=jax.random.key(0), max_products=1)
    assert not found.converged
    assert found.lower_bound == -np.inf
    assert -1 <= found.min_eigenvalue <= 1


def test_single_precision():
    with jax.enable_x64(False):
        found = tn.stationarity(
            lambda w: jnp.sum(w**2) - 3 * w[0] ** 2, jnp.ones(50, jnp.float32), key=jax.random.key(0), tol=1e-4
        )
        assert found.converged
        assert found.min_eigenvalue == pytest.approx(-4, rel=1e-5)


@pytest.mark.parametrize("activation", ["relu", "relu_power_2"])
def test_kinks_are_refused(activation):
    fun, net = problem("full", activation)
    with pytest.raises(tn.ArgumentError, match="activation: expected two continuous derivatives"):
        tn.stationarity(fun, net.w0, key=jax.random.key(0))
    with pytest.raises(tn.ArgumentError, match="first-order method"):
        tn.fit(net, *_data(), model="full", penalty=1e-3, method="negative_curvature")
    first_order = tn.fit(
        net, *_data(), model="full", penalty=1e-3, method="gradient_descent", max_steps=30, throw=False
    )
    assert first_order.objective < float(fun(0 * net.w0))


def test_errors():
    with pytest.raises(tn.ArgumentError, match="tol: expected a finite number > 0, got -1"):
        tn.stationarity(jnp.sum, jnp.ones(3), key=jax.random.key(0), tol=-1)
    with pytest.raises(tn.ArgumentError, match="w: expected finite numbers"):
        tn.stationarity(jnp.sum, jnp.full(3, jnp.nan), key=jax.random.key(0))
    with pytest.raises(FloatingPointError, match="gradient at w is not finite"):
        tn.stationarity(lambda w: jnp.sum(jnp.sqrt(w)), jnp.zeros(3), key=jax.random.key(0))
