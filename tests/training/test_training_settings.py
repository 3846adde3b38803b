"""Fixed leaves, and training under strict JAX settings."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_problems import assert_same, perceptron, taylorized

import taylornets as tn

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
LABELS = (np.arange(8) % 2).astype(np.int8)
SETTINGS = {
    "rate": 0.5, "units": np.array([True, False, True]), "step": jnp.array(3), "count": np.array(2), "scale": np.float32(2),
    "key": jax.random.key(0), "name": "tanh", "function": jnp.tanh, "nothing": None, "codes": jnp.array([1, -2], jnp.int8),
}  # fmt: skip


def with_settings(params, x):
    """Python branches on numbers and strings, a mask selects columns, a step counter ends a loop."""
    assert params["nothing"] is None
    assert params["rate"] == 0.5
    hidden = params["function"](x[:, params["units"]] @ params["w"]) if params["name"] == "tanh" else x
    if int(params["step"]) > 2:
        hidden = hidden * params["rate"] * params["scale"]
    for _ in range(int(params["count"])):
        hidden = jnp.sin(hidden)
    return hidden + jax.random.normal(params["key"], (2,)) * params["codes"]


def alone(w, x):
    hidden = jnp.sin(jnp.sin(jnp.tanh(x[:, [0, 2]] @ w["w"])))
    return hidden + jax.random.normal(jax.random.key(0), (2,)) * jnp.array([1.0, -2.0])


def train(f, params, y=LABELS, x=X, **settings):
    settings = {"orders": (2,), "loss": "softmax", "ntk_inputs": 2, "together": True} | settings
    return taylorized(f, params, [(x, y)] * 3, optimizer=optax.sgd(0.3, momentum=0.9), **settings)


def test_leaves_that_do_not_move_stay_as_they_are(tmp_path):
    w = {"w": jnp.asarray(np.random.default_rng(1).normal(size=(2, 2)), jnp.float32)}
    found = train(with_settings, w | SETTINGS, checkpoint=tmp_path / "run")
    expected = train(alone, w)
    assert not found.reasons
    for name in (2, "full"):
        np.testing.assert_allclose(found.params[name].pop("w"), expected.params[name]["w"], rtol=1e-5)
        assert all(found.params[name][setting] is value for setting, value in SETTINGS.items())
        assert list(found.history.displacement[name]) == ["w"]
    np.testing.assert_allclose(found.history.ntk_drift, expected.history.ntk_drift, rtol=1e-3, atol=1e-7)
    # A number is part of what a checkpoint belongs to, and so is a key.
    for setting, other in (("scale", np.float32(3)), ("key", jax.random.key(1))):
        with pytest.raises(tn.ArgumentError, match=f"which differs in the initial parameters at {setting}"):
            train(with_settings, w | SETTINGS | {setting: other}, checkpoint=tmp_path / "run", resume=True)


def mixed(params, x):
    hidden = jnp.tanh(x.astype(jnp.bfloat16) @ params["half"])
    return hidden.astype(jnp.float32) @ params["single"] + params["bias"][None]


def test_strict_switches_change_nothing():
    """8-bit labels, leaves of two precisions, sums of booleans: no implicit promotion and no intermediate NaN."""
    rng = np.random.default_rng(2)
    params = {
        "half": jnp.asarray(rng.normal(size=(3, 4)), jnp.bfloat16), "single": jnp.asarray(rng.normal(size=(4, 2)), jnp.float32),
        "bias": jnp.zeros(2),
    }  # fmt: skip
    expected = train(mixed, params)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        found = train(mixed, params)
        one = train(lambda p, x: mixed(p, x)[:, 0], params, loss="logistic", orders=(), ntk_inputs=0)
        own = train(mixed, params, loss=lambda o, y: (o - y) ** 2, y=X[:, :2], orders=(), ntk_inputs=0)
    assert_same(list(found.params.values()), list(expected.params.values()))
    assert found.history == expected.history
    assert {name: str(leaf.dtype) for name, leaf in found.params[2].items()} == {
        "half": "bfloat16", "single": "float32", "bias": "float32"
    }  # fmt: skip
    for other in (found, one, own):
        assert other.history.loss["full"][-1] < other.history.loss["full"][0]


def test_single_precision_where_double_is_allowed(x64):
    problem = perceptron(np.float32, steps=2)
    found = taylorized(
        problem.f, problem.params, problem.batches, orders=(1,), loss="softmax", optimizer=optax.adam(0.1), ntk_inputs=2,
        together=True,
    )  # fmt: skip
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(list(found.params.values()))} == {"float32"}
    assert found.outputs[1].dtype == np.float32
