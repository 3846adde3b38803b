"""No value changes in silence: each column is read without loss, or its reading is stated, or an option is named."""

import datetime
import decimal
import gzip
import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from taylornets import ArgumentError
from taylornets.datafiles import Reading, _text, from_frame, read, scan

ROWS = 40
PLACES = np.arange(ROWS)


def column(words: list[str], reading: Reading | None = None, ending: str = ".csv", folder: Path | None = None) -> Any:
    """The values of a column of words next to a column of numbers, and how it was read."""
    frame = pd.DataFrame({"c": words, "other": PLACES + 0.5})
    table = from_frame(frame, reading)
    table.check()
    return table.frame["c"].to_numpy(), table.info("c")


NUMBERS: dict[str, tuple[list[str], list[float], str]] = {
    "plain": (["1", "-2.5", "3e2"], [1, -2.5, 300], "number"),
    "decimal commas": (["0,1", "-12,25", "1.234,5"], [0.1, -12.25, 1234.5], "number ,"),
    "groups": (["1,234", "567", "1,234,567.5"], [1234, 567, 1234567.5], "number"),
    "groups by spaces": (["1 234", "567", "1\xa0234\xa0567"], [1234, 567, 1234567], "number"),
    "apostrophes": (["1'234", "1’234'567", "8"], [1234, 1234567, 8], "number"),
    "percent": (["12 %", "0%", "-3.5%"], [12, 0, -3.5], "number .%"),
    "currency before": (["€ 5", "€1.50", "-€2"], [5, 1.5, -2], "number .€"),
    "currency behind": (["5 EUR", "1,50 EUR", "7 EUR"], [5, 1.5, 7], "number ,EUR"),
    "accounting": (["(5)", "12", "(234.5)"], [-5, 12, -234.5], "number"),
    "true minus": (["−5", "+3", "–2"], [-5, 3, -2], "number"),
    "minus behind": (["5-", "3", "2"], [-5, 3, 2], "number"),
    "below a limit": (["<5", "7", ">90"], [5, 7, 90], "number"),
    "units": (["3 kg", "4.5 kg", "10 kg"], [3, 4.5, 10], "number .kg"),
    "times": (["12:30", "0:15", "23:59:59"], [12.5, 0.25, 23 + 59 / 60 + 59 / 3600], "number :"),
    "times of twelve hours": (["1:30 PM", "12:15 am", "12:00 p.m."], [13.5, 0.25, 12], "number :"),
    "times with h": (["12h30", "7h", "0h15"], [12.5, 7, 0.25], "number :"),
    "durations": (["3 days", "1 day", "-1 days +22:00:00"], [72, 24, -2], "number :"),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_written_for_people(name: str):
    words, values, recipe = NUMBERS[name]
    found, info = column((words * ROWS)[:ROWS])
    np.testing.assert_allclose(found[: len(values)], values, rtol=1e-15)
    assert info.recipe == recipe
    assert (info.how == "") == (name in ("plain", "accounting", "true minus", "minus behind", "below a limit"))


TEXTS: dict[str, list[str]] = {
    "versions": ["1.0.3", "1.1.0", "2.0.0"],
    "addresses of computers": ["10.0.0.7", "10.0.0.8", "192.168.0.1"],
    "leading zeros": ["01234", "1234", "00501"],
    "more digits than a number holds": ["9007199254740993", "9007199254740994", "12"],
    "more digits and a point": ["12345678901234567890.0", "12345678901234567891.00", "12"],
    "more digits in groups": ["9,007,199,254,740,993", "9,007,199,254,740,994", "12"],
    "more digits in groups of points": ["9.007.199.254.740.993", "9.007.199.254.740.994,0", "12"],
    "more digits with a unit": ["9007199254740993 €", "9007199254740994 €", "12 €"],
    "phone numbers": ["030 123 456", "030 123 457", "030 123 458"],
    "sizes": ["3 rooms", "1 room", "2 rooms"],
    "house numbers": ["12a", "13b", "14c"],
    "ranges": ["1-5", "6-10", "11-20"],
}


@pytest.mark.parametrize("separator", [None, ".", ","])
@pytest.mark.parametrize("name", TEXTS)
def test_words_that_are_no_numbers_stay_as_they_are(name: str, separator: str | None):
    words = (TEXTS[name] * ROWS)[:ROWS]
    found, info = column(words, Reading(decimal=separator))
    assert [*found] == words
    assert info.kind == "category"


@pytest.mark.parametrize(
    ("words", "reading", "message"),
    [
        (["0,5", "1.5", "2.5"], Reading(), r"only numbers in a numeric column, got '0,5' in row 1.*the first of 14"),
        (["-0.13", "0.95"], Reading(decimal=","), r"decimal separator ',', got '-0.13' in column 'c'.*Omit `decimal`"),
        (["0,5", "1,5"], Reading(decimal="."), r"decimal separator '\.', got '0,5'"),
        (["5 €", "6 $"], Reading(), r"one unit in a column"),
        (["5 %", "6"], Reading(), r"one unit in a column"),
        (["1", "2", "about 3"], Reading(), r"'about 3'.*`missing=\('about 3',\)`.*`drop=\('c',\)`"),
        (["1", "2", "inf"], Reading(), r"finite numbers, got inf in row 3.*`missing=\('inf',\)`"),
        (["03/04/2020", "05/06/2020"], Reading(), r"clear order of day and month.*`dates='dmy'`"),
        (["01", "x"], Reading(numeric=("c",)), r"only numbers in a numeric column, got 'x'"),
    ],
)
def test_refused_with_the_option_that_reads_it(words: list[str], reading: Reading, message: str):
    with pytest.raises(ArgumentError, match=message):
        column((words * ROWS)[:ROWS], reading)


def test_a_separator_that_could_be_both(tmp_path: Path):
    """`1.234` next to decimal commas, or `1,234` in a file separated by semicolons."""
    path = tmp_path / "a.csv"
    path.write_text("a;b\n" + "1,234;1\n" * ROWS)
    with pytest.raises(ArgumentError, match=r"clearly decimal.*`decimal=','`"):
        read(str(path))
    assert list(read(str(path), Reading(decimal=",")).frame["a"][:1]) == [1.234]
    assert list(read(str(path), Reading(decimal=".")).frame["a"][:1]) == [1234]
    path.write_text("a;b\n" + "1.234;0,5\n" * ROWS)
    with pytest.raises(ArgumentError, match=r"clearly decimal"):
        read(str(path))
    assert list(read(str(path), Reading(decimal=",")).frame["a"][:1]) == [1234]


def test_points_of_thousands_in_a_file_with_semicolons(tmp_path: Path):
    """The mirror image of `1,234`: 567, 1.234 and 45.600 are inhabitants; numbers with other decimals are clear."""
    path = tmp_path / "a.csv"
    thousands = ["567", "1.234", "-12.345", "999"]
    path.write_text("a;b\n" + "".join(f"{word};1\n" for word in thousands * 10))
    with pytest.raises(ArgumentError, match=r"clearly decimal.*got '1\.234'.*`decimal=','`") as found:
        read(str(path))
    assert found.value.mends == (("decimal", ","),)
    assert [*read(str(path), Reading(decimal=",")).frame["a"][:4]] == [567, 1234, -12345, 999]
    assert [*read(str(path), Reading(decimal=".")).frame["a"][:4]] == [567, 1.234, -12.345, 999]
    for more in ("0.5", "1.25", "1234", "0.123"):
        path.write_text("a;b\n" + "".join(f"{word};1\n" for word in [*thousands, more] * 8))
        assert read(str(path)).frame["a"].tolist()[1] == 1.234
    path.write_text("a;b\n" + "".join(f"{word};0.25\n" for word in thousands * 10))  # the point of the file is decimal
    assert read(str(path)).frame["a"].tolist()[1] == 1.234
    path.write_text("a;b\n" + "1,234;0.25\n" * ROWS)
    assert read(str(path)).frame["a"].tolist()[1] == 1234
    path.write_text("a;b\n" + "1.234;1\n5.678;2\n" * ROWS)  # three decimals throughout
    assert read(str(path)).frame["a"].tolist()[0] == 1.234
    path.write_text("a,b\n" + "".join(f"{word},1\n" for word in thousands * 10))
    assert read(str(path)).frame["a"].tolist()[1] == 1.234


def test_options_overrule_the_kind():
    assert [*column(["01", "02"] * 20, Reading(numeric=("c",)))[0][:2]] == [1, 2]
    assert [*column(["1", "2"] * 20, Reading(categorical=("c",)))[0][:2]] == ["1", "2"]
    found, info = column(["1", "-999", "nix"] * 13 + ["2"], Reading(missing=("-999", "NIX")))
    assert (int(np.isnan(found).sum()), info.missing) == (26, 26)


@pytest.mark.parametrize(
    ("word", "among"), [("None", "Some"), ("NA", "DE"), ("nil", "goal"), ("null", "Smith"), ("n/a", "yes")]
)
def test_words_for_missing_values_are_categories_next_to_words(word: str, among: str):
    found, info = column([word, among, "x"] * 13 + ["x"])
    assert found[0] == word
    assert info.missing == 0
    assert f"keeps {word!r} (13 rows) as a category" in info.notes[0]
    found, info = column([word, "1", "2"] * 13 + ["3"])  # where no other reading is possible
    assert np.isnan(found[0])
    assert info.words == ((word, 13),)
    found, info = column([word, among, "x"] * 13 + ["x"], Reading(missing=(word,)))
    assert info.missing == 13


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["2020-01-31", "2020-02-01"], "2020-01-31"), (["31.01.2020", "01.02.2020"], "2020-01-31"),
        (["01/31/2020", "02/01/2020"], "2020-01-31"), (["Jan 1 2000", "Feb 1 2000"], "2000-01-01"),
        (["1 March 1999", "2 March 1999"], "1999-03-01"), (["2012/01/01", "2012/01/02"], "2012-01-01"),
        (["2020-01-31 12:30", "2020-02-01 00:00"], "2020-01-31T12:30"),
        (["2020-01-31T12:30:00+02:00", "2020-02-01T00:00:00+02:00"], "2020-01-31T10:30"),
    ],
)  # fmt: skip
def test_dates(words: list[str], first: str):
    found, info = column(words * 20)
    assert info.kind == "date"
    assert found[0] == np.datetime64(first)
    found, info = column([*words * 19, "", "NA"])
    assert np.isnat(found[-2:]).all()


def test_nearly_unique_texts_and_identifiers():
    names = [f"Name {i} of many" for i in PLACES]
    assert column([*names[:-1], names[0]])[1].kind == "text"
    assert column([f"K{i:05d}" for i in PLACES])[1].kind == "identifier"
    table = from_frame(pd.DataFrame({"house_id": PLACES[::-1], "pid": PLACES % 7, "grid": PLACES * 1.5}))
    assert [info.kind for info in table.infos] == ["identifier", "whole number", "number"]


@pytest.mark.parametrize("header", ["", "Unnamed: 0", "rownames", "__index_level_0__"])
def test_an_index_that_was_saved_with_the_table(header: str, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text(f"{header},a,b,\n" + "".join(f"{i},{i % 3},{i / 7},\n" for i in range(1, ROWS)))
    table = read(str(path))
    assert [info.kind for info in table.infos] == ["index", "whole number", "number"]
    assert "The last column has no name" in table.notes[0]
    path.write_text('"a" "b"\n' + "".join(f'"row {i}" {i % 3} {i / 7}\n' for i in range(1, ROWS)))  # R's write.table
    table = read(str(path), Reading(separator=" "))
    assert [info.kind for info in table.infos] == ["index", "whole number", "number"]
    assert np.array_equal(table.frame["b"], [i / 7 for i in range(1, ROWS)])


def frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "number": np.where(PLACES % 7 == 0, np.nan, generator.normal(size=ROWS)),
            "single": generator.normal(size=ROWS).astype(np.float32),
            "whole": generator.integers(0, 9, ROWS),
            "truth": PLACES % 2 == 0,
            "word": np.where(PLACES % 3 == 0, "None", np.where(PLACES % 3 == 1, "b", "Zürich; x")),
            "some": [None if i % 3 == 0 else "b" for i in PLACES],
            "code": [f"{i % 5:03d}" for i in PLACES],
            "price": [f"{i},50 €" for i in PLACES],
            "day": pd.date_range("2020-01-01", periods=ROWS),
            "long": 2**53 + 1 + PLACES,
            "kind": pd.Categorical(np.where(PLACES % 2, "u", "v")),
            "empty": np.full(ROWS, np.nan),
            "exact": [decimal.Decimal(int(i)) / 8 for i in PLACES],
            "exact long": [decimal.Decimal("12345678901234567890") + int(i) for i in PLACES],
            "large": 2.0**53 + 2.0 * PLACES,
            "wait": pd.to_timedelta(PLACES % 5, unit="D"),
            "lap": pd.to_timedelta(PLACES * 3_700_000_001 - 7_000, unit="us"),
            "clock": [datetime.time(i % 24, 30, 5, 123_456) for i in PLACES],
            "zoned": pd.date_range("2020-03-28", periods=ROWS, freq="12h", tz="Europe/Berlin"),
        }
    )


def test_formats_agree(tmp_path: Path):
    """The frame, its CSV in four dialects, gzip, and Parquet give the same table, value for value."""
    data = frame()
    first = from_frame(data)
    first.check()
    data.to_csv(tmp_path / "a.csv", index=False)
    data.to_csv(tmp_path / "wide.csv", index=False, sep=";", encoding="utf-16")
    (tmp_path / "excel.csv").write_text("sep=;\n" + data.to_csv(index=False, sep=";"))
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(data.to_csv(index=False).encode()))
    data.to_csv(tmp_path / "german.csv", index=False, sep=";", decimal=",")
    data.to_parquet(tmp_path / "a.parquet")
    coded = pa.Table.from_pandas(data)
    place = coded.column_names.index("word")
    parquet.write_table(coded.set_column(place, "word", coded["word"].dictionary_encode()), tmp_path / "coded.parquet")
    for name in ("a.csv", "wide.csv", "excel.csv", "packed.csv.gz", "german.csv", "a.parquet", "coded.parquet"):
        table = read(str(tmp_path / name))
        pd.testing.assert_frame_equal(table.frame, first.frame, check_exact=True)
        assert table.digest([*data.columns]) == first.digest([*data.columns]), name
        assert [info.kind for info in table.infos] == [info.kind for info in first.infos], name
    np.savez(
        tmp_path / "a.npz", **{name: data[name].to_numpy() for name in ("number", "single", "whole", "truth", "day")}
    )
    table = read(str(tmp_path / "a.npz"))
    pd.testing.assert_frame_equal(table.frame, first.frame[[*table.frame.columns]], check_exact=True)
    assert {info.kind for info in first.infos} == {
        "number", "whole number", "boolean", "category", "date", "identifier", "empty",
    }  # fmt: skip


def test_columns_of_numbers_and_words_are_those_of_their_csv(tmp_path: Path):
    data = pd.DataFrame({"mixed": [1, "x", 2.5, None, True] * 8, "half": (PLACES / 7).astype(np.float16)})
    data.to_csv(tmp_path / "a.csv", index=False)
    first, second = from_frame(data), scan(str(tmp_path / "a.csv"))
    pd.testing.assert_frame_equal(first.frame, second.frame, check_exact=True)
    assert [str(error) for _, error in first.errors] == [str(error) for _, error in second.errors]


def test_times_and_durations_in_parquet_are_hours(tmp_path: Path):
    table = pa.table({"t": [datetime.time(12, 30)] * ROWS, "d": [datetime.timedelta(hours=36)] * ROWS, "y": PLACES})
    parquet.write_table(table, tmp_path / "a.parquet")
    found = read(str(tmp_path / "a.parquet")).frame
    assert (found["t"][0], found["d"][0]) == (12.5, 36.0)


def test_a_model_of_typed_durations_reads_their_text_as_hours():
    """The recipe of a typed column is that of plain numbers, and `3 days` in a later CSV file is no 3."""
    words = [f"{i} days" for i in PLACES]
    assert column(words, Reading(recipes=(("c", "number"),)))[0][3] == 72
    assert column(words, Reading(recipes=(("c", "number .days"),)))[0][3] == 3  # a model saved by an earlier version


@pytest.mark.parametrize("name", ["<18", "{a}", "[x]", "PAR1", "PK", "BZh", "%PDF", "<b"])
def test_first_letters_of_a_name_are_no_format(name: str, tmp_path: Path):
    (tmp_path / "a.csv").write_text(f"{name},y\n" + "1,2\n3,4\n" * 20)
    assert [*read(str(tmp_path / "a.csv")).frame.columns] == [name, "y"]


def test_lines_before_the_table(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("# made by a lab\n# 2020\n" + "a,b,c\n" + "1,2,3\n4,5,6\n" * 20)
    with pytest.raises(ArgumentError, match=r"the table begins in line 3.*`skip_lines=2`") as found:
        read(str(path))
    assert found.value.mends == (("skip_lines", 2),)
    assert [*read(str(path), Reading(skip_lines=2)).frame.columns] == ["a", "b", "c"]


def test_encodings_that_are_mixed(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"name,y\n" + "Zürich,1\n".encode() * 17 + "Genève,2\n".encode("latin-1") + b"x,3\n")
    with pytest.raises(ArgumentError, match=r"line 19, column 4 \(byte E8\).*mixes encodings.*`encoding='mixed'`"):
        read(str(path))
    assert {"Zürich", "Genève"} < set(read(str(path), Reading(encoding="mixed", categorical=("name",))).frame["name"])
    path.write_bytes("name,y\nZürich,1\n".encode("latin-1") * 9)
    with pytest.raises(
        ArgumentError, match=r"line 2, column 2 \(byte FC\)\. Specify the encoding, such as `encoding='cp1252'`"
    ):
        read(str(path))


def test_a_cut_archive_with_a_wrong_byte_is_one_error(tmp_path: Path):
    """The wrong byte is found first, and the place where the archive ends while its line is looked up."""
    content = b"a,b\n" + b"1,\xff\n" * 20_000 + np.random.default_rng(0).bytes(100_000).replace(b"\0", b"1")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content)[:-20_000])
    with pytest.raises(ArgumentError, match=r"a file compressed with gzip, got .*which is damaged"):
        read(str(tmp_path / "a.csv.gz"))


def test_defects_of_several_columns_are_one_error():
    data = frame()[["number", "whole"]].assign(bad=[*"12345" * 7, *"xxxxx"], worse=["5 €", "6 $"] * 20)
    table = from_frame(data)
    with pytest.raises(ArgumentError, match=r"(?s)'bad'.*\n.*'worse'"):
        table.check()
    table.check(["number", "whole"])
    assert [error.mends for _, error in table.errors] == [(("missing", "x"),), (("drop", "worse"),)]


def test_text_takes_about_the_memory_that_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Cells wait in Arrow buffers until their kinds are known: 24 bytes and their characters, then 8 as a number."""
    monkeypatch.setattr(_text, "_BLOCK", 500)
    path, rows, columns = tmp_path / "long.csv", 10_000, 40
    numbers = np.random.default_rng(0).random((rows, columns))
    path.write_text(
        ",".join(f"c{i}" for i in range(columns))
        + "\n"
        + "".join(",".join(f"{v:.5f}" for v in row) + "\n" for row in numbers)
    )
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    try:
        found = read(str(path))
        peak = tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory() - before
    finally:
        tracemalloc.stop()
    assert np.array_equal(found.frame.to_numpy(), np.round(numbers, 5))
    assert peak <= 60 * rows * columns  # Python's own strings take 80


def test_memory_is_bounded_before_it_is_allocated(tmp_path: Path):
    """A dictionary of two long texts: 100 kB on disk, and gigabytes if every row had its own copy."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(30_000, np.int32)), pa.array(["x" * 100_000]))
    parquet.write_table(pa.table({"t": texts, "y": np.arange(30_000.0)}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 500_000
    with pytest.raises(ArgumentError, match=r"at most 2,147,483,648 bytes of memory"):
        scan(str(tmp_path / "a.parquet"))


def test_fuzzed_tables_are_tables_or_errors(tmp_path: Path):
    """Random bytes, cut, doubled and changed files: a table, or one error; nothing else is raised."""
    generator = np.random.default_rng(0)
    data = frame()
    packed = io.BytesIO()
    np.savez(packed, a=PLACES, b=PLACES * 0.5, c=np.array(["u", "v"] * 20))
    sources = {
        "a.csv": data.to_csv(index=False).encode(), "a.parquet": data.to_parquet(), "a.npz": packed.getvalue(),
        "a.csv.gz": gzip.compress(data.to_csv(index=False).encode()),
    }  # fmt: skip
    refused = 0
    for _ in range(60):
        for name, source in sources.items():
            changed = bytearray(source)
            for _ in range(int(generator.integers(1, 6))):
                place = int(generator.integers(len(changed)))
                kind = generator.integers(4)
                if kind == 0:
                    changed[place] = int(generator.integers(256))
                elif kind == 1:
                    del changed[place : place + int(generator.integers(1, 400))]
                elif kind == 2:
                    changed[place:place] = changed[: int(generator.integers(1, 300))]
                else:
                    changed[place:place] = generator.bytes(int(generator.integers(1, 40)))
            (tmp_path / name).write_bytes(changed)
            try:
                scan(str(tmp_path / name)).check()
            except ArgumentError:
                refused += 1
    assert refused > 100
