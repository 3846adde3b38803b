"""Per-unit suprema against dense matrices and brute-force maximization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.two_layer import moment_matrices, unit_suprema

pytestmark = pytest.mark.usefixtures("x64")


def draw(symmetric, outputs=2, width=6):
    keys = jax.random.split(jax.random.key(3), 3)
    net = tn.TwoLayerNetwork.init(keys[0], 4, width, outputs, "softplus", symmetric)
    return net, jax.random.normal(keys[1], (50, 4)), jax.random.normal(keys[2], (50, outputs))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("chunk_size", [None, 7])
@pytest.mark.parametrize("width", [6, 40])
def test_moment_matrices_by_definition(symmetric, chunk_size, width):
    """Small and large numbers of units use different algorithms."""
    net, x, q = draw(symmetric, width=width)
    second = net.activation.derivative(2)(x @ net.w0.T)
    expected = jnp.einsum("ic,rc,ir,id,ie->rde", q, net.a, second, x, x) / (2 * np.sqrt(width))
    found = moment_matrices(net.prepare(x, (2,), chunk_size), q)
    np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("order", [1, 2])
def test_suprema_bound_and_are_attained(symmetric, order):
    """Over 20,000 random directions and a power iteration from the best, no unit exceeds its τ; the best reaches it."""
    net, x, q = draw(symmetric)
    tau = unit_suprema(net.prepare(x, (order,)), order, q)
    directions = jax.random.normal(jax.random.key(5), (20_000, 4))
    directions = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
    weights = (q @ net.a.T) * net.activation.derivative(order)(x @ net.w0.T) / ({1: 1, 2: 2}[order] * np.sqrt(6))
    values = jnp.einsum("ir,ip->pr", weights, (x @ directions.T) ** order)
    assert bool(jnp.all(values.max(0) <= tau + 1e-12))
    np.testing.assert_allclose(jnp.maximum(values.max(0), 0), tau, rtol=0.02, atol=1e-3)


def test_other_orders_are_refused():
    net, x, q = draw(True)
    with pytest.raises(tn.ArgumentError, match="order: expected 1 or 2, got 3"):
        unit_suprema(net.prepare(x, (3,)), 3, q)
