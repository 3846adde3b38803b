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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from taylornets import _checks, _files
from taylornets.experiments.panels import (
    Figure,
    Gallery,
    Heatmap,
    Numbers,
    Panel,
    Plot,
    Series,
    Surface,
    Table,
    check_length,
    check_slug,
    floats,
    normalize,
    plain,
)

__all__ = [
    "ClaimRecord",
    "Figure",
    "Gallery",
    "Heatmap",
    "PageRecord",
    "Panel",
    "Plot",
    "RunRecord",
    "Section",
    "Series",
    "Stamp",
    "Surface",
    "Table",
]

SCHEMA = "taylornets.run/1"
PAGES = ("fit", "diagnosis")  # the kinds of runs whose page is sections


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
        check_slug("claim", self.claim)
        for name in ("predicted", "measured", "detail"):
            normalize(self, **{name: plain(name, getattr(self, name))})
        if self.interval is not None:
            normalize(self, interval=floats(self.interval))
            check_length("interval", self.interval, 2)
        normalize(self, figures=tuple(self.figures), tables=tuple(self.tables), explanation=tuple(self.explanation))
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
        normalize(self, claims=tuple(self.claims), versions=dict(self.versions), timings=dict(self.timings))


@dataclass(frozen=True)
class Section:
    """A part of a page about one run.

    Args:
        name: of the part: lower-case letters, digits, underscores.
        title: one line.
        paragraphs: of text.
        facts: values by name.
        figures: in order; their names are unique on the page.
        tables: the same.
    """

    name: str
    title: str
    paragraphs: Iterable[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    figures: Iterable[Figure] = ()
    tables: Iterable[Table] = ()

    def __post_init__(self):
        check_slug("name", self.name)
        normalize(self, facts=plain("facts", self.facts), paragraphs=tuple(self.paragraphs))
        normalize(self, figures=tuple(self.figures), tables=tuple(self.tables))


@dataclass(frozen=True)
class PageRecord:
    """What a fit of a table, or the diagnosis of a network, found, for people.

    Args:
        kind: `"fit"` or `"diagnosis"`.
        title: one line.
        lead: what came out, in two or three sentences.
        headline: the few values that matter, by what they are.
        sections: in the order of the page.
        facts: how it was run, by name.
        command: that gives the same again.
        closing: paragraphs below the command.
    """

    kind: str
    title: str
    lead: str
    headline: Mapping[str, Any]
    sections: Iterable[Section]
    facts: Mapping[str, Any]
    command: str
    closing: Iterable[str] = ()

    def __post_init__(self):
        _checks.choice("kind", self.kind, PAGES)
        normalize(self, closing=tuple(self.closing))
        normalize(self, headline=plain("headline", self.headline), facts=plain("facts", self.facts))
        normalize(self, sections=tuple(self.sections))
        for kind in ("figures", "tables"):
            names = [item.name for section in self.sections for item in getattr(section, kind)]
            if len(set(names)) < len(names):
                raise _checks.ArgumentError(kind, "names that differ", ", ".join(names))


_TYPES = {
    kind.__name__: kind
    for kind in (
        Series, Plot, Heatmap, Surface, Gallery, Figure, Table, Stamp, ClaimRecord, RunRecord, Section, PageRecord,
    )
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


def save_page(directory: Path, record: PageRecord) -> None:
    """Writes `records/page.json`."""
    write_text(directory / "records" / "page.json", dumps({"schema": SCHEMA, "record": encode(record)}))


def load_page(directory: Path) -> PageRecord | None:
    """The record of a fit or a diagnosis, or None where `directory` holds none of this version's form."""
    return _read(directory / "records" / "page.json", PageRecord)


def _page_schema(kind: str) -> str:
    return f"taylornets.{kind}/1"


def save_page_run(directory: Path, kind: str, facts: Mapping[str, Any]) -> None:
    """Writes `run.json` of a fit or a diagnosis: plain fields, for other programs."""
    write_text(directory / "run.json", dumps({"schema": _page_schema(kind), **plain("facts", facts)}))


def load_page_run(directory: Path, kinds: Iterable[str] = PAGES) -> dict[str, Any] | None:
    """What `save_page_run` has written for one of the kinds, or None."""
    try:
        found = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = [_page_schema(kind) for kind in kinds]
    return found if isinstance(found, dict) and found.get("schema") in known else None
