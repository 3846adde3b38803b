"""A table, how it is read, and what makes columns of numbers or strings."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks
from taylornets._checks import short

# What stands for a missing value in a text file, in lower or upper case.
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?"})
_BOOLEANS = {"true": "true", "false": "false"}
_MOSTLY = 0.5  # beyond this share of numbers, words in a column are taken for mistakes, not for categories


@dataclass(frozen=True)
class Limits:
    """Largest sizes of a file and its table, checked before it is read.

    Args:
        bytes: of a file, and of what a packed file says that it unpacks to.
        columns: of a table.
        cells: rows times columns.
        line: characters of one line of a text file.
    """

    bytes: int = 2**30
    columns: int = 10_000
    cells: int = 20_000_000
    line: int = 2**20


LIMITS = Limits()


@dataclass(frozen=True)
class Reading:
    """How a file is to be read; the rest is detected.

    Args:
        encoding: of a text file; by default that of its byte order mark, or else UTF-8.
        separator: between the cells of a text file; one character.
        decimal: `"."` or `","`.
        drop: columns to leave out.
        categorical: columns of numbers that are names of categories.
        strict: whether a column that is to be dropped or taken for categories must be there.
    """

    encoding: str | None = None
    separator: str | None = None
    decimal: str = "."
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    strict: bool = True


@dataclass(frozen=True)
class DataTable:
    """Named columns of numbers (float64, NaN where one is missing) and of strings (objects, NaN where one is missing).

    Args:
        source: where it came from, as the user wrote it.
        frame: the columns, in the order of the file.
        format: what kind of file it was, in words.
        target: the column to predict, where the source says which.
        outcomes: columns that are outcomes; those other than the target are no inputs.
    """

    source: str
    frame: pd.DataFrame
    format: str
    target: str | None = None
    outcomes: tuple[str, ...] = ()

    def digest(self, names: Sequence[str]) -> str:
        """SHA-256 of names and values of some columns, whatever the kind of file."""
        found = hashlib.sha256()
        for name in names:
            column: Any = self.frame[name]
            texts = column.dtype == object
            values = column.to_numpy()
            found.update(f"{name}\0{'text' if texts else 'number'}\0{len(values)}\0".encode())
            data = "\0".join(map(str, values)).encode() if texts else np.ascontiguousarray(values).tobytes()
            found.update(data)
        return found.hexdigest()


def wrong(needed: str, came: str, advice: str = "") -> _checks.ArgumentError:
    """The error of a file that cannot be used."""
    return _checks.ArgumentError("source", needed, came, advice)


def check_size(count: int, limit: int, what: str) -> None:
    """Raises for more than `limit` of something."""
    if count > limit:
        raise wrong(f"at most {limit:,} {what}", f"{count:,}")


def check_names(names: Sequence[Any]) -> list[str]:
    """Names of columns: strings that differ and are not empty.

    Args:
        names: as they stand in the file.

    Returns:
        The names without space around them.

    Raises:
        ArgumentError: for too many, empty or equal ones.
    """
    check_size(len(names), LIMITS.columns, "columns")
    found = [str(name).strip() for name in names]
    seen: set[str] = set()
    for place, name in enumerate(found, 1):
        if not name:
            raise wrong("a name for every column", f"none for column {place}", "Name it in the first line.")
        if "\0" in name or "\ufffd" in name:
            raise wrong("names of columns that are strings", f"{short(name)} for column {place}")
        if name in seen:
            raise wrong("names of columns that differ", f"{short(name)} twice (column {place} again)")
        seen.add(name)
    return found


def check_drop(names: Sequence[str], reading: Reading) -> list[str]:
    """The columns that stay; raises for dropped or categorical columns that are not there."""
    for argument, given in (("drop", reading.drop), ("categorical", reading.categorical)):
        for name in given:
            if name not in names and reading.strict:
                _checks.choice(argument, name, names if len(names) <= 50 else names[:50])
    return [name for name in names if name not in reading.drop]


def from_numbers(name: str, values: Any, reading: Reading) -> Any:
    """A column of numbers as float64, or as strings if it is asked for; raises for infinities."""
    numbers = np.asarray(values, dtype=np.float64)
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers))) + 1
        raise wrong("finite numbers", f"{numbers[row - 1]} in row {row} of column {short(name)}")
    return from_texts(name, _written(numbers), reading) if name in reading.categorical else numbers


def _written(numbers: np.ndarray) -> list[str]:
    """Numbers as names of categories: whole ones without a point."""
    return ["" if np.isnan(value) else f"{value:.17g}" for value in numbers]


def from_texts(name: str, texts: Sequence[str | None], reading: Reading) -> Any:
    """A column of strings as numbers where all of them are, else as strings.

    Args:
        name: of the column, for messages.
        texts: one for each row; None and the words of `MISSING` are missing.
        reading: says which columns are categories, and what the decimal sign is.

    Returns:
        float64 or objects, NaN where a value is missing.

    Raises:
        ArgumentError: for a column of numbers with other words among them, and for infinities.
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
            came = f"{short(words[row - 1])} in row {row} of column {short(name)}, the first of {int(bad.sum())}"
            advice = "Correct it, leave the column out with `drop`, or treat it as categorical with `categorical`."
            raise wrong("numbers among numbers", came, advice)
    result = np.array([_BOOLEANS.get(low, word) for low, word in zip(lowered, words, strict=True)], dtype=object)
    result[missing] = np.nan
    return result


def _parsed(words: np.ndarray, missing: np.ndarray, decimal: str) -> np.ndarray:
    """Numbers, NaN where a word is none."""
    if decimal == ",":
        words = np.array([word.replace(".", "").replace(",", ".") for word in words], dtype=object)
    numbers: Any = pd.to_numeric(pd.Series(np.where(missing, "", words), dtype=object), errors="coerce")
    return numbers.to_numpy(dtype=np.float64)


def framed(columns: dict[str, Any]) -> pd.DataFrame:
    """A frame of float64 and object columns; objects stay objects."""
    parts = [pd.Series(values, name=name, dtype=values.dtype) for name, values in columns.items()]
    return pd.concat(parts, axis=1)
