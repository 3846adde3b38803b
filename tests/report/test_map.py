"""The map of learners, from records with known numbers of examples."""

# pyright: reportAttributeAccessIssue=false

import math
from typing import Any

import pytest

from taylornets.records import ClaimRecord, Stamp
from taylornets.report._draw import draw, height, render
from taylornets.report._map import map_of_learners
from taylornets.report._plots import groups_of
from taylornets.report._regions import MARGIN, NONE, regions_of, shaded
from taylornets.report._style import LIGHT
from taylornets.report._values import groups, values


def record(name: str, detail: dict[str, Any]) -> ClaimRecord:
    text = dict.fromkeys(("title", "statement", "source", "predicted"), "t")
    stamp = Stamp("quick", 0, "0.1.0", None, True)
    return ClaimRecord(name, **text, measured=1.0, interval=None, holds=True, seconds=1.0, detail=detail, stamp=stamp)


NEEDED = {"ntk": [[8.0, 64.0], [32.0, 256.0]], "quadratic": [[20.0, 40.0]] * 2, "cubic": [[16.0, math.inf]] * 2}


def test_panels_slopes_and_winners():
    growth = {"dimensions": [8, 16], "quadratic": [500.0, 4000.0], "hierarchical": [160.0, 640.0], "ratio": [3.1, 6.2]}
    records = [
        record("degrees", {"dimensions": [2, 4], "examples_needed": NEEDED}),
        record("coupling", {}),
        record("hierarchical", {"growth": growth}),
    ]
    figure = map_of_learners(records)
    assert figure is not None
    first, second = figure.panels
    lines = {(series.label, series.group): list(series.y) for series in first.series if series.kind != "region"}
    assert lines["NTK: $d^{3.0}$ ($d^3$)", "NTK"] == pytest.approx([16.0, 128.0])  # geometric means
    assert lines["", "NTK"] == pytest.approx([16.0, 128.0])
    assert lines["order 3: one point ($d^1$)", "order 3"] == pytest.approx(
        [16.0]
    )  # without the curve that did not reach the goal
    assert {series.label for series in second.series} >= {
        "order 2: $d^{3.0}$ ($d^3$)",
        "hierarchical: $d^{2.0}$ ($d^2$)",
    }
    assert "degree 3: NTK (d = 2), order 2 (d = 4)" in figure.caption
    assert "degree 4: hierarchical (d = 8 to 16)" in figure.caption
    assert "parity" not in figure.caption
    assert [groups_of(panel) for panel in figure.panels] == [["NTK", "order 2", "order 3", "hierarchical"]] * 2


def test_the_sum_and_the_model_that_never_learns():
    needed = {"linear": [[100.0, 400.0]] * 2, "sum": [[200.0, 400.0]] * 2, "quadratic": [[math.inf, math.inf]] * 2}
    figure = map_of_learners(
        [record("joint", {"d": 40, "growth": {"dimensions": [10, 20], "examples_needed": needed}})]
    )
    assert figure is not None
    (panel,) = figure.panels
    assert panel.title == "dense degree 1 plus degree 2"
    assert [series.label for series in panel.series if series.label] == [
        "NTK: $d^{2.0}$ ($d^2$)",
        "order 2: never",
        "orders 1 + 2: $d^{1.0}$ ($d^1$)",
        "fewest: NTK",
        "no learner",
    ]
    assert "By parity, no number of examples is enough for order 2 (dense degree 1 plus degree 2)." in figure.caption
    assert [word for group in groups(figure)[0] for word in [group.label]] == [
        "NTK",
        "order 2",
        "orders 1 + 2",
        "no learner",
    ]


def test_regions_end_where_the_curves_cross():
    """`d²`, `8 d` and a curve without values at the end: the first two cross at d = 8, the third is compared up to d = 4."""
    dimensions = [2.0, 4.0, 16.0]
    curves = {"square": [4.0, 16.0, 256.0], "line": [16.0, 32.0, 128.0], "short": [2.0, 4.0, math.inf]}
    short, square, line = regions_of(dimensions, curves)
    assert [region.learner for region in (short, square, line)] == ["short", "square", "line"]
    assert (short.d, square.d, line.d) == tuple(map(pytest.approx, ([2, 4], [4, 8], [8, 16])))
    assert short.first == pytest.approx([2, 4])
    assert short.second == pytest.approx([4, 16])
    assert (square.first, square.second) == (pytest.approx([16, 64]), pytest.approx([32, 64]))
    areas = [each for each in shaded(dimensions, curves) if each.group == "line" or each.label == NONE]
    top, bottom = MARGIN * 256, 2 / MARGIN
    assert [each.label for each in areas] == ["fewest: line", "", NONE]
    for area, low, high in zip(
        areas, ([64, 128], [64, 128], [bottom] * 2), ([top] * 2, [64, 256], [64, 128]), strict=True
    ):
        assert (area.low, area.high, area.kind) == (pytest.approx(tuple(low)), pytest.approx(tuple(high)), "region")
    assert shaded(dimensions, {"short": [1.0, math.inf, 1.0]}) == []
    alone = regions_of(dimensions, {"square": curves["square"]})
    assert (alone[0].d, alone[0].second) == (pytest.approx([2, 4, 4, 16]), [math.inf] * 4)


def test_regions_are_drawn_with_hatching_and_not_listed():
    figure = map_of_learners([record("degrees", {"dimensions": [2, 4], "examples_needed": NEEDED})])
    assert figure is not None
    (panel,) = figure.panels
    svg = render((panel,), LIGHT, height((panel,)))
    assert svg.count("<pattern") == 1  # of order 2, the second group; the first, the NTK, has a plain color
    assert {value.row[0] for value in values(panel)} == {
        "NTK: d^(3.0) (d^3)",
        "order 2: d^(1.0) (d^2)",
        "order 3: one point (d^1)",
    }
    assert len(values(panel)) == len(draw((panel,), LIGHT, height((panel,))).places)


def test_nothing_measured():
    assert map_of_learners([]) is None
    assert map_of_learners([record("hierarchical", {"growth": {"dimensions": []}}), record("coupling", {})]) is None
