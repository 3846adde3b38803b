"""Derivatives of every activation against 60-digit arithmetic, in both precisions and under transformations."""

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
from taylornets.activations import Custom, ReluPower

Taylor = Callable[[str, float, int], list[Any]]
HIGHEST = 8
NAMES = (*tn.activations.names(), "polynomial(1.0, -2.0, 0.5, 0.25)", "relu_power_7")
# 23 points of [-8, 8] without symmetry, one exactly 0, two tiny ones.
POINTS = (*(-7.9 + 0.7607 * j for j in range(21)), 0.0, 1e-9, -3e-5)
# Errors are measured relative to |σ^{(k)}| + |t σ^{(k+1)}|: what a relative perturbation of t, as rounding of the
# argument causes, would do. At a zero of a derivative no finite precision has a small error relative to the value.
ACCURACY = {"float64": 1e-12, "float32": 1e-4}


@functools.cache
def _reference(values: Taylor, name: str, highest: int) -> np.ndarray:
    return np.array([[float(d) for d in values(name, t, highest)] for t in POINTS])


def _function(t: jax.Array) -> jax.Array:
    return jnp.sin(t) * jnp.exp(-t * t / 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_orders_up_to_eight_match_arbitrary_precision(name: str, dtype: str, taylor_values: Taylor):
    with jax.enable_x64(dtype == "float64"):
        points = jnp.asarray(POINTS, dtype)
        # In single precision the rounding of the points themselves is covered by the measure.
        exact = _reference(taylor_values, name, HIGHEST + 1)
        sigma = tn.activations.get(name)
        compiled = jax.jit(lambda t: [sigma.derivative(k)(t) for k in range(HIGHEST + 1)])
        for k, found in enumerate(compiled(points)):
            assert found.dtype == dtype
            scale = np.abs(exact[:, k]) + np.abs(np.array(POINTS) * exact[:, k + 1])
            error = np.abs(np.asarray(found, np.float64) - exact[:, k])
            floor = 1e-300 if dtype == "float64" else 1e-37
            assert np.all(error <= ACCURACY[dtype] * scale + floor), (k, error / (scale + floor))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_high_orders_of_smooth_activations(name: str, taylor_values: Taylor):
    points, orders = (-2.3, 0.0, 0.7, 3.1), (12, 17)
    sigma = tn.activations.get(name)
    exacts = np.array([[float(taylor_values(name, t, 17)[k]) for t in points] for k in orders])
    for found, exact in zip(jax.jit(lambda t: sigma.derivatives(t, orders))(jnp.asarray(points)), exacts, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(exact).max()))


@pytest.mark.parametrize("name", NAMES)
def test_extreme_arguments_are_finite_in_float32(name: str):
    t = jnp.asarray([-1e4, -200.0, -50.0, -14.0, 14.0, 50.0, 200.0, 1e4], jnp.float32)
    sigma = tn.activations.get(name)
    if name == "exp":  # overflows by its nature
        t = t[t < 80]
    orders = tuple(range(HIGHEST + 1))
    values, slopes = jax.jit(lambda t: jax.jvp(lambda s: sigma.derivatives(s, orders), (t,), (jnp.ones_like(t),)))(t)
    assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(slopes))


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "erf", "gelu"])
def test_derivatives_vanish_at_the_far_ends(name: str):
    ends = tn.activations.get(name).derivatives(jnp.asarray([-1e4, 1e4], jnp.float32), tuple(range(2, HIGHEST + 1)))
    np.testing.assert_array_equal(jnp.stack(ends), 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_next_derivative_also_at_kinks(name: str):
    sigma = tn.activations.get(name)
    t = jnp.asarray([-1.3, -0.0, 0.0, 0.4, 2.0], jnp.float32)

    @jax.jit
    def slopes(t: jax.Array):
        orders = [sigma.derivative(k) for k in range(5)]
        reverse = jnp.stack([jax.vmap(jax.grad(order))(t) for order in orders])
        forward = jnp.stack([jax.jvp(order, (t,), (2 * jnp.ones_like(t),))[1] for order in orders])
        twice = jax.hessian(lambda x: jnp.sum(sigma(x)))(t)
        return reverse, forward, twice, jnp.stack([sigma.derivative(k + 1)(t) for k in range(5)])

    reverse, forward, twice, following = slopes(t)
    np.testing.assert_allclose(reverse, following, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(forward, 2 * following, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(twice, np.diag(following[1]), rtol=1e-5, atol=1e-6)
    eager = jax.vmap(jax.grad(sigma.derivative(1)))(t)
    np.testing.assert_allclose(eager, following[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_batching(name: str):
    sigma = tn.activations.get(name)
    t = jnp.linspace(-2.0, 2.0, 12, dtype=jnp.float32).reshape(3, 4)
    plain = sigma.derivative(2)(t)
    assert plain.shape == t.shape
    np.testing.assert_allclose(jax.vmap(sigma.derivative(2))(t), plain, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(sigma(t), sigma.derivative(0)(t))
    assert sigma.derivative(2)(t[:0]).shape == (0, 4)


@pytest.mark.parametrize("name", NAMES)
def test_joint_evaluation_agrees_in_any_order(name: str):
    sigma = tn.activations.get(name)
    t = jnp.linspace(-3.0, 3.0, 7, dtype=jnp.float32)
    single = [np.asarray(value) for value in jax.jit(lambda t: [sigma.derivative(k)(t) for k in range(9)])(t)]
    chosen = [(4, 0, 1), (1, 4, 0), (2, 2), (8, 0, 8)]
    for orders, values in zip(chosen, jax.jit(lambda t: [sigma.derivatives(t, o) for o in chosen])(t), strict=True):
        for k, value in zip(orders, values, strict=True):
            np.testing.assert_allclose(value, single[k], rtol=1e-5, atol=1e-5)
    assert sigma.derivatives(t, ()) == ()


@pytest.mark.parametrize("name", NAMES)
def test_floating_type_is_kept(name: str):
    sigma = tn.activations.get(name)
    t = jax.ShapeDtypeStruct((3,), jnp.dtype("bfloat16"))
    for k in (0, 1, 2, 5):
        assert jax.eval_shape(sigma.derivative(k), t).dtype == "bfloat16"
    assert jax.eval_shape(jax.grad(lambda s: sigma.derivative(2)(s)[0]), t).dtype == "bfloat16"
    assert jax.eval_shape(sigma.dual(1), t).dtype == "bfloat16"
    assert jax.eval_shape(sigma, jax.ShapeDtypeStruct((3,), jnp.dtype("int32"))).dtype == jnp.float32


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_when_x64_is_on(name: str):
    sigma = tn.activations.get(name)
    t = jax.ShapeDtypeStruct((2,), jnp.dtype("float32"))
    values = jax.eval_shape(lambda s: (*sigma.derivatives(s, tuple(range(9))), sigma.dual(1)(s), sigma.dual(4)(s)), t)
    assert all(value.dtype == jnp.float32 for value in values)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(name: str):
    sigma = tn.activations.get(name)
    orders = range(sigma.smoothness + 2) if sigma.smoothness is not None else range(4)
    for k in orders:
        assert bool(jnp.isnan(sigma.derivative(k)(jnp.nan)))


@pytest.mark.parametrize("power", [1, 2, 3, 5])
def test_relu_power_beyond_its_power(power: int):
    sigma = ReluPower(power)
    t = jnp.asarray([-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(sigma.derivative(power)(t), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(sigma.derivative(power + 1)(t), 0.0)
    np.testing.assert_array_equal(sigma.derivative(power + 9)(t), 0.0)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "erf", "gelu", "sin", "exp"])
def test_complex_arguments_inside_the_strip(name: str, complex_values: Callable[[str, complex, int], list[Any]]):
    sigma = tn.activations.get(name)
    width = min(sigma.strip, 3.0) * 0.8
    points = [complex(x, y) for x in (-6.0, 0.0, 1e-7, 1.1) for y in (-width, 1e-6, 0.4)]
    found = jax.jit(lambda z: sigma.derivatives(z, tuple(range(5))))(jnp.asarray(points))
    exact = np.array([[complex(value) for value in complex_values(name, z, 4)] for z in points])
    np.testing.assert_allclose(np.asarray(found).T, exact, rtol=1e-9, atol=1e-11)


def test_complex_erf_far_from_the_axis():
    with jax.enable_x64(True):
        for z in (complex(0.3, 12.0), complex(-4.0, 20.0), complex(0.0, -26.0)):
            exact = complex(mp.erf(mp.mpc(z)))  # pyright: ignore[reportArgumentType] - mpmath returns an mpc
            assert abs(complex(tn.activations.get("erf")(jnp.asarray(z))) - exact) <= 1e-12 * abs(exact)


def test_complex_arguments_are_refused_where_not_analytic():
    with pytest.raises(
        tn.ArgumentError, match=r"^t: expected real points.*'cubic_relu'.*got dtype complex64.*Use an analytic"
    ):
        tn.activations.get("cubic_relu")(jnp.asarray(1j))


@pytest.mark.parametrize("k", [-1, True])
def test_bad_orders(k: int):
    sigma = tn.activations.get("tanh")
    for call in (sigma.derivative, sigma.dual, sigma.derivative_bound):
        with pytest.raises(tn.ArgumentError, match=r"^k: expected an integer ≥ 0, got"):
            call(k)
    with pytest.raises(tn.ArgumentError, match=r"^orders: expected an integer ≥ 0"):
        sigma.derivatives(jnp.ones(2), (0, k))


@pytest.mark.usefixtures("x64")
def test_custom_function_matches_finite_differences_of_the_order_below():
    sigma = Custom(_function)
    t, step = jnp.linspace(-2.0, 2.0, 9), 1e-5
    up, down, here = (
        np.stack(jax.jit(lambda t: sigma.derivatives(t, tuple(range(6))))(p)) for p in (t + step, t - step, t)
    )
    np.testing.assert_allclose(here[1:], (up - down)[:-1] / (2 * step), atol=1e-7)


def test_custom_function_of_a_scalar_only():
    def branch(t: jax.Array) -> jax.Array:
        return jax.lax.cond(t > 0, lambda s: s**3, lambda s: -s, t)

    found = tn.activations.get(branch).derivatives(jnp.asarray([[-2.0, 2.0]]), (0, 1, 2))
    np.testing.assert_allclose(jnp.stack(found), [[[2.0, 8.0]], [[-1.0, 12.0]], [[0.0, 12.0]]])


@pytest.mark.usefixtures("x64")
def test_custom_keeps_the_type_and_equals_the_built_in():
    sigma = tn.activations.get(jnp.tanh)
    t = jnp.linspace(-2, 2, 5)
    orders = tuple(range(6))
    found, built_in = (np.stack(s.derivatives(t, orders)) for s in (sigma, tn.activations.get("tanh")))
    np.testing.assert_allclose(found, built_in, rtol=1e-10, atol=1e-10)
    assert sigma.derivative(3)(t.astype(jnp.float32)).dtype == jnp.float32
    assert math.isinf(sigma.derivative_bound(0))
    assert Custom(jnp.tanh, bounds=(1.0, 1.0)).derivative_bound(1) == 1.0
