"""The result of `regime`: numbers, verdict and table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from taylornets._regime._groups import LayerGroups
from taylornets._regime._summation import Singularities
from taylornets._regime._verdict import rounded as _percent
from taylornets._regime._verdict import whole, within, without

_LISTED = 6  # names listed in a sentence
_FIELDS = {
    "term": "orders", "ntk_drift": "NTK drift", "odd": "odd orders", "even": "even orders",
    "radius_limit": "radius beyond the end point", "resummed": "resummation",
    "singularities": "radius of convergence", "groups": "layer groups",
}  # fmt: skip


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
        resummed: `1 − ‖M − R_k‖²/‖M‖²` for k = 4, 6, 8, where `R_k` sums the terms 1 to k beyond their radius of convergence
            by a conformal map, example by example, where the plain series does not converge; empty if not requested.
        resummed_error: how far the resummation has settled: the larger of `‖R_8 − R_6‖²/‖M‖²` and `‖R_8 − R_7‖²/‖M‖²` (with
            the highest order requested instead of 8), from the terms alone; plus the squared output change that examples
            whose last terms vanish miss. NaN if terms are not finite. The verdict ignores the resummation unless this is
            at most 0.05.
        midpoint: the fraction of `‖M‖²` that the tangent at the middle of the line explains.
        pieces: the smallest number of equal pieces of the line, at most 16, on each of which order 1 or 2 (the keys),
            expanded at the beginning of the piece, explains `threshold`; None if there is none.
        singularities: the nearest complex singularity of each example: `radius` in units of Δ, `angle`, `parameter` of the
            resummation, `error`, their `median` and `kind`; None if fewer than four orders are known.
        groups: layer groups: radii of convergence if only one group moves and if all others move, and interactions
            `G_ab = ½⟨D²f[Δ_a, Δ_b], M⟩/‖M‖²`; None if not requested.
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
    resummed: Mapping[int, float] = field(default_factory=dict[int, float])
    resummed_error: float = math.nan
    midpoint: float = math.nan
    pieces: Mapping[int, int | None] = field(default_factory=dict[int, int | None])
    singularities: Singularities | None = None
    groups: LayerGroups | None = None
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
        """The regime in one sentence, which begins with what holds.

        `lazy` stands for order 1, `quadratic` for order 2, and so on, for the smallest order that reaches the threshold; the
        verdict adds that the series does not converge if a higher order falls below the threshold again. If no order up to
        `max_order` reaches the threshold, it states what does: an order of the resummation, the number of pieces of the line,
        or the tangent at its middle; then the plain orders, and the layer group that limits the radius, if known.
        """
        if not math.isfinite(self.movement):
            return "not finite: the outputs at the end point are NaN or infinite"
        if math.isnan(self.error[0]):
            return self._without_orders
        if self._undetermined:
            return self._undetermined
        best = self.order
        if best is not None:
            return within(self, best)
        return without(self) + (f"; {self.reasons['explained']}" if "explained" in self.reasons else "")

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
        part = _percent(self.explained[known - 1], self.threshold)
        return f"undetermined: {which} {part} of the output change, and {rest} no reliable value"

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
            shares = _percent(self.share[i]), _percent(self.explained[i], self.threshold)
            rows.append((str(i + 1), *shares, _number(self.error[i]), radius, agreement))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        parts = f"odd orders {_percent(self.odd)}, even orders {_percent(self.even)}"
        return "\n".join(
            [
                *("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows),
                f"{parts}, NTK drift {_number(self.ntk_drift)}",
                *self._beyond,
                f"(verdict: at least {whole(self.threshold)} % explained; radius: relative error below {self.tolerance:g})",
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
    def _beyond(self) -> tuple[str, ...]:
        """Lines of the table on what holds beyond the plain orders."""
        lines: list[str] = []
        if self.resummed:
            values = ", ".join(
                f"order {k} {_percent(part, self.threshold)}" for k, part in sorted(self.resummed.items())
            )
            lines.append(f"resummed: {values} (error {_number(self.resummed_error)})")
        if self.pieces:
            counts = [f"{'more than 16' if n is None else n} of order {k}" for k, n in sorted(self.pieces.items())]
            lines.append(
                f"tangent at the middle {_percent(self.midpoint, self.threshold)}; pieces of the line: {', '.join(counts)}"
            )
        if self.singularities is not None:
            nearest = self.singularities
            lines.append(f"radius of convergence {_infinite(nearest.median)} (median over inputs; {nearest.kind})")
        if self.groups is not None:
            for name, only, others in zip(self.groups.names, self.groups.only, self.groups.without, strict=True):
                lines.append(f"  {name}: {_infinite(only)} if it moves alone, {_infinite(others)} if all others move")
        return tuple(lines)

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


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _infinite(value: float) -> str:
    return "∞" if math.isinf(value) else _number(value)
