"""Text files: detection of encoding and separator, and rows of equal length."""

import codecs
import csv
import io
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from taylornets import _checks
from taylornets.datafiles._table import (
    LIMITS,
    DataTable,
    Reading,
    check_drop,
    check_names,
    check_size,
    framed,
    from_texts,
    wrong,
)

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# Magic bytes of files that are often mistaken for text tables.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "Save the sheet as CSV."),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook in the old format", "Save the sheet as CSV."),
    (b"PAR1", "a Parquet file", "Rename it to end in .parquet."),
    (b"\x1f\x8b", "compressed with gzip", "Decompress it first."),
    (b"BZh", "compressed with bzip2", "Decompress it first."),
    (b"\xfd7zXZ", "compressed with xz", "Decompress it first."),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "Decompress it first."),
    (b"%PDF", "a PDF", "Save the table as CSV."),
    (b"\x93NUMPY", "a single NumPy array", "Save the columns as NPZ."),
    (b"\x80\x04", "a pickle, which is not supported for security reasons", "Save the table as CSV."),
    (b"\x80\x05", "a pickle, which is not supported for security reasons", "Save the table as CSV."),
    (b"SQLite format 3", "a database", "Export the table as CSV."),
    (b"<", "HTML or XML", "Save the table as CSV."),
    (b"{", "JSON", "Save the table as CSV."),
)  # fmt: skip
_SAMPLE = 100
_HEAD = 4096


def read_text(path: Path, reading: Reading) -> DataTable:
    """Reads a table from a text file whose first line contains the column names.

    Args:
        path: path of the file, whose size has been checked.
        reading: reading options.

    Returns:
        The table.

    Raises:
        ArgumentError: for an invalid table; the message names the line, or the row (1 is the first row after the header).
        OSError: if the file cannot be read.
    """
    encoding = _encoding(path, reading)
    try:
        with path.open(encoding=encoding, newline="") as file:
            lines = _lines(file)
            sample = list(islice(lines, _SAMPLE))
            separator = _separator(sample, reading)
            columns, names = _columns(chain(sample, lines), separator)
    except UnicodeDecodeError as error:
        got = f"{path}, which is invalid at byte {error.start} of a block"
        raise wrong(f"text encoded in {encoding}", got, "Specify the encoding, such as `encoding='cp1252'`.") from None
    except UnicodeError as error:
        raise wrong(f"text encoded in {encoding}", f"{path} ({error})") from None
    kept = check_drop(names, reading)
    if not kept:
        raise wrong("at least one column that is not dropped", f"none of {len(names)}")
    frame = framed({name: from_texts(name, columns[names.index(name)], reading) for name in kept})
    name = SEPARATORS.get(separator, repr(separator))
    return DataTable(str(path), frame, f"{encoding.upper()} text, columns separated by {name}")


def _encoding(path: Path, reading: Reading) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.strip():
        raise wrong("a file with a table", f"{path}, which is empty")
    for start, kind, advice in _OTHERS:
        if head.startswith(start):
            raise wrong("a text file with a table", f"{path}, which is {kind}", advice)
    found = reading.encoding or next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=found)
    except (LookupError, ValueError):
        raise _checks.ArgumentError(
            "encoding", "the name of an encoding, such as utf-8", _checks.short(found)
        ) from None
    wide = found.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    if b"\0" in head and not wide:
        advice = "If it is text, specify the encoding, such as `encoding='utf-16-le'`."
        raise wrong("a text file with a table", f"{path}, which is binary", advice)
    return found


def _lines(file: TextIO) -> Iterator[str]:
    """Yields lines, checked for length and zero bytes."""
    number = 0
    while line := file.readline(LIMITS.line + 1):
        number += 1
        if len(line) > LIMITS.line:
            raise wrong(f"lines of at most {LIMITS.line:,} characters", f"more in line {number}")
        if "\0" in line:
            raise wrong("a text file with a table", f"a zero byte in line {number}")
        yield line


def _separator(sample: list[str], reading: Reading) -> str:
    """Returns the requested separator, or the one that gives the most columns of equal length."""
    if reading.separator is not None:
        named = {name: sign for sign, name in SEPARATORS.items()} | {"\\t": "\t"}
        sign = named.get(reading.separator, reading.separator)
        if len(sign) != 1 or sign in '\r\n"' or sign.isalnum():
            expected = f"one character, or {', '.join(SEPARATORS.values())}"
            raise _checks.ArgumentError("separator", expected, _checks.short(reading.separator))
        return sign
    best, most = ",", (False, 1)
    for sign in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(sample, delimiter=sign, strict=True) if row]
        except csv.Error:
            continue
        found = (len(set(widths)) == 1 and widths[0] > 1, widths[0] if widths else 0)
        if found > most:
            best, most = sign, found
    return best


def _columns(lines: Iterator[str], separator: str) -> tuple[list[list[str]], list[str]]:
    """Returns the cells, column by column, and the names in the first line."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        header = next((row for row in reader if row), [])
        names = check_names(header)
        if all(_is_number(name) for name in names):
            raise wrong(
                "column names in the first line", f"numbers, {_checks.short(names[0])} first", "Add a header line."
            )
        columns: list[list[str]] = [[] for _ in names]
        rows = 0
        while block := list(islice(reader, 10_000)):
            block = [row for row in block if row]
            for row in block:
                rows += 1
                if len(row) != len(names):
                    got = f"{len(row)} in row {rows} (line {_line_of(reader, block, row)})"
                    raise wrong(f"{len(names)} cells in every row, as in the first line", got)
            check_size(rows * len(names), LIMITS.cells, "cells")
            for column, cells in zip(columns, zip(*block, strict=True), strict=True) if block else ():
                column.extend(cells)
    except csv.Error as error:
        raise wrong("a table with validly quoted cells", f"line {reader.line_num} ({error})") from None
    if not rows:
        raise wrong("rows below the column names", "none")
    return columns, names


def _line_of(reader: Any, block: list[list[str]], row: list[str]) -> str:
    """Returns the line number of a row: exact for the last row of a block, else approximate."""
    after = next(len(block) - i - 1 for i, other in enumerate(block) if other is row)
    return str(reader.line_num) if after == 0 else f"about {reader.line_num - after}"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
