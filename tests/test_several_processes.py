"""Two processes on one machine with four virtual devices each: the numbers of one process, and an error if one of them dies."""

import json
import os
import socket
import subprocess
import sys
from typing import Any

BEGIN = """
import json, os, sys
import jax, jax.numpy as jnp, numpy as np, optax

rank, port = int(sys.argv[1]), sys.argv[2]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.config.update("jax_enable_x64", True)
jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank, heartbeat_timeout_seconds=10, shutdown_timeout_seconds=20)
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import NamedSharding, PartitionSpec as P
import taylornets as tn

rows = NamedSharding(jax.make_mesh((8,), ("data",)), P("data"))
x = np.random.default_rng(0).standard_normal((32, 3))
y = x[:, 0] * x[:, 1]
xs, ys = (jax.make_array_from_process_local_data(rows, a[16 * rank : 16 * rank + 16]) for a in (x, y))
net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 8, activation="tanh")
w = 0.3 * jax.random.normal(jax.random.key(2), (8, 3))
"""

EQUAL = """
def model(p, x):
    return jnp.tanh(x @ p)

p0 = np.random.default_rng(1).standard_normal((3, 2))
signs = tn.randomization.Signs()
calls = {
    "gradient": lambda x, y: tn.objective(net, x, y, penalty=1e-2).value_and_gradient(w),
    "blocks": lambda x, y: tn.objective(net, x, y, penalty=1e-2, chunk_size=16).value_and_gradient(w),
    "dual": lambda x, y: tn.certify(net, w, x, y, penalty=1e-2).dual,
    "randomized dual": lambda x, y: tn.certify(net, w, x, y, penalty=1e-2, model="randomized").dual,
    "terms": lambda x, y: tn.taylor_terms(model, p0, 2)(0.9 * p0, x),
    "kernel": lambda x, y: tn.kernels.ntk(net, x),
    "model kernel": lambda x, y: tn.kernels.model_ntk(model, p0, x),
    "diagonal": lambda x, y: tn.kernels.NTK(model, p0, x).diagonal(),
    "operator": lambda x, y: tn.kernels.NTK(model, p0, x) @ jnp.ones(64),
    "mean": lambda x, y: signs.mean(net, w, x),
    "variance": lambda x, y: signs.variance(net, w, x),
    "bound": lambda x, y: tn.generalization.bound(net, x, order=2, radius=1.0).value,
    "regime": lambda x, y: [np.asarray(tn.regime(model, p0, 0.9 * p0, x).share)],
    "dynamics": lambda x, y: tn.dynamics.run(
        model, p0, x, jnp.stack([y, y], 1), rate=0.1, steps=2, quantities=(), key=jax.random.key(0)
    ).loss["full"],
    "training": lambda x, y: list(tn.taylorized_training(
        model, p0, [(x, jnp.stack([y, y], 1))] * 2, orders=(1, 2), loss="squared", optimizer=optax.sgd(1e-2)
    ).params.values()),
    "fit": lambda x, y: tn.fit(net, x, y, penalty=1e-2, method="lbfgs", rank=1, max_steps=5, throw=False).objective,
    "dual fit": lambda x, y: tn.fit(net, x, y, penalty=1e-2, tol=1e-2, throw=False).w,
    "path fit": lambda x, y: [found.w for found in tn.fit_path(net, x, y, (1e-1, 1e-2), tol=1e-2, throw=False)],
}
def whole(a):
    sharded = isinstance(a, jax.Array) and not a.is_fully_addressable
    return np.asarray(process_allgather(a, tiled=True) if sharded else a)

found = {}
for name, call in calls.items():
    here, there = (jax.tree.leaves(call(*data)) for data in ((jnp.asarray(x), jnp.asarray(y)), (xs, ys)))
    pairs = [(whole(a), whole(b)) for a, b in zip(here, there, strict=True)]
    found[name] = max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-3)) for a, b in pairs)
wide = np.random.default_rng(2).standard_normal((3, 4))
for point, shape in ((p0, (4, 2, 32, 2)), (wide, (4, 4, 32, 4))):  # in one piece, and in blocks
    kernel = tn.kernels.model_ntk(model, point, xs)
    assert not kernel.is_fully_addressable and [shard.data.shape for shard in kernel.addressable_shards] == [shape] * 4
    expected = np.asarray(tn.kernels.model_ntk(model, point, jnp.asarray(x)))
    assert np.allclose(whole(kernel), expected, rtol=1e-12, atol=1e-12)
found["blocks of a kernel"] = max(
    float(np.abs(whole(there) - here).max())
    for here, there in (
        (getattr(tn.kernels.NTK(model, wide, jnp.asarray(x)), part)(), getattr(tn.kernels.NTK(model, wide, xs), part)())
        for part in ("diagonal", "trace")
    )
)
product = tn.kernels.NTK(model, wide, xs) @ np.arange(128.0)
assert np.allclose(whole(product), tn.kernels.NTK(model, wide, jnp.asarray(x)) @ np.arange(128.0), rtol=1e-12)
try:
    tn.kernels.NTK(model, wide, xs).gram(out="kernel.npy")
except tn.ArgumentError as error:
    assert "out: expected None for examples on several processes" in str(error), error
else:
    raise AssertionError
print("FOUND", json.dumps(found), flush=True)
"""

DIES = """
risk = tn.objective(net, xs, ys, penalty=1e-2)
float(risk(w))
if rank == 1:
    os._exit(1)
for _ in range(1000):
    value = float(risk(w))
print("FOUND", value, flush=True)
"""


def run(script: str) -> list[tuple[int, str]]:
    """Runs a script in two processes; returns their exit codes and outputs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "PYTHONFAULTHANDLER": "1",
    }
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + script]
    processes = [subprocess.Popen([*command, str(rank), port], **options) for rank in (0, 1)]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def test_same_numbers_in_two_processes():
    for code, output in run(EQUAL):
        assert code == 0, output[-2000:]
        line = next(line for line in output.splitlines() if line.startswith("FOUND"))
        found = json.loads(line.removeprefix("FOUND"))
        for name, error in found.items():
            assert error <= (1e-8 if "fit" in name else 1e-12), name


def test_a_process_that_dies_ends_the_other():
    """The time limit is part of the test."""
    (code, output), (dead, _) = run(DIES)
    assert dead == 1
    assert code != 0, output[-2000:]
    assert "FOUND" not in output
