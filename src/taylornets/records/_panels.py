"""Panels, figures and tables as frozen data classes: the content, independent of how it is drawn."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np

from taylornets import _checks

KINDS = ("points", "line", "theory", "bars", "region")
SCALES = ("linear", "log", "log2")
Numbers = Iterable[SupportsFloat]  # lists, tuples, arrays of any kind; records store tuples of Python floats


def plain(argument: str, value: Any) -> Any:
    """Converts `value` to JSON types: arrays and tuples become lists, NumPy scalars become Python scalars."""
    if isinstance(value, Mapping):
        bad = [key for key in value if not isinstance(key, str) or key.startswith("$")]
        if bad:
            raise _checks.ArgumentError(argument, "string keys that do not start with '$'", repr(bad[0]))
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
    """Converts `values` to Python floats."""
    return tuple(float(value) for value in values)


def _matrix(values: Iterable[Iterable[Any]]) -> tuple[tuple[float, ...], ...]:
    return tuple(floats(row) for row in values)


def normalize(record: Any, **values: Any) -> None:
    """Sets normalized fields of a frozen record during initialization."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def check_slug(argument: str, name: str) -> None:
    """Rejects names that are not valid file names on every system."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,79}", name):
        raise _checks.ArgumentError(argument, "lower-case letters, digits and underscores", repr(name))


def _label(argument: str, text: str) -> None:
    if not text.strip():
        raise _checks.ArgumentError(argument, "a label that names the quantity and its unit", "an empty string")


def check_length(argument: str, values: Iterable[Any], length: int) -> None:
    """Rejects `values` of any other length."""
    count = len(tuple(values))
    if count != length:
        raise _checks.ArgumentError(argument, f"{length} entries", str(count))


@dataclass(frozen=True)
class Series:
    """One set of points of a plot.

    Args:
        label: label in the legend, which is shown for two or more labeled series; empty for none.
        x: abscissas; strings are categories, for any kind.
        y: ordinates, same length as `x`.
        low: lower ends of the intervals, in the unit of `y` (the ends, not their distance from `y`).
        high: upper ends.
        kind: `"points"` (markers, intervals as error bars), `"line"` (intervals as a band), `"theory"` (dashed), `"bars"`
            (intervals as error bars) or `"region"` (the area between `low` and `high`, whose values are not listed).
        group: series of one group share a color, e.g. a theory line and the points that it predicts.
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
        if self.kind == "region" and self.low is None:
            raise _checks.ArgumentError("low, high", "the edges of the region", "None")


@dataclass(frozen=True)
class Plot:
    """A panel with axes.

    Args:
        x_label: label of the abscissa, with unit. Labels and titles may contain TeX formulas in `$...$`.
        y_label: label of the ordinate, with unit.
        series: series in the order of the legend.
        x_scale: `"linear"`, `"log"` or `"log2"` (ticks at powers of two, for widths).
        y_scale: as `x_scale`.
        title: title of the panel, if there are several.
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
    """A panel that shows a matrix as colors, such as a confusion matrix.

    Args:
        x_label: quantity on the columns.
        y_label: quantity on the rows.
        columns: column names.
        rows: row names.
        values: one number per cell, row by row, which determines its color.
        value_label: quantity shown by the colors, with unit.
        counts: numbers written into the cells, if any.
        title: title of the panel, if there are several.
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
    """A panel that shows a function of two variables as colors and contour lines.

    Args:
        x_label: label of the abscissa, with unit.
        y_label: label of the ordinate, with unit.
        x: abscissas of the grid, ascending.
        y: ordinates of the grid, ascending.
        values: one number per grid point, one row per ordinate.
        value_label: quantity shown by the colors, with unit.
        marks: labeled series of points on the surface.
        title: title of the panel, if there are several.
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
    """A panel of small gray images, each with a short caption.

    Args:
        images: shape `(count, height, width)`; the smallest entry overall is white, the largest black.
        captions: one caption per image.
        title: title of the panel, if there are several.
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
    """Panels side by side, with a title and a caption.

    Args:
        name: file name, unique within a claim: lower-case letters, digits, underscores.
        title: title, one line.
        panels: one or more panels.
        caption: description of the content and how it was obtained.
        alt: alternative text for screen readers; derived from the labels if empty.
        highlight: whether to show the figure at the top of the report.
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
    """A table with named columns.

    Args:
        name: file name, unique within a claim: lower-case letters, digits, underscores.
        caption: one or two sentences.
        columns: column names, with units.
        rows: rows with one number, string, boolean or None per column.
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
