"""The commands `fit`, `predict` and `certify`."""

import io
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taylornets import _checks, _files
from taylornets.cli._app import DONE, INTERRUPTED
from taylornets.cli._progress import shown
from taylornets.datafiles import Reading
from taylornets.report import write_report
from taylornets.tabular import FitRequest, certify, fit, predict, verdict


def run_fit(request: FitRequest) -> int:
    """Trains on a table, saves the model, writes the report, prints the summary.

    Returns:
        0 on success, 130 if interrupted.
    """
    screen = Console(stderr=True)
    saved: list[Path] = []
    try:
        # An invalid request is rejected during the stage `reading`, with a single line on standard error.
        with shown(screen, transient=True, silent=("reading",)) as progress:
            fitted = fit(request, progress, saved.append)
            report = write_report(fitted.folder, progress)
    except KeyboardInterrupt:
        kept = f"The model was saved to {saved[0]}, but no report was written." if saved else "Nothing was written."
        screen.print(Text(f"Interrupted. {kept}"), soft_wrap=True)
        return INTERRUPTED
    console = Console()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, value in fitted.record.headline.items():
        grid.add_row(Text(name, style="dim"), Text(str(value)))
    console.print(grid)
    console.print()
    console.print(Text(fitted.record.lead))
    console.print()
    console.print(Text(f"Model:  {saved[0]}"), soft_wrap=True)
    console.print(Text(f"Report: {report.resolve()}"), soft_wrap=True)
    return DONE


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
        sys.stdout.write(_written(found.frame, Path("-.csv")).decode())
    else:
        try:
            _files.write_bytes(out, _written(found.frame, out))
        except OSError as error:
            raise _checks.ArgumentError("--out", "a file that can be written", f"{out} ({error.strerror})") from None
        screen.print(Text(f"Wrote {len(found.frame):,} predictions to {out}"), soft_wrap=True)
    if found.ignored:
        more = f" and {len(found.ignored) - 3} more" if len(found.ignored) > 3 else ""
        screen.print(
            Text(f"Ignored columns, which the model does not use: {', '.join(found.ignored[:3])}{more}."),
            soft_wrap=True,
        )
    if found.score is not None:
        name = "accuracy" if any(str(name).startswith("probability of ") for name in found.frame.columns) else "R²"
        seen = (
            " This is the table that the model was fitted on; most of its rows were used for training."
            if found.seen
            else ""
        )
        words = f"{name} {found.score:.4f} on the {found.rows:,} rows with a target.{seen}"
        screen.print(Text(words), soft_wrap=True)
    return DONE


def _check_out(out: Path) -> None:
    """Rejects an output path that is neither new nor a regular file, before anything is computed."""
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise _checks.ArgumentError("--out", "a file with the ending .csv or .parquet", repr(str(out)))
    if out.exists() and not out.is_file():
        raise _checks.ArgumentError("--out", "a file", f"{out}, which is a folder, a device or a pipe")


def run_certify(model: str, data: str, reading: Reading) -> int:
    """Re-certifies a saved model and prints the gap to the optimum.

    Returns:
        0.
    """
    proof = certify(model, data, reading)
    found = proof.certificate
    console = Console()
    which = (
        f"This is the table that the model was fitted on; the certificate covers its {proof.rows:,} training rows."
        if proof.same
        else f"This is not the table that the model was fitted on; the certificate covers all its {proof.rows:,} rows with "
        "a target, which were not used for fitting. A large gap means that other weights may fit these rows better."
    )
    console.print(Text(which))
    console.print()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, value in {
        "objective of the saved weights": f"{float(found.primal):.9g}",
        "lower bound over all weights": f"{float(found.dual):.9g}",
        "gap": f"{float(found.gap):.3g} ({float(found.relative_gap):.2g} of the objective)",
    }.items():
        grid.add_row(Text(name, style="dim"), Text(value))
    console.print(grid)
    if proof.same:
        console.print()
        console.print(Text(verdict(found)))
    if proof.error is not None:
        console.print()
        console.print(Text(f"{proof.error.sentence} {proof.error.basis}"))
    return DONE
