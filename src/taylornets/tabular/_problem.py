"""Learning problems from tables: target and task, input columns, and the split of the rows."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks
from taylornets._measures import TASKS
from taylornets.datafiles import DataTable
from taylornets.tabular._inputs import PlanRow, check_inputs, expanded, used_inputs
from taylornets.tabular._retarget import another_target, kept_target, known
from taylornets.tabular._split import (
    LEAST_ROWS,
    SPLITS,
    Split,
    groups_of,
    ordering,
    pooled,
    repeated,
    split_of,
    time_split,
)
from taylornets.tabular._targets import RARE, Targets, labels_of, targets_of

__all__ = ["PlanRow", "TableProblem", "divide", "labels_of", "pose", "split_of"]


@dataclass(frozen=True)
class TableProblem:
    """A supervised learning problem on a table.

    Args:
        source: source of the table.
        target: name of the target column.
        task: `"classification"` or `"regression"`.
        reason: why this task was chosen, for the report.
        inputs: input features, without rows that lack a target; dates are replaced by their features.
        y: targets, float64 or strings for classes.
        left_out: number of rows with a missing target.
        dropped: excluded columns without information.
        split: split of the rows.
        sources: columns of the table that the inputs are made of.
        plan: the inferred table.
        notes: full sentences about what was read, left out or counted.
        duplicates: number of test rows that equal a training row.
        division: how the rows were split, `"random"` or `"time"`.
        rare: what was done with rare classes, `"drop"`, `"merge"` or None.
        rows: places in the table of the rows that are used.
        group: column whose groups are not split, or None.
        groups: its values, or None.
        order: for a split by time, the rank of each row in time; else None.
        cv: number of folds that take the place of the validation rows, or None.
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
    sources: list[str] = field(default_factory=list)
    plan: tuple[PlanRow, ...] = ()
    notes: tuple[str, ...] = ()
    duplicates: int = 0
    division: str = "random"
    rare: str | None = None
    rows: np.ndarray | None = None
    group: str | None = None
    groups: np.ndarray | None = None
    order: np.ndarray | None = None
    cv: int | None = None

    @property
    def parts(self) -> str:
        """The numbers of rows in the parts of the split."""
        train = f"{len(self.split.train):,} training"
        held = f" (in {self.cv} folds)" if self.cv else f", {len(self.split.validation):,} validation"
        return f"{train}{held}, {len(self.split.test):,} test"

    @property
    def numbers(self) -> list[str]:
        """Numeric features."""
        return [name for name in self.inputs.columns if self.inputs[name].dtype != object]

    @property
    def categories(self) -> list[str]:
        """Categorical (string) features."""
        return [name for name in self.inputs.columns if self.inputs[name].dtype == object]


def pose(
    table: DataTable, target: str | None, task: str, seed: int, drop_constant: bool = False, *, rare: str | None = None,
    division: str = "random", kept: tuple[str, ...] = (), group: str | None = None, cv: int | None = None,
) -> TableProblem:  # fmt: skip
    """Creates a learning problem from a table.

    Columns that carry no information for new rows are left out, each with a note: an index that was saved with the table,
    identifiers and texts that differ in most rows, and empty or constant columns.

    Args:
        table: the table.
        target: the target column; defaults to that of the source, if any.
        task: one of `TASKS`.
        seed: random seed of the split.
        drop_constant: has no effect, since empty and constant columns are always left out.
        rare: what is done with classes of fewer than 3 rows: `"drop"`, `"merge"`, or None to reject them.
        division: `"random"`, stratified by class, or `"time"`: the last rows are the test rows, by the first column of dates
            or else by the order of the table.
        kept: columns to keep as inputs even if they look like identifiers or texts.
        group: column whose groups are kept in one part of the split; it is not an input.
        cv: number of folds that take the place of the validation rows, or None.

    Returns:
        The problem.

    Raises:
        ArgumentError: all defects of the target and the columns at once, each with the argument that mends it.
    """
    del drop_constant
    _checks.choice("task", task, TASKS)
    _checks.choice("split", division, SPLITS)
    if rare is not None:
        _checks.choice("rare", rare, RARE)
    names = [str(name) for name in table.frame.columns]
    chosen = table.target if target is None else target
    if chosen is None:
        advice = f"For example, use {' or '.join(f'`target={name!r}`' for name in table.outcomes or names[-3:])}."
        raise _checks.ArgumentError("target", "the name of the target column", "none", advice)
    known("target", chosen, names)
    _check_group(group, chosen, names, division)
    column: Any = table.frame[chosen]
    present = column.notna().to_numpy()
    if not present.any():
        got = f"{chosen!r}, which is empty{_words(table, chosen)}"
        raise _checks.ArgumentError("target", "a column with values", got)
    rows: Any = table.frame[present].reset_index(drop=True)
    errors = [kept_target(error, table, chosen) if name == chosen else error for name, error in table.errors]
    if len(rows) < LEAST_ROWS:
        missing = int((~present).sum())
        got = f"{len(rows)}" + (f", and {missing} without a target{_words(table, chosen)}" if missing else "")
        errors.append(_checks.ArgumentError("data", f"at least {LEAST_ROWS} rows with a target", got, "Add rows."))
    found: Targets | None = None
    if chosen not in dict(table.errors) and len(rows) >= LEAST_ROWS:
        try:
            found = targets_of(rows[chosen].to_numpy(), chosen, task, rare)
        except _checks.ArgumentError as error:
            errors.append(error if error.mends else another_target(error, table, chosen))
    used, plan = used_inputs(table, rows, chosen, kept, group)
    others = [row.column for row in plan if row.kind in ("text", "identifier") and row.done != "target"]
    errors += check_inputs(rows[used], others) if len(rows) >= LEAST_ROWS else []
    if errors:
        raise _checks.joined(errors)
    assert found is not None
    rows = rows[found.kept].reset_index(drop=True)
    return _split_up(table, chosen, found, rows, used, plan, (division, seed, group), (rare, present, cv))


def _split_up(
    table: DataTable, target: str, found: Targets, rows: Any, used: list[str], plan: list[PlanRow],
    how: tuple[str, int, str | None], kept: tuple[str | None, np.ndarray, int | None],
) -> TableProblem:  # fmt: skip
    """Splits the rows, and leaves out features without values or variation in the training rows."""
    division, seed, group = how
    rare, present, cv = kept
    dates = [name for name in used if rows[name].dtype.kind == "M"]
    groups = None if group is None else groups_of(rows[group])
    split = divide(found, rows, dates, division, seed, groups)
    split = pooled(split) if cv else split
    times = _ranks(rows, dates) if division == "time" else None
    inputs: Any = expanded(rows[used])
    train: Any = inputs.iloc[split.train]
    count = train.nunique(dropna=True)
    still = [str(name) for name in inputs.columns if not count[name] or (count[name] == 1 and inputs[name].nunique() == 1
             and inputs[name].notna().all())]  # fmt: skip
    inputs = inputs.drop(columns=still)
    if not len(inputs.columns):
        got = f"none; {still[0]!r} is empty in the training rows"
        raise _checks.ArgumentError("data", "columns other than the target", got, "Add input columns.")
    dropped = [row.column for row in plan if row.kind in ("empty", "constant") and row.done != "target"]
    empty = [name for name in still if not count[name]]
    notes = [*table.notes, *(note for info in table.infos for note in info.notes)]
    notes += _notes(table, target, plan, found.note, int((~present).sum()), empty)
    ordered = ordering(rows[dates[0]].to_numpy()) if dates and division == "random" else ""
    if ordered:
        notes.append(
            f"The rows are {ordered} by {dates[0]!r}. With a random split, the scores may be too optimistic if new rows "
            f"are later; in that case, use `split='time'`{'' if group is None else ' without `group`'}."
        )
    double = repeated(inputs, found.y, split)
    if double:
        verb = "equals" if double == 1 else "equal"
        notes.append(
            f"{double:,} of the {len(split.test):,} test rows {verb} a training row in all columns (duplicate rows). If these "
            "are copies of one observation, the test score is too optimistic."
        )
    places = np.flatnonzero(present)[found.kept]
    return TableProblem(
        table.source, target, found.task, found.reason, inputs, found.y, int((~present).sum()), [*dropped, *empty], split, used,
        tuple(plan), tuple(notes), double, division, rare, places, group, groups,
        times, cv,
    )  # fmt: skip


def divide(
    found: Targets, rows: Any, dates: list[str], division: str, seed: int, groups: np.ndarray | None = None
) -> Split:
    """Splits the rows with a target; also used to find the training rows of a saved model again."""
    labels = found.y if found.task == "classification" else None
    if division == "random":
        return split_of(labels, len(found.y), seed, groups)
    split = time_split(np.argsort(_ranks(rows, dates)))
    if labels is not None and len(np.unique(labels[split.train])) < 2:
        got = f"only {str(labels[split.train][0])!r} in the first {len(split.train):,} rows by time"
        raise _checks.ArgumentError(
            "split", "two classes in the training rows", got, "Omit `split`.", (("split", None),)
        )
    return split


def _ranks(rows: Any, dates: list[str]) -> np.ndarray:
    """The rank of each row in time: by the first column of dates, or else by the order of the table."""
    order = np.argsort(rows[dates[0]].to_numpy(), kind="stable") if dates else np.arange(len(rows))
    return np.argsort(order)


def _notes(table: DataTable, target: str, plan: list[PlanRow], rare: str, missing: int, empty: list[str]) -> list[str]:
    """Sentences about rows and columns that are left out."""
    notes: list[str] = []
    if missing:
        what = "row without a target was" if missing == 1 else "rows without a target were"
        notes.append(f"{missing:,} {what} excluded{_words(table, target)}.")
    if rare:
        notes.append(rare)
    out = [row for row in plan if row.done.startswith("left out")]
    if out:
        listed = [f"{row.column!r} ({row.done.removeprefix('left out: ')})" for row in out[:8]]
        more = f" and {len(out) - 8} more" if out[8:] else ""
        notes.append(f"Columns left out: {', '.join(listed)}{more}.")
    again = [row.column for row in out if row.kind in ("text", "identifier")]
    if again:
        notes.append(
            f"To keep such a column, use `categorical=({again[0]!r},)` or, for numbers, `numeric=({again[0]!r},)`."
        )
    if empty:
        listed = map(repr, empty[:8])
        notes.append(f"Features left out because they have no values in the training rows: {', '.join(listed)}.")
    return notes


def _words(table: DataTable, name: str) -> str:
    """The words of a column that were taken for missing values."""
    words = [f"{word!r} ({count:,})" for word, count in table.info(name).words[:4]] if table.infos else []
    return f" (strings treated as missing values: {', '.join(words)})" if words else ""


def _check_group(group: str | None, target: str, names: list[str], division: str) -> None:
    """Rejects an unknown column of groups, the target, and a split that cannot keep groups together."""
    if group is None:
        return
    if division == "time":
        got, advice = (
            "one with `split='time'`",
            "Omit `split` to keep groups together, or omit `group` to split by time.",
        )
        raise _checks.ArgumentError("group", "a random split", got, advice, (("split", None),))
    known("group", group, names)
    if group == target:
        raise _checks.ArgumentError("group", "a column other than the target", repr(group))
