"""Protection of output folders: a command overwrites only folders that it has written itself."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from taylornets import _checks, _files
from taylornets.records._lock import LOCK, owned

__all__ = ["check_folder", "own_folder", "owned", "prepare_folder"]


def check_folder(out: Path, command: str, ours: Callable[[Path], object]) -> None:
    """Rejects a folder with contents that were not written by the command.

    Args:
        out: the folder, which need not exist.
        command: name of the command, such as `fit`.
        ours: returns a true value if an existing folder was written by the command.

    Raises:
        ArgumentError: for a folder with other contents, a file, or an unreadable path.
    """
    expected = f"a new or empty folder, or one written by `taylornets {command}`"
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            out.stat()
        there = next(path for path in (out, *out.absolute().parents) if os.path.lexists(path))
        if not there.is_dir():
            raise _checks.ArgumentError(
                "out", expected, f"{out}, but {there} is not a folder", "Choose another folder."
            )
        items = sorted(item.name for item in out.iterdir() if not _is_ours(item)) if there == out else []
    except (OSError, ValueError) as error:
        if isinstance(error, _checks.ArgumentError):
            raise
        why = getattr(error, "strerror", None) or str(error)
        raise _checks.ArgumentError("out", expected, f"{_checks.short(str(out))} ({why})") from None
    if items and not ours(out):
        got = f"{out}, which contains {items[0]!r}" + (f" and {len(items) - 1} more" if items[1:] else "")
        raise _checks.ArgumentError("out", expected, got, "Choose another folder.")


def own_folder(directory: Path, name: str) -> Path:
    """Returns `directory / name`; a link of that name is removed, so that nothing is written elsewhere."""
    found = directory / name
    if found.is_symlink():
        found.unlink()
    return found


def prepare_folder(out: Path, own: Iterable[str]) -> None:
    """Creates the folder and removes the output of an earlier run, except run.json, which marks the folder.

    Args:
        out: the folder.
        own: names of the files and folders that this kind of run writes.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for item in sorted(out.iterdir()):
            if _files.is_temporary(item) or item.name in own:
                shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
    except OSError as error:
        raise _files.WriteError(
            error.errno, error.strerror or type(error).__name__, error.filename or str(out)
        ) from None


def _is_ours(item: Path) -> bool:
    return _files.is_temporary(item) or item.name == LOCK
