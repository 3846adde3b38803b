"""Dates in texts: one format for a whole column."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

_MAYBE = re.compile(r"[^\d]*\d{1,4}[-/. ,]+\w{1,9}|[A-Za-z]{3,9}\.?[ -]\d{1,4}")
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%Y", "%m/%d/%Y",
         "%d/%m/%y", "%m/%d/%y", "%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y",
         "%d-%b-%y", "%d-%B-%Y", "%a, %d %b %Y")  # fmt: skip
_TIMES = ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", " %H:%M:%S.%f", "T%H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_ZONES = ("", "%z", " %z", " UTC", " GMT")
_MONTHS = ("%Y-%m", "%Y/%m", "%b %Y", "%B %Y", "%b-%Y", "%m/%Y")
_SWAPPED = {"dmy": ("%d/%m", "%d-%m"), "mdy": ("%m/%d", "%m-%d")}
_SAMPLE = 60
_LIKELY, _MOST = 0.9, 0.5
_SHORT_YEAR = re.compile(r"\d\d[./]\d\d[./]\d\d\b.*")  # 1.2.3 is a version and no date


@dataclass(frozen=True)
class ReadDates:
    """A column of dates.

    Args:
        values: datetime64; NaT for words in another format.
        how: the format that most words have.
        swapped: whether day and month could be exchanged.
        several: whether the other words are dates in other formats.
    """

    values: np.ndarray
    how: str
    swapped: bool
    several: bool


def _parsed(words: Any, how: str) -> Any:
    found: Any = pd.to_datetime(pd.Series(words, dtype=object), format=how, errors="coerce", utc=True)
    return found.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _share(words: list[str], how: str) -> float:
    return float(np.mean(~np.isnat(_parsed(words, how))))


def _formats(sample: list[str]) -> tuple[list[str], bool]:
    """Formats that most words of a sample have, or the most frequent one of several."""
    timed = any(":" in word for word in sample)
    endings = [time + zone for time in _TIMES if bool(time) for zone in _ZONES] if timed else [""]
    every = [day + end for day in _DAYS for end in endings] + ([] if timed else list(_MONTHS))
    likely = [how for how in every if _share(sample[:6], how) > _MOST]
    short = all(_SHORT_YEAR.fullmatch(word) for word in sample)
    likely = [how for how in likely if short or not how.startswith(("%d.%m.%y", "%d/%m/%y", "%m/%d/%y"))]
    good = [how for how in likely if _share(sample, how) >= _LIKELY]
    if good or len(likely := [how for how in every if _share(sample, how) > 0]) < 2:
        return good, False
    dated: Any = np.any([~np.isnat(_parsed(sample, how)) for how in likely], axis=0)
    best = max(likely, key=lambda how: _share(sample, how))
    return [best] if np.mean(dated) >= _LIKELY else [], True


def dates_of(words: list[str], order: str | None) -> ReadDates | None:
    """Reads a column of dates.

    Args:
        words: the words, without missing ones.
        order: `"dmy"`, `"mdy"` or None to detect it.

    Returns:
        The dates; None if most words are no dates.
    """
    sample = words[:: max(1, len(words) // _SAMPLE)][:_SAMPLE]
    if sum(_MAYBE.match(word) is not None and len(word) <= 40 for word in sample) < _LIKELY * len(sample):
        return None
    found, several = _formats(sample)
    if not found:
        return None
    if order is not None:
        other = _SWAPPED["mdy" if order == "dmy" else "dmy"]
        found = [how for how in found if not how.startswith(other)] or found
    read = [(how, _parsed(words, how)) for how in found]
    read.sort(key=lambda pair: -int(np.sum(~np.isnat(pair[1]))))
    how, values = read[0]
    full = [other for other in read[1:] if np.sum(np.isnat(other[1])) == np.sum(np.isnat(values))]
    swapped = [
        other for other in full if not np.array_equal(other[1], values, equal_nan=True) and _exchanged(how, other[0])
    ]
    return ReadDates(values, how, bool(swapped), several)


def _exchanged(first: str, second: str) -> bool:
    starts = (*_SWAPPED["dmy"], *_SWAPPED["mdy"])
    return first.startswith(starts) and second.startswith(starts)
