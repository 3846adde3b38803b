"""A user's file for the tests of `taylornets diagnose`: valid factories of every form, and invalid ones."""

from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

IMAGES = np.random.default_rng(0).uniform(size=(90, 4, 4)).astype("float32")
LABELS = (IMAGES[:, :2].mean((1, 2)) > IMAGES[:, 2:].mean((1, 2))).astype("int32")
FLAT = IMAGES.reshape(90, 16) - 0.5
SGD = optax.sgd(0.1, momentum=0.9)


def dense(params: Any, x: Any) -> Any:
    """A network with one hidden layer on flattened inputs."""
    return jnp.tanh(x.reshape(len(x), -1) @ params["hidden"]["w"] + params["hidden"]["b"]) @ params["out"]


def start() -> Any:
    """Parameters of `dense`."""
    first, second = jax.random.split(jax.random.key(0))
    hidden = {"w": jax.random.normal(first, (16, 8)) / 4, "b": jnp.zeros(8)}
    return {"hidden": hidden, "out": jax.random.normal(second, (8, 2)) / 4}


def images() -> Any:
    """A function of parameters and images."""
    data = {"train": (IMAGES[:60], LABELS[:60]), "test": (IMAGES[60:], LABELS[60:]), "classes": ("top", "bottom")}
    return dense, start(), data, SGD, "softmax"


def regression() -> Any:
    """An infinite generator of batches, a loss function, and numeric targets."""

    def batches() -> Any:
        step = 0
        while True:
            rows = np.arange(step, step + 20) % 90
            yield FLAT[rows], FLAT[rows, :1]
            step += 20

    return lambda p, x: dense(p, x)[:, :1], start(), batches(), SGD, lambda out, y: optax.l2_loss(out, y)


def signs() -> Any:
    """One output and boolean targets."""
    return lambda p, x: dense(p, x)[:, 0], start(), (FLAT, LABELS > 0), SGD, "logistic"


def equinox_alone() -> Any:
    """A module without data, optimizer and loss."""
    return eqx.nn.Sequential([eqx.nn.MLP(16, 2, 8, 1, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])


def equinox() -> Any:
    """A module with data, optimizer and loss."""
    return equinox_alone(), (FLAT, LABELS), optax.adam(1e-2), "softmax"


def flax_nnx() -> Any:
    """A module with a list of layers, batch statistics and dropout."""

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.layers = nnx.List([nnx.Linear(16, 8, rngs=rngs), nnx.Linear(8, 2, rngs=rngs)])
            self.norm, self.dropout = nnx.BatchNorm(8, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.layers[1](self.dropout(self.norm(jnp.tanh(self.layers[0](x)))))

    return Net(nnx.Rngs(0)), (FLAT, LABELS), SGD, None


def flax_linen() -> Any:
    """A Linen module, which `diagnose` initializes."""
    return nn.Sequential([nn.Dense(8), nn.tanh, nn.Dense(2)]), (FLAT, LABELS), SGD, "softmax"


def fixed_point() -> Any:
    """A loop that runs until convergence, and a counter next to the weights."""

    def f(params: Any, x: Any) -> Any:
        inputs = x.reshape(len(x), -1) @ params["w"]

        def step(both: Any) -> Any:
            return inputs + jnp.tanh(both[0]) / 2, both[0]

        return jax.lax.while_loop(lambda both: jnp.abs(both[0] - both[1]).max() > 1e-5, step, (inputs, inputs + 1))[0]

    params = {"sweeps": jnp.array(0), "w": jax.random.normal(jax.random.key(0), (16, 2)) / 4}
    return f, params, (FLAT, LABELS), SGD, "softmax"


# --- factories that cannot be used ---------------------------------------------------------------------------------

NUMBER = 3


def raises() -> Any:
    """An exception raised by the user's code."""
    raise RuntimeError("no data\n at this place")


def leaves() -> Any:
    """A factory that exits the program."""
    raise SystemExit(3)


def nothing() -> Any:
    """A function without a return statement."""


def three() -> Any:
    """A tuple that is too short."""
    return dense, start(), (FLAT, LABELS)


def no_function() -> Any:
    """A tuple whose first element is not a function."""
    return "dense", start(), (FLAT, LABELS), SGD, "softmax"


def no_optimizer() -> Any:
    """A number where the optimizer should be."""
    return dense, start(), (FLAT, LABELS), 0.1, "softmax"


def unknown_loss() -> Any:
    """A misspelled loss."""
    return dense, start(), (FLAT, LABELS), SGD, "sofmax"


def broken_loss() -> Any:
    """A loss for different shapes."""
    return dense, start(), (FLAT, LABELS), SGD, lambda out, y: jnp.dot(out, y)


def not_a_number() -> Any:
    """NaN in a leaf."""
    params = start()
    params["hidden"]["b"] = params["hidden"]["b"].at[3].set(jnp.nan)
    return dense, params, (FLAT, LABELS), SGD, "softmax"


def no_parameters() -> Any:
    """Nothing to train."""
    return lambda p, x: x, {"name": 3}, (FLAT, LABELS), SGD, "softmax"


def wide_inputs() -> Any:
    """Inputs that the model does not take."""
    return dense, start(), (np.ones((90, 17), "float32"), LABELS), SGD, "softmax"


def short_labels() -> Any:
    """Fewer targets than inputs."""
    return dense, start(), (FLAT, LABELS[:50]), SGD, "softmax"


def gaps() -> Any:
    """NaN in the data."""
    return dense, start(), (np.where(FLAT > 0.49, np.nan, FLAT), LABELS), SGD, "softmax"


def words() -> Any:
    """Strings as targets."""
    return dense, start(), (FLAT, np.array(["a", "b"] * 45)), SGD, "softmax"


def large_labels() -> Any:
    """A label without a corresponding output."""
    return dense, start(), (FLAT, LABELS + 1), SGD, "softmax"


def two_outputs() -> Any:
    """A model that returns more than an array."""
    return lambda p, x: (dense(p, x), x), start(), (FLAT, LABELS), SGD, "softmax"


def one_example() -> Any:
    """A model that takes a single example."""
    return lambda p, x: dense(p, x).sum(0), start(), (FLAT, LABELS), SGD, "softmax"


def labels_out() -> Any:
    """A model that returns classes."""
    return lambda p, x: jnp.argmax(dense(p, x), 1), start(), (FLAT, LABELS), SGD, "softmax"


def other_dict() -> Any:
    """Data under other names."""
    return dense, start(), {"inputs": FLAT, "labels": LABELS}, SGD, "softmax"


def no_data() -> Any:
    """Missing data."""
    return dense, start(), None, SGD, "softmax"


def triples() -> Any:
    """Batches with three elements."""
    return dense, start(), [(FLAT, LABELS, LABELS)] * 3, SGD, "softmax"


def no_batches() -> Any:
    """An empty list."""
    return dense, start(), [], SGD, "softmax"


def broken_batches() -> Any:
    """A generator that fails in its second batch."""

    def batches() -> Any:
        yield FLAT, LABELS
        raise OSError("the disk is gone")

    return dense, start(), batches(), SGD, "softmax"
