"""Small networks with minibatches, and an ordinary optax training loop."""

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

import taylornets as tn


@dataclass(frozen=True)
class Problem:
    """A model `f(params, x)`, its initial parameters, and minibatches of a classification problem with four classes."""

    f: Callable[..., Any]
    params: Any
    batches: tn.training.Batches


def perceptron(dtype: Any = np.float32, steps: int = 6, classes: int = 4) -> Problem:
    """3-8-4 with tanh."""
    rng = np.random.default_rng(0)
    layers = [
        {"w": jnp.asarray(rng.normal(size=(a, b)) / a**0.5, dtype), "b": jnp.asarray(0.1 * rng.normal(size=b), dtype)}
        for a, b in itertools.pairwise((3, 8, classes))
    ]

    def f(params: Any, x: Any) -> Any:
        for layer in params[:-1]:
            x = jnp.tanh(x @ layer["w"] + layer["b"])
        return x @ params[-1]["w"] + params[-1]["b"]

    x, y = rng.normal(size=(24, 3)).astype(dtype), rng.integers(0, classes, 24)
    return Problem(f, layers, tn.training.Batches(x, y, batch_size=8, steps=steps, key=jax.random.key(3)))


def convolution(dtype: Any = np.float32, steps: int = 4) -> Problem:
    """Two convolutions with GELU and average pooling, and a linear layer; 6 x 6 pixels."""
    rng = np.random.default_rng(1)
    params = {
        "kernels": [jnp.asarray(rng.normal(size=(3, 3, a, b)) / (9 * a) ** 0.5, dtype) for a, b in ((1, 3), (3, 4))],
        "last": jnp.asarray(rng.normal(size=(4, 4)) / 2, dtype),
    }

    def f(params: Any, x: Any) -> Any:
        for kernel in params["kernels"]:
            x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.gelu(x)
            x = lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
        return x.mean((1, 2)) @ params["last"]

    x, y = rng.normal(size=(16, 6, 6, 1)).astype(dtype), rng.integers(0, 4, 16)
    return Problem(f, params, tn.training.Batches(x, y, batch_size=8, steps=steps, key=jax.random.key(4)))


PROBLEMS = {"perceptron": perceptron, "convolution": convolution}


def cross_entropy(outputs: Any, y: Any) -> Any:
    """The loss, implemented without this package."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y)


def sgd() -> Any:
    """Momentum, active clipping, and a schedule."""
    return optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(optax.cosine_decay_schedule(0.3, 8), momentum=0.9))


def adam() -> Any:
    """Weight decay and a warm-up."""
    return optax.adamw(optax.linear_schedule(0.002, 0.02, 4), weight_decay=0.1)


def loop(model: Any, params: Any, batches: Any, optimizer: Any, loss: Any = cross_entropy) -> tuple[Any, list[float]]:
    """The parameters after ordinary training of `model(params, x)`, and the losses of its minibatches."""

    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = jax.value_and_grad(lambda p: jnp.mean(loss(model(p, x), y)))(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    state, losses = optimizer.init(params), []
    for x, y in batches:
        params, state, value = step(params, state, x, y)
        losses.append(float(value))
    return params, losses


def assert_same(found: Any, expected: Any) -> None:
    """Asserts that two trees are equal bit for bit."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True)


def assert_close(found: Any, expected: Any, tolerance: float) -> None:
    """Compares two trees, each leaf relative to its largest entry."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert float(jnp.abs(a - b).max()) <= tolerance * float(jnp.abs(b).max())


PROBE = {"evaluate_every": "every", "probe_batch_size": "batch_size"} | {
    name: name for name in ("task", "ntk_inputs", "f_eval", "callbacks")
}
CHECKPOINTING = {"checkpoint": "path", "checkpoint_every": "every", "resume": "resume"}
SETTINGS = {field.name: field.name for field in dataclasses.fields(tn.training.TrainingSettings)}


def grouped(probe: Any = None, **given: Any) -> dict[str, Any]:
    """Builds the keywords of `tn.taylorized_training` from the fields of its option values; `probe` is a pair."""

    def taken(names: dict[str, str]) -> dict[str, Any]:
        return {name: given.pop(old) for old, name in names.items() if old in given}

    x, y = (None, None) if probe is None else probe
    values: dict[str, Any] = {"probe": tn.training.Probe(x, y, **taken(PROBE))}
    values["settings"] = tn.training.TrainingSettings(**taken(SETTINGS))
    file = taken(CHECKPOINTING)
    if file.get("path") is not None:
        values["checkpointing"] = tn.training.Checkpointing(**file)
    return given | values


def taylorized(f: Any, params: Any, batches: Any, **given: Any) -> tn.TaylorizedTraining:
    """Calls `tn.taylorized_training` with the fields of its option values as keywords."""
    return tn.taylorized_training(f, params, batches, **grouped(**given))
