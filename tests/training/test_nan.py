"""NaN is attributed to its source (inputs, model or loss); models that handle NaN inputs are trained."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_problems import assert_same, taylorized

import taylornets as tn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3)).astype(np.float32)
Y = RNG.normal(size=(8, 1)).astype(np.float32)
W = jnp.ones((3, 1))
HOLED = np.where(np.arange(24).reshape(8, 3) == 4, np.nan, X).astype(np.float32)  # row 1


def linear(w, x):
    return x @ w


def train(f=linear, params=W, batches=((X, Y),) * 3, rate=0.1, **settings):
    settings = {"orders": (1,), "loss": "squared", "ntk_inputs": 0, "together": True} | settings
    return taylorized(f, params, batches, optimizer=optax.sgd(rate), **settings)


def squared(outputs, y):
    return jnp.mean((outputs - y) ** 2)


REFUSED = {
    "first batch": ({"batches": [(HOLED, Y)] * 2}, r"x of batch 0: expected inputs without NaN, got 1 NaN of 24, and 1 NaN in"),
    "leaf of a tree": (
        {"f": lambda w, x: x["a"] @ w, "batches": [({"a": HOLED, "b": X}, Y)]},
        r"x of batch 0: expected inputs without NaN, got 1 NaN of 24 at a, and",
    ),
    "later, of NumPy": ({"batches": [(X, Y), (X, Y), (HOLED, Y)]}, "x of batch 2: expected inputs without NaN, got NaN, and a"),
    "later, of JAX": ({"batches": iter([(X, Y), (jnp.asarray(HOLED), Y)])}, "x of batch 1: expected inputs without NaN, got"),
    "probe": ({"probe": (HOLED, Y)}, "probe: expected inputs without NaN, got 1 NaN of 24, and 1 NaN in the outputs"),
    "model": ({"f": lambda w, x: jnp.log(x @ w)}, "f: expected a model without NaN in its outputs at the initial parameters"),
    "model under noise": (
        {"f": lambda w, x, key: jnp.log(x @ w), "f_eval": linear, "stochastic": True, "key": jax.random.key(0)},
        "f: expected a model without NaN in its outputs at the initial parameters",
    ),
    "loss": (
        {"loss": lambda o, y: squared(jnp.log(-jnp.abs(o)), y)},
        "loss: expected a function whose value at the initial parameters is a number, got NaN from",
    ),
    "targets": ({"loss": squared, "batches": [(X, HOLED[:, 1:2])]}, "y of batch 0: expected targets without NaN, got 1 NaN"),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
def test_named(which):
    changes, message = REFUSED[which]
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        train(**changes)


def test_the_batch_of_an_example_that_comes_later():
    """All examples are checked before the first step; the message contains the number of the affected batch."""
    data = tn.training.Batches(HOLED, Y, batch_size=2, steps=8, key=jax.random.key(0))
    number = next(i for i, (x, _) in enumerate(data) if np.isnan(x).any())
    assert number > 0
    seen = []
    with pytest.raises(tn.ArgumentError, match=f"^x of batch {number}: expected inputs without NaN, got 1 NaN of 6"):
        train(batches=data, callbacks=[seen.append])
    assert not seen
    assert train(batches=data[:number]).steps["full"] == number  # it does not come


def test_a_model_that_copes_with_nan_in_its_inputs():
    """Training equals that on zeros."""

    def imputing(w, x):
        return jnp.where(jnp.isnan(x), 0, x) @ w

    zeros = np.nan_to_num(HOLED)
    for one, other in (
        ([(HOLED, Y)] * 3, [(zeros, Y)] * 3),
        [tn.training.Batches(x, Y, batch_size=4, steps=3, key=jax.random.key(0)) for x in (HOLED, zeros)],
    ):
        found, expected = (train(imputing, batches=batches).params for batches in (one, other))
        assert_same(list(found.values()), list(expected.values()))


def test_a_loss_that_copes_with_nan_in_the_targets():
    def known(outputs, y):
        return jnp.where(jnp.isnan(y), 0, (outputs - jnp.nan_to_num(y)) ** 2)

    found = train(batches=[(X, HOLED[:, 1:2])] * 3, loss=known)
    assert not found.diverged
    assert found.history.loss["full"][-1] < found.history.loss["full"][0]


def test_divergence_is_not_blamed_on_inputs():
    """Order 2 of `x p³` diverges to NaN at this learning rate; the model itself handles the NaN in x."""
    x = np.append(np.ones(7), np.nan).astype(np.float32)[:, None]
    found = train(
        lambda p, x: jnp.nan_to_num(x) * p**3,
        jnp.array([1.0]),
        [(x, 0 * Y)] * 20,
        rate=0.4,
        orders=(2,),
        include_full=False,
    )
    assert found.status[2].startswith("diverged in step ")
    assert np.isnan(found.history.train_loss[2][-1])
