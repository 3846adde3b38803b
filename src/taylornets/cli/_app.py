"""The commands and their options; those for tables are in `_tables`."""

from pathlib import Path
from typing import Annotated

import typer

from taylornets._errors import ArgumentError
from taylornets.cli import _tables, load
from taylornets.cli._help import Listed
from taylornets.cli._options import After, Before, Groups, Pickle, Task, Text, number, once, whole
from taylornets.cli._root import BROKEN, DONE, INTERRUPTED, NOT_WRITTEN, WRONG_REQUEST, app, words
from taylornets.cli._run import run

__all__ = ["BROKEN", "DONE", "INTERRUPTED", "NOT_WRITTEN", "WRONG_REQUEST", "app", "run"]
_ = _tables  # registers its commands


@app.command(cls=Listed, rich_help_panel="Theory and experiments")
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


@app.command(cls=Listed, rich_help_panel="Results")
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder written by reproduce, fit or diagnose.")],
) -> int:
    """Rebuild a report from its saved records without recomputing anything."""
    return load("_reproduce").rebuild(directory)


@app.command(cls=Listed, rich_help_panel="Theory and experiments")
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
    tls_certificate: Annotated[
        str | None,
        typer.Option("--tls-certificate", metavar="FILE", help="Client certificate for the scheduler (PEM)."),
    ] = None,
    tls_key: Annotated[str | None, typer.Option("--tls-key", metavar="FILE", help="Key of the certificate.")] = None,
    tls_authority: Annotated[
        str | None, typer.Option("--tls-authority", metavar="FILE", help="Certificate of the authority.")
    ] = None,
    workers: Annotated[int | None, whole("--workers", "N", "Local processes; default: one per CPU core.")] = None,
) -> int:
    """Run a grid of learning problems on this machine or a cluster and export the results as a table."""
    options = {
        "scheduler": scheduler,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "tls_authority": tls_authority,
    }
    return load("_sweep").run(config, out=out, resume=resume, workers=workers, **options)


@app.command(cls=Listed, rich_help_panel="Networks")
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
        typer.Option(
            "--data", metavar="DATA", help="Data to use instead of the factory's: NPZ with x and y, or a table."
        ),
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
        str | None,
        typer.Option("--loss", metavar="NAME", help="Loss to use instead of the factory's: softmax, squared, …"),
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
        float, number("--threshold", "FRACTION", "Fraction of the output change that an order must explain.")
    ] = 0.9,
    tolerance: Annotated[
        float, number("--tolerance", "FRACTION", "Largest relative error that counts as close.")
    ] = 0.1,
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
    return room.run(where or "", options, words, x64)


@app.command(cls=Listed, rich_help_panel="Results")
def doctor() -> int:
    """Report the installed versions, the available devices, and any missing dependencies."""
    return load("_doctor").run()
