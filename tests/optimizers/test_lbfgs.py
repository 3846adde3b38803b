"""L-BFGS on functions with known minima."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from taylornets.optimizers import LBFGS


class Quadratic(eqx.Module):
    matrix: Array
    target: Array

    def __call__(self, w: Array) -> Array:
        step = w.ravel() - self.target
        return step @ self.matrix @ step / 2


class Rosenbrock(eqx.Module):
    def __call__(self, w: Array) -> Array:
        return jnp.sum(100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2)


class Cliff(eqx.Module):
    """Unbounded below, and not finite beyond 10."""

    def __call__(self, w: Array) -> Array:
        return jnp.sum(jnp.where(w > 10, jnp.nan, -(w**2)))


def quadratic(dtype: Any = jnp.float64, size: int = 12, condition: float = 100.0):
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(size, size)))
    matrix = (basis * np.geomspace(1, condition, size)) @ basis.T
    return Quadratic(jnp.asarray(matrix, dtype), jnp.asarray(rng.normal(size=size), dtype))


@pytest.mark.parametrize(("dtype", "accuracy"), [("float32", 1e-3), ("float64", 1e-7)])
def test_quadratic_is_solved_to_rounding(dtype: Any, accuracy: float):
    """The value is known to rounding `ε`, hence the minimizer to `√ε`; shape and dtype of the initial point are preserved."""
    with jax.enable_x64(dtype == "float64"):
        fun, method = quadratic(dtype), LBFGS()
        state = method.advance(fun, method.init(fun, jnp.zeros((3, 4), dtype)), 200)
        assert state.w.shape == (3, 4)
        assert state.w.dtype == state.value.dtype == state.gradient.dtype == dtype
        np.testing.assert_allclose(state.w.ravel(), fun.target, atol=accuracy)
        np.testing.assert_allclose(state.gradient, jax.grad(fun)(state.w), atol=1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("start", [[-1.2, 1.0], [0.0, 0.0]])
def test_rosenbrock(start: list[float]):
    fun, method = Rosenbrock(), LBFGS()
    state = method.advance(fun, method.init(fun, jnp.asarray(start)), 200)
    np.testing.assert_allclose(state.w, 1, atol=1e-7)
    assert float(state.value) < 1e-14
    assert int(state.steps) < 100


@pytest.mark.usefixtures("x64")
def test_a_run_ends_when_nothing_falls_any_more():
    """A large constant offset makes the decrease vanish in rounding long before 10,000 steps."""
    fun, method = quadratic(), LBFGS()
    shifted = Shifted(fun, jnp.asarray(1.0))
    state = method.advance(shifted, method.init(shifted, jnp.zeros(12)), 10_000)
    assert method.outcome(state).stalled
    assert int(state.steps) < 200
    assert float(state.value) == pytest.approx(1.0, rel=1e-14)
    assert not method.outcome(method.init(shifted, jnp.zeros(12))).stalled


class Shifted(eqx.Module):
    fun: Quadratic
    constant: Array

    def __call__(self, w: Array) -> Array:
        return self.fun(w) + self.constant


@pytest.mark.usefixtures("x64")
def test_at_the_minimum_nothing_moves():
    fun, method = quadratic(), LBFGS()
    state = method.advance(fun, method.init(fun, fun.target), 50)
    assert method.outcome(state).stalled
    np.testing.assert_array_equal(state.w, fun.target)


@pytest.mark.usefixtures("x64")
def test_a_start_that_is_not_finite_ends_at_once():
    fun, method = Cliff(), LBFGS()
    state = method.advance(fun, method.init(fun, jnp.array([11.0])), 50)
    assert int(state.steps) == 0
    assert bool(jnp.isnan(state.value))


@pytest.mark.usefixtures("x64")
def test_an_objective_without_a_minimum_ends():
    """The method reaches the boundary of the domain where the objective is finite, in a bounded number of steps."""
    fun, method = Cliff(), LBFGS()
    state = method.advance(fun, method.init(fun, jnp.array([1.0])), 500)
    assert int(state.steps) <= 500
    assert not bool(jnp.isfinite(state.value)) or float(state.value) < -1


@pytest.mark.usefixtures("x64")
def test_segments_give_the_same_as_one_run():
    fun, method = Rosenbrock(), LBFGS()
    start = method.init(fun, jnp.array([-1.2, 1.0]))
    whole = method.advance(fun, start, 24)
    parts = start
    for steps in (1, 7, 3, 13):
        parts = method.advance(fun, parts, steps)
    assert int(parts.steps) == int(whole.steps) == 24
    np.testing.assert_array_equal(parts.w, whole.w)
    np.testing.assert_array_equal(parts.value, whole.value)


@pytest.mark.usefixtures("x64")
def test_steps_never_raise_the_value():
    fun, method = Rosenbrock(), LBFGS(memory=5)
    state = method.init(fun, jnp.array([-1.2, 1.0]))
    values = [float(state.value)]
    for _ in range(25):
        state = method.advance(fun, state, 1)
        values.append(float(state.value))
    assert all(later <= earlier for earlier, later in itertools.pairwise(values))
