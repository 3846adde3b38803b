"""Malformed tables: each case is a function that writes a file and returns its name, and the expected error message."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

Make = Callable[[Path], str]
# Name of the case -> what makes the data, further words of the command, what the message must match.
Case = tuple[Make, tuple[str, ...], str]

RANDOM = np.random.default_rng(0)
ROWS = 24
A, B = RANDOM.normal(size=ROWS), RANDOM.normal(size=ROWS)
KIND = np.array(["u", "v"])[np.arange(ROWS) % 2]
T = ("--target", "y")


def text(content: str | bytes, name: str = "a.csv") -> Make:
    def make(folder: Path) -> str:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
        return name

    return make


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def good(**changes: Any) -> dict[str, Any]:
    """Columns of a valid table, with the given changes."""
    return {"a": A, "b": B, "y": A * B} | changes


def csv(columns: dict[str, Any], **options: Any) -> Make:
    return text(pd.DataFrame(columns).to_csv(index=False, **options))


def mixed(values: Any, place: int, word: Any) -> list[Any]:
    """A column with a different value in one row."""
    found = list(values)
    found[place] = word
    return found


BODY = [f"{a:.3f},{b:.3f},{a * b:.3f}" for a, b in zip(A, B, strict=True)]
TABLE = lines("a,b,y", *BODY)

ENCODINGS: dict[str, Case] = {
    "Latin-1": (
        text(TABLE.replace("a,", "größe,").encode("latin-1")),
        T,
        r"text encoded in utf-8.*--encoding 'cp1252'",
    ),
    "typographic quotes of Windows": (text(b"a,y\n1,\x93u\x94\n"), T, r"text encoded in utf-8"),
    "UTF-16 without mark": (text(TABLE.encode("utf-16-le")), T, r"which is binary"),
    "UTF-16 cut in a letter": (text(TABLE.encode("utf-16")[:-1]), T, r"text encoded in utf-16"),
    "UTF-32 cut in a letter": (text(TABLE.encode("utf-32")[:-2]), T, r"text encoded in utf-32"),
    "mark of UTF-8 before Latin-1": (text(b"\xef\xbb\xbf" + "ü,y\n1,2\n".encode("latin-1")), T, r"utf-8-sig"),
    "not ASCII": (text("ü,y\n1,2\n"), (*T, "--encoding", "ascii"), r"text encoded in ascii"),
    "unknown encoding": (text(TABLE), (*T, "--encoding", "utf-9"), r"--encoding: .*'utf-9'"),
    "encoding of bytes": (text(TABLE), (*T, "--encoding", "hex"), r"--encoding: .*'hex'"),
    "UTF-8 taken for UTF-16": (text(TABLE), (*T, "--encoding", "utf-16"), r"text encoded in utf-16|DATA: expected"),
    "wrong byte far below": (text(TABLE.encode() + b"1,2,3\n" * 50_000 + b"\xff,2,3\n"), T, r"text encoded in utf-8"),
    "Shift JIS": (text("名前,y\n値,2\n".encode("shift-jis")), T, r"text encoded in utf-8"),
    "half of a surrogate": (text(b"a,y\n\xed\xa0\x80,1\n"), T, r"text encoded in utf-8"),
}

BINARIES: dict[str, Case] = {
    "empty": (text(b""), T, r"which is empty"),
    "space": (text("   \n \n"), T, r"which is empty"),
    "lines without anything": (text("\n" * 50), T, r"which is empty"),
    "junk": (text(RANDOM.bytes(4000)), T, r"DATA: expected (a text file|text)"),
    "zeros": (text(bytes(4000)), T, r"which is binary"),
    "picture": (text(b"\x89PNG\r\n\x1a\n" + bytes(100)), T, r"which is binary"),
    "program": (text(b"\x7fELF\x02\x01\x01" + bytes(100)), T, r"which is binary"),
    "workbook": (text(b"PK\x03\x04" + bytes(100)), T, r"zip archive or an Excel workbook"),
    "old workbook": (text(b"\xd0\xcf\x11\xe0" + bytes(100)), T, r"workbook in the old format"),
    "gzip": (text(gzip.compress(TABLE.encode())), T, r"compressed with gzip"),
    "bzip2": (text(bz2.compress(TABLE.encode())), T, r"compressed with bzip2"),
    "xz": (text(lzma.compress(TABLE.encode())), T, r"compressed with xz"),
    "Zstandard": (text(b"\x28\xb5\x2f\xfd" + bytes(20)), T, r"compressed with Zstandard"),
    "PDF": (text("%PDF-1.7\n"), T, r"which is a PDF"),
    "pickle": (text(pickle.dumps(good())), T, r"a pickle, which is not supported"),
    "database": (text(b"SQLite format 3\0" + bytes(100)), T, r"which is a database"),
    "HTML": (text("<!DOCTYPE html><table></table>"), T, r"HTML or XML"),
    "JSON": (text(json.dumps({"a": [1, 2]})), T, r"which is JSON"),
    "zero byte far below": (text(TABLE + "1,2,3\n" * 2000 + "1,\0,3\n"), T, r"zero byte in line 2026"),
}

ROWS_AND_CELLS: dict[str, Case] = {
    "short row": (text(lines("a,b,y", *BODY[:5], "1,2", *BODY[5:])), T, r"3 cells in every row.*2 in row 6"),
    "long row": (text(lines("a,b,y", *BODY[:5], "1,2,3,4", *BODY[5:])), T, r"3 cells in every row.*4 in row 6"),
    "short last row": (text(TABLE + "1,2"), T, r"2 in row 25 \(line 26\)"),
    "ragged far below": (text(TABLE + "1,2,3\n" * 20_000 + "1\n"), T, r"1 in row 20025 \(line 20026\)"),
    "two tables": (text(TABLE + "c,d\n1,2\n"), T, r"3 cells in every row"),
    "header longer than rows": (text(lines("a,b,c,y", *BODY)), T, r"4 cells in every row.*3 in row 1"),
    "open quote": (text(TABLE + '1,"2,3\n1,2,3\n'), T, r"DATA: expected .*line 2\d"),
    "letters behind a quote": (text(TABLE + '1,"2"x,3\n'), T, r"line 26"),
    "names alone": (text("a,b,y\n"), T, r"rows below the column names"),
    "names without end of line": (text("a,b,y"), T, r"rows below the column names"),
    "empty lines below the names": (text("a,b,y\n\n\n\n"), T, r"rows below the column names"),
    "endless line": (text(TABLE + "1," + "2" * (2**20 + 5) + ",3\n"), T, r"lines of at most 1,048,576 characters"),
    "endless cell": (text(TABLE + "1," + "2" * 140_000 + ",3\n"), T, r"line 26 \(field larger"),
    "separator that is not there": (text(TABLE), (*T, "--separator", ";"), r"--target|cells|columns other than"),
    "separator of two letters": (text(TABLE), (*T, "--separator", "::"), r"--separator: expected one character"),
    "separator of no letter": (text(TABLE), (*T, "--separator", ""), r"--separator: expected one character"),
    "separator that is a letter": (text(TABLE), (*T, "--separator", "x"), r"--separator: expected one character"),
    "separator that is a quote": (text(TABLE), (*T, "--separator", '"'), r"--separator: expected one character"),
}

NAMES: dict[str, Case] = {
    "equal names": (text(lines("a,a,y", *BODY)), T, r"distinct column names, got 'a' twice \(again in column 2"),
    "equal but for space": (text(lines("a, a,y", *BODY)), T, r"'a' twice"),
    "a million columns": (text(",".join(f"c{i}" for i in range(1_000_000)) + "\n"), T, r"lines of at most"),
    "many short names": (text(",".join(map(str, range(20_000))) + "\n1\n"), T, r"at most 10,000 columns, got 20,000"),
    "numbers for names": (text(lines(*BODY)), T, r"column names in the first line"),
    "sign of a lost letter": (text(lines("a\ufffd,b,y", *BODY)), T, r"valid column names"),
    "target named twice": (text(lines("a,y,y", *BODY)), T, r"'y' twice"),
}  # fmt: skip

VALUES: dict[str, Case] = {
    "word among numbers": (csv(good(a=mixed(A, 6, "about 3"))), T, r"only numbers in a numeric column, got 'about 3' in row 7"),
    "infinity": (csv(good(a=mixed(A, 2, "inf"))), T, r"finite numbers, got inf in row 3 of column 'a'"),
    "minus infinity": (csv(good(b=mixed(B, 0, "-Infinity"))), T, r"finite numbers, got -inf in row 1"),
    "number too large": (csv(good(a=mixed(A, 5, "1e999"))), T, r"finite numbers, got inf in row 6|'1e999'"),
    "number whose square is too large": (csv(good(a=mixed(A, 5, "1e200"))), T, r"magnitude ≤ 1e\+100"),
    "dates of unclear order": (csv(good(a=[f"0{i % 9 + 1}/0{i % 7 + 1}/2026" for i in range(ROWS)])), T, r"--dates 'dmy'"),
    "two currencies": (csv(good(a=["5 €", "7 $"] * 12)), T, r"one unit in a column, got '\$', '€' in column 'a'"),
    "percent in places": (csv(good(a=["5 %", "7"] * 12)), T, r"one unit in a column, got none, '%' in column 'a'"),
    "points and commas": (
        csv(good(a=[f"{i + 1}.234" for i in range(ROWS)], b=[f"{i},5" for i in range(ROWS)]), sep=";"), T, r"--decimal ','",
    ),
    "one decimal comma": (csv(good(a=mixed(A, 3, "3,5")), sep=";"), T, r"'3,5' in row 4"),
    "hexadecimal": (csv(good(a=mixed(A, 3, "0xZZ"))), T, r"'0xZZ' in row 4"),
    "unknown decimal sign": (csv(good()), (*T, "--decimal", ";"), r"--decimal: expected one of"),
    "names of persons alone": (
        csv({"a": [f"person {i}" for i in range(ROWS)], "y": A}), T, r"columns left out: 'a'.*--categorical 'a'",
    ),
    "no column beside the target": (text(lines("y", *map(str, A))), T, r"columns other than the target"),
    "all dropped but the target": (csv(good()), (*T, "--drop", "a", "--drop", "b"), r"columns other than the target"),
    "all dropped": (csv(good()), (*T, "--drop", "a", "--drop", "b", "--drop", "y"), r"at least one column that is not dropped"),
    "unknown column dropped": (csv(good()), (*T, "--drop", "c"), r"--drop: expected one of"),
    "unknown column of categories": (csv(good()), (*T, "--categorical", "c"), r"--categorical: expected one of"),
    "too many categories": (
        csv({f"c{i}": [f"{j % 12 + i}w" for j in range(ROWS)] for i in range(900)} | {"y": A}), T, r"at most 10,000 features",
    ),
    "five rows": (csv({name: column[:5] for name, column in good().items()}), T, r"at least 20 rows with a target, got 5"),
    "one row": (csv({name: column[:1] for name, column in good().items()}), T, r"at least 20 rows|which is always"),
}  # fmt: skip

TARGETS: dict[str, Case] = {
    "no target": (csv(good()), (), r"--target: expected the name of the target column, got none"),
    "unknown target": (csv(good()), ("--target", "z"), r"--target: expected one of 'a', 'b', 'y', got 'z'"),
    "misspelled target": (csv(good(price=A)), ("--target", "prize"), r"Did you mean 'price'"),
    "unknown target of many": (csv({f"c{i}": A for i in range(40)}), ("--target", "z"), r"one of the 40 columns"),
    "empty name": (csv(good()), ("--target", ""), r"--target: expected one of"),
    "two targets": (csv(good()), (*T, "--target", "a"), r"--target: expected one column, got 2: 'y', 'a'"),
    "the same target twice": (csv(good()), (*T, *T), r"--target: expected one column, got 2"),
    "target dropped": (csv(good()), (*T, "--drop", "y"), r"--target: expected one of 'a', 'b', got 'y'"),
    "target without values": (csv(good(y=[""] * ROWS)), T, r"--target: expected a column with values, got 'y', which is empty"),
    "constant target": (csv(good(y=[2.5] * ROWS)), T, r"at least two distinct values, got 'y', always 2\.5"),
    "one class": (csv(good(y=["u"] * ROWS)), T, r"at least two distinct values, got 'y', always u"),
    "one class but for gaps": (csv(good(y=["u"] * 21 + [""] * 3)), T, r"always u"),
    "a class in every row": (csv(good(y=[f"k{i}" for i in range(ROWS)])), T, r"at most 8 classes for 24 rows, got 24"),
    "more classes than rows can show": (
        csv({"a": np.tile(A, 13), "y": [f"k{i % 104}" for i in range(312)]}), T, r"at most 100 classes for 312 rows, got 104",
    ),
    "class of one row": (csv(good(y=mixed(KIND, 3, "w"))), T, r"at least 3 rows of every class, got 1 row of 'w'"),
    "class of two rows": (csv(good(y=mixed(mixed(KIND, 3, "w"), 4, "w"))), T, r"got 2 rows of 'w'"),
    "fractions as classes": (csv(good()), (*T, "--task", "classification"), r"--task: expected 'regression'"),
    "texts as numbers": (csv(good(y=KIND)), (*T, "--task", "regression"), r"--task: expected 'classification'"),
    "unknown task": (csv(good()), (*T, "--task", "regresion"), r"--task: expected one of .*Did you mean 'regression'"),
    "dates as the target": (csv(good(y=[f"2026-01-{i + 1:02d}" for i in range(ROWS)])), T, r"--target: .*a column of dates"),
    "infinite target": (csv(good(y=mixed(A, 3, "inf"))), T, r"finite numbers, got inf in row 4 of column 'y'"),
    "huge target": (csv(good(y=mixed(A, 3, "1e150"))), T, r"--target: expected numbers of magnitude ≤ 1e\+100"),
    "word in the target": (csv(good(y=mixed(A, 3, "none yet"))), T, r"'none yet' in row 4 of column 'y'"),
    "few targets": (csv(good(y=[*A[:9], *[""] * 15])), T, r"at least 20 rows with a target, got 9, and 15 without"),
}  # fmt: skip


def folder_named(name: str) -> Make:
    def make(folder: Path) -> str:
        (folder / name).mkdir()
        return name

    return make


def loop(folder: Path) -> str:
    (folder / "a.csv").symlink_to("b.csv")
    (folder / "b.csv").symlink_to("a.csv")
    return "a.csv"


def dangling(folder: Path) -> str:
    (folder / "a.csv").symlink_to("nothing.csv")
    return "a.csv"


def pipe(folder: Path) -> str:
    os.mkfifo(folder / "a.csv")
    return "a.csv"


def below_a_file(folder: Path) -> str:
    (folder / "a.csv").write_text(TABLE)
    return "a.csv/b.csv"


def large(name: str) -> Make:
    def make(folder: Path) -> str:
        with (folder / name).open("wb") as file:
            file.truncate(2**30 + 1)  # a hole: takes no room
        return name

    return make


def named(name: str) -> Make:
    return lambda folder: name


FILES: dict[str, Case] = {
    "absent": (named("nothing.csv"), T, r"a readable file, got 'nothing.csv' \(No such file"),
    "folder": (folder_named("run"), T, r"a file, got the folder run"),
    "folder with an ending": (folder_named("a.csv"), T, r"the folder a\.csv"),
    "the folder itself": (named("."), T, r"the folder \."),
    "loop of links": (loop, T, r"Too many levels of symbolic links"),
    "link to nothing": (dangling, T, r"No such file"),
    "pipe": (pipe, T, r"a device or a pipe"),
    "device": (named("/dev/zero"), T, r"a device or a pipe"),
    "name with a zero": (named("a\0.csv"), T, r"the name of a file"),
    "no name": (named(""), T, r"the name of a file"),
    "name too long": (named("a" * 300 + ".csv"), T, r"File name too long"),
    "below a file": (below_a_file, T, r"Not a directory"),
    "too large a text": (large("a.csv"), T, r"at most 1,073,741,824 bytes, got 1,073,741,825"),
    "too large an NPZ": (large("a.npz"), T, r"at most 1,073,741,824 bytes"),
    "ending of a workbook": (text(TABLE, "a.xlsx"), T, r"a file with the extension .*'a\.xlsx'"),
    "no ending": (text(TABLE, "table"), T, r"a file with the extension"),
    "packed ending without packing": (text(TABLE, "a.csv.gz"), T, r"compressed with gzip"),
    "damaged packing": (
        text(gzip.compress(TABLE.encode())[:-20], "a.csv.gz"),
        T,
        r"compressed with gzip, got a.csv.gz, which is damaged",
    ),
    "unknown set": (named("sklearn:irises"), (), r"DATA: expected one of .*Did you mean 'iris'"),
    "set without name": (named("sklearn:"), (), r"DATA: expected one of 'breast_cancer'"),
    "set that would be downloaded": (named("sklearn:california_housing"), (), r"DATA: expected one of"),
    "set with several outcomes": (
        named("sklearn:linnerud"),
        (),
        r"For example, use --target 'Weight' or --target 'Waist' or --target 'Pulse'\.",
    ),
}


def npz(**arrays: Any) -> Make:
    def make(folder: Path) -> str:
        np.savez(folder / "a.npz", **arrays)
        return "a.npz"

    return make


def archive(**members: bytes) -> Make:
    def make(folder: Path) -> str:
        with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in members.items():
                packed.writestr(name.replace("__", "."), data)
        return "a.npz"

    return make


def npy(shape: tuple[int, ...], data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A float64 array in NPY format with a declared shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    size = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + size + header + data


def changed(make: Make, change: Callable[[bytearray], Any]) -> Make:
    """The file with some bytes changed."""

    def again(folder: Path) -> str:
        name = make(folder)
        data = bytearray((folder / name).read_bytes())
        (folder / name).write_bytes(bytes(change(data) or data))
        return name

    return again


def says_four_gigabytes(data: bytearray) -> None:
    """Sets the declared unpacked size of the first member of an archive to four gigabytes."""
    place = data.index(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 0xFFFFFFF0)


def says_encrypted(data: bytearray) -> None:
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(mark)
        data[place + offset] |= 1


def flipped(data: bytearray) -> None:
    data[200] ^= 0xFF


def bomb(folder: Path) -> str:
    """200 MB of zeros ten times over, in 2 MB."""
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for i in range(11):
            with packed.open(f"c{i}.npy", "w") as member:
                member.write(bytes(100_000_000) if i == 0 else b"")
    name = "a.npz"
    data = bytearray((folder / name).read_bytes())
    says_four_gigabytes(data)
    (folder / name).write_bytes(data)
    return name


FORMAT_1 = dict(good())
ARRAYS: dict[str, Case] = {
    "text as NPZ": (text(TABLE, "a.npz"), T, r"an NPZ file.*damaged or in another format"),
    "empty NPZ": (text(b"", "a.npz"), T, r"NPZ file"),
    "junk as NPZ": (text(RANDOM.bytes(3000), "a.npz"), T, r"damaged or in another format"),
    "cut NPZ": (changed(npz(**good()), lambda data: data[:-80]), T, r"damaged or in another format"),
    "beginning of an NPZ": (changed(npz(**good()), lambda data: data[:30]), T, r"damaged or in another format"),
    "no arrays": (archive(), T, r"at least one array that is not dropped"),
    "texts in the archive": (archive(readme__txt=b"hello"), T, r"one that contains 'readme\.txt'"),
    "pickle in the archive": (archive(a__npy=pickle.dumps([1])), T, r"damaged or in another format"),
    "array of objects": (npz(**good(a=np.array([1, "x", None] * 8, dtype=object))), T, r"objects, which would require pickle"),
    "target of objects": (npz(**good(y=np.array([1, "x", None] * 8, dtype=object))), T, r"objects, .* in 'y'"),
    "unequal lengths": (npz(**good(a=A[:-1])), T, r"arrays of equal length, got"),
    "no axis": (npz(**good(a=np.array(3.0))), T, r"one or two dimensions.*shape \(\) in 'a'"),
    "three axes": (npz(**good(a=np.zeros((ROWS, 2, 2)))), T, r"shape \(24, 2, 2\)"),
    "no rows": (npz(a=np.zeros(0), y=np.zeros(0)), T, r"non-empty arrays"),
    "complex numbers": (npz(**good(a=A + 1j)), T, r"complex128' in 'a'"),
    "records": (npz(**good(a=np.zeros(ROWS, [("p", "f8"), ("q", "f8")]))), T, r"arrays of numbers, booleans or strings"),
    "bytes": (npz(**good(a=np.array([b"x", b"z"] * 12))), T, r"S1' in 'a'"),
    "infinity in an array": (npz(**good(a=mixed(A, 3, np.inf))), T, r"finite numbers, got inf in row 4"),
    "long texts": (npz(**good(a=np.array(["x" * 200_000] * ROWS))), T, r"at most 131,072 characters in a cell"),
    "array that says it is endless": (archive(a__npy=npy((10**12,))), T, r"at most 100,000,000 cells"),
    "array smaller than it says": (archive(a__npy=npy((1000,), bytes(80))), T, r"arrays of their declared size"),
    "array of negative length": (archive(a__npy=npy((-5,))), T, r"DATA: expected"),
    "array of a later format": (archive(a__npy=npy((2,), bytes(16), (3, 0))), T, r"NPY format 1 or 2"),
    "names that meet": (npz(a=np.zeros((ROWS, 2)), a_0=A, y=B), T, r"'a_0' twice"),
    "unpacks to gigabytes": (changed(npz(**good()), says_four_gigabytes), T, r"bytes when unpacked|damaged or in another"),
    "packed zeros": (bomb, T, r"at most 1,073,741,824 bytes when unpacked"),
    "locked": (changed(npz(**good()), says_encrypted), T, r"damaged or in another format"),
    "wrong checksum": (changed(npz(**good()), flipped), T, r"damaged or in another format"),
    "single array": (text(npy((2,), bytes(16)), "a.npz"), T, r"damaged or in another format"),
    "target not among the arrays": (npz(a=A, b=B), T, r"--target: expected one of 'a', 'b', got 'y'"),
}  # fmt: skip


def arrow(columns: Any, **options: Any) -> Make:
    def make(folder: Path) -> str:
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        parquet.write_table(table, folder / "a.parquet", **options)
        return "a.parquet"

    return make


def typed(values: list[Any], kind: Any) -> Make:
    return arrow(good(a=pa.array((values * ROWS)[:ROWS], kind)))


def many_rows(folder: Path) -> str:
    """A hundred million equal rows in a few kilobytes."""
    column = pa.array(np.zeros(100_000_000, np.int8))
    return arrow({"a": column, "y": column})(folder)


PARQUET: dict[str, Case] = {
    "text as Parquet": (text(TABLE, "a.parquet"), T, r"a Parquet file, got a\.parquet, which is damaged or in another format"),
    "empty Parquet": (text(b"", "a.parquet"), T, r"damaged or in another format"),
    "junk as Parquet": (text(b"PAR1" + RANDOM.bytes(500) + b"PAR1", "a.parquet"), T, r"damaged or in another format"),
    "cut Parquet": (changed(arrow(good()), lambda data: data[:-100]), T, r"damaged or in another format"),
    "Parquet without its middle": (changed(arrow(good()), lambda data: data[:40] + data[-700:]), T, r"DATA: expected"),
    "Parquet as text": (text(b"PAR1" + bytes(100)), T, r"which is a Parquet file"),
    "lists": (typed([[1, 2], [3]], pa.list_(pa.int64())), T, r"columns of numbers, .*list.* in column 'a'"),
    "records in Parquet": (typed([{"p": 1}, {"p": 2}], pa.struct([("p", pa.int64())])), T, r"struct<p: int64>"),
    "maps": (typed([[("k", 1)], []], pa.map_(pa.string(), pa.int64())), T, r"map<string"),
    "lists of fixed length": (typed([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)), T, r"fixed_size_list"),
    "nested lists": (typed([[[1]], [[2]]], pa.list_(pa.list_(pa.int64()))), T, r"list<"),
    "a dictionary of long texts": (
        arrow(good(a=pa.array(["x" * 200_000, "z" * 200_000] * 12).dictionary_encode())), T, r"at most 131,072 bytes in a cell",
    ),
    "bytes in Parquet": (typed([b"x", b"y"], pa.binary()), T, r"binary"),
    "nested target": (arrow(good(y=pa.array([[1], [2]] * 12))), T, r"in column 'y'"),
    "equal names in Parquet": (
        arrow(pa.Table.from_arrays([pa.array(A), pa.array(B), pa.array(A)], names=["a", "a", "y"])), T, r"'a' twice",
    ),
    "no rows in Parquet": (arrow({"a": pa.array([], pa.float64()), "y": pa.array([], pa.float64())}), T, r"got 0 rows"),
    "no columns": (arrow(pa.table({})), T, r"rows and columns"),
    "many equal rows": (many_rows, T, r"at most 100,000,000 cells, got 200,000,000"),
    "many columns": (arrow({f"c{i}": [1] for i in range(10_001)}), T, r"at most 10,000 columns, got 10,001"),
    "infinity in Parquet": (arrow(good(a=mixed(A, 3, np.inf))), T, r"finite numbers, got inf in row 4"),
    "one class in Parquet": (arrow(good(y=["u"] * ROWS)), T, r"always u"),
}  # fmt: skip


def beside(name: str, content: str | None = "") -> Make:
    """A valid table, with another file or folder next to it."""

    def make(folder: Path) -> str:
        if content is None:
            (folder / name).mkdir()
            (folder / name / "other.txt").write_text("mine")
        else:
            (folder / name).write_text(content)
        return csv(good())(folder)

    return make


def out_loop(folder: Path) -> str:
    (folder / "run").symlink_to("nur")
    (folder / "nur").symlink_to("run")
    return csv(good())(folder)


OPTIONS: dict[str, Case] = {
    "odd width": (csv(good()), (*T, "--width", "7"), r"--width: expected an even number"),
    "no width": (csv(good()), (*T, "--width", "0"), r"--width: expected an integer ≥ 2"),
    "word for the width": (csv(good()), (*T, "--width", "wide"), r"--width: expected an integer, got 'wide'"),
    "endless width": (csv(good()), (*T, "--width", "100000000000"), r"--width: expected an integer ≤"),
    "order 0": (csv(good()), (*T, "--order", "0"), r"--order: expected an integer ≥ 1"),
    "endless order": (csv(good()), (*T, "--order", "99"), r"--order: expected an integer ≤ 12"),
    "penalty 0": (csv(good()), (*T, "--penalty", "0"), r"--penalty: expected a finite number > 0"),
    "penalty that is none": (csv(good()), (*T, "--penalty", "nan"), r"--penalty: expected a finite number"),
    "word for the penalty": (csv(good()), (*T, "--penalty", "cv"), r"--penalty: expected a number, got 'cv'"),
    "copies of a linear unit": (csv(good()), (*T, "--order", "1", "--rank", "2"), r"--rank: expected 1 for order 1"),
    "negative seed": (csv(good()), (*T, "--seed", "-1"), r"--seed: expected an integer ≥ 0"),
    "endless seed": (csv(good()), (*T, "--seed", "4294967296"), r"--seed: expected an integer ≤"),
    "folder is a file": (
        beside("run"),
        (*T, "--out", "run"),
        r"--out: expected a new or empty folder.*run is not a folder",
    ),
    "folder below a file": (beside("run"), (*T, "--out", "run/here"), r"--out: .*run is not a folder"),
    "folder of another": (beside("run", None), (*T, "--out", "run"), r"--out: .*which contains 'other\.txt'"),
    "folder in a loop": (out_loop, (*T, "--out", "run"), r"--out: expected a new or empty folder"),
    "folder with too long a name": (csv(good()), (*T, "--out", "r" * 300), r"--out: .*File name too long"),
}

FIT = ENCODINGS | BINARIES | ROWS_AND_CELLS | NAMES | VALUES | TARGETS | FILES | ARRAYS | PARQUET | OPTIONS


def buffer_of(columns: dict[str, Any]) -> bytes:
    """A CSV file as bytes."""
    found = io.BytesIO()
    pd.DataFrame(columns).to_csv(found, index=False)
    return found.getvalue()
