"""Entry point: reads the named source as a table, or raises an error that states the reason."""

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from taylornets import _checks
from taylornets.datafiles._binary import read_npz, read_parquet
from taylornets.datafiles._table import (
    LIMITS,
    DataTable,
    Reading,
    check_drop,
    framed,
    from_numbers,
)
from taylornets.datafiles._text import read_text

_BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
_PREFIX = "sklearn:"
_READERS = {
    ".csv": read_text, ".tsv": read_text, ".txt": read_text, ".parquet": read_parquet, ".pq": read_parquet, ".npz": read_npz,
}  # fmt: skip


def bundled() -> tuple[str, ...]:
    """Returns the names of the data sets bundled with scikit-learn; nothing is downloaded."""
    return tuple(_PREFIX + name for name in _BUNDLED)


def read(source: str, reading: Reading | None = None) -> DataTable:
    """Reads a table.

    Args:
        source: a file with the ending .csv, .tsv, .txt, .parquet, .pq or .npz, or `sklearn:NAME` for a data set bundled
            with scikit-learn.
        reading: reading options; by default, encoding and separator are detected.

    Returns:
        The table, without the dropped columns.

    Raises:
        ArgumentError: for an invalid table, or one that is too large to be read at once.
    """
    reading = reading or Reading()
    _checks.choice("decimal", reading.decimal, (".", ","))
    if not source.strip() or "\0" in source:
        raise _checks.ArgumentError("source", "the name of a file", _checks.short(source))
    if source.startswith(_PREFIX):
        return _bundled(source, reading)
    path = Path(source)
    try:
        _check_file(path)
        return _READERS[path.suffix.lower()](path, reading)
    except OSError as error:
        got = f"{_checks.short(source)} ({error.strerror or type(error).__name__})"
        raise _checks.ArgumentError("source", "a readable file", got) from None


def _check_file(path: Path) -> None:
    """Rejects a path that is not a regular file, has an unknown extension, or is too large."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise _checks.ArgumentError("source", "a file", f"the folder {path}")
    if not stat.S_ISREG(found.st_mode):
        raise _checks.ArgumentError(
            "source", "a file", f"{path}, which is a device or a pipe", "Save the data as a file."
        )
    if path.suffix.lower() not in _READERS:
        expected = f"a file with the ending {', '.join(_READERS)}, or one of {', '.join(bundled())}"
        raise _checks.ArgumentError("source", expected, _checks.short(path.name))
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
    columns: dict[str, Any] = {}
    for column in check_drop(list(frame.columns), reading):
        if column == "target" and name != "diabetes":
            words = np.asarray(found.target_names)[frame[column].to_numpy()]
            columns[column] = np.array([str(word) for word in words], dtype=object)
        else:
            columns[column] = from_numbers(column, frame[column].to_numpy(), reading)
    target = outcomes[0] if len(outcomes) == 1 and outcomes[0] in columns else None
    return DataTable(source, framed(columns), "data set bundled with scikit-learn", target, outcomes)
