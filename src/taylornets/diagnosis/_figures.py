"""The figures of a diagnosis, as data."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taylornets._regime import Regime
from taylornets.records import Figure, Gallery, Plot, Series
from taylornets.training import History

FULL = "full"
_WIDEST = 3.0  # larger contributions are omitted from a figure, since they would compress its scale
_LEAVES = 7
_IMAGES = 14
_MOST_CLASSES = 20
Ends = tuple[list[float] | None, list[float] | None]


def label(name: Any) -> str:
    """The name of a model in the legend."""
    return "the network" if name == FULL else f"order {name}"


def _lines(steps: Sequence[float], by_name: Mapping[Any, Sequence[float]]) -> list[Series]:
    return [Series(label(name), steps, values, kind="line") for name, values in by_name.items()]


def learning(history: History, loss: str) -> Figure:
    """Loss and accuracy of all models over training."""
    panels = [Plot("training steps", f"{loss} on the probe set", _lines(history.steps, history.loss), y_scale="log")]
    caption = (
        "All models start from the same initialization and receive the same minibatches and noise; each has its own "
        "optimizer state."
    )
    if history.accuracy:
        panels.append(Plot("training steps", "accuracy on the probe set", _lines(history.steps, history.accuracy)))
    return Figure("learning", "Learning curves of all orders", panels, caption, highlight=True)


def distance(history: History, tolerance: float) -> Figure | None:
    """The distance of the trained Taylor models to the network, relative to the output change of the network."""
    if not history.relative_distance:
        return None
    goal = Series("tolerance", [history.steps[0], history.steps[-1]], [tolerance] * 2, kind="theory")
    panels = [
        Plot(
            "training steps",
            "relative distance to the network",
            [*_lines(history.steps, history.relative_distance), goal],
            y_scale="log",
        )
    ]
    if history.agreement:
        panels.append(
            Plot("training steps", "agreement with the network's predictions", _lines(history.steps, history.agreement))
        )
    caption = (
        "Distance in function space: root mean square over the probe inputs, divided by the output change of the network. "
        "Below 1, a Taylor model is closer to the trained network than the initialization is. Dashed: the tolerance."
    )
    return Figure("distance", "Trained Taylor models compared with the network", panels, caption)


def regimes(at: Sequence[float], found: Sequence[Regime], x_label: str) -> list[Figure]:
    """Errors and contributions by order, odd and even parts, radii, drift of the kernel."""
    orders = range(1, found[0].max_order + 1)
    ends = [at[0], at[-1]]
    limit = math.sqrt(1 - found[0].threshold)
    errors = [Series(f"order {k}", at, [r.error[k - 1] for r in found], kind="line") for k in orders]
    first = Plot(
        x_label,
        "relative error of the order-k model",
        [*errors, Series(f"explains {100 * found[0].threshold:g} %", ends, [limit] * 2, kind="theory")],
        y_scale="log",
    )
    parts = {f"order {k}": [r.share[k - 1] for r in found] for k in orders}
    parts |= {"odd orders": [r.odd for r in found], "even orders": [r.even for r in found]}
    kept = {name: [v if abs(v) <= _WIDEST else math.nan for v in values] for name, values in parts.items()}
    gone = any(not math.isnan(v) and abs(v) > _WIDEST for values in parts.values() for v in values)
    second = Plot(
        x_label, "contribution to the output change", [Series(name, at, v, kind="line") for name, v in kept.items()]
    )
    caption = (
        "Left: error of the order-k Taylor polynomial around the initialization, evaluated at the network's own "
        "parameters, relative to the output change; below the dashed line, the polynomial explains the output change. "
        "Right: contribution of each order, and of all odd and all even orders together; the contributions of all orders "
        "sum to 1."
    )
    caption += f" Contributions beyond ±{_WIDEST:g} are omitted." if gone else ""
    series = Figure("regime", "Which order explains the output change", [first, second], caption)
    radii = [Series(f"order {k}", at, [r.radius[k - 1] for r in found], kind="line") for k in orders]
    third = Plot(
        x_label,
        "radius, as a fraction of the displacement",
        [*radii, Series("trained parameters", ends, [1.0, 1.0], kind="theory")],
        y_scale="log",
    )
    panels = [third]
    if any(math.isfinite(r.ntk_drift) and r.ntk_drift > 0 for r in found):
        drift = Series("", at, [r.ntk_drift for r in found], kind="line")
        panels.append(Plot(x_label, "NTK drift (1 − cosine)", [drift], y_scale="log"))
    caption = (
        "Left: fraction of the straight line from the initialization to the trained parameters along which the relative "
        f"error of an order stays below {found[0].tolerance:g}. Above the dashed line, the polynomial is accurate at the "
        f"trained parameters and beyond (evaluated up to {found[0].radius_limit:g})."
    )
    caption += " Right: change of the tangent kernel since initialization, 1 minus the cosine." if panels[1:] else ""
    return [series, Figure("radius", "Range of validity of each order", panels, caption)]


def one_end(found: Regime) -> Figure | None:
    """Contribution and error of each order for one pair of ends, with error bars from the estimated errors of the terms."""
    known = [k for k in range(1, found.max_order + 1) if math.isfinite(found.error[k - 1])]
    if not known:
        return None
    shares, errors = [found.share[k - 1] for k in known], [found.error[k - 1] for k in known]
    kept = [share if abs(share) <= _WIDEST else math.nan for share in shares]
    parts_at: Ends = (None, None)
    errors_at: Ends = (None, None)
    if found.term_error:
        # By Cauchy–Schwarz, an error of a term changes its contribution, and each later remainder, by at most this.
        bounds = [found.term_error[k - 1] * max(found.term[k - 1], 0.1) for k in known]
        parts_at = _around(kept, bounds)
        low, high = _around(errors, list(itertools.accumulate(bounds)))
        # A logarithmic axis has no room for an interval down to 0.
        errors_at = [max(v, 1e-3 * e) for v, e in zip(low, errors, strict=True)], high
    at = [str(k) for k in known]
    parts = Series("contribution", at, kept, *parts_at)
    line = Series("order-k model", at, errors, *errors_at)
    limit = [math.sqrt(1 - found.threshold)] * len(at)
    goal = Series(f"explains {100 * found.threshold:g} %", at, limit, kind="theory")
    caption = (
        "Left: contribution of each order to the output change. Right: error of the order-k Taylor polynomial at the final "
        "weights, relative to the output change; below the dashed line, the orders up to k explain it. "
    )
    caption += "Error bars: estimated errors of the terms, added up." if found.term_error else "Exact up to rounding."
    caption += f" Contributions beyond ±{_WIDEST:g} are omitted." if any(map(math.isnan, kept)) else ""
    panels = [
        Plot("order k", "contribution to the output change", [parts]),
        Plot("order k", "relative error of the order-k model", [line, goal], y_scale="log"),
    ]
    return Figure("orders", "Which order explains the output change", panels, caption, highlight=True)


def _around(values: Sequence[float], distances: Sequence[float]) -> tuple[list[float], list[float]]:
    pairs = list(zip(values, distances, strict=True))
    return [v - r for v, r in pairs], [v + r for v, r in pairs]


def displacements(at: Sequence[float], found: Sequence[Regime], x_label: str) -> Figure:
    """Displacement of the leaves, over training and at the end."""
    last = found[-1].displacement
    largest = sorted(last, key=lambda name: last[name][0], reverse=True)[:_LEAVES]
    lines = [Series(name, at, [r.displacement[name][0] for r in found], kind="line") for name in largest]
    bars = Series(
        "", largest, [last[name][1] if math.isfinite(last[name][1]) else 0.0 for name in largest], kind="bars"
    )
    panels = [
        Plot(x_label, "displacement of the leaf, ‖Δ‖", lines),
        Plot("leaf", "final ‖Δ‖, relative to the initial norm of the leaf", [bars]),
    ]
    caption = "Euclidean norms of the displacement of the network's parameters, by leaf." + (
        f" Largest {_LEAVES} of {len(last)} leaves; the table lists all." if len(last) > _LEAVES else ""
    )
    if any(math.isinf(last[name][1]) for name in largest):
        caption += " Leaves initialized at zero have no relative displacement and are drawn at 0."
    return Figure("displacement", "Displacement by layer", panels, caption)


def disagreement(predicted: Mapping[Any, np.ndarray], names: Sequence[str]) -> Figure | None:
    """How often each order predicts a different class, by the predicted class of the network."""
    full = predicted[FULL]
    if not 2 <= len(names) <= _MOST_CLASSES:
        return None
    present = [c for c in range(len(names)) if np.any(full == c)]
    series = [
        Series(
            label(name),
            [names[c] for c in present],
            [float(np.mean(own[full == c] != c)) for c in present],
            kind="points",
        )
        for name, own in predicted.items()
        if name != FULL
    ]
    panel = Plot("class predicted by the network", "fraction of inputs with a different prediction", series)
    return Figure("disagreement", "Disagreement by class", [panel], "Probe inputs at the end of training.")


def pictures(images: np.ndarray, rows: Sequence[int], captions: Sequence[str]) -> Figure:
    """The inputs on which the predictions differ most, as images."""
    chosen = list(rows)[:_IMAGES]
    panel = Gallery([images[i] for i in chosen], list(captions)[: len(chosen)])
    caption = "Probe inputs, sorted by the number of orders that disagree with the network, then by distance."
    return Figure("inputs", "Inputs with the largest disagreement", [panel], caption)
