"""Targets: the task, class labels, and rare classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets import _checks
from taylornets._measures import guessed_task

RARE = ("drop", "merge")
RARE_CLASS = "(rare)"
_LEAST_OF_CLASS, _MOST_CLASSES = 3, 100
HUGE = 1e100  # squares of larger numbers overflow float64


@dataclass(frozen=True)
class Targets:
    """Targets of a table.

    Args:
        task: `"classification"` or `"regression"`.
        reason: why this task was chosen, for the report.
        y: float64, or strings for classes.
        kept: mask of the rows that are used.
        note: what was done with rare classes; empty if there are none.
    """

    task: str
    reason: str
    y: np.ndarray
    kept: np.ndarray
    note: str = ""


def targets_of(values: np.ndarray, name: str, task: str, rare: str | None) -> Targets:
    """Chooses the task and prepares the targets.

    Args:
        values: the target column without missing values.
        name: the column.
        task: `"auto"`, `"classification"` or `"regression"`. With `"auto"`, numbers with a rare value define a regression.
        rare: what is done with classes of fewer than 3 rows: `"drop"`, `"merge"`, or None to reject them.

    Raises:
        ArgumentError: for targets that do not suit the task.
    """
    if values.dtype.kind == "M":
        advice = f"Treat it as categorical with `categorical=({name!r},)`, or choose another target."
        raise _checks.ArgumentError("target", "a column of numbers or classes", f"{name!r}, a column of dates", advice)
    texts = values.dtype == object
    distinct = np.unique(values.astype(str) if texts else values)
    if len(distinct) < 2:
        raise _checks.ArgumentError(
            "target", "a column with at least two distinct values", f"{name!r}, always {worded(distinct[0])}"
        )
    whole = not texts and bool(np.all(values == np.round(values)))
    kind = "strings" if texts else "integers" if whole else "numbers"
    reason = "as requested" if task != "auto" else f"the column contains {len(distinct):,} distinct {kind}"
    if task == "auto":
        task = guessed_task(values)
        if task == "classification" and not texts and rare is None:
            least = int(np.unique(values, return_counts=True)[1].min())
            if least < _LEAST_OF_CLASS:
                task, reason = "regression", f"{reason}, one of them in {least} {'row' if least == 1 else 'rows'} only"
    if task == "regression":
        return _numbers(values, name, reason, texts)
    if not texts and not whole:
        expected, got = "'regression' for a non-integer target", "'classification'"
        raise _checks.ArgumentError("task", expected, got, "Omit `task`.", (("task", None),))
    return _classes(labels_of(values), name, reason, rare, texts)


def _numbers(values: np.ndarray, name: str, reason: str, texts: bool) -> Targets:
    if texts:
        got, mends = "'regression'", (("task", None),)
        advice = f"Omit `task`. If its strings represent numbers, use `numeric=({name!r},)`."
        raise _checks.ArgumentError("task", "'classification' for a string target", got, advice, mends)
    if np.abs(values).max() > HUGE:
        expected, got = f"numbers of magnitude ≤ {HUGE:g}", f"{np.abs(values).max():g}"
        raise _checks.ArgumentError("target", expected, got, "Rescale it in the file.")
    return Targets("regression", reason, values, np.ones(len(values), bool))


def _classes(labels: np.ndarray, name: str, reason: str, rare: str | None, texts: bool) -> Targets:
    """Applies the rule for rare classes."""
    classes, counts = np.unique(labels, return_counts=True)
    few = classes[counts < _LEAST_OF_CLASS]
    most = min(_MOST_CLASSES, len(labels) // _LEAST_OF_CLASS)
    other = "Choose another target." if texts else "Choose another target, or use `task='regression'`."
    if len(classes) - (len(few) if rare else 0) > most:
        expected = f"at most {most} classes for {len(labels)} rows"
        mends = () if texts else (("task", "regression"),)
        raise _checks.ArgumentError("target", expected, f"{len(classes)} classes in {name!r}", other, mends)
    if not len(few):
        return Targets("classification", reason, labels, np.ones(len(labels), bool))
    rows = int(counts[counts < _LEAST_OF_CLASS].sum())
    large = len(classes) - len(few)
    if large < 2 and (rare == "drop" or large + (rows >= _LEAST_OF_CLASS) < 2):
        got = f"{name!r}, in which {large or 'no'} {'class has' if large == 1 else 'classes have'} as many"
        raise _checks.ArgumentError("target", f"two classes with at least {_LEAST_OF_CLASS} rows", got, other)
    if reason != "as requested":
        reason += f", {large:,} of them in at least {_LEAST_OF_CLASS} rows"
    if rare is None:
        first = classes[np.argmin(counts)]
        got = f"{_checks.counted(int(counts.min()), 'row')} of {str(first)!r}"
        got += f", and {_checks.counted(len(few) - 1, 'more rare class')}" if len(few) > 1 else ""
        advice = (
            "Exclude the rows of rare classes with `rare='drop'`, or merge them into one class with `rare='merge'`."
            if large > 1
            else "Merge rare classes into one with `rare='merge'`."
        )
        advice += "" if texts else " Or use `task='regression'`."
        expected = f"at least {_LEAST_OF_CLASS} rows of every class"
        raise _checks.ArgumentError("target", expected, got, advice, (("rare", "drop" if large > 1 else "merge"),))
    plural = "class" if len(few) == 1 else "classes"
    rare_rows = np.isin(labels, few)
    if rare == "merge":
        if rows < _LEAST_OF_CLASS:
            got = f"{rows} {'row' if rows == 1 else 'rows'} of {len(few)} rare {plural} together"
            advice = "Exclude such rows with `rare='drop'`."
            raise _checks.ArgumentError(
                "rare", f"at least {_LEAST_OF_CLASS} rows to merge", got, advice, (("rare", "drop"),)
            )
        verb = "was" if len(few) == 1 else "were"
        note = f"{len(few):,} rare {plural} ({rows:,} rows) {verb} merged into the class {RARE_CLASS!r}."
        merged: Any = labels.astype(object)
        merged[rare_rows] = RARE_CLASS
        return Targets("classification", reason, merged.astype(str), np.ones(len(labels), bool), note)
    note = f"{_checks.counted(rows, 'row')} of {len(few):,} rare {plural} {'was' if rows == 1 else 'were'} excluded."
    return Targets("classification", reason, labels[~rare_rows], ~rare_rows, note)


def worded(value: Any) -> str:
    """Formats a value of a column for a sentence; whole numbers without a decimal point."""
    if isinstance(value, float | np.floating):
        return f"{value:.0f}" if value == np.round(value) and abs(value) < 1e16 else f"{value:g}"
    return str(value)


def labels_of(values: np.ndarray) -> np.ndarray:
    """Formats classes as strings; integers without a decimal point."""
    if values.dtype == object:
        return values.astype(str)
    return np.array([f"{value:.0f}" if value == np.round(value) else str(value) for value in values])
