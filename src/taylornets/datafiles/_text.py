"""Text files: rows of equal length, in blocks, below the column names."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from taylornets import _checks
from taylornets.datafiles._columns import table_of
from taylornets.datafiles._encoding import as_text, damaged, encoding_of, opened, undecodable
from taylornets.datafiles._layout import (
    NAMELESS,
    Begin,
    are_names,
    begin_of,
    dialect_of,
    is_free_quote,
    is_number,
    located,
)
from taylornets.datafiles._names import names_of
from taylornets.datafiles._table import LIMITS, TEXT_BYTES, DataTable, Reading, check_size, wrong

_SAMPLE = 100
_BLOCK = 10_000
_FOOTERS = 10  # lines below the table


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
        return _read(path, encoding, reading)
    except UnicodeDecodeError:
        raise undecodable(path, encoding) from None
    except UnicodeError as error:
        raise wrong(f"text encoded in {encoding}", f"{path} ({error})") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, error) from None


def _read(path: Path, encoding: str, reading: Reading) -> DataTable:
    """Reads the table with the usual quotation marks, or else with others, if these give a table."""
    try:
        return _parsed(path, encoding, reading, "usual")
    except csv.Error as error:
        for quotes in ("escaped", "none") if is_free_quote(error) else ("escaped",):
            try:
                table = _parsed(path, encoding, reading, quotes)
            except (csv.Error, _checks.ArgumentError):
                continue
            if not any('"' in found.got for _, found in table.errors):  # else a slip, and not the style of the file
                return table
        advice = "Correct the quotation marks in the file; one may not be closed."
        raise wrong("a table with validly quoted cells", str(error), advice) from None


def _parsed(path: Path, encoding: str, reading: Reading, quotes: str) -> DataTable:
    with opened(path) as binary, as_text(binary, encoding) as file:
        lines = _lines(file)
        skipped = list(islice(lines, reading.skip_lines))
        first = list(islice(lines, _SAMPLE))
        dialect, sample = dialect_of(first, reading, quotes)
        begin = begin_of(sample, dialect, reading.expected)
        if begin.before:  # in lines of the file
            begin = replace(begin, before=begin.before + len(skipped) + len(first) - len(sample))
        columns, header, notes = _columns(dialect.rows(chain(sample, lines)), begin, reading.no_header)
    called = f"{encoding.upper()} text, {dialect.words}"
    called += f", {_checks.counted(len(skipped), 'line')} skipped" if skipped else ""
    names = names_of(header, reading)
    raw = {name: columns[names.every.index(name)] for name in names.kept}
    names = replace(names, notes=(*names.notes, *notes))
    return table_of(str(path), raw, reading, called, names, comma_separated=dialect.separator == ",")


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


def _columns(reader: Any, begin: Begin, no_header: bool) -> tuple[list[pa.ChunkedArray], list[str], list[str]]:
    """Returns the cells, column by column, the names in the first line, and notes about lines that were left out."""
    try:
        header = next((row for row in reader if row), [])
        first = list(islice((row for row in reader if row), _BLOCK))
        if no_header:
            first, header = [header, *first], [f"column_{place}" for place in range(1, len(header) + 1)]
        elif begin.certain and begin.before:
            raise begin.error("column names in the first line", f"{_checks.short(header[0])} there")
        elif first and len(first[0]) == len(header) and not are_names(header, begin):
            got = f"numbers, {_checks.short(header[0])} first"
            advice = f"{NAMELESS} If the numbers are names, choose one of them as the target."
            raise wrong("column names in the first line", got, advice, (("no_header", True),))
        if first and len(first[0]) == len(header) + 1 and not begin.before and _one_longer(first, header):
            header = [*header, ""] if all(not row[-1:] or not row[-1] for row in first) else ["", *header]
        check_size(len(header), LIMITS.columns, "columns")
        columns: list[list[Any]] = [[] for _ in header]  # blocks of each column
        notes: list[str] = []
        rows = used = 0
        block = first
        while block:
            for place, row in enumerate(block):
                if len(row) != len(header):
                    footer = _footer(chain(block[place:], reader), len(header))
                    if footer is None or not rows:
                        raise _ragged(row, header, rows + 1, _line_of(reader, block, row), begin)
                    block, notes = block[:place], [footer]
                    break
                rows += 1
                used += sum(map(len, row)) + TEXT_BYTES * len(row)
            check_size(rows * len(header), LIMITS.cells, "cells")
            check_size(used, LIMITS.memory, "bytes of memory")
            for column, cells in zip(columns, zip(*block, strict=True), strict=bool(block)):
                column.append(pa.array(cells, pa.large_string()))
            block = [] if notes else list(islice((row for row in reader if row), _BLOCK))
    except csv.Error as error:
        raise located(error, reader) from None
    if not rows:
        raise wrong("rows below the column names", "none")
    return [pa.chunked_array(column) for column in columns], header, notes


def _one_longer(rows: list[list[str]], header: list[str]) -> bool:
    """Whether all rows have one cell more than the header, apart from lines below the table."""
    return all(len(row) == len(header) + 1 for row in rows[:-_FOOTERS] or rows[:1]) and all(
        len(row) in (1, len(header) + 1) for row in rows
    )


def _footer(rows: Iterator[list[str]], width: int) -> str | None:
    """A note on the last lines of a file if each has one text, such as a source; None if they are rows of the table."""
    found = [[cell for cell in row if cell.strip()] for row in islice((row for row in rows if row), _FOOTERS + 1)]
    if width < 2 or len(found) > _FOOTERS or any(len(cells) != 1 or is_number(cells[0]) for cells in found):
        return None
    what = "The last line of the file" if len(found) == 1 else f"The last {len(found)} lines of the file"
    verb = "is no row of the table and was" if len(found) == 1 else "are no rows of the table and were"
    return f"{what} ({_checks.short(found[0][0])}) {verb} left out."


def _ragged(row: list[str], header: list[str], rows: int, line: str, begin: Begin) -> _checks.ArgumentError:
    """The error for a row of another length; if lines before the table cause it, the way to skip them."""
    expected = f"{_checks.counted(len(header), 'cell')} in every row, as in the first line"
    got = f"{len(row)} in row {rows} (line {line})"
    if begin.before:
        return begin.error(expected, f"{got}; the first line, {_checks.short(header[0])}, has no column names")
    return wrong(
        expected, got, "Correct the row in the file. If another character separates the columns, use `separator`."
    )


def _line_of(reader: Any, block: list[list[str]], row: list[str]) -> str:
    """Returns the line number of a row: exact for the last row of a block, else approximate."""
    after = next(len(block) - i - 1 for i, other in enumerate(block) if other is row)
    return str(reader.line_num) if after == 0 else f"about {reader.line_num - after}"
