"""`regime_from_evaluations`: the regime of a model of any framework, from its outputs along the line alone (theory 14)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from taylornets._checks import ArgumentError, order_of
from taylornets._regime._chebyshev import DEGREE, LEVELS, MORE_LEVELS, Coefficients, Level, taylor
from taylornets._regime._evaluator import NOISE, agreement
from taylornets._regime._orders import Orders, measured
from taylornets._regime._programs import RegimeSettings
from taylornets._regime._radius import HIDDEN, NODES, Distances
from taylornets._regime._result import Regime
from taylornets._regime._values import Values

UNRELIABLE = 0.05  # estimated error of a term from which on no value is reported
_ACCURACY = 1e-3  # error of an interpolated point, relative to the tolerance of a radius and to the output change
_SMALL = 0.1  # terms below this fraction of the output change are measured against it
_TARGETS = {8: 1e-6, 4: 3e-3}  # accuracy at which an order needs no further evaluations, by bytes of a number
_NO_KERNEL = "not available without the parameters' derivatives"
MOST = (
    DEGREE * (LEVELS + MORE_LEVELS + 2) + 12
)  # evaluations: two at the ends, the levels, points of radii that are not interpolated


@dataclass(frozen=True)
class Terms:
    """Taylor terms and what is known of how they were computed.

    Attributes:
        terms: orders 0 to `max_order`, shape `(max_order + 1, n, ...)`.
        levels: interpolants along the line, the largest interval first; may be empty.
        error: estimated relative errors; empty if exact up to rounding.
        computed: the sentence of `Regime.computed`.
        displacement: as in `Regime`.
        fixed: as in `Regime`.
        reasons: as in `Regime`.
    """

    terms: np.ndarray
    levels: tuple[Level, ...] = ()
    error: tuple[float, ...] = ()
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
    folder: Path | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Regime:
    """Determines the regime of a model of any framework from its outputs along the line `θ0 + t (θ1 − θ0)`.

    On that line, the term of order k is `f_k = o^(k)(0)/k!`, a derivative in one variable. The function `o` is interpolated at
    17 Chebyshev nodes on `[−r, r]`, `r = 1, 1/2, 1/4, ...`, and each order takes the `r` with the smallest estimated error:
    truncation, from the decay of the Chebyshev coefficients, plus rounding. A smooth model needs about 40 to 130 evaluations,
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
    settings = RegimeSettings(max_order, threshold, tolerance, task)
    values = Values(outputs, "outputs", Path(folder) if folder is not None else None, progress)
    return assembled(from_values(values, max_order), values, settings)


def from_values(values: Values, max_order: int) -> Terms:
    """Computes the Taylor terms from evaluations; those that are not reliable become NaN, with a reason."""
    computed = "computed from evaluations along the line"
    if not np.any(values.last - values.first):
        nothing = np.full((max_order, *values.first.shape), math.nan)
        return Terms(np.concatenate([values.first[None], nothing]), computed=computed)
    found = coefficients(values, max_order)
    first_bad = next((k for k, error in enumerate(found.error, 1) if not error <= UNRELIABLE), None)
    terms, reasons = found.terms.copy(), dict[str, str]()
    if first_bad is not None:
        terms[first_bad:] = math.nan
        estimate = found.error[first_bad - 1]
        size = f"{estimate:.2g}" if math.isfinite(estimate) else "unbounded"
        reasons["term"] = (
            f"order {first_bad} cannot be determined from evaluations (estimated error {size}, more than {UNRELIABLE:g}): "
            "the outputs are not smooth along the line (ReLU, max pooling, top-k, low precision)"
        )
    return Terms(terms, found.levels, found.error, computed, reasons=reasons)


def coefficients(values: Values, max_order: int, levels: int = LEVELS + MORE_LEVELS) -> Coefficients:
    """Estimates the Taylor terms at t = 0 of the outputs along the line, from at most this many intervals."""
    target = _TARGETS[8 if values.unit < 1e-12 else 4]
    movement = float(np.linalg.norm(values.last - values.first))
    scale = max(_SMALL * movement, values.unit * float(np.linalg.norm(values.first)))
    return taylor(values, max_order, values.unit, target, values.noise, scale, levels)


def assembled(source: Terms, values: Values, settings: RegimeSettings) -> Regime:
    """Builds the result from Taylor terms and the outputs along the line.

    Args:
        source: the terms.
        values: the outputs along the line.
        settings: settings of the analysis.
    """
    unit = max(values.unit, values.noise / max(float(np.linalg.norm(values.first)), 1e-300))
    orders = measured(values.first, source.terms, values.last, unit, settings.threshold)
    reasons = dict(source.reasons)
    if orders.reason and "term" not in reasons:
        reasons["term"] = orders.reason
    rounding = max(2 * unit * float(np.linalg.norm(values.last)), values.noise)
    nothing = (math.nan,) * settings.max_order
    radius, limit, even = (
        (nothing, NODES[-1], math.nan) if orders.still else _along(source, values, orders, settings, reasons)
    )
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
