"""The learning curve: scores by the number of training rows."""

import copy
import math
import time
from typing import Any

import numpy as np

from taylornets.records.progress import Tell
from taylornets.tabular._baselines import KERNEL_ROWS, families, predicted
from taylornets.tabular._budget import SMALL
from taylornets.tabular._path import FitSettings, Learned, new_model, quietly
from taylornets.tabular._problem import TableProblem
from taylornets.tabular._scores import score_of
from taylornets.tabular._selection import loose, spread_evenly

_CURVE = (1 / 8, 1 / 4, 1 / 2, 1.0)
_LEAST_CURVE = 10
_TEST_ROWS = 5000  # test rows that score the NTK
_LARGER = 2.5  # time of a point relative to that of the one before


def learning_curve(
    problem: TableProblem, settings: FitSettings, learned: Learned, setting: str, parts: Any, tell: Tell,
    seconds: float = math.inf,
) -> tuple[list[int], dict[str, list[float]]]:  # fmt: skip
    """Scores of our model and the NTK by number of training rows, at the selected hyperparameters.

    Each fit starts from that of fewer rows. Points that would exceed the budget are left out, except that of all rows.

    Args:
        problem: the learning problem.
        settings: settings of the model.
        learned: the model of all training rows.
        setting: selected hyperparameters of the NTK.
        parts: inputs and targets for training, validation and test.
        tell: called as `tell(fraction, message)`.
        seconds: budget, for more than 2,000 training rows.

    Returns:
        The numbers of rows, and the scores by name of the curve.
    """
    (x, y), _, (x_test, y_test) = parts
    order = spread_evenly(y if problem.task == "classification" else None, len(y), settings.seed)
    classes = len(np.unique(y)) if problem.task == "classification" else 1
    sizes = sorted({max(round(share * len(y)), _LEAST_CURVE, 2 * classes) for share in _CURVE} - {0})
    sizes = [size for size in sizes if size <= len(y)] or [len(y)]
    score = score_of(problem.task)
    curves: dict[str, list[float]] = {f"Taylor, order {settings.order}, test rows": [], "the same, training rows": []}
    curves["NTK ridge, test rows"] = []
    kernels = next(family for family in families(problem.task, settings.seed) if family.name == "NTK ridge")
    ntk = dict(kernels.candidates)[setting]
    end = time.perf_counter() + (seconds if len(y) > SMALL else math.inf)
    model, taken, used = None, 0.0, list[int]()
    for index, size in enumerate(sizes):
        start = time.perf_counter()
        if 0 < index < len(sizes) - 1 and start + _LARGER * taken > end:
            continue
        tell(index / len(sizes), f"{size:,} rows")
        rows = np.sort(order[:size])
        model = _trained(model, problem.task, settings, learned, (x[rows], y[rows]), size == len(y))
        few = rows[:: -(-len(rows) // KERNEL_ROWS)]
        values = (
            score(y_test, model.predict(x_test)),
            score(y[rows], model.predict(x[rows])),
            score(y_test[:_TEST_ROWS], predicted(ntk().fit(x[few], y[few]), x_test[:_TEST_ROWS])),
        )
        for curve, value in zip(curves.values(), values, strict=True):
            curve.append(value)
        used.append(size)
        taken = time.perf_counter() - start
    return used, curves


def _trained(last: Any, task: str, settings: FitSettings, learned: Learned, rows: tuple[Any, Any], whole: bool) -> Any:
    """Trains loosely, from the weights of fewer rows; on all rows, the model is there."""
    if whole:
        return learned.model
    first = new_model(task, settings, float(learned.model.penalty_)).set_params(**loose(settings.rank))
    model = first if last is None else copy.deepcopy(last).set_params(warm_start=True)
    quietly(lambda: model.fit(*rows))
    return model
