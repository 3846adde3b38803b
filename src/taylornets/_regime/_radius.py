"""The radius of accuracy of each order along the line, and the parity split from the mirror image of the end point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from taylornets._evaluator import said
from taylornets._regime._orders import Orders, double
from taylornets._regime._programs import Programs

LIMIT = 4.0  # multiples of the displacement up to which radii are searched,
_STEPS_PER_OCTAVE = 4  # on a geometric grid,
_OCTAVES = 10  # down to 1/256

# The limit is a power of two, so that 1 lies on the grid too.
NODES = tuple(float(t) for t in LIMIT * 2.0 ** (-np.arange(_STEPS_PER_OCTAVE * _OCTAVES + 1)[::-1] / _STEPS_PER_OCTAVE))

_LOOP = "not evaluated outside the segment: the model has a while loop, which may not terminate there"
HIDDEN = "if the error crosses the tolerance, it does so where the output change is at the level of rounding"


@dataclass(frozen=True)
class Along:
    """Results from the outputs along the line.

    Attributes:
        radius: radius of each order, starting at order 1.
        limit: the largest multiple of the displacement that was evaluated.
        even: contribution of all even orders.
        rounding: norm of the rounding error in the outputs.
        reasons: why a value is missing, keyed by field of `Regime`.
    """

    radius: tuple[float, ...]
    limit: float
    even: float
    rounding: float
    reasons: dict[str, str]


def along(programs: Programs, end: Sequence[Any], orders: Orders, tolerance: float) -> Along:
    """Evaluates the model along the line: first on the segment, then outside it if termination is guaranteed.

    The cost outside the segment equals the cost on it, unless the model contains a loop of data-dependent length: a
    fixed-point iteration that converges at both end points need not converge beyond them, and a running program cannot be
    interrupted. Models with such a loop are not evaluated outside the segment. Errors there become reasons.

    Args:
        programs: compiled programs of the model.
        end: trainable leaves at the end point.
        orders: contributions of the Taylor terms.
        tolerance: relative error that bounds the radius.
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
        reasons["radius"] = HIDDEN
    return Along(radius, distances.points[-1][0], even, rounding, reasons)


def _mirrored(programs: Programs, end: Sequence[Any], orders: Orders) -> tuple[float, str]:
    """Contribution of all even orders, from the outputs at the mirror image of the end point; NaN with the reason."""
    try:
        mirror = programs.at(end, -1.0)
    except Exception as error:
        return math.nan, said(error)
    even = orders.part((orders.last + mirror) / 2 - orders.terms[0])
    return even, "" if math.isfinite(even) else "the outputs at the mirror image of the end point are not finite"


def _rounding(programs: Programs, end: Sequence[Any]) -> float:
    """Estimates the rounding error in the outputs: their change when every parameter moves by one unit in the last place.

    This is the effect of storing the parameters in the coarsest dtype of the computation. It also accounts for
    conditioning: outputs that result from cancellation carry the rounding error of the large terms. The signs are random;
    in bfloat16, float16 and 8-bit floats the estimate was one to four times the rounding error of perceptrons and
    residual networks.
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
    """Approximation errors of the Taylor models at points along the line.

    Attributes:
        terms: the Taylor terms, shape `(K + 1, n, ...)`.
        tolerance: error relative to the output change at the same point.
        unit: unit roundoff of the computation.
        points: for each point `t`, the output change, the norm of the outputs, and the error of each order.
    """

    terms: np.ndarray
    tolerance: float
    unit: float
    points: list[tuple[float, float, float, list[float]]] = field(
        default_factory=list[tuple[float, float, float, list[float]]]
    )

    def add(self, t: float, outputs: np.ndarray) -> None:
        """Adds a point; points must arrive in ascending order."""
        model, found = self.terms[0], list[float]()
        for k in range(1, len(self.terms)):
            model = model + t**k * self.terms[k]
            found.append(float(np.linalg.norm(outputs - model)))
        moved = float(np.linalg.norm(outputs - self.terms[0]))
        self.points.append((t, moved, float(np.linalg.norm(outputs)), found))

    def radius(self, order: int, rounding: float) -> float:
        """Finds where the error of an order first crosses the tolerance, interpolating by a power law.

        Points are skipped if the output change is so small that an error at the tolerance would be rounding.

        Args:
            order: the order, at least 1.
            rounding: norm of the rounding error in the outputs.

        Returns:
            The crossing point `t`; the last point if there is no crossing, 0 if the first point exceeds the tolerance, NaN
            if rounding hides the crossing.
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
