"""The results of a sweep so far: one SQLite file, one transaction per cell."""

import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from taylornets import _checks
from taylornets.records._files import decode, encode

FILE = "sweep.sqlite"
SCHEMA = "taylornets.sweep/1"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (name TEXT PRIMARY KEY, place INTEGER NOT NULL, result TEXT);
"""


class StoreError(_checks.ArgumentError):
    """Raised if a database cannot be used or written; its finished cells are kept."""


class Store:
    """The cells of a sweep and the results of the finished ones.

    A cell is a name, which determines its result. Every write is one transaction: a killed process loses only the cell in
    progress.

    Args:
        folder: folder of the sweep; created if absent.
        version: version of taylornets, stored in the file; results of different versions are not mixed.

    Raises:
        StoreError: for a damaged or foreign file, a full disk, or a folder that is not writable.
    """

    def __init__(self, folder: Path, version: str):
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError("out", "a writable folder", f"{folder} ({error.strerror})") from None
        with self._guard():
            self._connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            with self._guard():
                self._open(version)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, version: str) -> None:
        """Checks the file, and creates the tables of a new one."""
        # The default rollback journal keeps transactions atomic even after a power failure.
        self._connection.execute("PRAGMA synchronous = FULL")
        # One error suffices; some versions of SQLite describe it in several lines.
        check = " ".join(self._connection.execute("PRAGMA quick_check(1)").fetchone()[0].split())
        if check != "ok":
            raise sqlite3.DatabaseError(check)
        self._connection.executescript(_TABLES)
        about = dict(self._connection.execute("SELECT key, value FROM about"))
        if not about:
            with self._transaction() as connection:
                items = (("schema", SCHEMA), ("version", version))
                connection.executemany("INSERT INTO about VALUES (?, ?)", items)
        elif about.get("schema") != SCHEMA or about.get("version") != version:
            came = f"a sweep of {about.get('schema')}, taylornets {about.get('version')}"
            raise StoreError(str(self.path), f"a sweep of taylornets {version}", came, "Choose another folder.")

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def plan(self, names: Iterable[str]) -> None:
        """Stores the names of the cells of the sweep, in order; existing cells keep their results."""
        with self._guard(), self._transaction() as connection:
            places = ((name, place) for place, name in enumerate(names))
            connection.executemany(
                "INSERT INTO cells (name, place) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET place = excluded.place",
                places,
            )

    def save(self, name: str, result: dict[str, Any]) -> None:
        """Stores the result of a cell, unless it already has one."""
        with self._guard(), self._transaction() as connection:
            connection.execute(
                "UPDATE cells SET result = ? WHERE name = ? AND result IS NULL", (json.dumps(encode(result)), name)
            )

    def count(self) -> tuple[int, int]:
        """Returns the number of finished cells and the total number of cells."""
        with self._guard():
            return self._connection.execute("SELECT COUNT(result), COUNT(*) FROM cells").fetchone()

    def missing(self, names: Iterable[str]) -> list[str]:
        """Returns the given cells that have no result."""
        with self._guard():
            done = {row[0] for row in self._connection.execute("SELECT name FROM cells WHERE result IS NOT NULL")}
        return [name for name in names if name not in done]

    def finished(self) -> list[tuple[str, dict[str, Any]]]:
        """Returns the finished cells with their results, in plan order."""
        with self._guard():
            rows = self._connection.execute(
                "SELECT name, result FROM cells WHERE result IS NOT NULL ORDER BY place, name"
            ).fetchall()
            return [(name, decode(json.loads(result))) for name, result in rows]

    def _guard(self) -> "_Guard":
        return _Guard(self.path)

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


class _Guard:
    """Converts SQLite errors to one-line messages with the file and the recommended action."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in ("full", "disk I/O")):
            advice = "Finished cells are kept. Free disk space and resume with `resume=True`."
            raise StoreError("out", f"free space on the disk of {self._path.parent}", str(error), advice) from None
        if isinstance(error, sqlite3.Error | ValueError | TypeError) and not isinstance(error, StoreError):
            advice = "The file was not modified. Move it, or choose another folder."
            raise StoreError("out", f"a sweep database at {self._path}", str(error), advice) from None


class _Transaction:
    """One atomic transaction."""

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._undo()
                raise
        else:
            self._undo()

    def _undo(self) -> None:
        """Rolls back, unless SQLite has already done so, as on a full disk."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def exists(folder: Path) -> bool:
    """Returns whether a folder contains a sweep database, complete or not."""
    return os.path.lexists(folder / FILE)
