"""The command `taylornets`: it parses, dispatches, prints, and turns what happened into an exit code.

Exit codes: 0 done and every claim held; 1 it ran and a claim did not hold; 2 the request was wrong (one line on
standard error); 130 interrupted.

The command line's libraries are extras of the package, and the report's are slow to import. So nothing of them is
imported with this module: `load` is the one place where the command line imports a module late.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


def load(name: str) -> Any:
    """A module of this room, imported now."""
    return importlib.import_module(f"taylornets.cli.{name}")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits.

    Args:
        arguments: words after `taylornets`; those of the process if None.

    Raises:
        SystemExit: always, with the exit code.
    """
    try:
        code = load("_app").run(arguments)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("taylornets"):
            raise
        extra = "dask" if error.name in ("dask", "distributed", "polars") else "cli"
        print(
            f"The command line needs {error.name!r}: install it with pip install 'taylornets[{extra}]'", file=sys.stderr
        )
        code = 2
    sys.exit(code)
