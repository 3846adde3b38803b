"""Hermite coefficients and dual activations against adaptive quadrature and exact identities."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import taylornets as tn
from taylornets.activations import Custom, PolynomialActivation, ReluPower, _base, _quadrature

NAMES = (*tn.activations.names(), "polynomial(1.0, -2.0, 0.5, 0.25)", "relu_power_7")
SMOOTH = tuple(name for name in NAMES if not tn.activations.get(name).kinks)
CORRELATIONS = (-0.95, -0.4, 0.3, 0.9, 1.0, -1.0)


ORDERS = (0, 1, 2, 4)


@functools.cache
def _values(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the derivatives of `ORDERS`, stacked."""
    function = jax.jit(lambda t: jnp.stack(tn.activations.get(name).derivatives(t, ORDERS)))
    return lambda t: np.asarray(function(jnp.asarray(t, jnp.float64)))


@functools.cache
def _duals(name: str) -> np.ndarray:
    """Computes `κ_k` in float64 at the correlations, one row per order."""
    sigma = tn.activations.get(name)
    with jax.enable_x64(True):
        return np.asarray(
            jax.jit(lambda rho: jnp.stack([sigma.dual(k)(rho) for k in ORDERS]))(jnp.asarray(CORRELATIONS))
        )


def _gaussian_rule(edge: float, panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns composite Gauss-Legendre nodes and weights for `E[·]`, with a panel boundary at the kink 0."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = np.linspace(-edge, edge, 2 * panels + 1)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    t = (middle[:, None] + half[:, None] * nodes).ravel()
    return t, (half[:, None] * weights).ravel() * np.exp(-t * t / 2) / math.sqrt(2 * math.pi)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_hermite_coefficients_match_quadrature_of_the_derivatives(name: str):
    sigma = tn.activations.get(name)
    t, weights = _gaussian_rule(15.0, 20)
    degrees = range(13)
    scale = np.sqrt([math.factorial(q) for q in degrees])
    polynomials = np.polynomial.hermite_e.hermevander(t, 12) / scale
    for k, values in zip(ORDERS, _values(name)(t), strict=True):
        found = [sigma.hermite_coefficient(k, q) for q in degrees]
        np.testing.assert_allclose(found / scale, (weights * values) @ polynomials, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("k", "q"), [(0, 0), (1, 0), (2, 3), (4, 7)])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus"])
def test_quadrature_coefficients_match_arbitrary_precision(
    name: str, k: int, q: int, smooth_reference: Callable[[str], Callable[[Any], Any]]
):
    reference = smooth_reference(name)
    with mp.workdps(30):
        # By parts, c_{k,q} = E[σ He_{k+q}], so no derivative enters the reference.
        powers = [int(c) for c in np.polynomial.hermite_e.herme2poly([0] * (k + q) + [1])]
        exact: Any = mp.quad(
            lambda t: reference(t) * sum(c * t**j for j, c in enumerate(powers)) * mp.npdf(t), mp.linspace(-16, 16, 17)
        )
    found = tn.activations.get(name).hermite_coefficient(k, q)
    assert abs(found - float(exact)) <= 1e-12 * math.sqrt(math.factorial(q)) * max(1.0, 3.0**k)


@pytest.mark.parametrize("name", SMOOTH)
def test_stein_identity_of_smooth_activations(name: str):
    sigma = tn.activations.get(name)
    for k, q in ((0, 1), (1, 1), (0, 4), (2, 3)):
        one, other = sigma.hermite_coefficient(k, q), sigma.hermite_coefficient(k + q, 0)
        assert one == pytest.approx(other, rel=1e-10, abs=1e-11)


def test_coefficients_that_vanish_by_symmetry_are_exactly_zero():
    for name, j in (
        ("tanh", 0),
        ("tanh", 8),
        ("sigmoid", 2),
        ("sigmoid", 6),
        ("softplus", 3),
        ("softplus", 5),
        ("erf", 4),
    ):
        assert all(tn.activations.get(name).hermite_coefficient(k, j - k) == 0.0 for k in range(min(j, 4) + 1))


def test_cubic_relu_expresses_the_powers_the_theory_names():
    sigma = tn.activations.get("cubic_relu")
    assert [q for q in range(12) if sigma.hermite_coefficient(2, q) != 0] == [0, 1, 2, 4, 6, 8, 10]


def test_relu_power_beyond_its_power_has_no_coefficients():
    assert all(ReluPower(2).hermite_coefficient(3, q) == 0 for q in range(5))


def test_moments_do_not_depend_on_the_precision_or_on_tracing():
    sigma = tn.activations.get("tanh")

    def forget():
        for function in (_quadrature._samples, _quadrature._dual_coefficients, _base._moment):
            function.cache_clear()

    forget()
    value = jax.jit(lambda x: x * sigma.hermite_coefficient(1, 2))(jnp.float32(0.5))
    inside = sigma.hermite_coefficient(1, 2)
    assert value.dtype == jnp.float32
    forget()
    slopes = jax.jit(jax.vmap(jax.grad(sigma.dual(1))))(jnp.ones(2, jnp.float32))
    forget()
    with jax.enable_x64(True):
        assert sigma.hermite_coefficient(1, 2) == inside
        np.testing.assert_allclose(slopes, np.full(2, float(sigma.dual(2)(1.0))), rtol=1e-5)


@pytest.mark.parametrize(("k", "q", "name"), [(-1, 0, "k"), (0, -1, "q")])
def test_bad_hermite_indices(k: int, q: int, name: str):
    with pytest.raises(tn.ArgumentError, match=rf"^{name}: expected an integer ≥ 0"):
        tn.activations.get("sin").hermite_coefficient(k, q)


def test_too_large_a_degree():
    with pytest.raises(tn.ArgumentError, match=r"^q: expected a degree ≤ 170, got 171"):
        tn.activations.get("tanh").hermite_coefficient(0, 171)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_duals_match_two_dimensional_quadrature(name: str):
    """`g' = ρ g + √(1-ρ²) h`; the inner integral over `h` is split where `g'` crosses the kink."""
    values, found = _values(name), _duals(name)
    g, weights = _gaussian_rule(11.0, 11)
    nodes, inner_weights = np.polynomial.legendre.leggauss(24)
    panels = 10
    fraction = ((np.arange(panels)[:, None] + (nodes + 1) / 2) / panels).ravel()
    inner_weights = np.tile(inner_weights / (2 * panels), panels)
    for rho, dual in zip(CORRELATIONS[:-2], found.T[:-2], strict=True):
        other = math.sqrt(1 - rho * rho)
        kink = np.clip(-rho * g / other, -11.0, 11.0)[:, None]
        exact = np.zeros(len(ORDERS))
        for end in (-11.0, 11.0):
            h = kink + (end - kink) * fraction
            mass = np.abs(end - kink) * inner_weights * np.exp(-h * h / 2) / math.sqrt(2 * math.pi)
            exact += np.sum(values(g) * weights * np.sum(values(rho * g[:, None] + other * h) * mass, axis=2), axis=1)
        np.testing.assert_allclose(dual, exact, rtol=1e-10, atol=1e-10 * found.max())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_duals_at_perfect_correlation(name: str):
    t, weights = _gaussian_rule(15.0, 20)
    for dual, here, there in zip(_duals(name)[:, -2:], _values(name)(t), _values(name)(-t), strict=True):
        second, product = weights @ here**2, weights @ (here * there)
        np.testing.assert_allclose(dual, [second, product], rtol=1e-11, atol=1e-11 * second)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", [name for name in NAMES if name != "exp"])
def test_dual_is_the_series_of_hermite_coefficients(name: str):
    sigma = tn.activations.get(name)
    rho = np.asarray(CORRELATIONS[1:3])
    for k, dual in zip(ORDERS, _duals(name), strict=True):
        series = sum(sigma.hermite_coefficient(k, q) ** 2 / math.factorial(q) * rho**q for q in range(40))
        np.testing.assert_allclose(dual[1:3], series, rtol=1e-9, atol=1e-12)


def test_arc_cosine_kernels_of_the_literature():
    with jax.enable_x64(True):
        angle = jnp.linspace(0.01, 3.1, 30)
        rho, s, c, rest = jnp.cos(angle), jnp.sin(angle), jnp.cos(angle), math.pi - angle
        printed = (rest, s + rest * c, 3 * s * c + rest * (1 + 2 * c**2))  # Cho and Saul 2009, equations 4 to 6
        for n, kernel in enumerate(printed):
            found = ReluPower(2).dual(2 - n)(rho) * math.factorial(n) ** 2
            np.testing.assert_allclose(found, kernel / (2 * math.pi), rtol=1e-10, atol=1e-15)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", SMOOTH)
def test_price_theorem_to_the_ends(name: str):
    sigma = tn.activations.get(name)

    @jax.jit
    def evaluate(rho: jax.Array):
        duals = [sigma.dual(k) for k in range(4)]
        slopes = [jax.vmap(jax.grad(dual))(rho) for dual in duals[:-1]]
        differences = [(dual(rho + 1e-5) - dual(rho - 1e-5)) / 2e-5 for dual in duals[:-1]]
        return jnp.stack(slopes), jnp.stack(differences), jnp.stack([dual(rho) for dual in duals[1:]])

    slopes, differences, following = evaluate(jnp.asarray([-1.0, -0.5, 0.0, 0.8, 1.0]))
    np.testing.assert_allclose(slopes, following, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(following[:, 1:-1], differences[:, 1:-1], rtol=1e-6, atol=1e-8)


def test_gradients_of_arc_cosine_kernels():
    sigma = ReluPower(2)
    with jax.enable_x64(True):
        for k in (0, 1, 2):
            slope = jax.grad(sigma.dual(k))
            difference = (float(sigma.dual(k)(0.3 + 1e-6)) - float(sigma.dual(k)(0.3 - 1e-6))) / 2e-6
            assert float(slope(0.3)) == pytest.approx(difference, rel=1e-7)
        assert float(jax.grad(sigma.dual(1))(1.0)) == pytest.approx(0.5)
        assert float(jax.grad(sigma.dual(3))(0.3)) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_duals_keep_type_clip_and_transform(name: str):
    sigma = tn.activations.get(name)
    rho = np.asarray([[*CORRELATIONS[:4]], [1.0, -1.0, 1 + 1e-6, -1 - 1e-6]], np.float32)
    batched = jax.jit(jax.vmap(lambda rho: [sigma.dual(k)(rho) for k in ORDERS]))(jnp.asarray(rho))
    for single, double in zip(batched, _duals(name), strict=True):
        assert single.shape == rho.shape
        assert (single[1, 2], single[1, 3]) == (single[1, 0], single[1, 1])
        np.testing.assert_allclose(single.ravel()[:6], double, rtol=1e-4, atol=2e-6 * double.max() + 1e-12)
    assert sigma.dual(1)(rho).shape == rho.shape


def test_custom_activation_with_a_kink_uses_it():
    def leaky(t: jax.Array) -> jax.Array:
        return jnp.where(t > 1, 2 * t - 1, t)

    sigma = Custom(leaky, kinks_at=(1.0,), continuous=0)
    tail = 0.5 * math.erfc(1 / math.sqrt(2))
    assert sigma.hermite_coefficient(1, 0) == pytest.approx(1 + tail, rel=1e-13)


@pytest.mark.usefixtures("x64")
def test_custom_moments_equal_the_closed_forms():
    sigma, built_in = tn.activations.get(jax.lax.erf), tn.activations.get("erf")
    for k, q in ((0, 1), (1, 2), (2, 3)):
        assert sigma.hermite_coefficient(k, q) == pytest.approx(built_in.hermite_coefficient(k, q), rel=1e-12)
    rho = jnp.linspace(-1, 1, 5)
    np.testing.assert_allclose(sigma.dual(1)(rho), built_in.dual(1)(rho), rtol=1e-12)


def test_polynomial_moments_are_exact():
    sigma = PolynomialActivation((0, 0, 0, 1))  # g³ = He_3 + 3 He_1
    assert [sigma.hermite_coefficient(0, q) for q in range(5)] == [0.0, 3.0, 0.0, 6.0, 0.0]
    assert float(sigma.dual(0)(1.0)) == 15.0
