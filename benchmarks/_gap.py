"""The problems of `solvers` and the other solvers: each runs on the same jitted objective from the same start."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
from jax import lax
from scipy.optimize import OptimizeResult
from scipy.optimize import minimize as scipy_minimize

import taylornets as tn
from benchmarks import _measure

TOLERANCE = 1e-6
RATES = (1e-3, 5e-3, 2e-2, 1e-1)
# Adam gets at least this many times the seconds of `fit`, so that a miss proves the target's ratio.
CAP_RATIO = 24
START = 0.3  # the start's norm per unit relative to m^{-1/4}, as in `fit`


class Problem:
    """A quadratic model, its data, its objective, and a random start."""

    def __init__(self, n: int, d: int, m: int, outputs: int, penalty: float, power: float):
        keys = jax.random.split(jax.random.key(0), 4)
        self.net = tn.TwoLayerNetwork.init(keys[0], inputs=d, width=m, outputs=outputs)
        x = jax.random.normal(keys[1], (n, d))
        self.x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
        products = jnp.stack([self.x[:, c % d] * self.x[:, (c + 1) % d] for c in range(outputs)], axis=1)
        self.y = d * products + 0.1 * jax.random.normal(keys[2], (n, outputs))
        self.settings = {"penalty": penalty, "power": power}
        self.risk = tn.objective(self.net, self.x, self.y, **self.settings)
        self.start = START * m**-0.25 / d**0.5 * jax.random.normal(keys[3], (m, d))

    def gap(self, w: Any) -> float:
        """Relative certified gap at `w`."""
        return float(tn.certify(self.net, jnp.asarray(w), self.x, self.y, **self.settings).relative_gap)


def result(solver: str, seconds: float | None, steps: int, gap: float, **detail: Any) -> dict[str, Any]:
    """One solver's outcome; `seconds` is the time to the tolerance, or, if `gap` is above it, the time given."""
    return {
        "solver": solver,
        "seconds": seconds,
        "steps": steps,
        "gap": gap,
        "reached": gap <= TOLERANCE,
        **detail,
    }


def run_fit(problem: Problem, repetitions: int) -> list[dict[str, Any]]:
    """`tn.fit` as a user calls it: preparation, training and certificates, cold and warm."""

    def fit() -> Any:
        found = tn.fit(
            problem.net, problem.x, problem.y, w_init=problem.start, tol=TOLERANCE, throw=False, **problem.settings
        )
        return jax.block_until_ready(found.w), found

    cold = _measure.seconds(lambda: fit()[0])
    times, found = [], None
    for _ in range(repetitions):
        started = time.perf_counter()
        _, found = fit()
        times.append(time.perf_counter() - started)
    gap = float(found.certificate.relative_gap)
    spread = _measure.spread(times)
    return [
        result("tn.fit, warm", spread["median"], found.steps, gap, spread=spread),
        result("tn.fit, cold (compiles)", cold, found.steps, gap),
    ]


def run_scipy(problem: Problem, cap: float) -> dict[str, Any]:
    """SciPy's L-BFGS-B; the iterates are kept and certified afterwards."""
    value_and_gradient = jax.jit(jax.value_and_grad(problem.risk))
    shape = problem.start.shape

    def fun(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = value_and_gradient(flat.reshape(shape))
        return float(value), np.asarray(gradient).ravel()

    fun(np.asarray(problem.start).ravel())
    iterates: list[tuple[float, np.ndarray]] = []
    started = time.perf_counter()

    def keep(intermediate_result: OptimizeResult) -> None:
        elapsed = time.perf_counter() - started
        iterates.append((elapsed, intermediate_result.x.copy()))
        if elapsed > cap:
            raise StopIteration

    options = {"maxcor": 20, "maxiter": 5000, "maxfun": 10**6, "ftol": 0.0, "gtol": 0.0}
    start = np.asarray(problem.start).ravel()
    scipy_minimize(fun, start, jac=True, method="L-BFGS-B", callback=keep, options=options)
    first = first_within(problem, [w.reshape(shape) for _, w in iterates])
    seconds, w = iterates[first]
    return result("SciPy L-BFGS-B", seconds, first + 1, problem.gap(w.reshape(shape)))


def first_within(problem: Problem, iterates: list[Any]) -> int:
    """Index of the first iterate within the tolerance, by bisection (the gap falls, but for ripples); else the last."""
    low, high = 0, len(iterates) - 1
    while low < high:
        middle = (low + high) // 2
        if problem.gap(iterates[middle]) <= TOLERANCE:
            high = middle
        else:
            low = middle + 1
    return low


def run_optimistix(problem: Problem, solver: Any, name: str, cap: float) -> dict[str, Any]:
    """Optimistix with growing limits on the steps: the shortest run that is good enough is the one that counts."""
    options = {"throw": False}

    def function(w: jax.Array, risk: Any) -> jax.Array:
        return risk(w)

    spent, outcome = 0.0, None
    for limit in (50, 75, 100, 150, 200, 300, 450, 700, 1000, 2000, 4000):

        def run(limit: int = limit) -> Any:
            solution = optimistix.minimise(
                function, solver, problem.start, args=problem.risk, max_steps=limit, **options
            )
            return solution.value

        run()
        seconds = _measure.seconds(run)
        spent += seconds
        outcome = result(name, seconds, limit, problem.gap(run()))
        if outcome["reached"] or spent > cap:
            break
    return outcome


def run_adam(problem: Problem, rate: float, cap: float) -> dict[str, Any]:
    """Adam (optax) in compiled segments; the clock stands still while a segment's result is certified."""
    transformation = optax.adam(rate)

    @jax.jit
    def segment(w: jax.Array, state: Any, risk: Any) -> Any:
        def step(carry: Any, _: None) -> Any:
            w, state = carry
            updates, state = transformation.update(jax.grad(risk)(w), state)
            return (optax.apply_updates(w, updates), state), None

        return lax.scan(step, (w, state), length=50)[0]

    w, state = problem.start, transformation.init(problem.start)
    jax.block_until_ready(segment(w, state, problem.risk))
    spent, steps, gap, checked, best = 0.0, 0, np.inf, 0.0, np.inf
    while spent < cap and not gap <= TOLERANCE:
        started = time.perf_counter()
        w, state = jax.block_until_ready(segment(w, state, problem.risk))
        spent += time.perf_counter() - started
        steps += 50
        if spent > 1.05 * checked or spent >= cap:
            checked, gap = spent, problem.gap(w)
            best = min(best, gap)
    return result(f"Adam, rate {rate:g}", spent, steps, best, rate=rate)


def compare(sizes: dict[str, Any], budget: float, repetitions: int) -> list[dict[str, Any]]:
    """All solvers on one problem; `budget` bounds the seconds given to each solver other than `tn.fit`."""
    problem = Problem(**sizes)
    results = run_fit(problem, repetitions)
    cap = min(CAP_RATIO * results[0]["seconds"], budget)
    results.append(run_scipy(problem, cap))
    runs: dict[str, Callable[[], Any]] = {
        "optimistix L-BFGS": lambda: optimistix.LBFGS(rtol=1e-13, atol=1e-13, history_length=20),
    }
    if problem.start.size <= 3000:  # a dense inverse Hessian: 10⁴ variables take 0.8 GB
        runs["optimistix BFGS"] = lambda: optimistix.BFGS(rtol=1e-13, atol=1e-13)
    results += [run_optimistix(problem, make(), name, cap / 2) for name, make in runs.items()]
    results += [run_adam(problem, rate, cap) for rate in RATES]
    fastest = results[0]["seconds"]
    return [{**item, "ratio": item["seconds"] / fastest} for item in results]


def row(item: dict[str, Any]) -> list[Any]:
    """A line of the table."""
    bound = "" if item["reached"] else "> "
    return [
        item["solver"],
        f"{bound}{item['seconds']:.3g}",
        item["steps"],
        f"{item['gap']:.1e}",
        f"{bound}{item['ratio']:.2f}",
    ]
