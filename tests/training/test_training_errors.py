"""Every error of `taylorized_training` states what was expected and what it got."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_problems import cross_entropy, grouped, perceptron, sgd, taylorized

import taylornets as tn
from taylornets.training import Probe, TrainingSettings

PROBLEM = perceptron()
X, Y = PROBLEM.batches[0]
NAN = [PROBLEM.params[0], PROBLEM.params[1] | {"b": jnp.array([0.0, jnp.nan, 1.0, jnp.nan])}]
INFINITE = [PROBLEM.params[0], PROBLEM.params[1] | {"b": jnp.array([0.0, jnp.inf, 1.0, 2.0])}]
# One batch of one example whose label is right, from targets with a wrong one that it does not hold.
SHOWN = tn.training.Batches(X, np.arange(8), batch_size=1, steps=1, key=jax.random.key(0))[0][1][0]
LATER = tn.training.Batches(
    X, np.where(np.arange(8) == (SHOWN + 1) % 8, 4, Y), batch_size=1, steps=1, key=jax.random.key(0)
)


def one_example(params, x):
    return jnp.sum(PROBLEM.f(params, x))


REFUSED = {
    # The model and its parameters.
    "f": ({"f": 3}, r"f: expected a function f\(params, \*args, \*\*kwargs\), got 3\."),
    "NaN": ({"params": NAN}, r"params: expected .* got 2 NaN of 4 in the leaf at 1\.b"),
    "infinity": ({"params": INFINITE}, r"params: expected finite .* got 1 NaN or infinite of 4 in the leaf at 1\.b"),
    "nothing to train": ({"params": {"n": jnp.arange(3)}}, "params: expected at least one trainable leaf, .* got none. Check"),
    "all frozen": ({"trainable": False}, "params: expected at least one trainable .* got none. Check trainable: is it"),
    "mask": ({"trainable": [True]}, "trainable: expected a tree of booleans that is a prefix of params"),
    "two outputs": ({"f": lambda p, x: (x, x)}, r"f: expected a model that returns one real array of shape \(8, ...\), .*2 ar"),
    "classes": ({"f": lambda p, x: PROBLEM.f(p, x).argmax(1)}, "f: expected .* got dtype int32. Return the logits, not"),
    "complex": ({"f": lambda p, x: 1j * PROBLEM.f(p, x)}, "f: expected .* got dtype complex64"),
    "a number": ({"f": one_example}, r"f: expected .* got shape \(\). For a model of one example, pass lambda params, x: jax"),
    "transposed": ({"f": lambda p, x: PROBLEM.f(p, x).T}, r"f: expected .* got shape \(4, 8\). The examples are on the last"),
    "f_eval": (
        {"f_eval": lambda p, x: PROBLEM.f(p, x)[:3]}, r"f_eval: expected .* got shape \(3, 4\). .*jax.vmap\(lambda one: f_eval"
    ),
    "f_eval without a return": ({"f_eval": lambda p, x: None}, "f_eval: expected a model that .* got None"),
    "a branch on values": (
        {"f": lambda p, x: PROBLEM.f(p, x) if p[0]["b"][0] > 0 else x}, "f: expected a model that jax.jit can compile, got one"
    ),
    "one row for all": (
        {"f": lambda p, x: jnp.zeros((8, 1)) + PROBLEM.f(p, x).mean(0)}, r"f: expected a model that returns one row per example"
    ),
    "examples last": (
        {"f": lambda p, x: (x @ p).T, "params": jnp.ones((3, 8)), "batches": [(X, Y)]}, "f: .* is the output transposed"
    ),
    # The data.
    "no pairs": ({"batches": 3.0}, r"batches: expected an iterable of pairs \(x, y\), got a float. taylornets.training.Batch"),
    "empty": ({"batches": []}, r"batches: expected at least one pair \(x, y\), got none"),
    "empty iterator": ({"batches": iter(())}, r"batches: expected at least one pair \(x, y\), got none"),
    "arrays alone": ({"batches": [X]}, r"batches: expected pairs \(x, y\), got a ndarray at step 0"),
    "three": ({"batches": [(X, Y, Y)]}, r"batches: expected pairs \(x, y\), got a tuple of 3 at step 0"),
    "later": ({"batches": [(X, Y), X]}, r"batches: expected pairs \(x, y\), got a ndarray at step 1"),
    "lengths": ({"batches": [(X, Y), (X, Y[:-1])]}, "batches: expected as many targets as inputs, got 8 and 7 at step 1"),
    "no rows": ({"batches": [(X[0, 0], Y)]}, r"x of batch 0: expected an array .* got shapes \(\)"),
    "labels": ({"batches": [(X, Y + 1)]}, "y: expected labels from 0 to 3, got the label 4"),
    "labels of the second batch": (
        {"batches": [(X, Y), (X, Y + 1)]},
        r"y of batch 1: expected labels from 0 to 3, got the label 4",
    ),
    "labels of a batch to come": (
        {"batches": LATER},
        r"y of batches: expected labels from 0 to 3, got the label 4",
    ),
    "negative": ({"batches": [(X, Y - 1)]}, "y: expected labels from 0 to 3, got the label -1"),
    "floats": ({"batches": [(X, Y * 1.0)]}, "y: expected integer labels for the softmax loss, got dtype float"),
    "shape": ({"batches": [(X, np.eye(3)[Y % 3])]}, r"y: expected shape \(8,\) or \(8, 4\) for outputs \(8, 4\), got \(8, 3\)"),
    "NaN in y": (
        {"loss": "squared", "batches": [(X, np.full((8, 4), np.nan))]}, "y: expected finite numbers, got 32 NaN or infinite"
    ),
    "half a probe": ({"probe": (X, None)}, "probe: expected inputs x and targets y, got only one of them. Omit both"),
    "lengths of probe": ({"probe": (X, Y[:-1])}, "probe: expected 8 examples, as in x, got 7"),
    "labels of probe": ({"probe": (X, Y + 1)}, "y: expected labels from 0 to 3, got the label 4"),
    # What is trained, and how.
    "one order": ({"orders": 2}, "orders: expected a list of integers ≥ 1, got 2"),
    "order 0": ({"orders": (0, 1)}, "orders: expected an integer ≥ 1, got 0"),
    "half an order": ({"orders": (1.5,)}, "orders: expected an integer ≥ 1, got 1.5"),
    "twice": ({"orders": (2, 2)}, r"orders: expected distinct orders, got \(2, 2\)"),
    "no model": ({"orders": (), "include_full": False}, "orders: expected at least one order, or include_full=True, got"),
    "loss": ({"loss": "cross"}, "loss: expected one of .*'softmax'"),
    "task": ({"task": "classify"}, "task: expected one of .* Did you mean 'classification'"),
    "mode": ({"mode": "nest", "orders": (1,)}, "mode: expected one of .* Did you mean 'nested'"),
    "optimizer": ({"optimizer": 0.1}, r"optimizer: expected an optax .*sgd\(0.1\), got 0.1"),
    "optimizer without a rate": ({"optimizer": optax.sgd}, r"optimizer: .*, got a function. Call it with a learning rate"),
    "class of optimizers": ({"optimizer": optax.GradientTransformation}, "optimizer: expected an optax gradient transf"),
    "a huge order": ({"orders": (1, 100_000)}, "orders: expected an order of at most 256, got 100000"),
    "custom_vjp": ({"custom_vjp": "rules"}, "custom_vjp: expected one of .* Did you mean 'rule'"),
    "augment that fails": (
        {"augment": lambda k, x: x @ x, "key": jax.random.key(0)}, r"augment: expected .*, got one that fails \(TypeError: "
    ),
    "augment that drops rows": (
        {"augment": lambda k, x: x[1:], "key": jax.random.key(0)}, r"augment: expected .*, got shapes \(7, 3\) for 8 examples"
    ),
    "augment without key": ({"augment": lambda k, x: x}, "key: expected a key, since augment draws noise, got None"),
    "noise without key": ({"stochastic": True}, "key: expected a key, since stochastic draws noise, got None"),
    "noise without f_eval": (
        {"stochastic": True, "key": jax.random.key(0)}, r"f_eval: expected a function, set in probe, .*got None. Pass the model"
    ),
    # Numbers.
    "evaluate_every": ({"evaluate_every": 0}, "every: expected an integer ≥ 1, got 0"),
    "probe_batch_size": ({"probe_batch_size": 0}, "batch_size: expected an integer ≥ 1, got 0"),
    "checkpoint_every": ({"checkpoint": "run", "checkpoint_every": 0}, "every: expected an integer ≥ 1, got 0"),
    "ntk_inputs": ({"ntk_inputs": -1}, "ntk_inputs: expected an integer ≥ 0, got -1"),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
def test_refused(which):
    changes, message = REFUSED[which]
    settings = {
        "f": PROBLEM.f, "params": PROBLEM.params, "batches": PROBLEM.batches, "orders": (), "loss": "softmax",
        "optimizer": sgd(), "ntk_inputs": 0,
    } | changes  # fmt: skip
    unchecked = inspect.unwrap(tn.taylorized_training)  # the tests check annotations before the function does
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        unchecked(settings.pop("f"), settings.pop("params"), settings.pop("batches"), **grouped(**settings))


MISTYPED = {
    "an int for a key": (TrainingSettings, {"key": 0}, "key: expected a JAX random key, got 0. For example"),
    "a callback": (
        Probe, {"callbacks": print}, "callbacks: expected a list of functions of a Snapshot, got a .*Put it into a list"
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", MISTYPED)
def test_a_field_of_another_type(which):
    kind, fields, message = MISTYPED[which]
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        inspect.unwrap(kind.__init__)(object.__new__(kind), **fields)


@pytest.mark.parametrize("name", ["probe", "checkpointing", "settings"])
def test_a_value_of_another_class(name):
    unchecked = inspect.unwrap(tn.taylorized_training)
    with pytest.raises(tn.ArgumentError, match=rf"^{name}: expected a taylornets\.training\.\w+, got 'x'"):
        unchecked(PROBLEM.f, PROBLEM.params, PROBLEM.batches, loss="softmax", optimizer=sgd(), **{name: "x"})


def test_a_name_of_no_model_in_a_callback():
    with pytest.raises(tn.ArgumentError, match="name: expected one of 1, full, got 2"):
        taylorized(
            PROBLEM.f, PROBLEM.params, PROBLEM.batches, orders=(1,), loss=cross_entropy, optimizer=sgd(), ntk_inputs=0,
            callbacks=[lambda snapshot: snapshot.params(2)],
        )  # fmt: skip


def test_an_order_too_high_for_memory(monkeypatch):
    """Rejected before training, as in `taylor_expand`; the memory limit can be overridden."""
    from taylornets.expansion import _memory  # noqa: PLC0415

    def train(**settings):
        return taylorized(
            PROBLEM.f, PROBLEM.params, PROBLEM.batches[:1], orders=(2,), loss=cross_entropy, optimizer=sgd(), ntk_inputs=0,
            **settings,
        )  # fmt: skip

    monkeypatch.setattr(_memory, "memory_limit", lambda: 1000)
    with pytest.raises(
        tn.ArgumentError, match=r"orders: expected orders whose series fit into memory, got .*max_bytes="
    ):
        train()
    assert train(max_bytes=float("inf")).steps[2] == 1
