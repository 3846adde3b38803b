"""The lifted problem in a convex solver: CVXPY with Clarabel and SCS compared with `tn.fit`."""

import time
from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np

import taylornets as tn
from benchmarks import _measure

_PENALTY, _POWER = 1e-3, 8
_LIMIT = 60.0
_SIZES = ((60, 4, 16), (100, 5, 32), (150, 6, 64), (200, 8, 128), (200, 10, 256))
_QUICK = ((20, 3, 8),)


def data(n: int, d: int, m: int) -> tuple[tn.TwoLayerNetwork, jax.Array, jax.Array]:
    """A network and the noisy product target of theory 5."""
    keys = jax.random.split(jax.random.key(0), 3)
    net = tn.TwoLayerNetwork.init(keys[0], inputs=d, width=m)
    x = jax.random.normal(keys[1], (n, d))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return net, x, d * x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(keys[2], (n,))


def lifted(net: tn.TwoLayerNetwork, x: jax.Array, y: jax.Array) -> tuple[cp.Problem, list[cp.Variable]]:
    """`min (1/n) Σ (Σ_r a_r σ''(u_ir)/(2√m) x_iᵀ Θ_r x_i - y_i)² + λ ‖(tr Θ_r)_r‖₂⁴` over `Θ_r ⪰ 0`, `p = 8`.

    Implemented from the formula alone (`σ'' = relu` for the cubic ReLU), without code of this package.
    """
    w0, a, inputs = np.asarray(net.w0), np.asarray(net.a)[:, 0], np.asarray(x)
    (n, d), m = inputs.shape, w0.shape[0]
    features = a * np.maximum(inputs @ w0.T, 0) / (2 * np.sqrt(m))
    squares = np.einsum("ij,ik->ijk", inputs, inputs).reshape(n, d * d)
    units = [cp.Variable((d, d), PSD=True) for _ in range(m)]
    flat = cp.hstack([cp.vec(unit, order="C") for unit in units])
    matrix = (features[:, :, None] * squares[:, None, :]).reshape(n, m * d * d)
    traces = cp.hstack([cp.trace(unit) for unit in units])
    risk = cp.sum_squares(matrix @ flat - np.asarray(y)) / n
    return cp.Problem(cp.Minimize(risk + _PENALTY * cp.power(cp.norm(traces, 2), 4))), units


def run_convex(solver: str, net: tn.TwoLayerNetwork, x: jax.Array, y: jax.Array) -> dict[str, Any]:
    """Seconds (including the construction of the problem) and the objective at the feasible point found."""
    options = {"eps_abs": 1e-7, "eps_rel": 1e-7, "time_limit_secs": 2 * _LIMIT} if solver == "SCS" else {}
    if solver == "CLARABEL":
        tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-9)
        options = {"time_limit": 2 * _LIMIT, **tight}
    started = time.perf_counter()
    problem, units = lifted(net, x, y)
    try:
        problem.solve(solver=solver, **options)
    except cp.SolverError as error:
        return {"solver": solver, "seconds": time.perf_counter() - started, "status": str(error).split(".")[0]}
    seconds = time.perf_counter() - started
    if units[0].value is None:
        return {"solver": solver, "seconds": seconds, "status": problem.status}
    values, vectors = np.linalg.eigh(np.stack([(unit.value + unit.value.T) / 2 for unit in units]))
    # Θ_r = Σ_j w_rj w_rjᵀ with its negative eigenvalues (rounding of the solver) set to zero: a displacement of rank d.
    factors = np.swapaxes(vectors * np.sqrt(np.maximum(values, 0))[:, None, :], 1, 2)
    certificate = tn.certify(net, jnp.asarray(factors), x, y, penalty=_PENALTY, power=_POWER)
    return {
        "solver": solver,
        "seconds": seconds,
        "solver_seconds": problem.solver_stats.solve_time,
        "status": problem.status,
        "reported": float(problem.value),
        "objective": float(certificate.primal),
        "relative_gap": float(certificate.relative_gap),
    }


def run_fit(net: tn.TwoLayerNetwork, x: jax.Array, y: jax.Array, repetitions: int) -> dict[str, Any]:
    """`tn.fit` at its defaults."""

    def fit() -> Any:
        return tn.fit(net, x, y, penalty=_PENALTY, power=_POWER, throw=False)

    started = time.perf_counter()
    found = fit()
    cold, times = time.perf_counter() - started, []
    for _ in range(repetitions):
        started = time.perf_counter()
        found = fit()
        times.append(time.perf_counter() - started)
    return {
        "solver": "tn.fit, warm",
        "seconds": _measure.spread(times)["median"],
        "cold_seconds": cold,
        "status": found.status.name.lower(),
        "objective": found.objective,
        "relative_gap": float(found.certificate.relative_gap),
    }


def main(quick: bool) -> dict[str, Any]:
    jax.config.update("jax_enable_x64", True)
    measured, rows = [], []
    active = ["CLARABEL", "SCS"]
    for n, d, m in _QUICK if quick else _SIZES:
        net, x, y = data(n, d, m)
        ours = run_fit(net, x, y, 1 if quick else 5)
        results = [ours, *(run_convex(solver, net, x, y) for solver in active)]
        # Only solvers that took less than a quarter of the limit run at the next size.
        active = [item["solver"] for item in results[1:] if item["seconds"] < _LIMIT / 4]
        for item in results:
            item["difference"] = (
                (item["objective"] - ours["objective"]) / ours["objective"] if "objective" in item else None
            )
            measured.append({"n": n, "d": d, "m": m, **item})
            rows.append(
                [f"{n}, {d}, {m}", item["solver"], item["status"], item["seconds"], item["seconds"] / ours["seconds"]]
                + [
                    f"{item[key]:.9g}" if key == "objective" and key in item else item.get(key)
                    for key in ("objective", "difference", "relative_gap")
                ]
            )
    columns = [
        "n, d, m",
        "solver",
        "status",
        "s",
        "over tn.fit, warm",
        "objective",
        "difference from tn.fit",
        "certified gap",
    ]
    return {
        "title": "The lifted convex problem: CVXPY compared with tn.fit",
        "floors": [
            "objectives are evaluated at feasible points (negative eigenvalues set to zero); difference: relative, positive "
            "where the convex solver ended above tn.fit; 's' excludes the compilation of tn.fit, which the JSON file lists",
        ],
        "penalty": _PENALTY,
        "power": _POWER,
        "measured": measured,
        "tables": [{"title": f"λ = {_PENALTY}, p = {_POWER}, float64", "columns": columns, "rows": rows}],
        "targets": [],
    }
