"""Parquet and NPZ files: the metadata are checked first, then the columns are read one by one."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from taylornets import _checks
from taylornets._checks import short
from taylornets.datafiles._table import (
    LIMITS,
    DataTable,
    Reading,
    check_drop,
    check_names,
    check_size,
    framed,
    from_numbers,
    from_texts,
    wrong,
)

_NUMBERS = "biuf"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DROP = "Exclude it with `drop`."
# Exceptions of zipfile, zlib and NumPy for an invalid or damaged archive.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    RuntimeError,  # encrypted; also NotImplementedError, for an unknown compression
    ValueError,
    MemoryError,
    OverflowError,
)


def _damaged(path: Path, kind: str, error: Exception) -> Exception:
    lines = str(error).strip().splitlines()
    why = f" ({short(lines[0])})" if lines else ""
    return wrong(kind, f"{path}, which is damaged or in another format{why}")


# --- Parquet -------------------------------------------------------------------------------------------------------


def read_parquet(path: Path, reading: Reading) -> DataTable:
    """Reads a Parquet file with columns of numbers, booleans and strings.

    Args:
        path: path of the file, whose size has been checked.
        reading: reading options.

    Returns:
        The table.

    Raises:
        ArgumentError: if the file is not a valid archive, is too large when unpacked, or has columns of other types.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            opened = parquet.ParquetFile(file)
            names = _checked_parquet(opened)
            kept = check_drop(names, reading)
            if not kept:
                raise wrong("at least one column that is not dropped", f"none of {len(names)}")
            for name in kept:
                _kind(name, opened.schema_arrow.field(names.index(name)).type)
            # Names in the file may have surrounding whitespace, so columns are selected by position.
            table = opened.read(use_threads=False)
            columns = {name: _values(name, table.column(names.index(name)), reading) for name in kept}
        except (pa.ArrowException, OSError, MemoryError, OverflowError, UnicodeDecodeError) as error:
            raise _damaged(path, "a Parquet file", error) from None
    return DataTable(str(path), framed(columns), "Parquet")


def _checked_parquet(opened: Any) -> list[str]:
    """Returns the column names after checking the size of the file."""
    metadata = opened.metadata
    check_size(metadata.num_columns, LIMITS.columns, "columns")
    names = check_names(opened.schema_arrow.names)
    if not names or not metadata.num_rows:
        raise wrong("rows and columns", f"{metadata.num_rows} rows of {len(names)} columns")
    check_size(metadata.num_rows * len(names), LIMITS.cells, "cells")
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    check_size(unpacked, LIMITS.bytes, "bytes when unpacked")
    return names


def _kind(name: str, found: Any) -> str:
    """Returns `"number"` or `"text"`; rejects columns of other types."""
    kinds = pa.types
    if kinds.is_dictionary(found):
        return _kind(name, found.value_type)
    if kinds.is_string(found) or kinds.is_large_string(found) or kinds.is_string_view(found):
        return "text"
    if kinds.is_integer(found) or kinds.is_floating(found) or kinds.is_boolean(found) or kinds.is_null(found):
        return "number"
    if kinds.is_decimal(found):
        return "number"
    raise wrong(
        "columns of numbers, booleans or strings",
        f"{short(str(found))} in column {short(name)}",
        _DROP,
    )


def _values(name: str, column: Any, reading: Reading) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _kind(name, column.type) == "text":
        return from_texts(name, column.to_pylist(), reading)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    return from_numbers(name, column.cast(pa.float64(), safe=False).to_numpy(), reading)


# --- NPZ -----------------------------------------------------------------------------------------------------------


def read_npz(path: Path, reading: Reading) -> DataTable:
    """Reads an NPZ file: a one-dimensional array is a column, a two-dimensional one the columns `name_0`, `name_1`, ...

    Args:
        path: path of the file, whose size has been checked.
        reading: reading options.

    Returns:
        The table.

    Raises:
        ArgumentError: if the file is not a valid archive, is too large when unpacked, or has arrays of other types.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            arrays = _arrays(file, reading)
        except _checks.ArgumentError:
            raise
        except _UNREADABLE as error:
            raise _damaged(path, "an NPZ file", error) from None
    columns: dict[str, Any] = {}
    for name, array in arrays.items():
        parts = {name: array} if array.ndim == 1 else {f"{name}_{i}": array[:, i] for i in range(array.shape[1])}
        for part, values in parts.items():
            if part in columns:
                raise wrong("distinct column names", f"{short(part)} twice")
            columns[part] = values
    kept = check_drop(check_names(list(columns)), reading)
    if not kept:
        raise wrong("at least one column that is not dropped", f"none of {len(columns)}")
    made = {
        name: from_texts(name, columns[name].tolist(), reading)
        if columns[name].dtype.kind == "U"
        else from_numbers(name, columns[name], reading)
        for name in kept
    }
    return DataTable(str(path), framed(made), "NPZ")


def _arrays(file: IO[bytes], reading: Reading) -> dict[str, np.ndarray]:
    """Reads the arrays that are not dropped, checking that their lengths agree."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        check_size(len(members), LIMITS.columns, "arrays")
        check_size(sum(member.file_size for member in members), LIMITS.bytes, "bytes when unpacked")
        found: dict[str, np.ndarray] = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name == member.filename:
                raise wrong("an NPZ file of NumPy arrays", f"one that contains {short(member.filename)}")
            if name in reading.drop:
                continue
            shape = _checked_shape(archive, member, name)
            if found and shape[0] != len(next(iter(found.values()))):
                first = next(iter(found))
                got = f"{len(found[first])} in {short(first)} and {shape[0]} in {short(name)}"
                raise wrong("arrays of equal length", got)
            if name in found:
                raise wrong("distinct array names", f"{short(name)} twice")
            with archive.open(member) as stream:
                found[name] = np.lib.format.read_array(stream, allow_pickle=False)
    if not found:
        raise wrong("at least one array that is not dropped", "none")
    return found


def _checked_shape(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> tuple[int, ...]:
    """Reads the declared shape of an array before memory is allocated."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise wrong("arrays of NPY format 1 or 2", f"format {version[0]}.{version[1]} in {short(name)}", _DROP)
        shape, _, dtype = _HEADERS[version](stream)
        start = stream.tell()
    if dtype.kind not in _NUMBERS + "U":
        kind = "objects, which would require pickle" if dtype.hasobject else str(dtype)
        raise wrong("arrays of numbers, booleans or strings", f"{short(kind)} in {short(name)}", _DROP)
    if len(shape) not in (1, 2) or 0 in shape:
        raise wrong("non-empty arrays of one or two dimensions", f"shape {shape} in {short(name)}", _DROP)
    check_size(math.prod(shape), LIMITS.cells, "cells")
    if start + math.prod(shape) * dtype.itemsize != member.file_size:
        raise wrong("arrays of their declared size", f"another size in {short(name)}")
    return shape
