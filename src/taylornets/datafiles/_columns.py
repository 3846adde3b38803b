"""From raw columns of any file format to a table: one place decides the kinds, so that all formats agree."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from taylornets.datafiles._kinds import from_dates, from_numbers, from_texts
from taylornets.datafiles._names import Names, marked
from taylornets.datafiles._numbers import Style, has_clear_points
from taylornets.datafiles._table import Column, DataTable, Reading, framed
from taylornets.datafiles._words import Words


def _is_texts(raw: Any) -> bool:
    return not isinstance(raw, np.ndarray)


def _column(name: str, raw: Any, reading: Reading, commas: bool | None) -> Column:
    if _is_texts(raw):
        return from_texts(name, raw, reading, commas)
    if raw.dtype.kind == "M":
        return from_dates(name, raw, reading)
    return from_numbers(name, raw, reading)


def table_of(
    source: str, raw: Mapping[str, Any], reading: Reading, format: str, names: Names, *, comma_separated: bool = True,
) -> DataTable:  # fmt: skip
    """Infers the kinds of all columns.

    Args:
        source: name of the source.
        raw: by name, a list or an Arrow array of strings or None, or a NumPy array of float64 or datetime64.
        reading: reading options.
        format: description of the file format.
        names: names of the columns, with notes and errors.
        comma_separated: whether the cells of a text file are separated by commas, so that decimal commas are unlikely.

    Returns:
        The table with a description of each column. Defects are listed in `errors`, not raised.
    """
    columns: dict[str, Column] = {}
    later: list[str] = []
    for name, values in raw.items():
        columns[name] = _column(name, values, reading, False if comma_separated else None)
        if _is_texts(values) and Style.of(columns[name].info.recipe) is not None:
            later.append(name)
    styles = [Style.of(columns[name].info.recipe) for name in later if not columns[name].errors]
    commas = any(style is not None and style.decimal == "," for style in styles)
    unclear = [name for name in later if columns[name].errors]
    if commas and reading.decimal is None:
        columns |= {name: _column(name, raw[name], reading, True) for name in later}
    elif (
        reading.decimal is None
        and not comma_separated
        and unclear
        and any(has_clear_points(Words(raw[name]).unique) for name in later if name not in unclear)
    ):
        columns |= {name: _column(name, raw[name], reading, False) for name in unclear}
    notes, last = names.notes, list(raw)[-1]
    empty = columns[last].info.kind == "empty" and last.startswith("Unnamed: ") and len(columns) > 1
    if empty:
        notes = (
            *(note for note in notes if repr(last) not in note),
            "The last column has no name and no values; it was left out.",
        )
        del columns[last]
    columns = marked(columns, reading)
    errors = (*names.errors, *((name, error) for name, column in columns.items() for error in column.errors))
    frame = framed({name: column.values for name, column in columns.items()})
    return DataTable(
        source, frame, format, infos=tuple(column.info for column in columns.values()), notes=notes, errors=errors
    )


def as_numbers(values: Any) -> np.ndarray:
    """Numbers of any type as float64, by their shortest decimal form, so that all file formats agree."""
    array = np.asarray(values)
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        return array.astype(str).astype(np.float64)
    return array.astype(np.float64)


def as_texts_if_long(values: Any) -> Any:
    """Integers as float64, or as strings if float64 cannot hold them."""
    array = np.asarray(values)
    if array.dtype.kind in "iu" and array.size and max(abs(int(array.max())), abs(int(array.min()))) > 2**53:
        return [str(value) for value in array]
    return as_numbers(array)
