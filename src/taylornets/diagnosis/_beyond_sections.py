"""Sections on what holds beyond the orders, since when an order explains the rest of training, and the sharpness."""

import math
from collections.abc import Mapping, Sequence

from taylornets._regime import MOST_PIECES, Regime, RegimePath
from taylornets.records import Figure, Heatmap, Plot, Section, Series, Table


def beyond(last: Regime, path: RegimePath | str | None, x_label: str) -> list[Section]:
    """The sections that have something to show.

    Args:
        last: the regime at the end.
        path: the regimes from checkpoint to checkpoint, why they failed, or None.
        x_label: label of the steps.
    """
    found = [_since(path, x_label)] if isinstance(path, RegimePath) else []
    if isinstance(path, str):
        found = [Section("since", "Since when", (f"The regimes along training were not computed. {path}",), {})]
    return [*found, _descriptions(last)] if (last.resummed or last.pieces) and last.order != 1 else found


def known(value: float) -> float | None:
    """Replaces NaN by None, which the page shows as a dash."""
    return None if math.isnan(value) else value


def _radius(value: float) -> str:
    return "infinite" if math.isinf(value) else "unknown" if math.isnan(value) else f"{value:.3g}"


def short(found: Regime) -> str:
    """The verdict without numbers: the name of the order, or the first statement that holds."""
    if found.order is not None or not found.error or math.isnan(found.error[0]):
        return found.verdict.partition(":")[0]
    return found.verdict.partition(";")[0].partition(":")[0]


def sharpness(at: Sequence[float], values: Sequence[float | str]) -> list[Section]:
    """The sharpness of the loss during training, against the limit of gradient descent.

    Args:
        at: steps.
        values: `2/η`, NaN if unknown, then the sharpness at every step, or why it is missing.
    """
    numbers = [math.nan if isinstance(value, str) else value for value in values] or [math.nan]
    limit, found = numbers[0], numbers[1:]
    left_out = _left_out(dict(zip(at, values[1:], strict=False)))
    if not any(map(math.isfinite, found)):
        return [Section("sharpness", "Sharpness", left_out, {})] if left_out else []
    series = [Series("sharpness", at, found, kind="line")]
    latest = max(i for i, value in enumerate(found) if math.isfinite(value))
    last = found[latest]
    where = f"at step {at[latest]:g}" if isinstance(values[-1], str) else "at the end of training"
    words = f"The sharpness {where} is {last:.3g}"
    what = "Largest eigenvalue of the Hessian of the loss on the probe inputs."
    if math.isfinite(limit):
        series.append(Series("2/η", [at[0], at[-1]], [limit] * 2, kind="theory"))
        words += f", {last / limit:.2g} of the limit 2/η = {limit:.3g}, with the step size η of the first update"
        what += " Dashed: below 2/η, gradient descent is stable; momentum β raises this limit by the factor 1 + β."
    figure = Figure(
        "sharpness", "Sharpness during training", [Plot("training steps", "sharpness of the loss", series)], what
    )
    return [Section("sharpness", "Sharpness", (f"{words}.", *left_out), {}, (figure,))]


def _left_out(values: Mapping[float, float | str]) -> tuple[str, ...]:
    """One sentence per reason for which values are missing, with the steps."""
    steps: dict[str, list[str]] = {}
    for step, value in values.items():
        if isinstance(value, str):
            steps.setdefault(value.partition(" (")[0], []).append(f"{step:g}" + value[len(value.partition(" (")[0]) :])
    return tuple(
        f"No sharpness is shown for {'step' if len(at) == 1 else 'steps'} {', '.join(at)}: {why}."
        for why, at in steps.items()
    )


def _since(path: RegimePath, x_label: str) -> Section:
    """Explained fractions of the rest of training, by the step of the expansion point."""
    at = list(path.steps[:-1])
    orders = range(1, path.max_order + 1)
    limit = Series("threshold", [at[0], at[-1]], [path.threshold] * 2, kind="theory")
    panels = [
        Plot(
            f"expansion around the network at this {x_label.removesuffix('s')}", f"explained of the change {where}",
            [*(Series(f"order {k}", at, [max(v, 0.0) for v in part[k]], kind="line") for k in orders), limit],
        )
        for where, part in (("to the end", path.to_end), ("to the next evaluation", path.to_next))
    ]  # fmt: skip
    caption = (
        "Taylor models around later parameters of the network. Left: fraction of the remaining output change that the orders "
        "explain. Right: the same for the change to the next evaluation; a stretch where all curves dip is a transition. "
        "Negative values are drawn at 0."
    )
    rows = [
        (step, *(known(path.to_end[k][i]) for k in orders), *(known(path.to_next[k][i]) for k in orders))
        for i, step in enumerate(at)
    ]
    columns = (x_label, *(f"to the end, order {k}" for k in orders), *(f"to the next, order {k}" for k in orders))
    table = Table("since", "Explained fractions, by the step of the expansion point.", columns, rows)
    words = path.verdict[:1].upper() + path.verdict[1:]
    figure = Figure("since", "Since when a low order explains the rest of training", panels, caption)
    return Section("since", "Since when", (f"{words}.",), {}, (figure,), (table,))


def _descriptions(last: Regime) -> Section:
    """Resummation, midpoint, pieces, singularities and layer groups at the end."""
    rows = [(f"order {k}, resummed", known(part)) for k, part in sorted(last.resummed.items())]
    rows.append(("tangent at the middle of the line", known(last.midpoint)))
    paragraphs = [
        "The straight line from the initialization to the end can be described even where the Taylor series does not converge: "
        "by resummed orders (a conformal map of the same terms), by the tangent at its middle, and piece by piece."
    ]
    counts = {k: f"more than {MOST_PIECES}" if n is None else str(n) for k, n in sorted(last.pieces.items())}
    if counts:
        parts = ", ".join(f"{n} for order {k}" for k, n in counts.items())
        share = f"{100 * last.threshold:g} %"
        paragraphs.append(
            f"Equal pieces of the line on each of which an order explains {share} of the change: {parts}."
        )
    if last.resummed:
        error = "unknown" if math.isnan(last.resummed_error) else f"{last.resummed_error:.2g}"
        paragraphs.append(f"Error of the resummation, as a fraction of the squared output change: {error}.")
    nearest = last.singularities
    if nearest is not None:
        radius = _radius(nearest.median) + (" times the displacement" if math.isfinite(nearest.median) else "")
        paragraphs.append(
            f"Radius of convergence, median over the probe inputs: {radius} (nearest singularity: {nearest.kind}). It is below "
            f"1, so that the series does not converge at the end, for {sum(r < 1 for r in nearest.radius)} of "
            f"{len(nearest.radius)} inputs."
        )
    tables = [Table("beyond", "Explained fraction of the output change.", ("description", "explained"), rows)]
    groups, found = last.groups, _shapes(last)
    if groups is not None and len(groups.names) > 1:
        limits = groups.limiting
        if limits is not None:
            largest = _radius(groups.without[groups.names.index(limits)])
            paragraphs.append(
                f"The group {limits} limits the radius: if all others move, it is {largest} instead of "
                f"{_radius(groups.together)}."
            )
        tables.append(
            Table(
                "groups", "Radius of convergence by layer group, in units of the displacement.",
                ("group", "alone", "all others"),
                [(name, *("∞" if math.isinf(v) else known(v) for v in pair))
                 for name, *pair in zip(groups.names, groups.only, groups.without, strict=True)],
            )
        )  # fmt: skip
        found.append(
            Figure(
                "groups", "Interaction of layer groups at second order",
                [Heatmap("group", "group", groups.names, groups.names, groups.interactions, "contribution to order 2")],
                "Parts of the contribution of order 2 to the output change by pairs of groups; they sum to that contribution.",
            )
        )  # fmt: skip
    return Section("beyond", "Beyond the orders", paragraphs, {}, found, tables)


def _shapes(last: Regime) -> list[Figure]:
    """Explained fractions, plain and resummed, and the number of equal pieces."""
    found = list[Figure]()
    if last.resummed:
        plain = {k: max(part, 0.0) for k, part in enumerate(last.explained, 1)}
        sums = {k: max(part, 0.0) for k, part in sorted(last.resummed.items())}
        ends = [1, max([*plain, *sums])]
        series = [
            Series("plain", list(plain), list(plain.values()), kind="line"),
            Series("resummed", list(sums), list(sums.values())),
            Series("tangent at the middle of the line", [1], [max(last.midpoint, 0.0)]),
            Series(f"threshold, {100 * last.threshold:g} %", ends, [last.threshold] * 2, kind="theory"),
        ]
        caption = (
            "Orders up to k, expanded around the initialization: the plain and the resummed sum. The tangent at the middle "
            "of the line is a model of order 1 around another point. Negative values are drawn at 0."
        )
        panel = Plot("order", "explained fraction", series)
        found.append(Figure("resummed", "Explained fraction, plain and resummed", (panel,), caption))
    if last.pieces:
        names = [f"order {k}" + ("" if n else f" (more than {MOST_PIECES})") for k, n in sorted(last.pieces.items())]
        counts = [n or MOST_PIECES for _, n in sorted(last.pieces.items())]
        panel = Plot("model on each piece", "number of equal pieces", [Series("", names, counts, kind="bars")])
        caption = (
            "The smallest number of equal pieces of the line from the initialization to the end, on each of which the order, "
            f"expanded at the beginning of the piece, explains {100 * last.threshold:g} % of the change along the piece."
        )
        found.append(Figure("pieces", "Number of pieces on which a low order is enough", (panel,), caption))
    return found
