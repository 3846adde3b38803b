"""How far along the line the Taylor model of each order can be trusted, and what the mirror image of the end says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from taylornets._evaluator import said
from taylornets._regime._orders import Orders, double
from taylornets._regime._programs import Programs

LIMIT = 4.0  # parts of the displacement up to which radii are looked for,
_STEPS_PER_OCTAVE = 4  # on a geometric grid,
_OCTAVES = 10  # down to 1/256

# The limit is a power of two, so that 1 lies on the grid too.
NODES = tuple(float(t) for t in LIMIT * 2.0 ** (-np.arange(_STEPS_PER_OCTAVE * _OCTAVES + 1)[::-1] / _STEPS_PER_OCTAVE))

_LOOP = "not looked at outside of the ends: the model has a while loop, which may not end there"
_HIDDEN = "the error crosses the tolerance, if at all, where the outputs have changed by no more than rounding"


@dataclass(frozen=True)
class Along:
    """What the outputs along the line say.

    Attributes:
        radius: of each order from 1 on.
        limit: the largest part of the displacement that was looked at.
        even: the share of all even orders.
        rounding: what rounding does to the outputs, a norm.
        reasons: by the names of fields of `Regime`, why a number is missing.
    """

    radius: tuple[float, ...]
    limit: float
    even: float
    rounding: float
    reasons: dict[str, str]


def along(programs: Programs, end: Sequence[Any], orders: Orders, tolerance: float) -> Along:
    """Looks at the line: between the ends first, and outside of them only where that is sure to end.

    A program takes as long outside as between the ends, unless it holds a loop whose length depends on what it computes: a
    fixed point that converges at both ends need not converge beyond them, and a program that runs cannot be stopped. A model
    with such a loop is not looked at outside. Errors out there become reasons.

    Args:
        programs: of the model.
        end: its leaves that move.
        orders: its Taylor terms.
        tolerance: of the radius.
    """
    distances = Distances(orders.terms, tolerance, programs.unit)
    for t in NODES:
        if t <= 1:
            distances.add(t, orders.last if t == 1 else programs.at(end, t))
    rounding, even = 0.0, math.nan
    reasons: dict[str, str] = {}
    if programs.loops:
        reasons |= dict.fromkeys(("odd", "even", "radius_limit"), _LOOP)
    else:
        even, why = _mirrored(programs, end, orders)
        reasons |= dict.fromkeys(("odd", "even"), why) if why else {}
        try:
            rounding = _rounding(programs, end)
            for t in NODES:
                if t > 1:
                    distances.add(t, programs.at(end, t))
        except Exception as error:
            reasons["radius_limit"] = said(error)
    radius = tuple(
        math.nan if math.isnan(error) else distances.radius(k, rounding) for k, error in enumerate(orders.error, 1)
    )
    if any(math.isnan(r) and not math.isnan(e) for r, e in zip(radius, orders.error, strict=True)):
        reasons["radius"] = _HIDDEN
    return Along(radius, distances.points[-1][0], even, rounding, reasons)


def _mirrored(programs: Programs, end: Sequence[Any], orders: Orders) -> tuple[float, str]:
    """The share of all even orders, by the outputs at the mirror image of the end; NaN with the reason."""
    try:
        mirror = programs.at(end, -1.0)
    except Exception as error:
        return math.nan, said(error)
    even = orders.part((orders.last + mirror) / 2 - orders.terms[0])
    return even, "" if math.isfinite(even) else "the outputs at the mirror image of the end are not finite"


def _rounding(programs: Programs, end: Sequence[Any]) -> float:
    """What rounding does to the outputs: their change when every parameter moves by a unit in its last place.

    That is what storing the parameters in the coarsest type of the computation does. It measures the conditioning too:
    outputs that are small because large numbers cancel carry the rounding of the large ones. The signs are random; in
    bfloat16, float16 and byte floats the estimate lay between one and four times the rounding of perceptrons and residual
    networks.
    """
    signs = np.random.default_rng(0)
    moved: list[Any] = []
    for leaf, other in zip(programs.segment.start, end, strict=True):
        a = double(leaf)
        size = np.maximum(np.abs(a), np.abs(double(other)))
        moved.append(jnp.asarray(a + programs.unit * size * signs.choice([-1.0, 1.0], a.shape), leaf.dtype))
    change = float(np.linalg.norm(programs.at(moved, 1.0) - programs.first))
    return change if math.isfinite(change) else 0.0


@dataclass(frozen=True)
class Distances:
    """Distances of the Taylor models from the model, point by point.

    Attributes:
        terms: the Taylor terms, shape `(K + 1, n, ...)`.
        tolerance: of a distance, relative to the output change at the same point.
        unit: of rounding in the computation.
        points: for each point its place `t`, the output change, the norm of the outputs, and the distance of each order.
    """

    terms: np.ndarray
    tolerance: float
    unit: float
    points: list[tuple[float, float, float, list[float]]] = field(
        default_factory=list[tuple[float, float, float, list[float]]]
    )

    def add(self, t: float, outputs: np.ndarray) -> None:
        """Measures at a point; points come in ascending order."""
        model, found = self.terms[0], list[float]()
        for k in range(1, len(self.terms)):
            model = model + t**k * self.terms[k]
            found.append(float(np.linalg.norm(outputs - model)))
        moved = float(np.linalg.norm(outputs - self.terms[0]))
        self.points.append((t, moved, float(np.linalg.norm(outputs)), found))

    def radius(self, order: int, rounding: float) -> float:
        """Where the error of an order first crosses the tolerance, between two points by a power law.

        Points whose output change is so small that an error at the tolerance would be rounding are left out.

        Args:
            order: from 1 on.
            rounding: what rounding does to the outputs, a norm.

        Returns:
            The last point where it does not cross, 0 where it has crossed at the first one, NaN where rounding hides it.
        """
        before: tuple[float, float] | None = None
        for i, (t, moved, norm, found) in enumerate(self.points):
            if math.isfinite(moved) and self.tolerance * moved <= max(rounding, self.unit * norm):
                continue
            error = found[order - 1] / moved
            if error <= self.tolerance:  # false for NaN
                before = t, error
            elif before is None:
                return math.nan if i else 0.0
            else:
                return _crossing(before, (t, error), self.tolerance)
        return math.nan if before is None else self.points[-1][0]


def _crossing(before: tuple[float, float], after: tuple[float, float], tolerance: float) -> float:
    if not math.isfinite(after[1]) or before[1] <= 0:
        return before[0]
    slope = math.log(after[1] / before[1]) / math.log(after[0] / before[0])
    return before[0] * (tolerance / before[1]) ** (1 / slope)
