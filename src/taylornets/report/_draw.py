"""Panels of records drawn with matplotlib as SVG: without its global state, the same bytes in every run."""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.mathtext import MathTextParser
from matplotlib.transforms import blended_transform_factory

from taylornets.records import Gallery, Heatmap, Panel, Plot, Series, Surface
from taylornets.report._style import MARKERS, PANEL_WIDTH, PLOT_HEIGHT, SMALL, TEXT, Theme, settings


def text(label: str) -> str:
    """`label` as matplotlib can set it: where `$...$` is no formula that it knows, the dollar signs are shown."""
    if "$" not in label:
        return label
    try:
        MathTextParser("path").parse(label)
    except ValueError:
        return label.replace("$", r"\$")
    return label


def _wrapped(label: str, width: int) -> str:
    """Text broken into lines; formulas stay whole."""
    return text(label) if "$" in label else "\n".join(textwrap.wrap(label, width)) or label


def height(panels: Sequence[Panel]) -> float:
    """Inches that the tallest of the panels needs."""
    return max(_height(panel) for panel in panels)


_FEW_DECADES = 50.0  # below this ratio of the largest to the smallest, a logarithmic axis has ticks at 1, 2, 5


@lru_cache(maxsize=256)
def render(panels: tuple[Panel, ...], theme: Theme, tall: float) -> str:
    """The panels side by side, as the text of an SVG file.

    Args:
        panels: one or more.
        theme: colors.
        tall: height in inches; see `height`.
    """
    with matplotlib.rc_context(settings(theme)), warnings.catch_warnings():
        # A character that the font does not have is drawn as a box: no reason to lose the report.
        warnings.filterwarnings("ignore", message="Glyph")
        # Nor is a label that leaves no room for the axes.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        canvas = Canvas(figsize=(PANEL_WIDTH * len(panels), tall), layout="constrained")
        FigureCanvasSVG(canvas)
        parts = canvas.subfigures(1, len(panels), squeeze=False)[0]
        for part, panel in zip(parts, panels, strict=True):
            part.set_facecolor(theme.surface)
            if panel.title:
                part.suptitle(_wrapped(panel.title, 56), x=0.02, ha="left", fontsize=TEXT + 0.5, fontweight="bold")
            if isinstance(panel, Plot):
                _plot(part, panel, theme)
            elif isinstance(panel, Heatmap):
                _heatmap(part, panel, theme)
            elif isinstance(panel, Surface):
                _surface(part, panel, theme)
            else:
                _gallery(part, panel, theme)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"<metadata>.*?</metadata>|<!DOCTYPE.*?>", "", buffer.getvalue(), flags=re.DOTALL)
    return re.sub(r"\n\s*\n+", "\n", svg)


def _height(panel: Panel) -> float:
    title = 0.3 if panel.title else 0.0
    if isinstance(panel, Plot):
        labels = [series.label for series in panel.series if series.label]
        return PLOT_HEIGHT + title + 0.17 * (_legend_rows(labels) - 2)
    if isinstance(panel, Surface):
        return PLOT_HEIGHT + title
    if isinstance(panel, Heatmap):
        rows, columns = len(tuple(panel.rows)), len(tuple(panel.columns))
        return title + min(max(0.5 + 3.35 * rows / max(columns, 1), 2.0), 7.0)
    columns, rows, lines = _gallery_shape(panel)
    return title + rows * (PANEL_WIDTH / columns * 0.86 + 0.15 * lines) + 0.1


# --- plots ---------------------------------------------------------------------------------------------------------


def _categories(series: Iterable[Series]) -> list[str]:
    """Names on the abscissa in the order of their first appearance; empty for numbers."""
    return list(dict.fromkeys(value for item in series for value in item.x if isinstance(value, str)))


def _positions(series: Series, categories: list[str]) -> np.ndarray:
    return np.array([categories.index(value) if isinstance(value, str) else value for value in series.x], dtype=float)


def _visible(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Values that an axis cannot show become gaps."""
    shown = np.isfinite(values) & ((values > 0) | (not logarithmic))
    return np.where(shown, values, np.nan)


def _scaled(axis: Any, scale: str, values: np.ndarray) -> bool:
    """Makes an axis logarithmic if it is to be and has a positive number to show; whether it is."""
    shown = values[np.isfinite(values) & (values > 0)]
    if scale == "linear" or not shown.size:
        return False
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log", base=2 if scale == "log2" else 10)
    if scale == "log" and shown.max() / shown.min() < _FEW_DECADES:
        # Powers of ten alone would be one tick or two.
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(ticker.FuncFormatter(_tick))
        axis.set_minor_formatter(ticker.NullFormatter())
    return True


def _tick(value: float, _: int) -> str:
    """A number beside a tick: 0.02 rather than a product with a power of ten, where it is not too long."""
    if 1e-3 <= value < 1e4:
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    return f"${value / 10**exponent:g}\\times 10^{{{exponent}}}$"


def _interval(series: Series, y: np.ndarray) -> np.ndarray | None:
    """Distances of the interval's ends from `y`, as matplotlib wants them."""
    if series.low is None or series.high is None:
        return None
    low, high = np.array(tuple(series.low)), np.array(tuple(series.high))
    return np.stack([np.fmax(y - low, 0.0), np.fmax(high - y, 0.0)])


def _plot(part: Any, panel: Plot, theme: Theme) -> None:
    axes = part.subplots()
    series = tuple(panel.series)
    categories = _categories(series)
    every_x = np.concatenate([_positions(item, categories) for item in series] or [np.zeros(0)])
    every_y = np.concatenate([np.array(tuple(item.y)) for item in series] or [np.zeros(0)])
    log_x = _scaled(axes.xaxis, "linear" if categories else panel.x_scale, every_x)
    log_y = _scaled(axes.yaxis, panel.y_scale, every_y)
    groups = list(dict.fromkeys(item.group or item.label for item in series if item.kind != "theory" or item.group))
    bars = [item for item in series if item.kind == "bars"]
    handles: list[Any] = []
    for item in series:
        group = item.group or item.label
        index = groups.index(group) if group in groups else -1
        color = theme.palette[index % len(theme.palette)] if index >= 0 else theme.muted
        x = _visible(_positions(item, categories), log_x)
        y = _visible(np.array(tuple(item.y)), log_y)
        marker = MARKERS[index % len(MARKERS)]
        if item.kind == "bars":
            handles.append(_bars(axes, item, x, y, (bars.index(item), len(bars)), (color, theme.ink)))
        elif item.kind == "theory":
            handles += axes.plot(x, y, color=color, linestyle="dashed", linewidth=1.5, zorder=2.5)
        elif item.kind == "line":
            shape = marker if len(x) <= 25 else ""
            handles += axes.plot(x, y, color=color, marker=shape, markersize=4.0, zorder=3)
            if item.low is not None and item.high is not None:
                ends = (_visible(np.array(tuple(end)), log_y) for end in (item.low, item.high))
                axes.fill_between(x, *ends, color=color, alpha=0.18, linewidth=0, zorder=2)
        else:
            look = {"color": color, "linestyle": "none", "marker": marker, "elinewidth": 1.2, "zorder": 3}
            handles.append(axes.errorbar(x, y, yerr=_interval(item, y), **look))
    if categories:
        axes.set_xticks(
            range(len(categories)), [_wrapped(name, max(8, min(18, 54 // len(categories)))) for name in categories]
        )
        axes.set_xlim(-0.6, len(categories) - 0.4)
        axes.grid(visible=False, axis="x")
    axes.set_xlabel(_wrapped(panel.x_label, 52))
    axes.set_ylabel(_wrapped(panel.y_label, 36))
    _legend(part, axes, [(handle, item.label) for handle, item in zip(handles, series, strict=True) if item.label])


def _bars(
    axes: Any, item: Series, x: np.ndarray, y: np.ndarray, place: tuple[int, int], colors: tuple[str, str]
) -> Any:
    """Bars of one series beside those of the others; few bars carry their number."""
    index, count = place
    steps = np.diff(np.unique(x))
    width = 0.72 * (float(steps.min()) if steps.size else 1.0) / count
    middle = x + (index - (count - 1) / 2) * width
    look = {"color": colors[0], "ecolor": colors[1], "error_kw": {"elinewidth": 1.2, "zorder": 3}, "zorder": 2}
    drawn = axes.bar(middle, y, width * 0.94, yerr=_interval(item, y), **look)
    if len(x) * count <= 12:
        axes.bar_label(drawn, fmt="%.4g", padding=2, fontsize=SMALL)
        axes.margins(y=0.12)
    return drawn


def _by_columns(entries: Sequence[Any], columns: int) -> list[Any]:
    """Entries in the order in which matplotlib, which fills columns, shows them row by row."""
    return [entry for column in range(columns) for entry in entries[column::columns]]


def _legend_rows(labels: Sequence[str]) -> int:
    """Rows that a legend will need, by the number of letters: good enough to choose the height of a figure."""
    if len(labels) < 2:
        return 0
    # Points: a letter is 0.58 of the font's size, and a sample with its gaps takes 36; TeX's own signs take nothing.
    sizes = [36 + 0.58 * TEXT * min(len(re.sub(r"\\[a-zA-Z]+|[${}^_]", "", label)), 48) for label in labels]
    for columns in range(min(len(labels), 4), 1, -1):
        if sum(max(sizes[column::columns]) for column in range(columns)) <= 0.94 * 72 * PANEL_WIDTH:
            return -(-len(labels) // columns)
    return len(labels)


def _legend(part: Any, axes: Any, entries: list[tuple[Any, str]]) -> None:
    """A legend above the data, where it hides nothing, in as many columns as have room; one series alone needs none."""
    if len(entries) < 2:
        return
    place = blended_transform_factory(part.transSubfigure, axes.transAxes)
    for columns in range(min(len(entries), 4), 0, -1):
        ordered = _by_columns(entries, columns)
        legend = axes.legend(
            [handle for handle, _ in ordered],
            [_wrapped(label, 48) for _, label in ordered],
            loc="lower left",
            bbox_to_anchor=(0.03, 1.03),
            bbox_transform=place,
            ncols=columns,
        )
        if legend.get_window_extent().width <= 0.94 * part.bbox.width:
            return


# --- heatmaps ------------------------------------------------------------------------------------------------------


def _luminance(color: Any) -> float:
    return float(np.dot(to_rgb(color), (0.2126, 0.7152, 0.0722)))


def _heatmap(part: Any, panel: Heatmap, theme: Theme) -> None:
    axes = part.subplots()
    rows, columns = tuple(panel.rows), tuple(panel.columns)
    values = np.array(tuple(panel.values)).reshape(len(rows), len(columns))
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    norm = Normalize(min(low, 0.0), high if high > min(low, 0.0) else min(low, 0.0) + 1.0)
    colors = LinearSegmentedColormap.from_list("sequential", [theme.surface, theme.strongest])
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap=colors, norm=norm, edgecolors=theme.rule, linewidth=0.6)
    axes.set_aspect("equal" if 0.5 <= len(rows) / max(len(columns), 1) <= 2 else "auto")
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    long = max(map(len, columns), default=0) > 4
    turned = {"rotation": 40, "ha": "right"} if long else {}
    axes.set_xticks(np.arange(len(columns)) + 0.5, [text(name) for name in columns], **turned)
    axes.set_yticks(np.arange(len(rows)) + 0.5, [text(name) for name in rows])
    axes.set_xlabel(_wrapped(panel.x_label, 52))
    axes.set_ylabel(_wrapped(panel.y_label, 36))
    bar = part.colorbar(mesh, ax=axes, shrink=0.8, aspect=28, pad=0.03)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]  # a patch, annotated as a callable
    bar.set_label(text(panel.value_label))
    if panel.counts is not None:
        size = min(SMALL + 0.5, 2.6 * 72 / max(len(rows), len(columns), 1) / 2.2)
        for row, line in enumerate(panel.counts):
            for column, count in enumerate(line):
                behind = _luminance(colors(norm(values[row, column]))) if math.isfinite(values[row, column]) else 1.0
                color = "#14181d" if behind > 0.42 else "#ffffff"
                weight = "bold" if count else "normal"
                # Zeros step back: in a confusion matrix the few errors are what one looks for.
                look = {"fontsize": size, "color": color if count else theme.muted, "alpha": 1 if count else 0.6}
                axes.text(column + 0.5, row + 0.5, f"{count:.4g}", ha="center", va="center", weight=weight, **look)


# --- surfaces ------------------------------------------------------------------------------------------------------

_LEVELS = 16


def _surface(part: Any, panel: Surface, theme: Theme) -> None:
    axes = part.subplots()
    grid = (np.array(tuple(panel.x)), np.array(tuple(panel.y)))
    values = np.ma.masked_invalid(np.array(tuple(panel.values)).reshape(grid[1].size, grid[0].size))
    colors = LinearSegmentedColormap.from_list("sequential", [theme.surface, theme.strongest])
    low, high = (float(values.min()), float(values.max())) if values.count() else (0.0, 1.0)
    levels = np.linspace(low, high if high > low else low + 1.0, _LEVELS + 1)
    filled = axes.contourf(*grid, values, levels, cmap=colors)
    axes.contour(*grid, values, levels, colors=theme.muted, linewidths=0.5)
    axes.grid(visible=False)
    handles = [
        axes.plot(
            tuple(item.x),
            tuple(item.y),
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            color=theme.palette[(index + 1) % len(theme.palette)],
            markeredgecolor=theme.ink,
        )[0]
        for index, item in enumerate(panel.marks)
    ]
    axes.set_xlabel(_wrapped(panel.x_label, 44))
    axes.set_ylabel(_wrapped(panel.y_label, 36))
    bar = part.colorbar(filled, ax=axes, shrink=0.9, aspect=28, pad=0.03)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]  # a patch, annotated as a callable
    bar.set_label(text(panel.value_label))
    _legend(part, axes, list(zip(handles, (item.label for item in panel.marks), strict=True)))


# --- galleries -----------------------------------------------------------------------------------------------------


def _gallery_shape(panel: Gallery) -> tuple[int, int, int]:
    """Columns, rows, and lines of text below an image: as many columns as the longest line leaves room for."""
    lines = [caption.split("\n") for caption in panel.captions]
    longest = max((len(line) for caption in lines for line in caption), default=1)
    # A letter of the sans-serif font is about 0.6 of the font's size wide.
    fitting = int(PANEL_WIDTH * 72 * 0.94 / (max(longest, 6) * 0.6 * SMALL))
    columns = max(1, min(fitting, 7, len(lines)))
    return columns, max(1, -(-len(lines) // columns)), max((len(caption) for caption in lines), default=1)


def _gallery(part: Any, panel: Gallery, theme: Theme) -> None:
    columns, rows, _ = _gallery_shape(panel)
    grid = part.subplots(rows, columns, squeeze=False)
    images = [np.array(image) for image in panel.images]
    stacked = np.concatenate([image.ravel() for image in images] or [np.zeros(1)])
    stacked = stacked[np.isfinite(stacked)] if np.isfinite(stacked).any() else np.zeros(1)
    colors = LinearSegmentedColormap.from_list("ink", [theme.surface, theme.ink])
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, image, caption in zip(grid.ravel(), images, panel.captions, strict=False):
        axes.set_axis_on()
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(theme.rule)
        # "none": the pixels go into the file as they are and are not smoothed when they are enlarged.
        axes.imshow(image, cmap=colors, vmin=stacked.min(), vmax=stacked.max(), interpolation="none")
        axes.set_xlabel(text(caption), fontsize=SMALL, labelpad=3.0)
