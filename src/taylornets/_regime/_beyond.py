"""Descriptions beyond the plain orders: resummation, singularities, midpoint, pieces and layer groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from taylornets._checks import ArgumentError
from taylornets._evaluator import said
from taylornets._regime._groups import LayerGroups, layer_groups
from taylornets._regime._orders import Orders, finite_orders
from taylornets._regime._pieces import Pieces
from taylornets._regime._programs import Programs, RegimeSettings
from taylornets._regime._summation import ORDERS, Singularities, ended, singularities, weighted


@dataclass(frozen=True)
class Beyond:
    """Values of the fields of `Regime` with the same names, and why others are missing."""

    resummed: dict[int, float] = field(default_factory=dict[int, float])
    resummed_error: float = math.nan
    midpoint: float = math.nan
    pieces: dict[int, int | None] = field(default_factory=dict[int, int | None])
    singularities: Singularities | None = None
    groups: LayerGroups | None = None
    reasons: dict[str, str] = field(default_factory=dict[str, str])


def series(programs: Programs, end: Sequence[Any], settings: RegimeSettings) -> tuple[np.ndarray, str]:
    """The terms up to the order of the resummation, or up to `max_order` and why, if those do not fit into memory."""
    if settings.degree > settings.max_order:
        try:
            return programs.terms(end, settings.degree), ""
        except ArgumentError as error:
            if error.argument != "max_order":
                raise
            return programs.terms(end), f"the series needs more memory: {error.got}"
    nested = settings.resum is not None and settings.resum > settings.degree
    return programs.terms(end), 'not computed with mode="nested", whose cost doubles with every order' if nested else ""


def summed(
    terms: np.ndarray, orders: Orders, unit: float, resum: int | None, absolute: Sequence[float] = (),
    missing: str = "is not finite at the initialization",
) -> Beyond:  # fmt: skip
    """Sums the series beyond its radius, and locates its singularities.

    Args:
        terms: orders 0 to K.
        orders: the output change.
        unit: unit roundoff of the terms.
        resum: the highest order of the resummation, at most K; None for none.
        absolute: estimated norms of the errors of the terms from order 1 on; none by default.
        missing: why orders are NaN.
    """
    last = finite_orders(terms)
    if last < ORDERS[0]:
        why = "" if resum is None or orders.reason else f"order {last + 1} {missing}"
        return Beyond(reasons={"resummed": why} if why else {})
    cut = len(terms) > last + 1  # not analytic at the initialization: lower terms that vanish do not end the series
    terms = np.concatenate([orders.terms[:1], terms[1 : last + 1]])
    nearest, missed = ended(terms, singularities(terms, unit), orders.last, unit)
    shown, why = (None, f"order {last + 1} {missing}") if cut else (nearest, "")
    if resum is None:
        return Beyond(singularities=shown, reasons={"singularities": why} if why else {})
    top = min(last, resum)
    parts = {k: weighted(terms, k, nearest) for k in range(min(ORDERS[0], top - 2), top + 1)}
    sums = {k: rows.sum(axis=0) for k, rows in parts.items()}

    def part(difference: np.ndarray) -> float:
        return float(np.linalg.norm(difference)) ** 2 / orders.size**2

    known = {k: 1 - part(orders.movement - sums[k]) if k <= top else math.nan for k in ORDERS if k <= resum}
    error = max(part(sums[top] - sums[k]) for k in (top - 2, top - 1)) + missed / orders.size**2
    error += (sum(map(_weighed, absolute, terms[1:], parts[top])) / orders.size) ** 2
    if last < resum:  # the terms cannot tell what the missing ones add
        error = math.nan
    reasons = {"singularities": why} | ({} if last >= resum else {"resummed": why}) if why else {}
    return Beyond(known, error, singularities=shown, reasons=reasons)


def _weighed(error: float, term: np.ndarray, part: np.ndarray) -> float:
    """The error of a weighted term, distributed over the examples like the term."""
    size = float(np.linalg.norm(term))
    return error * float(np.linalg.norm(part)) / size if size else error


def described(
    programs: Programs,
    end: Sequence[Any],
    orders: Orders,
    summary: Beyond,
    settings: RegimeSettings,
    of: Sequence[str] | None,
) -> Beyond:
    """Adds midpoint and pieces, and the layer groups if requested; whatever fails becomes a reason.

    Args:
        programs: compiled programs of the model.
        end: trainable leaves at the end point.
        orders: the output change.
        summary: the result so far.
        settings: settings of the analysis.
        of: the group of each trainable leaf; None for no groups.
    """
    pieces = Pieces(lambda t: programs.local(end, t), programs.unit, orders)
    summary = with_pieces(summary, pieces, orders, settings.threshold)
    if of is None:
        return summary
    try:
        return replace(summary, groups=layer_groups(programs, end, orders, of, settings.degree))
    except Exception as error:
        return replace(summary, reasons=summary.reasons | {"groups": said(error)})


def with_pieces(summary: Beyond, pieces: Pieces, orders: Orders, threshold: float) -> Beyond:
    """Adds midpoint and pieces; whatever fails becomes a reason."""
    middle, counts, reasons = math.nan, dict[int, int | None](), dict(summary.reasons)
    try:
        middle = pieces.midpoint()
        for order in (1, 2):
            enough = len(orders.error) >= order and 1 - orders.error[order - 1] ** 2 >= threshold
            counts[order] = 1 if enough else pieces.fewest(order, threshold)
    except Exception as error:
        reasons["pieces"] = said(error)
    if not math.isfinite(middle):
        middle = math.nan
        reasons.setdefault("midpoint", reasons.get("pieces", "the derivative at the middle of the line is not finite"))
    return replace(summary, midpoint=middle, pieces=counts, reasons=reasons)
