"""Bounds on tensor norms: tight where the norm is known, otherwise valid against brute-force search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.two_layer import prepare, tensor_bracket, unit_brackets, unit_suprema

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("order", [3, 4, 5])
def test_orthogonally_decomposable(order):
    """The supremum of `Σ λ_j q_j^{⊗k}` is the largest λ for even k, the largest |λ| for odd k."""
    q = np.linalg.qr(np.random.default_rng(order).normal(size=(5, 5)))[0]
    values = np.array([1.5, -2.0, 1.0, 0.5, -0.3])
    found = tensor_bracket(jnp.asarray(q.T), jnp.asarray(values)[None], order)
    np.testing.assert_allclose([found.lower[0], found.upper[0]], 2.0 if order % 2 else 1.5, rtol=1e-10)


@pytest.mark.parametrize("order", [3, 4, 5])
def test_rank_one_and_noise(order):
    """The best of 20,000 random vectors lies between the bounds, which are close to each other."""
    generator = np.random.default_rng(order)
    x = generator.normal(size=(21, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    c = np.concatenate([[1.0], 0.05 * generator.normal(size=20)])
    found = tensor_bracket(jnp.asarray(x), jnp.asarray(c)[None], order)
    w = generator.normal(size=(20_000, 4))
    best = np.max((w / np.linalg.norm(w, axis=1, keepdims=True) @ x.T) ** order @ c)
    assert best <= float(found.lower[0]) * (1 + 1e-12)
    assert 1 <= float(found.upper[0] / found.lower[0]) < 1.1


@pytest.mark.parametrize("symmetric", [True, False])
def test_orders_with_exact_suprema(symmetric):
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 4, 6, activation="sin", symmetric=symmetric)
    prepared = prepare(net, jax.random.normal(jax.random.key(1), (30, 4)), (2,), None)
    q = jax.random.normal(jax.random.key(2), (30, 1))
    for end in unit_brackets(prepared, 2, q):
        np.testing.assert_allclose(end, unit_suprema(prepared, 2, q), rtol=1e-10, atol=1e-14)
