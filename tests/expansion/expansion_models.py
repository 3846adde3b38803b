"""Models whose expansions are compared with nested derivatives; new models are tested under every transformation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax


@dataclass(frozen=True)
class Model:
    """`build(keys)` returns `f`, `params` and `x` in double precision; `keys` is an iterator."""

    build: Callable[[Any], tuple[Callable[..., Any], Any, Any]]
    tolerance: float = 1e-10
    reverse: bool = True  # JAX has no reverse mode through `while_loop`
    order: int = 6


REGISTRY: dict[str, Model] = {}


def model(**settings):
    def enter(build):
        REGISTRY[build.__name__] = Model(build, **settings)
        return build

    return enter


def draw(keys, *shape, scale=0.5):
    return scale * jax.random.normal(next(keys), shape)


def direction(params, size=0.3):
    """Returns parameters that differ from `params` in every leaf that may move."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(99), len(leaves))
    new = [
        a + size * jax.random.normal(k, a.shape, a.dtype) if eqx.is_inexact_array(a) else a
        for a, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, new)


ACTIVATIONS = {
    "relu": jax.nn.relu,
    "gelu": lambda t: jax.nn.gelu(t, approximate=False),
    "gelu_tanh": jax.nn.gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "mish": jax.nn.mish,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "sigmoid": jax.nn.sigmoid,
    "leaky_relu": jax.nn.leaky_relu,
    "selu": jax.nn.selu,
}


def _perceptron(activation):
    def build(keys):
        params = [(draw(keys, a, b), draw(keys, b)) for a, b in ((3, 4), (4, 2))]

        def f(params, x):
            (w, b), (v, c) = params
            return activation(x @ w + b) @ v + c

        return f, params, draw(keys, 5, 3, scale=1.0)

    return build


for _name, _activation in ACTIVATIONS.items():
    REGISTRY[f"mlp_{_name}"] = Model(_perceptron(_activation))

_LAYOUT = ("NHWC", "HWIO", "NHWC")


@model()
def strided_convolution_max_pooling(keys):
    def f(params, x):
        x = lax.conv_general_dilated(x, params[0], (2, 1), "SAME", dimension_numbers=_LAYOUT)
        x = lax.reduce_window(jnp.tanh(x), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 1, 1, 1), "VALID")
        return lax.conv_general_dilated(x, params[1], (1, 1), "VALID", dimension_numbers=_LAYOUT)

    return f, (draw(keys, 3, 3, 2, 4), draw(keys, 2, 2, 4, 2)), draw(keys, 1, 6, 5, 2)


@model()
def dilated_grouped_convolution_average_pooling(keys):
    def f(params, x):
        x = lax.conv_general_dilated(
            x, params[0], (1, 1), "SAME", rhs_dilation=(2, 1), dimension_numbers=_LAYOUT, feature_group_count=2
        )
        x = lax.reduce_window(jax.nn.relu(x), 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
        return lax.conv_general_dilated(
            x, params[1], (1, 1), ((0, 0), (1, 1)), lhs_dilation=(1, 2), dimension_numbers=_LAYOUT
        )

    return f, (draw(keys, 3, 3, 2, 4), draw(keys, 2, 2, 4, 2)), draw(keys, 1, 6, 6, 4)


class _Residual(nn.Module):
    @nn.compact
    def __call__(self, x):
        def block(x):
            x = nn.Conv(2, (3,), dtype=jnp.float64, param_dtype=jnp.float64)(x)
            return nn.BatchNorm(use_running_average=True, dtype=jnp.float64, param_dtype=jnp.float64)(x)

        return nn.relu(x + block(nn.relu(block(x))))


@model()
def residual_block_with_frozen_statistics_in_linen(keys):
    x = draw(keys, 2, 5, 2, scale=1.0)
    module = _Residual()
    variables = module.init(next(keys), x)
    statistics = jax.tree.map(lambda a: a.astype(jnp.float64) + 0.3, variables["batch_stats"])

    def f(params, x):
        return module.apply({"params": params, "batch_stats": statistics}, x)

    return f, variables["params"], x


@model(order=4)
def layer_norm_and_rms_norm_in_equinox(keys):
    norms = (eqx.nn.Linear(3, 4, key=next(keys)), eqx.nn.LayerNorm(4), eqx.nn.RMSNorm(4))

    def f(params, x):
        linear, first, second = params
        return jax.vmap(lambda row: second(jnp.tanh(first(linear(row)))))(x)

    return f, norms, draw(keys, 2, 3, scale=1.0)


@model(order=4)
def attention_with_mask_in_equinox(keys):
    attention = eqx.nn.MultiheadAttention(2, 4, dropout_p=0.0, inference=True, key=next(keys))
    mask = jnp.tril(jnp.ones((3, 3), bool))
    return (lambda layer, x: layer(x, x, x, mask=mask)), attention, draw(keys, 3, 4, scale=1.0)


@model()
def embedding_lookup(keys):
    def f(params, tokens):
        table, w = params
        return jnp.sin(table[tokens]) @ w

    return f, (draw(keys, 7, 3), draw(keys, 3, 3)), jnp.array([1, 4, 4, 0])


@model(order=4)
def gru_by_scan_in_equinox(keys):
    cell = eqx.nn.GRUCell(2, 2, key=next(keys))

    def f(cell, x):
        return lax.scan(lambda h, row: (cell(row, h), h.sum()), jnp.zeros(2, x.dtype), x)

    return f, cell, draw(keys, 2, 2, scale=1.0)


@model()
def perceptron_in_nnx(keys):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(3, 4, rngs=rngs, param_dtype=jnp.float64)
            self.last = nnx.Linear(4, 2, rngs=rngs, param_dtype=jnp.float64)

        def __call__(self, x):
            return self.last(nnx.gelu(self.first(x)))

    graph, params = nnx.split(Net(nnx.Rngs(0)))
    return (lambda params, x: nnx.merge(graph, params)(x)), nnx.to_pure_dict(params), draw(keys, 3, 3, scale=1.0)


@model(reverse=False)
def while_loop_fixed_point(keys):
    def f(w, x):
        def going(state):
            return (state[0] < 40) & (jnp.abs(state[2]).max() > 1e-3)

        def step(state):
            new = jnp.tanh(state[1] @ w + x)
            return state[0] + 1, new, new - state[1]

        return lax.while_loop(going, step, (0, jnp.zeros_like(x), jnp.ones_like(x)))[:2]

    return f, draw(keys, 3, 3, scale=0.2), draw(keys, 3)


@model()
def branches(keys):
    def f(w, x):
        first = lax.cond(x[0] > 0, lambda w: jnp.sin(w) @ w, lambda w: w * 1.0, w)
        second = lax.switch(jnp.argmax(w[0]), [lambda w: w, lambda w: jnp.exp(w), lambda w: x[0] + 0 * w], w)
        return first * second

    return f, draw(keys, 3, 3), draw(keys, 3)


@model()
def rematerialized(keys):
    return jax.checkpoint(lambda w, x: jnp.sin(jnp.tanh(x @ w) @ w)), draw(keys, 3, 3), draw(keys, 2, 3)


@model(order=4)
def log_sum_exp_and_cumulative(keys):
    def f(w, x):
        z = x @ w
        return jax.nn.logsumexp(z, axis=1), jnp.cumsum(z, 0) ** 2, jnp.cumprod(z, 1), lax.cumlogsumexp(z)

    return f, draw(keys, 3, 3), draw(keys, 3, 3)


@model(order=4)
def sort_and_top_k(keys):
    def f(w, x):
        z = jnp.tanh(x @ w)
        values, indices = lax.top_k(z, 2)
        return jnp.sort(z) @ w, values**2, indices, jnp.median(z), jnp.max(z, 1) * jnp.min(z, 1), jnp.argsort(z)

    return f, draw(keys, 3, 3), draw(keys, 4, 3)


@model()
def fourier(keys):
    def f(w, x):
        z = jnp.fft.fft(jnp.tanh(x @ w))
        return jnp.fft.irfft(jnp.fft.rfft(x @ w) * z[:, :2]), jnp.abs(z + 9j)

    return f, draw(keys, 3, 3), draw(keys, 2, 3)


def _definite(w):
    return w @ w.T + 2 * jnp.eye(w.shape[0])


@model(order=4)
def linear_solves_and_cholesky(keys):
    def f(w, x):
        a = _definite(w)
        factor = jnp.linalg.cholesky(a)
        log_determinant = tuple(jnp.linalg.slogdet(a))
        return jnp.linalg.solve(a + w, x), factor, jax.scipy.linalg.cho_solve((factor, True), x), log_determinant

    return f, draw(keys, 2, 2), draw(keys, 2, 2)


@model(order=4)
def orthogonal_factors(keys):
    def f(w, x):
        values, vectors = jnp.linalg.eigh(w @ w.T + jnp.diag(jnp.array([2.0, 5.0])))
        return tuple(jnp.linalg.qr(x @ w)), values + 0 * jnp.sum(vectors)

    return f, draw(keys, 2, 2), draw(keys, 4, 2)


@model(tolerance=2e-5, order=4)
def single_precision_inside(keys):
    def f(w, x):
        half = jnp.tanh(x.astype(jnp.float32) @ w.astype(jnp.float32))
        return half.astype(jnp.float64) @ w

    return f, draw(keys, 3, 3), draw(keys, 2, 3)


@model(tolerance=0.1, order=3)
def float32_weights_bfloat16_products(keys):
    def f(w, x):
        z = x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)
        return jnp.tanh(z.astype(jnp.float32)) @ w

    return f, draw(keys, 3, 3).astype(jnp.float32), draw(keys, 2, 3).astype(jnp.float32)


@model(order=4)
def complex_weights(keys):
    def f(w, x):
        z = jnp.tanh(0.3 * (x @ w))
        return jnp.abs(z + 2) ** 2, jnp.exp(z).real, jnp.conj(z).imag, jnp.angle(z + 3)

    return f, draw(keys, 3, 3) + 1j * draw(keys, 3, 3), draw(keys, 2, 3)


def built(name):
    """Returns `f`, `params`, `new_params`, `x` of a model; requires double precision."""
    f, params, x = REGISTRY[name].build(iter(jax.random.split(jax.random.key(7), 12)))
    return f, params, direction(params), x


def disagreement(ours, reference):
    """Returns the largest relative difference of two tuples of terms, each term relative to its own largest entry.

    A term far below the largest one (a zero with rounding errors) is measured relative to 1e-4 of the largest.
    """
    largest = 0.0
    ours, reference = (
        [[jnp.asarray(leaf) for leaf in jax.tree.leaves(term)] for term in ours],
        [[jnp.asarray(leaf) for leaf in jax.tree.leaves(term)] for term in reference],
    )
    for output in range(len(reference[0])):
        top = max(float(jnp.abs(term[output]).max()) for term in reference)
        for a, b in zip(ours, reference, strict=True):
            assert a[output].shape == b[output].shape
            assert a[output].dtype == b[output].dtype
            scale = max(float(jnp.abs(b[output]).max()), 1e-4 * top) or 1.0
            largest = max(largest, float(jnp.abs(a[output] - b[output]).max()) / scale)
    return largest
