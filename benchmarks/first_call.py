"""Seconds of a process that imports the library and calls `tn.fit` for the first time, beyond those of JAX itself.

The reference is a process that imports JAX and compiles one matrix product. Both start anew each time, in turn, and no
compiled program is kept between them.
"""

import os
import subprocess
import sys
import time
from typing import Any

from benchmarks import _measure

_DATA = """
import numpy as np
x = np.random.default_rng(0).normal(size=({n}, {d})).astype(np.float32)
y = x[:, 0] * x[:, 1]
"""
PROGRAMS = {
    "JAX and one product": """
import jax, jax.numpy as jnp
jax.jit(lambda a: a @ a.T)(jnp.asarray(x)).block_until_ready()
""",
    "import taylornets": """
import jax, jax.numpy as jnp
jax.jit(lambda a: a @ a.T)(jnp.asarray(x)).block_until_ready()
import taylornets as tn
tn.fit
""",
    "tn.fit, 3 steps": """
import jax
import taylornets as tn
net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs={d}, width={m})
tn.fit(net, x, y, penalty=1e-3, max_steps=3, throw=False)
""",
    "the same with another number of rows after it": """
import jax
import taylornets as tn
net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs={d}, width={m})
tn.fit(net, x, y, penalty=1e-3, max_steps=3, throw=False)
tn.fit(net, x[:-7], y[:-7], penalty=1e-3, max_steps=3, throw=False)
""",
    "tn.fit with L-BFGS, 3 steps": """
import jax
import taylornets as tn
net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs={d}, width={m})
tn.fit(net, x, y, penalty=1e-3, max_steps=3, throw=False, method="lbfgs", rank=1)
""",
}
REFERENCE, GOAL = "JAX and one product", 2.5
SIZES = {"n": 200, "d": 10, "m": 64}


def process_seconds(program: str, sizes: dict[str, int]) -> float:
    """Seconds of a new process that runs a program."""
    code = (_DATA + program).format(**sizes)
    started = time.perf_counter()
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "0"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    return time.perf_counter() - started


def main(quick: bool) -> dict[str, Any]:
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(1 if quick else 7):
        for name, program in PROGRAMS.items():
            times[name].append(process_seconds(program, SIZES))
    beyond = {
        name: _measure.spread([a - b for a, b in zip(found, times[REFERENCE], strict=True)])
        for name, found in times.items()
    }
    first = beyond["tn.fit, 3 steps"]["median"]
    rows = [[name, _measure.show(_measure.spread(times[name])), _measure.show(beyond[name])] for name in PROGRAMS]
    return {
        "title": "The first call",
        "tables": [{"title": str(SIZES), "columns": ["process", "seconds", "beyond JAX"], "rows": rows}],
        "floors": ["the process that imports JAX and compiles one product"],
        "seconds": times,
        "targets": [
            _measure.target(f"first fit: at most {GOAL} s beyond JAX", f"{first:.2f} s", first <= GOAL),
            _measure.target("import: at most 0.6 s", f"{beyond['import taylornets']['median']:.2f} s",
                            beyond["import taylornets"]["median"] <= 0.6),
        ],
    }  # fmt: skip
