"""The command `taylornets`: parses arguments, dispatches, prints results, and maps the outcome to an exit code.

Exit codes: 0 success, and every claim held; 1 the run finished, but a claim did not hold; 2 invalid request (one line on
standard error); 3 the results are complete but could not be written; 130 interrupted.

The libraries of the command line are optional extras, and JAX and those of the report are slow to import: `--help` needs
neither. This module therefore imports none of them: `load` is the only place where the command line imports a module lazily.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


def load(name: str) -> Any:
    """Imports and returns the module of this package with the work of a command, after JAX with its settings."""
    _module("_compiled").prepare(_module("_root").settings.cache)
    return _module(name)


def _module(name: str) -> Any:
    return importlib.import_module(f"taylornets.cli.{name}")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits.

    Args:
        arguments: command-line arguments after `taylornets`; defaults to `sys.argv[1:]`.

    Raises:
        SystemExit: always, with the exit code.
    """
    try:
        code = _module("_app").run(arguments)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("taylornets"):
            raise
        extra = "dask" if error.name in ("dask", "distributed", "polars") else "cli"
        print(f"The command line requires {error.name!r}: pip install 'taylornets[{extra}]'", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:  # while the libraries are imported
        code = 130
    sys.exit(code)
