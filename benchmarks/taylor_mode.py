"""Taylor mode against the floor of matrix products, against nested derivatives, and against `neural_tangents`.

Figures are ratios of times taken in one run. `TAYLORNETS_NEURAL_TANGENTS` may name a Python interpreter that has
`neural_tangents` 0.6.5 (with JAX 0.4.24); without it those columns stay empty.
"""

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path

import jax

import taylornets as tn
from benchmarks._taylor_models import MODELS, gradient, moved, timed
from taylornets.series import _bilinear

HERE = Path(__file__).parent
# Nested derivatives of deep graphs take minutes to compile: the orders at which each model is compared with them.
NESTED_ORDERS = {"mlp": (2, 4, 6), "conv": (2, 4, 6), "transformer": (2,)}


def floor(order: int) -> dict[str, float]:
    """Matrix products of the order-K model of a perceptron over those of the model itself.

    Forward: K + 1 products with the weights, K with the displacement. Gradient: those and, for each of K cotangents,
    one with the weights, one with the displacement (K - 1 of these) and one for the displacement: 5 K against 3.
    """
    return {"forward": 2 * order + 1, "gradient": 5 * order / 3}


def taylor_rows(name: str, orders: list[int]) -> list[dict]:
    """One row an order: forward and gradient of the Taylor model over those of the model."""
    f, params, x = MODELS[name]()
    new = moved(params)
    plain_forward, plain_gradient = timed(f, new, x), timed(gradient(f), new, x)
    rows = []
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
        if order in NESTED_ORDERS[name]:
            nested = timed(gradient(tn.taylor_expand(f, params, order, mode="nested")), new, x)
            row |= {
                "nested_over_taylor": nested["seconds"] / grad["seconds"],
                "nested_peak_megabytes": nested["peak_bytes"] / 1e6,
                "nested_compile_seconds": nested["compile_seconds"],
            }
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def neural_tangents_rows(names: list[str], orders: list[int]) -> list[dict]:
    """The same gradients by `neural_tangents`, in its own environment."""
    interpreter = os.environ.get("TAYLORNETS_NEURAL_TANGENTS")
    if not interpreter:
        return []
    request = json.dumps({"models": names, "orders": orders})
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    script = [interpreter, "-W", "ignore", str(HERE / "_taylor_models.py"), request]
    out = subprocess.run(script, capture_output=True, text=True, check=True, env=environment).stdout
    return json.loads(out.strip().splitlines()[-1])


def stacking_rows(order: int = 4) -> list[dict]:
    """What stacking the coefficients that meet the same matrix gains, by the number of rows of the batch."""
    f, params, x = MODELS["mlp"]()
    new = moved(params)
    chosen = _bilinear.STACK_ROWS
    rows = []
    for batch in (1, 4, 16, 64, 512):
        seconds = {}
        for label, limit in (("pairs", 0), ("stacked", 10**9)):
            _bilinear.STACK_ROWS = limit
            expansion = tn.taylor_expand(f, params, order)
            for kind, function in (("forward", expansion), ("gradient", gradient(expansion))):
                seconds[label, kind] = timed(function, new, x[:batch])["seconds"]
        row = {"batch": batch}
        row |= {kind: seconds["pairs", kind] / seconds["stacked", kind] for kind in ("forward", "gradient")}
        rows.append(row)
        print(json.dumps(row), flush=True)
    _bilinear.STACK_ROWS = chosen
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark and writes `results/taylor_mode*.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=["mlp", "conv", "transformer"])
    parser.add_argument("--orders", nargs="+", type=int, default=[2, 3, 4, 5, 6])
    parser.add_argument("--stacking", action="store_true", help="measure stacked products instead")
    options = parser.parse_args([] if arguments is None else arguments)
    record: dict = {"jax": jax.__version__, "python": platform.python_version(), "cores": os.cpu_count()}
    if options.stacking:
        record["stacking"] = stacking_rows()
        name = "taylor_mode_stacking"
    else:
        rows = [row for model in options.models for row in taylor_rows(model, options.orders)]
        compared = [m for m in options.models if m == "mlp"]
        others = neural_tangents_rows(compared, [k for k in options.orders if k in (4, 6)]) if compared else []
        for other in others:
            for row in rows:
                if (row["model"], row["order"]) == (other["model"], other["order"]):
                    row["neural_tangents_over_taylor"] = other["seconds"] / row["gradient_seconds"]
                    row["neural_tangents_peak_megabytes"] = other["peak_bytes"] / 1e6
                    print(row["model"], row["order"], "neural_tangents", row["neural_tangents_over_taylor"])
        record |= {"taylor_mode": rows, "neural_tangents": others}
        name = "taylor_mode_" + "_".join(options.models)
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
