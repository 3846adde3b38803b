"""The time of a regularization path, in units of one cold fit of its last penalty.

Each penalty is certified to a relative gap of 1e-3, which suffices to choose one, and the last and costliest one to 1e-8.
"""

from typing import Any

import jax
import numpy as np

import taylornets as tn
from benchmarks import _measure
from benchmarks.certified import Problem

_GAP, _CHOSEN_GAP = 1e-3, 1e-8
_FIRST_PENALTY = 1e-2
_SIZES: dict[str, dict[str, Any]] = {
    "squared, n = 120": {"n": 120, "d": 10, "m": 64, "loss": "squared", "penalty": 1e-8},
    "logistic, n = 120": {"n": 120, "d": 10, "m": 64, "loss": "logistic", "penalty": 1e-8},
    "squared, n = 2000": {"n": 2000, "d": 20, "m": 256, "loss": "squared", "penalty": 1e-6},
    "logistic, n = 2000": {"n": 2000, "d": 20, "m": 256, "loss": "logistic", "penalty": 1e-6},
}
_QUICK: dict[str, dict[str, Any]] = {"toy": {"n": 30, "d": 4, "m": 16, "loss": "squared", "penalty": 1e-3}}


def case(sizes: dict[str, Any], count: int, repetitions: int) -> dict[str, Any]:
    """Ratios of the path to a cold fit, repetition by repetition, and the Newton steps of both."""
    problem = Problem(**sizes)
    penalties = np.geomspace(_FIRST_PENALTY, sizes["penalty"], count).tolist()
    options: dict[str, Any] = {"loss": sizes["loss"], "power": 4}
    steps: dict[str, int] = {}

    def fit(w: Any = None) -> Any:
        penalty = sizes["penalty"]
        return tn.fit(problem.net, problem.x, problem.y, penalty=penalty, tol=_CHOSEN_GAP, w_init=w, **options)

    def cold() -> Any:
        found = fit()
        steps["fit"] = found.steps
        return found.w

    def path() -> Any:
        found = tn.fit_path(problem.net, problem.x, problem.y, penalties, tol=_GAP, **options)
        last = fit(found[-1].w)
        steps["path"] = sum(result.steps for result in found) + last.steps
        return last.w

    times = _measure.interleaved({"path": path, "fit": cold}, repetitions)
    return {"ratio": _measure.ratios(times, "path", "fit"), "seconds": times, "steps": steps}


def main(quick: bool) -> dict[str, Any]:
    count, repetitions = (4, 1) if quick else (30, 5)
    with jax.enable_x64(True):
        cases = {name: case(sizes, count, repetitions) for name, sizes in (_QUICK if quick else _SIZES).items()}
    rows = [
        [name, _measure.show(found["ratio"]), found["steps"]["path"], found["steps"]["fit"]]
        for name, found in cases.items()
    ]
    title = f"{count} penalties to a gap of {_GAP:g}, the last one to {_CHOSEN_GAP:g}; unit: a cold fit of the last one"
    return {
        "title": "Time of a regularization path",
        "floors": ["one warm fit of the last penalty, about .7 of a cold one"],
        "tables": [
            {"title": title, "columns": ["problem", "ratio", "steps of the path", "steps of the fit"], "rows": rows}
        ],
        "cases": cases,
        "targets": [
            _measure.target(f"{name}: at most 4 fits", f"{found['ratio']['median']:.2f}", found["ratio"]["median"] <= 4)
            for name, found in cases.items()
        ],
    }
