"""Conversion of command-line options to requests."""

import shlex
from dataclasses import fields
from typing import Any

from typer.main import get_group

from taylornets.cli._root import app
from taylornets.cli._wording import phrased
from taylornets.cli._wording import words as words_of
from taylornets.datafiles import Reading
from taylornets.tabular import FitRequest, FitSettings

# The command in the report always states the seed, even the default, since every result depends on it.
_DEFAULTS: dict[str, Any] = {
    field.name: field.default
    for kind in (FitRequest, FitSettings, Reading)
    for field in fields(kind)
    if field.name != "seed"
}


def reading(
    encoding: str | None, separator: str | None, decimal: str | None, missing: list[str] | None = None,
    dates: str | None = None, skip_lines: int = 0, no_header: bool = False,
) -> Reading:  # fmt: skip
    """Builds the reading options of a table."""
    words = tuple(missing or ())
    return Reading(encoding, separator, decimal, missing=words, dates=dates, skip_lines=skip_lines, no_header=no_header)


def request(data: str, options: dict[str, Any]) -> FitRequest:
    """Builds the fit request from the options.

    Args:
        data: file or `sklearn:NAME`.
        options: values by option name, with underscores.
    """
    words = ["taylornets", "fit", data]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] * value
        elif value is not None and _DEFAULTS.get(name) != value:
            for item in value if isinstance(value, tuple) else (value,):
                words += [option, str(item)]

    def chosen(kind: type) -> dict[str, Any]:
        return {field.name: options[field.name] for field in fields(kind) if field.name in options}

    return FitRequest(
        data, reading=Reading(**chosen(Reading)), settings=FitSettings(**chosen(FitSettings)), command=shlex.join(words),
        worded=worded, **chosen(FitRequest),
    )  # fmt: skip


def worded(text: str) -> str:
    """Rewrites sentences about arguments in the options of `fit`."""
    commands = get_group(app).commands
    return phrased(text, words_of(commands["fit"]), commands)
