"""Every figure that needs an accelerator, unattended in at most six minutes: one line of JSON per figure.

`python -m benchmarks gpu` prints each figure as soon as it is measured. A figure that fails prints its error, and the run goes
on; figures that do not fit into the time print `"skipped"`. On a CPU the sizes are small, and the lines then show counts
(`flops`, `large_arrays`) that do not depend on the device.
"""

import json
import math
import re
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import taylornets as tn
from benchmarks import _measure
from benchmarks._taylor_models import MODELS, gradient, moved, timed
from benchmarks.gradients import plain_gradient
from benchmarks.taylor_mode import floor
from taylornets.objectives import _risk

_SECONDS = 330.0
_LIMITS = {"order": 1.0, "sum of orders 0..4": 1.2, "randomized": 1.2, "full": 1.05}
_SIZES = {"large": {"n": 16384, "d": 512, "m": 16384}, "small": {"n": 2048, "d": 64, "m": 8192}}
_TOY = {"small": {"n": 64, "d": 8, "m": 128}}


class Lines:
    """Prints and keeps the figures, within a time limit."""

    def __init__(self, limit: float):
        self.found: list[dict[str, Any]] = []
        self._started, self._limit = time.perf_counter(), limit

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._started

    def add(self, figure: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Measures and prints one figure; errors are printed, not raised."""
        began = self.elapsed
        try:
            values = measure() if began < self._limit else {"skipped": "no time left"}
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(str(error).split())[:300]
            values = {"error": f"{type(error).__name__}: {text}", "at": f"{where.filename}:{where.lineno}"}
        line = {"figure": figure, **values, "took": round(self.elapsed - began, 2), "at_second": round(self.elapsed, 1)}
        self.found.append(line)
        print(json.dumps(line), flush=True)
        return line


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def per_call(functions: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Seconds per call, interleaved; short functions are called several times in a row, as in a training loop."""
    counts: dict[str, int] = {}
    for name, function in functions.items():
        _measure.seconds(function)
        counts[name] = max(1, min(50, int(0.02 / max(_measure.seconds(function), 1e-6))))
    found: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repetitions):
        for name, function in functions.items():
            began = time.perf_counter()
            results = [function() for _ in range(counts[name])]
            jax.block_until_ready(results[-1])
            found[name].append((time.perf_counter() - began) / counts[name])
    return found


def large_arrays(text: str, least: int) -> list[str]:
    """Instructions of the entry computation of a compiled program whose result has at least `least` elements."""
    entry = text[text.index("ENTRY ") :] if "ENTRY " in text else text
    found: list[str] = []
    for name, shape, kind in re.findall(
        r"^\s+(?:ROOT )?(%\S+) = (\(?[a-z0-9]+\[[^=]*?) ([a-z-]+)\(", entry, re.MULTILINE
    ):
        sizes = [math.prod(map(int, part.split(","))) for part in re.findall(r"\[([0-9,]+)\]", shape)]
        if kind not in ("parameter", "bitcast", "get-tuple-element", "tuple") and max(sizes, default=0) >= least:
            found.append(f"{name.split('.')[0]} {kind} {re.sub(r'{[^}]*}', '', shape)}")
    return found


class Gradients:
    """Gradients of all models at one size, as compiled programs whose arrays are arguments."""

    def __init__(self, activation: str, sizes: dict[str, int]):
        self.sizes = sizes
        keys = jax.random.split(jax.random.key(0), 4)
        self.net = tn.TwoLayerNetwork.init(keys[0], inputs=sizes["d"], width=sizes["m"], activation=activation)
        x = jax.random.normal(keys[1], (sizes["n"], sizes["d"]))
        self.x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
        self.y = jax.random.normal(keys[2], (sizes["n"],))
        self.w = 0.1 * jax.random.normal(keys[3], (sizes["m"], sizes["d"]))
        self.plain = plain_gradient(self.net, self.x, self.y)
        self.weights = self.net.w0 + self.w
        forward, backward = jax.jit(lambda w, x: x @ w.T), jax.jit(lambda p, x: p.T @ x)
        self.products = lambda: backward(forward(self.w, self.x), self.x)

    def models(self) -> Iterator[tuple[str, Any, int, bool | None]]:
        """Name, model, order of the penalty, and whether the derivative evaluates the response again (None: default)."""
        for k in (1, 2, 3, 4):
            yield f"order {k}", k, k, None
        yield "sum of orders 0..4", tn.two_layer.Taylor(4), 1, None
        yield "randomized", "randomized", 2, None
        yield "full", "full", 1, None
        yield "order 2, evaluated again", 2, 2, True
        yield "sum of orders 0..4, derivatives stored", tn.two_layer.Taylor(4), 1, False
        yield "randomized, derivatives stored", "randomized", 2, False

    def lower(self, model: Any, order: int, again: bool | None) -> tuple[Callable[[], Any], dict[str, Any]]:
        """The compiled gradient, and what it costs by the compiler's count."""
        risk = tn.objective(self.net, self.x, self.y, model=model, penalty=1e-6, power=max(8, 2 * order))
        arrays, static = eqx.partition(risk, eqx.is_array)
        chosen = _risk.evaluates_again
        if again is not None:
            jax.clear_caches()
            _risk.evaluates_again = lambda _: again
        try:
            began = time.perf_counter()
            program = jax.jit(lambda arrays, w: eqx.combine(arrays, static).value_and_gradient(w))
            compiled = program.lower(arrays, self.w).compile()
            seconds = time.perf_counter() - began
        finally:
            _risk.evaluates_again = chosen
            if again is not None:
                jax.clear_caches()
        return lambda: compiled(arrays, self.w), {"compile_seconds": _rounded(seconds), **self.counts(compiled)}

    def counts(self, compiled: Any) -> dict[str, Any]:
        """Operations relative to two products, temporary memory, and the arrays of size n × m/2 and more."""
        cost: Any = compiled.cost_analysis() or {}
        cost = cost[0] if isinstance(cost, list) else cost
        n, d, m = self.sizes["n"], self.sizes["d"], self.sizes["m"]
        text = compiled.as_text()
        return {
            "flops_over_products": _rounded(float(cost.get("flops", math.nan)) / (4 * n * d * m)),
            "gigabytes_accessed": _rounded(float(cost.get("bytes accessed", math.nan)) / 1e9),
            "temporary_megabytes": _rounded(compiled.memory_analysis().temp_size_in_bytes / 1e6),
            "loops": text.count(" while("),
            "large_arrays": large_arrays(text, n * m // 2),
        }

    def figures(self, lines: Lines, label: str, repetitions: int, most: int) -> None:
        """Prints the figures of all models."""

        def floors() -> dict[str, Any]:
            times = per_call({"plain": lambda: self.plain(self.weights), "products": self.products}, repetitions)
            plain, products = (statistics.median(values) for values in times.values())
            text = self.plain.lower(self.weights).compile().as_text()
            rate = 4 * math.prod(self.sizes.values()) / products / 1e12
            arrays = large_arrays(text, self.sizes["n"] * self.sizes["m"] // 2)
            milliseconds = {"plain_ms": _rounded(1e3 * plain), "products_ms": _rounded(1e3 * products)}
            return {**self.sizes, **milliseconds, "products_teraflops": _rounded(rate), "large_arrays": arrays}

        lines.add(f"plain network, {label}", floors)
        for name, model, order, again in list(self.models())[:most]:

            def one(
                name: str = name, model: Any = model, order: int = order, again: bool | None = again
            ) -> dict[str, Any]:
                call, counts = self.lower(model, order, again)
                times = per_call({"plain": lambda: self.plain(self.weights), "ours": call}, repetitions)
                ratio = _measure.ratios(times, "ours", "plain")
                limit = _LIMITS.get(name, _LIMITS.get(name.split(maxsplit=1)[0], math.inf))
                return {
                    "over_plain": {key: _rounded(value) for key, value in ratio.items()},
                    "ms": _rounded(1e3 * statistics.median(times["ours"])),
                    "limit": limit if math.isfinite(limit) else None,
                    "met": ratio["median"] <= limit,
                    **counts,
                }

            lines.add(f"gradient, {name}, {label}", one)


def user_calls(sizes: dict[str, int]) -> dict[str, Any]:
    """Calls as users write them, which include the dispatch by Python."""
    case = Gradients("tanh", sizes)
    risk = tn.objective(case.net, case.x, case.y, penalty=1e-6)
    began = time.perf_counter()
    closed = jax.jit(jax.value_and_grad(risk))
    jax.block_until_ready(closed(case.w))
    compiled = time.perf_counter() - began
    calls = {"method": lambda: risk.value_and_gradient(case.w), "jit of value_and_grad": lambda: closed(case.w)}
    times = per_call({"plain": lambda: case.plain(case.weights), **calls}, 5)
    found = {f"{name}_over_plain": _rounded(_measure.ratios(times, name, "plain")["median"]) for name in calls}
    return {**found, "first_call_seconds": _rounded(compiled)}


def moments(n: int, d: int, m: int) -> dict[str, Any]:
    """Moment matrices of a dual bound, their products at the highest precision."""
    case = Gradients("tanh", {"n": n, "d": d, "m": m})
    prepared = case.net.prepare(case.x, (2,))
    compute = eqx.filter_jit(tn.two_layer.moment_matrices)
    values = per_call({"moments": lambda: compute(prepared, case.y[:, None])}, 3)["moments"]
    products = n * (m // 2) * d * (d + 1)
    return {
        "n": n,
        "d": d,
        "m": m,
        "seconds": _rounded(min(values)),
        "teraflops": _rounded(products / min(values) / 1e12),
    }


def dual_below_optimum(n: int, d: int, m: int) -> dict[str, Any]:
    """The dual bound of the linear model at several default precisions, and the optimum in closed form (float64 by NumPy)."""
    case = Gradients("tanh", {"n": n, "d": d, "m": m})
    x, w0, y = (np.asarray(a, float) for a in (case.x, case.net.w0, case.y))
    slopes = (1 - np.tanh(x @ w0.T) ** 2) * np.asarray(case.net.a, float)[:, 0] / math.sqrt(m)
    kernel, strength = slopes @ slopes.T * (x @ x.T), 1e-3
    optimum = strength * y @ np.linalg.solve(kernel + n * strength * np.eye(n), y)
    found: dict[str, Any] = {"optimum": optimum}
    for precision in ("default", "bfloat16", "highest"):
        with jax.default_matmul_precision(precision):
            problem = {"model": "linear", "penalty": strength, "power": 2}
            trained = tn.fit(case.net, case.x, case.y, tol=1e-3, throw=False, max_steps=300, **problem)
            certificate = tn.certify(case.net, trained.w, case.x, case.y, **problem)
        found[precision] = {
            "dual_over_optimum": float(certificate.dual) / optimum,
            "primal_over_optimum": float(certificate.primal) / optimum,
        }
    found["met"] = all(found[p]["dual_over_optimum"] <= 1 for p in ("default", "bfloat16", "highest"))
    return found


def eigenvalues(count: int, d: int, dtype: Any) -> dict[str, Any]:
    """Eigenvalues of a batch of symmetric matrices, and their residual."""
    a = jax.random.normal(jax.random.key(0), (count, d, d), dtype)
    a = a + jnp.moveaxis(a, 1, 2)
    only, full = jax.jit(jnp.linalg.eigvalsh), jax.jit(jnp.linalg.eigh)
    times = per_call({"eigvalsh": lambda: only(a), "eigh": lambda: full(a)}, 2)
    values, vectors = full(a[:8])
    residual = jnp.max(jnp.abs(jnp.matmul(a[:8], vectors, precision="highest") - vectors * values[:, None, :]))
    seconds = {f"{name}_seconds": _rounded(min(found)) for name, found in times.items()}
    return {"matrices": count, "d": d, "dtype": str(a.dtype), **seconds, "residual": float(residual)}


def taylor_mode(order: int, toy: bool) -> dict[str, Any]:
    """The gradient of the order-K model of a perceptron relative to the floor of its products."""
    f, params, x = MODELS["mlp"](toy)
    new = moved(params)
    plain, ours = (timed(gradient(g), new, x, seconds=0.5) for g in (f, tn.taylor_expand(f, params, order)))
    over = ours["seconds"] / plain["seconds"] / floor(order)["gradient"]
    return {"over_floor": _rounded(over), "limit": 0.8, "met": over <= 0.8, "compile_seconds": ours["compile_seconds"]}


def network_ntk(images: int, toy: bool) -> dict[str, Any]:
    """The NTK of a convolutional network, compared with its contracted Jacobian."""
    f, params, x = MODELS["conv"](toy)
    x = jnp.concatenate([x] * -(-images // x.shape[0]))[:images] + 0.1 * jax.random.normal(
        jax.random.key(9), (images, *x.shape[1:])
    )

    def by_hand(params: Any, x: jax.Array) -> jax.Array:
        jacobian = jax.vmap(jax.jacrev(lambda params, image: f(params, image[None])[0]), (None, 0))(params, x)
        rows = [j.reshape(images * 10, -1) for j in jax.tree.leaves(jacobian)]
        return sum(jnp.matmul(j, j.T, precision="highest") for j in rows)

    operator, hand = tn.kernels.NTK(f, params, x), jax.jit(by_hand)
    times = per_call({"ours": operator.gram, "jacobian": lambda: hand(params, x)}, 3)
    expected = hand(params, x)
    error = jnp.max(jnp.abs(operator.gram().reshape(expected.shape) - expected)) / jnp.max(jnp.abs(expected))
    return {"images": images, **{f"{k}_seconds": _rounded(min(v)) for k, v in times.items()}, "error": float(error)}


def fitted(n: int, d: int, m: int, tol: float) -> dict[str, Any]:
    """`fit` to a relative gap, twice: with and without compilation."""
    keys = jax.random.split(jax.random.key(0), 2)
    net = tn.TwoLayerNetwork.init(keys[0], inputs=d, width=m, activation="tanh")
    x = jax.random.normal(keys[1], (n, d))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y = d * x[:, 0] * x[:, 1]
    seconds: list[float] = []
    for _ in range(2):
        began = time.perf_counter()
        result = tn.fit(net, x, y, penalty=1e-3, tol=tol, max_steps=3000, throw=False)
        seconds.append(time.perf_counter() - began)
    gap = result.certificate.relative_gap if result.certificate is not None else math.nan
    timing = {"first_seconds": _rounded(seconds[0]), "again_seconds": _rounded(seconds[1])}
    return {"n": n, "d": d, "m": m, **timing, "status": result.status.name, "gap": float(gap), "steps": result.steps}


def main(quick: bool) -> dict[str, Any]:
    device = jax.devices()[0]
    accelerator = device.platform != "cpu"
    lines = Lines(_SECONDS)
    lines.add("device", lambda: {"kind": device.device_kind, "platform": device.platform, "jax": jax.__version__})
    sizes = _TOY if quick else _SIZES if accelerator else {"small": _SIZES["small"]}
    for label, size in sizes.items():
        lines.add(f"memory, {label}", lambda: dict(device.memory_stats() or {}))
        Gradients("tanh", size).figures(lines, f"tanh, {label}", 2 if quick else 7, most=1 if quick else 10)
    last = list(sizes.values())[-1]
    if not quick:
        Gradients("cubic_relu", last).figures(lines, "cubic_relu, small", 7, most=7)
        lines.add("calls by users", lambda: user_calls(last))
    lines.add("NTK of a convolutional network", lambda: network_ntk(8 if quick else 400 if accelerator else 16, quick))
    if not quick:
        lines.add("dual below the optimum", lambda: dual_below_optimum(1000, 32, 1024))
    shapes = [(16, 8)] if quick else [(4096, 64), (512, 512)] if accelerator else [(256, 64)]
    for count, d in shapes:
        lines.add("eigenvalues, float32", lambda count=count, d=d: eigenvalues(count, d, jnp.float32))
    lines.add("moment matrices", lambda: moments(*((64, 8, 64) if quick else (2048, 64, 8192))))
    if accelerator and not quick:
        lines.add("moment matrices, large", lambda: moments(4096, 256, 2048))
    with jax.enable_x64(True):
        lines.add("eigenvalues, float64", lambda: eigenvalues(*shapes[0], jnp.float64))
        if not quick:
            lines.add("fit to a gap, float64", lambda: fitted(1600, 32, 1024, 1e-6))
    for order in () if quick else (2, 3, 4, 5, 6) if accelerator else (2, 4):
        lines.add(f"Taylor mode, K = {order}", lambda order=order: taylor_mode(order, quick))
    targets = [
        _measure.target(
            f"{line['figure']}: at most {line['limit']}",
            str(line.get("over_plain", line.get("over_floor"))),
            line["met"],
        )
        for line in lines.found
        if line.get("limit")
    ]
    floors = [
        "a gradient contains two matrix products, timed alone in the same run",
        "flops, large_arrays and loops are counted in the compiled program, times are measured",
    ]
    return {
        "title": "Figures that need an accelerator",
        "floors": floors,
        "figures": lines.found,
        "tables": [],
        "targets": targets,
    }
