"""Parquet files and data frames: the metadata are checked first, then the columns are converted one by one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet

from taylornets import _checks
from taylornets._checks import short
from taylornets.datafiles._columns import as_numbers, as_texts_if_long, table_of
from taylornets.datafiles._names import names_of
from taylornets.datafiles._table import (
    LIMITS,
    TEXT_BYTES,
    DataTable,
    Reading,
    check_size,
    wrong,
)
from taylornets.datafiles._times import hours_of

pc: Any = compute  # its functions are made at run time, which type checkers do not see
_KINDS = "columns of numbers, booleans, dates or strings"


def read_parquet(path: Path, reading: Reading) -> DataTable:
    """Reads a Parquet file with columns of numbers, booleans, dates and strings.

    Args:
        path: path of the file, whose size has been checked.
        reading: reading options.

    Returns:
        The table.

    Raises:
        ArgumentError: if the file is not a valid archive, is too large in memory, or has columns of other types.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            schema = parquet.read_schema(file)
            texts = [name for name, kind in zip(schema.names, schema.types, strict=True) if _is_text(kind)]
            file.seek(0)
            # Texts stay dictionaries while they are counted: a small file may hold long texts many times over.
            opened = parquet.ParquetFile(file, read_dictionary=texts)
            metadata = opened.metadata
            check_size(metadata.num_columns, LIMITS.columns, "columns")
            found = opened.schema_arrow
            if not found.names or not metadata.num_rows:
                raise wrong("rows and columns", _size(metadata.num_rows, len(found.names)))
            names = names_of(found.names, reading)
            check_size(metadata.num_rows * len(names.every), LIMITS.cells, "cells")
            unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
            check_size(unpacked, LIMITS.bytes, "bytes when unpacked")
            _check_kinds(names.kept, names.every, found)
            raw: dict[str, Any] = {}
            used = 0
            for name in names.kept:
                column = _read_column(opened, names.every.index(name))
                used = _check_memory(name, column, used)
                raw[name] = _raw(column)
        except (pa.ArrowException, OSError, MemoryError, OverflowError, UnicodeDecodeError, ValueError) as error:
            if isinstance(error, _checks.ArgumentError):
                raise
            raise damaged(path, "a Parquet file", error) from None
    return table_of(str(path), raw, reading, "Parquet", names)


def _read_column(opened: Any, place: int) -> Any:
    """Reads a column by its place; a name that occurs several times gives several columns."""
    names = opened.schema_arrow.names
    return opened.read(columns=[names[place]], use_threads=False).column(names[:place].count(names[place]))


def from_frame(frame: pd.DataFrame, reading: Reading | None = None, source: str = "data frame") -> DataTable:
    """Converts a data frame, by the rules for files: the frame, its CSV and its Parquet file give the same table.

    Args:
        frame: columns of numbers, booleans, dates, strings or categories; its index is not used.
        reading: reading options.
        source: name for the report.

    Returns:
        The table.

    Raises:
        ArgumentError: for columns of other types, duplicate names, or a frame that is too large.

    Example:
        >>> import pandas as pd
        >>> table = from_frame(pd.DataFrame({"price": ["1,50 €", "2,25 €"], "sold": [True, False]}))
        >>> table.frame["price"].tolist(), [info.kind for info in table.infos]
        ([1.5, 2.25], ['number', 'boolean'])
    """
    reading = reading or Reading()
    if not len(frame.columns) or not len(frame):
        raise wrong("rows and columns", _size(*frame.shape))
    names = names_of(list(frame.columns), reading)
    check_size(len(frame) * len(names.every), LIMITS.cells, "cells")
    raw: dict[str, Any] = {}
    used = 0
    for name in names.kept:
        try:
            column = pa.chunked_array([pa.array(_values(frame.iloc[:, names.every.index(name)]), from_pandas=True)])
        except pa.ArrowException as error:
            raise wrong(
                _KINDS, f"column {short(name)} ({short(str(error))})", f"Exclude it with `drop=({name!r},)`."
            ) from None
        _check_kinds([name], [name], pa.schema([(name, column.type)]))
        used = _check_memory(name, column, used)
        raw[name] = _raw(column)
    return table_of(source, raw, reading, "data frame", names)


def _values(column: Any) -> Any:
    """The values of a column; numbers and booleans in a column of strings are written as in a text file."""
    mixed = column.dtype == object and pd.api.types.infer_dtype(column).startswith("mixed")
    if not mixed or not all(isinstance(value, str | int | float | np.number | np.bool_ | None) for value in column):
        return column
    return [None if pd.isna(value) else str(value) for value in column]


def _size(rows: int, columns: int) -> str:
    return f"{_checks.counted(rows, 'row')} of {_checks.counted(columns, 'column')}"


def damaged(path: Path, kind: str, error: Exception) -> _checks.ArgumentError:
    """The error for a file that its reader cannot open."""
    lines = str(error).strip().splitlines()
    why = f" ({short(lines[0])})" if lines else ""
    return wrong(kind, f"{path}, which is damaged or in another format{why}", "Save it again.")


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _check_kinds(kept: list[str], names: list[str], schema: Any) -> None:
    """Rejects all columns of other types at once."""
    known = (
        _is_text, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null, pa.types.is_decimal,
        pa.types.is_timestamp, pa.types.is_date, pa.types.is_time, pa.types.is_duration,
    )  # fmt: skip
    errors: list[_checks.ArgumentError] = []
    for name in kept:
        kind = _plain(schema.types[names.index(name)])
        if not any(test(kind) for test in known):
            got = f"{short(str(kind))} in column {short(name)}"
            errors.append(wrong(_KINDS, got, f"Exclude it with `drop=({name!r},)`.", (("drop", name),)))
    if errors:
        raise _checks.joined(errors)


def _check_memory(name: str, column: Any, used: int) -> int:
    """Adds the memory of a column, with its texts counted as often as they occur, and rejects too much."""
    if _is_text(_plain(column.type)):
        lengths = [0]
        for chunk in column.chunks:
            texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
            sizes = pc.fill_null(pc.binary_length(texts.cast(pa.large_string())), 0)
            longest = pc.max(sizes).as_py() or 0
            check_size(longest, LIMITS.text, f"bytes in a cell of column {short(name)}")
            if pa.types.is_dictionary(chunk.type):
                sizes = pc.fill_null(sizes.take(chunk.indices), 0)
            lengths.append(pc.sum(sizes).as_py() or 0)
        used += sum(lengths) + TEXT_BYTES * len(column)
    else:
        kind = _plain(column.type)
        used += (TEXT_BYTES + kind.precision if pa.types.is_decimal(kind) else 8) * len(column)
    check_size(used, LIMITS.memory, "bytes of memory")
    return used


def _raw(column: Any) -> Any:  # noqa: PLR0911  # one return per type
    """Converts a column of a known type to an Arrow array of strings, float64 or datetime64."""
    kind = _plain(column.type)
    types = pa.types
    if _is_text(kind):
        return column.cast(pa.large_string())
    if pa.types.is_dictionary(column.type):
        column = column.cast(kind)
    if types.is_boolean(kind) or types.is_decimal(kind):  # decimals keep all digits, as in a text file
        return column.cast(pa.large_string())
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_timestamp(kind) or types.is_date(kind):
        return _dates(column)
    if types.is_time(kind) or types.is_duration(kind):
        whole = column.cast(pa.int32() if types.is_time32(kind) else pa.int64()).cast(pa.int64())
        found = hours_of(pc.fill_null(whole, 0).to_numpy(), kind.unit)
        return np.where(pc.is_null(whole).to_numpy(), np.nan, found)
    if types.is_float16(kind):
        return as_numbers(column.to_numpy())
    if types.is_floating(kind) and kind != pa.float64():
        return column.cast(pa.float32()).cast(pa.string()).cast(pa.float64()).to_numpy()
    if types.is_integer(kind) and not column.null_count:
        return as_texts_if_long(column.to_numpy())
    if types.is_integer(kind) and pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py() > 2**53:
        return column.cast(pa.large_string())
    return column.cast(pa.float64(), safe=False).to_numpy()


def _dates(column: Any) -> np.ndarray:
    """Dates as datetime64 in microseconds, without time zone (UTC)."""
    found: Any = (
        column.cast(pa.timestamp("us"), safe=False)
        if not getattr(column.type, "tz", None)
        else column.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.timestamp("us"))
    )
    return np.asarray(found.to_numpy()).astype("datetime64[us]")
