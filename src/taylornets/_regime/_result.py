"""The result of `regime`: numbers, verdict and table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

_LISTED = 6  # names listed in a sentence
_FIELDS = {
    "term": "orders", "ntk_drift": "NTK drift", "odd": "odd orders", "even": "even orders",
    "radius_limit": "radius beyond the end point",
}  # fmt: skip
NAMES = {1: "lazy", 2: "quadratic", 3: "cubic", 4: "quartic"}


@dataclass(frozen=True)
class Regime:
    """Contributions of the Taylor orders to the output change `M = f(θ1) − f(θ0)` over probe inputs.

    The terms `f_k` are taken along the straight line from `θ0` to `θ1 = θ0 + Δ`; `S_k = f_1 + … + f_k`. Inner products are
    summed over inputs and outputs. Tuples have one entry per order from 1 to `max_order`. Ratios are NaN if the outputs did
    not change; values that could not be computed are NaN, with an entry in `reasons`.

    Attributes:
        max_order: the highest order.
        movement: root mean square over inputs of the norm of `M`, in units of the outputs.
        share: contribution of order k, `⟨f_k, M⟩/‖M‖²`; the contributions and `remainder` sum to 1. Negative if the term
            points against `M`.
        remainder: contribution of all orders above `max_order`.
        error: `‖M − S_k‖/‖M‖`, the relative error of the order-k model at `θ1`.
        explained: `1 − error²`, the fraction of `‖M‖²` explained by the orders up to k.
        term: `‖f_k‖/‖M‖`.
        odd: contribution of all odd orders, `⟨odd part, M⟩/‖M‖²` with the odd part `[f(θ0+Δ) − f(θ0−Δ)]/2`; exact.
        even: contribution of all even orders; `odd` and `even` sum to 1.
        radius: the largest multiple `t` of the displacement, at most `radius_limit`, up to which the error of the order-k
            model at `θ0 + tΔ` stays below `tolerance` times the output change there; 0 if it exceeds this at the smallest
            `t`, NaN if rounding hides it.
        radius_limit: the largest `t` evaluated: 4, or 1 for models that cannot be evaluated beyond `θ1`.
        agreement: fraction of probe inputs on which the order-k model and the network at `θ1` predict the same class; empty
            for regression.
        ntk_drift: 1 − cosine similarity between the kernels at `θ0` and `θ1`; NaN if not requested or not computable.
        displacement: `‖Δ‖` and `‖Δ‖/‖θ0‖` by leaf (the ratio is infinite for a leaf initialized at zero).
        threshold: fraction of `‖M‖²` that an order must explain for the verdict.
        tolerance: relative error that bounds the radius.
        fixed: fixed leaves that differ between the two end points, and the end point whose value was used: "start" or "end".
        reasons: why values are missing, keyed by field.
        computed: how the terms were computed, if not by Taylor mode in JAX: one sentence with the libraries and the checks.
        term_error: estimated error of the terms of order 1 and higher, relative to `‖f_k‖`, or to `‖M‖/10` for smaller
            terms; empty for terms that are exact up to rounding.
        evaluations: number of evaluations of the model along the line, if the terms were computed from them.
        by_group: the regime when only one group of leaves moves and the others stay at `θ0`, by name of the group.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> found = tn.regime(lambda w, x: x @ w, jnp.zeros((2, 1)), jnp.ones((2, 1)), jnp.eye(2), max_order=2)
        >>> found.order, found.verdict
        (1, 'lazy: order 1 explains 100 % of the output change')
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
    computed: str = ""
    term_error: tuple[float, ...] = ()
    evaluations: int = 0
    by_group: Mapping[str, "Regime"] = field(default_factory=dict[str, "Regime"])

    @property
    def order(self) -> int | None:
        """The smallest order k such that the orders up to k explain at least `threshold`; None if there is none."""
        return next((k for k, part in enumerate(self.explained, 1) if part >= self.threshold), None)

    @property
    def verdict(self) -> str:
        """The regime in one sentence.

        `lazy` stands for order 1, `quadratic` for order 2, and so on; `beyond order K` means that no order up to `max_order`
        reaches the threshold. The verdict adds that the series does not converge if a higher order falls below the
        threshold again.
        """
        if not math.isfinite(self.movement):
            return "not finite: the outputs at the end point are NaN or infinite"
        if math.isnan(self.error[0]):
            return self._without_orders
        if self._undetermined:
            return self._undetermined
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
            words += f"; the series does not converge, {_said(worse, self.explained[worse - 1], self.error[worse - 1])}"
        return words

    @property
    def _undetermined(self) -> str:
        """The verdict if no reliable order explains enough and the remaining ones are not reliable."""
        known = sum(not math.isnan(error) for error in self.error)
        if self.order is not None or not self.term_error or known == self.max_order:
            return ""
        which = "order 1 explains" if known == 1 else f"orders up to {known} explain"
        rest = (
            f"order {known + 1} has" if known + 1 == self.max_order else f"orders {known + 1} to {self.max_order} have"
        )
        return f"undetermined: {which} {_percent(self.explained[known - 1])} of the output change, and {rest} no reliable value"

    @property
    def _without_orders(self) -> str:
        """The verdict if the ratios are undefined."""
        if "term" in self.reasons and self.movement:
            return f"no Taylor series: {self.reasons['term']}, and the outputs have changed by {self.movement:.3g}"
        if self.movement:
            return "no output change beyond rounding: the outputs differ from those at initialization by rounding errors only"
        return "no output change: the outputs equal those at initialization"

    @property
    def table(self) -> str:
        """The numbers as text, one line per order, followed by the thresholds, the settings used, and missing values."""
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
                f"(verdict: at least {100 * self.threshold:g} % explained; radius: relative error below {self.tolerance:g})",
                *(
                    [f"estimated errors of the terms: {', '.join(map(_number, self.term_error))}"]
                    if self.term_error
                    else []
                ),
                *self.group_lines,
                *self.notes,
            ]
        )

    @property
    def group_lines(self) -> tuple[str, ...]:
        """One line per group, the group whose first order has the smallest radius first."""
        ranked = sorted(self.by_group.items(), key=lambda item: (math.isnan(r := item[1].radius[0]), r))
        return tuple(
            f"{name} alone: {_percent(found.movement / self.movement if self.movement else math.nan)} of the size of the "
            f"output change, radius of order 1 {_number(found.radius[0])}; {found.verdict}"
            for name, found in ranked
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on settings that differ between the end points, and on missing values with their reasons."""
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
        if self.computed:
            found.append(self.computed + (f" ({self.evaluations} evaluations)" if self.evaluations else ""))
        return (*found, *(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()))

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.table}"


def _percent(part: float) -> str:
    """Formats a percentage with one digit, or two if one would round up to 100; a dash for NaN."""
    if math.isnan(part):
        return "–"
    shown = f"{100 * part:.1f}"
    return f"{100 * part:.2f} %" if shown == "100.0" and part < 1 else f"{shown} %"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _said(order: int, explained: float, error: float, brief: bool = False) -> str:
    """States how much the orders up to `order` explain, never rounded up to 100 %. `brief` omits the verb and the object."""
    which = "order 1" if order == 1 else f"orders up to {order}"
    verb = "explains" if order == 1 else "explain"
    if not math.isfinite(error):
        return f"{which} {'is' if order == 1 else 'are'} not finite"
    if explained <= 0:
        return f"{which} {'is' if order == 1 else 'are'} off by {error:.3g} times the output change"
    digits = 0 if explained < 0.99 else 1 if explained < 0.999 else 2
    shown = f"{100 * explained:.{digits}f}"
    if brief:
        return f"{which} {_below(shown)} %"
    return f"{which} {verb} {'100' if shown == '100.00' and explained > 1 - 1e-9 else _below(shown)} % of the output change"


def _below(shown: str) -> str:
    """Shows 99.99 instead of 100 for values below 100 %."""
    return "99.99" if float(shown) >= 100 else shown
