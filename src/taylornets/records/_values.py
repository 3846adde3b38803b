"""Records: what an experiment found and how it was run, as frozen data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from taylornets import _checks
from taylornets.records._panels import (
    Figure,
    Numbers,
    Table,
    check_length,
    check_slug,
    floats,
    normalize,
    plain,
)

PAGES = ("fit", "diagnosis")  # the kinds of runs that keep their page; that of a reproduction is made from its claims


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

    @property
    def verdict(self) -> str:
        """`"✓ holds"`, `"✗ does not hold"` or, after an error, `"! failed"`."""
        return "! failed" if self.error else "✓ holds" if self.holds else "✗ does not hold"

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
    """A part of a page.

    Args:
        name: of the part: lower-case letters, digits, underscores.
        title: one line.
        paragraphs: of text.
        facts: values by name.
        figures: in order; their names are unique on the page.
        tables: the same.
        claim: the claim whose statement, prediction, measurement, control and verdict the section shows.
    """

    name: str
    title: str
    paragraphs: Iterable[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    figures: Iterable[Figure] = ()
    tables: Iterable[Table] = ()
    claim: ClaimRecord | None = None

    def __post_init__(self):
        check_slug("name", self.name)
        normalize(self, facts=plain("facts", self.facts), paragraphs=tuple(self.paragraphs))
        normalize(self, figures=tuple(self.figures), tables=tuple(self.tables))


@dataclass(frozen=True)
class PageRecord:
    """A page for people: what a fit, a diagnosis or a reproduction found.

    Args:
        kind: `"fit"`, `"diagnosis"` or `"reproduction"`.
        title: one line.
        lead: what came out, in two or three sentences.
        headline: the few values that matter, by what they are.
        sections: in the order of the page.
        facts: how it was run, by name.
        command: that gives the same again.
        closing: paragraphs below the command.
        notice: a warning for the top of the page, or empty.
    """

    kind: str
    title: str
    lead: str
    headline: Mapping[str, Any]
    sections: Iterable[Section]
    facts: Mapping[str, Any]
    command: str
    closing: Iterable[str] = ()
    notice: str = ""

    def __post_init__(self):
        _checks.choice("kind", self.kind, (*PAGES, "reproduction"))
        normalize(self, closing=tuple(self.closing))
        normalize(self, headline=plain("headline", self.headline), facts=plain("facts", self.facts))
        normalize(self, sections=tuple(self.sections))
        for kind in ("figures", "tables"):
            names = [item.name for section in self.sections for item in getattr(section, kind)]
            if len(set(names)) < len(names):
                raise _checks.ArgumentError(kind, "names that differ", ", ".join(names))
