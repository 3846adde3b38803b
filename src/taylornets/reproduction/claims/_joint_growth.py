"""Numbers of examples that the models of the claim `joint` need, against the dimension."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from taylornets import statistics
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import ClaimContext
from taylornets.reproduction.claims._joint_models import NAMES, Shape, kept_errors
from taylornets.reproduction.claims._studies import GOAL

# Predicted exponents of n*. The quadratic model never gets below the bound of parity, so that one point, at the largest n of
# the NTK, is enough for it.
PREDICTED = {"linear": 2, "sum": 1}
RATIOS = {"linear": (2, (0.5, 0.7, 1.0)), "sum": (1, (7.0, 10.0, 14.0)), "quadratic": (2, (1.0,))}


@dataclass(frozen=True)
class Growth:
    """Dimensions, seeds, and by model the power of `d` and the ratios of `n` to it."""

    dimensions: tuple[int, ...] = (12, 20, 28)
    seeds: int = 2
    ratios: Mapping[str, tuple[int, tuple[float, ...]]] = field(default_factory=lambda: RATIOS)

    @property
    def rows(self) -> int:
        """The largest `n`."""
        return max((n for d in self.dimensions for model in self.ratios for n in self.sizes(model, d)), default=0)

    def sizes(self, model: str, d: int) -> list[int]:
        """The values of `n` of a model in a dimension."""
        power, ratios = self.ratios[model]
        return [round(ratio * d**power) for ratio in ratios]


@dataclass(frozen=True)
class Needed:
    """Result of `measure`.

    Args:
        growth: the sizes.
        examples: `n*` by model, shape `(seeds, dimensions)`; infinite where no point lies below the goal.
        points: all results: model, `d`, seed, `n`, error, bound of parity and certified gap.
    """

    growth: Growth
    examples: dict[str, np.ndarray]
    points: list[dict[str, Any]]

    @property
    def obeys_parity(self) -> bool:
        """Whether the quadratic model stays above the bound of parity at every point."""
        return all(p["error"] >= p["bound"] * (1 - 1e-4) for p in self.points if p["model"] == "quadratic")

    def mean(self, model: str) -> np.ndarray:
        """Geometric means over the seeds, by dimension."""
        return np.exp(np.log(self.examples[model]).mean(axis=0))

    def detail(self) -> dict[str, Any]:
        """Returns dimensions, `n*` and all points, for the record and for the map of learners."""
        return {
            "goal": GOAL,
            "dimensions": self.growth.dimensions,
            "examples_needed": self.examples,
            "points": self.points,
        }

    def exponent(self, model: str) -> float:
        """Slope of `log n*` over `log d`; NaN where some `n*` is infinite."""
        values = self.mean(model)
        if not np.isfinite(values).all():
            return math.nan
        return statistics.loglog_slope(np.array(self.growth.dimensions, float), values)


def measure(context: ClaimContext, growth: Growth, shape: Shape, share: tuple[float, float]) -> Needed:
    """Measures `n*` of the three models; a curve ends at the first error below the goal, but not before its second point.

    Args:
        context: keeps finished points.
        growth: the sizes.
        shape: of the compiled programs.
        share: fractions of the claim at which this measurement begins and ends.

    Returns:
        The numbers of examples.
    """
    found = {model: np.zeros((growth.seeds, len(growth.dimensions))) for model in growth.ratios}
    points: list[dict[str, Any]] = []
    jobs = list(_jobs(growth))
    for done, (model, place, seed) in enumerate(jobs):
        d, curve = growth.dimensions[place], list[tuple[float, float]]()
        for n in growth.sizes(model, d):
            context.progress(share[0] + (share[1] - share[0]) * done / len(jobs), f"{NAMES[model]}, d = {d}, n = {n}")
            result = kept_errors(context, seed, d, n, shape, "gelu", (model,))
            curve.append((n, result[model]))
            facts = {"model": model, "d": d, "seed": seed, "n": n, "error": result[model]}
            points.append(facts | {"bound": result["bound"], "gap": result["gap"]})
            if result[model] < GOAL and len(curve) > 1:
                break
        found[model][seed, place] = crossing(curve)
    return Needed(growth, found, points)


def crossing(curve: list[tuple[float, float]]) -> float:
    """Returns `n*` of a curve; of a single point below the goal its `n`, an upper bound."""
    return curve[0][0] if len(curve) == 1 and curve[0][1] < GOAL else statistics.crossing(curve, GOAL)


def _jobs(growth: Growth) -> Iterator[tuple[str, int, int]]:
    for place in range(len(growth.dimensions)):
        for model in growth.ratios:
            for seed in range(growth.seeds):
                yield model, place, seed


def needed_figure(needed: Needed) -> Figure:
    """Draws `n*` against the dimension, with the predicted slopes."""
    d = np.array(needed.growth.dimensions, float)
    lines: list[Series] = []
    for model, power in PREDICTED.items():
        values = needed.mean(model)
        lines.append(Series(NAMES[model], d, values, group=NAMES[model]))
        guide = values[-1] * (d / d[-1]) ** power
        lines.append(Series(f"$d^{power}$", d, guide, kind="theory", group=NAMES[model]))
    return Figure(
        "needed", "The sum saves a factor d",
        (Plot("dimension $d$", "examples needed, $n^*$", lines, "log", "log"),),
        f"Examples needed for a test error of {GOAL:g} of the variance; geometric means over {needed.growth.seeds} seeds. "
        "Dashed: predicted slopes, through the last point. The quadratic model never gets there.",
    )  # fmt: skip


def needed_table(needed: Needed) -> Table:
    """Lists `n*`, and the error of the quadratic model at the largest `n`."""
    rows: list[list[Any]] = []
    for place, d in enumerate(needed.growth.dimensions):
        even = [p for p in needed.points if p["model"] == "quadratic" and p["d"] == d]
        largest = max(p["n"] for p in even)
        error = float(np.exp(np.mean([np.log(p["error"]) for p in even if p["n"] == largest])))
        linear, both = (float(needed.mean(model)[place]) for model in ("linear", "sum"))
        rows.append([d, linear, both, linear / both, largest, error])
    return Table(
        "needed", f"Examples required for a relative test error of {GOAL:g}, geometric means over {needed.growth.seeds} seeds, "
        "and the error of the quadratic model at the largest n.",
        ("d", "n*, NTK", "n*, sum of both", "NTK / sum", "largest n", "quadratic model: error there"), rows,
    )  # fmt: skip
