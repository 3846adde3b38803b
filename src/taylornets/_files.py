"""Files that are whole or absent."""

import os
import tempfile
from pathlib import Path

_TEMPORARY = ".taylornets-tmp"


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically: under another name in the same folder, flushed to the disk, then renamed.

    Args:
        path: the file; its folder is made if absent.
        data: what it will hold.

    Raises:
        OSError: where the file cannot be written; what was there before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp's files are the owner's alone; a report is for others too
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def is_temporary(path: Path) -> bool:
    """Whether `path` is what a killed `write_bytes` left behind."""
    return path.name.endswith(_TEMPORARY)
