"""Saved models applied to tables: required columns, predictions, and certificates on new data."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from taylornets import _checks, models
from taylornets.certificates import Certificate
from taylornets.datafiles import DataTable, Reading
from taylornets.datafiles import read as read_table
from taylornets.estimators import load
from taylornets.generalization import HoldOut, check_level, holdout
from taylornets.tabular._problem import TableProblem, groups_of, labels_of, split_of
from taylornets.tabular._scores import score_of

MODEL = "model.safetensors"
_FITTED = "a model saved by `taylornets fit`"


@dataclass(frozen=True)
class Columns:
    """Description of the table that a model was fitted on.

    Args:
        target: the target column.
        task: `"classification"` or `"regression"`.
        numbers: numeric input columns.
        categories: categorical (string) input columns.
        seed: random seed of the split.
        digest: hash of inputs and target, including rows without a target.
        text_target: whether the target was read as strings; class labels may also be numbers.
        group: column whose groups were kept in one part of the split, or None.
    """

    target: str
    task: str
    numbers: list[str]
    categories: list[str]
    seed: int
    digest: str
    text_target: bool
    group: str | None = None

    @property
    def inputs(self) -> list[str]:
        """All input columns."""
        return [*self.numbers, *self.categories]


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model for the rows of a table.

    Args:
        frame: the column `prediction`, and for classifiers one column of probabilities per class.
        score: score if the table has the target, else None.
        rows: number of rows in the score.
        ignored: columns of the table that the model does not use.
        seen: whether the model was fitted on this table, so that most rows were used for training.
    """

    frame: pd.DataFrame
    score: float | None
    rows: int
    ignored: list[str]
    seen: bool = False


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


def describe(problem: TableProblem, table: DataTable, seed: int) -> Columns:
    """Describes the table of a problem, to be saved with the model."""
    names, column = [*problem.numbers, *problem.categories], table.frame[problem.target]
    digest = table.digest([*names, problem.target])
    return Columns(
        problem.target, problem.task, problem.numbers, problem.categories, seed, digest, column.dtype == object,
        problem.group,
    )  # fmt: skip


def whole(steps: ColumnTransformer, model: Any, columns: Columns) -> Pipeline:
    """Combines preprocessing and model into one estimator with the description of its table."""
    pipeline: Any = Pipeline([("prepare", steps), ("model", model)])
    pipeline.table_ = asdict(columns)
    return pipeline


def open_model(model: str) -> tuple[Any, Columns]:
    """Loads a model file, or the model in an output folder of `taylornets fit`.

    Raises:
        ArgumentError: if there is no such model.
    """
    path = Path(model)
    try:
        path = path / MODEL if path.is_dir() else path
        if path.exists() and not path.is_file():
            raise _checks.ArgumentError("model", _FITTED, f"{path}, which is a folder, a device or a pipe")
        pipeline = load(path)
    except _checks.ArgumentError as error:
        raise error.renamed("model") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise _checks.ArgumentError("model", _FITTED, f"{path} ({why})") from None
    if not hasattr(pipeline, "table_"):
        got = f"{path}, which does not contain a description of its table"
        raise _checks.ArgumentError("model", _FITTED, got, "Load it in Python with `taylornets.load`.")
    return pipeline, Columns(**pipeline.table_)


def read_for(columns: Columns, source: str, reading: Reading) -> DataTable:
    """Reads a table for a model, with the column types that the model expects.

    Raises:
        ArgumentError: for missing columns, or strings in a numeric column.
    """
    categories = (*columns.categories, *([columns.target] if columns.text_target else []))
    table = read_table(
        source, Reading(reading.encoding, reading.separator, reading.decimal, (), categories, strict=False)
    )
    lacking = [name for name in columns.inputs if name not in table.frame.columns]
    if lacking:
        more = f" and {len(lacking) - 1} more" if lacking[1:] else ""
        expected = f"the {len(columns.inputs)} columns that the model was fitted on"
        raise _checks.ArgumentError("data", expected, f"a table without {lacking[0]!r}{more}")
    for name in columns.numbers:
        if table.frame[name].dtype == object:
            first = table.frame[name].dropna().iloc[0]
            raise _checks.ArgumentError("data", f"numbers in column {name!r}, as during fitting", f"{first!r}")
    return table


def _inputs(columns: Columns, table: DataTable) -> pd.DataFrame:
    frame: Any = table.frame[columns.inputs].copy()
    for name in columns.categories:  # an empty column is read as numeric
        frame[name] = frame[name].astype(object)
    return frame


def _has_target(columns: Columns, table: DataTable) -> bool:
    return columns.target in table.frame.columns and bool(np.any(table.frame[columns.target].notna().to_numpy()))


def _targets(columns: Columns, table: DataTable, pipeline: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns a mask of rows with a target, and their targets in the type of the model."""
    column: Any = table.frame[columns.target]
    present = column.notna().to_numpy()
    values = column[present].to_numpy()
    if columns.task == "classification":
        values = labels_of(values)
        unknown = sorted(set(values) - set(pipeline.classes_))
        if unknown:
            expected = f"class labels of the model in column {columns.target!r}"
            raise _checks.ArgumentError("data", expected, f"{str(unknown[0])!r}")
    elif values.dtype == object:
        raise _checks.ArgumentError("data", f"numbers in the target column {columns.target!r}", f"{values[0]!r}")
    return present, values


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
    prepared = pipeline[:-1].transform(_inputs(columns, table))
    estimator = pipeline[-1]
    found = estimator.predict(prepared)
    frame = pd.DataFrame({"prediction": found})
    if columns.task == "classification":
        probabilities = estimator.predict_proba(prepared)
        for place, name in enumerate(estimator.classes_):
            frame[f"probability of {name}"] = probabilities[:, place]
    if interval is not None:
        frame = frame.assign(**_covering(estimator, prepared, interval, columns))
    ignored = [str(name) for name in table.frame.columns if name not in (*columns.inputs, columns.target)]
    if not _has_target(columns, table):
        return Predictions(frame, None, 0, ignored)
    present, values = _targets(columns, table, estimator)
    score = score_of(columns.task)(values, found[present]) if len(values) > 1 else None
    seen = table.digest([*columns.inputs, columns.target]) == columns.digest
    return Predictions(frame, score, len(values), ignored, seen)


def _covering(estimator: Any, prepared: np.ndarray, level: float, columns: Columns) -> dict[str, Any]:
    """Returns the columns of intervals, or of sets of classes."""
    if getattr(estimator, "calibration_scores_", None) is None:
        cause = "one fitted on groups of rows" if columns.group else "one without scores of its test rows"
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
    if not models.get(estimator.model_).certifiable:
        raise _checks.ArgumentError(
            "model", "a model of order 1 or 2, which has a certificate", f"order {estimator.model_}"
        )
    table = read_for(columns, data, reading)
    if not _has_target(columns, table):
        raise _checks.ArgumentError("data", f"a table with the target column {columns.target!r}", "a table without it")
    present, values = _targets(columns, table, estimator)
    rows = np.flatnonzero(present)
    same = table.digest([*columns.inputs, columns.target]) == columns.digest
    if same:
        labels = values if columns.task == "classification" else None
        train = split_of(labels, len(values), columns.seed, _groups(columns, table, present)).train
        rows, values = rows[train], values[train]
    features = pipeline[:-1].transform(_inputs(columns, table).iloc[rows])
    error = None
    if columns.task == "classification" and same:
        error = getattr(estimator, "certificate_of_error_", None)
    elif columns.task == "classification":
        condition = "Clopper–Pearson, provided that none of these rows was used for fitting"
        error = replace(holdout(estimator.predict(features) == values), method=condition)
    return Proof(estimator.certify(features, values), len(rows), same, error)


def _groups(columns: Columns, table: DataTable, present: np.ndarray) -> np.ndarray | None:
    """Returns the groups of the rows with a target, as at the fit."""
    if columns.group is None:
        return None
    names = [str(name) for name in table.frame.columns]
    return groups_of(table.frame[present].reset_index(drop=True), columns.group, columns.target, names)
