"""Learning problems from tables: target and task, input columns, and the split of the rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks
from taylornets._measures import TASKS, guessed_task
from taylornets.datafiles import DataTable, bundled

# Fractions of held-out rows: for selecting hyperparameters, and for the reported scores.
VALIDATION, TEST = 0.15, 0.15
_LEAST_ROWS, _LEAST_OF_CLASS, _MOST_CLASSES = 20, 3, 100
_HUGE = 1e100  # squares of larger numbers overflow float64


@dataclass(frozen=True)
class Split:
    """Row indices of the three parts, each in increasing order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class TableProblem:
    """A supervised learning problem on a table.

    Args:
        source: source of the table.
        target: name of the target column.
        task: `"classification"` or `"regression"`.
        reason: why this task was chosen, for the report.
        inputs: input columns, without rows with a missing target.
        y: targets, float64 or strings for classes.
        left_out: number of rows with a missing target.
        dropped: excluded columns without information.
        split: split of the rows.
        group: column whose groups are not split, or None.
        groups: its values, or None.
    """

    source: str
    target: str
    task: str
    reason: str
    inputs: pd.DataFrame
    y: np.ndarray
    left_out: int
    dropped: list[str]
    split: Split
    group: str | None = None
    groups: np.ndarray | None = None

    @property
    def numbers(self) -> list[str]:
        """Numeric columns."""
        return [name for name in self.inputs.columns if self.inputs[name].dtype != object]

    @property
    def categories(self) -> list[str]:
        """Categorical (string) columns."""
        return [name for name in self.inputs.columns if self.inputs[name].dtype == object]


def pose(
    table: DataTable, target: str | None, task: str, seed: int, drop_constant: bool = False, group: str | None = None
) -> TableProblem:
    """Creates a learning problem from a table.

    Args:
        table: the table.
        target: the target column; defaults to that of the source, if any.
        task: one of `TASKS`.
        seed: random seed of the split.
        drop_constant: whether to exclude empty and constant columns instead of raising; always done for the data sets that
            are bundled with scikit-learn.
        group: column whose groups are kept in one part of the split; it is not an input.

    Returns:
        The problem; the split is stratified by class.

    Raises:
        ArgumentError: for a target that is missing or of the wrong type, and for columns without information.
    """
    _checks.choice("task", task, TASKS)
    names = [str(name) for name in table.frame.columns]
    chosen = table.target if target is None else target
    if chosen is None:
        among = ", ".join(map(repr, table.outcomes or names[-3:]))
        raise _checks.ArgumentError("target", "the name of the target column", "none", f"For example: {among}")
    _known("target", chosen, names)
    column: Any = table.frame[chosen]
    present = column.notna().to_numpy()
    if not present.any():
        raise _checks.ArgumentError("target", "a column with values", f"{chosen!r}, which is empty")
    rows: Any = table.frame[present].reset_index(drop=True)
    if len(rows) < _LEAST_ROWS:
        got = f"{len(rows)}" + ("" if present.all() else f", and {int((~present).sum())} without a target")
        raise _checks.ArgumentError("data", f"at least {_LEAST_ROWS} rows with a target", got)
    found, reason, y = _task(rows[chosen].to_numpy(), chosen, task)
    groups = None if group is None else groups_of(rows, group, chosen, names)
    inputs: Any = rows[[name for name in names if name not in (chosen, group) and name not in table.outcomes]]
    dropped = _constant(inputs) if drop_constant or table.source in bundled() else []
    inputs = inputs.drop(columns=dropped)
    _check_inputs(inputs)
    split = split_of(y if found == "classification" else None, len(y), seed, groups)
    left_out = int((~present).sum())
    return TableProblem(table.source, chosen, found, reason, inputs, y, left_out, dropped, split, group, groups)


def groups_of(rows: Any, group: str, target: str, names: list[str]) -> np.ndarray:
    """Returns the groups of the rows as strings; rows without a value form groups of their own."""
    _known("group", group, names)
    if group == target:
        raise _checks.ArgumentError("group", "a column other than the target", repr(group))
    column = rows[group]
    own = np.array([f"(row {place})" for place in range(len(rows))])
    return np.where(column.isna().to_numpy(), own, column.astype(str).to_numpy()).astype(str)


def _known(argument: str, name: str, names: list[str]) -> None:
    """Rejects an unknown column; suggests the closest name, or a few names of a long list."""
    if name not in names:
        if len(names) <= 12:
            _checks.choice(argument, name, names)
        raise _checks.ArgumentError(
            argument, f"one of the {len(names)} columns", repr(name), f"The first are {names[:5]}."
        )


def _task(values: np.ndarray, name: str, task: str) -> tuple[str, str, np.ndarray]:
    """Returns the task, the reason for it, and the targets."""
    texts = values.dtype == object
    distinct = np.unique(values.astype(str) if texts else values)
    if len(distinct) < 2:
        raise _checks.ArgumentError(
            "target", "a column with at least two distinct values", f"{name!r}, always {distinct[0]}"
        )
    whole = not texts and bool(np.all(values == np.round(values)))
    if task == "auto":
        task = guessed_task(values)
        kind = "strings" if texts else "integers" if whole else "numbers"
        reason = f"the column contains {len(distinct)} distinct {kind}"
    else:
        reason = "as requested"
    if task == "regression":
        if texts:
            raise _checks.ArgumentError("task", "'classification' for a string target", "'regression'")
        if np.abs(values).max() > _HUGE:
            raise _checks.ArgumentError("target", f"numbers of magnitude ≤ {_HUGE:g}", f"{np.abs(values).max():g}")
        return task, reason, values
    if not texts and not whole:
        raise _checks.ArgumentError("task", "'regression' for a non-integer target", "'classification'")
    classes, counts = np.unique(labels_of(values), return_counts=True)
    if len(classes) > min(_MOST_CLASSES, len(values) // _LEAST_OF_CLASS):
        expected = f"at most {min(_MOST_CLASSES, len(values) // _LEAST_OF_CLASS)} classes for {len(values)} rows"
        raise _checks.ArgumentError("target", expected, f"{len(classes)} in {name!r}")
    if counts.min() < _LEAST_OF_CLASS:
        got = f"{counts.min()} of {str(classes[np.argmin(counts)])!r}"
        expected = f"at least {_LEAST_OF_CLASS} rows of every class"
        raise _checks.ArgumentError("target", expected, got, "Exclude such rows or merge classes.")
    return task, reason, labels_of(values)


def labels_of(values: np.ndarray) -> np.ndarray:
    """Formats classes as strings; integers without a decimal point."""
    if values.dtype == object:
        return values.astype(str)
    return np.array([f"{value:.0f}" if value == np.round(value) else str(value) for value in values])


def _constant(inputs: Any) -> list[str]:
    """Lists columns that are empty, or constant without missing values."""
    values = inputs.nunique(dropna=True)
    full = inputs.notna().all()
    return [name for name in inputs.columns if values[name] == 0 or (values[name] == 1 and full[name])]


def _check_inputs(inputs: Any) -> None:
    """Rejects columns without information: empty, constant, or with a different string in every row."""
    if not len(inputs.columns):
        raise _checks.ArgumentError("data", "columns other than the target", "none")
    for name in inputs.columns:
        column: Any = inputs[name]
        distinct = column.nunique(dropna=True)
        advice = f"Exclude it with `drop=({name!r},)`."
        if not distinct:
            raise _checks.ArgumentError("data", "columns with values", f"{name!r}, which is empty", advice)
        if distinct == 1 and column.notna().all():
            advice = f"Exclude it with `drop=({name!r},)`, or all such columns with `drop_constant=True`."
            got = f"{name!r}, which is always {column.iloc[0]}"
            raise _checks.ArgumentError("data", "non-constant columns", got, advice)
        if column.dtype == object and distinct == len(column):
            got = f"{name!r}, which has a different string in every row"
            hint = f"{advice} For numbers with a decimal comma, use `decimal=','`."
            raise _checks.ArgumentError("data", "numeric or categorical columns", got, hint)
        if column.dtype != object and column.abs().max() > _HUGE:
            expected = f"numbers of magnitude ≤ {_HUGE:g}"
            raise _checks.ArgumentError("data", expected, f"{column.abs().max():g} in {name!r}", advice)


def split_of(labels: np.ndarray | None, rows: int, seed: int, groups: np.ndarray | None = None) -> Split:
    """Splits rows at random: 70 % training, 15 % validation, 15 % test, with at least one row of every class in each.

    Args:
        labels: classes, shape `(rows,)`, or None.
        rows: number of rows.
        seed: random seed.
        groups: groups that are kept in one part, shape `(rows,)`; the split is then not stratified.

    Returns:
        The three parts.
    """
    generator = np.random.default_rng(seed)
    if groups is not None:
        return _grouped(labels, groups, generator)
    strata = [np.arange(rows)] if labels is None else [np.flatnonzero(labels == name) for name in np.unique(labels)]
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for group in strata:
        shuffled = generator.permutation(group)
        validation, test = (max(1, round(share * len(group))) for share in (VALIDATION, TEST))
        for part, piece in zip(
            parts, np.split(shuffled, [len(group) - validation - test, len(group) - test]), strict=True
        ):
            part.append(piece)
    train, validation, test = (np.sort(np.concatenate(part)) for part in parts)
    return Split(train, validation, test)


def _grouped(labels: np.ndarray | None, groups: np.ndarray, generator: np.random.Generator) -> Split:
    """Assigns whole groups at random: the same shares of the groups, not of the rows."""
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < _LEAST_ROWS:
        raise _checks.ArgumentError("group", f"a column with at least {_LEAST_ROWS} groups", f"{len(names)}")
    validation, test = (max(1, round(share * len(names))) for share in (VALIDATION, TEST))
    place = np.empty(len(names), int)
    place[generator.permutation(len(names))] = np.arange(len(names))
    part = np.where(place >= len(names) - test, 2, np.where(place >= len(names) - test - validation, 1, 0))[index]
    train, held, last = (np.flatnonzero(part == number) for number in range(3))
    if labels is not None:
        lacking = sorted(set(labels) - set(labels[train]))
        if lacking:
            expected = "groups such that every class is among the training rows"
            raise _checks.ArgumentError(
                "group", expected, f"none with {lacking[0]!r}", "Try another seed, or merge classes."
            )
    return Split(train, held, last)
