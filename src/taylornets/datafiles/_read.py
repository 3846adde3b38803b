"""Entry point: reads the named source as a table, or raises an error that states the reason."""

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from taylornets import _checks
from taylornets.datafiles._arrow import read_parquet
from taylornets.datafiles._columns import table_of
from taylornets.datafiles._names import names_of
from taylornets.datafiles._npz import read_npz
from taylornets.datafiles._table import LIMITS, DataTable, Reading
from taylornets.datafiles._text import read_text

_BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
_PREFIX = "sklearn:"
_READERS = {
    ".csv": read_text, ".tsv": read_text, ".txt": read_text, ".csv.gz": read_text, ".tsv.gz": read_text,
    ".txt.gz": read_text, ".parquet": read_parquet, ".pq": read_parquet, ".npz": read_npz,
}  # fmt: skip


_ADVICE = {ending: advice for endings, advice in (
    (".xlsx .xls .xlsm .ods", "Save the sheet as CSV."), (".zip .7z .rar .tar .tgz", "Unpack it first."),
    (".bz2 .xz .zst .z .lz4", "Decompress it first, or compress it with gzip."), (".gz", "Rename it to end in .csv.gz."),
    (".json .jsonl .feather .arrow .orc .rds .rda .rdata .sav .dta .sas7bdat .pkl .h5 .hdf5 .db .sqlite .html .xml",
     "Save the table as CSV or Parquet."),
) for ending in endings.split()}  # fmt: skip


def bundled() -> tuple[str, ...]:
    """Returns the names of the data sets bundled with scikit-learn; nothing is downloaded."""
    return tuple(_PREFIX + name for name in _BUNDLED)


def read(source: str, reading: Reading | None = None) -> DataTable:
    """Reads a table, and raises all defects of its columns at once.

    Args:
        source: a file with the extension .csv, .tsv, .txt (also followed by .gz), .parquet, .pq or .npz, or `sklearn:NAME` for
            a data set bundled with scikit-learn.
        reading: reading options; by default, everything is detected.

    Returns:
        The table, without the dropped columns.

    Raises:
        ArgumentError: for an invalid table, or one that is too large to be read at once.
    """
    return scan(source, reading).check()


def scan(source: str, reading: Reading | None = None) -> DataTable:
    """Reads a table as `read` does, and lists defects of columns in its `errors` instead of raising them.

    Args:
        source: as for `read`.
        reading: as for `read`.

    Returns:
        The table.

    Raises:
        ArgumentError: for a file that is no table, or one that is too large to be read at once.
    """
    reading = reading or Reading()
    if not source.strip() or "\0" in source:
        raise _checks.ArgumentError("source", "the name of a file", _checks.short(source))
    if source.startswith(_PREFIX):
        return _bundled(source, reading)
    path = Path(source)
    try:
        _check_file(path)
        return _READERS[_ending(path)](path, reading)
    except OSError as error:
        got = f"{_checks.short(source)} ({error.strerror or type(error).__name__})"
        raise _checks.ArgumentError("source", "a readable file", got) from None


def _ending(path: Path) -> str:
    name = path.name.lower()
    return next((ending for ending in sorted(_READERS, key=len, reverse=True) if name.endswith(ending)), "")


def _check_file(path: Path) -> None:
    """Rejects a path that is not a regular file, has an unknown extension, or is too large."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise _checks.ArgumentError("source", "a file", f"the folder {path}")
    if not stat.S_ISREG(found.st_mode):
        raise _checks.ArgumentError(
            "source", "a file", f"{path}, which is a device or a pipe", "Save the data as a file."
        )
    if not _ending(path):
        expected = f"a file with the extension {', '.join(_READERS)}, or one of {', '.join(bundled())}"
        advice = _ADVICE.get(path.suffix.lower(), "If it is a text table, rename it to end in .csv.")
        raise _checks.ArgumentError("source", expected, _checks.short(path.name), advice)
    if found.st_size > LIMITS.bytes:
        raise _checks.ArgumentError(
            "source", f"a file of at most {LIMITS.bytes:,} bytes", f"{found.st_size:,} in {path}"
        )


def _bundled(source: str, reading: Reading) -> DataTable:
    """Loads a data set bundled with scikit-learn; the target is one of its columns, with class labels as strings."""
    name = _checks.choice("source", source.removeprefix(_PREFIX), _BUNDLED)
    found: Any = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = found.frame
    outcomes = tuple(found.target_names) if name == "linnerud" else ("target",)
    raw: dict[str, Any] = {}
    names = names_of(list(frame.columns), reading)
    for column in names.kept:
        if column == "target" and name != "diabetes":
            words = np.asarray(found.target_names)[frame[column].to_numpy()]
            raw[column] = [str(word) for word in words]
        else:
            raw[column] = frame[column].to_numpy(np.float64)
    target = outcomes[0] if len(outcomes) == 1 and outcomes[0] in raw else None
    table = table_of(source, raw, reading, "data set bundled with scikit-learn", names)
    infos = tuple(
        replace(info, kind="category") if info.name == "target" and name != "diabetes" else info for info in table.infos
    )
    return replace(table, target=target, outcomes=outcomes, infos=infos)
