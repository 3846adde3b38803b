"""The description of the table that a model was fitted on, saved with the model, and model files that are opened."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from taylornets import _checks
from taylornets._measures import TASKS
from taylornets.datafiles import DataTable, Reading
from taylornets.estimators import load
from taylornets.tabular._metrics import METRICS
from taylornets.tabular._problem import TableProblem
from taylornets.tabular._split import SPLITS
from taylornets.tabular._targets import RARE

MODEL = "model.safetensors"
FITTED = "a model saved by `taylornets fit`"


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
        sources: columns of the table that the inputs are made of; the features of dates are inputs, not columns.
        recipes: pairs of a column and how it was read.
        missing: further words that mean a missing value.
        dates: order of day and month.
        division: how the rows were split.
        rare: what was done with rare classes.
        group: column whose groups were kept in one part of the split, or None.
        cv: number of folds that took the place of the validation rows, or None.
        metric: name of the metric that selected the penalty, or None for the default.
    """

    target: str
    task: str
    numbers: list[str]
    categories: list[str]
    seed: int
    digest: str
    text_target: bool
    sources: tuple[str, ...] = ()
    recipes: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    dates: str | None = None
    division: str = "random"
    rare: str | None = None
    group: str | None = None
    cv: int | None = None
    metric: str | None = None

    @property
    def inputs(self) -> list[str]:
        """All input features."""
        return [*self.numbers, *self.categories]

    @property
    def columns(self) -> list[str]:
        """The columns of a table that the model needs."""
        return list(self.sources) or self.inputs

    @property
    def reading(self) -> Reading:
        """How the table was read."""
        texts = [*self.categories, *([self.target] if self.text_target else [])]
        recipes = self.recipes or tuple(
            [(name, "number") for name in self.numbers] + [(name, "text") for name in texts]
        )
        return Reading(missing=self.missing, dates=self.dates, recipes=recipes, strict=False)


def describe(
    problem: TableProblem, table: DataTable, seed: int, reading: Reading | None = None, metric: str | None = None
) -> Columns:
    """Describes the table of a problem, to be saved with the model."""
    names, column = problem.sources or [*problem.numbers, *problem.categories], table.frame[problem.target]
    read = [*names, problem.target, *([] if problem.group is None else [problem.group])]
    recipes = tuple((name, table.info(name).recipe) for name in read) if table.infos else ()
    reading = reading or Reading()
    return Columns(
        problem.target, problem.task, problem.numbers, problem.categories, seed, table.digest([*names, problem.target]),
        column.dtype == object, tuple(names), recipes, reading.missing, reading.dates, problem.division, problem.rare,
        problem.group, problem.cv, metric,
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
            raise _checks.ArgumentError("model", FITTED, f"{path}, which is a folder, a device or a pipe")
        pipeline = load(path)
    except _checks.ArgumentError as error:
        raise error.renamed("model") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise _checks.ArgumentError("model", FITTED, f"{path} ({why})") from None
    if not hasattr(pipeline, "table_"):
        got = f"{path}, which does not contain a description of its table"
        raise _checks.ArgumentError("model", FITTED, got, "Load it in Python with `taylornets.load`.")
    return pipeline, _checked(pipeline, path)


def _checked(pipeline: Any, path: Path) -> Columns:
    """Returns the description of the table; rejects a file whose parts do not fit together."""
    try:
        columns: Any = Columns(**pipeline.table_)
        texts = [columns.target, columns.task, columns.digest, *columns.columns, *columns.inputs, *columns.missing]
        texts += [text for pair in columns.recipes for text in pair]
        whole = isinstance(pipeline, Pipeline) and len(pipeline.steps) == 2 and hasattr(pipeline[-1], "predict")
        valid = whole and all(isinstance(text, str) for text in texts) and columns.task in TASKS[1:]
        valid = valid and columns.division in SPLITS and columns.rare in (None, *RARE) and isinstance(columns.seed, int)
        valid = valid and isinstance(columns.group, str | None) and isinstance(columns.cv, int | None)
        valid = valid and columns.metric in (None, *METRICS)
        valid = valid and columns.dates in (None, "dmy", "mdy") and all(len(pair) == 2 for pair in columns.recipes)
        valid = valid and all(
            isinstance(names, list | tuple) for names in (columns.numbers, columns.categories, columns.sources)
        )
    except (TypeError, ValueError, AttributeError, IndexError):
        valid, columns = False, None
    if not valid or columns is None:
        got = f"{path}, whose description of the table is damaged"
        raise _checks.ArgumentError("model", FITTED, got, "Fit the model again.")
    return columns
