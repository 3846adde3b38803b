"""The map of learners: examples needed against the dimension, for all learners that a run has measured."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taylornets.records import ClaimRecord, Figure, Plot, Series
from taylornets.report._regions import shaded

# By claim: title of the panel, and by model its label and the predicted exponent; None if it never learns the target.
_PANELS: dict[str, tuple[str, dict[str, tuple[str, int | None]]]] = {
    "sample_complexity": (
        "degree 2",
        {"ntk": ("NTK", 2), "quadratic": ("order 2", 1), "randomized": ("network, signs", 1)},
    ),
    "joint": (
        "dense degree 1 plus degree 2",
        {"linear": ("NTK", 2), "quadratic": ("order 2", None), "sum": ("orders 1 + 2", 1)},
    ),
    "degrees": ("degree 3", {"ntk": ("NTK", 3), "quadratic": ("order 2", 2), "cubic": ("order 3", 1)}),
    "hierarchical": ("degree 4", {"quadratic": ("order 2", 3), "hierarchical": ("hierarchical", 2)}),
}

_LEARNERS = (
    "NTK",
    "order 2",
    "order 3",
    "network, signs",
    "orders 1 + 2",
    "hierarchical",
)  # in the order of their colors


def map_of_learners(claims: Sequence[ClaimRecord]) -> Figure | None:
    """Builds the map from the records of a run; None without a measured learner.

    Args:
        claims: the records; `sample_complexity`, `joint`, `degrees` and `hierarchical` have the numbers of examples needed.

    Returns:
        One panel per target: measured points and slopes, the predicted slope through the last point, the regions in which a
        learner needs the fewest examples, and in the caption this learner in each dimension.
    """
    measured = {claim.claim: _needed(claim) for claim in claims if claim.claim in _PANELS}
    measured = {name: each for name, each in measured.items() if each[1] and len(each[0]) > 1}
    # Series without points give each learner the same color in all panels.
    shown = {_PANELS[name][1][model][0] for name, (_, curves) in measured.items() for model in curves}
    colors = [Series("", [], [], group=label) for label in _LEARNERS if label in shown]
    panels: list[Plot] = []
    winners: list[str] = []
    never: list[str] = []
    for name, (title, models) in _PANELS.items():
        if name not in measured:
            continue
        dimensions, curves = measured[name]
        series = [line for model, values in curves.items() for line in _lines(*models[model], dimensions, values)]
        by_label = {models[model][0]: values for model, values in curves.items()}
        series = [*colors, *series, *shaded(dimensions, by_label)]
        panels.append(Plot("dimension $d$", "examples needed, $n^*$", series, "log", "log", title))
        winners.append(f"{title}: {_winners(dimensions, by_label)}")
        never += [
            f"{label} ({title})"
            for model, (label, power) in models.items()
            if power is None and model in curves and not any(map(math.isfinite, curves[model]))
        ]
    if not panels:
        return None
    caption = (
        "Examples needed for a test error of a tenth of the variance, geometric means over seeds, with measured (predicted) "
        "exponents; dashed: predicted slopes, through the last point. Colored regions: the learner that needs the fewest "
        "examples, darker where it is the only one to learn the target. "
        f"Fewest examples, by dimension: {'; '.join(winners)}."
    )
    if never:
        caption += f" By parity, no number of examples is enough for {', '.join(never)}."
    return Figure("map_of_learners", "Which learner needs how many examples", panels, caption)


def _lines(label: str, power: int | None, dimensions: Sequence[float], values: Sequence[float]) -> list[Series]:
    """Returns the measured points of a learner, labeled with both exponents, and the predicted slope."""
    points = [(d, n) for d, n in zip(dimensions, values, strict=True) if math.isfinite(n)]
    if not points:
        return [Series(f"{label}: {'never' if power is None else 'not reached'}", [], [], group=label)]
    d, n = (np.array(column) for column in zip(*points, strict=True))
    slope = f"$d^{{{np.polyfit(np.log(d), np.log(n), 1)[0]:.1f}}}$" if len(points) > 1 else "one point"
    if power is None:
        return [Series(f"{label}: {slope} (never)", d, n, group=label)]
    guide = n[-1] * (d / d[-1]) ** power
    return [
        Series(f"{label}: {slope} ($d^{power}$)", d, n, group=label),
        Series("", d, guide, kind="theory", group=label),
    ]


def _needed(claim: ClaimRecord) -> tuple[list[float], dict[str, list[float]]]:
    """Returns dimensions, and geometric means over seeds by model, for the models with a value in each dimension."""
    detail: Mapping[str, Any] = claim.detail
    detail = detail.get("growth") or detail
    dimensions = [float(d) for d in detail.get("dimensions", ())]
    found: dict[str, list[float]] = {}
    for name in _PANELS[claim.claim][1]:
        if claim.claim == "hierarchical":  # means of the seeds
            found[name] = [float(n) for n in detail.get(name, ())]
        else:
            columns = zip(*(detail.get("examples_needed") or {}).get(name, ()), strict=True)
            found[name] = [math.exp(sum(math.log(float(n)) for n in column) / len(column)) for column in columns]
    return dimensions, {name: values for name, values in found.items() if values and len(values) == len(dimensions)}


def _winners(dimensions: Sequence[float], curves: Mapping[str, Sequence[float]]) -> str:
    """Names the learner with the fewest examples in each dimension, dimensions with the same one together."""
    best = [min(curves, key=lambda name, i=i: curves[name][i]) for i in range(len(dimensions))]
    parts: list[str] = []
    start = 0
    for i in range(1, len(best) + 1):
        if i == len(best) or best[i] != best[start]:
            span = f"d = {dimensions[start]:g}" + (f" to {dimensions[i - 1]:g}" if i - 1 > start else "")
            parts.append(f"{best[start]} ({span})")
            start = i
    return ", ".join(parts)
