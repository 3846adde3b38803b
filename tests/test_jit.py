"""Callable values with arrays, and their methods, are functions for JAX's transformations."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn


def values() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """A function of every kind, with the arguments that it is called on."""
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 8)
    x = jax.random.normal(jax.random.key(1), (40, 3))
    x, w = x / jnp.linalg.norm(x, axis=1, keepdims=True), 0.1 * net.w0
    y = x[:, 0] * x[:, 1]
    fitted = tn.fit(net, x, y, model="quadratic", penalty=1e-3, tol=0.1)
    return {
        "network": (net, (w, x)),
        "term": (partial(net.term, 2), (w, x)),
        "prepared": (net.prepare(x, 2).full, (w,)),
        "objective": (tn.objective(net, x, y, model="quadratic", penalty=1e-3), (w,)),
        "fitted": (fitted.predict, (x,)),
        "signs": (partial(tn.randomization.Signs().mean, net), (w, x)),
        "polynomial": (tn.targets.Polynomial(jnp.eye(3)[:1], (2,), jnp.ones(1)), (x,)),
        "target": (tn.targets.from_function(lambda z: z**2, jnp.eye(3)[:1], degree=2), (x,)),
        "representation": (tn.learners.hierarchical(jax.random.key(2), x, width=8), (x,)),
        "activation": (net.activation, (x,)),
        "derivative": (net.activation.derivative(1), (x,)),
        "loss": (tn.losses.get("squared").value, (x[:, :1], y[:, None])),
        "kernel": (tn.kernels.NTK(lambda p, x: x @ p, jnp.ones((3, 1)), x).__matmul__, (y,)),
        "linearized": (tn.linearize(lambda p, x: x @ p, jnp.ones((3, 1))), (jnp.zeros((3, 1)), x)),
    }


VALUES = values()


@pytest.mark.parametrize("name", VALUES)
def test_jit_and_checkpoint(name: str):
    f, arguments = VALUES[name]
    expected = np.asarray(f(*arguments))
    for transformed in (jax.jit(f), jax.checkpoint(f)):
        np.testing.assert_allclose(np.asarray(transformed(*arguments)), expected, rtol=1e-5, atol=1e-6)


def test_values_that_differ_are_not_confused():
    """Hashes are those of identities: a program that was compiled for one network is not used for another."""
    x, w = jnp.ones((2, 3)), jnp.ones((8, 3))
    for seed in (0, 1):
        net = tn.TwoLayerNetwork.init(jax.random.key(seed), 3, 8)
        np.testing.assert_allclose(np.asarray(jax.jit(net)(w, x)), np.asarray(net(w, x)), rtol=1e-5, atol=1e-6)
