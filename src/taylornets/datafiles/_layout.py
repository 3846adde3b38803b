"""The layout of a text file: separator, quotation marks, and where the table begins."""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from taylornets import _checks
from taylornets.datafiles._table import Reading, wrong
from taylornets.datafiles._words import POSSIBLE_WORDS

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
QUOTES = {"usual": "", "escaped": ", quotation marks after backslashes", "none": ", quotation marks as characters"}
NAMELESS = "If the table has no column names, use `no_header=True`, which calls them column_1, column_2 and so on."
_COMMON = ",;\t|"
_OTHERS = " ~^:"  # detected only where no common separator is found, and all rows have the same length
_EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # the first line of a file written for Excel
_TITLES = 30  # rows in which the column names are looked for
_LEAST_COUNTED = 3  # 0, 1, 2 are the names of columns without names; 0, 1 may be a row


@dataclass(frozen=True)
class Dialect:
    """How cells are written: their separator, and `quotes`, one of `QUOTES`."""

    separator: str
    quotes: str = "usual"

    def rows(self, lines: Iterable[str]) -> Any:
        """Reads rows; several spaces separate as one does, and spaces before a cell do not belong to it."""
        if self.quotes == "escaped":
            lines = (line.replace('\\"', '""') for line in lines)
        if self.separator == " ":
            lines = (line.strip(" \r\n") + "\n" for line in lines)
        quoting = csv.QUOTE_NONE if self.quotes == "none" else csv.QUOTE_MINIMAL
        return csv.reader(lines, delimiter=self.separator, strict=True, skipinitialspace=True, quoting=quoting)

    def widths(self, sample: list[str]) -> list[int]:
        """The number of cells of each row that is not empty."""
        reader = self.rows(sample)
        try:
            return [len(row) for row in reader if row]
        except csv.Error as error:
            raise located(error, reader) from None

    @property
    def words(self) -> str:
        """The dialect in words."""
        return f"columns separated by {SEPARATORS.get(self.separator, repr(self.separator))}{QUOTES[self.quotes]}"


@dataclass(frozen=True)
class Begin:
    """Where the table begins.

    Args:
        before: number of lines before it that do not belong to it.
        nameless: whether it begins without column names.
        certain: whether its first line was recognized by the names that it is expected to have.
    """

    before: int = 0
    nameless: bool = False
    certain: bool = False

    def error(self, expected: str, got: str) -> _checks.ArgumentError:
        """The error for a table that does not begin in the first line, with the way to skip the lines before it."""
        got += f", and the table begins in line {self.before + 1}"
        advice = f"Skip the lines before it with `skip_lines={self.before}`."
        mends: _checks.Mends = (("skip_lines", self.before),)
        if self.nameless:
            advice, mends = f"{advice} {NAMELESS}", (*mends, ("no_header", True))
        return wrong(expected, got, advice, mends)


def located(error: csv.Error, reader: Any) -> csv.Error:
    """The error of a reader with the line."""
    return csv.Error(f"line {reader.line_num} ({error})")


def is_free_quote(error: csv.Error) -> bool:
    """Whether a cell continues behind a closing quotation mark, so that the marks may be characters like others."""
    return "expected after" in str(error)


def dialect_of(sample: list[str], reading: Reading, quotes: str) -> tuple[Dialect, list[str]]:
    """Detects the separator, unless it is given, for a kind of quotation marks.

    Args:
        sample: the first lines.
        reading: reading options.
        quotes: one of `QUOTES`.

    Returns:
        The dialect, and the sample without a line that states the separator.

    Raises:
        csv.Error: if no separator is found, and cells go on behind quotation marks.
    """
    excel = _EXCEL.fullmatch(sample[0]) if sample else None
    sample = sample if excel is None else sample[1:]
    if reading.separator is not None:
        named = {name: sign for sign, name in SEPARATORS.items()} | {"\\t": "\t"}
        sign = named.get(reading.separator, reading.separator)
        if len(sign) != 1 or sign in '\r\n"' or sign.isalnum():
            expected = f"one character, or {', '.join(SEPARATORS.values())}"
            raise _checks.ArgumentError("separator", expected, _checks.short(reading.separator))
        return Dialect(sign, quotes), sample
    return Dialect(_separator(sample, quotes) if excel is None else excel[1], quotes), sample


def _separator(sample: list[str], quotes: str) -> str:
    """Returns the separator that gives the most rows of equal length."""
    best, most = ",", (0.0, 1)
    failed: csv.Error | None = None
    for sign in _COMMON + _OTHERS:
        if sign in _OTHERS and most[0] > 0:
            break
        try:
            widths = Dialect(sign, quotes).widths(sample)
        except csv.Error as error:
            failed = failed or error
            continue
        if sign in _OTHERS and len(set(widths)) > 1:
            continue
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        found = (count / len(widths) if width > 1 else 0.0, max(widths, default=1) if width == 1 else width)
        if found > most:
            best, most = sign, found
    if failed is not None and not most[0] and is_free_quote(failed):
        raise failed
    return best


def begin_of(sample: list[str], dialect: Dialect, expected: tuple[str, ...]) -> Begin:
    """Finds the line of the column names: it has the names that are expected, or else the length of most rows.

    Args:
        sample: the first lines.
        dialect: how cells are written.
        expected: names that the table should have, such as that of the target.
    """
    lines: list[int] = []  # before each row
    rows: list[list[str]] = []
    reader, before = dialect.rows(sample), 0
    try:
        for cells in reader:
            if cells:
                lines.append(before)
                rows.append([cell.strip() for cell in cells])
            before = reader.line_num
    except csv.Error:
        return Begin()
    if not rows:
        return Begin()
    width, count = Counter(map(len, rows)).most_common(1)[0]
    known = [
        len({*row} & {*expected}) if _are_words(row) or not place else 0 for place, row in enumerate(rows[:_TITLES])
    ]
    place = known.index(max(known))
    if known[place] and len(rows[place]) in ((width,) if place else (width, width - 1)):
        return Begin(lines[place] if place else 0, certain=True)
    first = len(rows[0])
    # R does not write a name for the first column; a title may be as long.
    indexed = (
        first == width - 1 and not numbers_only(rows[0]) and not (len(rows) > 1 and _is_heading(rows[1], rows[2:]))
    )
    if first == width or indexed or 2 * count <= len(rows):
        return Begin()
    place = next(place for place, row in enumerate(rows) if len(row) == width)
    return Begin(lines[place], numbers_only(rows[place]))


def _are_words(cells: list[str]) -> bool:
    """Whether cells are distinct, and neither numbers nor missing values."""
    return len({*cells}) == len(cells) and not any(
        is_number(cell) or cell.lower() in POSSIBLE_WORDS for cell in cells if cell
    )


def _is_heading(cells: list[str], below: list[list[str]]) -> bool:
    """Whether cells are distinct words above a column of numbers."""
    if not _are_words(cells) or not below:
        return False
    same = [row for row in below if len(row) == len(cells)]
    return any(
        2 * sum(is_number(row[place]) for row in same) > len(same) for place in range(len(cells)) if cells[place]
    )


def are_names(cells: list[str], begin: Begin) -> bool:
    """Whether cells in the first line are column names: not all numbers, or those of a table whose columns have none."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    counted = filled == [str(place) for place in range(len(filled))]
    named = begin.certain and not begin.before
    return named or not numbers_only(cells) or (counted and len(cells) >= _LEAST_COUNTED)


def numbers_only(cells: list[str]) -> bool:
    """Whether cells that should be column names are numbers."""
    return any(cells) and all(is_number(cell) for cell in cells if cell)


def is_number(word: str) -> bool:
    """Whether a word is a number in the notation of programs."""
    try:
        float(word)
    except ValueError:
        return False
    return True
