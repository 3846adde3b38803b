"""The kind of each column: numbers, categories, booleans, dates, or text, and the words that mean a missing value.

The empty cell and a few signs are missing values everywhere. Words such as `None` and `NA` may also be categories, so they
are missing values only in a column whose other words are numbers, dates or booleans.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from taylornets import _checks
from taylornets._checks import short
from taylornets.datafiles._dates import ReadDates, dates_of
from taylornets.datafiles._numbers import (
    CURRENCY,
    ReadNumbers,
    Style,
    described,
    digits_are_names,
    plain,
    points_are_unclear,
    same_units,
    written,
)
from taylornets.datafiles._remarks import on_categories, remarks, unread
from taylornets.datafiles._table import Column, ColumnInfo, Reading, wrong
from taylornets.datafiles._times import DAYS, times
from taylornets.datafiles._words import Texts, Words, info_of, unfit

_BOOLEANS = {"true": "true", "false": "false"}
_MOSTLY = 0.5  # above this fraction of numbers, strings in a column are treated as errors, not as categories
_MIXED = 0.9  # above this fraction of numbers with a decimal comma or a decimal point, a column has both
_CLASSES = 3  # words such as <5, 5 and >5 are categories if at least a third of all words would equal another one
_IDENTIFIER = re.compile(r"(?:.*[\W_])?(?:id|uuid|guid)|.*[a-z](?:Id|ID)", re.IGNORECASE)
_IDENTIFIER_CAMEL = re.compile(r"[A-Za-z0-9]*[a-z](?:Id|ID)")


def from_texts(  # noqa: PLR0911  # one return per kind
    name: str, texts: Texts, reading: Reading, commas: bool | None = None
) -> Column:
    """Infers the kind of a column of strings and converts it.

    Args:
        name: the column.
        texts: one string or None per row.
        reading: reading options.
        commas: whether other columns of the file have decimal commas; None where it is unknown, False where commas separate
            the columns and points are decimal.

    Returns:
        float64, datetime64 or objects; missing values are NaN or NaT. Words that do not fit are errors of the column.
    """
    words = Words(texts)
    recipe = dict(reading.recipes).get(name)
    if name in reading.categorical or recipe in ("text", "boolean"):
        return _category(name, words, reading, "")
    missing = words.missing(reading, among_values=True)
    rest = [word for word, gone in zip(words.unique, missing, strict=True) if not gone]
    weights = words.counts[~missing]
    if not rest:
        return Column(np.full(len(words.codes), np.nan), info_of(name, "empty", words, missing))
    forced = name in reading.numeric or Style.of(recipe or "") is not None
    if not forced and all(word.lower() in _BOOLEANS for word in rest):
        return _boolean(name, words, missing)
    names = "" if forced else digits_are_names(rest)
    numbers, unclear = (None, False) if names else _numbers(rest, weights, reading, Style.of(recipe or ""), commas)
    if numbers is None and forced:
        numbers = written(rest, reading.decimal or ".")
    if numbers is not None:
        return _numeric(name, words, missing, numbers, reading, unclear)
    if not names and recipe in (None, "date"):
        found = dates_of(rest, reading.dates)
        if found is not None and (found.several or np.sum(weights[~np.isnat(found.values)]) > _MOSTLY * weights.sum()):
            return _dated(name, words, missing, found)
    if recipe == "date":
        error = unfit(name, words, missing, np.zeros(len(rest), bool), f"dates in column {name!r}, as during fitting")
        return Column(
            np.full(len(words.codes), np.datetime64("NaT", "us")), info_of(name, "date", words, missing), (error,)
        )
    return _category(name, words, reading, f"text, because of {names}" if names else "")


# --- Numbers -------------------------------------------------------------------------------------------------------


def _numbers(  # noqa: PLR0911  # one return per way of writing
    rest: list[str], weights: np.ndarray, reading: Reading, known: Style | None, commas: bool | None
) -> tuple[ReadNumbers | None, bool]:
    """Returns the words as numbers, if most of them are, and whether decimal and group separators could be exchanged."""

    def share(found: ReadNumbers) -> float:
        return float(weights[~np.isnan(found.values)].sum() / weights.sum())

    if reading.decimal != "," and (known is None or known.decimal == "."):
        values = plain(rest)
        if not np.isnan(values).any():
            found = ReadNumbers(values, Style())
            detected = known is None and reading.decimal is None
            return found, detected and commas is not False and points_are_unclear(rest, bool(commas))
    hours = None if known is not None and known.unit in DAYS else times(rest)
    if hours is not None and share(hours) > _MOSTLY:
        return hours, False
    if known is not None and known.decimal in ".," and reading.decimal is None:
        found = written(rest, known.decimal)
        if share(found) == 1:
            return found, False
    both = [written(rest, decimal) for decimal in ".,"]
    if reading.decimal is not None:
        both = both if reading.decimal == "." else both[::-1]
        chosen = both[0]
        if share(chosen) <= _MOSTLY < share(both[1]) or 2 * share(chosen) < share(both[1]):
            return both[1], True
    else:
        chosen = both[1] if share(both[1]) > share(both[0]) else both[0]
    either = float(weights[~np.isnan(both[0].values) | ~np.isnan(both[1].values)].sum() / weights.sum())
    if share(chosen) <= _MOSTLY and either <= _MIXED:
        return None, False
    several = len(chosen.units - {""}) > 1 and not all(re.fullmatch(f"{CURRENCY}|", unit) for unit in chosen.units)
    if several or (not same_units(chosen) and share(chosen) < 1) or _CLASSES * len(chosen.merged) >= len(rest):
        return None, False
    same = share(both[0]) == share(both[1]) == 1 and chosen.unclear
    return chosen, reading.decimal is None and same and commas is not False


def _numeric(
    name: str, words: Words, missing: np.ndarray, numbers: ReadNumbers, reading: Reading, unclear: bool
) -> Column:
    """Builds a column of numbers; words that are none, several units and unclear separators are errors."""
    by_word = np.full(len(words.unique), np.nan)
    by_word[~missing] = numbers.values
    how = described(numbers)
    errors: list[_checks.ArgumentError] = []
    if unclear:
        errors.append(_separator_error(name, words, missing, numbers, reading))
    elif np.isnan(numbers.values).any():
        expected = "only numbers in a numeric column"
        if Style.of(dict(reading.recipes).get(name, "")) is not None:
            expected = f"numbers in column {name!r}, as during fitting"
        errors.append(unfit(name, words, missing, ~np.isnan(numbers.values), expected))
    elif not same_units(numbers):
        units = ", ".join(repr(unit) if unit else "none" for unit in sorted(numbers.units))
        advice = (
            f"Convert them in the file. Exclude it with `drop=({name!r},)`. Treat it as categorical with `categorical`."
        )
        errors.append(wrong("one unit in a column", f"{units} in column {short(name)}", advice, (("drop", name),)))
    infinite = [words.unique[place] for place in np.flatnonzero(np.isinf(by_word))]
    column = from_numbers(name, words.spread(by_word), reading, infinite)
    if column.values.dtype == object:
        return column
    notes = column.info.notes
    if numbers.relations:
        notes += (f"Words of column {name!r} such as '<5' are read as the number after the sign.",)
    if numbers.merged:
        notes += (
            f"{_checks.counted(len(numbers.merged), 'word')} of column {name!r}, such as {short(numbers.merged[0])}, gave the "
            f"same number as another word without this sign. To keep them apart, use `categorical=({name!r},)`.",
        )
    taken = words.taken(missing)
    return Column(column.values, replace(column.info, how=how, recipe=numbers.style.recipe, words=taken, notes=notes),
                  (*errors, *column.errors))  # fmt: skip


def _separator_error(
    name: str, words: Words, missing: np.ndarray, numbers: ReadNumbers, reading: Reading
) -> _checks.ArgumentError:
    first = next(
        word for word, gone in zip(words.unique, missing, strict=True) if not gone and ("," in word or "." in word)
    )
    if reading.decimal is not None:
        sign = "comma" if numbers.style.decimal == "," else "point"
        expected = f"numbers with the decimal separator {reading.decimal!r}"
        advice = (
            "Omit `decimal`, which is detected for each column. Treat the column as categorical with `categorical`."
        )
        got = f"{short(first)} in column {short(name)}, with a decimal {sign}"
        return wrong(expected, got, advice, (("decimal", None),))
    expected = "a separator that is clearly decimal, or clearly separates groups of three digits"
    advice = "Specify the decimal separator with `decimal=','` or `decimal='.'`."
    return wrong(expected, f"{short(first)} in column {short(name)}", advice, (("decimal", ","),))


def from_numbers(name: str, values: Any, reading: Reading, infinite: Sequence[str] = ()) -> Column:
    """Describes a numeric column, or converts it to strings if it is categorical.

    Infinities are one error, which quotes the words of a text file in `infinite`.
    """
    numbers = np.array(values, dtype=np.float64)
    for word in reading.missing:
        number = plain([word.strip()])[0] if word.strip() else np.nan
        if not np.isnan(number):
            numbers[numbers == number] = np.nan
    if name in reading.categorical or dict(reading.recipes).get(name) in ("text", "boolean"):
        return _category(name, Words(_labels(numbers)), reading, "numbers, as categories")
    gone = int(np.isnan(numbers).sum())
    whole = bool(np.all(np.isnan(numbers) | (numbers == np.round(numbers))))
    kind = "empty" if gone == len(numbers) else "whole number" if whole else "number"
    if kind == "whole number" and not gone and name not in reading.numeric and is_identifier(name, numbers):
        kind = "identifier"
    errors = (_infinite(name, numbers, infinite),) if np.isinf(numbers).any() else ()
    notes = () if dict(reading.recipes).get(name) else remarks(name, numbers)
    return Column(numbers, ColumnInfo(name, kind, gone, recipe="number", notes=notes), errors)


def _infinite(name: str, numbers: np.ndarray, words: Sequence[str]) -> _checks.ArgumentError:
    """The error for all infinite numbers of a column, as they are written."""
    row = int(np.argmax(np.isinf(numbers))) + 1
    words = words or list(dict.fromkeys(map(str, numbers[np.isinf(numbers)])))
    got = f"{numbers[row - 1]} in row {row} of column {short(name)}"
    got += f", written {', '.join(map(short, words[:4]))}" if list(words) != [str(numbers[row - 1])] else ""
    options = " and ".join(f"`missing=({word!r},)`" for word in words[:4])
    advice = f"If {'they mean missing values' if words[1:] else 'it means a missing value'}, use {options}."
    mends = tuple(("missing", word) for word in words)
    return wrong("finite numbers", got, f"{advice} Exclude the column with `drop=({name!r},)`.", mends)


def is_identifier(name: str, numbers: np.ndarray) -> bool:
    """Whether whole numbers identify rows: all differ, and the name says so."""
    named = (
        _IDENTIFIER.fullmatch(name)
        if name.islower() or name.isupper() or "_" in name
        else _IDENTIFIER_CAMEL.fullmatch(name)
    )
    return (named is not None or name in ("Id", "ID")) and len(np.unique(numbers)) == len(numbers) > 1


def _labels(numbers: np.ndarray) -> list[str]:
    """Formats numbers as category names; integers without a decimal point."""
    return ["" if np.isnan(value) else f"{value:.17g}" for value in numbers]


# --- Booleans, dates, categories -------------------------------------------------------------------------------------


def _boolean(name: str, words: Words, missing: np.ndarray) -> Column:
    by_word = np.array([_BOOLEANS.get(low, np.nan) for low in words.lowered], dtype=object)
    by_word[missing] = np.nan
    return Column(words.spread(by_word), info_of(name, "boolean", words, missing, recipe="boolean"))


def _dated(name: str, words: Words, missing: np.ndarray, found: ReadDates) -> Column:
    by_word = np.full(len(words.unique), np.datetime64("NaT", "us"))
    by_word[~missing] = found.values
    errors: list[_checks.ArgumentError] = []
    if found.swapped:
        first = next(word for word, gone in zip(words.unique, missing, strict=True) if not gone)
        advice = "Specify it with `dates='dmy'` or `dates='mdy'`."
        got = f"{short(first)} in column {short(name)}, in which both fit every row"
        errors.append(wrong("dates with a clear order of day and month", got, advice, (("dates", "dmy"),)))
    if np.isnat(found.values).any():
        errors.append(unfit(name, words, missing, ~np.isnat(found.values), "only dates in a column of dates"))
    info = info_of(name, "date", words, missing, how=found.how, recipe="date")
    return Column(words.spread(by_word), info, tuple(errors))


def from_dates(name: str, values: Any, reading: Reading) -> Column:
    """Describes a column of dates, datetime64 in microseconds, or converts it to strings if it is categorical."""
    gone = np.isnat(values)
    if name in reading.categorical or dict(reading.recipes).get(name) == "text":
        texts = np.where(gone, "", np.datetime_as_string(values, unit="s"))
        short_form = [text.removesuffix("T00:00:00") for text in texts]
        return _category(name, Words(short_form), reading, "dates, as categories")
    return Column(values, ColumnInfo(name, "empty" if gone.all() else "date", int(gone.sum()), recipe="date"))


def _category(name: str, words: Words, reading: Reading, how: str) -> Column:
    """Builds a column of strings; a column whose words differ in most rows is text or an identifier."""
    missing = words.missing(reading, among_values=False)
    recipe = dict(reading.recipes).get(name)
    by_word = np.array(words.unique, dtype=object)
    truth = all(low in _BOOLEANS for low, gone in zip(words.lowered, missing, strict=True) if not gone)
    if truth or recipe == "boolean":
        by_word = np.array(
            [_BOOLEANS.get(low, word) for low, word in zip(words.lowered, words.unique, strict=True)], object
        )
    by_word[missing] = np.nan
    distinct, filled = int((~missing).sum()), int(words.counts[~missing].sum())
    kind = "category"
    if not filled:
        kind = "empty"
    elif distinct > _MOSTLY * filled and name not in reading.categorical and recipe is None:
        kind = "text" if sum(" " in word for word in words.unique) > distinct / 2 else "identifier"
    notes: tuple[str, ...] = ()
    if recipe is None and not truth:
        present = [(word, int(words.counts[i])) for i, word in enumerate(words.unique) if not missing[i]]
        notes = on_categories(name, present) if kind == "category" else ()
        notes += (
            unread(name, [word for word, _ in present])
            if present and not how and name not in reading.categorical
            else ()
        )
    values = words.spread(by_word)
    return Column(values, info_of(name, kind, words, missing, how=how, recipe="text", notes=notes))
