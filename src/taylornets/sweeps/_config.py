"""Sweep configurations: TOML files whose lists define a grid of cells."""

import itertools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taylornets import _checks
from taylornets.learning import FIELDS, Cell

# Fields whose value in a cell is itself a list: a list of lists defines a grid axis.
_LISTS = ("penalties",)
_KINDS = {int: "an integer", float: "a number", str: "a string", tuple: "a list of numbers"}
_SCALED = "n_over_d"
_EXAMPLE = "For example: d = [10, 20]"


@dataclass(frozen=True)
class Sweep:
    """The cells of a grid in file order, and the name of the file."""

    source: str
    cells: tuple[Cell, ...]


def load(path: Path) -> Sweep:
    """Reads a configuration.

    The table `[grid]` sets each field of a `Cell` to a value or a list of values; the grid is their Cartesian product.
    `n_over_d` replaces `n` by multiples of `d`. Omitted fields keep their defaults. Several `[[grid]]` tables are
    concatenated; duplicate cells run once.

    Args:
        path: path of the TOML file.

    Returns:
        The cells.

    Raises:
        ArgumentError: for an invalid TOML file, an unknown key, or a value of the wrong type or out of range.
    """
    argument = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _checks.ArgumentError("path", "a readable TOML file", f"{path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _checks.ArgumentError("path", "a TOML file", f"{path}, which is not UTF-8 text") from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _checks.ArgumentError("path", "a TOML file", f"{path} ({error})") from None
    for name in content:
        _checks.choice(argument, name, ("grid",))
    given = content.get("grid")
    tables: list[dict[str, Any]] = [table for table in _listed(given) if isinstance(table, dict)]
    if not tables or len(tables) < len(_listed(given)):
        raise _checks.ArgumentError(argument, "a table [grid]", "none" if given is None else repr(given), _EXAMPLE)
    cells: dict[str, Cell] = {}
    for table in tables:
        for cell in expand(table):
            cells.setdefault(cell.name, cell)
    return Sweep(path.name, tuple(cells.values()))


def expand(table: dict[str, Any]) -> list[Cell]:
    """Builds the cells of one grid, the product of its lists.

    Args:
        table: values or lists of values by field name of a cell, with `n_over_d` as an alternative to `n`.

    Returns:
        The cells, the last field varying fastest.

    Raises:
        ArgumentError: as in `load`.
    """
    names = {*FIELDS, _SCALED}
    for name in table:
        _checks.choice("[grid]", name, names)
    if (_SCALED in table) == ("n" in table):
        came = "both" if "n" in table else "neither"
        raise _checks.ArgumentError("[grid]", f"either n or {_SCALED}", came)
    for name in ("d", "seed"):
        if name not in table:
            raise _checks.ArgumentError("[grid]", f"a value or list for {name!r}", "none", _EXAMPLE)
    axes = {name: _values(name, value) for name, value in table.items()}
    cells: list[Cell] = []
    for combination in itertools.product(*axes.values()):
        fields = dict(zip(axes, combination, strict=True))
        if _SCALED in fields:
            fields["n"] = round(fields.pop(_SCALED) * fields["d"])
        cells.append(Cell(**fields))
    return cells


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _values(name: str, value: Any) -> list[Any]:
    """Returns the values of an axis, checked for type."""
    kind = _kind(name)
    if name in _LISTS:
        values = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
        values = [tuple(item) if isinstance(item, list) else item for item in values]
    else:
        values = _listed(value)
    if not values:
        raise _checks.ArgumentError(name, "at least one value", "an empty list")
    for item in values:
        allowed = (int, float) if kind is float else (kind,)
        if isinstance(item, bool) or not isinstance(item, allowed):
            raise _checks.ArgumentError(name, f"{_KINDS[kind]}, or a list of them", repr(item))
    return values


def _kind(name: str) -> type:
    """Returns the type of the values of an axis, that of the field default."""
    if name in ("d", "n", "seed"):
        return int
    return float if name == _SCALED else type(FIELDS[name].default)
