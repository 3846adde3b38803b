"""Draws panels as SVG with matplotlib, without its global state, so that every run gives the same bytes."""

import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from taylornets.records import Heatmap, Panel, Plot, Surface
from taylornets.report._labels import legend_rows, wrapped
from taylornets.report._maps import gallery, gallery_shape, heatmap, surface
from taylornets.report._plots import plot
from taylornets.report._style import PANEL_WIDTH, PLOT_HEIGHT, TEXT, Theme, settings


def height(panels: Sequence[Panel]) -> float:
    """Returns the height in inches of the tallest panel."""
    return max(_height(panel) for panel in panels)


@dataclass(frozen=True)
class Drawing:
    """A picture and the places of its values.

    Args:
        svg: text of an SVG file; `data-series` and `data-legend` number the parts of each series of a plot.
        places: for one panel, the place of each value in the coordinates of the picture; None for a value that is not
            visible. In the order of `_values.values`.
    """

    svg: str
    places: tuple[tuple[float, float] | None, ...]


def render(panels: tuple[Panel, ...], theme: Theme, tall: float) -> str:
    """Draws the panels side by side and returns the text of an SVG file.

    Args:
        panels: one or more.
        theme: color theme.
        tall: height in inches; see `height`.
    """
    return draw(panels, theme, tall).svg


@lru_cache(maxsize=256)
def draw(panels: tuple[Panel, ...], theme: Theme, tall: float) -> Drawing:
    """Draws the panels side by side; see `render`."""
    with matplotlib.rc_context(settings(theme)), warnings.catch_warnings():
        # A character missing from the font is drawn as a box; the report is still written.
        warnings.filterwarnings("ignore", message="Glyph")
        # The same holds for a label that leaves no room for the axes.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        canvas = Canvas(figsize=(PANEL_WIDTH * len(panels), tall), layout="constrained")
        FigureCanvasSVG(canvas)
        parts = canvas.subfigures(1, len(panels), squeeze=False)[0]
        places: list[tuple[float, float]] = []
        for part, panel in zip(parts, panels, strict=True):
            part.set_facecolor(theme.surface)
            if panel.title:
                part.suptitle(wrapped(panel.title, 56), x=0.02, ha="left", fontsize=TEXT + 0.5, fontweight="bold")
            places = _filled(part, panel, theme)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        found = _in_picture(canvas, parts[-1], places)
    svg = re.sub(r"<metadata>.*?</metadata>|<!DOCTYPE.*?>", "", buffer.getvalue(), flags=re.DOTALL)
    svg = re.sub(r'\bid="(series|legend)-(\d+)-\d+"', r'data-\1="\2"', svg)
    return Drawing(re.sub(r"\n\s*\n+", "\n", svg), found)


def _filled(part: Any, panel: Panel, theme: Theme) -> list[tuple[float, float]]:
    """Draws one panel and returns the places of its values in the coordinates of its axes."""
    if isinstance(panel, Plot):
        return plot(part, panel, theme)
    if isinstance(panel, Heatmap):
        return heatmap(part, panel, theme)
    if isinstance(panel, Surface):
        return surface(part, panel, theme)
    return gallery(part, panel, theme)


def _in_picture(canvas: Canvas, part: Any, places: list[tuple[float, float]]) -> tuple[tuple[float, float] | None, ...]:
    """Converts places in the axes to points (1/72 inch) from the upper left corner, after the layout."""
    if not places:
        return ()
    wide, tall = canvas.get_size_inches() * 72
    shown = (part.axes[0].transData + canvas.transFigure.inverted()).transform(places)
    return tuple(
        (round(x * wide, 1), round((1 - y) * tall, 1)) if math.isfinite(x + y) and 0 <= x <= 1 and 0 <= y <= 1 else None
        for x, y in shown.tolist()
    )


def _height(panel: Panel) -> float:
    title = 0.3 if panel.title else 0.0
    if isinstance(panel, Plot):
        labels = [series.label for series in panel.series if series.label]
        return PLOT_HEIGHT + title + 0.17 * (legend_rows(labels) - 2)
    if isinstance(panel, Surface):
        return PLOT_HEIGHT + title
    if isinstance(panel, Heatmap):
        rows, columns = len(tuple(panel.rows)), len(tuple(panel.columns))
        return title + min(max(0.5 + 3.35 * rows / max(columns, 1), 2.0), 7.0)
    columns, rows, lines = gallery_shape(panel)
    return title + rows * (PANEL_WIDTH / columns * 0.86 + 0.15 * lines) + 0.1
