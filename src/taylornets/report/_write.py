"""Writes figures, tables and the page from a folder of saved records."""

import csv
import io
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import jinja2

from taylornets import records
from taylornets._checks import ArgumentError, short
from taylornets.records import ClaimRecord, Figure, PageRecord, RunRecord, Section
from taylornets.records.folders import own_folder
from taylornets.records.progress import NoProgress, Progress, stage
from taylornets.report._claims import claims_page
from taylornets.report._draw import height, render
from taylornets.report._page import page
from taylornets.report._style import LIGHT

# What drawing and rendering raise for records that were changed by hand or by somebody else.
_UNREADABLE = (
    TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError, OverflowError, ZeroDivisionError,
    jinja2.TemplateError, AssertionError,
)  # fmt: skip


def _load(directory: Path) -> tuple[RunRecord, list[ClaimRecord], list[str]]:
    """Loads the run, its finished claims in order, and the names of missing claims."""
    run = records.load_run(directory)
    if run is None:
        got = f"{directory}, " + (
            "which has no run.json of this version" if directory.is_dir() else "which does not exist"
        )
        advice = "Pass the output folder of a reproduction."
        raise ArgumentError("directory", "an output folder of `taylornets reproduce`", got, advice)
    claims: list[ClaimRecord] = []
    missing: list[str] = []
    for name in run.claims:
        record = records.load_claim(directory, name)
        if record is not None:
            claims.append(record)
        elif (directory / "records" / f"{name}.json").exists():
            got = f"{directory / 'records' / name}.json, which is damaged or from another version"
            raise ArgumentError("directory", "readable records", got, "Repeat the reproduction with `resume=True`.")
        else:
            missing.append(name)
    return run, claims, missing


def _csv(columns: tuple[str, ...], rows: tuple[tuple[object, ...], ...]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([records.bare(column) for column in columns])
    writer.writerows(
        ["" if value is None else records.bare(value) if isinstance(value, str) else value for value in row]
        for row in rows
    )
    return buffer.getvalue()


def write_report(directory: Path, progress: Progress | None = None) -> Path:
    """Rebuilds all files derived from the records of a run: figures, tables, the page, `claims.json`.

    Args:
        directory: an output folder of `taylornets reproduce`, `fit` or `diagnose`. For an unfinished reproduction, the
            report lists the missing claims.
        progress: receives the part `"report"` while the figures are drawn, which takes some seconds.

    Returns:
        The path of `report.html`, a single file that opens offline. Values on hover and
        focus, hidden series, and sorted and filtered tables need JavaScript; everything else does not.

    Raises:
        ArgumentError: if the folder is not such an output folder, or a record in it cannot be read.
    """
    try:
        record, version = _page_of(directory)
    except _UNREADABLE as error:
        raise _unreadable(directory, error) from None
    for folder in ("figures", "tables"):
        shutil.rmtree(own_folder(directory, folder), ignore_errors=True)
    total = max(1, 2 * sum(len(tuple(section.figures)) for section in record.sections))
    steps = count()
    with stage(NoProgress() if progress is None else progress, "report") as tell:

        def drawing(figure: Figure) -> None:
            tell(next(steps) / total, figure.title)

        result = directory / "report.html"
        try:
            for section in record.sections:
                _keep(directory, section, drawing)
            text = page(record, version, drawing)
        except _UNREADABLE as error:
            raise _unreadable(directory, error) from None
        records.write_text(result, text)
    records.finish_page_run(directory)
    return result


def _unreadable(directory: Path, error: Exception) -> ArgumentError:
    if isinstance(error, ArgumentError):
        return error
    got = f"records in {directory} that cannot be shown ({short(' '.join(str(error).split()))})"
    return ArgumentError("directory", "readable records", got, "Run the command that wrote them again.")


def _page_of(directory: Path) -> tuple[PageRecord, str]:
    """Loads the page of a folder, with the version of taylornets that computed it."""
    run = records.load_page_run(directory)
    if run is not None:
        record = records.load_page(directory)
        if record is None:
            got = f"{directory}, which contains no finished page of this version"
            raise ArgumentError("directory", "an output folder of `fit` or `diagnose`", got, "Run the command again.")
        return record, str(run.get("version", ""))
    made, claims, missing = _load(directory)
    records.save_summary(directory, claims)
    return claims_page(made, claims, missing), made.stamp.version


def _keep(directory: Path, section: Section, drawing: Callable[[Figure], None]) -> None:
    """Writes tables, and figures for slides and papers with all panels side by side on white."""
    for figure in section.figures:
        drawing(figure)
        panels = tuple(figure.panels)
        records.write_text(directory / "figures" / f"{_plain(figure.name)}.svg", render(panels, LIGHT, height(panels)))
    for table in section.tables:
        text = _csv(tuple(table.columns), tuple(map(tuple, table.rows)))
        records.write_text(directory / "tables" / f"{_plain(table.name)}.csv", text)


def _plain(name: str) -> str:
    """Returns the name of a file; rejects one that leads to another folder."""
    if not name or set(name) & set("/\\\0") or name.startswith("."):
        raise ValueError(f"the name {name!r} of a file")
    return name
