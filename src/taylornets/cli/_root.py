"""The Typer application, its exit codes, and the arguments of the running command."""

from dataclasses import dataclass
from typing import Annotated

import typer

from taylornets import __version__

DONE, BROKEN, WRONG_REQUEST, NOT_WRITTEN, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 130, 141

app = typer.Typer(
    name="taylornets",
    help="Taylor models of wide neural networks: fit, certify, diagnose, and test the claims of the theory numerically.",
    epilog="Exit codes: 0 success, and every claim held; 1 a claim did not hold; 2 invalid request; 3 the results are "
    "complete but could not be written; 130 interrupted.",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# Arguments of the running command, quoted in the report and in errors.
words: list[str] = []


@dataclass
class Settings:
    """Options that precede the command."""

    cache: bool = True


settings = Settings()


def _version(asked: bool) -> bool:
    if asked:
        print(f"taylornets {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001  # its callback exits
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Do not keep compiled programs in the user's cache folder.")
    ] = False,
) -> None:
    """Keeps the options; the commands do the work."""
    settings.cache = not no_cache
