"""Text files: detection of the separator, lines before the table, and rows of equal length."""

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

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

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # the first line of a file written for Excel
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
        with opened(path) as binary, as_text(binary, encoding) as file:
            lines = _lines(file)
            skipped = list(islice(lines, reading.skip_lines))
            sample = list(islice(lines, _SAMPLE))
            excel = _EXCEL.fullmatch(sample[0]) if sample else None
            if excel is not None:
                sample = sample[1:]
            separator = _separator(sample, reading, excel[1] if excel else None)
            columns, names, notes = _columns(chain(sample, lines), separator, _begin(sample, separator))
    except UnicodeDecodeError:
        raise undecodable(path, encoding) from None
    except UnicodeError as error:
        raise wrong(f"text encoded in {encoding}", f"{path} ({error})") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, error) from None
    kept = check_drop(names, reading)
    called = f"{encoding.upper()} text, columns separated by {SEPARATORS.get(separator, repr(separator))}"
    called += f", {_checks.counted(len(skipped), 'line')} skipped" if skipped else ""
    raw = {name: columns[names.index(name)] for name in kept}
    return table_of(str(path), raw, reading, called, tuple(notes), comma_separated=separator == ",")


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


def _widths(sample: list[str], separator: str) -> list[int]:
    return [len(row) for row in csv.reader(sample, delimiter=separator, strict=True) if row]


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
    for sign in SEPARATORS:
        try:
            widths = _widths(sample, sign)
        except csv.Error:
            continue
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        found = (count / len(widths) if width > 1 else 0.0, max(widths, default=1) if width == 1 else width)
        if found > most:
            best, most = sign, found
    return best


def _begin(sample: list[str], separator: str) -> int:
    """Returns how many lines before the table have another number of cells than the rows of the table."""
    try:
        widths = _widths(sample, separator)
    except csv.Error:
        return 0
    width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
    if not widths or widths[0] in (width, width - 1) or 2 * count <= len(widths):
        return 0
    row = widths.index(width)
    reader = csv.reader(sample, delimiter=separator, strict=True)
    seen = 0
    before = 0
    for cells in reader:
        if cells:
            if seen == row:
                return before
            seen += 1
        before = reader.line_num
    return 0


def _columns(lines: Iterator[str], separator: str, before: int) -> tuple[list[list[str]], list[str], list[str]]:
    """Returns the cells, column by column, the names in the first line, and notes about them."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        header = next((row for row in reader if row), [])
        first = list(islice((row for row in reader if row), _BLOCK))
        notes: list[str] = []
        if first and all(len(row) == len(header) + 1 for row in first):
            last_empty = all(not row[-1] for row in first)
            header = [*header, ""] if last_empty else ["", *header]
        names, more = check_names(header)
        notes += more
        if all(_is_number(name) for name in names):
            raise wrong(
                "column names in the first line", f"numbers, {_checks.short(names[0])} first", "Add a header line."
            )
        columns: list[list[str]] = [[] for _ in names]
        rows = used = 0
        block = first
        while block:
            for row in block:
                rows += 1
                if len(row) != len(names):
                    raise _ragged(row, names, rows, _line_of(reader, block, row), before)
                used += sum(map(len, row)) + TEXT_BYTES * len(row)
            check_size(rows * len(names), LIMITS.cells, "cells")
            check_size(used, LIMITS.memory, "bytes of memory")
            for column, cells in zip(columns, zip(*block, strict=True), strict=True):
                column.extend(cells)
            block = list(islice((row for row in reader if row), _BLOCK))
    except csv.Error as error:
        raise wrong("a table with validly quoted cells", f"line {reader.line_num} ({error})") from None
    if not rows:
        raise wrong("rows below the column names", "none")
    return columns, names, notes


def _ragged(row: list[str], names: list[str], rows: int, line: str, before: int) -> _checks.ArgumentError:
    """The error for a row of another length; if lines before the table cause it, the way to skip them."""
    expected = _checks.counted(len(names), "cell")
    got = f"{len(row)} in row {rows} (line {line})"
    if before:
        got += f"; the first line, {_checks.short(names[0])}, has no column names, and the table begins in line {before + 1}"
        advice = f"Skip the lines before it with `skip_lines={before}`."
        return wrong(f"{expected} in every row, as in the first line", got, advice, (("skip_lines", before),))
    advice = "Correct the row in the file. If another character separates the columns, use `separator`."
    return wrong(f"{expected} in every row, as in the first line", got, advice)


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
