"""The commands and their options, and the mapping from exceptions to a one-line message and an exit code."""

import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import jax
import typer

from taylornets._checks import ArgumentError
from taylornets.cli import load
from taylornets.cli._options import (
    After,
    Before,
    Data,
    Decimal,
    Encoding,
    Groups,
    Model,
    Pickle,
    Separator,
    Task,
    Text,
    number,
    once,
    whole,
)
from taylornets.cli._wording import translated, word

DONE, BROKEN, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="taylornets",
    help="Taylor models of wide neural networks: fit, certify, diagnose, and test the claims of the theory numerically.",
    epilog="Exit codes: 0 success, and every claim held; 1 a claim did not hold; 2 invalid request; 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# Arguments of the running command, quoted in the report.
_words: list[str] = []


def _version(asked: bool) -> bool:
    if asked:
        print(f"taylornets {metadata.version('taylornets')}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Does nothing; the commands do the work."""


@app.command()
def reproduce(
    claim: Annotated[
        list[str] | None, typer.Option("--claim", metavar="NAME", help="Test only this claim; may be repeated.")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", metavar="quick|full", help="Amount of computation.")] = "quick",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the report.")] = Path("reproduction"),
    seed: Annotated[int, whole("--seed", "N", "Random seed.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    workers: Annotated[
        int | None, whole("--workers", "N", "Claims tested in parallel; default: one per CPU core, 1 on a GPU.")
    ] = None,
) -> int:
    """Test every claim of the theory on this machine and write a report."""
    return load("_reproduce").run(
        tuple(claim or ()), profile=profile, out=out, seed=seed, resume=resume, workers=workers
    )


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder written by reproduce, fit or diagnose.")],
) -> int:
    """Rebuild a report from its saved records without recomputing anything."""
    return load("_reproduce").rebuild(directory)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="Grid; see docs/sweeps.md.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the database and the tables.")] = Path(
        "sweep"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Resume the sweep in this folder.")] = False,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Running Dask scheduler; default: a local one."),
    ] = None,
    workers: Annotated[int | None, whole("--workers", "N", "Local processes; default: one per CPU core.")] = None,
) -> int:
    """Run a grid of learning problems on this machine or a cluster and export the results as a table."""
    return load("_sweep").run(config, out=out, resume=resume, scheduler=scheduler, workers=workers)


@app.command()
def fit(
    data: Data,
    target: Annotated[list[str] | None, typer.Option("--target", metavar="COLUMN", help="Target column.")] = None,
    order: Annotated[int, whole("--order", "K", "Order of the Taylor model; 1 is the NTK model.")] = 2,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for model and report.")] = Path("fit"),
    task: Task = "auto",
    width: Annotated[int, whole("--width", "M", "Number of hidden units (even).")] = 256,
    penalty: Annotated[
        float | None, number("--penalty", "NUMBER", "Penalty λ; selected on validation rows by default.")
    ] = None,
    rank: Annotated[
        int | None, whole("--rank", "R", "Copies of each hidden unit; by default as many as the optimum requires.")
    ] = None,
    seed: Annotated[int, whole("--seed", "N", "Random seed of the data split and the network.")] = 0,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="COLUMN", help="Exclude this column; may be repeated.")
    ] = None,
    drop_constant: Annotated[bool, typer.Option("--drop-constant", help="Exclude empty and constant columns.")] = False,
    categorical: Annotated[
        list[str] | None,
        typer.Option("--categorical", metavar="COLUMN", help="Treat a numeric column as categorical; may be repeated."),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="COLUMN", help="Keep rows with equal values in one part of the split."),
    ] = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: Decimal = ".",
) -> int:
    """Train a Taylor model on a table, certify it, and compare its score with baselines."""
    options = {
        "target": once("--target", target), "order": order, "out": out, "task": task, "width": width, "penalty": penalty,
        "rank": rank, "seed": seed, "drop": tuple(drop or ()), "drop_constant": drop_constant,
        "categorical": tuple(categorical or ()), "encoding": encoding, "separator": separator, "decimal": decimal,
        "group": once("--group", group),
    }  # fmt: skip
    return load("_fit").run_fit(load("_requests").request(data, options))


@app.command()
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
    decimal: Decimal = ".",
) -> int:
    """Predict the target for each row of a table with a saved model."""
    reading = load("_requests").reading(encoding, separator, decimal)
    return load("_fit").run_predict(model, data, out, reading, interval)


@app.command()
def certify(
    model: Model, data: Data, encoding: Encoding = None, separator: Separator = None, decimal: Decimal = "."
) -> int:
    """Re-certify a saved model: bound its optimality gap from the weights alone."""
    return load("_fit").run_certify(model, data, load("_requests").reading(encoding, separator, decimal))


@app.command()
def diagnose(
    where: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE.py:FACTORY", help="Function that returns your model; see --init and docs/regime.md."
        ),
    ] = None,
    init: Annotated[bool, typer.Option("--init", help="Write a starter FILE.py that runs as is.")] = False,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DATA", help="Replaces the data of the factory: NPZ with x and y, or a table."),
    ] = None,
    before: Before = None,
    after: After = None,
    text: Text = None,
    groups: Groups = None,
    pickle: Pickle = False,
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="COLUMN", help="Target column of the table.")
    ] = None,
    task: Task = "auto",
    loss: Annotated[
        str | None, typer.Option("--loss", metavar="NAME", help="Replaces the loss of the factory: softmax, squared, …")
    ] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoints", metavar="PATH", help="Read saved parameters instead of training; may be repeated."
        ),
    ] = None,
    start: Annotated[
        str, typer.Option("--start", metavar="factory|first", help="Initial parameters for a series of checkpoints.")
    ] = "factory",
    fixed: Annotated[
        str | None,
        typer.Option("--fixed", metavar="start|end", help="Which non-trainable leaves to use where they differ."),
    ] = None,
    orders: Annotated[
        str, typer.Option("--orders", metavar="1,2,3", help="Orders of the Taylor models to train.")
    ] = "1,2,3",
    max_order: Annotated[int, whole("--max-order", "K", "Largest order of the Taylor expansion.")] = 4,
    steps: Annotated[int, whole("--steps", "N", "Number of training steps.")] = 300,
    batch_size: Annotated[int, whole("--batch-size", "N", "Examples per minibatch.")] = 64,
    probe: Annotated[int, whole("--probe", "N", "Maximum number of probe examples.")] = 500,
    learning_rate: Annotated[
        float, number("--learning-rate", "RATE", "For a model without an optimizer (SGD, momentum 0.9).")
    ] = 0.05,
    threshold: Annotated[
        float, number("--threshold", "FRACTION", "Part of the output change that an order must explain.")
    ] = 0.9,
    tolerance: Annotated[float, number("--tolerance", "FRACTION", "Relative error that counts as close.")] = 0.1,
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="HxW|no", help="Shape of an input image, or no; inferred by default."),
    ] = None,
    seed: Annotated[int, whole("--seed", "N", "Random seed of the data split and the minibatches.")] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the report.")] = Path("diagnosis"),
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    x64: Annotated[bool, typer.Option("--x64", help="Compute in float64.")] = False,
) -> int:
    """Report which order of the Taylor expansion explains the training of your own network."""
    room = load("_diagnose")
    if init:
        return room.init(where)
    if where is None and before is None and after is None:
        raise ArgumentError("FILE.py:FACTORY", "a file and a function in it", "none", "`--init` writes a starter file.")
    options = {
        "before": before, "after": after, "text": text, "groups": groups, "pickle": pickle,
        "data": data, "target": once("--target", target), "task": task, "loss": loss, "checkpoints": tuple(checkpoints or ()),
        "start": start, "fixed": fixed, "orders": room.orders("--orders", orders), "max_order": max_order, "steps": steps,
        "batch_size": batch_size, "probe": probe, "learning_rate": learning_rate, "threshold": threshold,
        "tolerance": tolerance, "image_shape": room.image_shape(images), "seed": seed, "out": out, "resume": resume,
    }  # fmt: skip
    return room.run(where or "", options, _words, x64)


@app.command()
def doctor() -> int:
    """Report the installed versions, the available devices, and any missing dependencies."""
    return load("_doctor").run()


def _terminate(_signum: int, _frame: FrameType | None) -> NoReturn:
    """Handles SIGTERM like Ctrl-C, so that finished claims are kept."""
    raise KeyboardInterrupt


def _reject(message: str) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return WRONG_REQUEST


def _usage(error: typer.TyperException) -> str:
    """Returns the parser's message; for an invalid value, the message starts with the option, like all others."""
    if isinstance(error, typer.BadParameter) and error.param is not None and error.message:
        return f"{word(error.param)}: {error.message}"
    return error.format_message()


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command with float64 enabled and returns the exit code.

    Args:
        arguments: command-line arguments after `taylornets`; defaults to `sys.argv[1:]`.
    """
    jax.config.update("jax_enable_x64", True)
    words = list(sys.argv[1:] if arguments is None else arguments)
    _words[:] = words
    if not words:
        return _reject(
            "COMMAND: expected one of fit, predict, certify, diagnose, reproduce, report, sweep, doctor, got none. "
            "See `taylornets --help`."
        )
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(app(args=words, prog_name="taylornets", standalone_mode=False) or DONE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.TyperException as error:
        return _reject(f"{_usage(error).rstrip('.?')}. See `taylornets --help`.")
    except ArgumentError as error:
        return _reject(translated(error, words[0], typer.main.get_group(app).commands))
    except OSError as error:
        return _reject(f"{error.filename}: {error.strerror}." if error.filename else str(error))
    finally:
        signal.signal(signal.SIGTERM, previous)
