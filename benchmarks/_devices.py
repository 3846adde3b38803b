"""Work per device and bytes between devices, counted in the compiled programs: `python -m benchmarks._devices [N D M]`.

Counts need no hardware: the program runs on eight virtual devices of a CPU. `operations` are those of one device; `bytes` are
the sizes of the results of all collectives of one device. With at most 512 examples, one device has a single block, too: XLA
counts the body of a loop once.
"""

import json
import math
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import taylornets as tn
from taylornets.two_layer import moment_matrices

_COLLECTIVES = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast"
_ITEM = {"f64": 8, "f32": 4, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8, "pred": 1}


def compiled(function: Callable[..., Any], *args: Any) -> Any:
    """Compiles a function; all arrays in its arguments are arguments of the program."""
    arrays, static = eqx.partition(args, eqx.is_array)
    return jax.jit(lambda arrays: function(*eqx.combine(arrays, static))).lower(arrays).compile()


def collectives(program: Any) -> dict[str, int]:
    """Bytes of the results of the collectives of a compiled program, by kind."""
    found: dict[str, int] = {}
    for result, kind in re.findall(rf" = (.*?) ({_COLLECTIVES})(?:-start)?\(", program.as_text()):
        sizes = re.findall(r"(\w+)\[([\d,]*)\]", result)
        total = sum(_ITEM[item] * math.prod(map(int, filter(None, shape.split(",")))) for item, shape in sizes)
        found[kind] = found.get(kind, 0) + total
    return found


def operations(program: Any) -> float:
    """Operations of one device."""
    return float(program.cost_analysis()["flops"])


def counted(n: int, d: int, m: int, devices: int, units: int = 1) -> dict[str, dict[str, Any]]:
    """Counts for the quadratic model on a mesh of rows by units; units do not come in pairs."""
    mesh = Mesh(np.array(jax.devices()[:devices]).reshape(devices // units, units), ("data", "units"))
    rows, shares = (NamedSharding(mesh, PartitionSpec(name)) for name in ("data", "units"))
    keys = jax.random.split(jax.random.key(0), 3)
    net = tn.TwoLayerNetwork.init(keys[0], inputs=d, width=m, symmetric=False)
    net = eqx.tree_at(lambda net: (net.w0, net.a), net, jax.device_put((net.w0, net.a), shares))
    w = jax.device_put(0.1 * jax.random.normal(keys[1], (m, d)), shares)
    x = jax.device_put(jax.random.normal(keys[2], (n, d)), rows)
    y = jax.device_put(x[:, 0] * x[:, 1], rows)
    risk = tn.objective(net, x, y, penalty=1e-3)
    calls: dict[str, Any] = {
        "value and gradient": (lambda risk, w: risk.value_and_gradient(w), risk, w),
        "Hessian-vector product": (lambda risk, w: risk.hessian_vector_product(w, w), risk, w),
        "outputs": (lambda risk, w: risk.outputs(w), risk, w),
        "moment matrices": (lambda risk, y: moment_matrices(risk.features, y[:, None]), risk, y),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, call in calls.items():
        program = compiled(*call)
        found[name] = {"operations": operations(program), "bytes": collectives(program)}
    return found


MESHES = {"1": (1, 1), "2": (2, 1), "4": (4, 1), "8": (8, 1), "4 × 2": (8, 2)}  # devices, and parts of the units


def main() -> None:
    n, d, m = map(int, sys.argv[1:]) if len(sys.argv) > 1 else (512, 32, 256)
    one = counted(n, d, m, 1)
    for mesh, (devices, units) in MESHES.items():
        for call, counts in (counted(n, d, m, devices, units) if devices > 1 else one).items():
            linear = one[call]["operations"] / (devices * counts["operations"])
            print(json.dumps({"call": call, "mesh": mesh, "linear": linear, **counts}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    flag = "xla_force_host_platform_device_count"
    flags = os.environ.get("XLA_FLAGS", "")
    if flag not in flags:
        environment = os.environ | {"XLA_FLAGS": f"{flags} --{flag}=8", "JAX_PLATFORMS": "cpu"}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks._devices", *sys.argv[1:]], environment)
    main()
