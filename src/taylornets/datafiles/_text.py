"""Text files: detection of the separator, lines before the table, and rows of equal length."""

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from taylornets import _checks
from taylornets.datafiles._columns import table_of
from taylornets.datafiles._encoding import as_text, damaged, encoding_of, opened, undecodable
from taylornets.datafiles._table import (
    LIMITS,
    TEXT_BYTES,
    DataTable,
    Reading,
    check_drop,
    check_names,
    check_size,
    wrong,
)

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_COMMON = ",;\t|"
_OTHERS = " ~^:"  # detected only where no common separator is found, and all rows have the same length
_EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # the first line of a file written for Excel
_NAMELESS = "If the table has no column names, use `no_header=True`, which calls them column_1, column_2 and so on."
_SAMPLE = 100
_BLOCK = 10_000


def read_text(path: Path, reading: Reading) -> DataTable:
    """Reads a table from a text file whose first line contains the column names.

    Args:
        path: path of the file, whose size has been checked; decompressed if it ends in .gz.
        reading: reading options.

    Returns:
        The table.

    Raises:
        ArgumentError: for an invalid table; the message names the line, or the row (1 is the first row after the header).
        OSError: if the file cannot be read.
    """
    encoding = encoding_of(path, reading)
    try:
        try:
            columns, names, notes, called = _parsed(path, encoding, reading)
        except csv.Error as error:
            try:
                columns, names, notes, called = _parsed(path, encoding, reading, escaped=True)
            except (csv.Error, _checks.ArgumentError):
                advice = "Correct the quotation marks in the file; one may not be closed."
                raise wrong("a table with validly quoted cells", str(error), advice) from None
    except UnicodeDecodeError:
        raise undecodable(path, encoding) from None
    except UnicodeError as error:
        raise wrong(f"text encoded in {encoding}", f"{path} ({error})") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, error) from None
    kept = check_drop(names, reading)
    raw = {name: columns[names.index(name)] for name in kept}
    commas = "separated by comma" in called
    return table_of(str(path), raw, reading, called, tuple(notes), comma_separated=commas)


def _parsed(
    path: Path, encoding: str, reading: Reading, escaped: bool = False
) -> tuple[list[pa.ChunkedArray], list[str], list[str], str]:
    """Returns columns, names, notes, and a description of the format; `escaped`: quotation marks follow backslashes."""
    with opened(path) as binary, as_text(binary, encoding) as file:
        lines = (line.replace('\\"', '""') for line in _lines(file)) if escaped else _lines(file)
        skipped = list(islice(lines, reading.skip_lines))
        sample = list(islice(lines, _SAMPLE))
        excel = _EXCEL.fullmatch(sample[0]) if sample else None
        sample = sample if excel is None else sample[1:]
        separator = _separator(sample, reading, excel[1] if excel else None)
        columns, names, notes = _columns(chain(sample, lines), separator, _begin(sample, separator), reading.no_header)
    called = f"{encoding.upper()} text, columns separated by {SEPARATORS.get(separator, repr(separator))}"
    called += f", {_checks.counted(len(skipped), 'line')} skipped" if skipped else ""
    called += ", quotation marks after backslashes" if escaped else ""
    return columns, names, notes, called


def _lines(file: Any) -> Iterator[str]:
    """Yields lines, checked for length, zero bytes and the size of the whole."""
    number = total = 0
    while line := file.readline(LIMITS.line + 1):
        number += 1
        total += len(line)
        if len(line) > LIMITS.line:
            raise wrong(f"lines of at most {LIMITS.line:,} characters", f"more in line {number}")
        if total > LIMITS.bytes:
            raise wrong(f"at most {LIMITS.bytes:,} characters", f"more in line {number}")
        if "\0" in line:
            raise wrong("a text file with a table", f"a zero byte in line {number}")
        yield line


def _rows(lines: Iterable[str], separator: str) -> Any:
    """Reads rows; several spaces separate as one does, and spaces before a cell do not belong to it."""
    spaces = separator == " "
    lines = (line.strip(" \r\n") + "\n" for line in lines) if spaces else lines
    return csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)


def _widths(sample: list[str], separator: str) -> list[int]:
    return [len(row) for row in _rows(sample, separator) if row]


def _separator(sample: list[str], reading: Reading, excel: str | None) -> str:
    """Returns the requested separator, or the one that gives the most rows of equal length."""
    if reading.separator is not None:
        named = {name: sign for sign, name in SEPARATORS.items()} | {"\\t": "\t"}
        sign = named.get(reading.separator, reading.separator)
        if len(sign) != 1 or sign in '\r\n"' or sign.isalnum():
            expected = f"one character, or {', '.join(SEPARATORS.values())}"
            raise _checks.ArgumentError("separator", expected, _checks.short(reading.separator))
        return sign
    if excel is not None:
        return excel
    best, most = ",", (0.0, 1)
    for sign in _COMMON + _OTHERS:
        if sign in _OTHERS and most[0] > 0:
            break
        try:
            widths = _widths(sample, sign)
        except csv.Error:
            continue
        if sign in _OTHERS and len(set(widths)) > 1:
            continue
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        found = (count / len(widths) if width > 1 else 0.0, max(widths, default=1) if width == 1 else width)
        if found > most:
            best, most = sign, found
    return best


def _begin(sample: list[str], separator: str) -> tuple[int, bool]:
    """Returns how many lines before the table have another number of cells, and whether it begins without column names."""
    try:
        widths = _widths(sample, separator)
    except csv.Error:
        return 0, False
    width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
    first = next((cells for cells in _rows(sample, separator) if cells), [])
    indexed = widths and widths[0] == width - 1 and not _numbers_only(first)  # the names of all columns but the index
    if not widths or widths[0] == width or indexed or 2 * count <= len(widths):
        return 0, False
    row = widths.index(width)
    reader = _rows(sample, separator)
    seen = 0
    before = 0
    for cells in reader:
        if cells:
            if seen == row:
                return before, _numbers_only(cells)
            seen += 1
        before = reader.line_num
    return 0, False


def _columns(
    lines: Iterator[str], separator: str, begin: tuple[int, bool], no_header: bool
) -> tuple[list[pa.ChunkedArray], list[str], list[str]]:
    """Returns the cells, column by column, the names in the first line, and notes about them."""
    reader = _rows(lines, separator)
    try:
        header = next((row for row in reader if row), [])
        first = list(islice((row for row in reader if row), _BLOCK))
        if no_header:
            first, header = [header, *first], [f"column_{place}" for place in range(1, len(header) + 1)]
        elif first and len(first[0]) == len(header) and _numbers_only(header):
            got = f"numbers, {_checks.short(header[0])} first"
            raise wrong("column names in the first line", got, _NAMELESS, (("no_header", True),))
        notes: list[str] = []
        if first and all(len(row) == len(header) + 1 for row in first) and not begin[0]:
            last_empty = all(not row[-1] for row in first)
            header = [*header, ""] if last_empty else ["", *header]
        names, more = check_names(header)
        notes += more
        columns: list[list[Any]] = [[] for _ in names]  # blocks of each column
        rows = used = 0
        block = first
        while block:
            for row in block:
                rows += 1
                if len(row) != len(names):
                    raise _ragged(row, names, rows, _line_of(reader, block, row), begin)
                used += sum(map(len, row)) + TEXT_BYTES * len(row)
            check_size(rows * len(names), LIMITS.cells, "cells")
            check_size(used, LIMITS.memory, "bytes of memory")
            for column, cells in zip(columns, zip(*block, strict=True), strict=True):
                column.append(pa.array(cells, pa.large_string()))
            block = list(islice((row for row in reader if row), _BLOCK))
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num} ({error})") from None
    if not rows:
        raise wrong("rows below the column names", "none")
    return [pa.chunked_array(column) for column in columns], names, notes


def _ragged(row: list[str], names: list[str], rows: int, line: str, begin: tuple[int, bool]) -> _checks.ArgumentError:
    """The error for a row of another length; if lines before the table cause it, the way to skip them."""
    before, nameless = begin
    expected = _checks.counted(len(names), "cell")
    got = f"{len(row)} in row {rows} (line {line})"
    if before:
        got += f"; the first line, {_checks.short(names[0])}, has no column names, and the table begins in line {before + 1}"
        advice = f"Skip the lines before it with `skip_lines={before}`."
        mends: _checks.Mends = (("skip_lines", before),)
        if nameless:
            advice, mends = f"{advice} {_NAMELESS}", (*mends, ("no_header", True))
        return wrong(f"{expected} in every row, as in the first line", got, advice, mends)
    advice = "Correct the row in the file. If another character separates the columns, use `separator`."
    return wrong(f"{expected} in every row, as in the first line", got, advice)


def _line_of(reader: Any, block: list[list[str]], row: list[str]) -> str:
    """Returns the line number of a row: exact for the last row of a block, else approximate."""
    after = next(len(block) - i - 1 for i, other in enumerate(block) if other is row)
    return str(reader.line_num) if after == 0 else f"about {reader.line_num - after}"


def _numbers_only(cells: list[str]) -> bool:
    """Whether cells that should be column names are numbers."""
    return any(cells) and all(_is_number(cell) for cell in cells if cell)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
