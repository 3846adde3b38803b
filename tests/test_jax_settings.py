"""Entries run under the strict settings of JAX that teams choose: promotion of types and ranks, NaN checks, precision."""

import os
import subprocess
import sys
from contextlib import ExitStack

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import careless
import taylornets as tn
from careless import GOOD
from test_careless_calls import ENTRIES

SETTINGS = {
    "strict": lambda: [jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise")],
    "NaN checks in double precision": lambda: [jax.debug_nans(True), jax.enable_x64(True)],
}
DRAWN = np.random.default_rng(0).normal(size=(10, 3))
ROWS = DRAWN / np.linalg.norm(DRAWN, axis=1, keepdims=True)


def data():
    """Inputs and targets in the default precision."""
    x = jnp.asarray(ROWS, jnp.result_type(float))
    return x, x[:, 0] * x[:, 1]


def network(activation="cubic_relu"):
    return tn.TwoLayerNetwork.init(jax.random.key(0), 3, 8, activation=activation)


def fit(model):
    return lambda: tn.fit(
        network(), *data(), model=model, penalty=1e-3, key=jax.random.key(1), method="lbfgs", max_steps=2, throw=False
    )


def sampled(rule, activation):
    net, w = network(activation), jnp.full((8, 3), 0.1)
    moments = (lambda net, w, x: rule.sample(jax.random.key(0), net, w, x), rule.mean, rule.variance)
    return lambda: [moment(net, w, data()[0]) for moment in moments]


NETWORKS = {
    "quadratic": fit("quadratic"),
    "randomized": fit("randomized"),
    "certify": lambda: tn.certify(network(), jnp.full((8, 3), 0.1), *data(), penalty=1e-3),
    "terms": lambda: [network("gelu").term(k, jnp.ones((8, 3)), data()[0]) for k in range(4)],
    "roots of unity": sampled(tn.randomization.RootsOfUnity(order=3), "sin"),
    "signed moments": sampled(tn.randomization.SignedMoments(order=3), "cubic_relu"),
    "Rademacher": lambda: tn.generalization.rademacher(
        network(), data()[0], order=3, radius=1.0, draws=2, key=jax.random.key(0)
    ),
    "planted weights": lambda: tn.expressivity.planted_weights(
        network(), tn.targets.Polynomial(jnp.eye(3)[:1], (2,), jnp.ones(1))
    ),
    "kernel": lambda: tn.kernels.infinite_width_ntk("tanh", data()[0]),
}


@pytest.fixture(params=SETTINGS)
def strict(request):
    with ExitStack() as stack:
        for setting in SETTINGS[request.param]():
            stack.enter_context(setting)
        yield


LOOPS = """
import jax, jax.numpy as jnp, numpy as np, taylornets as tn
net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 8)
x, w = jnp.asarray(np.random.default_rng(0).normal(size=(40, 3))), 0.1 * jnp.ones((8, 3))
for entry in (
    lambda: tn.objective(net, x, x[:, 0], penalty=1e-3, chunk_size=7)(w) - tn.objective(net, x, x[:, 0], penalty=1e-3)(w),
    lambda: tn.dynamics.sharpness(lambda p: jnp.sum(p**2), jnp.ones(5), key=jax.random.key(0)).value - 2,
):
    try:
        print(bool(abs(entry()) < 1e-5))
    except tn.ArgumentError as error:
        print(str(error).startswith("jax_scan3: expected False"))
"""


@pytest.mark.skipif(not hasattr(jax.config, "jax_scan3"), reason="an option of newer versions of JAX")
def test_loops_that_jax_compiles_wrongly_are_refused():
    environment = os.environ | {"JAX_SCAN3": "1"}
    done = subprocess.run([sys.executable, "-c", LOOPS], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "True\nTrue\n", done.stdout + done.stderr


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("entry", ENTRIES)
def test_models(entry):
    careless.Kept.key = jax.random.key(0)
    ENTRIES[entry](GOOD)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("name", NETWORKS)
def test_two_layer_networks(name):
    NETWORKS[name]()
