"""The figures of a diagnosis, as data."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taylornets._regime import Regime
from taylornets.records import Figure, Gallery, Plot, Series
from taylornets.training import History

FULL = "full"
_WIDEST = 3.0  # shares beyond are left out of a figure: one of them would flatten the rest
_LEAVES = 7
_IMAGES = 14
_MOST_CLASSES = 20


def label(name: Any) -> str:
    """A model in the legend."""
    return "the network" if name == FULL else f"order {name}"


def _lines(steps: Sequence[float], by_name: Mapping[Any, Sequence[float]]) -> list[Series]:
    return [Series(label(name), steps, values, kind="line") for name, values in by_name.items()]


def learning(history: History, loss: str) -> Figure:
    """Loss and accuracy of all models over training."""
    panels = [Plot("training steps", f"{loss} on the probe set", _lines(history.steps, history.loss), y_scale="log")]
    caption = (
        "Every model took the same minibatches with the same noise, from the same start, with its own optimizer state."
    )
    if history.accuracy:
        panels.append(
            Plot("training steps", "accuracy on the probe set (share)", _lines(history.steps, history.accuracy))
        )
    return Figure("learning", "Learning curves of all orders", panels, caption, highlight=True)


def distance(history: History, tolerance: float) -> Figure | None:
    """How far the trained Taylor models are from the network, relative to its own movement."""
    if not history.relative_distance:
        return None
    goal = Series("tolerance", [history.steps[0], history.steps[-1]], [tolerance] * 2, kind="theory")
    panels = [
        Plot(
            "training steps",
            "distance to the network, over its movement",
            [*_lines(history.steps, history.relative_distance), goal],
            y_scale="log",
        )
    ]
    if history.agreement:
        panels.append(
            Plot("training steps", "share of predictions as the network's", _lines(history.steps, history.agreement))
        )
    caption = (
        "The distance in function space is the root mean square over probe inputs; below 1 a Taylor model is nearer to the "
        "trained network than the start is. Dashed: the tolerance of this page."
    )
    return Figure("distance", "Taylor models and the network, trained side by side", panels, caption)


def regimes(at: Sequence[float], found: Sequence[Regime], x_label: str) -> list[Figure]:
    """Errors and shares of the orders, odd and even parts, radii, drift of the kernel."""
    orders = range(1, found[0].max_order + 1)
    ends = [at[0], at[-1]]
    limit = math.sqrt(1 - found[0].threshold)
    errors = [Series(f"order {k}", at, [r.error[k - 1] for r in found], kind="line") for k in orders]
    first = Plot(
        x_label,
        "error of the order-k model, over the movement",
        [*errors, Series(f"explains {100 * found[0].threshold:g} %", ends, [limit] * 2, kind="theory")],
        y_scale="log",
    )
    parts = {f"order {k}": [r.share[k - 1] for r in found] for k in orders}
    parts |= {"odd orders": [r.odd for r in found], "even orders": [r.even for r in found]}
    kept = {name: [v if abs(v) <= _WIDEST else math.nan for v in values] for name, values in parts.items()}
    gone = any(not math.isnan(v) and abs(v) > _WIDEST for values in parts.values() for v in values)
    second = Plot(x_label, "share in the movement", [Series(name, at, v, kind="line") for name, v in kept.items()])
    caption = (
        "Left: the Taylor model of order k around the start, at the network's own parameters, against the network there; below "
        "the dashed line it explains the movement. Right: the share of each term, and of all odd and all even orders "
        "together; shares of all orders sum to 1."
    )
    caption += f" Shares beyond ±{_WIDEST:g} are left out." if gone else ""
    series = Figure("regime", "Which order explains the movement", [first, second], caption)
    radii = [Series(f"order {k}", at, [r.radius[k - 1] for r in found], kind="line") for k in orders]
    third = Plot(
        x_label,
        "radius, in parts of the displacement",
        [*radii, Series("the network's place", ends, [1.0, 1.0], kind="theory")],
        y_scale="log",
    )
    panels = [third]
    if any(math.isfinite(r.ntk_drift) and r.ntk_drift > 0 for r in found):
        drift = Series("", at, [r.ntk_drift for r in found], kind="line")
        panels.append(Plot(x_label, "NTK drift (1 − cosine)", [drift], y_scale="log"))
    caption = (
        f"Left: how far along the straight line from the start the error of an order stays below {found[0].tolerance:g}; above "
        f"the dashed line it does at the network's place and beyond (at most {found[0].radius_limit:g} was tried)."
    )
    caption += " Right: how much the tangent kernel has turned from that of the start." if panels[1:] else ""
    return [series, Figure("radius", "How far each order can be trusted", panels, caption)]


def displacements(at: Sequence[float], found: Sequence[Regime], x_label: str) -> Figure:
    """Which leaves moved, over training and at the end."""
    last = found[-1].displacement
    largest = sorted(last, key=lambda name: last[name][0], reverse=True)[:_LEAVES]
    lines = [Series(name, at, [r.displacement[name][0] for r in found], kind="line") for name in largest]
    bars = Series(
        "", largest, [last[name][1] if math.isfinite(last[name][1]) else 0.0 for name in largest], kind="bars"
    )
    panels = [
        Plot(x_label, "distance of the leaf from its start, ‖Δ‖", lines),
        Plot("leaf", "‖Δ‖ at the end, over the leaf's norm at the start", [bars]),
    ]
    caption = "Euclidean norms of the network's parameters, leaf by leaf." + (
        f" The {_LEAVES} leaves that moved farthest of {len(last)}; the table has all." if len(last) > _LEAVES else ""
    )
    if any(math.isinf(last[name][1]) for name in largest):
        caption += " Leaves that began at zero have no relative displacement and are drawn at 0."
    return Figure("displacement", "Which layers moved", panels, caption)


def disagreement(predicted: Mapping[Any, np.ndarray], names: Sequence[str]) -> Figure | None:
    """By the network's predicted class: how often each order predicts another one."""
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
    panel = Plot("class that the network predicts", "share of inputs with another prediction", series)
    return Figure("disagreement", "Where the classes differ", [panel], "Probe inputs at the end of training.")


def pictures(images: np.ndarray, rows: Sequence[int], captions: Sequence[str]) -> Figure:
    """The inputs on which the predictions differ most."""
    chosen = list(rows)[:_IMAGES]
    panel = Gallery([images[i] for i in chosen], list(captions)[: len(chosen)])
    caption = "First the probe inputs on which most orders predict something else than the network, then the farthest."
    return Figure("inputs", "Inputs that the orders see differently", [panel], caption)
