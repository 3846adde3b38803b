"""100,000 rows in little memory: `TaylorRegressor` alongside kernel ridge regression. Scores: `python -m benchmarks tables`."""

import json
import math
import resource
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
from sklearn.kernel_ridge import KernelRidge

import taylornets as tn
from benchmarks import _measure

_LIMIT = 3.0  # GiB


def large(rows: int, columns: int, width: int, steps: int) -> dict[str, Any]:
    """A fit on many rows in this process; the peak memory of the process in GiB."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, columns)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + x[:, 2] + 0.1 * generator.standard_normal(rows)
    test, wanted = x[-rows // 10 :], y[-rows // 10 :]
    model = tn.TaylorRegressor(width=width, penalty=1e-5, tol=1e-2, max_iter=steps, random_state=0)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x[: -rows // 10], y[: -rows // 10])
    elapsed = time.perf_counter() - started
    score = float(model.score(test, wanted))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": elapsed, "peak": peak, "certificate": str(model.certificate_), "steps": model.n_iter_,
        "status": model.status_, "score": score, "gap": float(model.certificate_.relative_gap),
    }  # fmt: skip


def in_a_process(sizes: tuple[int, int, int, int]) -> dict[str, Any]:
    """`large` in a separate process, so that the peak memory is that of the fit."""
    code = f"import json; from benchmarks import estimators; print(json.dumps(estimators.large{sizes}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def kernel_ridge_seconds(rows: int) -> tuple[float, float]:
    """Seconds of kernel ridge on `rows` rows, measured on at most 4,000 rows and extrapolated as n³, and GiB of its matrix."""
    measured = min(rows, 4000)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((measured, 50))
    started = time.perf_counter()
    KernelRidge(kernel="rbf", alpha=1e-2).fit(x, x[:, 0])
    return (time.perf_counter() - started) * (rows / measured) ** 3, rows**2 * 8 / 2**30


def main(quick: bool) -> dict[str, Any]:
    sizes = (2000, 10, 32, 5) if quick else (111_112, 50, 1024, 200)
    big = large(*sizes) if quick else in_a_process(sizes)
    rows = math.ceil(0.9 * sizes[0])
    seconds, matrix = kernel_ridge_seconds(rows)
    return {
        "title": "Many rows",
        "tables": [
            {
                "title": f"{rows} rows x {sizes[1]} columns",
                "columns": ["model", "seconds", "GiB", "R²", "relative gap"],
                "rows": [
                    [f"TaylorRegressor(width={sizes[2]})", big["seconds"], big["peak"], big["score"], big["gap"]],
                    ["kernel ridge, extrapolated as n² and n³", seconds, matrix, None, None],
                ],
            },
        ],
        "floors": [
            "A fit takes three products per step over all rows and units; kernel ridge stores n² numbers at once."
        ],
        "targets": [_measure.target("100,000 rows under 3 GiB", f"{big['peak']:.2f} GiB", big["peak"] < _LIMIT)],
        "large": big,
    }
