"""Atomic file writes: a file is either complete or absent, and nothing is written through a link."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

_TEMPORARY = ".taylornets-tmp"
_ATTEMPTS = 100


class WriteError(OSError):
    """Raised if a file cannot be written: the disk is full or read-only, or the folder has vanished."""


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically: writes a temporary file in the same folder, flushes it to disk, then renames it.

    A new file has the mode of the user's umask; a replaced file keeps its mode. A link at `path` is replaced, not followed.

    Args:
        path: the file; its folder is created if absent.
        data: the contents.

    Raises:
        WriteError: if the file cannot be written; an existing file is left unchanged.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _mode(path)
        # A file that will be private is private from its first byte on.
        handle, temporary = _created(path.parent, 0o666 if mode is None else 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, path)
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error) or type(error).__name__, str(path)) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def try_folder(folder: Path) -> None:
    """Tries whether files can be written in a folder, or in its nearest existing parent if it does not exist.

    Raises:
        OSError: if they cannot.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    handle, temporary = _created(there, 0o600)
    os.close(handle)
    temporary.unlink()


def is_temporary(path: Path) -> bool:
    """Returns whether `path` is a temporary file left by an interrupted `write_bytes`."""
    return path.name.endswith(_TEMPORARY)


def _mode(path: Path) -> int | None:
    """Returns the permissions of an existing regular file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else None


def _created(folder: Path, mode: int) -> tuple[int, Path]:
    """Creates a temporary file that did not exist; the kernel applies the umask."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    for _ in range(_ATTEMPTS):
        path = folder / f".{secrets.token_hex(6)}{_TEMPORARY}"
        try:
            return os.open(path, flags, mode), path
        except FileExistsError:
            continue
    raise FileExistsError(17, "no name for a temporary file", str(folder))
