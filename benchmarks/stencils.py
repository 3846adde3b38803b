"""The term of order k from k + 1 evaluations of the model (a stencil) compared with Taylor mode: cost and accuracy."""

from typing import Any

import jax
import jax.numpy as jnp

import taylornets as tn
from benchmarks import _measure
from benchmarks._taylor_models import MODELS, moved

_STEPS = tuple(2.0**-j for j in range(9))


def costs(order: int, toy: bool, repetitions: int) -> dict[str, dict[str, float]]:
    """Time of a forward pass relative to that of the model, in float32."""
    f, params, x = MODELS["mlp"](toy)
    new, terms = moved(params), tn.taylor_terms(f, params, order)
    programs = {
        "model": jax.jit(f),
        "stencil": jax.jit(tn.randomization.stencil(f, params, order)),
        "term": jax.jit(lambda new, x: terms(new, x)[order]),
    }
    functions = {name: (lambda program=program: program(new, x)) for name, program in programs.items()}
    times = _measure.interleaved(functions, repetitions)
    return {name: _measure.ratios(times, name, "model") for name in ("stencil", "term")}


def accuracy(order: int, toy: bool, dtype: Any) -> tuple[float, float]:
    """The smallest relative error of a stencil over all steps, relative to Taylor mode in float64, and its step."""
    f, params, x = MODELS["mlp"](toy)
    new, x = moved(params), x[:32]
    with jax.enable_x64(True):
        wide = [jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), tree) for tree in (params, new, x)]
        exact = tn.taylor_terms(f, wide[0], order)(*wide[1:])[order]
        start, end, inputs = (jax.tree.map(lambda a: jnp.asarray(a, dtype), tree) for tree in wide)
        errors = [
            float(jnp.abs(tn.randomization.stencil(f, start, order, step=h)(end, inputs) - exact).max()) for h in _STEPS
        ]
        scale = float(jnp.abs(exact).max())
    return min((error / scale, step) for error, step in zip(errors, _STEPS, strict=True))


def main(quick: bool) -> dict[str, Any]:
    orders, repetitions = ((3,), 3) if quick else ((1, 2, 3, 4, 5), 9)
    rows, measured = [], {}
    for order in orders:
        ratios = costs(order, quick, repetitions)
        single, double = (accuracy(order, quick, dtype) for dtype in (jnp.float32, jnp.float64))
        measured[order] = {"costs": ratios, "float32": single, "float64": double}
        rows.append(
            [
                order,
                _measure.show(ratios["stencil"]),
                order + 1,
                _measure.show(ratios["term"]),
                2 * order + 1,
                f"{single[0]:.1e} at {single[1]:g}",
                f"{double[0]:.1e} at {double[1]:g}",
            ]
        )
    columns = ["k", "stencil", "floor", "Taylor mode", "floor", "least error, float32", "least error, float64"]
    title = "mlp, forward pass relative to the model's; error of the stencil relative to the term, at the best step"
    return {
        "title": "Stencils compared with Taylor mode",
        "floors": [
            "a stencil of order k evaluates the model k + 1 times; Taylor mode needs 2 k + 1 products for each of its layers",
            "Taylor mode returns all orders up to k, accurate to rounding; a stencil returns one, with an error of order step²",
        ],
        "repetitions": repetitions,
        "measured": measured,
        "tables": [{"title": title, "columns": columns, "rows": rows}],
        "targets": [],
    }
