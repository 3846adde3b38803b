"""Loss functions: return values, and targets that broadcast against outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_problems import taylorized

import taylornets as tn
from taylornets.training._loss import refuse_loss

N = 6
FLAT, COLUMN, LABELS = np.zeros(N, np.float32), np.zeros((N, 1), np.float32), np.zeros(N, np.int32)


def cox(outputs, y):
    """The partial likelihood of survival times, which legitimately couples examples."""
    risk = outputs[:, 0]
    later = y[None] >= y[:, None]
    return -jnp.mean(risk - jnp.log(jnp.sum(jnp.where(later, jnp.exp(risk)[None], 0), axis=1)))


# Outputs' shape, targets, loss. A column of outputs less a row of targets is a table of all pairs.
PAIRS = {
    "squares": ((N, 1), FLAT, lambda o, y: (o - y) ** 2),
    "their mean": ((N, 1), FLAT, lambda o, y: jnp.mean((o - y) ** 2)),
    "their sums": ((N, 1), FLAT, lambda o, y: jnp.sum((o - y) ** 2, axis=-1)),
    "the reverse": ((N,), COLUMN, lambda o, y: jnp.abs(o - y)),
    "cross-entropy": ((N, 1), LABELS, lambda o, y: optax.sigmoid_binary_cross_entropy(o, y)),
    "booleans": ((N, 1), FLAT > 0, lambda o, y: optax.sigmoid_binary_cross_entropy(o, y.astype(o.dtype))),
    "probabilities": ((N, 1), FLAT, lambda o, y: -y * jnp.log(o) - (1 - y) * jnp.log(1 - o)),
    "half precision": ((N, 1), FLAT.astype(jnp.bfloat16), lambda o, y: (o.astype(jnp.bfloat16) - y) ** 2),
    "weights alone": ((N, 1), {"t": COLUMN, "w": FLAT}, lambda o, y: y["w"] * (o - y["t"]) ** 2),
    "targets and weights": ((N, 1), {"t": FLAT, "w": FLAT}, lambda o, y: y["w"] * (o - y["t"]) ** 2),
    "as many outputs as examples": ((N, N), FLAT, lambda o, y: (o - y) ** 2),
}
RIGHT = {
    "squeezed": ((N, 1), FLAT, lambda o, y: (o.squeeze(-1) - y) ** 2),
    "an axis more": ((N, 1), FLAT, lambda o, y: jnp.mean((o - y[:, None]) ** 2)),
    "raveled": ((N,), COLUMN, lambda o, y: jnp.mean((o - y.ravel()) ** 2)),
    "one for several": ((N, 3), COLUMN, lambda o, y: (o - y) ** 2),
    "without targets": ((N, 1), FLAT, lambda o, y: o**2),
    "probabilities": ((N, 1), FLAT, lambda o, y: -y * jnp.log(o[:, 0])),
    "survival": ((N, 1), FLAT, cox),
    "consumed": ((N, 1), {"t": FLAT, "w": FLAT}, lambda o, y: y.pop("w") * (o[:, 0] - y.pop("t")) ** 2),
    "labels, as many classes as examples": ((N, N), LABELS, optax.softmax_cross_entropy_with_integer_labels),
    "one-hot": ((N, N), LABELS, lambda o, y: (o - jax.nn.one_hot(y, N)) ** 2),
}
UNUSABLE = {
    "a tuple": (lambda o, y: (jnp.mean(o), jnp.mean(y)), "got one that returns a tuple of 2 arrays. Return the loss alone"),
    "nothing": (lambda o, y: None, r"got one that returns nothing. Does it end with a return"),
    "a number of wrong answers": (lambda o, y: jnp.sum(o[:, 0] > y), "got one that returns dtype int32. Return a fl"),
    "complex": (lambda o, y: 1j * o, "got one that returns dtype complex64"),
    "an error": (lambda o, y: o @ y[:2], r"got one that fails on outputs \(6, 1\) and targets \(6,\) \(TypeError: "),
}  # fmt: skip


@pytest.mark.parametrize("which", PAIRS)
def test_a_mean_over_all_pairs_is_refused(which):
    shape, y, loss = PAIRS[which]
    with pytest.raises(
        tn.ArgumentError, match=r"^y: expected targets .*, got shape \(6,( 1)?\), which the loss .* Reshape y"
    ):
        refuse_loss(loss, jnp.zeros(shape), y)


@pytest.mark.parametrize("which", RIGHT)
def test_losses_that_pair_each_output_with_its_target_pass(which):
    shape, y, loss = RIGHT[which]
    refuse_loss(loss, jnp.zeros(shape), y)


@pytest.mark.parametrize("which", UNUSABLE)
def test_what_is_no_loss(which):
    loss, message = UNUSABLE[which]
    with pytest.raises(tn.ArgumentError, match=f"^loss: expected a function loss.*, {message}"):
        refuse_loss(loss, jnp.zeros((N, 1)), FLAT)


def test_one_example_has_no_pairs():
    refuse_loss(PAIRS["squares"][2], jnp.zeros((1, 1)), FLAT[:1])


def test_consumed_targets_in_training():
    """A loss that pops targets and weights from a dictionary, and a model that pops its inputs."""
    x = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)

    def f(w, x):
        return x.pop("x") @ w

    def loss(outputs, y):
        return y.pop("w") * (outputs[:, 0] - y.pop("t")) ** 2

    data = [({"x": x, "labels": FLAT}, {"t": x[:, 0], "w": FLAT + 2})] * 20
    settings = {"orders": (1,), "ntk_inputs": 0, "optimizer": optax.sgd(0.2), "together": True}
    found = taylorized(f, jnp.ones((2, 1)), data, loss=loss, **settings)
    plain = taylorized(
        lambda w, x: x @ w, jnp.ones((2, 1)), [(x, x[:, 0])] * 20, loss=lambda o, y: 2 * (o[:, 0] - y) ** 2, **settings
    )
    for name in (1, "full"):
        np.testing.assert_allclose(found.params[name], plain.params[name], rtol=1e-5)
        np.testing.assert_allclose(found.history.train_loss[name], plain.history.train_loss[name], rtol=1e-4)
