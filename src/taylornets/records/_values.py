"""Records of claims, runs and pages, as frozen data classes."""

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

PAGES = ("fit", "diagnosis")  # kinds of runs that save their page; the page of a reproduction is built from its claims


@dataclass(frozen=True)
class Stamp:
    """Settings that must agree for a finished record to be reused in place of a new computation.

    Args:
        profile: `"quick"` or `"full"`.
        seed: random seed of the run.
        version: version of taylornets.
        commit: commit of the source checkout, if any.
        x64: whether JAX computed in float64.
    """

    profile: str
    seed: int
    version: str
    commit: str | None
    x64: bool


@dataclass(frozen=True)
class ClaimRecord:
    """A claim of the theory: its prediction, the measurement, and the verdict.

    Args:
        claim: name of the claim.
        title: short title.
        statement: the claim in one sentence.
        source: reference in the paper or in docs/theory.md.
        predicted: prediction of the theory.
        measured: measured values.
        interval: confidence interval of the main measured value.
        holds: whether the claim holds.
        seconds: wall-clock time.
        detail: further values, by name.
        figures: figures in the order of the report.
        tables: tables in the order of the report.
        explanation: paragraphs of text.
        stamp: settings of the computation.
        error: message of the exception that ended the computation; empty if it completed.
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
                raise _checks.ArgumentError(argument, "distinct names", ", ".join(names))

    @property
    def verdict(self) -> str:
        """`"✓ holds"`, `"✗ does not hold"` or, after an error, `"! failed"`."""
        return "! failed" if self.error else "✓ holds" if self.holds else "✗ does not hold"

    def summary(self) -> dict[str, Any]:
        """Returns the fields stored in `claims.json`."""
        names = ["claim", "statement", "source", "predicted", "measured", "interval", "holds", "seconds", "detail"]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RunRecord:
    """Settings and environment of a run.

    Args:
        status: `"running"` (also if the run was killed) or `"finished"`.
        stamp: profile, seed, version, commit, precision.
        claims: names of the claims, in the order of the report.
        versions: versions of Python and the libraries.
        platform: operating system and processor.
        device: device used by JAX.
        cpu_count: number of CPU cores of the system.
        modified: whether the checkout had uncommitted changes.
        start: start time in UTC, ISO 8601.
        end: end time; empty while running.
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
    """A section of a page.

    Args:
        name: name of the section: lower-case letters, digits, underscores.
        title: title, one line.
        paragraphs: paragraphs of text.
        facts: values by name.
        figures: figures in order, with names unique on the page.
        tables: tables in order, with names unique on the page.
        claim: claim shown in the section, with statement, prediction, measurement, negative control and verdict.
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
    """A page with the results of a fit, a diagnosis or a reproduction.

    Args:
        kind: `"fit"`, `"diagnosis"` or `"reproduction"`.
        title: title, one line.
        lead: summary in two or three sentences.
        headline: main values, by name.
        sections: sections in order.
        facts: settings and environment of the run, by name.
        command: command that reproduces the results.
        closing: paragraphs below the command.
        notice: warning at the top of the page, or empty.
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
                raise _checks.ArgumentError(kind, "distinct names", ", ".join(names))
