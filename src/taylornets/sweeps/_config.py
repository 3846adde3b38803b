"""Sweep configurations: TOML files whose lists define a grid of cells."""

import itertools
import math
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
_LARGEST_FILE = 2**20
_MOST_CELLS = 100_000
# Largest values of the fields that decide the memory of a cell, and the memory itself.
_LARGEST = {
    "d": 100_000,
    "n": 10_000_000,
    "width": 1_000_000,
    "validation": 10_000_000,
    "test": 10_000_000,
    "padded": 10_000_000,
}
_MEMORY = 2**34
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
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise _checks.ArgumentError(
                "path", f"a TOML file of at most {_LARGEST_FILE:,} bytes", f"{size:,} in {path}"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _checks.ArgumentError("path", "a readable TOML file", f"{path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _checks.ArgumentError("path", "a TOML file", f"{path}, which is not UTF-8 text") from None
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError, OverflowError) as error:
        why = (
            "nested too deeply" if isinstance(error, RecursionError) else _checks.cut(" ".join(str(error).split()), 200)
        )
        raise _checks.ArgumentError("path", "a TOML file", f"{path} ({why})") from None
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
    count = math.prod(map(len, axes.values()))
    if count > _MOST_CELLS:
        raise _checks.ArgumentError(
            "[grid]", f"at most {_MOST_CELLS:,} cells", f"{count:,}", "Split the grid into several."
        )
    cells: list[Cell] = []
    for combination in itertools.product(*axes.values()):
        fields = dict(zip(axes, combination, strict=True))
        if _SCALED in fields:
            scaled = fields.pop(_SCALED)
            if not 0 < scaled <= _LARGEST["n"]:
                raise _checks.ArgumentError(_SCALED, f"a number > 0 and ≤ {_LARGEST['n']:,}", repr(scaled))
            fields["n"] = round(scaled * fields["d"])
        _check_sizes(fields)
        cells.append(Cell(**fields))
    return cells


def _check_sizes(fields: dict[str, Any]) -> None:
    """Rejects a cell that no machine can compute, before a worker starts."""
    for name, limit in _LARGEST.items():
        if fields.get(name, 0) > limit:
            raise _checks.ArgumentError(name, f"an integer ≤ {limit:,}", f"{fields[name]:,}")
    size = {name: fields.get(name, getattr(FIELDS.get(name), "default", 0)) for name in _LARGEST}
    rows = max(size["n"], size["padded"], size["validation"], size["test"])
    numbers = rows * (size["d"] + size["width"]) + size["d"] * size["width"]
    if str(fields.get("model", "")).endswith("ntk"):
        numbers += max(size["n"], size["padded"]) ** 2
    if 8 * numbers > _MEMORY:
        got = f"about {8 * numbers:,} for n = {size['n']:,}, d = {size['d']:,}"
        advice = "Reduce n, d, width, validation, test or padded."
        raise _checks.ArgumentError("n", f"a cell of at most {_MEMORY:,} bytes", got, advice)


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
