"""What a fit promises about new rows: a bound on the error or an interval, what it rests on, and what voids it (theory 13)."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taylornets.generalization import HoldOut, conformal, holdout
from taylornets.records import Figure, Plot, Section, Series, literal
from taylornets.tabular import _wording as wording
from taylornets.tabular._problem import TableProblem

LEVEL = 0.9  # of the interval on the page
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_DATE_NAMES = {"date", "datetime", "day", "month", "time", "timestamp", "week", "year"}
_MOSTLY = 0.9
_CORRELATED = 0.3  # correlation of neighboring ranks that counts as an order; its standard error is 1/√n
_FEW_RUNS = 0.6  # of the changes of class between neighbors that a random order would have
_ORDER_ROWS = 30
_LATER = (
    "The rows were split by time. The test rows are later than the training rows, and even later rows may differ "
    "again, so no bound holds for them."
)


@dataclass(frozen=True)
class Promise:
    """A statement about new rows.

    Args:
        error: for classification, the bound on the error.
        width: for regression, half of the width of the interval at `LEVEL`; else None.
        groups: for grouped splits, the name of the column and the number of groups in the test rows.
        doubts: reasons why the statement may be void.
        later: whether the rows were split by time, so that there is no statement.
    """

    error: HoldOut | None
    width: float | None
    groups: tuple[str, int] | None
    doubts: list[str]
    later: bool = False

    @property
    def sentence(self) -> str:
        """The statement."""
        if self.later:
            return _LATER
        if self.error is not None:
            return self.error.sentence
        if self.groups is not None:
            return "For rows in groups, no interval is stated."
        if self.width is None or not np.isfinite(self.width):
            return f"There are too few test rows for a {100 * LEVEL:g} % interval."
        return f"A new target lies within ±{wording.quantity(self.width)} of its prediction with probability {100 * LEVEL:g} %."


def promise_of(problem: TableProblem, model: Any, features: np.ndarray) -> Promise:
    """Computes the statement from the test rows, and stores it with the model.

    Args:
        problem: the learning problem; its test rows were used for nothing so far.
        model: the trained estimator; receives the certificate or the scores of the test rows.
        features: all rows after preprocessing.
    """
    if problem.division == "time":
        model.calibration_scores_ = None
        if problem.task == "classification":
            model._error_bound, model._error_void = None, "its rows were split by time, and later rows may differ"
        return Promise(None, None, None, doubts_of(problem), later=True)
    rows = problem.split.test
    x, y = features[rows], problem.y[rows]
    predictions = model.predict(x)
    error, width, groups = None, None, None
    if problem.groups is not None and problem.group is not None:
        groups = (problem.group, len(np.unique(problem.groups[rows])))
    if problem.task == "classification":
        right = predictions == y
        known = np.isin(y, model.classes_)  # a split by groups can leave a class out of the training rows
        places = np.minimum(np.searchsorted(model.classes_, y), len(model.classes_) - 1)
        scores = np.where(known, 1 - model.predict_proba(x)[np.arange(len(y)), places], np.inf)
        error = holdout(right) if problem.groups is None else _by_group(right, problem.groups[rows])
        how = "with the class frequencies of this table"
        error = replace(error, method=f"{error.method} on test rows, {how}") if problem.groups is None else error
        model._error_bound, model._error_void = error, ""
    else:
        scores = np.abs(predictions - y)
        width = conformal(scores, LEVEL)
    model.calibration_scores_ = None if problem.groups is not None else np.sort(scores)[:, None]
    return Promise(error, None if groups else width, groups, doubts_of(problem))


def _by_group(right: np.ndarray, groups: np.ndarray) -> HoldOut:
    """Bounds the mean error of a new group: groups are exchangeable, rows within them are not."""
    means = np.array([np.mean(~right[groups == name]) for name in np.unique(groups)])
    method = "Hoeffding–Bentkus on the mean error of the test rows of each group"
    return replace(holdout(losses=means), method=method, unit="group")


def doubts_of(problem: TableProblem) -> list[str]:
    """Detects repeated rows, an order of the targets, and columns of dates."""
    found: list[str] = []
    table: Any = problem.inputs.assign(**{"\0target": problem.y})
    repeated = int(table.duplicated().sum())
    if repeated:
        found.append(
            f"{repeated:,} of the {len(table):,} rows {'repeats' if repeated == 1 else 'repeat'} another row. If they are "
            "copies, a test row may also be a training row, and the statement on new data is void: remove "
            "them. If they belong together, split by `group`."
        )
    if problem.division == "time":  # no statement that the order could void
        return found
    if _ordered(problem.y, problem.task):
        found.append(
            "The rows are ordered by the target. If the order is that of time or of groups, later rows may follow a "
            "different distribution, and a random split does not show it: the statement on new data is then void."
        )
    dates = _date_columns(problem)
    if dates:
        found.append(
            f"The column {literal(repr(dates[0]))} looks like a date. If rows are ordered in time, the statement concerns "
            "new rows of the same period, not later ones."
        )
    return found


def _date_columns(problem: TableProblem) -> list[str]:
    """The columns of dates; a column that was read as dates is replaced by its features in the inputs."""
    kinds = {row.column: row.kind for row in problem.plan}
    inputs = problem.inputs
    names = problem.sources or [str(name) for name in inputs.columns]
    return [
        name for name in names if kinds.get(name) == "date" or (name in inputs.columns and _dates(inputs[name], name))
    ]


def _ordered(y: np.ndarray, task: str) -> bool:
    """Whether neighboring targets resemble each other."""
    if len(y) < _ORDER_ROWS:
        return False
    if task == "classification":
        shares = np.unique(y, return_counts=True)[1] / len(y)
        expected = (len(y) - 1) * (1 - float(np.sum(shares**2)))
        return int(np.sum(y[1:] != y[:-1])) < _FEW_RUNS * expected
    ranks = np.unique(y, return_inverse=True)[1].astype(float)
    return float(np.corrcoef(ranks[1:], ranks[:-1])[0, 1]) > max(_CORRELATED, 4 / len(y) ** 0.5)


def _dates(column: Any, name: str) -> bool:
    """Whether the values, or the words of the name, are those of a date."""
    if set(re.split(r"[^a-z]+", name.lower())) & _DATE_NAMES or column.dtype.kind == "M":
        return True
    values = column.dropna()
    return column.dtype == object and float(values.astype(str).str.match(_DATE).mean()) >= _MOSTLY


def section(problem: TableProblem, promise: Promise, sizes: list[int], scores: list[float]) -> Section:
    """The section of the page: the sentence, what it rests on, warnings, and the bound by training rows.

    Args:
        problem: the learning problem.
        promise: the statement.
        sizes: numbers of training rows of the learning curve.
        scores: scores on the test rows at these sizes.
    """
    split, warnings = problem.split, [f"Warning: {doubt}" for doubt in promise.doubts]
    used = (
        f"The {wording.rows_of(len(split.train), 'training')} determined the features and the weights, "
        f"{_selected(problem)} selected the penalty, and the {wording.rows_of(len(split.test), 'test')} "
        "were used for this statement alone. The form of the statement was fixed before the test rows were used; the "
        "statement does not hold if you fit several models and keep the one whose statement is best."
    )
    assumed = (
        "It assumes that new rows come from the same source in the same way as these (exchangeable rows). It is void where "
        "rows are "
        "copies of each other, belong to groups, or are ordered in time."
    )
    if promise.later:
        advice = (
            "For later rows, the test score is the best estimate, and only for the period right after the test rows."
        )
        return Section("new_data", "New data", [promise.sentence, advice, *warnings], {})
    paragraphs = [promise.sentence]
    if promise.groups is not None:
        name, count = promise.groups
        paragraphs.append(
            f"The rows were split by {literal(repr(name))}, so that no group is in two parts; the statement concerns new "
            f"groups, of which the test rows have {count:,}."
        )
    paragraphs += [used, assumed, *warnings]
    facts: dict[str, Any] = {}
    figures: tuple[Figure, ...] = ()
    if promise.error is not None:
        facts = {"error on the test rows": promise.error.error, "bound on the error": promise.error.bound,
                 "confidence": 1 - promise.error.delta, "method": promise.error.method}  # fmt: skip
        if promise.groups is None and sizes:
            figures = (_figure(sizes, scores, len(split.test)),)
    elif promise.width is not None:
        facts = {f"half width of the {100 * LEVEL:g} % interval": promise.width}
    return Section("new_data", "New data", paragraphs, facts, figures)


def _selected(problem: TableProblem) -> str:
    """The rows that selected the penalty."""
    return (
        f"their {problem.cv} folds"
        if problem.cv
        else f"the {wording.rows_of(len(problem.split.validation), 'validation')}"
    )


def _figure(sizes: list[int], scores: list[float], rows: int) -> Figure:
    """The bound by the number of training rows."""
    errors = [1 - score for score in scores]
    bounds = [holdout(np.arange(rows) >= round(error * rows)).bound for error in errors]
    series = [
        Series("bound, 95 % confidence", sizes, bounds, kind="line"),
        Series("error on the test rows", sizes, errors, kind="line"),
    ]
    caption = f"Clopper–Pearson bounds from {wording.rows_of(rows, 'test')}. "
    caption += "Each bound holds individually, not simultaneously."
    return Figure(
        "bound", "Bound on the error by training rows", [Plot("training rows", "error", series, "log")], caption
    )
