"""A starter file, which runs as it is."""

from importlib import resources
from pathlib import Path

from taylornets import _checks, _files


def write_template(path: Path) -> None:
    """Writes a file with a model, its data and a factory.

    Args:
        path: the file, which must not be there.

    Raises:
        ArgumentError: for a file that is there, or has another ending than .py.
        OSError: where it cannot be written.
    """
    if path.suffix != ".py":
        raise _checks.ArgumentError("path", "the name of a new Python file, such as model.py", str(path))
    if path.exists():
        raise _checks.ArgumentError("path", "the name of a new file", f"{path}, which is there", "Choose another name.")
    text = resources.files("taylornets.diagnosis").joinpath("template.py.txt").read_text(encoding="utf-8")
    _files.write_bytes(path, text.format(name=path).encode())
