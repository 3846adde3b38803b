"""The NTK Gram matrix compared with contracted Jacobians from `jax.jacrev`: time and memory.

Of a two-layer network, by two matrix products; and of a convolutional network, all outputs, by `tn.kernels.NTK`.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import taylornets as tn
from benchmarks import _measure
from benchmarks._taylor_models import MODELS
from benchmarks.memory import peak_bytes

_FASTER, _SMALLER = 5, 10
_OF_HAND = 1.2
_SAMPLE = 20  # columns that are timed, of all


def setting(n: int, d: int, m: int) -> tuple[tn.TwoLayerNetwork, jax.Array]:
    """A network and inputs on the sphere, float32."""
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[1], (n, d))
    return tn.TwoLayerNetwork.init(keys[0], d, m), x / jnp.linalg.norm(x, axis=1, keepdims=True)


def contracted(net: tn.TwoLayerNetwork, x: jax.Array, chunk: int) -> jax.Array:
    """`J Jᵀ` with `J = ∂f/∂W` from `jax.jacrev`, of the network in plain JAX, in chunks of examples.

    The whole Jacobian of n = 2000, d = 64, m = 4096 takes 2.1 GB (and at least one factor has to be stored): rows are
    computed in chunks, stored, and then contracted.
    """

    def outputs(w: jax.Array, rows: jax.Array) -> jax.Array:
        return net.activation(rows @ (net.w0 + w).T) @ net.a[:, 0] / net.width**0.5

    jacobian = jax.jit(lambda rows: jax.jacrev(outputs)(jnp.zeros_like(net.w0), rows).reshape(rows.shape[0], -1))
    rows = jnp.concatenate([jacobian(x[i : i + chunk]) for i in range(0, x.shape[0], chunk)])
    return rows @ rows.T


def probe(way: str, n: int, d: int, m: int, chunk: int, repetitions: int) -> dict[str, Any]:
    """One implementation, run in the subprocess."""
    net, x = setting(n, d, m)
    jax.block_until_ready(x @ x.T)
    baseline = peak_bytes()
    compute = jax.jit(tn.kernels.ntk) if way == "products" else lambda net, x: contracted(net, x, chunk)
    first = _measure.seconds(lambda: compute(net, x))
    peak = peak_bytes()
    times = [_measure.seconds(lambda: compute(net, x)) for _ in range(repetitions)]
    checked = float(jnp.max(jnp.abs(compute(net, x[:50]) - contracted(net, x[:50], 50))))
    return {"way": way, "bytes": peak - baseline, "first": first, "seconds": _measure.spread(times), "error": checked}


def contracted_rows(f: Any, params: Any, x: jax.Array, chunk: int) -> Callable[[], jax.Array]:
    """`J Jᵀ` of all outputs of a model, written by hand: rows from `jax.jacrev` in chunks of images, stored, one product."""
    rows = jax.jit(jax.vmap(jax.jacrev(lambda params, image: f(params, image[None])[0]), (None, 0)))
    product = jax.jit(lambda j: j @ j.T)

    def gram() -> jax.Array:
        parts = []
        for i in range(0, x.shape[0], chunk):
            leaves = jax.tree.leaves(rows(params, x[i : i + chunk]))
            parts.append(jnp.concatenate([leaf.reshape(-1, math.prod(leaf.shape[2:])) for leaf in leaves], axis=1))
        return product(jnp.concatenate(parts))

    return gram


def columns(f: Any, params: Any, x: jax.Array) -> Callable[[int], jax.Array]:
    """One column of the kernel by hand: a reverse pass at one image, then a forward pass of all images."""

    @jax.jit
    def column(i: jax.Array, params: Any) -> jax.Array:
        row = jax.vjp(lambda params: f(params, x[i // 10][None])[0], params)[1](jnp.eye(10)[i % 10])[0]
        return jax.jvp(lambda params: f(params, x), (params,), (row,))[1].ravel()

    return lambda i: column(jnp.asarray(i), params)


def probe_network(way: str, images: int, toy: bool, chunk: int, repetitions: int) -> dict[str, Any]:
    """The kernel of a convolutional network, run in the subprocess: `"operator"`, `"contraction"` or `"columns"`."""
    f, params, x = MODELS["conv"](toy, last=128)
    x = jax.random.normal(jax.random.key(9), (images, *x.shape[1:]))
    jax.block_until_ready(f(params, x))
    baseline, rows, one = peak_bytes(), 10 * images, columns(f, params, x)
    if way == "columns":
        sample = min(_SAMPLE, rows)
        _measure.seconds(lambda: one(0))
        times = [_measure.seconds(lambda: [one(i) for i in range(sample)]) * rows / sample for _ in range(repetitions)]
        return {"way": way, "seconds": _measure.spread(times), "bytes": peak_bytes() - baseline, "error": 0.0}
    gram = tn.kernels.NTK(f, params, x).gram if way == "operator" else contracted_rows(f, params, x, chunk)
    times, found = [], None
    for _ in range(repetitions):
        found = None
        began = time.perf_counter()
        found = jax.block_until_ready(gram())
        times.append(time.perf_counter() - began)
    peak, found = peak_bytes(), jnp.asarray(found).reshape(rows, rows)
    chosen = range(0, rows, max(1, rows // 7))
    error = max(float(jnp.max(jnp.abs(found[i] - one(i))) / jnp.max(jnp.abs(found[i]))) for i in chosen)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    return {
        "way": way,
        "weights": parameters,
        "seconds": _measure.spread(times),
        "bytes": peak - baseline,
        "error": error,
    }


def run(**request: Any) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ntk", json.dumps(request)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def network(quick: bool) -> dict[str, Any]:
    """Table and target of the convolutional network."""
    sizes = {"images": 6 if quick else 1000, "toy": quick, "chunk": 50, "repetitions": 1 if quick else 3}
    names = {
        "operator": "tn.kernels.NTK(f, params, x).gram()",
        "contraction": f"jax.jacrev in chunks of {sizes['chunk']} images, stored, contracted",
        "columns": f"jax.jvp of jax.vjp, from {_SAMPLE} columns",
    }
    measured = {way: run(way=way, **sizes) for way in names}
    hand = min(measured[way]["seconds"]["median"] for way in ("contraction", "columns"))
    ratio, weights = measured["operator"]["seconds"]["median"] / hand, measured["operator"]["weights"]
    rows = [
        [names[way], _measure.show(item["seconds"], 3), f"{item['bytes'] / 2**20:.0f}", f"{item['error']:.1e}"]
        for way, item in measured.items()
    ]
    title = (
        f"Convolutional network, {weights:,} weights, {sizes['images']} images × 10 outputs, float32, with compilation"
    )
    return {
        "measured": measured,
        "table": {
            "title": title,
            "columns": [
                "way",
                "s",
                "peak MiB above the model and the data",
                "largest relative difference of 8 columns",
            ],
            "rows": rows,
        },
        "target": _measure.target(
            f"NTK of all outputs: at most {_OF_HAND} of the faster by hand", f"{ratio:.2f}", ratio <= _OF_HAND
        ),
    }


def main(quick: bool) -> dict[str, Any]:
    sizes = {"n": 200, "d": 8, "m": 256} if quick else {"n": 2000, "d": 64, "m": 4096}
    measured: dict[str, dict[str, Any]] = {}
    for way in ("products", "jacobians"):
        measured[way] = run(way=way, **sizes, chunk=100, repetitions=1 if quick else 3)
    convolutional = network(quick)
    ours, theirs = measured["products"], measured["jacobians"]
    faster = theirs["seconds"]["median"] / ours["seconds"]["median"]
    smaller = theirs["bytes"] / max(ours["bytes"], 1)
    names = {"products": "tn.kernels.ntk, jitted", "jacobians": "jax.jacrev in chunks of 100, contracted"}
    rows = [
        [names[way], _measure.show(item["seconds"], 3), f"{item['bytes'] / 2**20:.0f}", f"{item['error']:.1e}"]
        for way, item in measured.items()
    ]
    result, features = sizes["n"] ** 2 * 4 / 2**20, sizes["n"] * sizes["m"] * 4 / 2**20
    return {
        "title": "NTK Gram matrix",
        "floors": [
            f"the Gram matrix takes {result:.0f} MiB; the slopes of all units on all examples {features:.0f} MiB",
            f"the Jacobian takes {sizes['n'] * sizes['m'] * sizes['d'] * 4 / 2**20:.0f} MiB",
        ],
        "sizes": sizes,
        "measured": {**measured, **convolutional["measured"]},
        "tables": [
            {
                "title": f"Two-layer network, {sizes}, float32, one process each",
                "columns": ["way", "s", "peak MiB above JAX and the data", "largest difference on 50 examples"],
                "rows": rows,
            },
            convolutional["table"],
        ],
        "targets": [
            _measure.target(f"at least {_FASTER} times faster", f"{faster:.1f} times", faster >= _FASTER),
            _measure.target(f"at most 1/{_SMALLER} of the memory", f"1/{smaller:.1f}", smaller >= _SMALLER),
            convolutional["target"],
        ],
    }


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps((probe_network if "images" in asked else probe)(**asked)))
