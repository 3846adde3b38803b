"""What the evaluator says about one movement, in numbers and in words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

_LISTED = 6  # names in a sentence
_FIELDS = {
    "term": "orders", "ntk_drift": "NTK drift", "odd": "odd orders", "even": "even orders",
    "radius_limit": "radius beyond the end",
}  # fmt: skip
NAMES = {1: "lazy", 2: "quadratic", 3: "cubic", 4: "quartic"}


@dataclass(frozen=True)
class Regime:
    """How the orders of the Taylor series share in a movement `M = f(θ1) − f(θ0)` over probe inputs.

    With the terms `f_k` along the straight line, `S_k = f_1 + … + f_k`, and inner products summed over inputs and outputs.
    Tuples have an entry for each of the orders 1 to `max_order`. Where the outputs have not moved, ratios are NaN; so is
    what cannot be had, with its reason.

    Attributes:
        max_order: the highest order.
        movement: root mean square over inputs of the norm of `M`, in the unit of the outputs.
        share: `⟨f_k, M⟩/‖M‖²`; with `remainder` they sum to 1. A share is negative where a term points against the movement.
        remainder: what is left for the orders above.
        error: `‖M − S_k‖/‖M‖`, of the order-k model at the end.
        explained: `1 − error²`: the part of the movement's square that orders up to k explain.
        term: `‖f_k‖/‖M‖`.
        odd: `⟨odd part, M⟩/‖M‖²`, odd part `[f(θ0+Δ) − f(θ0−Δ)]/2`: all odd orders together, exactly.
        even: the same of the even orders; the two sum to 1.
        radius: the largest part `t` of the displacement, `radius_limit` at most, up to which the order-k model's error at
            `θ0 + tΔ` stays below `tolerance` of the movement there; 0 where it does not even at the smallest `t` tried, NaN
            where rounding hides it.
        radius_limit: the largest `t` that was tried: 4, or 1 for models that cannot be looked at beyond the end.
        agreement: share of predicted classes that the order-k model shares with the network at the end; empty for regression.
        ntk_drift: 1 − cosine between the kernels at `θ0` and `θ1`; NaN where it was not asked for or cannot be had.
        displacement: by leaf, `‖Δ‖` and `‖Δ‖/‖θ0‖` (infinite for a leaf that began at zero).
        threshold: what must be explained for the verdict.
        tolerance: of the radius.
        fixed: leaves that do not move but differ between the two ends, and whose value was used at both: "start" or "end".
        reasons: by the name of a field, why numbers are missing from it.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> found = tn.regime(lambda w, x: x @ w, jnp.zeros((2, 1)), jnp.ones((2, 1)), jnp.eye(2), max_order=2)
        >>> found.order, found.verdict
        (1, 'lazy: order 1 explains 100 % of the movement')
    """

    max_order: int
    movement: float
    share: tuple[float, ...]
    remainder: float
    error: tuple[float, ...]
    explained: tuple[float, ...]
    term: tuple[float, ...]
    odd: float
    even: float
    radius: tuple[float, ...]
    radius_limit: float
    agreement: tuple[float, ...]
    ntk_drift: float
    displacement: Mapping[str, tuple[float, float]]
    threshold: float
    tolerance: float
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def order(self) -> int | None:
        """The smallest order up to which at least `threshold` of the movement is explained; None if none does."""
        return next((k for k, part in enumerate(self.explained, 1) if part >= self.threshold), None)

    @property
    def verdict(self) -> str:
        """The regime in a sentence.

        `lazy` is order 1, `quadratic` order 2, and so on; `beyond order K` says that no order up to `max_order` reaches the
        threshold. A series whose higher orders fall below the threshold again is said not to settle.
        """
        if not math.isfinite(self.movement):
            return "not finite: outputs at the end are NaN or infinite"
        if math.isnan(self.error[0]):
            return self._without_orders
        best = self.order
        last = self.max_order
        if best is None:
            words = f"beyond order {last}: {_said(last, self.explained[-1], self.error[-1])}"
            top = max(range(last), key=lambda i: -math.inf if math.isnan(self.explained[i]) else self.explained[i]) + 1
            if top != last and self.explained[top - 1] > 0:
                words += f"; best: {_said(top, self.explained[top - 1], self.error[top - 1])}"
            return words + (f"; {self.reasons['explained']}" if "explained" in self.reasons else "")
        words = f"{NAMES.get(best, f'order {best}')}: {_said(best, self.explained[best - 1], self.error[best - 1])}"
        if best > 1:
            words += f", {_said(best - 1, self.explained[best - 2], self.error[best - 2], brief=True)}"
        worse = next((k for k in range(best + 1, last + 1) if self.explained[k - 1] < self.threshold), None)
        if worse is not None:
            words += f"; the series does not settle, {_said(worse, self.explained[worse - 1], self.error[worse - 1])}"
        return words

    @property
    def _without_orders(self) -> str:
        """The verdict where order 1 says nothing."""
        if "term" in self.reasons and self.movement:
            return f"no Taylor series: {self.reasons['term']}, and the outputs have moved by {self.movement:.3g}"
        if self.movement:
            return (
                "no movement beyond rounding: the outputs differ from those of the initialization by no more than that"
            )
        return "no movement: the outputs are those of the initialization"

    @property
    def table(self) -> str:
        """The numbers as text, a line an order, the thresholds, whose settings were used, and why numbers are missing."""
        head = ("order", "share", "explained", "error", "radius", "agreement")
        rows: list[tuple[str, ...]] = [head]
        for i in range(self.max_order):
            agreement = _percent(self.agreement[i]) if self.agreement else "–"
            radius = f"≥ {self.radius_limit:g}" if self.radius[i] >= self.radius_limit else _number(self.radius[i])
            shares = _percent(self.share[i]), _percent(self.explained[i])
            rows.append((str(i + 1), *shares, _number(self.error[i]), radius, agreement))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        parts = f"odd orders {_percent(self.odd)}, even orders {_percent(self.even)}"
        return "\n".join(
            [
                *("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows),
                f"{parts}, NTK drift {_number(self.ntk_drift)}",
                f"(an order explains the movement from {100 * self.threshold:g} % on; radius: error below {self.tolerance:g})",
                *self.notes,
            ]
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on settings that differ between the ends, and on what is missing and why."""
        found: list[str] = []
        for end, where in (("start", "initialization"), ("end", "end")):
            names = [name for name, value in self.fixed.items() if value == end]
            if names:
                more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
                found.append(f"fixed at the {where}: {', '.join(names[:_LISTED])}{more}")
        by_reason: dict[str, list[str]] = {}
        verdict = self.verdict
        for name, reason in self.reasons.items():
            if reason in verdict:
                continue
            by_reason.setdefault(reason, []).append(_FIELDS.get(name, name))
        return (*found, *(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()))

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.table}"


def _percent(part: float) -> str:
    """One digit, or two where one would round up to the whole; a dash where there is no number."""
    if math.isnan(part):
        return "–"
    shown = f"{100 * part:.1f}"
    return f"{100 * part:.2f} %" if shown == "100.0" and part < 1 else f"{shown} %"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _said(order: int, explained: float, error: float, brief: bool = False) -> str:
    """What orders up to one explain; never rounded up to the whole. `brief` leaves the verb to the words before."""
    which = "order 1" if order == 1 else f"orders up to {order}"
    verb = "explains" if order == 1 else "explain"
    if not math.isfinite(error):
        return f"{which} {'is' if order == 1 else 'are'} not finite"
    if explained <= 0:
        return f"{which} {'is' if order == 1 else 'are'} off by {error:.3g} times the movement"
    digits = 0 if explained < 0.99 else 1 if explained < 0.999 else 2
    shown = f"{100 * explained:.{digits}f}"
    if brief:
        return f"{which} {_below(shown)} %"
    return f"{which} {verb} {'100' if shown == '100.00' and explained > 1 - 1e-9 else _below(shown)} % of the movement"


def _below(shown: str) -> str:
    """99.99 rather than 100 for what is not all."""
    return "99.99" if float(shown) >= 100 else shown
