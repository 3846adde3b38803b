"""Learning problems on tables: what is left out, rare classes, dates, the split by time, duplicates, and saved recipes."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from taylornets import ArgumentError, records
from taylornets.datafiles import Reading, from_frame
from taylornets.estimators import PENALTIES
from taylornets.tabular import _model_file
from taylornets.tabular._card import _cell, code
from taylornets.tabular._compare import compare_runs
from taylornets.tabular._importance import effect, importances
from taylornets.tabular._inputs import expanded
from taylornets.tabular._model_table import describe
from taylornets.tabular._path import FitSettings, learn
from taylornets.tabular._problem import pose

ROWS = 60
PLACES = np.arange(ROWS)
RANDOM = np.random.default_rng(0)


def table(**columns: object) -> object:
    return from_frame(pd.DataFrame({"a": RANDOM.normal(size=ROWS), "y": RANDOM.normal(size=ROWS)} | columns))


def test_columns_without_information_are_left_out_with_a_note():
    found = pose(
        table(one=1, none="", name=[f"Mr {i} X" for i in PLACES], key=[f"k{i}" for i in PLACES], user_id=PLACES),
        "y", "auto", 0,
    )  # fmt: skip
    assert [*found.inputs.columns] == ["a"]
    assert found.dropped == ["one", "none"]
    note = next(note for note in found.notes if note.startswith("Columns left out"))
    for words in (
        "'one' (constant value 1)",
        "'none' (empty)",
        "'name' (text",
        "'key' (distinct",
        "'user_id' (distinct",
    ):
        assert words in note
    kept = pose(table(key=[f"k{i}" for i in PLACES]), "y", "auto", 0, kept=("key",))
    assert [*kept.inputs.columns] == ["a", "key"]


def test_counts_with_a_rare_value_are_a_regression():
    counts = np.array([0, 1, 2] * 19 + [0, 1, 7])
    found = pose(table(y=counts), "y", "auto", 0)
    assert (found.task, found.reason) == (
        "regression",
        "the column contains 4 distinct integers, one of them in 1 row only",
    )
    assert pose(table(y=counts % 3), "y", "auto", 0).task == "classification"
    with pytest.raises(ArgumentError, match=r"at least 3 rows of every class, got 1 row of '7'.*`task='regression'`"):
        pose(table(y=counts), "y", "classification", 0)


def test_rare_classes():
    kinds = np.array(["u", "v"] * 28 + ["w", "x", "x", "u"])
    with pytest.raises(
        ArgumentError, match=r"got 1 row of 'w', and 1 more rare class\..*`rare='drop'`.*`rare='merge'`"
    ) as found:
        pose(table(y=kinds), "y", "auto", 0)
    assert found.value.mends == (("rare", "drop"),)
    dropped = pose(table(y=kinds), "y", "auto", 0, rare="drop")
    assert (set(dropped.y), len(dropped.y)) == ({"u", "v"}, 57)
    assert "3 rows of 2 rare classes were excluded." in dropped.notes
    assert dropped.reason == "the column contains 4 distinct strings, 2 of them in at least 3 rows"
    merged = pose(table(y=kinds), "y", "auto", 0, rare="merge")
    assert (set(merged.y), len(merged.y)) == ({"u", "v", "(rare)"}, 60)
    assert "2 rare classes (3 rows) were merged into the class '(rare)'." in merged.notes
    with pytest.raises(ArgumentError, match=r"rare: expected at least 3 rows to merge, got 1 row"):
        pose(table(y=np.where(kinds == "x", "u", kinds)), "y", "auto", 0, rare="merge")


def test_rare_classes_next_to_one_class_have_another_way_out():
    """To drop them would leave one class: merge them, or choose the other column, of which the classes are the input."""
    kinds = np.where(PLACES == 0, "w", "u")
    for rare in (None, "drop"):
        with pytest.raises(
            ArgumentError, match=r"two classes with at least 3 rows, got 'y', in which 1 class"
        ) as found:
            pose(from_frame(pd.DataFrame({"a": PLACES * 0.5, "y": kinds})), "y", "auto", 0, rare=rare)
        assert found.value.mends == (("target", "a"),)
    with pytest.raises(ArgumentError, match=r"1 row of 'w0', and 3 more rare classes\. Merge") as found:
        pose(table(y=[f"w{i}" if i < 4 else "u" for i in PLACES]), "y", "auto", 0)
    assert found.value.mends == (("rare", "merge"),)


def test_rows_without_a_target_are_counted_with_their_words():
    levels = np.array(["None", "Some", "Marked"])[PLACES % 3]
    assert len(pose(table(y=levels), "y", "auto", 0).y) == ROWS
    found = pose(from_frame(pd.DataFrame({"a": PLACES * 0.5, "y": levels}), Reading(missing=("None",))), "y", "auto", 0)
    assert found.left_out == 20
    assert "20 rows without a target were excluded (strings treated as missing values: 'None' (20))." in found.notes


def test_dates_are_features():
    days = pd.date_range("2019-12-30", periods=3)
    found = expanded(pd.DataFrame({"d": days, "a": [1.0, 2.0, 3.0]}))
    assert [*found.columns] == ["d (year)", "d (month)", "d (weekday)", "d (hour)", "d (days)", "a"]
    assert found.iloc[2].tolist() == [2020, 1, 2, 0, 365 * 20 + 5, 3]  # five leap days from 2000 to 2019; a Wednesday
    dates = pd.date_range("2020-01-01", periods=ROWS)
    problem = pose(table(day=dates), "y", "auto", 0)
    assert "day (hour)" not in problem.inputs.columns  # constant
    assert any("rows are ordered by 'day'" in note and "`split='time'`" in note for note in problem.notes)
    assert not any("ordered by" in note for note in pose(table(day=RANDOM.permutation(dates)), "y", "auto", 0).notes)
    panel = np.tile(dates[: ROWS // 3], 3) + np.repeat([0, 1, 2], ROWS // 3) * np.timedelta64(1, "D")
    assert any("rows are mostly ordered by 'day'" in note for note in pose(table(day=panel), "y", "auto", 0).notes)


def test_the_split_by_time_keeps_the_last_rows_for_the_test():
    order = RANDOM.permutation(ROWS)
    dates = pd.date_range("2020-01-01", periods=ROWS)[order]
    found = pose(table(day=dates), "y", "auto", 0, division="time").split
    days = order  # the day of each row
    assert (
        days[found.train].max() < days[found.validation].min() <= days[found.validation].max() < days[found.test].min()
    )
    assert len(found.test) == 9
    plain = pose(table(), "y", "auto", 0, division="time").split  # without dates: by the order of the rows
    assert [*plain.test] == [*range(51, 60)]
    with pytest.raises(ArgumentError, match=r"split: expected two classes in the training rows, got only 'u'"):
        pose(table(y=["u"] * 50 + ["v"] * 10), "y", "auto", 0, division="time")


def test_equal_rows_on_both_sides_of_the_split_are_counted():
    data = pd.DataFrame({"a": RANDOM.normal(size=20), "c": ["u", "v"] * 10, "y": RANDOM.normal(size=20)})
    found = pose(from_frame(pd.concat([data] * 3)), "y", "auto", 0)
    rows = [tuple(row) for row in found.inputs.assign(y=found.y).itertuples(index=False)]
    train = {rows[i] for i in found.split.train}
    assert found.duplicates == sum(rows[i] in train for i in found.split.test) > 0
    assert any("(duplicate rows)" in note for note in found.notes)
    assert pose(table(), "y", "auto", 0).duplicates == 0


def test_all_defects_are_one_error():
    words = [*["1"] * 50, *["x"] * 10]
    with pytest.raises(ArgumentError) as found:
        pose(table(b=words, c=words, y=["u", "v"] * 29 + ["w", "u"]), "y", "auto", 0)
    errors = (found.value, *found.value.others)
    assert [error.argument for error in errors] == ["source", "source", "target"]
    assert [error.mends for error in errors] == [(("missing", "x"),), (("missing", "x"),), (("rare", "drop"),)]


def test_a_later_file_is_read_as_the_first_one(tmp_path: Path):
    """The recipe decides: the same numbers in another notation, and words that would be missing or a category."""
    data = pd.DataFrame(
        {"price": [f"{i},50 €" for i in PLACES], "word": np.array(["None", "b"])[PLACES % 2],
         "truth": PLACES % 3 == 0, "day": pd.date_range("2020-01-01", periods=ROWS), "y": RANDOM.normal(size=ROWS)}
    )  # fmt: skip
    first = from_frame(data)
    columns = describe(pose(first, "y", "auto", 0), first, 0)
    new = data.assign(price=PLACES + 0.5, truth=np.where(data["truth"], "TRUE", "False"))[:2]
    new.to_csv(tmp_path / "a.csv", index=False)
    found = _model_file.read_for(columns, str(tmp_path / "a.csv"), Reading())
    pd.testing.assert_frame_equal(
        found.frame[["price", "word", "truth", "day"]], first.frame[["price", "word", "truth", "day"]][:2]
    )
    new.assign(day="soon").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ArgumentError, match=r"dates in column 'day', as during fitting, got 'soon'"):
        _model_file.read_for(columns, str(tmp_path / "a.csv"), Reading())


def test_two_fits_are_compared(tmp_path: Path):
    facts = {"target": "y", "task": "regression", "seed": 0, "order": 2, "split": {"train": 3}, "data": {"sha256": "a"}}
    scores = {"train": 0.9, "validation": 0.5, "test": -0.25}
    changed = {"a": {}, "b": {"order": 1}, "c": {"data": {"sha256": "b"}}, "d": {"seed": 1}, "e": {"target": "z"}}
    for name, changes in changed.items():
        results = {"status": "finished", "scores": scores, "certificate": None}
        records.save_page_run(tmp_path / name, "fit", facts | changes | results)
    found = compare_runs(tmp_path / "a", tmp_path / "b")
    assert ("order", "2", "1") in found.rows
    assert ("R², test rows", "−0.25", "−0.25") in found.rows
    assert found.notes == ("Both models were fitted and scored on the same rows.",)
    for name, words in (("c", "rows differ"), ("d", "splits differ"), ("e", "cannot be compared")):
        assert words in compare_runs(tmp_path / "a", tmp_path / name).notes[0]
    with pytest.raises(ArgumentError, match=r"second: expected an output folder of a finished fit, got .*not a folder"):
        compare_runs(tmp_path / "a", tmp_path / "nothing")


@pytest.mark.parametrize("limit", [1e-9, 1e9])
def test_a_time_limit_ends_the_path_and_keeps_the_best_model(limit: float):
    generator = np.random.default_rng(2)
    x = generator.normal(size=(60, 2))
    y = x[:, 0] * x[:, 1] + 0.3 * generator.normal(size=60)  # weak penalties fit the noise
    settings = FitSettings(width=8, time_limit=limit)
    found = learn("regression", settings, (x[:40], y[:40]), (x[40:], y[40:]), lambda fraction, message: None)
    if limit < 1:
        assert (len(found.path), found.ended) == (1, "limit")
    else:
        keys = [step.rank_key for step in found.path]
        assert found.ended == "worse"
        assert max(keys) == keys[-3]
        assert len(keys) < len(PENALTIES)
    certificate = found.model.certificate_
    assert certificate.primal >= certificate.dual
    assert found.model.penalty_ == max(found.path, key=lambda step: step.rank_key).penalty


def test_importance_finds_the_columns_that_count():
    """The target is a function of two of three columns: the third has no importance, and the effects are theirs."""
    rows = pd.DataFrame(
        {
            "a": RANDOM.normal(size=400),
            "b": RANDOM.normal(size=400),
            "c": np.array(["u", "v"], object)[np.arange(400) % 2],
        }
    )
    y = (3 * rows["a"] + (rows["c"] == "u")).to_numpy()

    def predict(rows: pd.DataFrame) -> np.ndarray:
        return (3 * rows["a"] + (rows["c"] == "u")).to_numpy(np.float64)

    found = importances(rows, y, "regression", predict, 0)
    assert [item.column for item in found] == ["a", "c", "b"]
    assert (found[2].mean, found[2].low, found[2].high) == (0, 0, 0)
    assert found[0].low > 1
    values, means = effect(rows, "a", lambda rows: float(predict(rows).mean()))
    np.testing.assert_allclose(np.diff(means), 3 * np.diff(values))
    assert effect(rows, "c", lambda rows: float(predict(rows.assign(a=0.0)).mean())) == (["u", "v"], [1.0, 0.0])


@pytest.mark.parametrize("name", ["plain", "a`b", "``", "`", "a\nb", "<b>", "[x](y)", "*x*", "a|b", "a\\|b"])
def test_names_in_the_model_card_are_code(name: str):
    words = " ".join(name.split())
    found = code(name)
    fence = found[: len(found) - len(found.lstrip("`"))]
    assert fence not in words.replace("`" * (len(fence) + 1), "") or len(fence) > len(words)
    assert found.strip("`").strip() == words.strip("`") or words in found
    assert re.sub(r"\\\|", "|", _cell(name)) == found  # a table shows the bar without its backslash
    assert not re.search(r"(?<!\\)\|", _cell(name))
