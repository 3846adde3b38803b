"""The map of learners: examples needed against the dimension, for all learners that a run has measured."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from taylornets.records import ClaimRecord, Figure, Plot, Series

# By claim: title of the panel, and by model its label and the predicted exponent.
_PANELS: dict[str, tuple[str, dict[str, tuple[str, int]]]] = {
    "sample_complexity": (
        "degree 2",
        {"ntk": ("NTK", 2), "quadratic": ("order 2", 1), "randomized": ("network, signs", 1)},
    ),
    "degrees": ("degree 3", {"ntk": ("NTK", 3), "quadratic": ("order 2", 2), "cubic": ("order 3", 1)}),
    "hierarchical": ("degree 4", {"quadratic": ("order 2", 3), "hierarchical": ("hierarchical", 2)}),
}


def map_of_learners(claims: Sequence[ClaimRecord]) -> Figure | None:
    """Builds the map from the records of a run; None without a measured learner.

    Args:
        claims: the records; `sample_complexity`, `degrees` and `hierarchical` have the numbers of examples needed.

    Returns:
        One panel per degree: measured points, the predicted slope through the last one, and in the caption the learner that
        needs the fewest examples in each dimension.
    """
    panels: list[Plot] = []
    winners: list[str] = []
    for claim in claims:
        if claim.claim not in _PANELS:
            continue
        title, models = _PANELS[claim.claim]
        dimensions, needed = _needed(claim)
        curves = {name: needed[name] for name in models if name in needed and len(needed[name]) == len(dimensions)}
        if not curves or len(dimensions) < 2:
            continue
        series: list[Series] = []
        for name, values in curves.items():
            label, power = models[name]
            points = [(d, n) for d, n in zip(dimensions, values, strict=True) if math.isfinite(n)]
            if points:
                d, n = (list(column) for column in zip(*points, strict=True))
                series.append(Series(label, d, n, group=label))
                guide = [n[-1] * (at / d[-1]) ** power for at in d]
                series.append(Series(f"$d^{power}$", d, guide, kind="theory", group=label))
        panels.append(Plot("dimension $d$", "examples needed, $n^*$", series, "log", "log", title))
        winners.append(f"{title}: {_winners(dimensions, {models[name][0]: values for name, values in curves.items()})}")
    if not panels:
        return None
    caption = (
        "Examples needed for a test error of a tenth of the variance, geometric means over seeds; dashed: predicted slopes, "
        f"through the last point. Fewest examples, by dimension: {'; '.join(winners)}."
    )
    return Figure("map_of_learners", "Which learner needs how many examples", panels, caption)


def _needed(claim: ClaimRecord) -> tuple[list[float], dict[str, list[float]]]:
    """Returns dimensions, and geometric means over seeds by model."""
    detail: Mapping[str, Any] = claim.detail
    if claim.claim == "hierarchical":
        growth = detail.get("growth") or {}
        dimensions = [float(d) for d in growth.get("dimensions", ())]
        return dimensions, {
            name: [float(n) for n in values] for name, values in growth.items() if name in ("quadratic", "hierarchical")
        }
    dimensions = [float(d) for d in detail.get("dimensions", ())]
    found: dict[str, list[float]] = {}
    for name, rows in (detail.get("examples_needed") or {}).items():
        columns = zip(*rows, strict=True)
        found[name] = [math.exp(sum(math.log(float(n)) for n in column) / len(column)) for column in columns]
    return dimensions, found


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
