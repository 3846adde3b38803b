"""Importance of columns: how much the test score falls when a column is permuted, and the shape of its effect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from taylornets.records import Figure, Plot, Section, Series, Table, literal
from taylornets.tabular import _wording as wording
from taylornets.tabular._scores import name_of, score_of

_REPEATS, _COLUMNS, _ROWS = 20, 40, 1000
_SHOWN, _SHAPES, _GRID, _BARS = 12, 5, 15, 8


@dataclass(frozen=True)
class Importance:
    """The fall of the test score when one column is permuted.

    Args:
        column: the column.
        mean: mean fall over the permutations; negative if the score rises.
        low: 2.5 % quantile.
        high: 97.5 % quantile.
    """

    column: str
    mean: float
    low: float
    high: float


def importances(
    inputs: pd.DataFrame, y: np.ndarray, task: str, predict: Callable[[pd.DataFrame], np.ndarray], seed: int
) -> list[Importance]:
    """Measures the permutation importance of the first 40 columns on at most 1,000 test rows.

    Args:
        inputs: test rows before preprocessing.
        y: their targets.
        task: `"classification"` or `"regression"`.
        predict: maps rows to predictions.
        seed: random seed of the permutations.

    Returns:
        One entry per column, the most important first.
    """
    generator = np.random.default_rng(seed)
    few = np.sort(generator.permutation(len(y))[:_ROWS])
    rows, targets, score = inputs.iloc[few].reset_index(drop=True), y[few], score_of(task)
    best = score(targets, predict(rows))
    found: list[Importance] = []
    for name in rows.columns[:_COLUMNS]:
        falls: list[float] = []
        for _ in range(_REPEATS):
            mixed = (
                rows[name].iloc[generator.permutation(len(rows))].set_axis(rows.index)
            )  # keeps the type of the column
            falls.append(best - score(targets, predict(rows.assign(**{name: mixed}))))
        low, high = np.quantile(falls, [0.025, 0.975])
        found.append(Importance(str(name), float(np.mean(falls)), float(low), float(high)))
    return sorted(found, key=lambda item: -item.mean)


def effect(rows: pd.DataFrame, name: str, average: Callable[[pd.DataFrame], float]) -> tuple[list[Any], list[float]]:
    """Returns the partial dependence on a column: the mean output with the column set to one value in all rows.

    Args:
        rows: rows before preprocessing.
        name: the column.
        average: maps rows to their mean output.

    Returns:
        Quantiles of a numeric column or the most frequent categories, and the mean output at each.
    """
    column: Any = rows[name]
    if not pd.api.types.is_numeric_dtype(column.dtype):
        values: list[Any] = [str(value) for value in column.value_counts().index[:_BARS]]
    else:
        values = np.unique(np.nanquantile(column.to_numpy(), np.linspace(0.02, 0.98, _GRID))).tolist()
    means: list[float] = []
    for value in values:
        same = pd.Series([value] * len(rows), index=rows.index, dtype=column.dtype)
        means.append(average(rows.assign(**{name: same})))
    return values, means


def importance_section(inputs: pd.DataFrame, y: np.ndarray, task: str, steps: Any, model: Any, seed: int) -> Section:
    """Builds the section of the page: permutation importance, and the effect of the five most important columns.

    Args:
        inputs: test rows before preprocessing.
        y: their targets.
        task: `"classification"` or `"regression"`.
        steps: the fitted preprocessing.
        model: the fitted estimator.
        seed: random seed of the permutations.
    """

    def features(rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(steps.transform(rows), np.float64)

    found = importances(inputs, y, task, lambda rows: model.predict(features(rows)), seed)
    shown = found[:_SHOWN]
    names = [literal(item.column) for item in shown]
    plot = Plot(
        "column", f"drop in {name_of(task)}",
        [Series("", names, [item.mean for item in shown], [item.low for item in shown], [item.high for item in shown])],
    )  # fmt: skip
    caption = (
        f"The drop in {name_of(task)} on the test rows when one column is permuted: the mean of {_REPEATS} "
        "permutations and their 2.5 % and 97.5 % quantiles. Columns that carry the same "
        "information share their importance."
    )
    rows = inputs.iloc[:_ROWS]
    what, place = "mean prediction", 0
    if task == "classification":
        place = 1 if len(model.classes_) == 2 else int(np.argmax([np.sum(y == name) for name in model.classes_]))
        what = f"mean probability of {literal(repr(str(model.classes_[place])))}"

    def average(rows: pd.DataFrame) -> float:
        x = features(rows)
        return float(np.mean(model.predict_proba(x)[:, place] if task == "classification" else model.predict(x)))

    panels: list[Plot] = []
    for item in shown[:_SHAPES]:
        values, means = effect(rows, item.column, average)
        texts = bool(values) and isinstance(values[0], str)
        x = [literal(value) for value in values] if texts else values
        panels.append(Plot(literal(item.column), what, [Series("", x, means, kind="points" if texts else "line")]))
    figures = [Figure("importance", "Importance of the columns", [plot], caption)]
    figures += [
        Figure(
            "effects", "Effect of the most important columns", panels,
            f"The {what} over the test rows if the column had the same value in all of them (partial dependence). It "
            "describes the model, and not what would happen if the column were changed in reality."
            + (" The scales of the panels differ." if panels[1:] else ""),
        )
    ] if panels else []  # fmt: skip
    table = Table(
        "importance", caption, ("column", "drop", "interval"),
        [(literal(item.column), round(item.mean, 4), wording.ends(item.low, item.high)) for item in found],
    )  # fmt: skip
    return Section("importance", "Importance of the columns", (), {}, tuple(figures), (table,))
