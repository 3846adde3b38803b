"""The split of the rows into training, validation and test rows, and rows that lie on both sides."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

SPLITS = ("random", "time")
# Fractions of held-out rows: for selecting hyperparameters, and for the reported scores.
VALIDATION, TEST = 0.15, 0.15


@dataclass(frozen=True)
class Split:
    """Row indices of the three parts, each in increasing order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_of(labels: np.ndarray | None, rows: int, seed: int) -> Split:
    """Splits rows at random: 70 % training, 15 % validation, 15 % test, with at least one row of every class in each.

    Args:
        labels: classes, shape `(rows,)`, or None.
        rows: number of rows.
        seed: random seed.

    Returns:
        The three parts.
    """
    generator = np.random.default_rng(seed)
    groups = [np.arange(rows)] if labels is None else [np.flatnonzero(labels == name) for name in np.unique(labels)]
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for group in groups:
        shuffled = generator.permutation(group)
        validation, test = (max(1, round(share * len(group))) for share in (VALIDATION, TEST))
        for part, piece in zip(
            parts, np.split(shuffled, [len(group) - validation - test, len(group) - test]), strict=True
        ):
            part.append(piece)
    train, validation, test = (np.sort(np.concatenate(part)) for part in parts)
    return Split(train, validation, test)


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
    hashes = np.asarray(pd.util.hash_pandas_object(rows, index=False))
    return int(np.isin(hashes[split.test], hashes[split.train]).sum())


def is_ordered(times: np.ndarray) -> bool:
    """Whether at least nine of ten rows are not earlier than the row before."""
    known = times[~np.isnat(times)]
    return len(known) > 2 and bool(np.mean(known[1:] >= known[:-1]) >= 0.9 and known[0] < known[-1])
