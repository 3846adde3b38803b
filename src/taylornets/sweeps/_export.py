"""Export of the table of a sweep as Parquet, CSV and LaTeX."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars

from taylornets import _files
from taylornets.learning import Cell, describe
from taylornets.records import write_text

_LATEX = str.maketrans({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#"})
# Columns that identify a cell in the LaTeX table.
_SHOWN = ("target", "inputs", "decay", "model", "d", "n")


def export(folder: Path, finished: Sequence[tuple[Cell, dict[str, Any]]]) -> None:
    """Writes `results.parquet`, `results.csv` (one row per cell) and `results.tex` (means over seeds).

    Args:
        folder: output folder.
        finished: cells with their results, in row order.
    """
    # `seconds` depends on the machine and is not a result; it stays in the database.
    rows = [describe(cell) | {k: v for k, v in result.items() if k != "seconds"} for cell, result in finished]
    table = polars.DataFrame(rows, infer_schema_length=None)
    for name, write in (("results.parquet", table.write_parquet), ("results.csv", table.write_csv)):
        buffer = io.BytesIO()
        write(buffer)
        _files.write_bytes(folder / name, buffer.getvalue())
    write_text(folder / "results.tex", latex(table))


def latex(table: polars.DataFrame) -> str:
    """Formats the mean relative test error over seeds, with standard errors, as a LaTeX `tabular` (package `booktabs`)."""
    if table.is_empty():
        return "% no cell is finished\n"
    varying = [name for name in _SHOWN if table[name].n_unique() > 1] or ["model"]
    groups = table.group_by(varying, maintain_order=True).agg(
        polars.col("error").mean().alias("mean"),
        polars.col("error").std().alias("deviation"),
        polars.len().alias("seeds"),
    )
    lines = [
        r"\begin{tabular}{" + "l" * len(varying) + "rr}",
        r"\toprule",
        " & ".join([*(name.translate(_LATEX) for name in varying), "test error", "seeds"]) + r" \\",
        r"\midrule",
    ]
    for row in groups.iter_rows(named=True):
        cells = [str(row[name]).translate(_LATEX) for name in varying]
        number = f"{row['mean']:.3g}"
        if row["seeds"] > 1:
            number = f"${row['mean']:.3g} \\pm {row['deviation'] / math.sqrt(row['seeds']):.1g}$"
        lines.append(" & ".join([*cells, number, str(row["seeds"])]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"
