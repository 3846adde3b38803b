"""Atomic file writes: a file is either complete or absent."""

import os
import tempfile
from pathlib import Path

_TEMPORARY = ".taylornets-tmp"


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically: writes a temporary file in the same folder, flushes it to disk, then renames it.

    Args:
        path: the file; its folder is created if absent.
        data: the contents.

    Raises:
        OSError: if the file cannot be written; an existing file is left unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp creates files readable by the owner only; reports are shared
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def is_temporary(path: Path) -> bool:
    """Returns whether `path` is a temporary file left by an interrupted `write_bytes`."""
    return path.name.endswith(_TEMPORARY)
