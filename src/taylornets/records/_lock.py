"""One owner for an output folder: a lock file with the process and the host, which a dead process does not keep."""

import contextlib
import errno
import json
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

from taylornets import _checks, _files

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".taylornets-lock"
_LONGEST = 1000
_NO_FOLDER = (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


@contextlib.contextmanager
def owned(out: Path) -> Generator[None]:
    """Owns a folder while the block runs: a second process that writes there is rejected.

    The folder is created if absent, and removed again if nothing was written. On Unix, the kernel releases the lock of a
    process that dies; elsewhere, and for a lock of this host, a process that no longer runs loses it.

    Args:
        out: the folder.

    Raises:
        ArgumentError: if the folder cannot be written, or another process owns it.
    """
    new = [path for path in (out, *out.absolute().parents) if not os.path.lexists(path)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        _files.try_folder(out)
        handle = _locked(out)
    except OSError as error:
        _discard(new)
        if error.errno in _NO_FOLDER:  # not a folder at all: the check of its contents says so
            yield
            return
        why = error.strerror or type(error).__name__
        raise _checks.ArgumentError("out", "a writable folder", f"{out} ({why})", "Choose another folder.") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (out / LOCK).unlink()
        os.close(handle)
        _discard(new)


def _discard(folders: list[Path]) -> None:
    """Removes folders that this process created, if they are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _locked(out: Path) -> int:
    path = out / LOCK
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            _take(handle, path)
            if os.fstat(handle).st_ino != path.stat().st_ino:  # its owner has just removed it
                os.close(handle)
                continue
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        except FileNotFoundError:
            os.close(handle)
            continue
        except BaseException:
            os.close(handle)
            raise
        return handle


def _take(handle: int, path: Path) -> None:
    """Takes the lock, or raises an error that names its owner."""
    owner = _owner(handle)
    elsewhere = owner.get("host", socket.gethostname()) != socket.gethostname()
    free = not elsewhere and not _runs(owner.get("pid"))
    if fcntl is not None and not elsewhere:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
    if not free:
        got = f"{path.parent}, in which process {owner.get('pid', '?')} on {owner.get('host', 'this host')} is writing"
        advice = f"Wait for it, choose another folder, or, if that process is dead, delete {path}."
        raise _checks.ArgumentError("out", "a folder that no other process writes", got, advice)


def _owner(handle: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(handle, _LONGEST, 0) or b"{}")
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _runs(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
