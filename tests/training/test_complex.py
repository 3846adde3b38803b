"""Complex weights are trained like pairs of real weights."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_problems import assert_same, taylorized

import taylornets as tn

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2))
START = {
    "w": jnp.asarray(0.3 * (RNG.normal(size=(3, 2)) + 1j * RNG.normal(size=(3, 2))), jnp.complex64),
    "b": jnp.asarray(0.3 * RNG.normal(size=2), jnp.float32),
}


def squares(params, x):
    """`|tanh(x w)|² + b`: neither holomorphic in the weights nor a function of their moduli."""
    return jnp.abs(jnp.tanh(x @ params["w"])) ** 2 + params["b"]


def split(params, x):
    return squares({"w": params["re"] + 1j * params["im"], "b": params["b"]}, x)


def pair(params):
    return {"re": params["w"].real, "im": params["w"].imag, "b": params["b"]}


def train(f, params, optimizer, **settings):
    dtype = params["b"].dtype
    settings = {"orders": (1, 2), "loss": "squared", "evaluate_every": 2, "ntk_inputs": 3} | settings
    count: Any = settings.pop("count", 4)
    data = [(X.astype(dtype), Y.astype(dtype))] * count
    return taylorized(f, params, data, optimizer=optimizer, together=True, **settings)


def doubled():
    return {"w": START["w"].astype(jnp.complex128), "b": START["b"].astype(jnp.float64)}


def test_momentum_is_that_of_two_real_weights(x64):
    """The JAX gradient is the conjugate of the direction of ascent; without conjugation these tests fail."""
    start, optimizer = doubled(), optax.sgd(0.02, momentum=0.9)
    mine, theirs = train(squares, start, optimizer), train(split, pair(start), optimizer)
    assert mine.history.loss["full"][-1] < mine.history.loss["full"][0]
    for name in (1, 2, "full"):
        assert mine.params[name]["w"].dtype == jnp.complex128
        for part, other in pair(mine.params[name]).items():
            np.testing.assert_allclose(other, theirs.params[name][part], rtol=1e-10)
        np.testing.assert_allclose(mine.history.train_loss[name], theirs.history.train_loss[name], rtol=1e-11)
        both = theirs.history.displacement[name]
        np.testing.assert_allclose(mine.history.displacement[name]["w"], np.hypot(both["re"], both["im"]), rtol=1e-10)
    np.testing.assert_allclose(mine.history.ntk_drift, theirs.history.ntk_drift, rtol=1e-8, atol=1e-15)
    assert mine.leaf_norms["w"] == pytest.approx(np.hypot(theirs.leaf_norms["re"], theirs.leaf_norms["im"]), rel=1e-12)


def test_adam_scales_both_parts_by_their_modulus():
    """The first step of Adam is `lr g / |g|`, of modulus lr; with separated parts, both change by lr."""
    for optimizer, moved in (
        (optax.adam(1e-3, eps=0), 1e-3), (optax.contrib.split_real_and_imaginary(optax.adam(1e-3, eps=0)), 1e-3 * 2**0.5)
    ):  # fmt: skip
        found = train(squares, START, optimizer, orders=(), ntk_inputs=0, count=1).params["full"]
        np.testing.assert_allclose(np.abs(found["w"] - START["w"]), moved, rtol=1e-2)


def test_a_checkpoint_keeps_them(tmp_path):
    class KilledError(Exception):
        pass

    def kill(snapshot):
        if snapshot.step == 4:
            raise KilledError

    settings = {"orders": (), "ntk_inputs": 0, "checkpoint": tmp_path / "run"}
    expected = train(squares, START, optax.sgd(0.05, momentum=0.9), **settings | {"checkpoint": None})
    with pytest.raises(KilledError):
        train(squares, START, optax.sgd(0.05, momentum=0.9), callbacks=[kill], **settings)
    found = train(squares, START, optax.sgd(0.05, momentum=0.9), resume=True, **settings)
    assert_same(found.params, expected.params)
    assert found.history == expected.history
    assert found.params["full"]["w"].dtype == jnp.complex64


def test_weights_that_are_not_finite_are_refused():
    bad = START | {"w": START["w"].at[0, 0].set(complex(1.0, np.inf))}
    with pytest.raises(
        tn.ArgumentError, match=r"params: expected finite numbers .* 1 NaN or infinite of 6 in the leaf at w"
    ):
        train(squares, bad, optax.sgd(0.1))


def test_divergence_of_complex_weights_is_seen():
    found = train(squares, START, optax.sgd(1e20), orders=(1,), ntk_inputs=0)
    assert found.diverged == (1, "full")
    for params in found.params.values():
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in params.values())
