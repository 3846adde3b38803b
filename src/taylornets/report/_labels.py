"""Text of figures: formulas, line breaks, and legends that hide no data."""

import re
from collections.abc import Sequence
from typing import Any

from matplotlib.mathtext import MathTextParser
from matplotlib.transforms import blended_transform_factory

from taylornets.records import SEGMENTS
from taylornets.report._style import PANEL_WIDTH, TEXT

_SYMBOLS = {
    "lambda": "λ",
    "sigma": "σ",
    "rho": "ρ",
    "pm": "±",
    "times": "×",
    "ell": "ℓ",
    "Delta": "Δ",
    "|": "‖",
    ",": " ",
}


def _escaped(label: str) -> str:
    """Escapes dollar signs in texts of the data and removes the marks around them."""
    return SEGMENTS.sub(lambda found: found[1].replace("$", r"\$"), label)


def _is_formula(escaped: str) -> bool:
    """Returns whether a label contains formulas that matplotlib can draw."""
    if "$" not in escaped.replace(r"\$", ""):
        return False
    try:
        MathTextParser("path").parse(escaped)
    except ValueError:
        return False
    return True


def text(label: str) -> str:
    """Prepares a label for matplotlib: texts of the data and dollar signs outside a valid formula are shown as they are."""
    label = _escaped(label)
    if _is_formula(label) or "$" not in label.replace(r"\$", ""):
        return label
    return label.replace(r"\$", "$").replace("$", r"\$")


def spoken(label: str) -> str:
    r"""Converts the formulas of a label to plain text, for tooltips, tables and alternative text.

    Texts of the data, which carry the marks of `records.literal`, keep their letters and their marks.

    Example:
        >>> spoken(r"width $m$, $m^{-1/2}$ and $\lambda_{\min}$")
        'width m, m^(−1/2) and λ_min'
    """
    if not _is_formula(_escaped(label)):
        return label
    pieces = re.split(f"({SEGMENTS.pattern.replace('(', '(?:', 1)})", label)
    return "".join(
        piece if place % 2 else re.sub(r"\$([^$]*)\$", lambda found: _without_tex(found[1]), piece)
        for place, piece in enumerate(pieces)
    )


def _without_tex(formula: str) -> str:
    formula = re.sub(r"\\([a-zA-Z]+|.)\s*", lambda found: _SYMBOLS.get(found[1], found[1]), formula)
    formula = re.sub(r"\^\{\(?([^{}()]*)\)?\}", r"^(\1)", formula)
    return re.sub(r"_\{([^{}]*)\}", r"_\1", formula).replace("{", "").replace("}", "").replace("-", "−")


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


def tag(artists: Sequence[Any], index: int, kind: str = "series") -> None:
    """Marks the artists of a series, so that the page can hide them; see `_draw.drawing`."""
    for place, artist in enumerate(artists):
        artist.set_gid(f"{kind}-{index}-{place}")


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


def legend(part: Any, axes: Any, entries: list[tuple[Any, str, int]]) -> None:
    """Adds a legend above the data, in as many columns as fit; a single series has no legend.

    Args:
        part: the figure of the panel.
        axes: its axes.
        entries: handle, label and index of each series.
    """
    if len(entries) < 2:
        return
    place = blended_transform_factory(part.transSubfigure, axes.transAxes)
    for columns in range(min(len(entries), 4), 0, -1):
        ordered = _by_columns(entries, columns)
        drawn = axes.legend(
            [handle for handle, _, _ in ordered],
            [wrapped(label, 48) for _, label, _ in ordered],
            loc="lower left",
            bbox_to_anchor=(0.03, 1.03),
            bbox_transform=place,
            ncols=columns,
        )
        for (_, _, index), handle, words in zip(ordered, drawn.legend_handles, drawn.get_texts(), strict=True):
            tag([handle, words], index, "legend")
        if drawn.get_window_extent().width <= 0.94 * part.bbox.width:
            return
