"""Which order learns which target, for the claim `higher_order` (theory 8)."""

from dataclasses import dataclass

import numpy as np

from taylornets.learning import Cell, run_cell
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import ClaimContext

MODELS = {
    "linear": "order 1", "quadratic": "order 2", "cubic": "order 3", "quartic": "order 4",
    "randomized": "network, signs", "randomized3": "network, signed moments of order 3",
}  # fmt: skip
TARGETS = {"square": "He₂", "hermite3": "He₃", "hermite4": "He₄", "hermite5": "He₅"}
_LONG = (3e-5, 3e-6, 3e-7, 3e-8, 3e-9, 3e-10, 3e-11)
PATHS = dict.fromkeys(MODELS, _LONG) | {"linear": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)}  # of penalties


@dataclass(frozen=True)
class Learning:
    """Numbers of examples by dimension, and targets, seeds, and models."""

    grid: tuple[tuple[int, tuple[int, ...]], ...]
    targets: tuple[str, ...]
    seeds: int = 5
    models: tuple[str, ...] = tuple(MODELS)


def learning(
    context: ClaimContext, sizes: Learning, begin: float
) -> tuple[dict[str, int], list[str], list[Figure], Table]:
    """Runs all cells; returns counts of the weakest penalty by model, the best order by target, figures, and the table."""
    grid, targets, models = dict(sizes.grid), sizes.targets, sizes.models
    jobs = [(d, n, t, m, s) for d in grid for m in models for n in grid[d] for t in targets for s in range(sizes.seeds)]
    errors: dict[tuple[int, str, str, int], list[float]] = {}
    weakest = {MODELS[model]: 0 for model in models}
    for done, (d, n, target, model, seed) in enumerate(jobs):
        context.progress(
            begin + (1 - begin) * done / len(jobs), f"{TARGETS[target]}, d = {d}, {MODELS[model]}, n = {n}"
        )
        key = 1000 * context.seed + seed
        found = run_cell(Cell(d, n, key, target, model=model, activation="exp", penalties=PATHS[model]))
        errors.setdefault((d, target, model, n), []).append(found["error"] if np.isfinite(found["error"]) else np.inf)
        weakest[MODELS[model]] += found["path"] == "weakest"
    figures: list[Figure] = []
    for d, examples in grid.items():
        panels: list[Plot] = []
        for target in targets:
            lines: list[Series] = []
            for model in models:
                values = np.log([errors[d, target, model, n] for n in examples])
                half = 1.96 * values.std(axis=1, ddof=1) / np.sqrt(sizes.seeds)
                mean = values.mean(axis=1)
                x = np.asarray(examples, float)
                low, high = np.exp(mean - half), np.exp(mean + half)
                lines.append(Series(MODELS[model], x, np.exp(mean), low, high, kind="line"))
            panels.append(Plot("examples $n$", "test error / variance", lines, "log", "log", TARGETS[target]))
        figures.append(
            Figure(
                f"learning_{d}", f"Test errors by order and target (d = {d})", tuple(panels),
                "Targets: Hermite polynomials of one coordinate, inputs on the unit sphere; activation exp, 256 units, "
                f"penalty selected by validation. Geometric means over {sizes.seeds} seeds with 95 % intervals.",
            )
        )  # fmt: skip
    rows = [
        [d, TARGETS[t], n, *(float(np.exp(np.mean(np.log(errors[d, t, m, n])))) for m in models)]
        for d, examples in grid.items() for t in targets for n in examples
    ]  # fmt: skip
    table = Table(
        "learning", f"Test error relative to the variance of the target, geometric mean over {sizes.seeds} seeds.",
        ("d", "target", "n", *(MODELS[m] for m in models)), rows,
    )  # fmt: skip
    best = [
        f"{TARGETS[t]} (d = {d}): {MODELS[min(models, key=lambda m: np.mean(np.log(errors[d, t, m, examples[-1]])))]}"
        for d, examples in grid.items() for t in targets
    ]  # fmt: skip
    return weakest, best, figures, table
