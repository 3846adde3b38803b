"""The map of learners, from records with known numbers of examples."""

# pyright: reportAttributeAccessIssue=false

import math
from typing import Any

import pytest

from taylornets.records import ClaimRecord, Stamp
from taylornets.report._map import map_of_learners


def record(name: str, detail: dict[str, Any]) -> ClaimRecord:
    text = dict.fromkeys(("title", "statement", "source", "predicted"), "t")
    stamp = Stamp("quick", 0, "0.1.0", None, True)
    return ClaimRecord(name, **text, measured=1.0, interval=None, holds=True, seconds=1.0, detail=detail, stamp=stamp)


def test_panels_slopes_and_winners():
    needed = {"ntk": [[8.0, 64.0], [32.0, 256.0]], "quadratic": [[20.0, 40.0]] * 2, "cubic": [[16.0, math.inf]] * 2}
    growth = {"dimensions": [8, 16], "quadratic": [500.0, 4000.0], "hierarchical": [160.0, 640.0], "ratio": [3.1, 6.2]}
    records = [
        record("degrees", {"dimensions": [2, 4], "examples_needed": needed}),
        record("coupling", {}),
        record("hierarchical", {"growth": growth}),
    ]
    figure = map_of_learners(records)
    assert figure is not None
    first, second = figure.panels
    lines = {(series.label, series.group): list(series.y) for series in first.series}
    assert lines["NTK", "NTK"] == pytest.approx([16.0, 128.0])  # geometric means
    assert lines["$d^3$", "NTK"] == pytest.approx([16.0, 128.0])
    assert lines["order 3", "order 3"] == pytest.approx([16.0])  # without the curve that did not reach the goal
    assert {series.label for series in second.series} >= {"order 2", "hierarchical"}
    assert "degree 3: NTK (d = 2), order 2 (d = 4)" in figure.caption
    assert "degree 4: hierarchical (d = 8 to 16)" in figure.caption


def test_nothing_measured():
    assert map_of_learners([]) is None
    assert map_of_learners([record("hierarchical", {"growth": {"dimensions": []}}), record("coupling", {})]) is None
