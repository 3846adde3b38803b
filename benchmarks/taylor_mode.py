"""Taylor mode compared with the floor of matrix products, nested derivatives, and `neural_tangents`.

`python -m benchmarks taylor_mode` measures everything. `python -m benchmarks.taylor_mode --models mlp --orders 4 6`
measures a subset, and `--stacking` the speedup from stacked products. `TAYLORNETS_NEURAL_TANGENTS` may name a Python
interpreter with `neural_tangents` 0.6.5 (and JAX 0.4.24); otherwise those columns are empty.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import taylornets as tn
from benchmarks import _measure
from benchmarks._taylor_models import MODELS, gradient, moved, timed
from taylornets.series import _bilinear

HERE = Path(__file__).parent
ORDERS = (2, 3, 4, 5, 6)
# Orders at which other implementations are measured too; their cost doubles with each order.
COMPARED = (2, 4, 6)
# Time limit for compiling and running one gradient; an implementation that exceeds it counts as unusable at this order.
SECONDS = 240
NEURAL_TANGENTS = "TAYLORNETS_NEURAL_TANGENTS"

COLUMNS = {
    "model": "model",
    "order": "K",
    "forward_ratio": "forward",
    "gradient_ratio": "gradient",
    "gradient_over_floor": "over the floor",
    "nested_over_taylor": "nested",
    "neural_tangents_over_taylor": "neural_tangents",
    "peak_megabytes": "peak MB",
    "plain_peak_megabytes": "plain MB",
    "nested_peak_megabytes": "nested MB",
    "compile_seconds": "compile s",
    "nested_compile_seconds": "nested compile s",
}


def floor(order: int) -> dict[str, float]:
    """Matrix products of the order-K model of a perceptron relative to those of the model itself.

    Forward: K + 1 products with the weights, K with the displacement. Gradient: those and, for each of K cotangents,
    one with the weights, one with the displacement (K - 1 of these) and one for the displacement: 5 K against 3.
    """
    return {"forward": 2 * order + 1, "gradient": 5 * order / 3}


def taylor_rows(name: str, orders: Sequence[int], toy: bool = False) -> list[dict[str, Any]]:
    """One row per order: forward pass and gradient relative to those of the model, and other implementations."""
    f, params, x = MODELS[name](toy)
    new = moved(params)
    plain_forward, plain_gradient = timed(f, new, x), timed(gradient(f), new, x)
    rows: list[dict[str, Any]] = []
    for order in orders:
        expansion = tn.taylor_expand(f, params, order)
        forward, grad = timed(expansion, new, x), timed(gradient(expansion), new, x)
        row = {
            "model": name,
            "order": order,
            "forward_ratio": forward["seconds"] / plain_forward["seconds"],
            "gradient_ratio": grad["seconds"] / plain_gradient["seconds"],
            "gradient_seconds": grad["seconds"],
            "plain_gradient_seconds": plain_gradient["seconds"],
            "compile_seconds": grad["compile_seconds"],
            "peak_megabytes": grad["peak_bytes"] / 1e6,
            "plain_peak_megabytes": plain_gradient["peak_bytes"] / 1e6,
            "counted_ratio": tn.cost(f, params, x, order).ratio,
        }
        if name == "mlp":
            row |= {f"{kind}_over_floor": row[f"{kind}_ratio"] / value for kind, value in floor(order).items()}
        if order in COMPARED:
            row |= compared("nested", sys.executable, row, toy)
            interpreter = os.environ.get(NEURAL_TANGENTS)
            if interpreter and name == "mlp":
                row |= compared("neural_tangents", interpreter, row, toy)
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def compared(expand: str, interpreter: str, row: dict[str, Any], toy: bool) -> dict[str, Any]:
    """The same gradient by another implementation, in a process with the time limit `SECONDS`."""
    request = json.dumps({"expand": expand, "name": row["model"], "order": row["order"], "toy": toy})
    environment = {k: v for k, v in os.environ.items() if expand == "nested" or k != "PYTHONPATH"}
    script = [interpreter, "-W", "ignore", str(HERE / "_taylor_models.py"), request]
    try:
        run = subprocess.run(script, capture_output=True, text=True, check=True, env=environment, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return {f"{expand}_over_taylor": f"over {SECONDS} s", f"{expand}_compile_seconds": f"over {SECONDS}"}
    other = json.loads(run.stdout.strip().splitlines()[-1])
    return {
        f"{expand}_over_taylor": other["seconds"] / row["gradient_seconds"],
        f"{expand}_peak_megabytes": other["peak_bytes"] / 1e6,
        f"{expand}_compile_seconds": other["compile_seconds"],
    }


def stacking_rows(batches: Sequence[int], order: int = 4, toy: bool = False) -> list[dict[str, Any]]:
    """The speedup from stacking the coefficients that multiply the same matrix, by the number of rows of the batch."""
    f, params, x = MODELS["mlp"](toy)
    new = moved(params)
    chosen = _bilinear.STACK_ROWS
    rows: list[dict[str, Any]] = []
    for batch in batches:
        seconds: dict[tuple[str, str], float] = {}
        for label, limit in (("pairs", 0), ("stacked", 10**9)):
            _bilinear.STACK_ROWS = limit
            expansion = tn.taylor_expand(f, params, order)
            for kind, function in (("forward", expansion), ("gradient", gradient(expansion))):
                seconds[label, kind] = timed(function, new, x[:batch])["seconds"]
        row: dict[str, Any] = {"batch": batch}
        row |= {kind: seconds["pairs", kind] / seconds["stacked", kind] for kind in ("forward", "gradient")}
        rows.append(row)
        print(json.dumps(row), flush=True)
    _bilinear.STACK_ROWS = chosen
    return rows


def targets(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The targets of Taylor mode."""
    found: list[dict[str, Any]] = []

    def add(text: str, value: Any, met: bool, why: str) -> None:
        measured = "not measured" if value is None else value if isinstance(value, str) else f"{value:.2f}"
        found.append(_measure.target(text, measured, met, why))

    for row in rows:
        name, order = row["model"], row["order"]
        if name == "mlp":
            value = row["gradient_over_floor"]
            text = f"mlp, K = {order}: gradient at most 1.15 times its floor of matrix products"
            add(text, value, value <= 1.15, "operations other than products (tanh, sums of coefficients) take the rest")
            for other, bounds in (("nested", {4: 2, 6: 4}), ("neural_tangents", {4: 2, 6: 5})):
                if order in bounds:
                    value = row.get(f"{other}_over_taylor")
                    met = isinstance(value, str) or (value is not None and value >= bounds[order])
                    why = f"{NEURAL_TANGENTS} is not set" if value is None else "see the time of the floor"
                    add(f"mlp, K = {order}: at least {bounds[order]} times as fast as {other}", value, met, why)
        if (name, order) == ("transformer", 6):
            value = row["compile_seconds"]
            add("transformer, K = 6: gradient compiles within 15 s", value, value < 15, "the program is long")
    return found


def table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rows in the format of docs/taylor-mode.md."""
    cells = [[row.get(key) for key in COLUMNS] for row in rows]
    title = "Times relative to the model's; others relative to Taylor mode; memory and compilation of the gradient"
    return {"title": title, "columns": list(COLUMNS.values()), "rows": cells}


def main(quick: bool) -> dict[str, Any]:
    names, orders = (("mlp",), (2,)) if quick else (tuple(MODELS), ORDERS)
    rows = [row for name in names for row in taylor_rows(name, orders, toy=quick)]
    stacking = stacking_rows((4,) if quick else (1, 4, 16, 64, 512), toy=quick)
    return {
        "title": "Gradients of Taylor models of any JAX model relative to the gradient of the model",
        "floors": [
            "the order-K model of a perceptron needs 2 K + 1 times the model's matrix products forward, its gradient 5 K / 3",
            f"other implementations have a limit of {SECONDS} s to compile and run one gradient in a separate process",
        ],
        "tables": [
            table(rows),
            {
                "title": "Perceptron, K = 4: time with separate products relative to time with stacked products",
                "columns": ["batch", "forward", "gradient"],
                "rows": [[row["batch"], row["forward"], row["gradient"]] for row in stacking],
            },
        ],
        "targets": targets(rows),
        "taylor_mode": rows,
        "stacking": stacking,
    }


def part(arguments: Sequence[str]) -> None:
    """Runs the selected measurements and prints one line of JSON per row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=list(MODELS))
    parser.add_argument("--orders", nargs="+", type=int, default=list(ORDERS))
    parser.add_argument("--stacking", action="store_true", help="measure stacked products instead")
    options = parser.parse_args(arguments)
    if options.stacking:
        stacking_rows((1, 4, 16, 64, 512))
        return
    for name in options.models:
        taylor_rows(name, options.orders)


if __name__ == "__main__":
    part(sys.argv[1:])
