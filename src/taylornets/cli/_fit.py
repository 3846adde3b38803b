"""The commands `fit`, `predict` and `certify`."""

import io
import math
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taylornets import _checks, _files, records
from taylornets.cli._forecast import Forecast
from taylornets.cli._plan import show
from taylornets.cli._progress import shown
from taylornets.cli._root import DONE, INTERRUPTED, NOT_WRITTEN
from taylornets.cli._streams import visible, write_out
from taylornets.datafiles import Reading
from taylornets.records.folders import owned
from taylornets.report import write_report
from taylornets.tabular import (
    FitRequest,
    certify,
    check_out,
    compare_runs,
    export,
    fit,
    pose_request,
    predict,
    verdict,
)


def run_fit(request: FitRequest, dry_run: bool = False) -> int:
    """Shows how the table is read, trains on it, saves the model, writes the report, prints the summary.

    Args:
        request: the request.
        dry_run: whether to stop before training, without writing anything.

    Returns:
        0 on success, 3 if the results could not be written, 130 if interrupted.
    """
    if dry_run:
        show(Console(), pose_request(request).problem)
        return DONE
    screen = Console(stderr=True)
    saved: list[Path] = []
    check_out(request.out)
    with owned(request.out):
        try:
            # An invalid request is rejected during the stage `reading`, with a message on standard error.
            with shown(screen, transient=True, silent=("reading",)) as progress:
                limit, compared = request.settings.time_limit, not request.no_compare
                forecast = Forecast(progress, lambda text: screen.print(Text(text)), limit, compared)
                fitted = fit(request, forecast, saved.append, lambda problem: show(screen, problem))
                report = write_report(fitted.folder, progress)
        except KeyboardInterrupt:
            kept = f"The model was saved to {saved[0]}, but no report was written." if saved else "Nothing was written."
            screen.print(Text(f"Interrupted. {kept}"), soft_wrap=True)
            return INTERRUPTED
        except OSError as error:
            screen.print(Text(_unwritten(request.out, saved, error)), soft_wrap=True)
            return NOT_WRITTEN
    console = Console()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, value in fitted.record.headline.items():
        grid.add_row(Text(name, style="dim"), Text(str(value)))
    console.print(grid)
    console.print()
    console.print(Text(records.bare(fitted.record.lead)))
    console.print()
    console.print(Text(f"Model:  {saved[0]}"), soft_wrap=True)
    console.print(Text(f"Report: {report.resolve()}"), soft_wrap=True)
    return DONE


def _unwritten(out: Path, saved: list[Path], error: OSError) -> str:
    """Says which file could not be written, which results are whole, and how to go on."""
    cause = f"{error.filename or out}: {error.strerror or type(error).__name__}."
    if not saved:
        advice = "run the command again with `--out` in a writable folder with free space."
        return f"{cause} The model could not be saved; {advice}"
    run = records.load_page_run(out, ("fit",)) or {}
    if run.get("status") in ("computed", "finished") and records.load_page(out) is not None:
        again = shlex.join(["taylornets", "report", str(out)])
        state = "and the records are complete; the report is not. Write it again with:"
        return f"{cause} The model {saved[0]} {state} {again}"
    state = "is complete and can be used; the comparison and the report are not. Run this again."
    return f"{cause} The model {saved[0]} {state}"


def _written(frame: pd.DataFrame, out: Path) -> bytes:
    if out.suffix.lower() == ".parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    return frame.to_csv(index=False, lineterminator="\n").encode()


def run_predict(model: str, data: str, out: Path | None, reading: Reading, interval: float | None = None) -> int:
    """Predicts the rows of a table and writes the predictions to a file or to standard output.

    Returns:
        0.
    """
    screen = Console(stderr=True)
    if out is not None:
        _check_out(out)
    found = predict(model, data, reading, interval)
    if out is None:
        write_out(_written(found.frame, Path("-.csv")))
    else:
        _files.write_bytes(out, _written(found.frame, out))
        screen.print(Text(f"Wrote {_checks.counted(len(found.frame), 'prediction')} to {out}"), soft_wrap=True)
    if found.ignored:
        more = f" and {len(found.ignored) - 3} more" if len(found.ignored) > 3 else ""
        screen.print(
            Text(f"Ignored columns not used by the model: {', '.join(map(visible, found.ignored[:3]))}{more}."),
            soft_wrap=True,
        )
    for note in found.notes:
        screen.print(Text(note), soft_wrap=True)
    if found.unknown:
        more = f" and {len(found.unknown) - 1} more" if found.unknown[1:] else ""
        screen.print(Text(f"Rows with class {found.unknown[0]!r}{more}, unknown to the model, are not scored."))
    if found.score is not None:
        name = "accuracy" if any(str(name).startswith("probability of ") for name in found.frame.columns) else "R²"
        seen = (
            " This is the table that the model was fitted on; most of its rows were used for training."
            if found.seen
            else ""
        )
        words = f"{name} {_number(found.score)} on the {_checks.counted(found.rows, 'row')} with a target.{seen}"
        screen.print(Text(words), soft_wrap=True)
    if found.metric is not None:
        screen.print(Text(f"{found.metric[0]} {_number(found.metric[1])} on the same rows."), soft_wrap=True)
    return DONE


def _number(value: float, digits: str = ".4f") -> str:
    """Formats a number with a true minus sign; `undefined` for NaN and infinity."""
    shown = format(value, digits).replace("-", "−")
    return "undefined" if not math.isfinite(value) else shown if float(format(value, digits)) else shown.lstrip("−")


def _check_out(out: Path) -> None:
    """Rejects an output path that is neither new nor a regular file, before anything is computed."""
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise _checks.ArgumentError("--out", "a file with the extension .csv or .parquet", repr(str(out)))
    if out.exists() and not out.is_file():
        raise _checks.ArgumentError("--out", "a file", f"{out}, which is a folder, a device or a pipe")
    try:
        _files.try_folder(out.parent)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _checks.ArgumentError("--out", "a file that can be written", f"{out} ({why})") from None


def run_certify(model: str, data: str, reading: Reading) -> int:
    """Re-certifies a saved model and prints the gap to the optimum.

    Returns:
        0.
    """
    proof = certify(model, data, reading)
    found = proof.certificate
    console = Console()
    which = (
        "This is the table that the model was fitted on; the certificate covers its "
        f"{_checks.counted(proof.rows, 'training row')}."
        if proof.same
        else "This is not the table that the model was fitted on; the certificate covers all of its "
        f"{_checks.counted(proof.rows, 'row')} with a target, which were not used for fitting. A large gap "
        "means that other weights may fit these rows better."
    )
    console.print(Text(which))
    console.print()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, value in _bounds(found).items():
        grid.add_row(Text(name, style="dim"), Text(value))
    console.print(grid)
    if proof.same:
        console.print()
        console.print(Text(verdict(found)))
    if proof.error is not None:
        console.print()
        console.print(Text(f"{proof.error.sentence} {proof.error.basis}"))
    return DONE


def _bounds(found: Any) -> dict[str, str]:
    """The numbers of a certificate by name."""
    part = "unknown fraction" if not math.isfinite(found.relative_gap) else _number(float(found.relative_gap), ".2g")
    return {
        "objective of the saved weights": _number(float(found.primal), ".9g"),
        "lower bound over all weights": _number(float(found.dual), ".9g"),
        "gap": f"{_number(float(found.gap), '.3g')} ({part} of the objective)",
    }


def run_export(model: str, out: Path) -> int:
    """Writes a model as a program that needs NumPy alone.

    Returns:
        0.
    """
    program, numbers = export(model, out)
    Console(stderr=True).print(Text(f"Wrote {program} and {numbers}. Run: python {program} FILE.csv"), soft_wrap=True)
    return DONE


def run_compare(first: Path, second: Path) -> int:
    """Prints two fits side by side.

    Returns:
        0.
    """
    found = compare_runs(first, second)
    console = Console()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", str(first), str(second)):
        grid.add_column(Text(name), overflow="fold")
    for row in found.rows:
        grid.add_row(*map(Text, row))
    console.print(grid)
    console.print()
    for note in found.notes:
        console.print(Text(note))
    return DONE
