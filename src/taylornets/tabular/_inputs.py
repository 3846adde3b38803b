"""Input columns: which columns of a table are used, which are left out and why, and the features of dates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks
from taylornets.datafiles import ColumnInfo, DataTable
from taylornets.tabular._targets import HUGE, worded

_EPOCH = np.datetime64("2000-01-01", "us")
_DAY = np.timedelta64(1, "D")
_LEFT_OUT = {
    "index": "an index that was saved with the table",
    "identifier": "distinct in most rows",
    "text": "text, distinct in most rows",
    "empty": "empty",
}


@dataclass(frozen=True)
class PlanRow:
    """A row of the inferred table.

    Args:
        column: the column.
        kind: its kind.
        missing: fraction of missing values.
        read: how it was read; empty if its values were taken as they are.
        done: what is done with it.
    """

    column: str
    kind: str
    missing: float
    read: str
    done: str


def kind_of(info: ColumnInfo, column: Any) -> str:
    """The kind of a column among the rows with a target: constant columns are recognized here."""
    if info.kind in ("index", "empty"):
        return info.kind
    distinct = column.nunique(dropna=True)
    if not distinct:
        return "empty"
    return "constant" if distinct == 1 and column.notna().all() else info.kind


def used_inputs(
    table: DataTable, rows: Any, target: str, kept: tuple[str, ...], group: str | None = None
) -> tuple[list[str], list[PlanRow]]:
    """Decides which columns are inputs.

    Args:
        table: the table.
        rows: its frame without rows that lack a target.
        target: the target column.
        kept: columns that the user asked to keep, whatever their kind.
        group: column whose groups are kept together; it is not an input.

    Returns:
        The names of the inputs, and the inferred table in the order of the file.
    """
    used: list[str] = []
    plan: list[PlanRow] = []
    for info in table.infos:
        name, share = info.name, info.missing / len(table.frame)
        kind = info.kind if name == target else kind_of(info, rows[name])
        read = "; ".join(filter(None, [info.how, _missing_words(info)]))
        if name == target:
            done = "target"
        elif name == group:
            done = "groups of the split"
        elif name in table.outcomes:
            done = "left out: another outcome"
        elif kind == "constant":
            done = f"left out: constant value {worded(rows[name].iloc[0])}"
        elif kind in _LEFT_OUT and (name not in kept or kind in ("empty", "index")):
            done = f"left out: {_LEFT_OUT[kind]}"
        else:
            used.append(name)
            done = {"date": "year, month, weekday, days"}.get(
                kind, "standardized" if rows[name].dtype != object else "one-hot"
            )
        plan.append(PlanRow(name, kind, share, read, done))
    return used, plan


def _missing_words(info: ColumnInfo) -> str:
    words = [f"{word!r} ({count:,})" for word, count in info.words[:3]]
    return f"missing: {', '.join(words)}" + (" and others" if info.words[3:] else "") if words else ""


def check_inputs(inputs: Any, others: list[str]) -> list[_checks.ArgumentError]:
    """Returns the defects of the input columns."""
    if not len(inputs.columns):
        got = "none" + (f"; columns left out: {', '.join(map(repr, others[:3]))}" if others else "")
        advice = f"Keep such a column with `categorical=({others[0]!r},)`." if others else "Add input columns."
        mends = (("categorical", others[0]),) if others else ()
        return [_checks.ArgumentError("data", "columns other than the target", got, advice, mends)]
    errors: list[_checks.ArgumentError] = []
    for name in inputs.columns:
        column: Any = inputs[name]
        if column.dtype == np.float64 and column[np.isfinite(column)].abs().max() > HUGE:
            advice = f"Exclude it with `drop=({name!r},)`."
            got = f"{column.abs().max():g} in {name!r}"
            errors.append(
                _checks.ArgumentError("data", f"numbers of magnitude ≤ {HUGE:g}", got, advice, (("drop", name),))
            )
    return errors


def expanded(inputs: pd.DataFrame) -> pd.DataFrame:
    """Replaces each column of dates by its features: year, month, weekday (Monday is 0), hour, and days since 2000.

    Args:
        inputs: columns of numbers, strings and dates.

    Returns:
        Columns of numbers and strings.
    """
    found: dict[str, Any] = {}
    for name in inputs.columns:
        column: Any = inputs[name]
        if column.dtype.kind != "M":
            found[str(name)] = column
            continue
        values = column.to_numpy()
        parts = {"year": column.dt.year, "month": column.dt.month, "weekday": column.dt.day_of_week}
        hours = (values - values.astype("datetime64[D]")) / np.timedelta64(1, "h")
        days = (values - _EPOCH) / _DAY
        for part, feature in (parts | {"hour": hours, "days": days}).items():
            found[f"{name} ({part})"] = pd.Series(np.asarray(feature, np.float64), index=inputs.index)
    return pd.DataFrame(found, index=inputs.index)
