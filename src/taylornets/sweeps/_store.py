"""What a sweep has found so far: one SQLite file, one transaction a cell."""

import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from taylornets import _checks
from taylornets.records import decode, encode

FILE = "sweep.sqlite"
SCHEMA = "taylornets.sweep/1"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (name TEXT PRIMARY KEY, place INTEGER NOT NULL, result TEXT);
"""


class StoreError(_checks.ArgumentError):
    """A database that cannot be used or written; finished cells in it are kept."""


class Store:
    """The cells of a sweep and the results of those that are finished.

    A cell is a name, which says everything that its result depends on. Every method that writes is one transaction: a process
    that is killed loses the cell under way and nothing else.

    Args:
        folder: of the sweep; made if absent.
        version: of taylornets, written down; another version's results are not mixed in.

    Raises:
        StoreError: for a file that is damaged or is something else, a full disk, a folder that cannot be written.
    """

    def __init__(self, folder: Path, version: str):
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError("out", "a folder that can be written", f"{folder} ({error.strerror})") from None
        with self._guard():
            self._connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            with self._guard():
                self._open(version)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, version: str) -> None:
        """Checks the file, and makes the tables of a new one."""
        # The default rollback journal: after a power cut too, a transaction is there or it is not.
        self._connection.execute("PRAGMA synchronous = FULL")
        # The first fault is enough; some versions of SQLite describe it in several lines.
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
            came = f"one of {about.get('schema')}, taylornets {about.get('version')}"
            raise StoreError(str(self.path), f"a sweep of taylornets {version}", came, "Choose another folder.")

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def plan(self, names: Iterable[str]) -> None:
        """Writes down the cells that belong to the sweep, in order; those there already keep their results."""
        with self._guard(), self._transaction() as connection:
            places = ((name, place) for place, name in enumerate(names))
            connection.executemany(
                "INSERT INTO cells (name, place) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET place = excluded.place",
                places,
            )

    def save(self, name: str, result: dict[str, Any]) -> None:
        """Keeps the result of a cell, if it has none yet."""
        with self._guard(), self._transaction() as connection:
            connection.execute(
                "UPDATE cells SET result = ? WHERE name = ? AND result IS NULL", (json.dumps(encode(result)), name)
            )

    def count(self) -> tuple[int, int]:
        """How many cells are finished, and how many there are."""
        with self._guard():
            return self._connection.execute("SELECT COUNT(result), COUNT(*) FROM cells").fetchone()

    def missing(self, names: Iterable[str]) -> list[str]:
        """The cells of these that have no result."""
        with self._guard():
            done = {row[0] for row in self._connection.execute("SELECT name FROM cells WHERE result IS NOT NULL")}
        return [name for name in names if name not in done]

    def finished(self) -> list[tuple[str, dict[str, Any]]]:
        """The finished cells with their results, in the order of the plan."""
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
    """Turns what SQLite says into one line that names the file and says what to do."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in ("full", "disk I/O")):
            advice = "Finished cells are kept: free some space and continue with `resume=True`."
            raise StoreError("out", f"room on the disk of {self._path.parent}", str(error), advice) from None
        if isinstance(error, sqlite3.Error | ValueError | TypeError) and not isinstance(error, StoreError):
            advice = "It was left as it is. Move it away, or choose another folder."
            raise StoreError("out", f"a database of a sweep in {self._path}", str(error), advice) from None


class _Transaction:
    """One transaction, written or undone as a whole."""

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
        """Rolls back, unless SQLite has done so itself, as it does when the disk is full."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def exists(folder: Path) -> bool:
    """Whether a folder holds a sweep's database, whole or not."""
    return os.path.lexists(folder / FILE)
