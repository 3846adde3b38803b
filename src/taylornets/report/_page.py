"""The page: a template combines records, figures in both themes, a style sheet and a script into one HTML file."""

import base64
import hashlib
from collections.abc import Callable
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from taylornets.records import Figure, Heatmap, PageRecord, Panel, Plot, Surface, bare
from taylornets.report import _text
from taylornets.report._draw import draw, height, render
from taylornets.report._inline import inlined, view_box
from taylornets.report._labels import spoken
from taylornets.report._style import LIGHT, THEMES, variables
from taylornets.report._values import groups, listed, tables, values


def describe(figure: Figure, panel: Panel) -> str:
    """Describes a panel in words, as alternative text for screen readers."""
    return bare(spoken(_described(figure, panel)))


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


def _shown(figure: Figure) -> dict[str, Any]:
    """Draws each panel as a separate picture, so that panels can stack on a narrow screen.

    A plot is part of the page, so that its series can be hidden; other panels are images in both themes. The places of the
    values lie on top of each picture.
    """
    tall = height(tuple(figure.panels))
    found, by_panel = groups(figure)
    named = [group for group in found if group.label]
    panels: list[dict[str, Any]] = []
    for place, (panel, keys) in enumerate(zip(figure.panels, by_panel, strict=True)):
        light = draw((panel,), LIGHT, tall)
        alt = describe(figure, panel)
        shown: dict[str, Any] = {"alt": alt, "box": view_box(light.svg), "marks": _marks(panel, light.places, keys)}
        if isinstance(panel, Plot):
            shown["picture"] = inlined(light.svg, f"{figure.name}-{place}", alt, keys)
        else:
            shown |= {theme.name: _encoded(render((panel,), theme, tall)) for theme in THEMES}
        panels.append(shown)
    return {"panels": panels, "groups": named if len(named) > 1 else [], "tables": tables(figure)}


def _encoded(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _marks(panel: Panel, places: tuple[tuple[float, float] | None, ...], keys: list[int]) -> list[dict[str, Any]]:
    """Lists the visible values with their place, text and group."""
    every = values(panel)
    found: list[dict[str, Any]] = []
    for i in listed(every):
        spot = places[i]
        if spot is not None:
            key = keys[every[i].series] if keys else every[i].series
            found.append({"x": spot[0], "y": spot[1], "key": key, "words": every[i].words})
    return found


_KINDS = {"fit": "fit report", "diagnosis": "diagnosis report", "reproduction": "reproduction report"}


def page(record: PageRecord, version: str, drawing: Callable[[Figure], None]) -> str:
    """Renders the page as HTML.

    Args:
        record: content of the page.
        version: version of taylornets that computed the results.
        drawing: called with each figure before it is drawn.

    Returns:
        A complete HTML document without external references. Its only script, `templates/page.js`, is allowed by its
        hash; without it, the page has the same content.
    """
    sources: dict[str, dict[str, Any]] = {}
    for section in record.sections:
        for figure in section.figures:
            drawing(figure)
            sources[figure.name] = _shown(figure)
    claims = [section.claim for section in record.sections if section.claim is not None]
    return _render(
        "page.html", record=record, kind=_KINDS[record.kind], version=version, claims=claims, sources=sources
    )


def _render(template: str, **context: Any) -> str:
    """Renders a template with the style sheet, the script and the filters for numbers and sentences."""
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
        "sortable": _text.sortable,
    }
    environment.filters.update(filters)
    folder = resources.files("taylornets.report").joinpath("templates")
    style, script = (folder.joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    found = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own = {
        "style": Markup(variables() + "\n" + style),
        "script": Markup(script),
        "hash": found,
    }  # files of this package
    return environment.get_template(template).render(**own, **context)
