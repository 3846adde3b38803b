"""Names of columns: distinct ones, columns without a name, and columns that are an index saved with the table."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks
from taylornets._checks import short
from taylornets.datafiles._table import LIMITS, Column, Reading, check_size, wrong

_UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)*|__index_level_\d+__|rownames|row\.names)?")  # `.1` if saved twice
_COUNTERS = re.compile(r"index|X|level_\d+")  # indices only if they count the rows
_LISTED = 4


@dataclass(frozen=True)
class Names:
    """The columns of a file.

    Args:
        every: distinct names of all columns, in the order of the file.
        kept: those that are not dropped.
        notes: full sentences about columns without a name.
        errors: pairs of a name that occurs several times and the error.
    """

    every: list[str]
    kept: list[str]
    notes: tuple[str, ...]
    errors: tuple[tuple[str, _checks.ArgumentError], ...]


def names_of(given: Sequence[Any], reading: Reading) -> Names:
    """Validates column names, and applies `drop`.

    A column without a name, and the second one with the same name, are called as pandas calls them. That a name occurs twice
    is an error, unless all or all but one are dropped, or a model was fitted on the first.

    Args:
        given: column names as in the file.
        reading: reading options.

    Raises:
        ArgumentError: for invalid or too many names, or unknown names in `drop`, `categorical` and `numeric`.
    """
    check_size(len(given), LIMITS.columns, "columns")
    own = [str(name).strip() for name in given]
    for place, name in enumerate(own, 1):
        if "\0" in name or "\ufffd" in name:
            raise wrong("valid column names", f"{short(name)} for column {place}", "Rename it in the file.")
        if len(name) > LIMITS.line:
            raise wrong(f"column names of at most {LIMITS.line:,} characters", f"{len(name):,}")
    taken = set(own)
    seen: set[str] = set()
    every: list[str] = []
    for place, name in enumerate(own):
        found = name or f"Unnamed: {place}"
        if not name or name in seen:
            found = _free(found, taken)
            taken.add(found)
        seen.add(name)
        every.append(found)
    for argument, wanted in (
        ("drop", reading.drop),
        ("categorical", reading.categorical),
        ("numeric", reading.numeric),
    ):
        for name in wanted:
            if name not in every and reading.strict:
                _checks.choice(argument, name, every[:50])
    kept = [place for place, name in enumerate(every) if not {name, own[place]} & set(reading.drop)]
    if not kept:
        raise wrong("at least one column that is not dropped", f"none of {len(every)}")
    notes = [
        f"Column {place + 1} has no name and is called {every[place]!r}." for place in kept if place and not own[place]
    ]
    errors: list[tuple[str, _checks.ArgumentError]] = []
    for name in [name for name, count in Counter(own[place] for place in kept if own[place]).items() if count > 1]:
        copies = [place for place in kept if own[place] == name]
        if name in dict(reading.recipes):
            notes.append(f"{len(copies)} columns are called {name!r}; the model uses the first.")
        else:
            errors.append((every[copies[0]], _twice(name, {place + 1: every[place] for place in copies[1:]})))
    return Names(every, [every[place] for place in kept], tuple(notes), tuple(errors))


def _free(name: str, taken: set[str]) -> str:
    """The name, or the name with the first free number."""
    number = 1
    found = name
    while found in taken:
        found, number = f"{name}.{number}", number + 1
    return found


def _twice(name: str, again: dict[int, str]) -> _checks.ArgumentError:
    """The error for a name that occurs again in the columns of these numbers and own names."""
    listed = ", ".join(f"column {number}, called {short(own)}" for number, own in [*again.items()][:_LISTED])
    often = "twice" if len(again) == 1 else f"{len(again) + 1} times"
    got = f"{short(name)} {often} (again in {listed}{', ...' if len(again) > _LISTED else ''})"
    one, mends = next(iter(again.values())), tuple(("drop", own) for own in again.values())
    advice = f"Rename them in the file. Keep the first with `drop=({one!r},)`. Exclude all with `drop=({name!r},)`."
    return wrong("distinct column names", got, advice, mends)


def marked(columns: dict[str, Column], reading: Reading) -> dict[str, Column]:
    """Marks the columns that are an index saved with the table: without a name of their own, and different in each row.

    A table that was saved and read several times has several at its start.
    """
    found: dict[str, Column] = {}
    for name, column in columns.items():
        kept = name in (*reading.categorical, *reading.numeric) or name in dict(reading.recipes)
        index = not kept and column.info.kind != "empty" and _is_index(name, found.values(), column.values)
        found[name] = replace(column, info=replace(column.info, kind="index")) if index else column
    return found


def _is_index(name: str, before: Iterable[Column], values: Any) -> bool:
    series = pd.Series(values)
    if not (series.notna().all() and series.is_unique):
        return False
    first = all(column.info.kind == "index" for column in before)
    if _UNNAMED.fullmatch(name):
        return first or name.startswith("__index") or _counts_rows(values)
    return first and _COUNTERS.fullmatch(name) is not None and _counts_rows(np.sort(values) if [*before] else values)


def _counts_rows(values: Any) -> bool:
    """Whether the values count the rows, from 0 or 1."""
    if values.dtype.kind != "f" or not len(values) or values[0] not in (0, 1):
        return False
    return bool(np.all(np.diff(values) == 1))
