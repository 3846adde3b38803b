"""The eight networks of `beyond_radius`, the data they learn, and their training; float64."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from sklearn.datasets import load_digits

LENGTH, TOKENS, WIDTH = 8, 8, 24


class Task(NamedTuple):
    """A network with its data.

    Attributes:
        init: initial parameters for a key.
        f: the model `f(params, x)`.
        data: training inputs, labels, and probe inputs.
        optimizer: of Optax.
        steps: number of steps.
    """

    init: Callable[[jax.Array], Any]
    f: Callable[[Any, Any], jax.Array]
    data: Callable[[], tuple[Any, Any, Any]]
    optimizer: optax.GradientTransformation
    steps: int


class Run(NamedTuple):
    """A trained network.

    Attributes:
        checkpoints: parameters by step, with the first and the last.
        losses: training loss by step, of the minibatch before the step.
        accuracy: on the training data, at the end.
        jump: largest part of the fall of the loss within a tenth of the steps (smoothed over 1/50 of them).
        plateau: part of the steps before that tenth.
    """

    checkpoints: dict[int, Any]
    losses: np.ndarray
    accuracy: float
    jump: float
    plateau: float


# --- Data ------------------------------------------------------------------------------------------------------------


def digits() -> tuple[Any, Any, Any]:
    """1200 images of 64 standardized pixels for training, 60 others as probe inputs."""
    x, y = load_digits(return_X_y=True)
    x = (x - x.mean(0)) / (x.std(0) + 1e-3)
    return x[:1200], y[:1200], x[1200:1260]


def matching() -> tuple[Any, Any, Any]:
    """Exactly one of the last seven tokens equals the first: at which position? It takes products of two tokens."""
    draw = np.random.default_rng(0)
    first, place = draw.integers(TOKENS, size=4000), draw.integers(1, LENGTH, size=4000)
    x = (first[:, None] + draw.integers(1, TOKENS, size=(4000, LENGTH))) % TOKENS
    x[:, 0] = x[np.arange(4000), place] = first
    return x[:3900], place[:3900] - 1, x[3900:3960]


def bags() -> tuple[Any, Any, Any]:
    """Which of seven fixed scores of the tokens has the largest sum? Linear in the counts of the tokens: no transition."""
    draw = np.random.default_rng(0)
    x, scores = draw.integers(TOKENS, size=(4000, LENGTH)), draw.normal(size=(TOKENS, LENGTH - 1))
    y = scores[x].sum(axis=1).argmax(axis=1)
    return x[:3900], y[:3900], x[3900:3960]


# --- Networks --------------------------------------------------------------------------------------------------------


def _dense(key: jax.Array, inputs: int, outputs: int) -> jax.Array:
    return jax.random.normal(key, (inputs, outputs)) / math.sqrt(inputs)


def _norm(h: jax.Array) -> jax.Array:
    return (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)


def perceptron() -> tuple[Any, Any]:
    """64-64-64-10 with tanh."""

    def init(key: jax.Array) -> Any:
        keys = jax.random.split(key, 3)
        return {f"layer{i}": _dense(k, 64, out) for i, (k, out) in enumerate(zip(keys, (64, 64, 10), strict=True))}

    return init, lambda p, x: jnp.tanh(jnp.tanh(x @ p["layer0"]) @ p["layer1"]) @ p["layer2"]


def convolutions() -> tuple[Any, Any]:
    """Two convolutions of 8 and 16 channels with softplus, 2 × 2 means between and after them, a linear layer."""

    def init(key: jax.Array) -> Any:
        a, b, c = jax.random.split(key, 3)
        kernels = jax.random.normal(a, (3, 3, 1, 8)) / 3, jax.random.normal(b, (3, 3, 8, 16)) / math.sqrt(72)
        return {"conv0": kernels[0], "conv1": kernels[1], "out": _dense(c, 64, 10)}

    def layer(h: jax.Array, kernel: jax.Array) -> jax.Array:
        h = lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return lax.reduce_window(jax.nn.softplus(h), 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4

    def f(p: Any, x: Any) -> jax.Array:
        return layer(layer(x.reshape(-1, 8, 8, 1), p["conv0"]), p["conv1"]).reshape(len(x), -1) @ p["out"]

    return init, f


def residual(ntk: bool) -> tuple[Any, Any]:
    """Three residual blocks of width 64 with LayerNorm and GELU; factors 1/√width in the model (NTK) or at the start."""

    def init(key: jax.Array) -> Any:
        keys = iter(jax.random.split(key, 8))
        scale = 8.0 if ntk else 1.0  # the square root of the width
        inp, out, *rest = (scale * _dense(next(keys), 64, 10 if i == 1 else 64) for i in range(8))
        blocks = [{"up": a, "down": b} for a, b in zip(rest[::2], rest[1::2], strict=True)]
        return {"inp": inp, "blocks": blocks, "out": out}

    def f(p: Any, x: Any) -> jax.Array:
        factor = 1 / 8 if ntk else 1.0
        h = factor * x @ p["inp"]
        for block in p["blocks"]:
            h = h + factor * jax.nn.gelu(factor * _norm(h) @ block["up"]) @ block["down"]
        return factor * _norm(h) @ p["out"]

    return init, f


def recurrent() -> tuple[Any, Any]:
    """A GRU of 24 units that reads the image row by row."""

    def init(key: jax.Array) -> Any:
        a, b, c = jax.random.split(key, 3)
        return {"input": _dense(a, 8, 3 * WIDTH), "hidden": _dense(b, WIDTH, 3 * WIDTH), "out": _dense(c, WIDTH, 10)}

    def f(p: Any, x: Any) -> jax.Array:
        h = jnp.zeros((len(x), WIDTH))
        for row in range(8):
            u = jnp.split(x[:, 8 * row : 8 * row + 8] @ p["input"], 3, 1)
            v = jnp.split(h @ p["hidden"], 3, 1)
            reset, update = jax.nn.sigmoid(u[0] + v[0]), jax.nn.sigmoid(u[1] + v[1])
            h = (1 - update) * jnp.tanh(u[2] + reset * v[2]) + update * h
        return h @ p["out"]

    return init, f


def _attention_blocks(blocks: Sequence[Any], h: jax.Array) -> jax.Array:
    """Pre-norm blocks: one head of attention, then a perceptron with GELU."""
    for b in blocks:
        q, k, v = jnp.split(_norm(h) @ b["qkv"], 3, -1)
        h = h + jax.nn.softmax(q @ k.swapaxes(1, 2) / math.sqrt(WIDTH), -1) @ v @ b["proj"]
        h = h + jax.nn.gelu(_norm(h) @ b["up"]) @ b["down"]
    return _norm(h)


def _block(key: jax.Array) -> Any:
    shapes = {"qkv": (WIDTH, 3 * WIDTH), "proj": (WIDTH, WIDTH), "up": (WIDTH, 2 * WIDTH), "down": (2 * WIDTH, WIDTH)}
    return {name: _dense(k, *s) for (name, s), k in zip(shapes.items(), jax.random.split(key, 4), strict=True)}


def vision_transformer() -> tuple[Any, Any]:
    """Two blocks on 16 patches of 2 × 2 pixels."""

    def init(key: jax.Array) -> Any:
        a, b, c, d, e = jax.random.split(key, 5)
        places = jax.random.normal(b, (16, WIDTH)) / 2
        return {
            "embed": _dense(a, 4, WIDTH),
            "places": places,
            "blocks": [_block(c), _block(d)],
            "out": _dense(e, WIDTH, 10),
        }

    def f(p: Any, x: Any) -> jax.Array:
        patches = x.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4)
        return _attention_blocks(p["blocks"], patches @ p["embed"] + p["places"]).mean(1) @ p["out"]

    return init, f


def transformer(outputs: int) -> tuple[Any, Any]:
    """One block on eight tokens; one logit at every position but the first, or seven of the mean over positions.

    Attention begins at .3 times the usual scale, close to uniform: a saddle for tasks that need it.
    """

    def init(key: jax.Array) -> Any:
        a, b, c, d = jax.random.split(key, 4)
        tokens, places = (jax.random.normal(k, (LENGTH, WIDTH)) / 2 for k in (a, b))
        block = _block(c)
        block["qkv"] = 0.3 * block["qkv"]
        return {"tokens": tokens, "places": places, "blocks": [block], "out": _dense(d, WIDTH, outputs)}

    def f(p: Any, x: Any) -> jax.Array:
        h = _attention_blocks(p["blocks"], p["tokens"][x] + p["places"])
        return (h @ p["out"])[:, 1:, 0] if outputs == 1 else h.mean(1) @ p["out"]

    return init, f


TASKS = {
    "perceptron, tanh": Task(*perceptron(), digits, optax.sgd(0.05, momentum=0.9), 200),
    "convolutions, softplus": Task(*convolutions(), digits, optax.adam(3e-3), 200),
    "residual MLP with LayerNorm, NTK": Task(*residual(True), digits, optax.sgd(0.5, momentum=0.9), 200),
    "residual MLP with LayerNorm, standard": Task(*residual(False), digits, optax.sgd(0.05, momentum=0.9), 200),
    "GRU": Task(*recurrent(), digits, optax.adam(5e-3), 200),
    "ViT": Task(*vision_transformer(), digits, optax.adam(3e-3), 200),
    "transformer, no transition": Task(*transformer(LENGTH - 1), bags, optax.sgd(0.05, momentum=0.9), 400),
    "transformer, transition": Task(*transformer(1), matching, optax.sgd(0.05, momentum=0.9), 400),
}


# --- Training --------------------------------------------------------------------------------------------------------


def trained(task: Task, seed: int, steps: int | None = None, checkpoints: int = 10) -> Run:
    """Trains with minibatches of 64 and cross entropy; keeps equally spaced checkpoints, and one after 1/20 of the steps."""
    x, y, _ = (jnp.asarray(part) for part in task.data())
    count = steps or task.steps
    keep = {round(count * part / checkpoints) for part in range(checkpoints + 1)} | {count // 20}

    def loss(p: Any, rows: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(task.f(p, x[rows]), y[rows]).mean()

    @jax.jit
    def step(p: Any, state: Any, key: jax.Array) -> tuple[Any, Any, jax.Array]:
        value, slope = jax.value_and_grad(loss)(p, jax.random.randint(key, (64,), 0, len(x)))
        update, state = task.optimizer.update(slope, state, p)
        return optax.apply_updates(p, update), state, value

    params = task.init(jax.random.key(seed))
    state, kept, losses = task.optimizer.init(params), {0: params}, list[Any]()
    for i, key in enumerate(jax.random.split(jax.random.key(100 + seed), count)):
        params, state, value = step(params, state, key)
        losses.append(value)
        if i + 1 in keep:
            kept[i + 1] = params
    curve = np.asarray(losses)
    window = max(1, count // 50)
    smooth = np.convolve(curve, np.ones(window) / window, mode="valid")
    fall, tenth = smooth[0] - smooth.min(), max(1, count // 10)
    falls = smooth[:-tenth] - smooth[tenth:]
    accuracy = float(jnp.mean(jnp.argmax(task.f(params, x), -1) == y))
    return Run(kept, curve, accuracy, float(falls.max()) / fall, float(np.argmax(falls)) / count)
