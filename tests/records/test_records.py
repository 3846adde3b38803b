"""Records survive JSON unchanged, reject invalid content, and are written atomically."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from taylornets import ArgumentError, records
from taylornets.records import (
    ClaimRecord,
    Figure,
    Gallery,
    Heatmap,
    Plot,
    RunRecord,
    Series,
    Stamp,
    Surface,
    Table,
)

STAMP = Stamp("quick", 3, "0.1.0", "abc", True)


def plot(**changes: Any) -> Plot:
    given: dict[str, Any] = {
        "x_label": "width m",
        "y_label": "error",
        "series": [Series("a", np.array([1, 2]), jnp.array([0.5, math.inf]), [0.0, 1.0], [1.0, 2.0], "line", "g")],
        "x_scale": "log2",
        "y_scale": "log",
    }
    return Plot(**(given | changes))


def heatmap(**changes: Any) -> Heatmap:
    given: dict[str, Any] = {
        "x_label": "predicted",
        "y_label": "true",
        "columns": ["0", "1"],
        "rows": ["a", "b"],
        "values": np.eye(2),
        "value_label": "share",
        "counts": [[3, 0], [1, 4]],
    }
    return Heatmap(**(given | changes))


def surface(**changes: Any) -> Surface:
    given: dict[str, Any] = {
        "x_label": "x",
        "y_label": "y",
        "x": np.arange(3),
        "y": [0, 1],
        "values": np.arange(6).reshape(2, 3),
        "value_label": "height",
        "marks": [Series("top", [2], [1])],
    }
    return Surface(**(given | changes))


def record(**changes: Any) -> ClaimRecord:
    gallery = Gallery(np.arange(8.0).reshape(2, 2, 2), ["one", "two\nlines"], title="Gallery")
    figure = Figure(
        "main", "Title", [plot(), heatmap(), surface(), gallery], "Caption", alt="In words.", highlight=True
    )
    given: dict[str, Any] = {
        "claim": "coupling",
        "title": "Coupling",
        "statement": "It decays.",
        "source": "section 2",
        "predicted": {"slope": -0.25},
        "measured": {"slope": np.float32(0.5), "all": np.array([1.0, math.nan, -math.inf])},
        "interval": (-0.3, np.float64(-0.2)),
        "holds": True,
        "seconds": 1.5,
        "stamp": STAMP,
        "detail": {"widths": jnp.arange(3), "nested": {"flag": np.bool_(True), "none": None, "text": 'é"\n<'}},
        "figures": [figure],
        "tables": [Table("numbers", "Numbers.", ["m", "ok"], [[np.int64(2), True], [None, "no"]])],
        "explanation": ["First.", "Second."],
    }
    return ClaimRecord(**(given | changes))


def test_round_trip_through_strict_json():
    before = record()
    text = records.dumps(before)
    after = records.decode(json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")))
    # NaN differs from itself: compare what is written.
    assert records.dumps(after) == text
    assert repr(after) == repr(before)
    assert type(after) is ClaimRecord


def test_round_trip_is_equality_without_nan():
    before = record(measured=0.5)
    assert records.decode(json.loads(records.dumps(before))) == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1, -0.0, 5e-324, 1.7976931348623157e308])
def test_every_float_comes_back(value: float):
    back = records.decode(json.loads(records.dumps({"x": value})))["x"]
    assert np.array(back).tobytes() == np.array(value).tobytes()


def test_run_record_round_trip(tmp_path: Path):
    run = RunRecord("running", STAMP, ["a", "b"], {"jax": "1"}, "Linux", "cpu", 2, None, "now", timings={"a": 0.1})
    records.save_run(tmp_path, run)
    assert records.load_run(tmp_path) == run
    plain = json.loads((tmp_path / "run.json").read_text())
    assert plain["schema"] == records.SCHEMA
    assert {"versions", "seed", "device", "commit", "timings"} <= set(plain)


def test_summary_has_the_fields_of_the_contract():
    names = ["claim", "statement", "source", "predicted", "measured", "interval", "holds", "seconds", "detail"]
    assert list(record().summary()) == names


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "lengths": (lambda: Series("a", [1.0, 2.0], [1.0]), r"y: expected 2 entries, got 1"),
    "low": (lambda: Series("a", [1.0], [1.0], [0.5], [0.5, 1.0]), r"high: expected 1 entries, got 2"),
    "one end": (lambda: Series("a", [1.0], [1.0], low=[0.5]), r"both ends of the intervals or neither"),
    "kind": (lambda: Series("a", [1.0], [1.0], kind="point"), r"kind: .*Did you mean 'points'"),
    "scale": (lambda: plot(x_scale="logarithmic"), r"x_scale: expected one of .*'log'"),
    "no x label": (lambda: plot(x_label=" "), r"x_label: expected a label"),
    "no y label": (lambda: plot(y_label=""), r"y_label: expected a label"),
    "heatmap without label": (lambda: heatmap(value_label=""), r"value_label: expected a label"),
    "surface without label": (lambda: surface(value_label=""), r"value_label: expected a label"),
    "surface rows": (lambda: surface(values=np.eye(3)), r"values: expected 2 entries, got 3"),
    "surface columns": (lambda: surface(x=[1, 2]), r"a row of values: expected 2 entries, got 3"),
    "heatmap rows": (lambda: heatmap(values=np.eye(3)[:, :2]), r"values: expected 2 entries, got 3"),
    "heatmap columns": (lambda: heatmap(counts=[[1, 2], [3]]), r"a row of counts: expected 2 entries, got 1"),
    "gallery": (lambda: Gallery(np.zeros((2, 1, 1)), ["one"]), r"captions: expected 2 entries, got 1"),
    "no panel": (lambda: Figure("a", "t", [], "c"), r"panels: expected at least one"),
    "figure's name": (lambda: Figure("../a", "t", [plot()], "c"), r"name: expected lower-case letters.*'\.\./a'"),
    "table's name": (lambda: Table("A B", "c", ["x"], []), r"name: expected lower-case letters"),
    "row": (lambda: Table("a", "c", ["x", "y"], [[1]]), r"a row of rows: expected 2 entries, got 1"),
    "cell": (lambda: Table("a", "c", ["x"], [[object()]]), r"rows: expected numbers, strings.*got a object"),
    "claim's name": (lambda: record(claim="a/b"), r"claim: expected lower-case letters"),
    "measured": (lambda: record(measured=1j), r"measured: expected numbers.*got a complex"),
    "detail": (lambda: record(detail={"$type": "x"}), r"detail: expected string keys .*start with '\$'"),
    "interval": (lambda: record(interval=(1.0,)), r"interval: expected 2 entries, got 1"),
    "two figures": (
        lambda: record(figures=[Figure("a", "t", [plot()], "c")] * 2),
        r"figures: expected distinct names",
    ),
    "unknown type": (
        lambda: records.decode({"$type": "Thing"}),
        r"record: expected a record of this version, got Thing",
    ),
    "unknown field": (lambda: records.decode({"$type": "Stamp", "x": 1}), r"record: .*got Stamp"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused(name: str):
    make, message = REFUSED[name]
    with pytest.raises(ArgumentError, match=message):
        make()


def test_write_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "deep" / "file.json"
    records.write_text(path, "old")

    def crash(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="disk full"):
        records.write_text(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["file.json"]


def test_newlines_are_kept_as_they_are(tmp_path: Path):
    records.write_text(tmp_path / "a", "x\ny\n")
    assert (tmp_path / "a").read_bytes() == b"x\ny\n"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema": "other", "record": {}}', '{"schema": "taylornets.run/1", "record": 3}']
)
def test_damaged_files_hold_no_record(text: str, tmp_path: Path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "coupling.json").write_text(text)
    (tmp_path / "run.json").write_text(text)
    assert records.load_claim(tmp_path, "coupling") is None
    assert records.load_run(tmp_path) is None


def test_truncated_record_is_no_record(tmp_path: Path):
    records.save_claim(tmp_path, record())
    path = tmp_path / "records" / "coupling.json"
    text = path.read_text()
    assert records.load_claim(tmp_path, "coupling") is not None
    for end in range(0, len(text) - 2, 97):
        path.write_text(text[:end])
        assert records.load_claim(tmp_path, "coupling") is None


def test_record_under_another_name_is_no_record(tmp_path: Path):
    records.save_claim(tmp_path, record())
    (tmp_path / "records" / "coupling.json").rename(tmp_path / "records" / "other.json")
    assert records.load_claim(tmp_path, "other") is None
