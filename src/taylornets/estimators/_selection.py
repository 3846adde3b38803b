"""Cross-validation of the penalty: the regularization path on every fold, scored on the held-out rows.

The folds advance together, from strong to weak penalties, and the path ends after two penalties in succession that are worse
than the best one: weak penalties take most of the time.
"""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from jaxtyping import Array
from joblib import Parallel, delayed

from taylornets import _checks
from taylornets.estimators._data import TrainingData, filled
from taylornets.estimators._entry import precision_of
from taylornets.estimators._progress import Bar
from taylornets.estimators._solve import held_out, walk
from taylornets.objectives import Objective, SumObjective

_PATIENCE = 2


def fold_count(wanted: int, examples: int) -> int:
    """Returns the number of folds, at most the number of examples."""
    if examples < 2:
        raise _checks.ArgumentError(
            "penalty", "a number, since n_samples=1 does not allow cross-validation", "selection"
        )
    return min(wanted, examples)


def select(
    risk: Objective | SumObjective,
    problem: TrainingData,
    start: Array,
    penalties: tuple[float, ...],
    labels: np.ndarray | None,
    *,
    fold: np.ndarray,
    max_iter: int,
    n_jobs: int | None,
    bar: Bar,
    order: int,
) -> list[list[float]]:
    """Returns held-out errors and risks, averaged over the folds: one pair per penalty, up to the end of the path.

    `order` is 1 if errors come first in the comparison of penalties, and -1 if risks do.
    """
    rows, dtype = risk.count, problem.x.dtype

    def run(held: Any) -> Iterator[tuple[float, float]]:
        left = filled(np.where(fold == held, 0, problem.weight), rows)
        results = walk(risk.with_weights(left), start, penalties, max_iter)
        return (held_out(risk, result, weights[held], labels) for result in results)

    def advance(held: Any, penalty: float) -> tuple[float, float]:
        with precision_of(dtype):
            found = next(paths[held])
        bar.advance(1, f"fold {held + 1}, penalty {penalty:g}")
        return found

    weights = {held: filled(np.where(fold == held, problem.weight, 0), rows) for held in np.unique(fold)}
    with precision_of(dtype):
        paths = {held: run(held) for held in weights}
    sizes, scores = [out.sum() for out in weights.values()], list[list[float]]()
    for penalty in penalties:
        found = cast(Any, Parallel(n_jobs=n_jobs, prefer="threads")(delayed(advance)(held, penalty) for held in paths))
        mean = np.average(found, axis=0, weights=sizes)
        scores.append(np.where(np.isfinite(mean), mean, 1e300).tolist())  # a diverged run has no valid score
        if _ended(scores, order):
            break
    return scores


def _ended(scores: list[list[float]], order: int) -> bool:
    """Whether the last penalties are worse than the best one; a best first penalty, which gives the mean, ends nothing."""
    best = min(range(len(scores)), key=lambda place: scores[place][::order])
    return 0 < best <= len(scores) - 1 - _PATIENCE
