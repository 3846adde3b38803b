"""The learning curve: scores by the number of training rows."""

from typing import Any

import numpy as np

from taylornets.records.progress import Tell
from taylornets.tabular._baselines import KERNEL_ROWS, families
from taylornets.tabular._path import FitSettings, Learned, new_model, quietly
from taylornets.tabular._problem import TableProblem
from taylornets.tabular._scores import score_of

_CURVE = (1 / 8, 1 / 4, 1 / 2, 1.0)
_LEAST_CURVE = 10


def learning_curve(
    problem: TableProblem, settings: FitSettings, learned: Learned, setting: str, parts: Any, tell: Tell
) -> tuple[list[int], dict[str, list[float]]]:
    """Scores of our model and the NTK by number of training rows, at the selected hyperparameters."""
    (x, y), _, (x_test, y_test) = parts
    order = _spread_evenly(y if problem.task == "classification" else None, len(y), settings.seed)
    classes = len(np.unique(y)) if problem.task == "classification" else 1
    sizes = sorted({max(round(share * len(y)), _LEAST_CURVE, 2 * classes) for share in _CURVE} - {0})
    sizes = [size for size in sizes if size <= len(y)] or [len(y)]
    score = score_of(problem.task)
    curves: dict[str, list[float]] = {f"Taylor, order {settings.order}, test rows": [], "the same, training rows": []}
    curves["NTK ridge, test rows"] = []
    kernels = next(family for family in families(problem.task, settings.seed) if family.name == "NTK ridge")
    ntk = dict(kernels.candidates)[setting]
    for index, size in enumerate(sizes):
        tell(index / len(sizes), f"{size:,} rows")
        rows = np.sort(order[:size])
        model: Any = learned.model
        if size < len(y):
            model = new_model(problem.task, settings, float(learned.model.penalty_))
            model.set_params(tol=1e-2)
            quietly(lambda model=model, rows=rows: model.fit(x[rows], y[rows]))
        few = rows[:: -(-len(rows) // KERNEL_ROWS)]
        values = (
            score(y_test, model.predict(x_test)),
            score(y[rows], model.predict(x[rows])),
            score(y_test, ntk().fit(x[few], y[few]).predict(x_test)),
        )
        for curve, value in zip(curves.values(), values, strict=True):
            curve.append(value)
    return sizes, curves


def _spread_evenly(labels: np.ndarray | None, rows: int, seed: int) -> np.ndarray:
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
