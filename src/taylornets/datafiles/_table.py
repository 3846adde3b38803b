"""Tables, reading options, and limits."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks

TEXT_BYTES = 24  # memory of a text in a column next to its characters: offset, code and place among the values


@dataclass(frozen=True)
class Limits:
    """Maximum sizes of a file and its table, checked before memory is allocated.

    Args:
        bytes: size of a file, and the unpacked size of an archive.
        memory: bytes of a table in memory, with every text counted as often as it occurs.
        columns: number of columns.
        cells: rows times columns.
        line: characters per line of a text file.
        text: characters of a cell.
    """

    bytes: int = 2**30
    memory: int = 2**31
    columns: int = 10_000
    cells: int = 100_000_000
    line: int = 2**20
    text: int = 2**17


LIMITS = Limits()


@dataclass(frozen=True)
class Reading:
    """Reading options; everything else is detected.

    Args:
        encoding: encoding of a text file; by default that of its byte order mark, or else UTF-8.
        separator: column separator of a text file, one character; several spaces count as one.
        decimal: decimal separator of numbers in text, `"."` or `","`; by default detected for each column.
        drop: columns to exclude.
        categorical: columns to treat as categorical.
        strict: whether columns in `drop`, `categorical` and `numeric` must exist.
        numeric: columns to read as numbers, even if their digits start with zeros or they look like identifiers.
        missing: words that mean a missing value, in addition to the empty cell; numbers are compared by value.
        dates: order of day and month in dates such as 03/04/2020, `"dmy"` or `"mdy"`; by default detected.
        skip_lines: number of lines of a text file before the column names.
        no_header: whether the first line of a text file is a row; the columns are then called `column_1`, `column_2` and so on.
        recipes: pairs of a column and its `ColumnInfo.recipe`, from the table that a model was fitted on.
        target: the target column, by which the line of the column names is recognized.
    """

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    strict: bool = True
    numeric: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dates: str | None = None
    skip_lines: int = 0
    no_header: bool = False
    recipes: tuple[tuple[str, str], ...] = ()
    target: str | None = None

    @property
    def expected(self) -> tuple[str, ...]:
        """Names of columns that the table should have."""
        return (*([] if self.target is None else [self.target]), *(name for name, _ in self.recipes))

    def __post_init__(self) -> None:
        if self.decimal is not None:
            _checks.choice("decimal", self.decimal, (".", ","))
        if self.dates is not None:
            _checks.choice("dates", self.dates, ("dmy", "mdy"))
        _checks.integer("skip_lines", self.skip_lines, 0)

    def is_missing(self, word: str) -> bool:
        """Whether the options say that a word means a missing value."""
        return word in self.missing or word.lower() in {other.lower() for other in self.missing}


@dataclass(frozen=True)
class ColumnInfo:
    """How a column was read.

    Args:
        name: the column.
        kind: `"number"`, `"whole number"`, `"category"`, `"boolean"`, `"date"`, `"text"`, `"identifier"`, `"index"`,
            `"constant"` or `"empty"`.
        missing: number of missing values.
        how: how its values were read, in words; empty if they were taken as they are.
        recipe: the same for a later file: `"number"`, `"text"`, `"boolean"`, `"date"`, or a number's style.
        words: words taken for missing values, with their counts.
        notes: full sentences about values that could be read in another way.
    """

    name: str
    kind: str
    missing: int
    how: str = ""
    recipe: str = ""
    words: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """Values of a column with their description and the defects that make them unreadable."""

    values: Any
    info: ColumnInfo
    errors: tuple[_checks.ArgumentError, ...] = ()


@dataclass(frozen=True)
class DataTable:
    """Named columns of numbers (float64), strings (objects) and dates (datetime64); missing values are NaN or NaT.

    Args:
        source: the source, as the user wrote it.
        frame: the columns, in the order of the file.
        format: description of the file format.
        target: the target column, if the source defines one.
        outcomes: columns that are outcomes; those other than the target are not used as inputs.
        infos: how each column was read, in the order of the frame.
        notes: full sentences about the file, such as columns without a name.
        errors: pairs of a column and its defect, with the options that mend it; raised together by `check`.
    """

    source: str
    frame: pd.DataFrame
    format: str
    target: str | None = None
    outcomes: tuple[str, ...] = ()
    infos: tuple[ColumnInfo, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[tuple[str, _checks.ArgumentError], ...] = ()

    def info(self, name: str) -> ColumnInfo:
        """Returns how a column was read."""
        return next(info for info in self.infos if info.name == name)

    def check(self, names: Sequence[str] | None = None) -> "DataTable":
        """Returns the table, or raises all defects of the given columns (by default of all) at once."""
        found = [error for name, error in self.errors if names is None or name in names]
        if found:
            raise _checks.joined(found)
        return self

    def digest(self, names: Sequence[str]) -> str:
        """Returns the SHA-256 of names and values of some columns, independent of the file format."""
        found = hashlib.sha256()
        for name in names:
            column: Any = self.frame[name]
            texts = column.dtype == object
            values = column.to_numpy()
            found.update(f"{name}\0{'text' if texts else 'number'}\0{len(values)}\0".encode())
            data = "\0".join(map(str, values)).encode() if texts else np.ascontiguousarray(values).tobytes()
            found.update(data)
        return found.hexdigest()


def wrong(expected: str, got: str, advice: str = "", mends: _checks.Mends = ()) -> _checks.ArgumentError:
    """Creates the error for an invalid file."""
    return _checks.ArgumentError("source", expected, got, advice, mends)


def check_size(count: int, limit: int, what: str) -> None:
    """Rejects a count above `limit`."""
    if count > limit:
        raise wrong(f"at most {limit:,} {what}", f"{count:,}")


def framed(columns: dict[str, Any]) -> pd.DataFrame:
    """Builds a data frame of the columns."""
    parts = [pd.Series(values, name=name, dtype=values.dtype) for name, values in columns.items()]
    return pd.concat(parts, axis=1)
