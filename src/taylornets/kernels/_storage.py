"""Kernels in memory or in an `.npy` file that an interrupted computation continues."""

import dataclasses
import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from taylornets._checks import ArgumentError, host


@dataclasses.dataclass
class SymmetricMatrix:
    """A symmetric matrix that is filled one row of blocks at a time.

    Attributes:
        values: the matrix, shape `(rows, rows)`.
        mark: the file that records the progress, or None in memory.
        done: number of complete rows of blocks.
        identity: what the matrix is computed from, see `begin`.
    """

    values: np.ndarray
    mark: Path | None = None
    done: int = 0
    identity: str = ""

    @classmethod
    def in_memory(cls, shape: tuple[int, int], dtype: Any) -> "SymmetricMatrix":
        """Returns an empty matrix."""
        return cls(np.empty(shape, dtype))

    @classmethod
    @contextmanager
    def opened(cls, out: str | Path, shape: tuple[int, int], dtype: Any) -> Generator["SymmetricMatrix"]:
        """Opens or creates an `.npy` file; the record next to it is removed when the matrix is complete."""
        path = Path(out)
        if path.suffix != ".npy":
            raise ArgumentError("out", "a path that ends in '.npy'", repr(str(out)))
        mark = path.with_name(path.name + ".rows")
        store = cls(np.empty((0, 0), dtype), mark)
        if mark.exists() and path.exists():
            record = json.loads(mark.read_text(encoding="utf-8"))
            found = np.load(path, mmap_mode="r+")
            if (found.shape, found.dtype) != (shape, np.dtype(dtype)):
                got = f"one of shape {found.shape} and dtype {found.dtype}"
                advice = f"Delete {mark.name} to overwrite it."
                raise ArgumentError(
                    "out", f"an interrupted kernel of shape {shape} and dtype {np.dtype(dtype)}", got, advice
                )
            store = cls(found, mark, int(record["done"]), str(record["identity"]))
        else:
            store = cls(np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape), mark)
        yield store
        if isinstance(store.values, np.memmap):
            store.values.flush()
        mark.unlink(missing_ok=True)

    def begin(self, *parts: Any) -> None:
        """Compares what the matrix is computed from with the record of an interrupted computation."""
        if self.mark is None:
            return
        digest = hashlib.sha256()
        for part in parts:
            values = host(part)
            digest.update(f"{values.shape}{values.dtype}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        identity = digest.hexdigest()
        if self.done and identity != self.identity:
            got, advice = "one of another model or other examples", f"Delete {self.mark.name} to overwrite it."
            raise ArgumentError("out", "an interrupted computation of this kernel", got, advice)
        self.identity = identity

    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Writes a block and its mirror image."""
        block = block[: rows.stop - rows.start, : columns.stop - columns.start]
        self.values[rows, columns] = block
        if rows != columns:
            self.values[columns, rows] = block.T

    def finish_row(self) -> None:
        """Records another complete row of blocks."""
        self.done += 1
        if self.mark is None:
            return
        if isinstance(self.values, np.memmap):
            self.values.flush()
        record = json.dumps({"done": self.done, "identity": self.identity})
        fresh = self.mark.with_name(self.mark.name + ".new")
        fresh.write_text(record, encoding="utf-8")
        fresh.replace(self.mark)
