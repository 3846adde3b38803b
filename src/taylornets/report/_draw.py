"""Draws panels as SVG with matplotlib, without its global state, so that every run gives the same bytes."""

import io
import re
import warnings
from collections.abc import Sequence
from functools import lru_cache

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


@lru_cache(maxsize=256)
def render(panels: tuple[Panel, ...], theme: Theme, tall: float) -> str:
    """Draws the panels side by side and returns the text of an SVG file.

    Args:
        panels: one or more.
        theme: color theme.
        tall: height in inches; see `height`.
    """
    with matplotlib.rc_context(settings(theme)), warnings.catch_warnings():
        # A character missing from the font is drawn as a box; the report is still written.
        warnings.filterwarnings("ignore", message="Glyph")
        # The same holds for a label that leaves no room for the axes.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        canvas = Canvas(figsize=(PANEL_WIDTH * len(panels), tall), layout="constrained")
        FigureCanvasSVG(canvas)
        parts = canvas.subfigures(1, len(panels), squeeze=False)[0]
        for part, panel in zip(parts, panels, strict=True):
            part.set_facecolor(theme.surface)
            if panel.title:
                part.suptitle(wrapped(panel.title, 56), x=0.02, ha="left", fontsize=TEXT + 0.5, fontweight="bold")
            if isinstance(panel, Plot):
                plot(part, panel, theme)
            elif isinstance(panel, Heatmap):
                heatmap(part, panel, theme)
            elif isinstance(panel, Surface):
                surface(part, panel, theme)
            else:
                gallery(part, panel, theme)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"<metadata>.*?</metadata>|<!DOCTYPE.*?>", "", buffer.getvalue(), flags=re.DOTALL)
    return re.sub(r"\n\s*\n+", "\n", svg)


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
