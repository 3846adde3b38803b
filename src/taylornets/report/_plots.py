"""Panels with axes: points, lines, theory, bars and regions."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib import ticker

from taylornets.records import Plot, Series
from taylornets.report._labels import legend, tag, wrapped
from taylornets.report._style import HATCHES, MARKERS, SMALL, Theme

_FEW_TICKS, _APART = 5, 1.15  # so many abscissas at most, each by this factor above the one before, have a tick each
_FEW_DECADES = 50.0  # below this ratio of maximum to minimum, a logarithmic axis has ticks at 1, 2, 5


def _categories(series: Iterable[Series]) -> list[str]:
    """Returns category names on the abscissa in order of first appearance; empty for numbers."""
    return list(dict.fromkeys(value for item in series for value in item.x if isinstance(value, str)))


def _positions(series: Series, categories: list[str]) -> np.ndarray:
    return np.array([categories.index(value) if isinstance(value, str) else value for value in series.x], dtype=float)


def _visible(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Replaces values that the axis cannot show by NaN."""
    shown = np.isfinite(values) & ((values > 0) | (not logarithmic))
    return np.where(shown, values, np.nan)


def _scaled(axis: Any, scale: str, values: np.ndarray) -> bool:
    """Makes an axis logarithmic if requested and if it has positive values; returns whether it is logarithmic."""
    shown = values[np.isfinite(values) & (values > 0)]
    if scale == "linear" or not shown.size:
        return False
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log", base=2 if scale == "log2" else 10)
    if scale == "log" and shown.max() / shown.min() < _FEW_DECADES:
        # Powers of ten alone would give only one or two ticks.
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(ticker.FuncFormatter(_tick))
        axis.set_minor_formatter(ticker.NullFormatter())
    return True


def _tick(value: float, _: int) -> str:
    """Formats a tick label: 0.02 rather than a product with a power of ten, unless it is too long."""
    if 1e-3 <= value < 1e4:
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    return f"${value / 10**exponent:g}\\times 10^{{{exponent}}}$"


def _tick_few(axis: Any, values: list[Any]) -> None:
    """Sets the ticks of a logarithmic axis to its values if there are only a few, all far enough apart and of few decades."""
    shown = np.unique([value for value in values if 0 < value < np.inf])
    if (
        1 < shown.size <= _FEW_TICKS
        and (shown[1:] / shown[:-1]).min() >= _APART
        and shown[-1] / shown[0] < _FEW_DECADES
    ):
        axis.set_major_locator(ticker.FixedLocator(shown.tolist()))
        axis.set_major_formatter(ticker.FuncFormatter(_tick))
        axis.set_minor_locator(ticker.NullLocator())


def _interval(series: Series, y: np.ndarray) -> np.ndarray | None:
    """Converts interval ends to distances from `y`, as matplotlib expects."""
    if series.low is None or series.high is None:
        return None
    low, high = np.array(tuple(series.low)), np.array(tuple(series.high))
    return np.stack([np.fmax(y - low, 0.0), np.fmax(high - y, 0.0)])


def groups_of(panel: Plot) -> list[str]:
    """Returns the groups of a panel, in the order of their colors; a theory line or a region without a group has none."""
    plain = ("theory", "region")
    return list(
        dict.fromkeys(item.group or item.label for item in panel.series if item.kind not in plain or item.group)
    )


def has_values(item: Series) -> bool:
    """Whether the values of a series are listed: not those of a region, or of a theory line without a label."""
    return item.kind != "region" and bool(item.label or item.kind != "theory")


def plot(part: Any, panel: Plot, theme: Theme) -> list[tuple[float, float]]:
    """Draws the panel.

    Returns:
        The place of each value in the coordinates of the axes, series by series; NaN for a value that is not visible.
    """
    axes = part.subplots()
    series = tuple(panel.series)
    categories = _categories(series)
    every_x = np.concatenate([_positions(item, categories) for item in series] or [np.zeros(0)])
    every_y = np.concatenate([np.array(tuple(item.y)) for item in series] or [np.zeros(0)])
    log_x = _scaled(axes.xaxis, "linear" if categories else panel.x_scale, every_x)
    if log_x and panel.x_scale == "log":
        _tick_few(axes.xaxis, [value for item in series if item.kind != "region" for value in item.x])
    log_y = _scaled(axes.yaxis, panel.y_scale, every_y)
    groups = groups_of(panel)
    bars = [item for item in series if item.kind == "bars"]
    handles: list[Any] = []
    places: list[tuple[float, float]] = []
    for number, item in enumerate(series):
        group = item.group or item.label
        index = groups.index(group) if group in groups else -1
        color = theme.palette[index % len(theme.palette)] if index >= 0 else theme.muted
        x = _visible(_positions(item, categories), log_x)
        y = _visible(np.array(tuple(item.y)), log_y)
        marker = MARKERS[index % len(MARKERS)]
        if item.kind == "bars":
            drawn, parts, x = _bars(axes, item, x, y, (bars.index(item), len(bars)), (color, theme.ink))
            handles.append(drawn)
        elif item.kind == "region":
            handles.append(_region(axes, item, color, index, log_y))
            tag(handles[-1], number)
            continue
        elif item.kind == "theory":
            parts = axes.plot(x, y, color=color, linestyle="dashed", linewidth=1.5, zorder=2.5)
            handles += parts
        elif item.kind == "line":
            shape = marker if len(x) <= 25 else ""
            parts = axes.plot(x, y, color=color, marker=shape, markersize=4.0, zorder=3)
            handles += parts
            if item.low is not None and item.high is not None:
                ends = (_visible(np.array(tuple(end)), log_y) for end in (item.low, item.high))
                parts = [*parts, axes.fill_between(x, *ends, color=color, alpha=0.18, linewidth=0, zorder=2)]
        else:
            look = {"color": color, "linestyle": "none", "marker": marker, "elinewidth": 1.2, "zorder": 3}
            handles.append(axes.errorbar(x, y, yerr=_interval(item, y), **look))
            parts = handles[-1].get_children()
        tag(parts, number)
        if has_values(item):
            places += zip(x.tolist(), y.tolist(), strict=True)
    if categories:
        _name_ticks(axes, categories)
    axes.set_xlabel(wrapped(panel.x_label, 52))
    axes.set_ylabel(wrapped(panel.y_label, 36))
    numbered = enumerate(zip(handles, series, strict=True))
    legend(part, axes, [(handle, item.label, index) for index, (handle, item) in numbered if item.label])
    return places


def _name_ticks(axes: Any, categories: list[str]) -> None:
    """Writes the names of categories below the abscissa, turned if they are long."""
    width = max(8, min(18, 54 // len(categories)))
    names = [wrapped(name, width) for name in categories]
    long = max(len(line) for name in names for line in name.split("\n")) > 70 / len(categories)
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks(range(len(categories)), names, **turned)
    axes.set_xlim(-0.6, len(categories) - 0.4)
    axes.grid(visible=False, axis="x")


def _region(axes: Any, item: Series, color: str, index: int, log_y: bool) -> tuple[Any, ...]:
    """Draws an area below everything else: a light color, and the hatching of its group for prints without colors."""
    low, high = (_visible(np.array(tuple(end or ())), log_y) for end in (item.low, item.high))
    x, shared = np.array(tuple(item.x), float), {"linewidth": 0, "zorder": 1}
    parts = [axes.fill_between(x, low, high, color=color, alpha=0.16 if index >= 0 else 0.1, **shared)]
    if (
        index >= 0 and HATCHES[index % len(HATCHES)]
    ):  # separate, since the opacity of an area is that of its hatching too
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": color, "hatch": HATCHES[index % len(HATCHES)]}
        parts.append(axes.fill_between(x, low, high, alpha=0.22, **look, **shared))
    return tuple(parts)


def _bars(
    axes: Any, item: Series, x: np.ndarray, y: np.ndarray, place: tuple[int, int], colors: tuple[str, str]
) -> tuple[Any, list[Any], np.ndarray]:
    """Draws the bars of one series next to those of the others; few bars are labeled with their values.

    Returns:
        The bars as a handle of the legend, everything that was drawn, and the abscissas of the bars.
    """
    index, count = place
    steps = np.diff(np.unique(x))
    width = 0.72 * (float(steps.min()) if steps.size else 1.0) / count
    middle = x + (index - (count - 1) / 2) * width
    look = {"color": colors[0], "ecolor": colors[1], "error_kw": {"elinewidth": 1.2, "zorder": 3}, "zorder": 2}
    drawn = axes.bar(middle, y, width * 0.94, yerr=_interval(item, y), **look)
    parts = [*drawn.patches, *(drawn.errorbar.get_children() if drawn.errorbar else ())]
    if len(x) * count <= 12:
        parts += axes.bar_label(drawn, fmt="%.4g", padding=2, fontsize=SMALL)
        axes.margins(y=0.12)
    return drawn, parts, middle
