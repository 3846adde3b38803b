"""From a folder of saved records to figures, tables and the page."""

import csv
import io
import shutil
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from taylornets import records
from taylornets._checks import ArgumentError
from taylornets.records import ClaimRecord, Figure, RunRecord, Table
from taylornets.report._draw import height, render
from taylornets.report._page import page, sections_page
from taylornets.report._style import LIGHT


def _load(directory: Path) -> tuple[RunRecord, list[ClaimRecord], list[str]]:
    """The run, its finished claims in order, and the names of those that it still lacks."""
    run = records.load_run(directory)
    if run is None:
        came = f"{directory}, " + (
            "which has no run.json of this version" if directory.is_dir() else "which does not exist"
        )
        advice = "Name the folder that a reproduction was written to."
        raise ArgumentError("directory", "a folder written by `taylornets reproduce`", came, advice)
    claims: list[ClaimRecord] = []
    missing: list[str] = []
    for name in run.claims:
        record = records.load_claim(directory, name)
        if record is not None:
            claims.append(record)
        elif (directory / "records" / f"{name}.json").exists():
            came = f"{directory / 'records' / name}.json, which is damaged or of another version"
            raise ArgumentError("directory", "records that can be read", came, "Reproduce again with `resume=True`.")
        else:
            missing.append(name)
    return run, claims, missing


def _csv(columns: tuple[str, ...], rows: tuple[tuple[object, ...], ...]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return buffer.getvalue()


def write_report(directory: Path, progress: Callable[[float, str], None] | None = None) -> Path:
    """Rebuilds everything in a run's folder that is derived from its records: figures, tables, `claims.json`, the page.

    Args:
        directory: a folder that `taylornets.reproduction.reproduce` has written. An unfinished run gives a
            report that says what is missing.
        progress: called as `progress(fraction, message)` while the figures are drawn, which takes some seconds.

    Returns:
        The path of `report.html`: one file, without scripts, that fetches nothing.

    Raises:
        ArgumentError: if the folder is no such folder, or a record in it cannot be read.
    """
    run, claims, missing = _load(directory)
    for folder in ("figures", "tables"):
        shutil.rmtree(directory / folder, ignore_errors=True)
    total = max(1, 2 * sum(len(tuple(record.figures)) for record in claims))
    steps = count()

    def drawing(figure: Figure) -> None:
        if progress is not None:
            progress(next(steps) / total, figure.title)

    for record in claims:
        _keep(directory, f"{record.claim}_", record.figures, record.tables, drawing)
    records.save_summary(directory, claims)
    result = directory / "report.html"
    records.write_text(result, page(run, claims, missing, drawing))
    return result


def _keep(
    directory: Path, prefix: str, figures: Iterable[Figure], tables: Iterable[Table], drawing: Callable[[Figure], None]
) -> None:
    """Writes figures for slides and papers, all panels side by side on white, and tables."""
    for figure in figures:
        drawing(figure)
        panels = tuple(figure.panels)
        records.write_text(directory / "figures" / f"{prefix}{figure.name}.svg", render(panels, LIGHT, height(panels)))
    for table in tables:
        text = _csv(tuple(table.columns), tuple(map(tuple, table.rows)))
        records.write_text(directory / "tables" / f"{prefix}{table.name}.csv", text)


def write_page_report(directory: Path, progress: Callable[[float, str], None] | None = None) -> Path:
    """Makes figures, tables and the page of a fit or a diagnosis from its record.

    Args:
        directory: a folder that `taylornets fit` or `taylornets diagnose` has written.
        progress: called as `progress(fraction, message)` while the figures are drawn.

    Returns:
        The path of `report.html`: one file, without scripts, that fetches nothing.

    Raises:
        ArgumentError: if the folder is no such folder, or its record cannot be read.
    """
    run, record = records.load_page_run(directory), records.load_page(directory)
    if run is None or record is None:
        came = f"{directory}, which has no finished one of this version"
        raise ArgumentError("directory", "a folder with a fit or a diagnosis", came, "Run the command again.")
    for folder in ("figures", "tables"):
        shutil.rmtree(directory / folder, ignore_errors=True)
    total = max(1, 2 * sum(len(tuple(section.figures)) for section in record.sections))
    steps = count()

    def drawing(figure: Figure) -> None:
        if progress is not None:
            progress(next(steps) / total, figure.title)

    for section in record.sections:
        _keep(directory, "", section.figures, section.tables, drawing)
    result = directory / "report.html"
    records.write_text(result, sections_page(record, str(run.get("version", "")), drawing))
    return result
