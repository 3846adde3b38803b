"""Cross-validation of the penalty: the regularization path on every fold, scored on the held-out rows."""

from typing import Any, cast

import numpy as np
from jaxtyping import Array
from joblib import Parallel, delayed

from taylornets import _checks
from taylornets.estimators._data import TrainingData, filled
from taylornets.estimators._entry import precision_of
from taylornets.estimators._progress import Bar
from taylornets.estimators._solve import held_out, walk
from taylornets.objectives import Objective


def fold_count(wanted: int, examples: int) -> int:
    """Returns the number of folds, at most the number of examples."""
    if examples < 2:
        raise _checks.ArgumentError(
            "penalty", "a number, since n_samples=1 does not allow cross-validation", "selection"
        )
    return min(wanted, examples)


def select(
    risk: Objective,
    problem: TrainingData,
    start: Array,
    penalties: tuple[float, ...],
    labels: np.ndarray | None,
    *,
    fold: np.ndarray,
    max_iter: int,
    n_jobs: int | None,
    bar: Bar,
) -> list[list[float]]:
    """Returns held-out errors and risks, averaged over the folds: one pair per penalty."""
    rows, dtype = risk.count, problem.x.dtype

    def run(held: Any) -> tuple[float, np.ndarray]:
        with precision_of(dtype):
            left = filled(np.where(fold == held, 0, problem.weight), rows)
            out = filled(np.where(fold == held, problem.weight, 0), rows)
            found: list[tuple[float, float]] = []
            for result in walk(risk.with_weights(left), start, penalties, max_iter):
                found.append(held_out(risk, result, out, labels))
                bar.advance(1, f"fold {held + 1}, penalty {penalties[len(found) - 1]:g}")
            return out.sum(), np.asarray(found)

    runs = cast(Any, Parallel(n_jobs=n_jobs, prefer="threads")(delayed(run)(i) for i in np.unique(fold)))
    scores = np.average([scores for _, scores in runs], axis=0, weights=[weight for weight, _ in runs])
    # A diverged run has no valid score.
    return np.where(np.isfinite(scores), scores, 1e300).tolist()
