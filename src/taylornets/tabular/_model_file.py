"""A saved model and a table: the columns that it needs, its predictions, and its certificate on new data."""

from dataclasses import asdict, dataclass
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
from taylornets.tabular._problem import TableProblem, labels_of, split_of
from taylornets.tabular._scores import score_of

MODEL = "model.safetensors"
_FITTED = "a model that `taylornets fit` has written"


@dataclass(frozen=True)
class Columns:
    """The table that a model was fitted on.

    Args:
        target: the column that it predicts.
        task: `"classification"` or `"regression"`.
        numbers: input columns of numbers.
        categories: input columns of strings.
        seed: of the split.
        digest: of inputs and target, rows without a target included.
        text_target: whether the target was read as strings; numbers stand for classes, too.
    """

    target: str
    task: str
    numbers: list[str]
    categories: list[str]
    seed: int
    digest: str
    text_target: bool

    @property
    def inputs(self) -> list[str]:
        """All input columns."""
        return [*self.numbers, *self.categories]


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model for the rows of a table.

    Args:
        frame: the column `prediction`, and for classifiers one of probabilities for each class.
        score: where the table has the target, else none.
        rows: how many of them count in the score.
        ignored: columns of the table that the model does not use.
        seen: whether it is the table of the fit, so that most of its rows have been trained on.
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
        certificate: of its weights.
        rows: of the problem that it is about.
        same: whether these are the rows that it was trained on.
    """

    certificate: Certificate
    rows: int
    same: bool


def describe(problem: TableProblem, table: DataTable, seed: int) -> Columns:
    """What is saved with a model of a problem."""
    names, column = [*problem.numbers, *problem.categories], table.frame[problem.target]
    digest = table.digest([*names, problem.target])
    return Columns(
        problem.target, problem.task, problem.numbers, problem.categories, seed, digest, column.dtype == object
    )


def whole(steps: ColumnTransformer, model: Any, columns: Columns) -> Pipeline:
    """Preparation and model as one estimator, which knows its table."""
    pipeline: Any = Pipeline([("prepare", steps), ("model", model)])
    pipeline.table_ = asdict(columns)
    return pipeline


def open_model(model: str) -> tuple[Any, Columns]:
    """Reads a model file, or the one in a folder that `taylornets fit` has written.

    Raises:
        ArgumentError: for anything else.
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
        came = f"{path}, which does not describe its table"
        raise _checks.ArgumentError("model", _FITTED, came, "Use it in Python, with taylornets.load.")
    return pipeline, Columns(**pipeline.table_)


def read_for(columns: Columns, source: str, reading: Reading) -> DataTable:
    """Reads a table for a model, strings where it expects strings.

    Raises:
        ArgumentError: for a table without the columns that the model needs, or with words where it needs numbers.
    """
    categories = (*columns.categories, *([columns.target] if columns.text_target else []))
    table = read_table(
        source, Reading(reading.encoding, reading.separator, reading.decimal, (), categories, strict=False)
    )
    lacking = [name for name in columns.inputs if name not in table.frame.columns]
    if lacking:
        more = f" and {len(lacking) - 1} more" if lacking[1:] else ""
        needed = f"the {len(columns.inputs)} columns that the model was fitted on"
        raise _checks.ArgumentError("data", needed, f"a table without {lacking[0]!r}{more}")
    for name in columns.numbers:
        if table.frame[name].dtype == object:
            first = table.frame[name].dropna().iloc[0]
            raise _checks.ArgumentError("data", f"numbers in column {name!r}, as in fit", f"{first!r}")
    return table


def _inputs(columns: Columns, table: DataTable) -> pd.DataFrame:
    frame: Any = table.frame[columns.inputs].copy()
    for name in columns.categories:  # a column without any value has been read as numbers
        frame[name] = frame[name].astype(object)
    return frame


def _has_target(columns: Columns, table: DataTable) -> bool:
    return columns.target in table.frame.columns and bool(np.any(table.frame[columns.target].notna().to_numpy()))


def _targets(columns: Columns, table: DataTable, pipeline: Any) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have a target, and the targets of these, as the model knows them."""
    column: Any = table.frame[columns.target]
    present = column.notna().to_numpy()
    values = column[present].to_numpy()
    if columns.task == "classification":
        values = labels_of(values)
        unknown = sorted(set(values) - set(pipeline.classes_))
        if unknown:
            needed = f"classes of the model in column {columns.target!r}"
            raise _checks.ArgumentError("data", needed, f"{str(unknown[0])!r}")
    elif values.dtype == object:
        raise _checks.ArgumentError("data", f"numbers in the target column {columns.target!r}", f"{values[0]!r}")
    return present, values


def predict(model: str, data: str, reading: Reading) -> Predictions:
    """Predicts the rows of a table; the target may be there or not.

    Args:
        model: file or folder.
        data: of the table.
        reading: how the table is read.

    Returns:
        Predictions, one for each row.

    Raises:
        ArgumentError: for a file that is no model or no table for it.
    """
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
    ignored = [str(name) for name in table.frame.columns if name not in (*columns.inputs, columns.target)]
    if not _has_target(columns, table):
        return Predictions(frame, None, 0, ignored)
    present, values = _targets(columns, table, estimator)
    score = score_of(columns.task)(values, found[present]) if len(values) > 1 else None
    seen = table.digest([*columns.inputs, columns.target]) == columns.digest
    return Predictions(frame, score, len(values), ignored, seen)


def certify(model: str, data: str, reading: Reading) -> Proof:
    """Re-certifies a model: from the saved weights alone, how far they are from the optimum.

    On the table that the model was fitted on, the problem is that of its training rows; on another one, of all its rows.

    Args:
        model: file or folder.
        data: of the table, with the target.
        reading: how the table is read.

    Returns:
        The certificate.

    Raises:
        ArgumentError: for a file that is no model or no table for it, and for models that have no certificate.
    """
    pipeline, columns = open_model(model)
    estimator = pipeline[-1]
    if not models.get(estimator.model_).certifiable:
        raise _checks.ArgumentError(
            "model", "a model of order 1 or 2, which has a certificate", f"order {estimator.model_}"
        )
    table = read_for(columns, data, reading)
    if not _has_target(columns, table):
        raise _checks.ArgumentError("data", f"a table with the target {columns.target!r}", "one without")
    present, values = _targets(columns, table, estimator)
    rows = np.flatnonzero(present)
    same = table.digest([*columns.inputs, columns.target]) == columns.digest
    if same:
        labels = values if columns.task == "classification" else None
        train = split_of(labels, len(values), columns.seed).train
        rows, values = rows[train], values[train]
    features = pipeline[:-1].transform(_inputs(columns, table).iloc[rows])
    return Proof(estimator.certify(features, values), len(rows), same)
