"""Complexities against optimization over the weights, enumeration of all signs, and closed forms."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import taylornets as tn
from taylornets import generalization

pytestmark = pytest.mark.usefixtures("x64")
N, D, M = 6, 3, 4
ALL_SIGNS = jnp.array(list(itertools.product([-1.0, 1.0], repeat=N)))


def draw(seed=0, symmetric=True, activation="softplus", outputs=1):
    keys = jax.random.split(jax.random.key(seed), 2)
    net = tn.TwoLayerNetwork.init(keys[0], D, M, outputs, activation, symmetric)
    return net, jax.random.normal(keys[1], (N, D))


def brute_force(net, x, signs, order, radius, seed):
    """The largest mean of `ε f^(k)` found by BFGS over the ball with many restarts; plain NumPy, by definition."""
    x, signs = np.asarray(x), np.asarray(signs)
    derivative = np.asarray(net.activation.derivative(order)(x @ net.w0.T))
    weights = signs[:, None] * np.asarray(net.a).T * derivative / (math.factorial(order) * math.sqrt(M) * N)
    shape = net.w0.shape

    def value(flat):
        w = flat.reshape(shape)
        size = np.sum(np.sum(w**2, 1) ** order) ** (1 / (2 * order))
        return -np.sum(weights * (x @ w.T * (radius / size)) ** order)

    starts = np.random.default_rng(seed).normal(size=(8, shape[0] * shape[1]))
    return max(-minimize(value, start, method="BFGS", options={"gtol": 1e-9}).fun for start in starts)


@pytest.mark.parametrize(("order", "symmetric"), [(1, False), (2, True)])
def test_no_weights_exceed_the_supremum_and_some_reach_it(order, symmetric):
    net, x = draw(order, symmetric)
    signs = ALL_SIGNS[jnp.array([3, 21])]
    formula = generalization.suprema(net, x, signs, order=order, radius=1.3)
    for i, epsilon in enumerate(signs):
        found = brute_force(net, x, epsilon, order, 1.3, seed=i)
        assert found <= float(formula[i]) * (1 + 1e-12)
        assert found == pytest.approx(float(formula[i]), rel=1e-6)


@pytest.mark.parametrize("order", [1, 2])
def test_monte_carlo_meets_the_enumeration_of_all_signs(order):
    """Within 4 standard errors: a false-alarm rate of 1 in 16,000."""
    net, x = draw(5)
    exact = generalization.suprema(net, x, ALL_SIGNS, order=order, radius=2.0).mean()
    found = generalization.rademacher(net, x, order=order, radius=2.0, draws=400, key=jax.random.key(1))
    assert abs(float(found.mean - exact)) < 4 * float(found.standard_error)
    assert found.draws == 400
    # The standard error itself: that of 400 draws from the 64 equally likely values.
    spread = float(jnp.std(generalization.suprema(net, x, ALL_SIGNS, order=order, radius=2.0))) / 20
    assert float(found.standard_error) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize(("order", "reached"), [(1, 0.99), (2, 0.99 * (0.5 / (2 * (1 + math.log(D)))) ** 0.5)])
def test_bounds_are_above_the_exact_complexity(order, reached):
    """All signs enumerated, 100 data sets of varying scale: no Monte Carlo on either side.

    Where one example dominates, order 1 is met and order 2 is off by `(1/2)^{1/2}` (of a pair, one unit gains) and the
    matrix bound's factor `(2(1 + log d))^{1/2}`.
    """

    def one(key):
        keys = jax.random.split(key, 3)
        net = tn.TwoLayerNetwork.init(keys[0], D, M)
        x = jax.random.normal(keys[1], (N, D)) * jnp.exp(2 * jax.random.normal(keys[2], (N, 1)))
        exact = generalization.suprema(net, x, ALL_SIGNS, order=order, radius=1.0).mean()
        found = generalization.bound(net, x, order=order, radius=1.0)
        return exact, found.value, found.operator_norm_form

    exact, value, form = jax.vmap(one)(jax.random.split(jax.random.key(order), 100))
    assert bool(jnp.all(exact <= value * (1 + 1e-12)))  # equal where one example dominates, but for rounding
    assert bool(jnp.all(value <= form * (1 + 1e-12)))
    assert float(jnp.max(exact / value)) > reached


def test_bound_of_order_1_is_the_trace_of_the_kernel():
    net, x = draw(2, outputs=1, symmetric=False)
    trace = jnp.trace(tn.kernels.ntk(net, x))
    found = generalization.bound(net, x, order=1, radius=3.0)
    np.testing.assert_allclose(found.value, 3 / N * jnp.sqrt(trace), rtol=1e-12)


def test_bound_of_order_2_by_its_definition():
    net, x = draw(4, outputs=2)
    second = net.activation.derivative(2)(x @ net.w0.T)
    v = 0.0
    for r in range(M):
        matrices = [
            2 * (second[i, r] / (2 * N * math.sqrt(M))) ** 2 * (x[i] @ x[i]) * jnp.outer(x[i], x[i]) for i in range(N)
        ]
        v += float(jnp.linalg.norm(sum(matrices), 2))  # the factor 2: two outputs
    found = generalization.bound(net, x, order=2, radius=1.5)
    np.testing.assert_allclose(found.value, 1.5**2 * math.sqrt(2 * (1 + math.log(D)) * v), rtol=1e-12)
    assert float(found.operator_norm_form) == pytest.approx(
        float(found.constant) * 1.5**2 * float(found.input_norm) ** 2 * float(found.operator_norm_ratio) / math.sqrt(N)
    )


def test_operator_norm_ratio_at_its_ends():
    isotropic = jnp.concatenate([jnp.eye(5), -jnp.eye(5)])
    assert float(generalization.operator_norm_ratio(3 * isotropic)) == pytest.approx(5**-0.5)
    assert float(
        generalization.operator_norm_ratio(jnp.outer(jnp.array([1.0, -1, 1]), jnp.arange(4.0)))
    ) == pytest.approx(1)


def test_group_norm_is_the_penalty_s():
    w = jnp.array([[3.0, 4.0], [0.0, 5.0]])
    assert float(generalization.group_norm(w, 2)) == pytest.approx(5 * 2**0.25)


def test_blocks_do_not_matter():
    net, x = draw(6)
    whole, parts = (generalization.bound(net, x, order=2, radius=1.0, chunk_size=size).value for size in (None, 4))
    np.testing.assert_allclose(whole, parts, rtol=1e-12)
    whole, parts = (
        generalization.suprema(net, x, ALL_SIGNS[:5], order=2, radius=1.0, chunk_size=size) for size in (None, 4)
    )
    np.testing.assert_allclose(whole, parts, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda net, x: generalization.rademacher(net, x, order=2, radius=1.0, draws=1, key=jax.random.key(0)),
            "draws: expected an integer ≥ 2, got 1",
        ),
        (lambda net, x: generalization.bound(net, x, order=2, radius=0.0), "radius: expected a finite number > 0"),
        (lambda net, x: generalization.bound(net, x, order=0, radius=1.0), "order: expected an integer ≥ 1"),
        (lambda net, x: generalization.bound(net, x[:, :2], order=1, radius=1.0), r"x: expected shape \(n, 3\)"),
        (
            lambda net, x: generalization.suprema(net, x, jnp.ones((2, 5)), order=1, radius=1.0),
            r"signs: expected shape \(draws, 6, 1\), got shape \(2, 5, 1\)",
        ),
        (lambda net, x: generalization.operator_norm_ratio(0 * x), "x: expected at least one nonzero example"),
    ],
)
def test_errors(call, message):
    with pytest.raises(tn.ArgumentError, match=message):
        call(*draw())
