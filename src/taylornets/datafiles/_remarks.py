"""Sentences about columns whose values could mean something else than what is read."""

import re
from typing import Any

import numpy as np
import pandas as pd

from taylornets._checks import counted, short
from taylornets.datafiles._numbers import CURRENCY, SIGNS
from taylornets.datafiles._words import MAYBE

_NUMBER = r"[+-]?(?:0|[1-9]\d*)(?:[.,'\u202f ]\d+)*"
_MEASURED = re.compile(
    rf"[<>≤≥~≈]?=?\s*(?:{CURRENCY})?\s*{_NUMBER}(?:\s*(?:±|\+/?-|[-/:x×]|to|bis)\s*{_NUMBER})?"
    r"\s*(?P<unit>[^\W\d_]{1,12}(?:/[^\W\d_]{1,4})?|[%‰]|[°'\"′″]\w?|h ?\d{1,2} ?m(?:in)?)?"
)
_VERSION = re.compile(r"\d+(?:\.\d+){2,}|\d+(?: \d+){2,}")  # also addresses of computers, and telephone numbers
_YEAR = r"(?:1[5-9]|2[01])\d\d"
_CLOCK = r"(?:[T ,]+\d{1,2}[:h.]\d\d.*)?"
_MONTH = r"[^\W\d_]{3,12}\.?"
_DATED = re.compile(
    rf"{_YEAR}[-/. ]*[QWHSTKqwhstk]\d{{1,2}}|[QWHSTKqwhstk]\d{{1,2}}[-/. ,]*{_YEAR}"  # quarters, weeks, halves of years
    rf"|(?:{_MONTH},? +)?\d{{1,2}}(?:\.|st|nd|rd|th|er)?[ -]*(?:de +)?{_MONTH},?[ -]+(?:de +)?{_YEAR}{_CLOCK}"
    rf"|(?:{_MONTH},? +)?{_MONTH} +\d{{1,2}}(?:st|nd|rd|th)?,? +{_YEAR}{_CLOCK}"
    rf"|{_YEAR}([-/.])[01]?\d\1[0-3]?\d{_CLOCK}|[0-3]?\d([-/.])[0-3]?\d\2{_YEAR}{_CLOCK}"
)
_FEW, _SAMPLE = 3, 200  # distinct values of a column with remarks, and values that are tested
_CODES = (-9.0, -99.0, -999.0, -9999.0, -99999.0)
_FIRST_DAY, _LAST_DAY = 19000101, 20991231
_LIKELY, _UNITS, _LISTED = 0.9, 6, 3


def on_categories(name: str, words: list[tuple[str, int]]) -> tuple[str, ...]:
    """Sentences about categories that may mean a missing value, or that differ only in upper and lower case.

    Args:
        name: the column.
        words: its distinct words with their counts, without missing ones.
    """
    notes: list[str] = []
    doubtful = [(word, count) for word, count in words if word.lower() in MAYBE]
    if doubtful:
        listed = ", ".join(f"{short(word)} ({counted(count, 'row')})" for word, count in doubtful)
        notes.append(
            f"Column {name!r} keeps {listed} as a category. If it means a missing value, use "
            f"`missing=({doubtful[0][0]!r},)`."
        )
    cases: dict[str, list[str]] = {}
    for word, _ in words:
        cases.setdefault(word.casefold(), []).append(word)
    same = [found for found in cases.values() if found[1:]]
    if same:
        listed = "; ".join(" and ".join(map(short, found)) for found in same[:_LISTED]) + (
            "; ..." if same[_LISTED:] else ""
        )
        notes.append(
            f"Column {name!r} keeps words as separate categories that differ only in upper and lower case: {listed}. If they "
            "mean the same, write them alike in the file."
        )
    return tuple(notes)


def unread(name: str, words: list[str]) -> tuple[str, ...]:
    """A sentence about words that look like numbers or dates in a form that is not read; empty for other words.

    Args:
        name: the column.
        words: its distinct words, without missing ones.
    """
    if _most(words, _DATED):
        kind, advice = "dates", "If they are dates, write them in the file in one format, such as 2019-01-31."
    elif not any(map(_VERSION.fullmatch, words)) and _most(words, _MEASURED) and len(_units(words)) <= _UNITS:
        kind, advice = "numbers", "If they are quantities, write them in the file as numbers in one unit."
    else:
        return ()
    return (f"The words of column {name!r}, such as {short(words[0])}, are not read as {kind}. {advice}",)


def _most(words: list[str], pattern: re.Pattern[str]) -> bool:
    found = sum(len(word) <= 40 and pattern.fullmatch(word.translate(SIGNS)) is not None for word in words)
    return found > _LIKELY * len(words)


def _units(words: list[str]) -> set[str]:
    found = (_MEASURED.fullmatch(word.translate(SIGNS)) for word in words)
    return {re.sub(r"\d", "", match["unit"]) for match in found if match and match["unit"]}


def remarks(name: str, numbers: np.ndarray) -> tuple[str, ...]:
    """Sentences about numbers that often stand for something else: codes of missing values, and dates without separators."""
    values, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    notes: list[str] = []
    if len(values) > _FEW and values[0] in _CODES and values[1] >= 0 and counts[0] > 1:
        notes.append(
            f"Column {name!r} has {values[0]:.0f} in {counts[0]:,} rows, and no other negative number. If it means a missing "
            f"value, use `missing=('{values[0]:.0f}',)`."
        )
    if (
        len(values) > _FEW
        and values[0] >= _FIRST_DAY
        and values[-1] <= _LAST_DAY
        and np.all(values == np.round(values))
    ):
        words: Any = pd.Series([f"{value:.0f}" for value in values[:: max(1, len(values) // _SAMPLE)]])
        if pd.to_datetime(words, format="%Y%m%d", errors="coerce").notna().all():
            first = words.iloc[0]
            notes.append(
                f"The numbers of column {name!r}, such as {first}, look like dates, but are used as numbers. Written as "
                f"{first[:4]}-{first[4:6]}-{first[6:]} in the file, they are read as dates."
            )
    return tuple(notes)
