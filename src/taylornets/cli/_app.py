"""The commands with their options, and the way from an exception to one line and an exit code."""

import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import jax
import typer

from taylornets import _checks
from taylornets._checks import ArgumentError
from taylornets.cli import load

DONE, BROKEN, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="taylornets",
    help="Taylor models of wide neural networks: checks the theory on this machine and reports what came out.",
    epilog="Exit codes: 0 done and every claim held; 1 a claim did not hold; 2 the request was wrong; 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# The words of the command under way, which a report quotes.
_words: list[str] = []


def _integer(option: str, word: str) -> int:
    """An option's integer; unlike the parser's own message, the refusal says what came."""
    try:
        return int(word)
    except ValueError:
        raise ArgumentError(option, "an integer", repr(word)) from None


def _number(option: str, word: str) -> float:
    """An option's number."""
    try:
        return float(word)
    except ValueError:
        raise ArgumentError(option, "a number", repr(word)) from None


def _once(option: str, words: list[str] | None) -> str | None:
    """An option that makes no sense twice."""
    if words is not None and len(words) > 1:
        raise ArgumentError(option, "one column", f"{len(words)}: {', '.join(map(repr, words[:3]))}")
    return words[0] if words else None


def _version(asked: bool) -> bool:
    if asked:
        print(f"taylornets {metadata.version('taylornets')}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Everything happens in the commands."""


@app.command()
def reproduce(
    claim: Annotated[
        list[str] | None, typer.Option("--claim", metavar="NAME", help="Check this claim only; may be repeated.")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", metavar="quick|full", help="How much to compute.")] = "quick",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the report.")] = Path("reproduction"),
    seed: Annotated[str, typer.Option("--seed", metavar="N", help="Seed of every random draw.")] = "0",
    resume: Annotated[bool, typer.Option("--resume", help="Keep the finished claims of an interrupted run.")] = False,
    workers: Annotated[
        str | None,
        typer.Option(
            "--workers", metavar="N", help="Claims at the same time; by default one per processor, one on a GPU."
        ),
    ] = None,
) -> int:
    """Check every claim of the theory on this machine and write the report."""
    count = None if workers is None else _checks.integer("--workers", _integer("--workers", workers), 1)
    return load("_reproduce").run(
        tuple(claim or ()), profile=profile, out=out, seed=_integer("--seed", seed), resume=resume, workers=count
    )


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `reproduce` has written.")],
) -> int:
    """Rebuild a report from its saved records, without computing anything again."""
    return load("_reproduce").rebuild(directory)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The grid; see docs/sweeps.md.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the database and the tables.")] = Path(
        "sweep"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in the folder.")] = False,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="A running dask scheduler; by default a local one."),
    ] = None,
    workers: Annotated[
        str | None, typer.Option("--workers", metavar="N", help="Local processes; by default one per processor.")
    ] = None,
) -> int:
    """Run a grid of learning problems on this machine or a cluster, and export its table."""
    count = None if workers is None else _checks.integer("--workers", _integer("--workers", workers), 1)
    return load("_sweep").run(config, out=out, resume=resume, scheduler=scheduler, workers=count)


Encoding = Annotated[str | None, typer.Option("--encoding", metavar="NAME", help="Of a text file; else found out.")]
Separator = Annotated[str | None, typer.Option("--separator", metavar="SIGN", help="Of a text file; else found out.")]
Decimal = Annotated[str, typer.Option("--decimal", metavar=".|,", help="Decimal sign of a text file.")]
Data = Annotated[str, typer.Argument(metavar="DATA", help="CSV, Parquet, NPZ, or sklearn:NAME, such as sklearn:iris.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Folder or file that `fit` has written.")]


@app.command()
def fit(
    data: Data,
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="COLUMN", help="The column to predict.")
    ] = None,
    order: Annotated[str, typer.Option("--order", metavar="K", help="Of the Taylor model: 1 is the NTK's.")] = "2",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for model and report.")] = Path("fit"),
    task: Annotated[
        str, typer.Option("--task", metavar="auto|classification|regression", help="What kind of target it is.")
    ] = "auto",
    width: Annotated[str, typer.Option("--width", metavar="M", help="Hidden units, an even number.")] = "256",
    penalty: Annotated[
        str | None,
        typer.Option("--penalty", metavar="NUMBER", help="On large weights; else chosen on validation rows."),
    ] = None,
    rank: Annotated[str, typer.Option("--rank", metavar="R", help="Copies of every unit; 2 closes gaps.")] = "1",
    seed: Annotated[str, typer.Option("--seed", metavar="N", help="Of the split and the network.")] = "0",
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="COLUMN", help="Leave this column out; may be repeated.")
    ] = None,
    drop_constant: Annotated[
        bool, typer.Option("--drop-constant", help="Leave out columns that are empty or constant.")
    ] = False,
    categorical: Annotated[
        list[str] | None,
        typer.Option("--categorical", metavar="COLUMN", help="Its numbers are names of categories; may be repeated."),
    ] = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: Decimal = ".",
) -> int:
    """Train on a table, with a certificate, and report how good the model is beside others."""
    options = {
        "target": _once("--target", target), "order": _integer("--order", order), "out": out, "task": task,
        "width": _integer("--width", width), "penalty": None if penalty is None else _number("--penalty", penalty),
        "rank": _integer("--rank", rank), "seed": _integer("--seed", seed), "drop": tuple(drop or ()),
        "drop-constant": drop_constant,
        "categorical": tuple(categorical or ()), "encoding": encoding, "separator": separator, "decimal": decimal,
    }  # fmt: skip
    return load("_fit").run_fit(load("_requests").request(data, options))


@app.command()
def predict(
    model: Model,
    data: Data,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="CSV or Parquet; else to standard output.")
    ] = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: Decimal = ".",
) -> int:
    """Predict the rows of a table with a saved model."""
    reading = load("_requests").reading(encoding, separator, decimal)
    return load("_fit").run_predict(model, data, out, reading)


@app.command()
def certify(
    model: Model, data: Data, encoding: Encoding = None, separator: Separator = None, decimal: Decimal = "."
) -> int:
    """Prove anew, from a saved model's weights alone, how far they are from the best ones."""
    return load("_fit").run_certify(model, data, load("_requests").reading(encoding, separator, decimal))


@app.command()
def diagnose(
    where: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE.py:FACTORY", help="A function that returns your model; see --init and docs/regime.md."
        ),
    ] = None,
    init: Annotated[bool, typer.Option("--init", help="Write a FILE.py to begin with, which runs as it is.")] = False,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DATA", help="In place of the factory's: NPZ with x and y, or a table."),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="COLUMN", help="The column of a table to predict.")
    ] = None,
    task: Annotated[
        str, typer.Option("--task", metavar="auto|classification|regression", help="What kind of target it is.")
    ] = "auto",
    loss: Annotated[
        str | None, typer.Option("--loss", metavar="NAME", help="In place of the factory's: softmax, squared, …")
    ] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoints", metavar="PATH", help="Read saved parameters instead of training; a folder, or repeated."
        ),
    ] = None,
    start: Annotated[
        str, typer.Option("--start", metavar="factory|first", help="Where a series of checkpoints starts from.")
    ] = "factory",
    fixed: Annotated[
        str | None,
        typer.Option("--fixed", metavar="start|end", help="Whose values to use of leaves that do not move but differ."),
    ] = None,
    orders: Annotated[
        str, typer.Option("--orders", metavar="1,2,3", help="Of the Taylor models that are trained too.")
    ] = "1,2,3",
    max_order: Annotated[str, typer.Option("--max-order", metavar="K", help="Of the verdict.")] = "4",
    steps: Annotated[str, typer.Option("--steps", metavar="N", help="Of training.")] = "300",
    batch_size: Annotated[str, typer.Option("--batch-size", metavar="N", help="Examples of a step.")] = "64",
    probe: Annotated[str, typer.Option("--probe", metavar="N", help="Examples to measure on, at most.")] = "500",
    learning_rate: Annotated[
        str,
        typer.Option("--learning-rate", metavar="RATE", help="For a model without an optimizer: SGD, momentum 0.9."),
    ] = "0.05",
    threshold: Annotated[
        str, typer.Option("--threshold", metavar="PART", help="Of the movement that an order must explain.")
    ] = "0.9",
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="PART", help="Relative error that counts as near.")
    ] = "0.1",
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="HxW|no", help="Shape of an input that is an image; else found out."),
    ] = None,
    seed: Annotated[str, typer.Option("--seed", metavar="N", help="Of splits and batches.")] = "0",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the report.")] = Path("diagnosis"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    x64: Annotated[bool, typer.Option("--x64", help="Compute in 64 bits.")] = False,
) -> int:
    """Say which order of its Taylor series explains your own network's training."""
    room = load("_diagnose")
    if init:
        return room.init(where)
    if where is None:
        raise ArgumentError(
            "FILE.py:FACTORY", "a file and a function in it", "none", "`--init` writes one to begin with."
        )
    options = {
        "data": data, "target": _once("--target", target), "task": task, "loss": loss, "checkpoints": tuple(checkpoints or ()),
        "start": start, "fixed": fixed, "orders": room.orders("--orders", orders),
        "max_order": _integer("--max-order", max_order),
        "steps": _integer("--steps", steps), "batch_size": _integer("--batch-size", batch_size),
        "probe": _integer("--probe", probe), "learning_rate": _number("--learning-rate", learning_rate),
        "threshold": _number("--threshold", threshold), "tolerance": _number("--tolerance", tolerance),
        "image_shape": room.image_shape(images), "seed": _integer("--seed", seed), "out": out, "resume": resume,
    }  # fmt: skip
    return room.run(where, options, _words, x64)


@app.command()
def doctor() -> int:
    """Say what is installed, which devices are seen, and whether anything is missing."""
    return load("_doctor").run()


def _terminate(_signum: int, _frame: FrameType | None) -> NoReturn:
    """A request to end is answered as Ctrl-C is: finished claims are kept."""
    raise KeyboardInterrupt


def _refuse(message: str) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return WRONG_REQUEST


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command in 64 bits and returns the exit code.

    Args:
        arguments: words after `taylornets`; those of the process if None.
    """
    jax.config.update("jax_enable_x64", True)
    words = list(sys.argv[1:] if arguments is None else arguments)
    _words[:] = words
    if not words:
        return _refuse(
            "COMMAND: needed one of fit, predict, certify, diagnose, reproduce, report, sweep, doctor, got none. "
            "See `taylornets --help`."
        )
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(app(args=words, prog_name="taylornets", standalone_mode=False) or DONE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.TyperException as error:
        message = str(getattr(error, "format_message", error.__str__)())
        return _refuse(f"{message.rstrip('.?')}. See `taylornets --help`.")
    except ArgumentError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}." if error.filename else str(error))
    finally:
        signal.signal(signal.SIGTERM, previous)
