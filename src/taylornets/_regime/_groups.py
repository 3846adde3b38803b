"""Groups of layers: which one limits the radius of convergence, and how pairs of them interact at second order (theory 14)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets._checks import ArgumentError, shown
from taylornets._regime._orders import Orders
from taylornets._regime._programs import BLOCKS, Programs
from taylornets._regime._summation import ORDERS, ended, singularities

_MOST = 64
_RAISED = 1.1  # factor by which the radius grows without a group that limits it; a heuristic


@dataclass(frozen=True)
class LayerGroups:
    """Groups of leaves along the line: their radii of convergence and their interactions at second order.

    Attributes:
        names: names of the groups, in the order of the leaves.
        only: median radius of convergence if only this group moves.
        without: the same if all other groups move.
        together: the same if all groups move.
        interactions: `G_ab = ½⟨D²f[Δ_a, Δ_b], M⟩/‖M‖²`, a symmetric matrix whose entries sum to `share[1]`; by row.
    """

    names: tuple[str, ...]
    only: tuple[float, ...]
    without: tuple[float, ...]
    together: float
    interactions: tuple[tuple[float, ...], ...]

    @property
    def limiting(self) -> str | None:
        """The group without which the radius is largest, if that is at least 10 % larger than the radius of all groups."""
        known = {name: r for name, r in zip(self.names, self.without, strict=True) if not math.isnan(r)}
        if len(self.names) < 2 or not known:
            return None
        best = max(known, key=lambda name: known[name])
        return best if known[best] > _RAISED * self.together else None


def group_names(leaves: Sequence[str], groups: str | Callable[[str], str]) -> list[str]:
    """The group of each leaf: up to the first numbered part of its name with "blocks", else what the function returns.

    Args:
        leaves: names of the leaves, such as `blocks.2.norm.scale`.
        groups: "blocks" or a function of the name.

    Raises:
        ArgumentError: for a function that does not return a string, or more than 64 groups.
    """
    found = [_block(name) if groups == BLOCKS or isinstance(groups, str) else groups(name) for name in leaves]
    for name, group in zip(leaves, found, strict=True):
        if not isinstance(group, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError("groups", "a function that returns the name of a group", f"{shown(group)} for {name}")
    if len(set(found)) > _MOST:
        advice = "Pass a function that returns fewer distinct names: pairs of groups are evaluated."
        raise ArgumentError("groups", f"at most {_MOST} groups", str(len(set(found))), advice)
    return found


def _block(name: str) -> str:
    parts = name.split(".")
    for i, part in enumerate(parts):
        if part[-1:].isdigit():
            return ".".join(parts[: i + 1])
    return parts[0]


def layer_groups(programs: Programs, end: Sequence[Any], orders: Orders, of: Sequence[str], degree: int) -> LayerGroups:
    """Computes radii and interactions: `2 G` series of the given degree, and `G(G + 1)/2` of order 2, for `G` groups.

    Args:
        programs: compiled programs of the model.
        end: trainable leaves at the end point.
        orders: the output change.
        of: the group of each trainable leaf.
        degree: order of the series for the radii, at least 4.
    """
    start, names = programs.segment.start, tuple(dict.fromkeys(of))
    degree = max(degree, ORDERS[0])

    def moved(chosen: Sequence[str]) -> list[Any]:
        return [b if group in chosen else a for a, b, group in zip(start, end, of, strict=True)]

    def radius(chosen: Sequence[str]) -> float:
        there = moved(chosen)
        terms = programs.terms(there, degree)
        if not np.isfinite(terms).all():
            return math.nan
        nearest = singularities(terms, programs.unit)
        return ended(terms, nearest, programs.at(there, 1.0), programs.unit)[0].median

    def second(chosen: Sequence[str]) -> np.ndarray:
        return programs.local(moved(chosen), 0.0)[2]

    single = {name: second([name]) for name in names}
    matrix = np.zeros((len(names), len(names)))
    for i, a in enumerate(names):
        matrix[i, i] = orders.part(single[a])
        for j, b in enumerate(names[:i]):
            # f_2(Δ_a + Δ_b) − f_2(Δ_a) − f_2(Δ_b) = D²f[Δ_a, Δ_b], of which each of the two entries is half.
            matrix[i, j] = matrix[j, i] = orders.part(second([a, b]) - single[a] - single[b]) / 2
    return LayerGroups(
        names,
        tuple(radius([name]) for name in names),
        tuple(radius([other for other in names if other != name]) for name in names),
        radius(names),
        tuple(tuple(map(float, row)) for row in matrix),
    )
