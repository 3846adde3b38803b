"""The Typer application, its exit codes, and the arguments of the running command."""

from importlib import metadata
from typing import Annotated

import typer

DONE, BROKEN, WRONG_REQUEST, NOT_WRITTEN, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 130, 141

app = typer.Typer(
    name="taylornets",
    help="Taylor models of wide neural networks: fit, certify, diagnose, and test the claims of the theory numerically.",
    epilog="Exit codes: 0 success, and every claim held; 1 a claim did not hold; 2 invalid request; 3 the results are whole "
    "but could not be written; 130 interrupted.",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# Arguments of the running command, quoted in the report and in errors.
words: list[str] = []


def _version(asked: bool) -> bool:
    if asked:
        print(f"taylornets {metadata.version('taylornets')}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Does nothing; the commands do the work."""
