"""A starter file that runs as is."""

from importlib import resources
from pathlib import Path

from taylornets import _checks, _files


def write_template(path: Path) -> None:
    """Writes a starter file with a model, its data and a factory.

    Args:
        path: the file, which must not exist.

    Raises:
        ArgumentError: if the file exists or its name does not end in .py.
        OSError: if it cannot be written.
    """
    if path.suffix != ".py":
        raise _checks.ArgumentError("path", "the name of a new Python file, such as model.py", str(path))
    if path.exists():
        raise _checks.ArgumentError("path", "the name of a new file", f"{path}, which exists", "Choose another name.")
    text = resources.files("taylornets.diagnosis").joinpath("template.py.txt").read_text(encoding="utf-8")
    _files.write_bytes(path, text.format(name=path).encode())
