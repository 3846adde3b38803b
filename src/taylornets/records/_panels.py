"""Panels, figures and tables as frozen data: what is shown, never how it is drawn."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np

from taylornets import _checks

KINDS = ("points", "line", "theory", "bars")
SCALES = ("linear", "log", "log2")
Numbers = Iterable[SupportsFloat]  # lists, tuples, arrays of any kind; records keep tuples of Python's floats


def plain(argument: str, value: Any) -> Any:
    """`value` in JSON's types: arrays and tuples become lists, NumPy's scalars Python's."""
    if isinstance(value, Mapping):
        bad = [key for key in value if not isinstance(key, str) or key.startswith("$")]
        if bad:
            raise _checks.ArgumentError(argument, "keys that are strings and do not begin with '$'", repr(bad[0]))
        return {str(key): plain(argument, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(argument, item) for item in value]
    if isinstance(value, str | bool | int | float | None):
        return value
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        return plain(argument, np.asarray(value).tolist())
    raise _checks.ArgumentError(
        argument, "numbers, strings, booleans, None, arrays, lists or dicts of them", f"a {type(value).__name__}"
    )


def floats(values: Iterable[Any]) -> tuple[float, ...]:
    """`values` as Python's floats."""
    return tuple(float(value) for value in values)


def _matrix(values: Iterable[Iterable[Any]]) -> tuple[tuple[float, ...], ...]:
    return tuple(floats(row) for row in values)


def normalize(record: Any, **values: Any) -> None:
    """Normalizes fields of a frozen record while it is being made."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def check_slug(argument: str, name: str) -> None:
    """Refuses names that would not do as the name of a file on every system."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,79}", name):
        raise _checks.ArgumentError(argument, "lower-case letters, digits and underscores", repr(name))


def _label(argument: str, text: str) -> None:
    if not text.strip():
        raise _checks.ArgumentError(argument, "a text that says what is shown, with its unit", "an empty one")


def check_length(argument: str, values: Iterable[Any], length: int) -> None:
    """Refuses `values` of another length."""
    count = len(tuple(values))
    if count != length:
        raise _checks.ArgumentError(argument, f"{length} entries", str(count))


@dataclass(frozen=True)
class Series:
    """One set of points of a plot.

    Args:
        label: what it is, for the legend, which a plot of two or more labeled series has; empty for none.
        x: abscissas; strings are categories, for any kind.
        y: ordinates, as many.
        low: lower ends of the intervals, in the unit of `y` (the ends, not their distance from `y`).
        high: upper ends.
        kind: `"points"` (markers, intervals as error bars), `"line"` (intervals as a band), `"theory"` (dashed) or
            `"bars"` (intervals as error bars).
        group: series of one group share a color: a theory line and the points that it predicts.
    """

    label: str
    x: Iterable[SupportsFloat | str]
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    kind: str = "points"
    group: str = ""

    def __post_init__(self):
        normalize(
            self, x=tuple(value if isinstance(value, str) else float(value) for value in self.x), y=floats(self.y)
        )
        check_length("y", self.y, len(tuple(self.x)))
        if (self.low is None) != (self.high is None):
            raise _checks.ArgumentError("low, high", "both ends of the intervals or neither", "one of them")
        if self.low is not None and self.high is not None:
            normalize(self, low=floats(self.low), high=floats(self.high))
            check_length("low", self.low, len(tuple(self.y)))
            check_length("high", self.high, len(tuple(self.y)))
        _checks.choice("kind", self.kind, KINDS)


@dataclass(frozen=True)
class Plot:
    """A panel with axes.

    Args:
        x_label: what the abscissa is, with its unit. `$...$` holds formulas in TeX's notation (in labels and titles).
        y_label: the same for the ordinate.
        series: what is drawn, in the order of the legend.
        x_scale: `"linear"`, `"log"` or `"log2"` (ticks at powers of two: widths).
        y_scale: the same.
        title: of the panel, where there are several.
    """

    x_label: str
    y_label: str
    series: Iterable[Series]
    x_scale: str = "linear"
    y_scale: str = "linear"
    title: str = ""

    def __post_init__(self):
        normalize(self, series=tuple(self.series))
        _label("x_label", self.x_label)
        _label("y_label", self.y_label)
        _checks.choice("x_scale", self.x_scale, SCALES)
        _checks.choice("y_scale", self.y_scale, SCALES)


@dataclass(frozen=True)
class Heatmap:
    """A panel with a matrix as colors, such as a confusion matrix.

    Args:
        x_label: what the columns are.
        y_label: what the rows are.
        columns: their names.
        rows: their names.
        values: one number per cell, row by row; they choose the color.
        value_label: what the colors say, with its unit.
        counts: numbers written into the cells; nothing is written where there are none.
        title: of the panel, where there are several.
    """

    x_label: str
    y_label: str
    columns: Iterable[str]
    rows: Iterable[str]
    values: Iterable[Numbers]
    value_label: str
    counts: Iterable[Numbers] | None = None
    title: str = ""

    def __post_init__(self):
        normalize(
            self, columns=tuple(map(str, self.columns)), rows=tuple(map(str, self.rows)), values=_matrix(self.values)
        )
        if self.counts is not None:
            normalize(self, counts=_matrix(self.counts))
        for argument, matrix in (("values", self.values), ("counts", self.counts)):
            if matrix is not None:
                check_length(argument, matrix, len(tuple(self.rows)))
                for row in matrix:
                    check_length(f"a row of {argument}", row, len(tuple(self.columns)))
        for argument in ("x_label", "y_label", "value_label"):
            _label(argument, getattr(self, argument))


@dataclass(frozen=True)
class Surface:
    """A panel with a function of two variables as colors and level lines.

    Args:
        x_label: what the abscissa is, with its unit.
        y_label: the same for the ordinate.
        x: abscissas of the grid, ascending.
        y: ordinates of the grid, ascending.
        values: one number per point of the grid, a row for each ordinate.
        value_label: what the colors say, with its unit.
        marks: points on the surface, each series with a label.
        title: of the panel, where there are several.
    """

    x_label: str
    y_label: str
    x: Numbers
    y: Numbers
    values: Iterable[Numbers]
    value_label: str
    marks: Iterable[Series] = ()
    title: str = ""

    def __post_init__(self):
        normalize(self, x=floats(self.x), y=floats(self.y), values=_matrix(self.values), marks=tuple(self.marks))
        check_length("values", self.values, len(tuple(self.y)))
        for row in self.values:
            check_length("a row of values", row, len(tuple(self.x)))
        for argument in ("x_label", "y_label", "value_label"):
            _label(argument, getattr(self, argument))


@dataclass(frozen=True)
class Gallery:
    """A panel of small gray images with a line or two below each.

    Args:
        images: shape `(count, height, width)`; the smallest entry of all is white, the largest black.
        captions: one text per image.
        title: of the panel, where there are several.
    """

    images: Iterable[Iterable[Numbers]]
    captions: Iterable[str]
    title: str = ""

    def __post_init__(self):
        normalize(self, images=tuple(_matrix(image) for image in self.images), captions=tuple(self.captions))
        check_length("captions", self.captions, len(tuple(self.images)))


Panel = Plot | Heatmap | Surface | Gallery


@dataclass(frozen=True)
class Figure:
    """Panels side by side, with what a reader needs to understand them.

    Args:
        name: of its file, unique within a claim: lower-case letters, digits, underscores.
        title: one line.
        panels: one or more.
        caption: what is seen and how it was obtained.
        alt: the message in words, for who cannot see the figure; made from the labels when empty.
        highlight: whether it stands for the whole report, near its top.
    """

    name: str
    title: str
    panels: Iterable[Panel]
    caption: str
    alt: str = ""
    highlight: bool = False

    def __post_init__(self):
        normalize(self, panels=tuple(self.panels))
        check_slug("name", self.name)
        if not self.panels:
            raise _checks.ArgumentError("panels", "at least one", "none")


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Args:
        name: of its file, unique within a claim: lower-case letters, digits, underscores.
        caption: one or two sentences.
        columns: names, with units.
        rows: each with one number, string, boolean or None per column.
    """

    name: str
    caption: str
    columns: Iterable[str]
    rows: Iterable[Iterable[Any]]

    def __post_init__(self):
        check_slug("name", self.name)
        normalize(
            self,
            columns=tuple(map(str, self.columns)),
            rows=tuple(tuple(plain("rows", list(row))) for row in self.rows),
        )
        for row in self.rows:
            check_length("a row of rows", row, len(tuple(self.columns)))
