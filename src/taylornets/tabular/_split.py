"""The split of the rows into training, validation and test rows, and rows that lie on both sides."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks

SPLITS = ("random", "time")
# Fractions of held-out rows: for selecting hyperparameters, and for the reported scores.
VALIDATION, TEST = 0.15, 0.15
LEAST_ROWS = 20


@dataclass(frozen=True)
class Split:
    """Row indices of the three parts, each in increasing order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def pooled(split: Split) -> Split:
    """Returns a split for cross-validation: the validation rows are training rows, since folds take their place."""
    return Split(np.sort(np.concatenate([split.train, split.validation])), split.validation[:0], split.test)


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
    if len(names) < LEAST_ROWS:
        raise _checks.ArgumentError("group", f"a column with at least {LEAST_ROWS} groups", f"{len(names)}")
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
                "group", expected, f"no training rows of class {lacking[0]!r}", "Try another seed, or merge classes."
            )
    return Split(train, held, last)


def groups_of(column: Any) -> np.ndarray:
    """Returns the groups of the rows as strings; rows without a value form groups of their own.

    Args:
        column: the column of the table, one value per row.
    """
    own = np.array([f"(row {place})" for place in range(len(column))])
    return np.where(column.isna().to_numpy(), own, column.astype(str).to_numpy()).astype(str)


def time_split(order: np.ndarray) -> Split:
    """Splits rows by time: the first 70 % for training, the next 15 % for validation, the last 15 % for the test.

    Args:
        order: the rows, from the earliest to the latest.

    Returns:
        The three parts.
    """
    rows = len(order)
    validation, test = (max(1, round(share * rows)) for share in (VALIDATION, TEST))
    parts = np.split(order, [rows - validation - test, rows - test])
    return Split(*(np.sort(part) for part in parts))


def repeated(inputs: pd.DataFrame, y: np.ndarray, split: Split) -> int:
    """Counts the test rows that equal a training row in all inputs and in the target."""
    rows: Any = inputs.assign(**{"\0target": y})
    pandas: Any = pd  # type checkers do not see `util`
    hashes = np.asarray(pandas.util.hash_pandas_object(rows, index=False))
    return int(np.isin(hashes[split.test], hashes[split.train]).sum())


def ordering(times: np.ndarray) -> str:
    """Says whether rows are `"ordered"` in time, or `"mostly ordered"`: nine of ten not earlier than the one before.

    Args:
        times: dates, shape `(rows,)`.

    Returns:
        The words, or an empty text.
    """
    known = times[~np.isnat(times)]
    if len(known) < 3 or known[0] >= known[-1]:
        return ""
    share = np.mean(known[1:] >= known[:-1])
    return "ordered" if share == 1 else "mostly ordered" if share >= 0.9 else ""
