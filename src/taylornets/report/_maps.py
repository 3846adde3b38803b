"""Panels that show values as colors: matrices, functions of two variables, small images."""

import math
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb

from taylornets.records import Gallery, Heatmap, Surface
from taylornets.report._labels import legend, text, wrapped
from taylornets.report._style import MARKERS, PANEL_WIDTH, SMALL, Theme

_LEVELS = 16


def _luminance(color: Any) -> float:
    return float(np.dot(to_rgb(color), (0.2126, 0.7152, 0.0722)))


def heatmap(part: Any, panel: Heatmap, theme: Theme) -> list[tuple[float, float]]:
    """Draws the panel and returns the center of each cell in the coordinates of the axes, row by row."""
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
    axes.set_xlabel(wrapped(panel.x_label, 52))
    axes.set_ylabel(wrapped(panel.y_label, 36))
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
                # Zeros are muted, so that the few errors of a confusion matrix stand out.
                look = {"fontsize": size, "color": color if count else theme.muted, "alpha": 1 if count else 0.6}
                axes.text(column + 0.5, row + 0.5, f"{count:.4g}", ha="center", va="center", weight=weight, **look)
    return [(column + 0.5, row + 0.5) for row in range(len(rows)) for column in range(len(columns))]


def surface(part: Any, panel: Surface, theme: Theme) -> list[tuple[float, float]]:
    """Draws the panel and returns the place of each mark in the coordinates of the axes."""
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
    axes.set_xlabel(wrapped(panel.x_label, 44))
    axes.set_ylabel(wrapped(panel.y_label, 36))
    bar = part.colorbar(filled, ax=axes, shrink=0.9, aspect=28, pad=0.03)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]  # a patch, annotated as a callable
    bar.set_label(text(panel.value_label))
    numbered = enumerate(zip(handles, panel.marks, strict=True))
    legend(part, axes, [(handle, item.label, index) for index, (handle, item) in numbered])
    return [(float(x), float(y)) for item in panel.marks for x, y in zip(item.x, item.y, strict=True)]


def gallery_shape(panel: Gallery) -> tuple[int, int, int]:
    """Chooses columns, rows, and lines of text below an image so that the longest line fits."""
    lines = [caption.split("\n") for caption in panel.captions]
    longest = max((len(line) for caption in lines for line in caption), default=1)
    # A character of the sans-serif font is about 0.6 of the font size wide.
    fitting = int(PANEL_WIDTH * 72 * 0.94 / (max(longest, 6) * 0.6 * SMALL))
    columns = max(1, min(fitting, 7, len(lines)))
    return columns, max(1, -(-len(lines) // columns)), max((len(caption) for caption in lines), default=1)


def gallery(part: Any, panel: Gallery, theme: Theme) -> list[tuple[float, float]]:
    """Draws the panel; its values are the images themselves."""
    columns, rows, _ = gallery_shape(panel)
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
        # "none": pixels are embedded as they are and not smoothed when enlarged.
        axes.imshow(image, cmap=colors, vmin=stacked.min(), vmax=stacked.max(), interpolation="none")
        axes.set_xlabel(text(caption), fontsize=SMALL, labelpad=3.0)
    return []
