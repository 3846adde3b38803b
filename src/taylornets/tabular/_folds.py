"""Folds for cross-validation: stratified by class, in whole groups, or in the order of time."""

from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, TimeSeriesSplit

from taylornets import _checks
from taylornets.tabular._problem import TableProblem

Fold = tuple[np.ndarray, np.ndarray]  # places among the training rows: those that train, and those that are held out


def folds_of(problem: TableProblem, count: int, seed: int) -> list[Fold]:
    """Divides the training rows of a problem into folds.

    Rows in groups stay together; classes are stratified; for a split by time, each fold is later than the rows that train, and
    the first rows are never held out.

    Args:
        problem: the learning problem.
        count: number of folds.
        seed: random seed.

    Returns:
        For each fold, the places of the rows that train and of the rows that are held out, among the training rows.

    Raises:
        ArgumentError: if there are too few rows, groups or rows of a class.
    """
    rows = problem.split.train
    y = problem.y[rows]
    classes = problem.task == "classification"
    groups = None if problem.groups is None else problem.groups[rows]
    units = len(rows) if groups is None else len(np.unique(groups))
    if count > units // 3:
        what = "rows" if groups is None else "groups"
        raise _checks.ArgumentError("cv", f"at most {units // 3} folds for {units} training {what}", str(count))
    labels: Any = y if classes else np.zeros(len(y))
    if problem.division == "time":
        order = np.argsort(problem.order[rows], kind="stable") if problem.order is not None else np.arange(len(rows))
        parts = [(order[some], order[held]) for some, held in TimeSeriesSplit(count).split(order)]
        found = [(np.sort(some), np.sort(held)) for some, held in parts]
    elif groups is not None:
        kind: Any = StratifiedGroupKFold if classes else GroupKFold
        found = list(kind(count, shuffle=True, random_state=seed).split(labels, labels, groups))
    elif classes:
        found = _stratified(y, count, seed)
    else:
        found = list(KFold(count, shuffle=True, random_state=seed).split(labels))
    if classes:
        for number, (some, _) in enumerate(found, 1):
            if len(np.unique(y[some])) < 2:
                got = f"only {str(y[some][0])!r} in the training rows of fold {number} of {count}"
                expected = "folds with at least two classes among their training rows"
                raise _checks.ArgumentError("cv", expected, got, "Omit `cv`.", (("cv", None),))
    return found


def _stratified(y: np.ndarray, count: int, seed: int) -> list[Fold]:
    """Stratified folds; a class with fewer rows than folds is spread over some of them."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    fold = np.empty(len(y), int)
    fold[order] = np.arange(len(y)) % count
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(count)]
