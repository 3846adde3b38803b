"""Hangs of the entry points on several virtual devices of a CPU while other processes load the machine.

Certificates once hung here, probably because of a race: if one device waits for the others in a collective while another one
factorizes matrices, no thread of their common pool may be left. Load makes such a race more likely. Two processes multiply
matrices. For each number of devices, another process shards the rows of the data over them, calls every entry point twenty
times and prints a line before and after each call. If the next line does not arrive in time, the process is killed, the entry
point is recorded as a hang, and a new process calls the remaining ones. A process that XLA ends because a collective takes
too long counts as a hang, too. Estimators are absent, since scikit-learn converts their data to NumPy.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import taylornets as tn
from benchmarks import _measure

SIZES, QUICK = {"n": 1600, "d": 10, "m": 512}, {"n": 160, "d": 10, "m": 32}
FIRST, LATER = 600.0, 60.0  # seconds until the next line; the first call of an entry point compiles
LOAD = """
import os
import numpy as np
a, parent = np.ones((512, 512)), os.getppid()
while os.getppid() == parent:
    a @ a
"""
ABORT, WAIT = "Termination timeout", "may be stuck"  # in XLA's messages: it ended a hung process; a long wait
START = "start"  # everything before the first call
Calls = dict[str, Callable[[], Any]]
Records = dict[str, dict[str, Any]]


def two_layer_calls(net: tn.TwoLayerNetwork, w: jax.Array, x: jax.Array, y: jax.Array) -> Calls:
    """Entry points of the two-layer network: objectives, training, certificates, randomization, generalization."""
    few: dict[str, Any] = {"penalty": 1e-2, "max_steps": 3, "throw": False, "key": jax.random.key(0)}
    signs, both = tn.randomization.Signs(), "linear+quadratic"
    bounds: dict[str, Any] = {"order": 2, "radius": 1.0}
    certify = tn.certificates
    return {
        "prepare": lambda: [net.prepare(x, 2).term(order, w) for order in (0, 1, 2)],
        "objective": lambda: tn.objective(net, x, y, penalty=1e-2).value_and_gradient(w),
        "objective, sum": lambda: tn.objective(net, x, y, model=both, penalty=1e-2).value_and_gradient((w, w)),
        "fit, default": lambda: tn.fit(net, x, y, **few).w,
        "fit, dual Newton": lambda: tn.fit(net, x, y, method="dual_newton", **few).w,
        "fit, L-BFGS": lambda: tn.fit(net, x, y, method="lbfgs", rank=1, **few).w,
        "fit, randomized": lambda: tn.fit(net, x, y, model="randomized", **few).w,
        "fit, sum": lambda: tn.fit(net, x, y, model=both, **few).w,
        "fit_path": lambda: [
            found.w for found in tn.fit_path(net, x, y, (1e-1, 1e-2), tol=1e-2, max_steps=6, throw=False)
        ],
        "certify": lambda: tn.certify(net, w, x, y, penalty=1e-2).dual,
        "certify, logistic": lambda: tn.certify(net, w, x, jnp.sign(y), loss="logistic", penalty=1e-2).dual,
        "certify, randomized": lambda: tn.certify(net, w, x, y, penalty=1e-2, model="randomized").dual,
        "certify, sum": lambda: tn.certify(net, (w, w), x, y, penalty=1e-2, model=both).dual,
        "leave_one_out": lambda: certify.leave_one_out(net, w, x, y, penalty=1e-2),
        "landscape": lambda: certify.landscape(net, w, x, y, key=jax.random.key(0), penalty=1e-2).certificate.dual,
        "Signs.mean": lambda: signs.mean(net, w, x),
        "Signs.variance": lambda: signs.variance(net, w, x),
        "expected_loss": lambda: tn.randomization.expected_loss("squared", signs, net, w, x, y),
        "bound": lambda: tn.generalization.bound(net, x, **bounds).value,
        "rademacher": lambda: tn.generalization.rademacher(net, x, draws=10, key=jax.random.key(0), **bounds).mean,
        "kernels.ntk": lambda: tn.kernels.ntk(net, x),
        "kernel_ridge": lambda: tn.kernels.kernel_ridge(tn.kernels.ntk(net, x), y[:, None]).path([1e-2]),
    }


def any_model_calls(width: int, x: jax.Array, y: jax.Array) -> Calls:
    """Entry points for any model, here a perceptron with two layers."""
    keys = jax.random.split(jax.random.key(1))
    before = {
        "a": jax.random.normal(keys[0], (x.shape[1], width)) / x.shape[1] ** 0.5,
        "b": jax.random.normal(keys[1], (width, 1)) / width**0.5,
    }
    after = jax.tree.map(lambda leaf: 1.1 * leaf + 0.01, before)

    def f(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return jnp.tanh(x @ params["a"]) @ params["b"]

    def train() -> Any:
        batches, sgd = [(x, y[:, None])] * 3, optax.sgd(1e-2)
        found = tn.taylorized_training(f, before, batches, orders=(1, 2), loss="squared", optimizer=sgd)
        return list(found.params.values())

    return {
        "taylor_terms": lambda: tn.taylor_terms(f, before, 3)(after, x),
        "taylorized_training": train,
        "regime": lambda: np.asarray(tn.regime(f, before, after, x).share),
        "model_ntk": lambda: tn.kernels.model_ntk(f, before, x),
        "kernels.NTK": lambda: tn.kernels.NTK(f, before, x) @ y[:, None],
    }


def calls(n: int, d: int, m: int) -> Calls:
    """All entry points, with data sharded over all devices."""
    keys = jax.random.split(jax.random.key(0), 3)
    mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    x = jax.device_put(jax.random.normal(keys[0], (n, d)), rows)
    y = jax.device_put(x[:, 0] * x[:, 1], rows)
    net = tn.TwoLayerNetwork.init(keys[1], inputs=d, width=m)
    w = 0.3 * jax.random.normal(keys[2], (m, d))
    return two_layer_calls(net, w, x, y) | any_model_calls(m, x, y)


def child(sizes: dict[str, int], repetitions: int, skipped: list[str]) -> None:
    """Calls every entry point; prints a line before and after each call, with the time limit of the next line in seconds."""

    def say(**message: Any) -> None:
        print(json.dumps(message), flush=True)

    for entry, call in calls(**sizes).items():
        first: list[np.ndarray] = []
        for repetition in range(0 if entry in skipped else repetitions):
            say(entry=entry, limit=LATER if repetition else FIRST)
            started = time.perf_counter()
            try:
                found = [np.asarray(leaf) for leaf in jax.tree.leaves(call())]
            except Exception as error:  # an error of one entry is part of the result
                say(entry=entry, limit=LATER, error=f"{type(error).__name__}: {error}")
                break
            seconds = time.perf_counter() - started
            first = first or found
            say(entry=entry, limit=LATER, seconds=seconds, difference=difference(first, found))


def difference(first: list[np.ndarray], found: list[np.ndarray]) -> float:
    """The largest difference of two results, relative to the largest number of each array; infinite if only one is NaN."""
    largest = 0.0
    for a, b in zip(first, found, strict=True):
        if not np.array_equal(a, b, equal_nan=True):
            error = float(np.max(np.abs(a - b))) / max(float(np.max(np.abs(a))), 1e-30)
            largest = max(largest, error if np.isfinite(error) else np.inf)
    return largest


@contextmanager
def load(processes: int) -> Generator[None]:
    """Processes that multiply matrices, one thread each, until the block ends."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.extend(subprocess.Popen([sys.executable, "-c", LOAD], env=environment) for _ in range(processes))
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def lines(stream: IO[str]) -> queue.Queue[str]:
    """The lines of a process as they arrive, followed by an empty string at the end."""
    found: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with stream:
            for line in stream:
                found.put(line)
        found.put("")

    threading.Thread(target=read, daemon=True).start()
    return found


def start(devices: int, request: list[Any], messages: IO[bytes]) -> subprocess.Popen[str]:
    """Starts a process with this number of virtual devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.under_load", json.dumps(request)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=messages, text=True)


def new_record() -> dict[str, Any]:
    """The calls of one entry point on one number of devices."""
    return {"seconds": [], "difference": 0.0, "hangs": 0, "error": None}


def follow(process: subprocess.Popen[str], records: Records) -> tuple[str, int | None]:
    """Records the calls of a process; returns its last entry point and its exit code, None if it hangs."""
    assert process.stdout is not None
    arriving, entry, limit = lines(process.stdout), START, FIRST
    while True:
        try:
            if not (line := arriving.get(timeout=limit)):
                return entry, process.wait(LATER)
        except (queue.Empty, subprocess.TimeoutExpired):
            return entry, None
        message = json.loads(line)
        entry, limit = message["entry"], message["limit"]
        if entry not in records:
            print(entry, flush=True)
        record = records.setdefault(entry, new_record())
        record["error"] = message.get("error", record["error"])
        if "seconds" in message:
            record["seconds"].append(message["seconds"])
            record["difference"] = max(record["difference"], message["difference"])


def run(devices: int, sizes: dict[str, int], repetitions: int) -> tuple[Records, int]:
    """Calls every entry point on this number of devices; returns the records and how often XLA reports a long wait."""
    print(f"{devices} devices:", flush=True)
    records: Records = {}
    waits, code, entry = 0, None, ""
    while code != 0 and entry != START:
        with tempfile.TemporaryFile() as messages:
            process = start(devices, [sizes, repetitions, list(records)], messages)
            try:
                entry, code = follow(process, records)
            finally:
                process.kill()
                process.wait()
            messages.seek(0)
            said = messages.read().decode(errors="replace")
        waits += said.count(WAIT)
        if code == 0:
            continue
        record = records.setdefault(entry, new_record())
        if code is None or ABORT in said:
            record["hangs"] += 1
        else:
            record["error"] = f"exit code {code}: {said[-300:]}"
    return records, waits


def table(title: str, records: Records, repetitions: int) -> dict[str, Any]:
    """One row per entry point."""
    columns = f"entry point|of {repetitions} completed|first, s|longest later, s|hangs|difference|error".split("|")
    rows = [
        [entry, len(record["seconds"]), max(record["seconds"][:1], default=None), max(record["seconds"][1:], default=None),
         record["hangs"], f"{record['difference']:.0e}", (record["error"] or "").strip()[:80]]
        for entry, record in records.items()
    ]  # fmt: skip
    return {"title": title, "columns": columns, "rows": rows}


def main(quick: bool) -> dict[str, Any]:
    sizes, repetitions, counts = (QUICK, 2, (2,)) if quick else (SIZES, 20, (2, 4, 8))
    tables, found = [], list[dict[str, Any]]()
    with load(1 if quick else 2):
        for devices in counts:
            records, waits = run(devices, sizes, repetitions)
            title = f"{devices} devices, {sizes}; long waits in collectives, as reported by XLA: {waits}"
            tables.append(table(title, records, repetitions))
            found += [{"devices": devices, "entry": entry, **record} for entry, record in records.items()]
    hangs, errors = (sum(bool(record[kind]) for record in found) for kind in ("hangs", "error"))
    calls = sum(len(record["seconds"]) for record in found)
    largest = max(record["difference"] for record in found)
    return {
        "title": "Every entry point on several virtual devices under load",
        "tables": tables,
        "floors": ["0 hangs, as on one device"],
        "records": found,
        "targets": [
            _measure.target("0 hangs", f"{hangs} hangs, {calls} completed calls", hangs == 0),
            _measure.target("0 errors", f"{errors} errors", errors == 0),
            _measure.target("every repetition agrees with the first to 1e-10", f"{largest:.0e}", largest <= 1e-10),
        ],
    }


if __name__ == "__main__":
    child(*json.loads(sys.argv[1]))
