"""Relatives of the reported cases of everyday use: nothing is lost in silence, and every refusal has a way out."""

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from rich.console import Console

from taylornets import ArgumentError
from taylornets.cli import _app, _plan, _streams
from taylornets.cli._streams import visible
from taylornets.datafiles import Reading, from_frame, read, scan
from taylornets.tabular._problem import pose

ROWS = 40
PLACES = list(range(ROWS))
A = [round(((7 * i) % 11) * 0.37 - i * 0.05, 3) for i in PLACES]
Y = [round(2 * a + (i % 3) * 0.1, 3) for i, a in enumerate(A)]


def lines(*columns: list[Any], names: str = "", separator: str = ",") -> str:
    rows = [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([names] * bool(names) + rows) + "\n"


def followed(folder: Path, name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str], str]:
    """Runs `fit --dry-run` and the commands that its messages advise: the exit code, the messages, the output."""
    monkeypatch.chdir(folder)
    words, said, code = ["fit", name, "--target", target, "--dry-run"], list[str](), -1
    for _ in range(4):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _app.run(words)
        again = re.search(r"To continue: taylornets (.*)", err.getvalue())
        said += [err.getvalue()] * (code != 0)
        if code == 0 or again is None:
            return code, said, " ".join(out.getvalue().split())
        words = shlex.split(again[1])
    return code, said, ""


# --- Ways out --------------------------------------------------------------------------------------------------------

FILES: dict[str, tuple[str, str, int, str]] = {
    "no names": (lines(A, PLACES, Y), "y", 2, "Regression of 'column_3'"),
    "no names, values that repeat": (lines([0] * ROWS, A, [0, 1] * 20), "y", 2, "Classification of 'column_3'"),
    "a line with sizes, no names": ("40,3\n" + lines(A, PLACES, Y), "y", 2, "Regression of 'column_3'"),
    "sizes and names": ("40,3,u,v,w\n" + lines(A, PLACES, Y, names="a,b,y"), "y", 1, "Regression of 'y'"),
    "spaces": (lines(A, PLACES, Y, names="a b y", separator=" "), "y", 0, "Regression of 'y'"),
    "several spaces": (lines(A, PLACES, Y, names=" a   b y", separator="   "), "y", 0, "Regression of 'y'"),
    "tildes": (lines(A, PLACES, Y, names="a~b~y", separator="~"), "y", 0, "Regression of 'y'"),
    "a title of one cell less": ("# made by lab\n" + lines(A, Y, names="a,y"), "y", 1, "Regression of 'y'"),
    "a title of two cells": ("# made by lab, 2020\n" + lines(A, PLACES, Y, names="a,b,y"), "y", 1, "Regression of 'y'"),
    "a title as wide as the table": ("Report,2020,v1\n" + lines(A, PLACES, Y, names="a,b,y"), "y", 1, "Regression of 'y'"),
    "three lines": ("@relation x\n@attribute a numeric\n@data\n" + lines(A, Y, names="a,y"), "y", 1, "Regression of 'y'"),
    "empty lines": ("\n\n" + lines(A, Y, names="a,y"), "y", 0, "Regression of 'y'"),
    "units below the names": ("a,y\n[m],[s]\n" + lines(A, Y), "y", 1, "Regression of 'y'"),
    "names of years": (lines(A, PLACES, Y, names="2019,2020,2021"), "2021", 0, "Regression of '2021'"),
    "counted names": (lines(A, PLACES, Y, names="0,1,2"), "2", 0, "Regression of '2'"),
    "two counted names": (lines(A, Y, names="0,1"), "1", 0, "Regression of '1'"),
    "an index and counted names": (lines(PLACES, A, Y, names=",0,1"), "1", 0, "Regression of '1'"),
    "two names": (lines(A, PLACES, Y, names="a,a,y"), "y", 1, "Regression of 'y'"),
    "only two names": (lines(PLACES, A, Y, names="y,a,a"), "y", 1, "Regression of 'y'"),
    "the target twice": (lines(A, Y, Y, names="a,y,y"), "y", 1, "Regression of 'y'"),
    "two names and a word": (
        lines(A, A, [*PLACES[:-1], "x"], Y, names="a,a,b,y"), "y", 1, "Regression of 'y'"
    ),
    "infinite of both signs": (lines(["inf", "-inf", *A[2:]], PLACES, Y, names="a,b,y"), "y", 1, "Regression of 'y'"),
    "a source below the table": (lines(A, Y, names="a,y") + "Source: x\nAll rights reserved\n", "y", 0, "('Source: x')"),
    "names in quotation marks": (
        lines(A, ['"Joe" Smith', '"Ann" Smith'] * 20, Y, names="a\tb\ty", separator="\t"), "y", 0, "Regression of 'y'"
    ),
    "a target with backticks": (
        lines(A, ["x y", *PLACES[1:]], names="a,q`drop=1`"), "q`drop=1`", 1, "Regression of 'q`drop=1`'"
    ),
    "a target of lists": (lines(A, PLACES, [f"k{i}" for i in PLACES], names="a,b,y"), "y", 1, "Regression of 'b'"),
    "a target with many words": (
        lines(A, [*PLACES[:25], *(f"w{i}" for i in PLACES[25:])], names="a,y"), "y", 2, "Regression of 'a'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_refusal_leads_to_a_table(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content, target, messages, end = FILES[name]
    (tmp_path / "t.csv").write_text(content)
    code, said, out = followed(tmp_path, "t.csv", target, monkeypatch)
    assert (code, len(said)) == (0, messages), said
    assert end in out
    assert not any(re.search(rf"--drop '?{re.escape(target)}(?!\.1)\b", text) for text in said)


def test_lines_before_a_table_are_found_without_a_target(tmp_path: Path):
    """By words above numbers; a first line without a name for the row names of R stays what it is."""
    path = tmp_path / "t.csv"
    path.write_text("# made by lab, 2020\n" + lines(A, PLACES, Y, names="a,b,y"))
    with pytest.raises(ArgumentError, match=r"the table begins in line 2.*`skip_lines=1`"):
        read(str(path))
    path.write_text("sep=,\n\n# made by lab, 2020\n# for us, 2021\n" + lines(A, PLACES, Y, names="a,b,y"))
    for skipped in (0, 1, 3):  # lines are those of the file
        with pytest.raises(ArgumentError, match=r"the table begins in line 5.*`skip_lines=4`"):
            read(str(path), Reading(skip_lines=skipped, target="y"))
    assert list(read(str(path), Reading(skip_lines=4)).frame.columns) == ["a", "b", "y"]
    path.write_text("a,y\n" + lines([f"row {i}" for i in PLACES], ["NA", *A[1:]], Y))
    assert [info.kind for info in read(str(path)).infos] == ["index", "number", "number"]


def test_a_target_that_is_a_value_is_no_line_of_names(tmp_path: Path):
    (tmp_path / "t.csv").write_text(lines(A, ["yes", "no"] * 20, names="a,y"))
    assert len(scan(str(tmp_path / "t.csv"), Reading(target="yes")).frame) == ROWS


@pytest.mark.parametrize("last", ["7", "Rome"])
def test_rows_that_are_cut_or_wrong_are_no_source(last: str, tmp_path: Path):
    """A number, or more than ten lines."""
    (tmp_path / "t.csv").write_text(lines(A, Y, names="a,y") + f"{last}\n" * (1 if last == "7" else 11))
    with pytest.raises(ArgumentError, match="expected 2 cells in every row"):
        read(str(tmp_path / "t.csv"))


@pytest.mark.parametrize("ending", ["csv", "parquet", "frame"])
def test_columns_with_one_name(ending: str, tmp_path: Path):
    frame = pd.DataFrame([[1.5, 2.5, 3.5]] * 30, columns=pd.Index(["a", "a", "y"]))
    frame.to_csv(tmp_path / "t.csv", index=False)
    if ending == "parquet":
        columns = [pa.array(frame.iloc[:, place]) for place in range(3)]
        parquet.write_table(pa.Table.from_arrays(columns, names=["a", "a", "y"]), tmp_path / "t.parquet")

    def table(reading: Reading) -> Any:
        return from_frame(frame, reading) if ending == "frame" else scan(str(tmp_path / f"t.{ending}"), reading)

    with pytest.raises(
        ArgumentError,
        match=r"distinct column names, got 'a' twice \(again in column 2, called 'a\.1'\).*`drop=\('a\.1',\)`",
    ):
        table(Reading()).check()
    assert table(Reading(drop=("a.1",))).check().frame.iloc[0].tolist() == [1.5, 3.5]
    assert table(Reading(drop=("a",))).check().frame.iloc[0].tolist() == [3.5]
    model = table(Reading(recipes=(("a", "number"), ("y", "number")))).check(["a", "y"])
    assert any("the model uses the first" in note for note in model.notes)


@pytest.mark.parametrize(
    ("names", "indices"),
    [("Unnamed: 0.1,Unnamed: 0", 2), (",Unnamed: 0", 2), ("level_0,index", 2), ("Unnamed: 0,index", 2), ("a,index", 0),
     ("level_0,b", 1)],
)  # fmt: skip
def test_an_index_that_was_saved_twice(names: str, indices: int, tmp_path: Path):
    """The inner one is that of a table whose rows were shuffled."""
    inner = [(7 * i) % ROWS for i in PLACES]
    (tmp_path / "t.csv").write_text(lines(PLACES, inner, A, Y, names=f"{names},x,y"))
    kinds = [info.kind for info in read(str(tmp_path / "t.csv")).infos]
    assert kinds[:2].count("index") == indices
    assert kinds[2:] == ["number", "number"]


def test_utf_16_without_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "t.csv").write_bytes(lines(A, Y, names="a,y").encode(encoding))
        code, said, _ = followed(tmp_path, "t.csv", "y", monkeypatch)
        assert code == 0
        assert f"--encoding {encoding}" in said[0]


@pytest.mark.parametrize(
    ("name", "advice"),
    [("t.xlsx", "Save the sheet as CSV"), ("t.zip", "Unpack it first"), ("t.csv.bz2", "Decompress it first"),
     ("t.json", "Save the table as CSV"), ("t.data", "rename it to end in .csv")],
)  # fmt: skip
def test_files_of_other_kinds_have_advice(name: str, advice: str, tmp_path: Path):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ArgumentError, match=advice):
        scan(str(tmp_path / name))


def test_a_target_of_lists_is_not_advised_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    frame = pd.DataFrame({"a": A, "b": [[1]] * ROWS, "y": [[i] for i in PLACES]})
    frame.to_parquet(tmp_path / "t.parquet")
    code, said, _ = followed(tmp_path, "t.parquet", "y", monkeypatch)
    assert (code, len(said)) == (2, 1)
    assert "--drop 'b'" in said[0]
    assert "--drop 'y'" not in said[0]
    assert "Choose another target." in said[0]


def test_a_quotation_mark_that_is_not_closed(tmp_path: Path):
    (tmp_path / "t.csv").write_text(lines(A, Y, names="a,y") + '1,"2\n')
    with pytest.raises(ArgumentError, match="Correct the quotation marks in the file"):
        read(str(tmp_path / "t.csv"))


def test_quotation_marks_after_backslashes_and_spaces(tmp_path: Path):
    """As in a table of sprinters that bokeh bundles."""
    rows = ['"Ann \\"A, B\\" C",   "JAM", 9.5', '"Bob",   "USA, CA", 9.6'] * 20
    (tmp_path / "t.csv").write_text("name,  country,  time\n" + "\n".join(rows) + "\n")
    table = read(str(tmp_path / "t.csv"))
    assert table.frame.iloc[0].tolist() == ['Ann "A, B" C', "JAM", 9.5]
    assert table.frame.iloc[1].tolist() == ["Bob", "USA, CA", 9.6]


def test_a_text_of_one_column_is_not_split_at_spaces(tmp_path: Path):
    (tmp_path / "t.txt").write_text("the name\na b c\n" * 30)
    assert list(scan(str(tmp_path / "t.txt")).frame.columns) == ["the name"]


# --- Readings --------------------------------------------------------------------------------------------------------


def column(words: list[Any], reading: Reading | None = None) -> tuple[Any, Any]:
    table = from_frame(pd.DataFrame({"c": (words * ROWS)[:ROWS], "other": A}), reading).check()
    return table.frame["c"].to_numpy(), table.info("c")


def test_groups_of_india():
    found, info = column(["1,10,050", "12,34,567.5", "999"])
    assert [*found[:3]] == [110050, 1234567.5, 999]
    assert info.how == "numbers, groups of three digits"
    assert column(["1.10.050", "2.20.050", "3.30.050"])[1].kind == "category"  # versions, not numbers


@pytest.mark.parametrize("zone", ["UTC", "GMT"])
def test_dates_with_the_name_of_universal_time(zone: str):
    found, info = column([f"2020-01-{1 + i % 28:02d} 0{i % 10}:30:00 {zone}" for i in PLACES])
    assert info.kind == "date"
    assert found[1] == np.datetime64("2020-01-02T01:30")


def test_dates_in_two_formats_are_an_error():
    words = [f"2020-01-{1 + i % 28:02d}" if i % 4 else f"{13 + i % 15}.01.2020" for i in PLACES]
    with pytest.raises(
        ArgumentError, match=r"only dates in a column of dates, got '13\.01\.2020' in row 1 .* first of 10"
    ):
        column(words)
    assert column(words, Reading(categorical=("c",)))[1].kind == "category"
    with pytest.raises(ArgumentError, match="only dates in a column of dates"):  # half and half
        column([f"2020-01-{1 + i % 9:02d}" if i % 2 else f"0{1 + i % 9}.01.2020" for i in PLACES])


def test_decimal_commas_and_points_half_and_half_are_an_error():
    with pytest.raises(ArgumentError, match=r"only numbers in a numeric column, got '3,15' in row 1 .* first of 20"):
        column([f"{3 + i % 5},{15 + i}" if i % 2 == 0 else f"{3 + i % 5}.{15 + i}" for i in PLACES])


@pytest.mark.parametrize(
    ("words", "values", "unit"),
    [
        (["40kg", "8.5kg", "12 kg"], [40, 8.5, 12], "kg"), (["12°C", "−3°C"], [12, -3], "°C"), (["90°", "45°"], [90, 45], "°"),
        (["120km/h", "80 km/h"], [120, 80], "km/h"), (["5min", "10min"], [5, 10], "min"), (["3m²", "4m²"], [3, 4], "m²"),
        (["R$ 1,50", "R$ 2,25"], [1.5, 2.25], "R$"), (["kr 5", "kr 7"], [5, 7], "kr"), (["12 kr.", "8 kr."], [12, 8], "kr."),
        (["A$3", "A$4.5"], [3, 4.5], "A$"), (["5,- €", "1.250,- €", "3,50 €"], [5, 1250, 3.5], "€"),
        (["5.--", "7.50"], [5, 7.5], ""),
    ],
)  # fmt: skip
def test_units_without_a_space_and_currencies(words: list[str], values: list[float], unit: str):
    """Once for each word, and recurring."""
    found, info = column(words)
    assert [*found[: len(words)]] == values
    assert info.recipe.removeprefix("number")[2:] == unit
    assert info.how.endswith(f"in {unit}" if unit else "")


FORMS = ["{}k", "{}/7", "$1.{}M", "{} ± 0.2", "{}+/-3", "1-{}", "{}'30\"", "{}th", "1h {}m"]


@pytest.mark.parametrize("distinct", [3, ROWS])
@pytest.mark.parametrize("form", FORMS)
def test_quantities_that_are_not_read_are_named(form: str, distinct: int):
    """Left out, or categories that recur."""
    words = [form.format(i % distinct + 11) for i in PLACES]
    _, info = column(words)
    assert info.kind in (("category",) if distinct == 3 else ("identifier", "text"))
    assert any("not read as numbers" in note and "11" in note for note in info.notes)
    assert column(words, Reading(categorical=("c",)))[1].notes == ()  # the reader has decided


@pytest.mark.parametrize(
    "form",
    ["201{}-Q1", "Q{} 2018", "201{}-W05", "1 janvier 201{}", "{}. Mai 2020", "1 de enero de 201{}", "mardi, {} mai 2020",
     "Mai {}, 2020"],
)  # fmt: skip
def test_dates_that_are_not_read_are_named(form: str):
    _, info = column([form.format(i % 4 + 1) for i in PLACES])
    assert info.kind == "category"
    assert any("not read as dates" in note and "2019-01-31" in note for note in info.notes)


def test_dates_of_messages_are_read():
    found, info = column([f"Wed, {1 + i % 9:02d} Jan 2020 10:00:00 +0000" for i in PLACES])
    assert info.kind == "date"
    assert found[1] == np.datetime64("2020-01-02T10:00")


@pytest.mark.parametrize(
    "words",
    [[f"K{i:04d}" for i in PLACES], [f"10.0.0.{i}" for i in PLACES], [f"Name {i}" for i in PLACES], ["a", "b"],
     ["030 123 456", "030 123 457"], ["1.0.3", "1.1.0"], ["01234", "00501"], ["Ford 2015", "BMW 2016"], ["true", "false"]],
)  # fmt: skip
def test_identifiers_have_no_such_note(words: list[str]):
    assert not any("not read as" in note for note in column(words)[1].notes)


@pytest.mark.parametrize("words", [["<5", "5", ">5"], ["<5", "≥5"], ["<5", "5", "10", ">10"], ["<=1", ">1"]])
def test_words_that_differ_in_their_sign_only_are_categories(words: list[str]):
    found, info = column(words)
    assert [*found[: len(words)]] == words
    assert "not read as numbers" in info.notes[0]
    assert column(words, Reading(numeric=("c",)))[0][0] == float(words[0].strip("<=>≥"))


def test_a_few_words_that_differ_in_their_sign_are_named():
    found, info = column(["<5", "5", *map(str, range(6, 30))])
    assert [*found[:3]] == [5, 5, 6]
    assert "1 word of column 'c', such as '5'" in info.notes[1]
    assert "`categorical=('c',)`" in info.notes[1]
    assert len(column(["<5", *map(str, range(6, 30))])[1].notes) == 1


def test_words_with_digits_are_not_advised_away_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Grades such as 1+ in every sixth row are values; one word in 40 is a slip, and so is a word without digits."""
    for word, every, option in (("1+", 6, "--categorical c"), ("1+", ROWS, "--missing 1+"), ("x", 6, "--missing x")):
        grades = [word if i % every == 0 else str(1 + i % 4) for i in PLACES]
        (tmp_path / "t.csv").write_text(lines(A, grades, Y, names="a,c,y"))
        code, said, _ = followed(tmp_path, "t.csv", "y", monkeypatch)
        assert (code, len(said)) == (0, 1)
        assert said[0].rstrip().endswith(option)


@pytest.mark.parametrize("code", [-9, -99, -999, -9999])
def test_codes_of_missing_values_are_named(code: int):
    """In all formats: numbers of a data frame, and words of a text file."""
    words = [code if i % 9 == 0 else i * 1.5 for i in PLACES]
    for column_words in (words, list(map(str, words))):
        values, info = column(column_words)
        assert values[0] == code
        assert any(f"has {code} in 5 rows" in note and f"missing=('{code}',)" in note for note in info.notes)
    assert column([str(word) for word in words], Reading(missing=(str(code),)))[1].notes == ()
    assert column([code, -1.0, *words[1:]])[1].notes == ()  # one of several negative numbers


def test_categories_that_differ_in_case_only_are_named():
    note = column(["Paris", "paris", "PARIS", "Rome"])[1].notes[0]
    assert "only in upper and lower case: 'Paris' and 'paris' and 'PARIS'." in note
    assert column(["Paris", "Rome"])[1].notes == ()
    assert column(["True", "TRUE", "false"])[1].notes == ()


def test_infinite_numbers_are_quoted_as_they_are_written():
    with pytest.raises(
        ArgumentError, match=r"finite numbers, got inf in row 1 of column 'c', written '1e400'.*`missing=\('1e400',\)`"
    ):
        column(["1e400", *map(str, A[1:])])


def test_numbers_that_look_like_dates_are_named():
    days = [f"2019{1 + i % 12:02d}{1 + i % 28:02d}" for i in PLACES]
    values, info = column(days)
    assert values[1] == 20190202
    assert any("such as 20190101" in note and "2019-01-01" in note for note in info.notes)
    assert column([int(day) for day in days])[1].notes == info.notes
    assert column([20191301 + i for i in PLACES])[1].notes == ()  # no months


# --- The terminal ----------------------------------------------------------------------------------------------------


def test_names_cannot_steer_the_terminal():
    assert visible("a\x1b[31mb\u202ec\nd é日😀 −") == "a\\x1b[31mb\\u202ec\\nd é日😀 −"
    names = {"\x1b[2Jclear": A, "y": Y, "n" * 3000: [i % 7 for i in PLACES]}
    screen = io.StringIO()
    _plan.show(
        Console(file=screen, width=100, force_terminal=False), pose(from_frame(pd.DataFrame(names)), "y", "auto", 0)
    )
    assert "\x1b" not in screen.getvalue()
    assert r"\x1b[2Jclear" in screen.getvalue()
    assert screen.getvalue().count("n" * 20) < 6


def test_signs_that_a_terminal_lacks_are_whole_code_points():
    assert "😀日".encode("ascii", errors=_streams._HANDLER).decode() == "\\U0001f600\\u65e5"


def test_a_reader_that_has_gone_is_no_failure():
    """rich ends the program with code 1, which means that a claim did not hold."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with _streams.prepared(), pytest.raises(BrokenPipeError):
        Console(file=Gone()).print("x")
    with pytest.raises(SystemExit):
        Console(file=Gone()).print("x")


def test_a_first_line_of_another_length_is_a_title_even_with_the_name_of_the_target(tmp_path: Path):
    """As in scikit-learn's own files: the number of rows and columns, and the classes, above a table without names."""
    rows = [f"{i},{i / 2},{i % 3},{i * i},{i + 1},{i % 2}" for i in range(30)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["30,no,yes", *rows]))
    with pytest.raises(ArgumentError, match="the table begins in line 2") as caught:
        read(str(path), Reading(target="yes"))
    assert "skip_lines" in str(caught.value)
