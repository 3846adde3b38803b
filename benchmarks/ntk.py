"""The NTK Gram matrix by two matrix products, compared with contracted Jacobians from `jax.jacrev`: time and memory."""

import json
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp

import taylornets as tn
from benchmarks import _measure
from benchmarks.memory import peak_bytes

_FASTER, _SMALLER = 5, 10


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


def main(quick: bool) -> dict[str, Any]:
    sizes = {"n": 200, "d": 8, "m": 256} if quick else {"n": 2000, "d": 64, "m": 4096}
    measured: dict[str, dict[str, Any]] = {}
    for way in ("products", "jacobians"):
        request = json.dumps({"way": way, **sizes, "chunk": 100, "repetitions": 1 if quick else 3})
        command = [sys.executable, "-m", "benchmarks.ntk", request]
        measured[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
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
        "title": "NTK Gram matrix of a two-layer network",
        "floors": [
            f"the Gram matrix takes {result:.0f} MiB; the slopes of all units on all examples {features:.0f} MiB",
            f"the Jacobian takes {sizes['n'] * sizes['m'] * sizes['d'] * 4 / 2**20:.0f} MiB",
        ],
        "sizes": sizes,
        "measured": measured,
        "tables": [
            {
                "title": f"{sizes}, float32, one process each",
                "columns": ["way", "s", "peak MiB above JAX and the data", "largest difference on 50 examples"],
                "rows": rows,
            }
        ],
        "targets": [
            _measure.target(f"at least {_FASTER} times faster", f"{faster:.1f} times", faster >= _FASTER),
            _measure.target(f"at most 1/{_SMALLER} of the memory", f"1/{smaller:.1f}", smaller >= _SMALLER),
        ],
    }


if __name__ == "__main__":
    print(json.dumps(probe(**json.loads(sys.argv[1]))))
