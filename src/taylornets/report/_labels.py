"""Text of figures: formulas, line breaks, and legends that hide no data."""

import re
from collections.abc import Sequence
from typing import Any

from matplotlib.mathtext import MathTextParser
from matplotlib.transforms import blended_transform_factory

from taylornets.records import SEGMENTS
from taylornets.report._style import PANEL_WIDTH, TEXT


def text(label: str) -> str:
    """Prepares a label for matplotlib: texts of the data and dollar signs outside a valid formula are shown as they are."""
    label = SEGMENTS.sub(lambda found: found[1].replace("$", r"\$"), label)
    if "$" not in label.replace(r"\$", ""):
        return label
    try:
        MathTextParser("path").parse(label)
    except ValueError:
        return label.replace(r"\$", "$").replace("$", r"\$")
    return label


def broken(label: str, width: int) -> str:
    """Wraps text into lines; a longer name is broken after a point only, never inside a word."""
    lines: list[str] = []
    for word in label.split():
        pieces = re.findall(r"[^.]*\.+|[^.]+", word) if len(word) > width else [word]
        for place, piece in enumerate(pieces):
            glue = "" if place else " "
            if lines and len(lines[-1]) + len(glue) + len(piece) <= width:
                lines[-1] += glue + piece
            else:
                lines.append(piece)
    return "\n".join(lines) or label


def wrapped(label: str, width: int) -> str:
    """Wraps text into lines without breaking formulas."""
    found = text(label)
    return found if "$" in found.replace(r"\$", "") else broken(found, width)


def _by_columns(entries: Sequence[Any], columns: int) -> list[Any]:
    """Reorders legend entries so that matplotlib, which fills columns first, shows them row by row."""
    return [entry for column in range(columns) for entry in entries[column::columns]]


def legend_rows(labels: Sequence[str]) -> int:
    """Estimates the number of legend rows from the number of characters, to choose the height of a figure."""
    if len(labels) < 2:
        return 0
    # In points: a character is 0.58 of the font size, a legend handle with its margins 36; TeX commands count zero.
    sizes = [36 + 0.58 * TEXT * min(len(re.sub(r"\\[a-zA-Z]+|[${}^_]", "", label)), 48) for label in labels]
    for columns in range(min(len(labels), 4), 1, -1):
        if sum(max(sizes[column::columns]) for column in range(columns)) <= 0.94 * 72 * PANEL_WIDTH:
            return -(-len(labels) // columns)
    return len(labels)


def legend(part: Any, axes: Any, entries: list[tuple[Any, str]]) -> None:
    """Adds a legend above the data, in as many columns as fit; a single series has no legend."""
    if len(entries) < 2:
        return
    place = blended_transform_factory(part.transSubfigure, axes.transAxes)
    for columns in range(min(len(entries), 4), 0, -1):
        ordered = _by_columns(entries, columns)
        drawn = axes.legend(
            [handle for handle, _ in ordered],
            [wrapped(label, 48) for _, label in ordered],
            loc="lower left",
            bbox_to_anchor=(0.03, 1.03),
            bbox_transform=place,
            ncols=columns,
        )
        if drawn.get_window_extent().width <= 0.94 * part.bbox.width:
            return
