"""Times of day and durations as hours, by the same arithmetic for text and for typed columns."""

import re
from typing import Any

import numpy as np

from taylornets.datafiles._numbers import SIGNS, ReadNumbers, Style

DAYS = ("day", "days")  # a number with this unit is a duration
_CLOCK = r"(?P<hours>\d{1,3}):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d)(?:\.(?P<part>\d{1,9}))?)?"
_TIME = re.compile(rf"(?P<sign>[+-])?{_CLOCK}(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?")
_DURATION = re.compile(rf"(?P<sign>[+-])?(?P<days>\d{{1,6}}) days?(?:,? (?P<within>[+-])?{_CLOCK})?")  # of pandas
_FRENCH = re.compile(r"(?P<sign>[+-])?(?P<hours>[01]?\d|2[0-4]) ?h(?: ?(?P<minutes>[0-5]\d))?")


def hours_of(values: Any, unit: str) -> np.ndarray:
    """Converts integers in a unit of time to hours.

    Args:
        values: integers, shape `(rows,)`.
        unit: `"s"`, `"ms"`, `"us"` or `"ns"`.

    Returns:
        Hours, float64. Whole microseconds are exact up to one rounding of each division.
    """
    whole = np.asarray(values, np.int64)
    if unit == "ns":
        return _hours(*np.divmod(whole, 1000), 10**6)
    return _hours(whole, np.zeros_like(whole), {"s": 1, "ms": 1000, "us": 10**6}[unit])


def _hours(whole: np.ndarray, thousandths: np.ndarray, per_second: int) -> np.ndarray:
    return (whole + thousandths / 1000) / per_second / 3600


def times(words: list[str]) -> ReadNumbers:
    """Reads times and durations such as `12:30`, `1:30 PM`, `12h30` or `1 days 02:33:00.5` as hours; NaN elsewhere."""
    values = np.full(len(words), np.nan)
    places: list[int] = []
    parts: list[tuple[int, int]] = []
    for place, word in enumerate(words):
        text = word.translate(SIGNS) if len(word) <= 40 else ""
        found = _TIME.fullmatch(text) or _DURATION.fullmatch(text) or _FRENCH.fullmatch(text)
        nanoseconds = None if found is None else _nanoseconds(found.groupdict())
        if nanoseconds is not None:
            places.append(place)
            parts.append(divmod(nanoseconds, 1000))
    if parts:
        whole, thousandths = np.array(parts, np.int64).T
        values[places] = _hours(whole, thousandths, 10**6)
    return ReadNumbers(values, Style(":"))


def _nanoseconds(found: dict[str, str | None]) -> int | None:
    """The length of a time in nanoseconds; None for an hour that a clock of twelve hours lacks."""
    hours, half = int(found["hours"] or 0), found.get("half")
    if half is not None:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + 12 * (half in "Pp")
    seconds = 3600 * hours + 60 * int(found["minutes"] or 0) + int(found.get("seconds") or 0)
    clock = 10**9 * seconds + int((found.get("part") or "").ljust(9, "0"))
    days = 86_400 * 10**9 * int(found.get("days") or 0)
    if found.get("within") is not None:  # pandas writes minus two hours as "-1 days +22:00:00"
        days = -days if found["sign"] == "-" else days
        return days + (-clock if found["within"] == "-" else clock)
    return -(days + clock) if found["sign"] == "-" else days + clock
