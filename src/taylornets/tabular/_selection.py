"""Selection of the penalty on the validation rows: a regularization path on a part of the training rows, then on more of them.

Weak penalties take most of the time of a path, and a few thousand rows suffice to leave most of them out. The path therefore
runs on at most 4,000 training rows, and ends after two penalties in succession that are worse than the best one. The best
penalty decreases slowly with the number of rows. In tables with more rows it is compared with the next weaker one on six
times the rows, and so on, up to half of the rows; each fit starts from the last one. Training on all rows then starts there.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets.estimators import PENALTIES
from taylornets.records.progress import Tell

SELECTING_ROWS = 4000
GROWTH = 6  # of the rows from one level to the next
WORSE, LIMIT, WHOLE = "worse", "limit", "whole"  # why a path ended
_PATIENCE = 2
# Work of the penalties of a path relative to that of a fit of 100 steps, and of a path that ends early; for the progress only.
_WORK = (0.2, 0.2, 0.2, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0)
_EXPECTED = 4.6
_FINAL_WORK, _FINAL_STEPS_WORK = 3.0, 1.7  # of final training: to a certified gap, and of a number of steps
_LOOSE = {"tol": 1e-2, "max_iter": 100}

Key = tuple[float, float]


@dataclass(frozen=True)
class PenaltyStep:
    """One penalty of the regularization path.

    Args:
        penalty: `λ`.
        train: score on the training rows.
        validation: score on the validation rows, or its mean over the held-out folds.
        rank_key: selection criterion; larger is better.
        rows: number of training rows.
    """

    penalty: float
    train: float
    validation: float
    rank_key: Key
    rows: int = 0


@dataclass(frozen=True)
class Selected:
    """The selected penalty.

    Args:
        model: the estimator at this penalty, fitted loosely to the last rows.
        path: one step per penalty, at the largest number of rows at which it was tried, from strong to weak.
        ended: why the path ended: `"worse"`, `"limit"` (of time) or `"whole"`.
    """

    model: Any
    path: tuple[PenaltyStep, ...]
    ended: str


def loose(rank: int | None) -> dict[str, Any]:
    """The settings of a path: a gap of 1 % or 100 steps, and a single copy of each unit unless the rank is given."""
    return {**_LOOSE, "rank": 1 if rank is None else rank}


def levels(rows: int) -> list[int]:
    """The numbers of training rows that select the penalty.

    Args:
        rows: number of training rows.

    Example:
        >>> levels(300), levels(7_000), levels(700_000)
        ([300], [4000], [4000, 24000, 144000])
    """
    found = [min(rows, SELECTING_ROWS)]
    while 2 * GROWTH * found[-1] <= rows:
        found.append(GROWTH * found[-1])
    return found


def part(rows: int, steps: bool) -> float:
    """The part of the work of training that selects the penalty, an estimate for the progress.

    Args:
        rows: number of training rows.
        steps: whether final training takes a number of steps.
    """
    work = _work(levels(rows))
    return work / (work + (_FINAL_STEPS_WORK if steps else _FINAL_WORK) * rows)


def _work(sizes: list[int]) -> float:
    return _EXPECTED * sizes[0] + sum(2.0 * size for size in sizes[1:])


def spread_evenly(labels: np.ndarray | None, rows: int, seed: int) -> np.ndarray:
    """Orders the rows so that every prefix is approximately stratified by class, with one row of each class first."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    if labels is None:
        return shuffled
    place = np.empty(rows)
    for name in np.unique(labels):
        mine = shuffled[labels[shuffled] == name]
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
        place[mine[:1]] = -1
    return np.argsort(place, kind="stable")


def select(
    model: Any, train: tuple[Any, Any], validation: tuple[Any, Any], judge: Callable[[Any, tuple[Any, Any]], Key],
    order: np.ndarray, tell: Tell, limit: float,
) -> Selected:  # fmt: skip
    """Selects the penalty.

    Args:
        model: an unfitted estimator with the settings of a path.
        train: training inputs and targets.
        validation: validation inputs and targets.
        judge: the criterion and its tie-breaker of a model on rows; larger is better.
        order: an order of the training rows of which each prefix is used.
        tell: called as `tell(fraction, message)`.
        limit: seconds, or infinity; at least one penalty is tried.

    Returns:
        The selection.
    """
    begin, (x, y) = time.perf_counter(), train
    sizes = levels(len(y))
    work, spent = _work(sizes), 0.0

    def begun(size: int, penalty: float) -> None:
        words = f"penalty {penalty:g}" + (f", {size:,} rows" if size < len(y) else "")
        tell(min(spent / work, 1.0), words)

    def step(penalty: float, rows: np.ndarray) -> PenaltyStep:
        own = x[rows], y[rows]
        return PenaltyStep(penalty, model.score(*own), model.score(*validation), judge(model, validation), len(rows))

    best, path, ended, worse = copy.deepcopy(model), dict[float, PenaltyStep](), WHOLE, 0
    chosen = PENALTIES[0]
    rows = np.sort(order[: sizes[0]])
    fitted = model.fit_path(x[rows], y[rows], PENALTIES)
    for penalty, own in zip(PENALTIES, _WORK, strict=True):
        begun(sizes[0], penalty)
        next(fitted)
        path[penalty], spent = step(penalty, rows), spent + own * sizes[0]
        if penalty == PENALTIES[0] or path[penalty].rank_key > path[chosen].rank_key:
            best, chosen, worse = copy.deepcopy(model.set_params(penalty=penalty)), penalty, 0
        elif chosen != PENALTIES[0]:  # a strong penalty gives the mean, which small changes can make worse
            worse += 1
        if time.perf_counter() - begin > limit:
            ended = LIMIT
            break
        if worse == _PATIENCE:
            ended = WORSE
            break
    spent = _EXPECTED * sizes[0]
    for size in sizes[1:]:
        if time.perf_counter() - begin > limit:
            break
        rows, top = np.sort(order[:size]), (-math.inf, -math.inf)
        for penalty in PENALTIES[PENALTIES.index(chosen) :]:
            begun(size, penalty)
            model = copy.deepcopy(best).set_params(penalty=penalty, warm_start=True)
            model.fit(x[rows], y[rows])
            path[penalty], spent = step(penalty, rows), spent + size
            if path[penalty].rank_key <= top:
                break
            best, chosen, top = model, penalty, path[penalty].rank_key
            if time.perf_counter() - begin > limit:
                break
    return Selected(best, tuple(path[penalty] for penalty in sorted(path, reverse=True)), ended)
