"""The hierarchical learner with different representations, on the harmonic of degree 4 of one coordinate (theory 16).

Test error over the variance of the target at n = 400 and 800 examples on the sphere in ten dimensions, for four seeds. The
penalty is selected on 500 validation examples.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import taylornets as tn
from benchmarks import _measure
from taylornets.learning import Cell, draw, padded_objective, penalty_path, run_cell

INPUTS, SIZES, SEEDS = 10, (400, 800), (0, 1, 2, 3)
WIDTH, PENALTIES = 32, (1e-3, 1e-4, 1e-5, 1e-6)
TARGET = f"z1**4 - {6 * INPUTS / (INPUTS + 4)!r}*z1**2 + {3 * INPUTS**2 / ((INPUTS + 2) * (INPUTS + 4))!r}"
REPRESENTATIONS: dict[str, dict[str, Any]] = {
    "t², D = 110": {"width": 110},
    "t², D = 40 of 55": {"width": 40},
    "ReLU, D = 512, first 65": {"width": 512, "activation": "relu", "keep": 65},
    "ReLU, D = 512, first 400": {"width": 512, "activation": "relu", "keep": 400},
    "ReLU and bias, D = 512, first 65": {"width": 512, "activation": "relu", "bias": 1.0, "keep": 65},
    "cubic ReLU, D = 512, first 65": {"width": 512, "activation": "cubic_relu", "keep": 65},
}
RAW = {"quadratic model on x, m = 400": "quadratic", "NTK on x": "ntk"}


def error(settings: dict[str, Any], n: int, seed: int, steps: int) -> float:
    """The test error of the quadratic model on a representation."""
    cell = Cell(INPUTS, n, seed, TARGET, model="quadratic")
    (x, y), held, new = (draw(cell, role, count) for role, count in (("train", n), ("validation", 500), ("test", 2000)))
    key = jax.random.key(seed)
    covariance = "empirical" if "bias" in settings else "sphere"
    h = tn.learners.hierarchical(key, x, **{"covariance": covariance, **settings})
    net, scale = h.network(jax.random.fold_in(key, 1), WIDTH), float(np.std(new[1]))
    risk = padded_objective(net, np.asarray(h(x)), y / scale, model="quadratic", power=4)
    found = []
    for step in penalty_path(risk, PENALTIES, key=key, max_steps=steps):
        errors = [
            np.asarray(net.term(2, step.w, jnp.asarray(h(inputs))))[:, 0] - wanted / scale
            for inputs, wanted in (held, new)
        ]
        found.append(tuple(float(np.mean(each**2)) for each in errors))
    return min(found)[1]


def raw(model: str, n: int, seed: int) -> float:
    """The test error of a model on the inputs themselves."""
    padded = n if model == "quadratic" else 0
    return run_cell(Cell(INPUTS, n, seed, TARGET, model=model, width=40 * INPUTS, padded=padded))["error"]


def main(quick: bool) -> dict[str, Any]:
    sizes, seeds = ((60,), (0,)) if quick else (SIZES, SEEDS)
    named = list(REPRESENTATIONS.items())[: 1 if quick else None]
    steps = 20 if quick else 600
    errors = {name: [[error(settings, n, seed, steps) for seed in seeds] for n in sizes] for name, settings in named}
    if not quick:
        errors |= {name: [[raw(model, n, seed) for seed in seeds] for n in sizes] for name, model in RAW.items()}
    rows = [[name, *(", ".join(f"{one:.3g}" for one in each) for each in found)] for name, found in errors.items()]
    best, others = errors[named[0][0]][0], [found[0] for name, found in errors.items() if name in RAW]
    return {
        "title": "Representations of the hierarchical learner",
        "tables": [
            {
                "title": f"Error over variance, d = {INPUTS}, seeds {', '.join(map(str, seeds))}",
                "columns": ["representation", *(f"n = {n}" for n in sizes)],
                "rows": rows,
            }
        ],
        "floors": ["K log K = 220 examples for the 55 quadratic forms in ten inputs"],
        "errors": errors,
        "targets": [
            _measure.target("t² at the smaller n: at most .1", f"{max(best):.3f}", max(best) <= 0.1),
            _measure.target("on x at the smaller n: at least .8", f"{min(map(min, others)):.2f}" if others else "not run",
                            not others or min(map(min, others)) >= 0.8),
        ],
    }  # fmt: skip
