"""The components of the certificate against their definitions, and its validity on new data."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets import generalization

pytestmark = pytest.mark.usefixtures("x64")
N, D, M = 8000, 4, 16


def problem(seed=0, flips=0.0):
    """Labels by the sign of a coordinate on the sphere's two caps, far from the border."""
    keys = jax.random.split(jax.random.key(seed), 3)
    x = jax.random.normal(keys[0], (N, D)) * 0.1
    y = jax.random.rademacher(keys[1], (N,), float)
    x = x.at[:, 0].add(2 * y)
    y = jnp.where(jax.random.uniform(keys[2], (N,)) < flips, -y, y)
    return x / jnp.linalg.norm(x, axis=1, keepdims=True), y


NET = tn.TwoLayerNetwork.init(jax.random.key(9), D, M)


def linear_weights(net):
    """Displacement whose linear term is a multiple of `E[σ'(u)] x_1`."""
    return jnp.zeros_like(net.w0).at[:, 0].set(net.a[:, 0])


def test_parts_by_their_definitions():
    x, y = problem(flips=0.05)
    w = linear_weights(NET)
    found = generalization.certificate(NET, w, x, y, order=1, delta=0.1, draws=50, key=jax.random.key(3))
    margins = np.asarray(y * NET.term(1, w, x)[:, 0])
    assert found.train_error == pytest.approx(np.mean(margins <= 0))
    assert found.train_risk == pytest.approx(np.clip(1 - margins / found.margin, 0, 1).mean())
    assert found.train_risk >= found.train_error
    assert found.norm == pytest.approx(float(jnp.linalg.norm(w)))
    level = found.norm / found.margin
    j = round(math.log2(level) * 4)
    assert level == pytest.approx(2 ** (j / 4))
    confidence = 0.9 * 0.1 * (2 / 3) / ((abs(j) + 1) * (abs(j) + 2))
    assert found.confidence == pytest.approx(3 * math.sqrt(math.log(1 / confidence) / (2 * N)))
    complexity = generalization.rademacher(NET, x, order=1, radius=1.0, draws=50, key=jax.random.key(3))
    changes = 4 / N**2 * jnp.trace(tn.kernels.ntk(NET, x))
    allowance = math.sqrt(float(changes) * math.log(1 / 0.01) / 100)
    assert found.complexity == pytest.approx(2 * level * (float(complexity.mean) + allowance))
    assert found.bound == pytest.approx(found.train_risk + found.complexity + found.confidence)


def test_probabilities_of_the_grid_sum_to_one():
    assert sum((2 / 3) / ((abs(j) + 1) * (abs(j) + 2)) for j in range(-100_000, 100_001)) == pytest.approx(1, abs=2e-5)


@pytest.mark.parametrize("order", [1, 2])
def test_bound_holds_on_fresh_data(order):
    """The bound may fail in 1 of 20 cases; with 5 % of the labels flipped, it does not hold by chance."""
    x, y = problem(1, flips=0.05)
    new, labels = problem(2, flips=0.05)
    w = linear_weights(NET) if order == 1 else 0.5 * NET.w0
    found = generalization.certificate(NET, w, x, y, order=order, key=jax.random.key(0))
    assert found.bound >= float(jnp.mean(labels * NET.term(order, w, new)[:, 0] <= 0))


def test_scaling_the_weights_changes_nothing():
    """Scaling the weights does not change the classifier; its certificate may change by one grid step."""
    x, y = problem(3)
    w = linear_weights(NET)
    bounds = [
        generalization.certificate(NET, s * w, x, y, order=1, key=jax.random.key(0)).bound for s in (1, 16, 2.0**-40)
    ]
    np.testing.assert_allclose(bounds, bounds[0], rtol=1e-9)


def test_says_when_it_is_vacuous():
    x, y = problem(4)
    good = generalization.certificate(NET, linear_weights(NET), *problem(4), order=1, key=jax.random.key(0))
    assert not good.vacuous
    assert str(good).startswith(f"test error at most {good.bound:.3f} with probability 0.95 (train risk")
    bad = generalization.certificate(NET, linear_weights(NET), x, y[::-1], order=1, key=jax.random.key(0))
    assert bad.vacuous
    assert str(bad).startswith(f"vacuous: the bound {bad.bound:.3f} is no better than random guessing")
    nothing = generalization.certificate(NET, 0 * NET.w0, x, y, key=jax.random.key(0))
    assert nothing.vacuous
    assert nothing.train_error == 1  # f = 0 decides nothing, which counts as an error
    assert {field.name for field in dataclasses.fields(good)} >= {"bound", "margin", "delta"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": jnp.zeros(N)}, "y: expected labels -1 and 1, got 0"),
        ({"delta": 1.5}, "delta: expected a probability below 1, got 1.5"),
        ({"delta": 0.0}, "delta: expected a finite number > 0"),
        ({"order": 3}, "order: expected 1 or 2"),
        ({"w": jnp.ones((M, D + 1))}, r"w: expected shape \(16, 4\)"),
        ({"draws": 0}, "draws: expected an integer ≥ 1"),
        (
            {"net": tn.TwoLayerNetwork.init(jax.random.key(0), D, M, symmetric=False)},
            "net: expected symmetric initialization and one output, got symmetric=False, outputs=1",
        ),
    ],
)
def test_errors(changes, message):
    x, y = problem()
    arguments = {"net": NET, "w": NET.w0, "x": x, "y": y, "key": jax.random.key(0)} | changes
    with pytest.raises(tn.ArgumentError, match=message):
        generalization.certificate(**arguments)
