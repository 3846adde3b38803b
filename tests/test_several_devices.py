"""Data on eight virtual devices of a CPU, in another process: the same numbers, and results that stay on the devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
import jax, jax.numpy as jnp, numpy as np, optax
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
    # 8 rows per device in blocks of 3, 3 and 2.
    "blocks": lambda x, y: tn.objective(net, x, y, penalty=1e-2, chunk_size=24).value_and_gradient(w),
    "outputs in blocks": lambda x, y: tn.objective(net, x, y, penalty=1e-2, chunk_size=24).outputs(w),
    "dual in blocks": lambda x, y: tn.certify(net, w, x, y, penalty=1e-2, chunk_size=24).dual,
}
calls["variance"] = lambda x, y: tn.randomization.Signs().variance(net, w, x)
calls["bound"] = lambda x, y: tn.generalization.bound(net, x, order=2, radius=1.0).value
calls["randomized dual"] = lambda x, y: tn.certify(net, w, x, y, penalty=1e-2, model="randomized").dual
calls["fit"] = lambda x, y: tn.fit(net, x, y, penalty=1e-2, tol=1e-2, throw=False).w
path = lambda x, y: tn.fit_path(net, x, y, (1e-1, 1e-2), tol=1e-2, throw=False)
calls["fit in blocks"] = lambda x, y: tn.fit(net, x, y, penalty=1e-2, tol=1e-2, throw=False, chunk_size=24).w
calls["path"] = lambda x, y: [result.w for result in path(x, y)]
f = lambda params, x: jnp.tanh(x @ params["a"]) @ params["b"]
before = {"a": 0.3 * jax.random.normal(jax.random.key(3), (4, 8)), "b": jnp.linspace(-1.0, 1.0, 8)[:, None]}
after = jax.tree.map(lambda leaf: 1.1 * leaf + 0.05, before)
def first_stage(x, y):
    tn._fit._train._MOST_DIRECT, most = 0, tn._fit._train._MOST_DIRECT
    try:
        return tn.fit(net, x, y, penalty=1e-2, tol=1e-6, throw=False).objective
    finally:
        tn._fit._train._MOST_DIRECT = most
calls["large fit"] = first_stage
calls["terms"] = lambda x, y: tn.taylor_terms(f, before, 3)(after, x)
calls["regime"] = lambda x, y: [np.asarray(tn.regime(f, before, after, x).share)]
calls["model kernel"] = lambda x, y: tn.kernels.model_ntk(f, before, x)
calls["ridge"] = lambda x, y: [np.asarray(a) for a in tn.kernels.kernel_ridge(tn.kernels.ntk(net, x), y[:, None]).path([1e-2])]
calls["operator"] = lambda x, y: tn.kernels.NTK(f, before, x) @ y
def trained(x, y):
    batches, sgd = [(x, y[:, None])] * 2, optax.sgd(1e-2)
    found = tn.taylorized_training(f, before, batches, orders=(1, 2), loss="squared", optimizer=sgd)
    return list(found.params.values())
calls["training"] = trained
calls["dynamics"] = lambda x, y: tn.dynamics.run(
    f, before, x, y[:, None], rate=0.1, steps=2, quantities=(), key=jax.random.key(0)
).loss["full"]
found = {}
for name, call in calls.items():
    here, there = jax.tree.leaves(call(x, y)), jax.tree.leaves(call(xs, ys))
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(here, there)]
    error = max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-3)) for a, b in pairs)
    where = getattr(there[0], "sharding", None)  # verdicts are numbers on the host
    found[name] = [error, where and len(where.device_set), where and bool(where.is_fully_replicated)]
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
        assert error <= (1e-8 if "fit" in name or name == "path" else 1e-12), name
        assert devices in {8, None}, name
    assert not found["term"][2], "the outputs are sharded like the rows"
    assert not found["kernel"][2]
    assert not found["model kernel"][2]
    assert not found["outputs in blocks"][2]


BLOCKS = """
import json
import jax, numpy as np, pytest
from jax.sharding import NamedSharding, PartitionSpec as P
import taylornets as tn
from benchmarks._devices import collectives, compiled
from taylornets import _devices
from taylornets.objectives import in_smaller_blocks

mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
net = tn.TwoLayerNetwork.init(jax.random.key(0), 4, 16)
x = jax.device_put(np.random.default_rng(0).normal(size=(512, 4)).astype(np.float32), NamedSharding(mesh, P("data")))
risks = [tn.objective(net, x, x[:, 0], penalty=1e-2, chunk_size=size) for size in (None, 100)]
with pytest.MonkeyPatch.context() as patch:
    patch.setattr(_devices, "block_limit", lambda *_, bytes_per_example: 100)
    risks.append(tn.objective(net, x, x[:, 0], penalty=1e-2))
risks.append(in_smaller_blocks(risks[0]))
for risk in risks:
    gradient = compiled(lambda risk, w: risk.value_and_gradient(w), risk, net.w0)
    outputs = compiled(lambda risk, w: risk.outputs(w), risk, net.w0)
    blocks = risk.features.blocks.x
    print(json.dumps([blocks.shape[0], blocks.addressable_shards[0].data.shape[1], risk.features.blocks.stored is None,
                      sum(collectives(gradient).values()), sum(collectives(outputs).values())]))
"""


def test_blocks_take_equally_many_rows_of_every_device():
    """No block is moved: between devices there are only gradients, as without blocks."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-W", "ignore", "-c", BLOCKS]
    folder = Path(__file__).parents[1]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True, timeout=240)
    whole, chunked, limited, smaller = (json.loads(line) for line in run.stdout.splitlines())
    assert whole[:3] == [1, 64, False]
    assert chunked[:3] == [6, 12, True]
    assert limited[:3] == [6, 11, False]
    assert smaller[:3] == [4, 16, True]
    for found in (chunked, limited, smaller):
        assert found[3:] == [whole[3], 0]


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


MIXED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import taylornets as tn

jax.config.update("jax_enable_x64", True)
mesh = jax.make_mesh((4, 2), ("data", "units"), axis_types=(AxisType.Auto,) * 2)
net = tn.TwoLayerNetwork.init(jax.random.key(0), 4, 16, activation="tanh")
x = jax.random.normal(jax.random.key(1), (64, 4))
y, w = x[:, 0] * x[:, 1], 0.3 * jax.random.normal(jax.random.key(2), (16, 4))
put = lambda array, *axes: jax.device_put(array, NamedSharding(mesh, P(*axes)))
both = ("data", "units")
calls = {
    "gradient": lambda x, y: tn.objective(net, x, y, penalty=1e-2).value_and_gradient(w),
    "blocks": lambda x, y: tn.objective(net, x, y, penalty=1e-2, chunk_size=24).value_and_gradient(w),
    "dual": lambda x, y: tn.certify(net, w, x, y, penalty=1e-2).dual,
}
shardings = {
    "rows and nothing": (("data",), ()),
    "nothing and rows": ((), ("data",)),
    "columns and rows": ((None, "units"), ("data",)),
    "rows, columns and all": (("data", "units"), (both,)),
    "all and rows": ((both,), ("data",)),
}
def error(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b))
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(a)).max()) for a, b in pairs)

for name, call in calls.items():
    here = call(x, y)
    for kind, (of_x, of_y) in shardings.items():
        print(name, kind, error(here, call(put(x, *of_x), put(y, *of_y))))
# Rows that the devices do not divide are padded with rows of weight 0.
weight = np.arange(64) < 61
whole = tn.certify(net, w, x[:61], y[:61], penalty=1e-2)
padded = tn.certify(net, w, put(x, both), put(y, both), penalty=1e-2, sample_weight=put(weight * 1.0, both))
print("padded", "rows", error((whole.primal, whole.dual), (padded.primal, padded.dual)))
"""


def test_mixed_shardings_and_padded_rows():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "ignore", "-c", MIXED]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    lines = run.stdout.splitlines()
    assert len(lines) == 16
    assert all(float(line.split()[-1]) <= 1e-12 for line in lines), run.stdout


PLACED = """
import jax, jax.numpy as jnp
import taylornets as tn

put = lambda tree, i: jax.device_put(tree, jax.devices()[i])
net = tn.TwoLayerNetwork.init(jax.random.key(1), 3, 8)
x = put(jax.random.normal(jax.random.key(2), (40, 3)), 0)
y, w, ones = jnp.linspace(-1.0, 1.0, 40), 0.1 * net.w0, jnp.ones(40)
f = lambda params, x: jnp.tanh(x @ params["a"])
params = {"a": jnp.ones((3, 4))}
moved = {"a": jnp.full((3, 4), 1.1)}
signs = tn.randomization.Signs()
calls = {
    "fit, y": lambda: tn.fit(net, x, put(y, 1), penalty=0.1),
    "fit, net": lambda: tn.fit(put(net, 1), x, y, penalty=0.1),
    "fit, w": lambda: tn.fit(net, x, y, penalty=0.1, w_init=put(w, 1)),
    "fit, sample_weight": lambda: tn.fit(net, x, y, penalty=0.1, sample_weight=put(ones, 1)),
    "fit_path, y": lambda: tn.fit_path(net, x, put(y, 1), [0.1]),
    "sum, y": lambda: tn.fit(net, x, put(y, 1), model="linear+quadratic", penalty=0.1),
    "certify, w": lambda: tn.certify(net, put(w, 1), x, y, penalty=0.1),
    "certify, dual_vector": lambda: tn.certify(net, w, x, put(y, 0), penalty=0.1, dual_vector=put(ones[:, None], 1)),
    "objective, w": lambda: tn.objective(net, x, y, penalty=0.1)(put(w, 1)),
    "network, w": lambda: net(put(w, 1), x),
    "prepare, x": lambda: put(net, 1).prepare(x, 2),
    "signs, w": lambda: signs.mean(net, put(w, 1), x),
    "expected_loss, w": lambda: tn.randomization.expected_loss("squared", signs, net, put(w, 1), x, y),
    "rademacher, x": lambda: tn.generalization.rademacher(
        put(net, 1), x, order=2, radius=1.0, draws=10, key=jax.random.key(0)
    ),
    "ntk, x1": lambda: tn.kernels.ntk(put(net, 1), x),
    "taylor_terms, x": lambda: tn.taylor_terms(f, params, 2)(put(moved, 1), x),
    "linearize, x": lambda: tn.linearize(f, put(params, 1))(moved, x),
    "regime, params1": lambda: tn.regime(f, params, put(moved, 1), x),
    "NTK, x": lambda: tn.kernels.NTK(f, put(params, 1), x).gram(),
    "dynamics, x": lambda: tn.dynamics.run(f, put(params, 1), x, y, rate=0.1, steps=2, key=jax.random.key(0)),
}
for name, call in calls.items():
    try:
        call()
        print(name, "was accepted")
    except tn.ArgumentError as error:
        argument = name.split(", ")[1]
        if not str(error).startswith(f"{argument}: expected arrays on the devices of") or "cpu:1" not in str(error):
            print(name, error)
"""


def test_arrays_on_different_devices_are_one_sentence():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLACED], env=environment, capture_output=True, text=True, check=False,
        timeout=240,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, ""), run.stderr[-2000:]
