"""The commands `reproduce` and `report`."""

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taylornets import _processors, records
from taylornets._checks import counted
from taylornets.cli._compiled import compile_quickly
from taylornets.cli._progress import shown
from taylornets.cli._root import BROKEN, DONE, INTERRUPTED
from taylornets.records import ClaimRecord
from taylornets.records.folders import owned
from taylornets.report import brief, seconds, write_report
from taylornets.reproduction import reproduce


def _verdict(record: ClaimRecord) -> Text:
    return Text(record.verdict, style="bold green" if record.holds else "bold red")


def _summarize(claims: Sequence[ClaimRecord], report: Path) -> None:
    """Prints the table of verdicts and the path of the report to standard output."""
    console = Console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("claim", "predicted", "measured", "verdict"):
        table.add_column(name, no_wrap=name in ("claim", "verdict"))
    table.add_column("time", justify="right", no_wrap=True)
    for record in claims:
        measured = record.error or brief(record.measured)
        if record.interval is not None:
            measured += " [{}, {}]".format(*map(brief, record.interval))
        cells = (record.claim, brief(record.predicted), measured)
        table.add_row(*map(Text, cells), _verdict(record), seconds(record.seconds))
    console.print()
    console.print(table)
    console.print()
    held = sum(record.holds for record in claims)
    console.print(Text(f"{held} of {counted(len(claims), 'claim')} {'holds' if held == 1 else 'hold'}."))
    console.print(Text(f"Report: {report.resolve()}"), soft_wrap=True)


def _resumption(names: Sequence[str], profile: str, out: Path, seed: int) -> str:
    words = ["taylornets", "reproduce", *(word for name in names for word in ("--claim", name))]
    return shlex.join([*words, "--profile", profile, "--seed", str(seed), "--out", str(out), "--resume"])


def _processes() -> int:
    """Returns one process per processor, or a single one where processes would share accelerator memory."""
    return _processors.count() if jax.default_backend() == "cpu" else 1


def run(names: Sequence[str], *, profile: str, out: Path, seed: int, resume: bool, workers: int | None = None) -> int:
    """Checks the claims, writes the report, prints the summary.

    Returns:
        0 if every claim held, 1 if one did not, 130 if interrupted.
    """
    screen = Console(stderr=True)
    compile_quickly()
    try:
        with owned(out), shown(screen, silent=("report",)) as progress:
            count = _processes() if workers is None else workers
            claims = reproduce(out, names, profile=profile, seed=seed, resume=resume, workers=count, progress=progress)
            report = write_report(out, progress)
    except KeyboardInterrupt:
        unfinished = records.load_run(out)
        planned = tuple(unfinished.claims) if unfinished else ()
        done = sum(records.load_claim(out, name) is not None for name in planned)
        screen.print(
            Text(
                f"Interrupted: {done} of {counted(len(planned), 'claim')} {'is' if done == 1 else 'are'} finished and "
                f"kept in {out}. "
                f"Resume with: {_resumption(names, profile, out, seed)}"
            ),
            soft_wrap=True,
        )
        return INTERRUPTED
    _summarize(claims, report)
    return DONE if all(record.holds for record in claims) else BROKEN


def rebuild(directory: Path) -> int:
    """Rebuilds the report from the records in a folder.

    Returns:
        0 if every claim of the run is finished and held, 1 otherwise.
    """
    lock = owned(directory) if directory.is_dir() else contextlib.nullcontext()
    with lock, shown(Console(stderr=True), transient=True, silent=("report",)) as progress:
        report = write_report(directory, progress)
    run_record = records.load_run(directory)
    if run_record is None:
        Console().print(Text(f"Report: {report.resolve()}"), soft_wrap=True)
        return DONE
    names = tuple(run_record.claims)
    found = [record for name in names if (record := records.load_claim(directory, name)) is not None]
    _summarize(found, report)
    return DONE if len(found) == len(names) and all(record.holds for record in found) else BROKEN
