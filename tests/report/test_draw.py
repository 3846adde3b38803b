"""Figures: axes are labeled, data stay visible, both themes, the same bytes every time, and nothing crashes on odd data."""

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from report_samples import HOSTILE, bars, confusion, gallery, slopes

from taylornets.records import Gallery, Heatmap, Panel, Plot, Series, Surface
from taylornets.report import _draw, _maps, _plots
from taylornets.report._draw import height, render
from taylornets.report._style import DARK, LIGHT, THEMES, Theme, settings

PANELS: dict[str, Panel] = {"slopes": slopes(), "bars": bars(), "confusion": confusion(), "gallery": gallery()}
SVG = "{http://www.w3.org/2000/svg}"


def draw(*panels: Panel, theme: Theme = LIGHT) -> str:
    return render(panels, theme, height(panels))


def drawn(panel: Plot | Heatmap | Surface) -> tuple[Any, Any]:
    """The figure and the axes before they become SVG."""
    with matplotlib.rc_context(settings(LIGHT)):
        canvas = Canvas(figsize=(4.6, height([panel])), layout="constrained")
        part = canvas.subfigures(1, 1, squeeze=False)[0, 0]
        by_kind: dict[type, Any] = {Plot: _plots.plot, Heatmap: _maps.heatmap, Surface: _maps.surface}
        by_kind[type(panel)](part, panel, LIGHT)
        canvas.draw_without_rendering()
    return canvas, part.axes[0]


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_colors_can_be_told_from_the_surface(theme: Theme):
    assert contrast(theme.ink, theme.surface) >= 7  # WCAG AAA for text
    assert contrast(theme.muted, theme.surface) >= 4.5  # AA
    for color in theme.palette:
        assert contrast(color, theme.surface) >= 3  # WCAG AA for graphical objects


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", PANELS)
def test_every_panel_is_a_well_formed_picture_of_its_theme(name: str, theme: Theme):
    svg = draw(PANELS[name], theme=theme)
    root = ET.fromstring(svg)
    assert root.tag == SVG + "svg"
    assert theme.surface in svg
    other = DARK if theme is LIGHT else LIGHT
    assert other.surface not in svg or other.surface == "#ffffff"
    # Text is outlines: no font of the reader's machine is asked for.
    assert not list(root.iter(SVG + "text"))


@pytest.mark.parametrize("name", PANELS)
def test_same_bytes_every_time(name: str):
    first = draw(PANELS[name])
    _draw.draw.cache_clear()
    assert draw(PANELS[name]) == first
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


@pytest.mark.parametrize("name", PANELS)
def test_pictures_fetch_nothing(name: str):
    for element in ET.fromstring(draw(PANELS[name])).iter():
        for key, value in element.attrib.items():
            if key.endswith("href") or key == "src":
                assert value.startswith(("#", "data:"))


@pytest.mark.parametrize("name", ["slopes", "bars", "confusion"])
def test_every_plot_has_axis_labels(name: str):
    panel = PANELS[name]
    assert not isinstance(panel, Gallery)
    _, axes = drawn(panel)
    assert axes.get_xlabel() == panel.x_label
    assert axes.get_ylabel() == panel.y_label


def test_heatmap_names_its_colors_and_writes_counts():
    panel = confusion()
    canvas, axes = drawn(panel)
    assert [text.get_text() for text in axes.texts] == ["5", "0", "1", "0", "6", "0", "2", "0", "7"]
    assert panel.value_label in [other.get_ylabel() for other in canvas.axes]
    assert axes.yaxis_inverted()  # the first row stands on top


def test_surface_has_labels_levels_and_marks():
    x, y = np.linspace(-1, 1, 21), np.linspace(0, 2, 11)
    values = x[None, :] ** 2 + y[:, None]
    panel = Surface(
        "across (m)", "along (m)", x, y, values, "height (m)", [Series("bottom", [0.0], [0.0]), Series("top", [1], [2])]
    )
    canvas, axes = drawn(panel)
    assert (axes.get_xlabel(), axes.get_ylabel()) == (panel.x_label, panel.y_label)
    assert "height (m)" in [other.get_ylabel() for other in canvas.axes]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["bottom", "top"]
    assert axes.lines[1].get_xydata().tolist() == [[1, 2]]
    levels = axes.collections[0].levels
    assert (levels[0], levels[-1]) == (0.0, 3.0)


def test_theory_is_dashed_in_the_color_of_its_group():
    _, axes = drawn(slopes())
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [line.get_color() for line in dashed] == [LIGHT.palette[0], LIGHT.muted]
    assert dashed[0].get_color() == axes.containers[0].lines[0].get_color()


def test_error_bars_end_where_the_record_says():
    panel = slopes()
    _, axes = drawn(panel)
    series = next(iter(panel.series))
    segments = np.array(axes.containers[0].lines[2][0].get_segments())
    assert series.low is not None
    assert series.high is not None
    np.testing.assert_allclose(segments[:, 0, 1], np.array(list(series.low), float))
    np.testing.assert_allclose(segments[:, 1, 1], np.array(list(series.high), float))


def test_legend_lies_outside_the_data_in_the_order_of_the_series():
    panel = slopes()
    canvas, axes = drawn(panel)
    legend = axes.get_legend()
    words = sorted(
        legend.get_texts(), key=lambda word: (-round(word.get_window_extent().y0 / 4), word.get_window_extent().x0)
    )
    assert [word.get_text() for word in words] == [series.label for series in panel.series]
    assert legend.get_window_extent().y0 >= axes.get_window_extent().y1
    assert legend.get_window_extent().x1 <= canvas.bbox.x1
    assert legend.get_window_extent().y1 <= canvas.bbox.y1


def test_logarithmic_axes_have_minor_ticks_and_widths_powers_of_two():
    _, axes = drawn(Plot("x", "y", [Series("a", [2, 64], [1e-3, 1e2])], "log2", "log"))
    assert len(axes.yaxis.get_minorticklocs()) > 20
    assert {4.0, 8.0, 16.0} <= set(axes.get_xticks())
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_short_logarithmic_axes_have_plain_numbers():
    _, axes = drawn(Plot("x", "y", [Series("a", [1, 2], [0.02, 0.4])], "linear", "log"))
    words = [word.get_text() for word in axes.get_yticklabels()]
    assert {"0.02", "0.05", "0.1", "0.2"} <= set(words)
    assert _plots._tick(2e-5, 0) == r"$2\times 10^{-5}$"


ODD: dict[str, Panel] = {
    "nothing": Plot("x", "y", []),
    "empty series": Plot("x", "y", [Series("a", [], [])], "log", "log"),
    "nothing positive": Plot("x", "y", [Series("a", [-1, 0], [0, -1])], "log", "log"),
    "not finite": Plot("x", "y", [Series("a", [1, 2, math.nan], [math.inf, 1, 2], [0] * 3, [math.nan] * 3)], "log", "log"),
    "interval below zero": Plot("x", "y", [Series("a", [1, 2], [1, 2], [-1, 0], [2, 3])], "log", "log"),
    "interval beside the point": Plot("x", "y", [Series("a", [1], [5], [1], [2])]),
    "one bar": Plot("x", "y", [Series("a", [3.0], [5], kind="bars")]),
    "categories and theory": Plot("x", "y", [Series("a", ["u", "v"], [1, 2]), Series("b", ["u", "v"], [1, 1], kind="theory")]),
    "many groups": Plot("x", "y", [Series(f"series {i}", [1, 2], [i, i + 1], kind="line") for i in range(12)]),
    "bad formula": Plot("cost $", "$\\nothing{$", [Series("$x^$", [1], [1]), Series("$$", [1], [2])]),
    "hostile": Plot(HOSTILE, HOSTILE, [Series(HOSTILE, [1], [1]), Series(HOSTILE * 3, [1], [2])], title=HOSTILE),
    "no glyph": Plot("漢字", "y", [Series("a", [1], [1])]),
    "heatmap of nan": Heatmap("x", "y", ["a"], ["b"], [[math.nan]], "v", [[1]]),
    "constant heatmap": Heatmap("x", "y", ["a", "b"], ["c"], [[-2, -2]], "v"),
    "heatmap, long names": Heatmap("x", "y", ["a long name"] * 3, ["another long name"] * 2, np.ones((2, 3)), "v"),
    "constant surface": Surface("x", "y", [0, 1], [0, 1], np.ones((2, 2)), "v"),
    "surface of nan": Surface("x", "y", [0, 1], [0, 1], np.full((2, 2), math.nan), "v"),
    "empty gallery": Gallery([], []),
    "blank gallery": Gallery(np.zeros((1, 2, 3)), [""]),
    "gallery of nan": Gallery(np.full((1, 2, 3), math.nan), ["a very long caption that has more letters than a column"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_data_are_drawn(name: str):
    assert ET.fromstring(draw(ODD[name])).tag == SVG + "svg"


def test_panels_stand_side_by_side():
    one = ET.fromstring(draw(slopes())).attrib["viewBox"].split()
    two = ET.fromstring(draw(slopes(), confusion())).attrib["viewBox"].split()
    assert float(two[2]) == pytest.approx(2 * float(one[2]))


def test_matplotlib_settings_are_left_as_they_were():
    before = dict(matplotlib.rcParams)
    draw(bars())
    assert dict(matplotlib.rcParams) == before
