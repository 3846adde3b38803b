"""Data on eight virtual devices of a CPU, in another process: the same numbers, and results that stay on the devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import taylornets as tn

jax.config.update("jax_enable_x64", True)
kind = AxisType.Explicit if sys.argv[1] == "explicit" else AxisType.Auto
mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
net = tn.TwoLayerNetwork.init(jax.random.key(0), 4, 16, activation="tanh")
x = jax.random.normal(jax.random.key(1), (64, 4))
y, w = x[:, 0] * x[:, 1], 0.3 * jax.random.normal(jax.random.key(2), (16, 4))
xs, ys = (jax.device_put(a, NamedSharding(mesh, P("data"))) for a in (x, y))
calls = {
    "term": lambda x, y: net.term(2, w, x),
    "gradient": lambda x, y: tn.objective(net, x, y, penalty=1e-2).value_and_gradient(w),
    "kernel": lambda x, y: tn.kernels.ntk(net, x),
    "dual": lambda x, y: tn.certify(net, w, x, y, penalty=1e-2).dual,
}
if sys.argv[1] == "auto":
    calls["variance"] = lambda x, y: tn.randomization.Signs().variance(net, w, x)
    calls["bound"] = lambda x, y: tn.generalization.bound(net, x, order=2, radius=1.0).value
    calls["randomized dual"] = lambda x, y: tn.certify(net, w, x, y, penalty=1e-2, model="randomized").dual
    calls["fit"] = lambda x, y: tn.fit(net, x, y, penalty=1e-2, tol=1e-2, throw=False).w
found = {}
for name, call in calls.items():
    here, there = jax.tree.leaves(call(x, y)), jax.tree.leaves(call(xs, ys))
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(here, there)]
    error = max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-3)) for a, b in pairs)
    found[name] = [error, len(there[0].sharding.device_set), bool(there[0].sharding.is_fully_replicated)]
print(json.dumps(found))
"""


@pytest.mark.parametrize("axes", ["auto", "explicit"])
def test_same_numbers_on_eight_devices(axes):
    """Certificates once hung here: the time limit is part of the test."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, axes]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=240)
    found = json.loads(run.stdout.splitlines()[-1])
    for name, (error, devices, _) in found.items():
        assert error <= (1e-8 if name == "fit" else 1e-12), name
        assert devices == 8, name
    assert not found["term"][2], "the outputs are sharded like the rows"
    assert not found["kernel"][2]


def test_work_is_divided_and_little_is_moved():
    """Counted in the compiled programs: at least 0.9 of linear, and between devices only weights, moments and scalars."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    n, d, m = 512, 16, 128
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks._devices", str(n), str(d), str(m)]
    folder = Path(__file__).parents[1]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True, timeout=240)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(rows) == 20
    limits = {
        "value and gradient": m * d + 64,
        "Hessian-vector product": m * d + 64,
        "moment matrices": m * d * (d + 1) // 2,
    }
    for row in rows:
        assert row["linear"] >= 0.9, row
        if row["mesh"] in ("2", "4", "8"):
            assert sum(row["bytes"].values()) <= 4 * limits.get(row["call"], 0), row
        if row["mesh"] == "1":
            assert not row["bytes"], row
