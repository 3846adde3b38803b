"""Peak memory of objective and gradient, computed in chunks, on data whose features do not fit into memory."""

import json
import resource
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp

import taylornets as tn
from benchmarks import _measure

_LIMIT = 2 * 2**30


def peak_bytes() -> int:
    """Peak resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def probe(n: int, d: int, m: int, chunk_size: int, repetitions: int) -> dict[str, Any]:
    """Objective and gradient of the quadratic model, run in the subprocess."""
    jax.block_until_ready(jnp.ones(1) + 1)
    baseline = peak_bytes()
    keys = jax.random.split(jax.random.key(0), 3)
    net = tn.TwoLayerNetwork.init(keys[0], inputs=d, width=m)
    x = jax.random.normal(keys[1], (n, d))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y = d * x[:, 0] * x[:, 1]
    w = 0.1 * jax.random.normal(keys[2], (m, d))
    risk = tn.objective(net, x, y, model="quadratic", penalty=1e-6, chunk_size=chunk_size)
    value = _measure.seconds(lambda: risk(w))
    after_value = peak_bytes()
    gradient = jax.value_and_grad(risk)
    first = _measure.seconds(lambda: gradient(w))
    times = [_measure.seconds(lambda: gradient(w)) for _ in range(repetitions)]
    return {
        "chunk_size": chunk_size,
        "baseline_bytes": baseline,
        "peak_after_objective_bytes": after_value,
        "peak_bytes": peak_bytes(),
        "first_objective_seconds": value,
        "first_gradient_seconds": first,
        "gradient_seconds": _measure.spread(times),
    }


def main(quick: bool) -> dict[str, Any]:
    sizes = {"n": 2000, "d": 8, "m": 64} if quick else {"n": 200_000, "d": 50, "m": 4096}
    chunks = (100,) if quick else (256, 512, 2048)
    measured = []
    for chunk_size in chunks:
        request = json.dumps({**sizes, "chunk_size": chunk_size, "repetitions": 1 if quick else 3})
        command = [sys.executable, "-m", "benchmarks.memory", request]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        measured.append(json.loads(answer.stdout))
    rows = [
        [
            item["chunk_size"],
            f"{item['baseline_bytes'] / 2**20:.0f}",
            f"{item['peak_after_objective_bytes'] / 2**20:.0f}",
            f"{item['peak_bytes'] / 2**20:.0f}",
            _measure.show(item["gradient_seconds"]),
        ]
        for item in measured
    ]
    worst = max(item["peak_bytes"] for item in measured)
    columns = ["chunk_size", "MiB with JAX alone", "MiB, objective", "MiB, gradient", "s per value and gradient"]
    kept, held = sizes["n"] * sizes["m"] * 4 / 2**30, sizes["n"] * sizes["d"] * 4 / 2**20
    return {
        "title": "Memory of objective and gradient with chunks",
        "floors": [
            f"one array of size n × m in float32 takes {kept:.1f} GiB; the data take {held:.0f} MiB",
            "peaks are those of the whole process (getrusage), without subtraction",
        ],
        "sizes": sizes,
        "measured": measured,
        "tables": [{"title": f"Quadratic model, cubic ReLU, {sizes}, float32", "columns": columns, "rows": rows}],
        "targets": [_measure.target("peak at most 2 GiB", f"{worst / 2**30:.2f} GiB", worst <= _LIMIT)],
    }


if __name__ == "__main__":
    print(json.dumps(probe(**json.loads(sys.argv[1]))))
