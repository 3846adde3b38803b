"""Seconds to a certified relative gap: the default of `tn.fit`, the dual Newton method, L-BFGS at sufficient rank, Adam, SGD.

`tn.fit` and its methods are timed by their own histories, after a warm-up run that compiles. Adam and SGD have no
certificate: they are stopped by the true suboptimality, which only the certified optimum reveals. Of four learning rates, the
one with the least objective after a quarter of the time limit is continued. All run on the same objective with four copies of
each unit. Every problem has a process of its own, so that its peak memory can be measured.
"""

import math
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

import taylornets as tn
from benchmarks import _measure

GAPS = (1e-2, 1e-4, 1e-6, 1e-8)
COPIES = 4
RATES = (3e-3, 1e-2, 3e-2, 1e-1)
_SEGMENT = 20
_LARGE = 10_000
_SIZES: dict[str, dict[str, Any]] = {
    "logistic, 1e-6": {"n": 2000, "d": 20, "m": 256, "loss": "logistic", "penalty": 1e-6},
    "logistic, 1e-8": {"n": 2000, "d": 20, "m": 256, "loss": "logistic", "penalty": 1e-8},
    "squared, 1e-6": {"n": 2000, "d": 20, "m": 256, "loss": "squared", "penalty": 1e-6},
    "large, logistic, 1e-6": {"n": 20000, "d": 50, "m": 512, "loss": "logistic", "penalty": 1e-6},
    "large, logistic, 1e-8": {"n": 20000, "d": 50, "m": 512, "loss": "logistic", "penalty": 1e-8},
    "large, softmax, 1e-6": {"n": 20000, "d": 50, "m": 512, "loss": "softmax", "penalty": 1e-6, "outputs": 10},
    "large, softmax, 1e-7": {"n": 20000, "d": 50, "m": 512, "loss": "softmax", "penalty": 1e-7, "outputs": 10},
}
_QUICK: dict[str, dict[str, Any]] = {"toy": {"n": 350, "d": 4, "m": 16, "loss": "squared", "penalty": 1e-3}}


class Problem:
    """A noisy product, or classes by random quadratic forms, on the unit sphere."""

    def __init__(self, n: int, d: int, m: int, loss: str, penalty: float, outputs: int = 1):
        keys = jax.random.split(jax.random.key(0), 5)
        x = jax.random.normal(keys[0], (n, d))
        self.x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
        product = d * self.x[:, 0] * self.x[:, 1] + 0.1 * jax.random.normal(keys[1], (n,))
        self.y: Any = jnp.where(product > 0, 1.0, -1.0) if loss == "logistic" else product
        if loss == "softmax":
            forms = jax.random.normal(keys[3], (outputs, d, d))
            self.y = jnp.argmax(jnp.einsum("nd,cde,ne->nc", self.x, forms, self.x), axis=1)
        self.net = tn.TwoLayerNetwork.init(keys[2], inputs=d, width=m, outputs=outputs)
        self.settings: dict[str, Any] = {"loss": loss, "penalty": penalty, "power": 4}
        self.risk = tn.objective(self.net, self.x, self.y, **self.settings)
        self.start = self.risk.start(keys[4], COPIES)

    def fit(self, tol: float, warm_up: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Trains twice (first with the options of `warm_up`), and returns the seconds to each gap of the second run."""
        options = {"tol": tol, "throw": False, **self.settings, **options}
        tn.fit(self.net, self.x, self.y, **options | warm_up)
        found = tn.fit(self.net, self.x, self.y, **options)
        history = found.history
        reached = {
            gap: next((s for s, g in zip(history.seconds, history.relative_gap, strict=True) if g <= gap), None)
            for gap in GAPS
        }
        # Newton steps have no gradient in `w`.
        before = [
            steps for steps, size in zip(history.steps, history.gradient_norm, strict=True) if not math.isnan(size)
        ]
        copies = found.w.reshape(self.net.width, -1, self.net.inputs)
        return {
            "seconds": reached,
            "steps": found.steps,
            "newton": found.steps - max(before, default=0),
            "gap": history.relative_gap[-1],
            "copies": copies.shape[1],
            "zero": float(jnp.mean(jnp.all(copies == 0, axis=(1, 2)))),
            "objective": found.objective,
        }

    def first_order(self, optimizer: str, optimum: float, limit: float) -> dict[str, Any]:
        """Seconds until Adam or SGD with momentum, at the best of four learning rates, is within each suboptimality."""
        runs = [FirstOrder(self, optimizer, rate, optimum) for rate in RATES]
        for run in runs:
            run.advance(limit / 4)
        best = min(runs, key=lambda run: run.value)
        best.advance(limit)
        return {"seconds": best.reached, "limit": limit, "rate": best.rate, "steps": best.steps}


class FirstOrder:
    """A run of Adam or SGD that can be continued; `reached` are the seconds to each relative suboptimality."""

    def __init__(self, problem: Problem, optimizer: str, rate: float, optimum: float):
        self.rate, self.optimum, self.value, self.seconds, self.steps = rate, optimum, math.inf, 0.0, 0
        self.reached: dict[float, float | None] = dict.fromkeys(GAPS)
        method = optax.adam(rate) if optimizer == "Adam" else optax.sgd(rate, momentum=0.9)
        arrays: Any = problem.risk

        @jax.jit
        def advance(w: Any, state: Any) -> Any:
            def step(carry: Any, _: Any) -> Any:
                w, state = carry
                value, gradient = arrays.value_and_gradient(w)
                updates, state = method.update(gradient, state)
                return (optax.apply_updates(w, updates), state), value

            (w, state), values = lax.scan(step, (w, state), length=_SEGMENT)
            return w, state, jnp.min(values)

        self._advance, self._state = advance, (problem.start, method.init(problem.start))
        jax.block_until_ready(advance(*self._state))

    def advance(self, limit: float) -> None:
        """Runs until the last suboptimality is reached, or for `limit` seconds in all."""
        while self.seconds < limit and self.reached[GAPS[-1]] is None:
            began = time.perf_counter()
            w, state, value = self._advance(*self._state)
            value = float(value)
            self.seconds, self.steps = self.seconds + time.perf_counter() - began, self.steps + _SEGMENT
            if not math.isfinite(value):
                return
            self._state, self.value = (w, state), value
            for gap in GAPS:
                if self.reached[gap] is None and value / self.optimum - 1 <= gap:
                    self.reached[gap] = self.seconds


@jax.enable_x64(True)
def case(sizes: dict[str, Any], quick: bool) -> dict[str, Any]:
    """All solvers on one problem."""
    problem = Problem(**sizes)
    tol = GAPS[-1]
    most = 60 if quick else 1000 if sizes["n"] < _LARGE else 600
    solvers: dict[str, Any] = {
        "dual Newton, cold": problem.fit(tol, {"max_steps": 3}, method="dual_newton"),
        "fit (auto)": problem.fit(tol, {"tol": GAPS[0]}),
        f"L-BFGS, R = {COPIES}": problem.fit(tol, {"max_steps": 60}, method="lbfgs", rank=COPIES, max_steps=most),
    }
    optimum = min(found["objective"] for found in solvers.values())
    ours = solvers["fit (auto)"]["seconds"]
    limit = 0.2 if quick else min(5 * (ours[1e-6] or 10.0), 60.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    for name, share in (("Adam", 1), ("SGD", 0.3)):
        solvers[f"{name}, best of {len(RATES)} rates"] = problem.first_order(name, optimum, share * limit)
    return {**sizes, "solvers": solvers, "peak_megabytes": peak}


def _ratio(found: dict[str, Any], other: str, gap: float) -> float | None:
    """Seconds of `fit` relative to another solver (its time limit if it did not reach the gap)."""
    ours, theirs = (found["solvers"][name] for name in ("fit (auto)", other))
    seconds = theirs["seconds"][gap] or theirs.get("limit")
    return None if ours["seconds"][gap] is None or seconds is None else ours["seconds"][gap] / seconds


def main(quick: bool) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    cases: dict[str, Any] = {}
    for name, sizes in (_QUICK if quick else _SIZES).items():
        with ProcessPoolExecutor(1, mp_context=context) as process:
            cases[name] = process.submit(case, sizes, quick).result()
        print(name, cases[name], flush=True)
    lbfgs, adam = f"L-BFGS, R = {COPIES}", f"Adam, best of {len(RATES)} rates"
    targets: list[Any] = []
    for name, found in cases.items():
        auto = found["solvers"]["fit (auto)"]
        targets.append(_measure.target(f"{name}: certified to 1e-8", f"{auto['gap']:.1e}", auto["gap"] <= 1e-8))
        for other, gap, limit in ((lbfgs, 1e-4, 1.2), (lbfgs, 1e-6, 0.5), (adam, 1e-4, 0.2)):
            ratio = _ratio(found, other, gap)
            if ratio is not None:
                text = f"{name}: seconds to {gap:g} over {other}: at most {limit}"
                targets.append(_measure.target(text, f"{ratio:.2f}", ratio <= limit))
    floors = ["a Newton step costs one pass for the moments, two eigendecompositions per unit, and two products of size "
              "n × pairs × d per step of conjugate gradients"]  # fmt: skip
    rows = [
        [name, solver, *(values["seconds"][gap] for gap in GAPS)]
        + [values.get(key) for key in ("steps", "newton", "copies", "zero")]
        for name, found in cases.items()
        for solver, values in found["solvers"].items()
    ]
    columns = ["problem", "solver", *(f"s to {gap:g}" for gap in GAPS), "steps", "of Newton", "copies", "zero units"]
    tables = [{"title": "Seconds after compilation; None: not reached", "columns": columns, "rows": rows}]
    return {
        "title": "Seconds to a certified gap",
        "floors": floors,
        "tables": tables,
        "cases": cases,
        "targets": targets,
    }
