"""Folders that a command writes into: never somebody else's."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from taylornets import _checks, _files


def check_folder(out: Path, command: str, ours: Callable[[Path], object]) -> None:
    """Rejects a folder with contents that the command has not written.

    Args:
        out: the folder, which need not exist.
        command: such as `fit`.
        ours: whether an existing folder holds what the command writes; a true value or not.

    Raises:
        ArgumentError: for a foreign folder, a file, or a path that cannot be read.
    """
    needed = f"a new or empty folder, or one that `taylornets {command}` has written"
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            out.stat()
        there = next(path for path in (out, *out.absolute().parents) if os.path.lexists(path))
        if not there.is_dir():
            raise _checks.ArgumentError("out", needed, f"{out}, but {there} is no folder", "Choose another folder.")
        items = sorted(item.name for item in out.iterdir() if not _files.is_temporary(item)) if there == out else []
    except (OSError, ValueError) as error:
        if isinstance(error, _checks.ArgumentError):
            raise
        why = getattr(error, "strerror", None) or str(error)
        raise _checks.ArgumentError("out", needed, f"{_checks.short(str(out))} ({why})") from None
    if items and not ours(out):
        came = f"{out}, which holds {items[0]!r}" + (f" and {len(items) - 1} more" if items[1:] else "")
        raise _checks.ArgumentError("out", needed, came, "Choose another folder.")


def prepare_folder(out: Path, own: Iterable[str]) -> None:
    """Makes the folder, and removes what an earlier run left; its run.json, which marks the folder, is replaced later.

    Args:
        out: the folder.
        own: names of what a run of this kind writes.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for item in sorted(out.iterdir()):
            if _files.is_temporary(item) or item.name in own:
                shutil.rmtree(item) if item.is_dir() else item.unlink()
    except OSError as error:
        raise _checks.ArgumentError("out", "a folder that can be written", f"{out} ({error.strerror})") from None
