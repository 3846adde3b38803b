"""`regime_from_evaluations`: the regime of a model of any framework, from its outputs along the line alone (theory 14)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from taylornets._checks import ArgumentError, order_of
from taylornets._regime._beyond import Beyond, summed, with_pieces
from taylornets._regime._chebyshev import DEGREE, LEVELS, MORE_LEVELS, UNRELIABLE, Coefficients, Level, taylor
from taylornets._regime._curve import DEGREES, within
from taylornets._regime._evaluator import NOISE, agreement
from taylornets._regime._orders import Orders, measured
from taylornets._regime._pieces import Pieces
from taylornets._regime._programs import RegimeSettings
from taylornets._regime._radius import HIDDEN, NODES, Distances
from taylornets._regime._result import Regime
from taylornets._regime._values import Values

_ACCURACY = 1e-3  # error of an interpolated point, relative to the tolerance of a radius and to the output change
_SMALL = 0.1  # terms below this fraction of the output change are measured against it
_TARGETS = {8: 1e-6, 4: 3e-3}  # accuracy at which an order needs no further evaluations, by bytes of a number
_NO_KERNEL = "not available without the parameters' derivatives"
_UNCLEAR = "cannot be determined from evaluations"
_WHY = "the outputs are not smooth along the line (ReLU, max pooling, top-k, low precision)"
MOST = (
    DEGREE * (LEVELS + MORE_LEVELS + 2) + DEGREES[-1] + 12
)  # evaluations: two at the ends, the levels, the line from 0 to 1, points of radii that are not interpolated


@dataclass(frozen=True)
class Terms:
    """Taylor terms and what is known of how they were computed.

    Attributes:
        terms: orders 0 to `max_order` or higher, shape `(K + 1, n, ...)`.
        levels: interpolants along the line, the largest interval first; may be empty.
        error: estimated relative errors of orders 1 to `max_order`; empty if exact up to rounding.
        absolute: estimated norms of the errors of orders 1 to K; empty if exact up to rounding.
        computed: the sentence of `Regime.computed`.
        displacement: as in `Regime`.
        fixed: as in `Regime`.
        reasons: as in `Regime`.
    """

    terms: np.ndarray
    levels: tuple[Level, ...] = ()
    error: tuple[float, ...] = ()
    absolute: tuple[float, ...] = ()
    computed: str = ""
    displacement: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    fixed: dict[str, str] = field(default_factory=dict[str, str])
    reasons: dict[str, str] = field(default_factory=dict[str, str])


def regime_from_evaluations(
    outputs: Callable[[float], Any],
    *,
    max_order: int = 4,
    threshold: float = 0.9,
    tolerance: float = 0.1,
    task: str = "auto",
    resum: int | None = 8,
    folder: Path | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Regime:
    """Determines the regime of a model of any framework from its outputs along the line `θ0 + t (θ1 − θ0)`.

    On that line, the term of order k is `f_k = o^(k)(0)/k!`, a derivative in one variable. The function `o` is interpolated at
    17 Chebyshev nodes on `[−r, r]`, `r = 1, 1/2, 1/4, ...`, and each order takes the `r` with the smallest estimated error:
    truncation, from the decay of the Chebyshev coefficients, plus rounding. A smooth model needs about 60 to 160 evaluations,
    which reach relative errors of 1e-8 in float64 and 1e-2 (order 4) in float32. ReLU, max pooling and top-k have no smooth
    line: beyond order 1 their terms usually cannot be had from evaluations, and the result says so: from the first order
    whose estimated error exceeds 0.05 on, values are NaN with a reason, and the verdict does not use them.

    Args:
        outputs: function of the number t; returns the outputs at `θ0 + t (θ1 − θ0)`, one array of shape `(n, ...)`, logits
            or predictions, in float64 where possible. The ends are t = 0 and t = 1; it is called with t from −1 to 4 and must
            be deterministic.
        max_order: the highest order, 1 to 8.
        threshold: as in `regime`.
        tolerance: as in `regime`.
        task: as in `regime`.
        resum: the highest order, 4, 6 or 8, of the resummation, as in `regime`. None leaves out what describes a line that no
            order explains: resummation, the tangent at the middle and pieces, up to 110 evaluations.
        folder: keeps every evaluation in this folder, so that an interrupted call resumes; None keeps none.
        progress: called with the number of evaluations made so far, after each one.

    Returns:
        A `Regime` with `term_error`, the estimated error of every order, and `evaluations`. The NTK drift is NaN and
        `displacement` is empty, since the parameters are not seen. Without a radius beyond 1 if `outputs` raises there.

    Raises:
        ArgumentError: if `outputs` is not a function or not deterministic (an active dropout layer), returns anything but one
            real array, another shape for another t, or NaN at t = 0; for arguments out of range.

    Source: theory 14.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> x, start, move = np.eye(2), np.ones((2, 1)), 0.5 * np.ones((2, 1))
        >>> found = tn.regime_from_evaluations(lambda t: (x @ (start + t * move)) ** 2, max_order=2)
        >>> [round(part, 6) for part in found.share]  # (1 + t/2)² = 1 + t + t²/4: 1 and 1/4 of 5/4
        [0.8, 0.2]
        >>> found.verdict
        'lazy: order 1 explains 96 % of the output change'
    """
    order_of("max_order", max_order, 1)
    if max_order > DEGREE // 2:
        raise ArgumentError(
            "max_order", f"an order from 1 to {DEGREE // 2}", str(max_order), "Higher orders need derivatives."
        )
    settings = RegimeSettings(max_order, threshold, tolerance, task, resum=resum)
    values = Values(outputs, "outputs", Path(folder) if folder is not None else None, progress)
    return assembled(from_values(values, settings), values, settings)


def from_values(values: Values, settings: RegimeSettings, known: np.ndarray | None = None) -> Terms:
    """Computes the Taylor terms from evaluations; those that are not reliable become NaN, with a reason.

    Args:
        values: the outputs along the line.
        settings: settings of the analysis.
        known: exact terms of orders 0 to `max_order`, shape `(max_order + 1, n, ...)`, if another method has computed them.
    """
    max_order, degree = settings.max_order, settings.degree
    computed = "computed from evaluations along the line"
    if not np.any(values.last - values.first):
        nothing = np.full((max_order, *values.first.shape), math.nan)
        return Terms(np.concatenate([values.first[None], nothing]), computed=computed)
    count = min(degree, DEGREE // 2)
    found = coefficients(values, count, 0 if known is not None else max_order)
    clear = known is not None or all(error <= UNRELIABLE for error in found.error[:max_order])
    if degree > max_order and clear and not _explains(found.terms if known is None else known, values, settings):
        found = coefficients(values, count)  # the resummation needs orders beyond `max_order`
    first_bad = next((k for k, error in enumerate(found.error, 1) if not error <= UNRELIABLE), None)
    terms, reasons, absolute = found.terms.copy(), dict[str, str](), found.absolute
    if first_bad is not None:
        terms[first_bad:] = math.nan
    if known is not None:
        terms = np.concatenate([known, terms[max_order + 1 :]])
        return Terms(terms, found.levels, absolute=(*(0.0,) * max_order, *absolute[max_order:]))
    if first_bad is not None and first_bad <= max_order:
        estimate = found.error[first_bad - 1]
        size = f"{estimate:.2g}" if math.isfinite(estimate) else "unbounded"
        reasons["term"] = f"order {first_bad} {_UNCLEAR} (estimated error {size}, more than {UNRELIABLE:g}): {_WHY}"
    return Terms(terms, found.levels, found.error[:max_order], absolute, computed, reasons=reasons)


def _explains(terms: np.ndarray, values: Values, settings: RegimeSettings) -> bool:
    return measured(values.first, terms[: settings.max_order + 1], values.last, 0.0, 1.0).explained(settings.threshold)


def coefficients(values: Values, max_order: int, needed: int | None = None) -> Coefficients:
    """Estimates the Taylor terms at t = 0 of the outputs along the line.

    Args:
        values: the outputs along the line.
        max_order: the highest order.
        needed: the highest order whose accuracy calls for further evaluations, by default `max_order`.
    """
    target = _TARGETS[8 if values.unit < 1e-12 else 4]
    movement = float(np.linalg.norm(values.last - values.first))
    scale = max(_SMALL * movement, values.unit * float(np.linalg.norm(values.first)))
    return taylor(values, max_order, values.unit, target, values.noise, scale, LEVELS + MORE_LEVELS, needed)


def _beyond(
    source: Terms, values: Values, orders: Orders, settings: RegimeSettings,
    local: Callable[[float], np.ndarray] | None,
) -> Beyond:  # fmt: skip
    """Resummation, midpoint and pieces."""
    if orders.still or settings.resum is None:
        return Beyond()
    found = summed(source.terms, orders, values.unit, settings.resum, source.absolute, _UNCLEAR)
    inside, error = within(values, orders)
    inside = inside or local
    if inside is None:
        size = f"{error:.2g}" if math.isfinite(error) else "unbounded"
        why = f"derivatives within the line {_UNCLEAR} (estimated error {size}): {_WHY}"
        return replace(found, reasons=found.reasons | {"midpoint": why, "pieces": why})
    return with_pieces(found, Pieces(inside, values.unit, orders), orders, settings.threshold)


def assembled(
    source: Terms, values: Values, settings: RegimeSettings, local: Callable[[float], np.ndarray] | None = None
) -> Regime:
    """Builds the result from Taylor terms and the outputs along the line.

    Args:
        source: the terms.
        values: the outputs along the line.
        settings: settings of the analysis.
        local: the exact terms of orders 0 to 2 in `s` at `t + s`, for outputs that are not smooth; None without derivatives.
    """
    unit = max(values.unit, values.noise / max(float(np.linalg.norm(values.first)), 1e-300))
    orders = measured(values.first, source.terms[: settings.max_order + 1], values.last, unit, settings.threshold)
    reasons = dict(source.reasons)
    if orders.reason and "term" not in reasons:
        reasons["term"] = orders.reason
    rounding = max(2 * unit * float(np.linalg.norm(values.last)), values.noise)
    nothing = (math.nan,) * settings.max_order
    radius, limit, even = (
        (nothing, NODES[-1], math.nan) if orders.still else _along(source, values, orders, settings, reasons)
    )
    more = _beyond(source, values, orders, settings, local)
    reasons |= {name: why for name, why in more.reasons.items() if why}
    if not orders.explained(settings.threshold) and orders.nearest <= rounding:
        reasons["explained"] = NOISE
    reasons.setdefault("ntk_drift", _NO_KERNEL)
    several = orders.last.ndim > 1 and orders.last.shape[-1] > 1
    predicts = settings.task == "classification" or (
        settings.task == "auto" and (several or orders.last.size == len(orders.last))
    )
    return Regime(
        max_order=settings.max_order,
        movement=orders.size / math.sqrt(len(orders.last)),
        share=orders.share,
        remainder=1 - sum(orders.share),
        error=orders.error,
        explained=tuple(1 - e**2 for e in orders.error),
        term=orders.term,
        odd=1 - even,
        even=even,
        radius=radius,
        radius_limit=limit,
        agreement=agreement(orders) if predicts else (),
        ntk_drift=math.nan,
        displacement=source.displacement,
        threshold=settings.threshold,
        tolerance=settings.tolerance,
        fixed=source.fixed,
        reasons=reasons,
        computed=source.computed,
        term_error=source.error,
        evaluations=values.count,
        resummed=more.resummed,
        resummed_error=more.resummed_error,
        midpoint=more.midpoint,
        pieces=more.pieces,
        singularities=more.singularities,
    )


def _along(
    source: Terms, values: Values, orders: Orders, settings: RegimeSettings, reasons: dict[str, str]
) -> tuple[tuple[float, ...], float, float]:
    """Radii of all orders, the largest t evaluated, and the contribution of the even orders."""
    try:
        even = orders.part((orders.last + values(-1.0)) / 2 - values.first)
    except Exception as error:
        even = math.nan
        reasons |= dict.fromkeys(
            ("odd", "even"), f"{type(error).__name__} at t = −1: {' '.join(str(error).split())[:160]}"
        )
    distances = Distances(orders.terms, settings.tolerance, values.unit)
    for t in NODES:
        try:
            distances.add(t, values.near(t, source.levels, _ACCURACY * settings.tolerance))
        except Exception as error:  # beyond the end point the model may not be defined
            if t <= 1:
                raise
            reasons["radius_limit"] = f"{type(error).__name__} at t = {t:g}: {' '.join(str(error).split())[:160]}"
            break
    rounding = max(2 * values.unit * float(np.linalg.norm(values.last)), values.noise)
    radius = tuple(
        math.nan if math.isnan(error) else distances.radius(k, rounding) for k, error in enumerate(orders.error, 1)
    )
    if any(math.isnan(r) and not math.isnan(e) for r, e in zip(radius, orders.error, strict=True)):
        reasons["radius"] = HIDDEN
    return radius, distances.points[-1][0], even
