"""Regions of the plane of dimension and number of examples in which a learner needs the fewest examples."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from taylornets.records import Series

MARGIN = 1.6  # the regions end at this factor below the lowest and above the highest point
NONE = "no learner"


@dataclass
class Region:
    """Where one learner needs the fewest examples.

    Args:
        learner: its name.
        measured: the learners that are compared there.
        d: dimensions, ascending.
        first: number of examples that it needs.
        second: number of examples that the next learner needs; infinite if there is none.
    """

    learner: str
    measured: tuple[str, ...]
    d: list[float] = field(default_factory=list[float])
    first: list[float] = field(default_factory=list[float])
    second: list[float] = field(default_factory=list[float])


def regions_of(dimensions: Sequence[float], curves: Mapping[str, Sequence[float]]) -> list[Region]:
    """Divides the range of dimensions by the learner that needs the fewest examples.

    Args:
        dimensions: ascending.
        curves: numbers of examples by learner; between dimensions, `log n` is linear in `log d`. A learner is compared where
            both ends are finite.

    Returns:
        The regions, from the lowest dimension to the highest.
    """
    found: list[Region] = []
    for i in range(len(dimensions) - 1):
        left, right = math.log(dimensions[i]), math.log(dimensions[i + 1])
        ends = {name: (values[i], values[i + 1]) for name, values in curves.items()}
        lines = {name: np.log(pair) for name, pair in ends.items() if np.isfinite(pair).all()}
        if not lines:
            continue
        for begin, end in itertools.pairwise([0.0, *_crossings(list(lines.values())), 1.0]):
            ranked = sorted(lines, key=lambda name: _at(lines[name], (begin + end) / 2))
            region = Region(ranked[0], tuple(lines))
            if found and (found[-1].learner, found[-1].measured) == (region.learner, region.measured):
                region = found[-1]
            else:
                found.append(region)
            for share in (begin, end):
                region.d.append(math.exp(left + share * (right - left)))
                region.first.append(math.exp(_at(lines[ranked[0]], share)))
                region.second.append(math.exp(_at(lines[ranked[1]], share)) if len(ranked) > 1 else math.inf)
    return found


def _at(line: np.ndarray, share: float) -> float:
    return float(line[0] + share * (line[1] - line[0]))


def _crossings(lines: Sequence[np.ndarray]) -> list[float]:
    """Returns where two lines cross, as fractions of the interval, ascending."""
    shares: set[float] = set()
    for one, other in itertools.combinations(lines, 2):
        begin, end = one - other
        if begin * end < 0:
            shares.add(float(begin / (begin - end)))
    return sorted(shares)


def shaded(dimensions: Sequence[float], curves: Mapping[str, Sequence[float]]) -> list[Series]:
    """Builds the areas of a panel: one per region, a second one on top where no other learner reaches the goal, and the rest.

    Args:
        dimensions: ascending.
        curves: numbers of examples by the label of the learner.

    Returns:
        The areas; empty if no learner is measured in two dimensions.
    """
    regions = regions_of(dimensions, curves)
    finite = [n for values in curves.values() for n in values if math.isfinite(n)]
    if not regions:
        return []
    bottom, top = min(finite) / MARGIN, max(finite) * MARGIN
    found: list[Series] = []
    named: set[str] = set()
    for region in regions:
        label = "" if region.learner in named else f"fewest: {region.learner}"
        named.add(region.learner)
        ceiling = [min(n, top) for n in region.second]
        found.append(_area(label, region.d, region.first, [top] * len(region.d), region.learner))
        found.append(_area("", region.d, region.first, ceiling, region.learner))
        found.append(_area(NONE if region is regions[-1] else "", region.d, [bottom] * len(region.d), region.first, ""))
    return found


def _area(label: str, d: Sequence[float], low: Sequence[float], high: Sequence[float], group: str) -> Series:
    return Series(label, d, low, low, high, kind="region", group=group)
