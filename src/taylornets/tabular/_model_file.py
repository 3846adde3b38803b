"""Saved models applied to tables: required columns, predictions, and certificates on new data."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks, models
from taylornets.certificates import Certificate
from taylornets.datafiles import DataTable, Reading, scan
from taylornets.generalization import HoldOut, check_level, holdout
from taylornets.tabular._inputs import expanded
from taylornets.tabular._metrics import METRICS, Outputs
from taylornets.tabular._model_table import FITTED, Columns, open_model
from taylornets.tabular._problem import divide, labels_of
from taylornets.tabular._scores import score_of
from taylornets.tabular._split import groups_of, pooled
from taylornets.tabular._targets import RARE_CLASS, Targets

_DAMAGED = (
    ValueError, TypeError, AttributeError, IndexError, KeyError, RecursionError, OverflowError, ZeroDivisionError,
)  # fmt: skip


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model for the rows of a table.

    Args:
        frame: the column `prediction`, and for classifiers one column of probabilities per class.
        score: score if the table has the target, else None.
        rows: number of rows in the score.
        ignored: columns of the table that the model does not use.
        seen: whether the model was fitted on this table, so that most rows were used for training.
        unknown: class labels of the table that the model does not have; their rows are not scored.
        notes: full sentences about the table.
        metric: name and value of the metric of the fit, or None.
    """

    frame: pd.DataFrame
    score: float | None
    rows: int
    ignored: list[str]
    seen: bool = False
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metric: tuple[str, float] | None = None


@dataclass(frozen=True)
class Proof:
    """A certificate of a saved model.

    Args:
        certificate: certificate of its weights.
        rows: number of rows of the certified problem.
        same: whether these are the training rows of the model.
        error: bound on the error on new data; None for regression.
    """

    certificate: Certificate
    rows: int
    same: bool
    error: HoldOut | None = None


def read_for(columns: Columns, source: str, reading: Reading) -> DataTable:
    """Reads a table for a model, with the column types that the model expects.

    Raises:
        ArgumentError: for missing columns, or values that do not fit the kind of a column.
    """
    own = columns.reading
    table = scan(
        source,
        replace(
            reading, drop=(), categorical=(), numeric=(), strict=False, missing=(*own.missing, *reading.missing),
            dates=reading.dates or own.dates, recipes=own.recipes,
        ),
    )  # fmt: skip
    lacking = [name for name in columns.columns if name not in table.frame.columns]
    if lacking:
        more = f" and {len(lacking) - 1} more" if lacking[1:] else ""
        expected = f"the {len(columns.columns)} columns that the model was fitted on"
        advice = "The column names must match those listed in the report of the fit."
        raise _checks.ArgumentError("data", expected, f"a table without {lacking[0]!r}{more}", advice)
    return table.check(columns.columns)


def _inputs(columns: Columns, table: DataTable) -> pd.DataFrame:
    frame: Any = table.frame[columns.columns].copy()
    kinds = dict(columns.reading.recipes)
    for name in columns.columns:  # an empty column is read as numeric
        if kinds.get(name) == "date" and frame[name].dtype.kind != "M":
            frame[name] = np.full(len(frame), np.datetime64("NaT", "us"))
        elif name in columns.categories:
            frame[name] = frame[name].astype(object)
    found: Any = expanded(frame)
    try:
        return found[columns.inputs]
    except KeyError as error:
        got = f"a description of the table without {_checks.short(str(error))}"
        raise _checks.ArgumentError("model", FITTED, got, "Fit the model again.") from None


def _has_target(columns: Columns, table: DataTable) -> bool:
    return columns.target in table.frame.columns and bool(np.any(table.frame[columns.target].notna().to_numpy()))


def _targets(
    columns: Columns, table: DataTable, estimator: Any, strict: bool, seen: bool = False
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Returns a mask of rows with a known target, their targets in the type of the model, and unknown classes."""
    table = table.check([columns.target]) if strict else table
    column: Any = table.frame[columns.target]
    present = column.notna().to_numpy(copy=True)
    values = column[present].to_numpy()
    if columns.task == "classification":
        values = labels_of(values)
        if columns.rare == "merge":
            values = np.where(np.isin(values, estimator.classes_), values.astype(object), RARE_CLASS).astype(str)
        unknown = sorted(set(values) - set(estimator.classes_))
        if seen and columns.rare != "drop":  # after a split by time, classes that only held-out rows have
            return present, values, tuple(map(str, unknown))
        if unknown and strict and columns.rare != "drop":
            expected = f"class labels of the model in column {columns.target!r}"
            advice = "Remove rows with other labels from the file."
            raise _checks.ArgumentError("data", expected, f"{str(unknown[0])!r}", advice)
        known = np.isin(values, estimator.classes_)
        present[present] = known
        return present, values[known], tuple(map(str, unknown))
    if values.dtype == object:
        if strict:
            raise _checks.ArgumentError("data", f"numbers in the target column {columns.target!r}", f"{values[0]!r}")
        return np.zeros(len(column), bool), np.zeros(0), ()
    return present, values, ()


def predict(model: str, data: str, reading: Reading, interval: float | None = None) -> Predictions:
    """Predicts the rows of a table, which may or may not have the target.

    Args:
        model: model file or folder.
        data: the table, a file or `sklearn:NAME`.
        reading: how the table is read.
        interval: coverage of an interval (columns `low` and `high`), or of a set of classes (column `set`), from the test rows
            of the fit.

    Returns:
        One prediction per row.

    Raises:
        ArgumentError: for a file that is not a model, or a table that does not match it.
    """
    if interval is not None:
        check_level(interval, "interval")
    pipeline, columns = open_model(model)
    table = read_for(columns, data, reading)
    estimator = pipeline[-1]
    prepared = _transformed(pipeline, _inputs(columns, table))
    with _of_the_file():
        found = estimator.predict(prepared)
        frame = pd.DataFrame({"prediction": found})
        if columns.task == "classification":
            probabilities = estimator.predict_proba(prepared)
            for place, name in enumerate(estimator.classes_):
                frame[f"probability of {name}"] = probabilities[:, place]
        if interval is not None:
            frame = frame.assign(**_covering(estimator, prepared, interval, columns))
    ignored = [str(name) for name in table.frame.columns if name not in (*columns.columns, columns.target)]
    damaged = [str(error) for name, error in table.errors if name == columns.target]
    if not _has_target(columns, table) or damaged:
        notes = [f"The predictions are not scored. {damaged[0]}"] if damaged else []
        return Predictions(frame, None, 0, ignored, notes=(*table.notes, *notes))
    present, values, unknown = _targets(columns, table, estimator, strict=False)
    score = score_of(columns.task)(values, found[present]) if len(values) > 1 else None
    seen = table.digest([*columns.columns, columns.target]) == columns.digest
    metric = None if columns.metric is None or score is None else METRICS[columns.metric]
    own = (
        None
        if metric is None
        else (metric.words, metric.shown(metric(values, _outputs(frame.loc[present], estimator))))
    )
    return Predictions(frame, score, len(values), ignored, seen, unknown, metric=own, notes=table.notes)


def _outputs(frame: pd.DataFrame, estimator: Any) -> Outputs:
    """The predictions and probabilities of a frame of predictions."""
    classes = tuple(map(str, getattr(estimator, "classes_", ())))
    columns = [f"probability of {name}" for name in classes]
    return Outputs(frame["prediction"].to_numpy(), frame[columns].to_numpy() if classes else None, classes)


@contextlib.contextmanager
def _of_the_file() -> Generator[None]:
    """Turns what a damaged estimator or preprocessing raises into an error about the model file."""
    try:
        yield
    except _checks.ArgumentError:
        raise
    except _DAMAGED as error:
        got = f"a model that cannot be applied ({_checks.short(' '.join(str(error).split()))})"
        raise _checks.ArgumentError("model", FITTED, got, "Fit the model again.") from None


def _transformed(pipeline: Any, inputs: pd.DataFrame) -> np.ndarray:
    """Applies the saved preprocessing."""
    with _of_the_file():
        found = np.asarray(pipeline[:-1].transform(inputs), np.float64)
        if found.shape != (len(inputs), pipeline[-1].n_features_in_):
            raise ValueError(f"features of shape {found.shape}")
        return found


def _covering(estimator: Any, prepared: np.ndarray, level: float, columns: Columns) -> dict[str, Any]:
    """Returns the columns of intervals, or of sets of classes."""
    if getattr(estimator, "calibration_scores_", None) is None:
        cause = "one fitted on groups of rows" if columns.group else "one without scores of its test rows"
        cause = "one whose rows were split by time" if columns.division == "time" else cause
        raise _checks.ArgumentError("interval", "a model with test rows for intervals", cause, "Fit it again.")
    if columns.task == "regression":
        _, ends = estimator.predict(prepared, interval=level)
        return {"low": ends[:, 0], "high": ends[:, 1]}
    sets = estimator.predict_set(prepared, level)
    return {"set": [" ".join(map(str, estimator.classes_[row])) for row in sets]}


def certify(model: str, data: str, reading: Reading) -> Proof:
    """Re-certifies a model: bounds its optimality gap from the saved weights alone.

    On the table of the fit, the certified problem consists of the training rows; on another table, of all rows.

    Args:
        model: model file or folder.
        data: the table with the target, a file or `sklearn:NAME`.
        reading: how the table is read.

    Returns:
        The certificate.

    Raises:
        ArgumentError: for a file that is not a model, a table that does not match it, or a model without a certificate.
    """
    pipeline, columns = open_model(model)
    estimator = pipeline[-1]
    with _of_the_file():
        certifiable = models.get(estimator.model_).certifiable
    if not certifiable:
        raise _checks.ArgumentError(
            "model", "a model of order 1 or 2, which has a certificate", f"order {estimator.model_}"
        )
    table = read_for(columns, data, reading)
    if not _has_target(columns, table):
        raise _checks.ArgumentError("data", f"a table with the target column {columns.target!r}", "a table without it")
    same = table.digest([*columns.columns, columns.target]) == columns.digest
    present, values, _ = _targets(columns, table, estimator, strict=True, seen=same)
    rows = np.flatnonzero(present)
    if same:
        found = Targets(columns.task, "", values, present)
        frame: Any = table.frame.iloc[rows].reset_index(drop=True)
        dates = [name for name in columns.columns if frame[name].dtype.kind == "M"]
        split = divide(found, frame, dates, columns.division, columns.seed, _groups(columns, frame))
        train = (pooled(split) if columns.cv else split).train
        rows, values = rows[train], values[train]
    features = _transformed(pipeline, _inputs(columns, table).iloc[rows])
    with _of_the_file():
        error = _error(columns, estimator, features, values, same)
        return Proof(estimator.certify(features, values), len(rows), same, error)


def _error(columns: Columns, estimator: Any, features: np.ndarray, values: np.ndarray, same: bool) -> HoldOut | None:
    """Returns the bound on the error: that of the fit on its own table, else one from all rows, which are new."""
    if columns.task != "classification":
        return None
    if same:
        return getattr(estimator, "certificate_of_error_", None)
    condition = "Clopper–Pearson, provided that none of these rows was used for fitting"
    return replace(holdout(estimator.predict(features) == values), method=condition)


def _groups(columns: Columns, rows: Any) -> np.ndarray | None:
    """Returns the groups of the rows with a target, as at the fit."""
    if columns.group is None:
        return None
    if columns.group not in rows.columns:
        expected = f"a table with the column {columns.group!r}, whose groups the split kept together"
        raise _checks.ArgumentError("data", expected, "a table without it")
    return groups_of(rows[columns.group])
