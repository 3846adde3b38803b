"""The page: records, figures in both themes and the style sheet put into one HTML file by a template."""

import base64
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from taylornets.records import ClaimRecord, Figure, Heatmap, PageRecord, Panel, Plot, RunRecord, Surface
from taylornets.report import _text
from taylornets.report._draw import height, render
from taylornets.report._style import THEMES


def describe(figure: Figure, panel: Panel) -> str:
    """What a panel shows, in words, for who cannot see it."""
    if figure.alt and len(tuple(figure.panels)) == 1:
        return figure.alt
    title = panel.title or figure.title
    if isinstance(panel, Plot):
        labels = [series.label for series in panel.series if series.label]
        return (
            f"{title}: plot of {panel.y_label} over {panel.x_label}"
            + (f": {'; '.join(labels)}" if labels else "")
            + "."
        )
    if isinstance(panel, Heatmap):
        return f"{title}: matrix of {panel.value_label}; rows: {panel.y_label}; columns: {panel.x_label}."
    if isinstance(panel, Surface):
        marks = "; ".join(series.label for series in panel.marks)
        return (
            f"{title}: {panel.value_label} over {panel.x_label} and {panel.y_label}"
            + (f": {marks}" if marks else "")
            + "."
        )
    return f"{title}: {len(tuple(panel.images))} small images: " + "; ".join(
        " ".join(caption.split()) for caption in panel.captions
    )


def _sources(figure: Figure) -> list[dict[str, str]]:
    """Each panel of a figure as an image in both themes: alone, so that panels can stack on a narrow screen."""
    panels: list[dict[str, str]] = []
    tall = height(tuple(figure.panels))
    for panel in figure.panels:
        svgs = {theme.name: render((panel,), theme, tall).encode() for theme in THEMES}
        images = {name: "data:image/svg+xml;base64," + base64.b64encode(svg).decode() for name, svg in svgs.items()}
        panels.append({"alt": describe(figure, panel), **images})
    return panels


def _highlight(claims: Sequence[ClaimRecord]) -> tuple[ClaimRecord, Figure] | None:
    """The figure for the top of the page: the first one marked, or else the first one."""
    every = [(record, figure) for record in claims for figure in record.figures]
    return next((pair for pair in every if pair[1].highlight), every[0] if every else None)


def _verdict(record: ClaimRecord) -> dict[str, str]:
    if record.error:
        return {"kind": "failed", "symbol": "!", "word": "failed"}
    if record.holds:
        return {"kind": "holds", "symbol": "✓", "word": "holds"}
    return {"kind": "broken", "symbol": "✗", "word": "does not hold"}


def _facts(run: RunRecord) -> dict[str, Any]:
    """How the run was made, by name."""
    changed = " with local changes" if run.modified else ""
    return {
        "profile": run.stamp.profile,
        "seed": str(run.stamp.seed),
        "precision": "64 bits" if run.stamp.x64 else "32 bits",
        "device": run.device,
        "system": f"{run.platform}, {run.cpu_count} processors",
        "commit": (run.stamp.commit + changed) if run.stamp.commit else "none: not run from a checkout",
        "start": run.start.replace("T", " ").replace("+00:00", " UTC"),
        "end": run.end.replace("T", " ").replace("+00:00", " UTC") or "unfinished",
    } | dict(run.versions)


def page(
    run: RunRecord, claims: Sequence[ClaimRecord], missing: Sequence[str], drawing: Callable[[Figure], None]
) -> str:
    """The page as text.

    Args:
        run: how the claims were run.
        claims: what came out, in order.
        missing: names of claims that an unfinished run still lacks.
        drawing: told of each figure when it is drawn.

    Returns:
        A complete HTML document without scripts or references to anything outside.
    """
    sources: dict[tuple[str, str], list[dict[str, str]]] = {}
    for record in claims:
        for figure in record.figures:
            drawing(figure)
            sources[record.claim, figure.name] = _sources(figure)
    return _render(
        "page.html",
        run=run,
        claims=claims,
        missing=missing,
        held=sum(record.holds for record in claims),
        total=sum(record.seconds for record in claims),
        highlight=_highlight(claims),
        sources=sources,
        facts=_facts(run),
    )


def sections_page(record: PageRecord, version: str, drawing: Callable[[Figure], None]) -> str:
    """The page about one fit or diagnosis as text.

    Args:
        record: what it found.
        version: of taylornets that found it.
        drawing: told of each figure when it is drawn.

    Returns:
        A complete HTML document without scripts or references to anything outside.
    """
    sources: dict[str, list[dict[str, str]]] = {}
    for section in record.sections:
        for figure in section.figures:
            drawing(figure)
            sources[figure.name] = _sources(figure)
    return _render("sections.html", record=record, version=version, sources=sources)


def _render(template: str, **values: Any) -> str:
    """A template with the style sheet and the filters for numbers and sentences."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("taylornets.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "inline": _text.inline,
        "cell": _text.cell,
        "interval": _text.interval,
        "seconds": _text.seconds,
        "verdict": _verdict,
        "numeric": _text.numeric,
        "words": _text.words,
    }
    environment.filters.update(filters)
    style = resources.files("taylornets.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=Markup(style), **values)  # a file of this package
