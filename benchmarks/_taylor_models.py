"""Models and timing of the Taylor-mode benchmark; plain JAX, so that another version of JAX can run them too."""

import itertools
import json
import sys
import time

import jax
import jax.numpy as jnp
from jax import lax


def mlp(toy=False):
    """A perceptron 256-1024-1024-1024-10 with tanh, batch 512."""
    sizes = [8, 16, 16, 2] if toy else [256, 1024, 1024, 1024, 10]
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 9))
    params = [(jax.random.normal(next(keys), (a, b)) / a**0.5, jnp.zeros(b)) for a, b in itertools.pairwise(sizes)]

    def f(params, x):
        for w, b in params[:-1]:
            x = jnp.tanh(x @ w + b)
        return x @ params[-1][0] + params[-1][1]

    return f, params, jax.random.normal(next(keys), (32 if toy else 512, sizes[0]))


def conv(toy=False, last=64):
    """Three convolutions (32, 64, `last` channels, ReLU, average pooling) and a linear layer; 32 images of 32 x 32 x 3."""
    keys = iter(jax.random.split(jax.random.PRNGKey(1), 9))
    channels = [3, 4, 4, 4] if toy else [3, 32, 64, last]
    kernels = [
        jax.random.normal(next(keys), (3, 3, a, b)) * (2 / (9 * a)) ** 0.5 for a, b in itertools.pairwise(channels)
    ]
    params = (kernels, jax.random.normal(next(keys), (channels[-1], 10)) / 8)

    def f(params, x):
        kernels, last = params
        for kernel in kernels:
            x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.relu(x)
            x = lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
        return x.mean((1, 2)) @ last

    pixels, batch = (8, 2) if toy else (32, 32)
    return f, params, jax.random.normal(next(keys), (batch, pixels, pixels, 3))


def transformer(toy=False):
    """Four pre-norm transformer blocks, width 128, 4 heads, GELU; 8 sequences of 64."""
    width, heads, layers, length, batch = (8, 2, 1, 4, 2) if toy else (128, 4, 4, 64, 8)
    keys = iter(jax.random.split(jax.random.PRNGKey(2), 64))

    def dense(a, b):
        return jax.random.normal(next(keys), (a, b)) / a**0.5

    shapes = {"q": (1, 1), "k": (1, 1), "v": (1, 1), "o": (1, 1), "up": (1, 4), "down": (4, 1)}
    params = [
        {name: dense(a * width, b * width) for name, (a, b) in shapes.items()}
        | {"g1": jnp.ones(width), "b1": jnp.zeros(width), "g2": jnp.ones(width), "b2": jnp.zeros(width)}
        for _ in range(layers)
    ]

    def norm(x, g, b):
        centered = x - x.mean(-1, keepdims=True)
        return centered * lax.rsqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * g + b

    def f(params, x):
        for p in params:
            h = norm(x, p["g1"], p["b1"])
            q, k, v = ((h @ p[name]).reshape(batch, length, heads, -1) for name in "qkv")
            weights = jax.nn.softmax(jnp.einsum("bthd,bshd->bhts", q, k) / (width // heads) ** 0.5)
            x = x + jnp.einsum("bhts,bshd->bthd", weights, v).reshape(batch, length, width) @ p["o"]
            x = x + jax.nn.gelu(norm(x, p["g2"], p["b2"]) @ p["up"]) @ p["down"]
        return x

    return f, params, jax.random.normal(next(keys), (batch, length, width))


MODELS = {"mlp": mlp, "conv": conv, "transformer": transformer}


def moved(params):
    """Parameters displaced by a tenth of the scale of the weights."""
    leaves, structure = jax.tree_util.tree_flatten(params)
    keys = jax.random.split(jax.random.PRNGKey(3), len(leaves))
    new = [a + 0.02 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)]
    return jax.tree_util.tree_unflatten(structure, new)


def gradient(f):
    """The gradient of a squared loss with respect to the parameters."""
    return jax.grad(lambda params, x: jnp.mean(f(params, x) ** 2))


def timed(function, *args, seconds=2.0, most=10):
    """Compiles and runs: the best wall time, the compile time, and the bytes of arguments, outputs and temporaries."""
    begin = time.perf_counter()
    compiled = jax.jit(function).lower(*args).compile()
    compile_seconds = time.perf_counter() - begin
    memory = compiled.memory_analysis()
    jax.block_until_ready(compiled(*args))
    best, spent, runs = float("inf"), 0.0, 0
    while runs < 3 or (spent < seconds and runs < most):
        begin = time.perf_counter()
        jax.block_until_ready(compiled(*args))
        took = time.perf_counter() - begin
        best, spent, runs = min(best, took), spent + took, runs + 1
    peak = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return {"seconds": best, "compile_seconds": compile_seconds, "peak_bytes": peak}


def reference_row(expand, name, order, toy):
    """The gradient of the order-K model by another implementation, and the plain gradient (order 0) in its JAX."""
    f, params, x = MODELS[name](toy)
    model = f
    if expand == "neural_tangents" and order:
        import neural_tangents as nt  # noqa: PLC0415 (only the other environment has it)

        model = nt.taylor_expand(f, params, order)
    elif order:
        import taylornets as tn  # noqa: PLC0415 (which the other environment has not)

        model = tn.taylor_expand(f, params, order, mode="nested")
    return {"jax": jax.__version__, **timed(gradient(model), moved(params), x)}


if __name__ == "__main__":
    print(json.dumps(reference_row(**json.loads(sys.argv[1]))))
