"""NPZ files: the declared shapes are checked first, then the arrays are read one by one."""

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from taylornets import _checks
from taylornets._checks import short
from taylornets.datafiles._arrow import damaged
from taylornets.datafiles._columns import as_texts_if_long, table_of
from taylornets.datafiles._names import names_of
from taylornets.datafiles._table import LIMITS, DataTable, Reading, check_size, wrong

_NUMBERS = "biufM"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
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
    SyntaxError,  # NumPy evaluates the header as a literal, after Python's tokenizer
    tokenize.TokenError,
    struct.error,
    TypeError,
    RecursionError,
)


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
            raise damaged(path, "an NPZ file", error) from None
    columns: dict[str, Any] = {}
    for name, array in arrays.items():
        parts = {name: array} if array.ndim == 1 else {f"{name}_{i}": array[:, i] for i in range(array.shape[1])}
        for part, values in parts.items():
            if part in columns:
                raise wrong("distinct column names", f"{short(part)} twice")
            columns[part] = values
    names = names_of(list(columns), reading)
    arrays = dict(zip(names.every, columns.values(), strict=True))
    return table_of(str(path), {name: _raw(arrays[name]) for name in names.kept}, reading, "NPZ", names)


def _raw(array: np.ndarray) -> Any:
    if array.dtype.kind == "U":
        return array.tolist()
    if array.dtype.kind == "b":
        return ["true" if value else "false" for value in array]
    return array.astype("datetime64[us]") if array.dtype.kind == "M" else as_texts_if_long(array)


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
            raise wrong(
                "arrays of NPY format 1 or 2",
                f"format {version[0]}.{version[1]} in {short(name)}",
                f"Exclude it with `drop=({name!r},)`.",
                (("drop", name),),
            )
        shape, _, dtype = _HEADERS[version](stream)
        start = stream.tell()
    if dtype.kind not in _NUMBERS + "U":
        kind = "objects, which would require pickle" if dtype.hasobject else str(dtype)
        raise wrong(
            "arrays of numbers, booleans or strings",
            f"{short(kind)} in {short(name)}",
            f"Exclude it with `drop=({name!r},)`.",
            (("drop", name),),
        )
    if len(shape) not in (1, 2) or 0 in shape:
        raise wrong(
            "non-empty arrays of one or two dimensions",
            f"shape {shape} in {short(name)}",
            f"Exclude it with `drop=({name!r},)`.",
            (("drop", name),),
        )
    check_size(math.prod(shape), LIMITS.cells, "cells")
    if dtype.kind == "U":
        check_size(dtype.itemsize // 4, LIMITS.text, f"characters in a cell of {short(name)}")
    if start + math.prod(shape) * dtype.itemsize != member.file_size:
        raise wrong("arrays of their declared size", f"another size in {short(name)}")
    return shape
