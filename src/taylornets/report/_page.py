"""The page: a template combines records, figures in both themes and the style sheet into one HTML file."""

import base64
from collections.abc import Callable
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from taylornets.records import Figure, Heatmap, PageRecord, Panel, Plot, Surface, bare
from taylornets.report import _text
from taylornets.report._draw import height, render
from taylornets.report._style import THEMES


def describe(figure: Figure, panel: Panel) -> str:
    """Describes a panel in words, as alternative text for screen readers."""
    return bare(_described(figure, panel))


def _described(figure: Figure, panel: Panel) -> str:
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
    """Renders each panel as a separate image in both themes, so that panels can stack on a narrow screen."""
    panels: list[dict[str, str]] = []
    tall = height(tuple(figure.panels))
    for panel in figure.panels:
        svgs = {theme.name: render((panel,), theme, tall).encode() for theme in THEMES}
        images = {name: "data:image/svg+xml;base64," + base64.b64encode(svg).decode() for name, svg in svgs.items()}
        panels.append({"alt": describe(figure, panel), **images})
    return panels


_KINDS = {"fit": "fit report", "diagnosis": "diagnosis report", "reproduction": "reproduction report"}


def page(record: PageRecord, version: str, drawing: Callable[[Figure], None]) -> str:
    """Renders the page as HTML.

    Args:
        record: content of the page.
        version: version of taylornets that computed the results.
        drawing: called with each figure before it is drawn.

    Returns:
        A complete HTML document without scripts or external references.
    """
    sources: dict[str, list[dict[str, str]]] = {}
    for section in record.sections:
        for figure in section.figures:
            drawing(figure)
            sources[figure.name] = _sources(figure)
    claims = [section.claim for section in record.sections if section.claim is not None]
    return _render(
        "page.html", record=record, kind=_KINDS[record.kind], version=version, claims=claims, sources=sources
    )


def _render(template: str, **values: Any) -> str:
    """Renders a template with the style sheet and the filters for numbers and sentences."""
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
        "numeric": _text.numeric,
        "words": _text.words,
        "bare": bare,
    }
    environment.filters.update(filters)
    style = resources.files("taylornets.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=Markup(style), **values)  # a file of this package
