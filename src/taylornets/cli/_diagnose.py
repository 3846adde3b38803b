"""The command `diagnose`."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.text import Text

from taylornets import _checks
from taylornets.cli._progress import shown
from taylornets.cli._root import DONE, INTERRUPTED
from taylornets.diagnosis import Diagnosed, DiagnosisRequest, diagnose, write_template
from taylornets.records.folders import owned
from taylornets.report import write_report


def orders(option: str, words: str) -> tuple[int, ...]:
    """Parses `1,2,3` as integers."""
    try:
        return tuple(int(word) for word in words.replace(" ", ",").split(",") if word)
    except ValueError:
        raise _checks.ArgumentError(option, "orders such as 1,2,3", repr(words)) from None


def image_shape(words: str | None) -> tuple[int, ...] | None:
    """Parses `8x8` or `32x32x3` as integers, and `no` as an empty shape."""
    if words is None:
        return None
    if words == "no":
        return ()
    sides = words.lower().split("x")
    if len(sides) not in (2, 3) or not all(side.isdigit() and int(side) for side in sides):
        raise _checks.ArgumentError("--images", "a shape such as 8x8 or 32x32x3, or no", repr(words))
    return tuple(map(int, sides))


def init(words: str | None) -> int:
    """Writes the starter file.

    Returns:
        0.
    """
    path = Path((words or "taylornets_model.py").partition(":")[0])
    write_template(path)
    console = Console()
    console.print(Text(f"Wrote {path}"), soft_wrap=True)
    console.print(Text(f"Run it with: taylornets diagnose {shlex.quote(str(path))}:factory"), soft_wrap=True)
    return DONE


def run(where: str, options: dict[str, Any], given: Sequence[str], x64: bool) -> int:
    """Diagnoses a network, writes the report, prints the verdict.

    Args:
        where: `FILE.py:FACTORY`.
        options: fields of `DiagnosisRequest`.
        given: the command-line arguments after `taylornets`, for the report.
        x64: whether the user's model computes in float64.

    Returns:
        0 on success, 130 if interrupted.
    """
    # Unless x64 is set, the user's arrays keep JAX's default precision, as in the user's own programs.
    jax.config.update("jax_enable_x64", x64)
    words = [word for word in given if word != "--resume"]
    request = DiagnosisRequest(where, command=shlex.join(["taylornets", *words]), **options)
    screen = Console(stderr=True)
    try:
        # An invalid request is rejected during the stage `reading`, with a single line on standard error.
        with owned(request.out), shown(screen, transient=True, silent=("reading",)) as progress:
            found = diagnose(request, progress)
            report = write_report(request.out, progress)
    except KeyboardInterrupt:
        again = shlex.join(["taylornets", *words, "--resume"])
        screen.print(Text(f"Interrupted. Progress is kept in {request.out}; resume with: {again}"), soft_wrap=True)
        return INTERRUPTED
    _print(found, report)
    return DONE


def _print(found: Diagnosed, report: Path) -> None:
    console = Console()
    console.print(Text(found.record.lead), soft_wrap=True)
    console.print()
    console.print(Text(found.regime.table), soft_wrap=True)
    console.print()
    if found.training is not None:
        console.print(Text(str(found.training)), soft_wrap=True)
        console.print()
    console.print(Text(f"Report: {report.resolve()}"), soft_wrap=True)
