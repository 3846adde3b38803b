"""The values of a panel, as rows of a table and as texts of tooltips."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from taylornets.records import Figure, Gallery, Heatmap, Panel, Plot, Series, Surface, Table, bare
from taylornets.report._labels import spoken
from taylornets.report._plots import groups_of, has_values
from taylornets.report._text import number

LIMIT = 400  # values per panel that the page lists; the records contain all of them


@dataclass(frozen=True)
class Value:
    """One value of a panel.

    Args:
        series: index of its series.
        row: its row of the table.
        words: its text in a tooltip, one line per quantity.
    """

    series: int
    row: tuple[Any, ...]
    words: str


def values(panel: Panel) -> list[Value]:
    """Lists the values of a panel in the order in which they are drawn; images of a gallery are none."""
    if isinstance(panel, Heatmap):
        return _cells(panel)
    if isinstance(panel, Gallery):
        return []
    series: Iterable[Series] = panel.series if isinstance(panel, Plot) else panel.marks
    return [v for index, item in enumerate(series) if has_values(item) for v in _points(panel, index, item)]


def _points(panel: Plot | Surface, index: int, item: Series) -> list[Value]:
    label = spoken(item.label)
    x_label, y_label = bare(spoken(panel.x_label)), bare(spoken(panel.y_label))
    ends: list[Any] = [None] * len(tuple(item.y))
    if item.low is not None and item.high is not None:
        ends = list(zip(item.low, item.high, strict=True))
    found: list[Value] = []
    for x, y, end in zip(item.x, item.y, ends, strict=True):
        interval = "" if end is None else " [{}, {}]".format(*map(_shown, end))
        lines = [bare(label)] * bool(label) + [f"{x_label}: {_shown(x)}", f"{y_label}: {_shown(y)}{interval}"]
        found.append(Value(index, (label, x, y, *(end or (None, None))), "\n".join(lines)))
    return found


def _cells(panel: Heatmap) -> list[Value]:
    counts: Any = (
        panel.counts if panel.counts is not None else [[None] * len(tuple(panel.columns))] * len(tuple(panel.rows))
    )
    x_label, y_label = bare(spoken(panel.x_label)), bare(spoken(panel.y_label))
    found: list[Value] = []
    for index, (row, line, written) in enumerate(zip(panel.rows, panel.values, counts, strict=True)):
        for column, value, count in zip(panel.columns, line, written, strict=True):
            words = (
                f"{y_label}: {bare(row)}\n{x_label}: {bare(column)}\n{bare(spoken(panel.value_label))}: {_shown(value)}"
            )
            words += "" if count is None else f"\ncount: {_shown(count)}"
            found.append(Value(index, (row, column, value, count), words))
    return found


def _shown(value: Any) -> str:
    return bare(spoken(value)) if isinstance(value, str) else number(float(value))


def listed(found: list[Any]) -> list[int]:
    """Returns the indices of the values that the page lists: all, or `LIMIT` at regular distances."""
    if len(found) <= LIMIT:
        return list(range(len(found)))
    return sorted({round(i * (len(found) - 1) / (LIMIT - 1)) for i in range(LIMIT)})


def tables(figure: Figure) -> list[Table]:
    """Builds the tables with the values of a figure, one per panel that has values."""
    found: list[Table] = []
    for panel in figure.panels:
        every = values(panel)
        if not every or isinstance(panel, Gallery):
            continue
        rows = [every[i].row for i in listed(every)]
        if isinstance(panel, Heatmap):
            columns = [panel.y_label, panel.x_label, panel.value_label, "count"]
        else:
            columns = ["series", panel.x_label, panel.y_label, "lower end", "upper end"]
        kept = [i for i in range(len(columns)) if any(_given(row[i]) for row in rows)]
        caption = f"Values: {spoken(panel.title or figure.title)}"
        if len(rows) < len(every):
            caption += f" ({len(rows)} of {len(every)}, at regular distances; the folder `records/` contains all)"
        cells = [[row[i] for i in kept] for row in rows]
        found.append(Table(figure.name, caption, [spoken(columns[i]) for i in kept], cells))
    return found


def _given(value: Any) -> bool:
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


@dataclass(frozen=True)
class Group:
    """Series that are shown and hidden together.

    Args:
        key: number of the group within the figure.
        label: its label.
        color: number of its color in the palette; None for theory lines without a group.
    """

    key: int
    label: str
    color: int | None


def groups(figure: Figure) -> tuple[list[Group], list[list[int]]]:
    """Numbers the groups of series of a figure.

    Returns:
        The groups, and for each panel the key of each series. A panel without series has none.
    """
    keys: dict[str, int] = {}
    labels: dict[str, tuple[bool, str]] = {}
    colors: dict[str, int | None] = {}
    by_panel: list[list[int]] = []
    for panel in figure.panels:
        if not isinstance(panel, Plot):
            by_panel.append([])
            continue
        palette = groups_of(panel)
        for item in panel.series:
            name = item.group or item.label
            keys.setdefault(name, len(keys))
            colors.setdefault(name, palette.index(name) if name in palette else None)
            # A measured series names its group, rather than the theory line that belongs to it; what its label adds to the
            # name of the group is left out.
            weak = item.kind in ("theory", "region") or not item.label
            if name not in labels or (labels[name][0] and not weak):
                labels[name] = (weak, name if item.label.startswith(name) else item.label or name)
        by_panel.append([keys[item.group or item.label] for item in panel.series])
    return [Group(key, spoken(labels[name][1]), colors[name]) for name, key in keys.items()], by_panel
