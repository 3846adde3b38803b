"""Records: what an experiment found and how it was run, as frozen data that survives a round trip through JSON.

A claim's module computes; a record keeps what came out, the numbers behind every figure included, so that the report
can be rebuilt, in another style or on another machine, without computing anything again. Nothing here knows how a
figure is drawn.

JSON is strict: it has no NaN and no infinity, so such a float is written as `{"$float": "nan" | "inf" | "-inf"}`; a
record is an object whose `"$type"` names its class. Files are written beside their destination, flushed to the disk and
renamed, so that a reader sees the old file or the new one, never half of one.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np

from taylornets import _checks, _files

SCHEMA = "taylornets.run/1"
KINDS = ("points", "line", "theory", "bars")
SCALES = ("linear", "log", "log2")
Numbers = Iterable[SupportsFloat]  # lists, tuples, arrays of any kind; records keep tuples of Python's floats


def _plain(argument: str, value: Any) -> Any:
    """`value` in JSON's types: arrays and tuples become lists, NumPy's scalars Python's."""
    if isinstance(value, Mapping):
        bad = [key for key in value if not isinstance(key, str) or key.startswith("$")]
        if bad:
            raise _checks.ArgumentError(argument, "keys that are strings and do not begin with '$'", repr(bad[0]))
        return {str(key): _plain(argument, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(argument, item) for item in value]
    if isinstance(value, str | bool | int | float | None):
        return value
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        return _plain(argument, np.asarray(value).tolist())
    raise _checks.ArgumentError(
        argument, "numbers, strings, booleans, None, arrays, lists or dicts of them", f"a {type(value).__name__}"
    )


def _floats(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _matrix(values: Iterable[Iterable[Any]]) -> tuple[tuple[float, ...], ...]:
    return tuple(_floats(row) for row in values)


def _set(record: Any, **values: Any) -> None:
    """Normalizes fields of a frozen record while it is being made."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def _slug(argument: str, name: str) -> None:
    """Refuses names that would not do as the name of a file on every system."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,79}", name):
        raise _checks.ArgumentError(argument, "lower-case letters, digits and underscores", repr(name))


def _label(argument: str, text: str) -> None:
    if not text.strip():
        raise _checks.ArgumentError(argument, "a text that says what is shown, with its unit", "an empty one")


def _same_length(argument: str, values: Iterable[Any], length: int) -> None:
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
        _set(self, x=tuple(value if isinstance(value, str) else float(value) for value in self.x), y=_floats(self.y))
        _same_length("y", self.y, len(tuple(self.x)))
        if (self.low is None) != (self.high is None):
            raise _checks.ArgumentError("low, high", "both ends of the intervals or neither", "one of them")
        if self.low is not None and self.high is not None:
            _set(self, low=_floats(self.low), high=_floats(self.high))
            _same_length("low", self.low, len(tuple(self.y)))
            _same_length("high", self.high, len(tuple(self.y)))
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
        _set(self, series=tuple(self.series))
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
        _set(self, columns=tuple(map(str, self.columns)), rows=tuple(map(str, self.rows)), values=_matrix(self.values))
        if self.counts is not None:
            _set(self, counts=_matrix(self.counts))
        for argument, matrix in (("values", self.values), ("counts", self.counts)):
            if matrix is not None:
                _same_length(argument, matrix, len(tuple(self.rows)))
                for row in matrix:
                    _same_length(f"a row of {argument}", row, len(tuple(self.columns)))
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
        _set(self, images=tuple(_matrix(image) for image in self.images), captions=tuple(self.captions))
        _same_length("captions", self.captions, len(tuple(self.images)))


Panel = Plot | Heatmap | Gallery


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
        _set(self, panels=tuple(self.panels))
        _slug("name", self.name)
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
        _slug("name", self.name)
        _set(
            self,
            columns=tuple(map(str, self.columns)),
            rows=tuple(tuple(_plain("rows", list(row))) for row in self.rows),
        )
        for row in self.rows:
            _same_length("a row of rows", row, len(tuple(self.columns)))


@dataclass(frozen=True)
class Stamp:
    """What must agree for a finished record to stand for a new computation of the same claim.

    Args:
        profile: `"quick"` or `"full"`.
        seed: of the run.
        version: of taylornets.
        commit: of the source checkout, if it is one.
        x64: whether JAX computed in 64 bits.
    """

    profile: str
    seed: int
    version: str
    commit: str | None
    x64: bool


@dataclass(frozen=True)
class ClaimRecord:
    """A statement of the theory, what it predicts, what was measured, and whether it held.

    Args:
        claim: name.
        title: a few words.
        statement: one sentence.
        source: where the theory says so.
        predicted: what the theory predicts.
        measured: what came out.
        interval: a confidence interval of the main measured number.
        holds: the verdict.
        seconds: wall-clock time.
        detail: further numbers, by name.
        figures: in the order of the report.
        tables: in the order of the report.
        explanation: paragraphs.
        stamp: under what it was computed.
        error: the message of the exception that ended it early; empty when it came to its end.
    """

    claim: str
    title: str
    statement: str
    source: str
    predicted: Any
    measured: Any
    interval: Numbers | None
    holds: bool
    seconds: float
    stamp: Stamp
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    figures: Iterable[Figure] = ()
    tables: Iterable[Table] = ()
    explanation: Iterable[str] = ()
    error: str = ""

    def __post_init__(self):
        _slug("claim", self.claim)
        for name in ("predicted", "measured", "detail"):
            _set(self, **{name: _plain(name, getattr(self, name))})
        if self.interval is not None:
            _set(self, interval=_floats(self.interval))
            _same_length("interval", self.interval, 2)
        _set(self, figures=tuple(self.figures), tables=tuple(self.tables), explanation=tuple(self.explanation))
        for argument, items in (("figures", self.figures), ("tables", self.tables)):
            names = [item.name for item in items]
            if len(set(names)) < len(names):
                raise _checks.ArgumentError(argument, "names that differ", ", ".join(names))

    def summary(self) -> dict[str, Any]:
        """The fields that `claims.json` holds."""
        names = ["claim", "statement", "source", "predicted", "measured", "interval", "holds", "seconds", "detail"]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RunRecord:
    """How a run was made.

    Args:
        status: `"running"` (also after it was killed) or `"finished"`.
        stamp: profile, seed, version, commit, precision.
        claims: names, in the order of the report.
        versions: of Python and of the libraries.
        platform: operating system and processor.
        device: what JAX computed on.
        cpu_count: processors that the system has.
        modified: whether the checkout had changes that its commit does not have.
        start: time in UTC, ISO 8601.
        end: the same; empty while it runs.
        timings: seconds by claim.
    """

    status: str
    stamp: Stamp
    claims: Iterable[str]
    versions: Mapping[str, str]
    platform: str
    device: str
    cpu_count: int
    modified: bool | None
    start: str
    end: str = ""
    timings: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self):
        _set(self, claims=tuple(self.claims), versions=dict(self.versions), timings=dict(self.timings))


_TYPES = {
    kind.__name__: kind
    for kind in (Series, Plot, Heatmap, Gallery, Figure, Table, Stamp, ClaimRecord, RunRecord)
}  # fmt: skip


def encode(value: Any) -> Any:
    """`value`, made of records and JSON's types, as JSON's types alone."""
    if is_dataclass(value) and type(value).__name__ in _TYPES:
        return {"$type": type(value).__name__} | {
            item.name: encode(getattr(value, item.name)) for item in fields(value)
        }
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """The inverse of `encode`.

    Raises:
        ArgumentError: for an unknown `"$type"`, or fields that its record does not have or needs.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$float"}:
        return float(value["$float"])
    items = {key: decode(item) for key, item in value.items() if key != "$type"}
    if "$type" not in value:
        return items
    try:
        return _TYPES[value["$type"]](**items)
    except (KeyError, TypeError) as error:
        raise _checks.ArgumentError("record", "a record of this version", f"{value['$type']} ({error})") from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    _files.write_bytes(path, text.encode())


def dumps(value: Any) -> str:
    """`value`, made of records and JSON's types, as strict JSON text."""
    return json.dumps(encode(value), allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def _read(path: Path, kind: type) -> Any:
    """The record in a file, or None where there is no such record."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        record = decode(value["record"]) if value["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if isinstance(record, kind) else None


def save_claim(directory: Path, record: ClaimRecord) -> None:
    """Writes `records/<claim>.json`."""
    write_text(directory / "records" / f"{record.claim}.json", dumps({"schema": SCHEMA, "record": encode(record)}))


def load_claim(directory: Path, name: str) -> ClaimRecord | None:
    """The record of one claim, or None where it is missing, damaged or of another version's form."""
    record = _read(directory / "records" / f"{name}.json", ClaimRecord)
    return record if record is not None and record.claim == name else None


def save_run(directory: Path, run: RunRecord) -> None:
    """Writes `run.json`: the record, and for other programs its main fields under plain names."""
    plain = asdict(run.stamp) | {"versions": run.versions, "device": run.device, "timings": run.timings}
    write_text(directory / "run.json", dumps({"schema": SCHEMA, **plain, "record": encode(run)}))


def load_run(directory: Path) -> RunRecord | None:
    """The record of a run, or None where `directory` holds none."""
    return _read(directory / "run.json", RunRecord)


def save_summary(directory: Path, claims: Iterable[ClaimRecord]) -> None:
    """Writes `claims.json`."""
    write_text(directory / "claims.json", dumps([record.summary() for record in claims]))
