"""The NTK of examples on several devices: the same numbers, divided work, and rows that stay with their examples."""

import os
import subprocess
import sys

SCRIPT = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import taylornets as tn
from taylornets.kernels import _blocks, _ring, _ways

jax.config.update("jax_enable_x64", True)
f = lambda params, x: jnp.tanh(x @ params["a"]) @ params["b"]
keys = jax.random.split(jax.random.key(0), 5)
params = {"a": 0.3 * jax.random.normal(keys[0], (4, 8)), "b": jax.random.normal(keys[1], (8, 3))}
net = tn.TwoLayerNetwork.init(keys[2], 4, 16)
models = {"contraction": (f, params), "columns": (f, params), "closed form": (net, 0.1 * net.w0)}
devices = np.array(jax.devices())
meshes = {
    "2": (Mesh(devices[:2], ("rows",)), "rows"),
    "3": (Mesh(devices[:3], ("rows",)), "rows"),
    "8": (Mesh(devices, ("rows",)), "rows"),
    "4 of 4 x 2": (Mesh(devices.reshape(4, 2), ("rows", "units")), "rows"),
    "all of 4 x 2": (Mesh(devices.reshape(4, 2), ("rows", "units")), ("rows", "units")),
}
x, x2 = (jax.random.normal(key, (n, 4)) for key, n in zip(keys[3:], (120, 24)))
"""

EQUAL = """
cheaper = _blocks.cheaper
for way, (model, point) in models.items():
    _blocks.cheaper = (lambda f, dtype, *_: _ways.columns(f, dtype)) if way == "columns" else cheaper
    # Several parts on each device, the last of them incomplete.
    _blocks._ROWS = (7 if way == "closed form" else 21, 1024)
    here = tn.kernels.NTK(model, point, x)
    v = jnp.sin(jnp.arange(here.shape[0] * 1.0))
    expected = {"gram": here.gram(), "diagonal": here.diagonal(), "cross": here.cross(x2), "both": here.cross(x2)}
    expected |= {"product": here @ v, "products": here @ jnp.stack([v, v**2], 1), "eigenvalues": here.eigenvalues(3)}
    for name, (mesh, axes) in meshes.items():
        put = lambda a: jax.device_put(a, NamedSharding(mesh, P(axes)))
        there = tn.kernels.NTK(model, point, put(x))
        ring = there._blocks()
        assert isinstance(ring, _ring.Ring) and ring.way.name == way and ring.parts * ring.size > ring.own > ring.size
        steps = []
        found = {"gram": there.gram(progress=steps.append), "diagonal": there.diagonal(), "cross": there.cross(x2)}
        found |= {"both": there.cross(put(x2)), "product": there @ v, "products": there @ jnp.stack([v, v**2], 1)}
        assert np.allclose(there.eigenvalues(3), expected["eigenvalues"], rtol=1e-10)
        assert len(steps) == ring.parts and steps[-1] == 1 and steps == sorted(steps)
        for kind, value in found.items():
            error = float(np.abs(value - np.asarray(expected[kind])).max() / np.abs(expected[kind]).max())
            side = 2 if kind in ("cross", "both") else 0
            spec = value.sharding.shard_shape(value.shape)[side] * ring.count == value.shape[side]
            print(way, name, kind, error, "divided" if spec else value.sharding)
        square = np.asarray(found["gram"]).reshape(360 if way != "closed form" else 120, -1)
        print(way, name, "symmetry", float(np.abs(square - square.T).max()) / float(square.max()), "divided")
"""


def run(script: str, *arguments: str) -> list[list[str]]:
    """Runs a script on eight virtual devices; returns the words of its lines."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT + script, *arguments]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stderr[-2000:]
    return [line.split() for line in found.stdout.splitlines()]


def test_same_numbers_and_divided_rows():
    lines = run(EQUAL)
    assert len(lines) == 3 * 5 * 7
    for line in lines:
        assert float(line[-2]) <= 1e-12, line
        assert line[-1] == "divided", line


WORK = """
def lengths(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation.params["length"]
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from lengths(inner)

_blocks._ROWS = (1, 1024)
x = jax.random.normal(keys[3], (384, 4))
for name, (mesh, axes) in meshes.items():
    if name == "4 of 4 x 2":  # the devices of a second axis repeat the work
        continue
    ring = tn.kernels.NTK(f, params, jax.device_put(x, NamedSharding(mesh, P(axes))))._blocks()
    rows = ring._rows(0, {})
    passes = [sum(lengths(jax.make_jaxpr(turn)(ring.leaves, rows, rows).jaxpr)) for turn in (ring._half, ring._whole)]
    q = ring.parts
    assert ring.size * q == ring.own
    blocks = (q * passes[0] + q * (q - 1) / 2 * passes[1]) * ring.count  # of all devices, of (q count)^2
    print(name, (q * ring.count) ** 2 / 2 / blocks)
"""


def test_half_of_the_blocks_are_computed_and_all_devices_compute_equally_many():
    lines = run(WORK)
    assert len(lines) == 4
    for line in lines:
        assert 0.85 < float(line[-1]) <= 1.0, line


FILE = """
_blocks._ROWS = (20, 1024)
mesh, axes = meshes["8"]
op = tn.kernels.NTK(f, params, jax.device_put(x, NamedSharding(mesh, P(axes))))
expected, seen = np.asarray(op.gram()), []

class Stop(Exception):
    pass

def stop(fraction):
    seen.append(fraction)
    if len(seen) == 2:
        raise Stop

try:
    op.gram(out=sys.argv[1], progress=stop)
except Stop:
    pass
try:
    tn.kernels.NTK(f, params, x).gram(out=sys.argv[1])
except tn.ArgumentError as error:
    assert "out: expected an interrupted computation of this kernel" in str(error), error
after = []
found = op.gram(out=sys.argv[1], progress=after.append)
print(len(seen), len(after), op._blocks().parts, float(np.abs(found - expected).max()))
"""


def test_a_file_continues_after_an_interruption(tmp_path):
    ((before, after, parts, error),) = run(FILE, str(tmp_path / "kernel.npy"))
    assert int(before) + int(after) == int(parts)
    assert float(error) == 0.0


NAN = """
mesh, axes = meshes["8"]
put = lambda a: jax.device_put(a, NamedSharding(mesh, P(axes)))
for name, call in {
    "x": lambda: tn.kernels.NTK(f, params, put(x.at[3].set(jnp.nan))).gram(),
    "x2": lambda: tn.kernels.NTK(f, params, put(x)).cross(put(x2.at[3].set(jnp.nan))),
}.items():
    try:
        call()
    except tn.ArgumentError as error:
        print(str(error).split(":")[0] == name and "NaN" in str(error))
batch = lambda params, x: f(params, x) - f(params, x).mean(0)
constrained = lambda params, x: jax.lax.with_sharding_constraint(f(params, x), NamedSharding(mesh, P(None)))
for model, point in ((batch, params), (constrained, params)):
    here, there = (tn.kernels.NTK(model, point, data) for data in (x, put(x)))
    print(np.allclose(there.gram(), here.gram(), atol=1e-12) and not there.gram().sharding.is_fully_replicated)
    print(np.allclose(there.cross(put(x2)), here.cross(x2), atol=1e-12))
    print(np.allclose(there @ jnp.ones(360), here @ jnp.ones(360), atol=1e-12))
"""


def test_nan_and_models_that_need_the_whole_batch():
    assert run(NAN) == [["True"]] * 8
