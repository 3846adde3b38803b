"""The commands for tables and their options: `fit`, `predict`, `certify` and `compare`."""

from pathlib import Path
from typing import Annotated

import typer

from taylornets.cli import load
from taylornets.cli._help import Listed
from taylornets.cli._options import number, once, whole
from taylornets.cli._root import app

_READ, _COLUMNS, _ROWS, _MODEL = "Reading the file", "Columns", "Rows and task", "Model"


def _file(option: str, metavar: str, text: str) -> typer.models.OptionInfo:
    return typer.Option(option, metavar=metavar, help=text, rich_help_panel=_READ)


def _column(option: str, text: str) -> typer.models.OptionInfo:
    return typer.Option(option, metavar="COLUMN", help=text, rich_help_panel=_COLUMNS)


def _row(option: str, metavar: str, text: str) -> typer.models.OptionInfo:
    return typer.Option(option, metavar=metavar, help=text, rich_help_panel=_ROWS)


Encoding = Annotated[str | None, _file("--encoding", "NAME", "Encoding, or mixed for UTF-8 and Windows-1252 together.")]
Separator = Annotated[str | None, _file("--separator", "CHARACTER", "Column separator.")]
Decimal = Annotated[str | None, _file("--decimal", ".|,", "Decimal separator; detected for each column.")]
Missing = Annotated[list[str] | None, _file("--missing", "WORD", "String that marks a missing value; may be repeated.")]
Dates = Annotated[str | None, _file("--dates", "dmy|mdy", "Order of day and month in dates.")]
SkipLines = Annotated[int, whole("--skip-lines", "N", "Number of lines before the column names.", _READ)]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="The first line has no column names.", rich_help_panel=_READ)
]
Data = Annotated[str, typer.Argument(metavar="DATA", help="CSV (also .gz), Parquet or NPZ file, or sklearn:NAME.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Model file or output folder of `fit`.")]


@app.command(cls=Listed, rich_help_panel="Tables")
def fit(
    data: Data,
    target: Annotated[list[str] | None, _column("--target", "Target column.")] = None,
    drop: Annotated[list[str] | None, _column("--drop", "Exclude this column; may be repeated.")] = None,
    categorical: Annotated[
        list[str] | None, _column("--categorical", "Treat this column as categorical; may be repeated.")
    ] = None,
    numeric: Annotated[list[str] | None, _column("--numeric", "Read this column as numbers; may be repeated.")] = None,
    drop_constant: Annotated[
        bool,
        typer.Option("--drop-constant", help="Has no effect: empty and constant columns are left out.", hidden=True),
    ] = False,
    task: Annotated[
        str, _row("--task", "auto|classification|regression", "Inferred from the target by default.")
    ] = "auto",
    rare: Annotated[str | None, _row("--rare", "drop|merge", "Classes of fewer than 3 rows.")] = None,
    split: Annotated[str, _row("--split", "random|time", "With time, the last rows are the test rows.")] = "random",
    group: Annotated[
        list[str] | None, _row("--group", "COLUMN", "Keep rows with equal values in one part of the split.")
    ] = None,
    cv: Annotated[
        int | None, whole("--cv", "K", "K-fold cross-validation of the penalty and the score.", _ROWS)
    ] = None,
    metric: Annotated[
        str | None, _row("--metric", "NAME", "Select the penalty by this score: f1_macro, roc_auc, …")
    ] = None,
    seed: Annotated[int, whole("--seed", "N", "Random seed of the split and the network.", _ROWS)] = 0,
    order: Annotated[int, whole("--order", "K", "Order of the Taylor model; 1 is the NTK model.", _MODEL)] = 2,
    width: Annotated[int, whole("--width", "M", "Number of hidden units (even).", _MODEL)] = 256,
    penalty: Annotated[
        float | None, number("--penalty", "NUMBER", "Penalty λ; selected on the validation rows by default.", _MODEL)
    ] = None,
    rank: Annotated[
        int | None,
        whole("--rank", "R", "Copies of each unit; by default as many as needed.", _MODEL),
    ] = None,
    time_limit: Annotated[
        float | None,
        number("--time-limit", "SECONDS", "Limit on training time; returns the best model so far.", _MODEL),
    ] = None,
    no_compare: Annotated[
        bool,
        typer.Option("--no-compare", help="Train no baselines and no learning curve.", rich_help_panel=_MODEL),
    ] = False,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: Decimal = None,
    missing: Missing = None,
    dates: Dates = None,
    skip_lines: SkipLines = 0,
    no_header: NoHeader = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for model and report.")] = Path("fit"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show how the table is read, and stop.")] = False,
) -> int:
    """Train a Taylor model on a table, certify it, and compare it with baselines."""
    options = {
        "target": once("--target", target), "order": order, "out": out, "task": task, "width": width, "penalty": penalty,
        "rank": rank, "seed": seed, "drop": tuple(drop or ()), "drop_constant": drop_constant, "rare": rare, "split": split,
        "categorical": tuple(categorical or ()), "numeric": tuple(numeric or ()), "encoding": encoding,
        "separator": separator, "decimal": decimal, "missing": tuple(missing or ()), "dates": dates,
        "skip_lines": skip_lines, "no_header": no_header, "time_limit": time_limit, "group": once("--group", group),
        "cv": cv, "metric": metric, "no_compare": no_compare,
    }  # fmt: skip
    return load("_fit").run_fit(load("_requests").request(data, options), dry_run=dry_run)


@app.command(cls=Listed, rich_help_panel="Tables")
def predict(
    model: Model,
    data: Data,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="CSV or Parquet file; standard output by default.")
    ] = None,
    interval: Annotated[
        float | None,
        number("--interval", "LEVEL", "Add intervals or sets that cover the target with this probability."),
    ] = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: Decimal = None,
    missing: Missing = None,
    dates: Dates = None,
    skip_lines: SkipLines = 0,
    no_header: NoHeader = False,
) -> int:
    """Predict the target for each row of a table with a saved model."""
    reading = load("_requests").reading(encoding, separator, decimal, missing, dates, skip_lines, no_header)
    return load("_fit").run_predict(model, data, out, reading, interval)


@app.command(cls=Listed, rich_help_panel="Tables")
def certify(
    model: Model,
    data: Data,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: Decimal = None,
    missing: Missing = None,
    dates: Dates = None,
    skip_lines: SkipLines = 0,
    no_header: NoHeader = False,
) -> int:
    """Re-certify a saved model: bound its optimality gap from the weights alone."""
    reading = load("_requests").reading(encoding, separator, decimal, missing, dates, skip_lines, no_header)
    return load("_fit").run_certify(model, data, reading)


@app.command(cls=Listed, rich_help_panel="Tables")
def export(
    model: Model,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.py", help="The program; the weights go into FILE.npz next to it.")
    ] = Path("predict.py"),
) -> int:
    """Write a model as a short Python program that predicts with NumPy alone."""
    return load("_fit").run_export(model, out)


@app.command(cls=Listed, rich_help_panel="Tables")
def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN1", help="Output folder of `fit`.")],
    second: Annotated[Path, typer.Argument(metavar="RUN2", help="Output folder of another `fit`.")],
) -> int:
    """Compare two fits: scores, certificates, and the settings in which they differ."""
    return load("_fit").run_compare(first, second)
