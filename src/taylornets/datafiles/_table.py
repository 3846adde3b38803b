"""Tables, reading options, and the conversion of columns to numbers or strings."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks
from taylornets._checks import short

# Strings for missing values in a text file, case-insensitive.
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?"})
_BOOLEANS = {"true": "true", "false": "false"}
_MOSTLY = 0.5  # above this fraction of numbers, strings in a column are treated as errors, not as categories


@dataclass(frozen=True)
class Limits:
    """Maximum sizes of a file and its table, checked before reading.

    Args:
        bytes: size of a file, and the declared unpacked size of an archive.
        columns: number of columns.
        cells: rows times columns.
        line: characters per line of a text file.
    """

    bytes: int = 2**30
    columns: int = 10_000
    cells: int = 20_000_000
    line: int = 2**20


LIMITS = Limits()


@dataclass(frozen=True)
class Reading:
    """Reading options; everything else is detected.

    Args:
        encoding: encoding of a text file; by default that of its byte order mark, or else UTF-8.
        separator: column separator of a text file, one character.
        decimal: decimal separator, `"."` or `","`.
        drop: columns to exclude.
        categorical: numeric columns to treat as categorical.
        strict: whether columns in `drop` and `categorical` must exist.
    """

    encoding: str | None = None
    separator: str | None = None
    decimal: str = "."
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    strict: bool = True


@dataclass(frozen=True)
class DataTable:
    """Named columns of numbers (float64) and strings (objects); missing values are NaN.

    Args:
        source: the source, as the user wrote it.
        frame: the columns, in the order of the file.
        format: description of the file format.
        target: the target column, if the source defines one.
        outcomes: columns that are outcomes; those other than the target are not used as inputs.
    """

    source: str
    frame: pd.DataFrame
    format: str
    target: str | None = None
    outcomes: tuple[str, ...] = ()

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


def wrong(expected: str, got: str, advice: str = "") -> _checks.ArgumentError:
    """Creates the error for an invalid file."""
    return _checks.ArgumentError("source", expected, got, advice)


def check_size(count: int, limit: int, what: str) -> None:
    """Rejects a count above `limit`."""
    if count > limit:
        raise wrong(f"at most {limit:,} {what}", f"{count:,}")


def check_names(names: Sequence[Any]) -> list[str]:
    """Validates column names: distinct and non-empty strings.

    Args:
        names: column names as in the file.

    Returns:
        The names without surrounding whitespace.

    Raises:
        ArgumentError: for too many, empty or duplicate names.
    """
    check_size(len(names), LIMITS.columns, "columns")
    found = [str(name).strip() for name in names]
    seen: set[str] = set()
    for place, name in enumerate(found, 1):
        if not name:
            raise wrong("a name for every column", f"none for column {place}", "Add it to the first line.")
        if "\0" in name or "\ufffd" in name:
            raise wrong("valid column names", f"{short(name)} for column {place}")
        if name in seen:
            raise wrong("distinct column names", f"{short(name)} twice (again in column {place})")
        seen.add(name)
    return found


def check_drop(names: Sequence[str], reading: Reading) -> list[str]:
    """Returns the columns that are not dropped; rejects unknown names in `drop` and `categorical`."""
    for argument, given in (("drop", reading.drop), ("categorical", reading.categorical)):
        for name in given:
            if name not in names and reading.strict:
                _checks.choice(argument, name, names if len(names) <= 50 else names[:50])
    return [name for name in names if name not in reading.drop]


def from_numbers(name: str, values: Any, reading: Reading) -> Any:
    """Converts a numeric column to float64, or to strings if it is categorical; rejects infinities."""
    numbers = np.asarray(values, dtype=np.float64)
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers))) + 1
        raise wrong("finite numbers", f"{numbers[row - 1]} in row {row} of column {short(name)}")
    return from_texts(name, _written(numbers), reading) if name in reading.categorical else numbers


def _written(numbers: np.ndarray) -> list[str]:
    """Formats numbers as category names; integers without a decimal point."""
    return ["" if np.isnan(value) else f"{value:.17g}" for value in numbers]


def from_texts(name: str, texts: Sequence[str | None], reading: Reading) -> Any:
    """Converts a column of strings to numbers if all entries are numbers.

    Args:
        name: column name, for messages.
        texts: one string per row; None and the entries of `MISSING` are missing values.
        reading: states the categorical columns and the decimal separator.

    Returns:
        float64 or objects; missing values are NaN.

    Raises:
        ArgumentError: for a mostly numeric column with other strings, and for infinities.
    """
    words = np.array(["" if text is None else text.strip() for text in texts], dtype=object)
    lowered = [word.lower() for word in words]
    missing = np.array([word in MISSING for word in lowered], dtype=bool)
    if name not in reading.categorical:
        numbers = _parsed(words, missing, reading.decimal)
        bad = np.isnan(numbers) & ~missing
        if not bad.any():
            return from_numbers(name, numbers, reading)
        given = len(words) - int(missing.sum())
        if int(bad.sum()) < (1 - _MOSTLY) * given:
            row = int(np.argmax(bad)) + 1
            got = f"{short(words[row - 1])} in row {row} of column {short(name)}, the first of {int(bad.sum())}"
            advice = "Correct it, exclude the column with `drop`, or treat it as categorical with `categorical`."
            raise wrong("only numbers in a numeric column", got, advice)
    result = np.array([_BOOLEANS.get(low, word) for low, word in zip(lowered, words, strict=True)], dtype=object)
    result[missing] = np.nan
    return result


def _parsed(words: np.ndarray, missing: np.ndarray, decimal: str) -> np.ndarray:
    """Parses strings as numbers; NaN for strings that are not numbers."""
    if decimal == ",":
        words = np.array([word.replace(".", "").replace(",", ".") for word in words], dtype=object)
    numbers: Any = pd.to_numeric(pd.Series(np.where(missing, "", words), dtype=object), errors="coerce")
    return numbers.to_numpy(dtype=np.float64)


def framed(columns: dict[str, Any]) -> pd.DataFrame:
    """Builds a data frame of float64 and object columns."""
    parts = [pd.Series(values, name=name, dtype=values.dtype) for name, values in columns.items()]
    return pd.concat(parts, axis=1)
