"""From options to what the runner of fits takes."""

import shlex
from dataclasses import fields
from typing import Any

from taylornets.datafiles import Reading
from taylornets.tabular import FitRequest, FitSettings

# The seed is written into the command of a report even where it is the default: it decides every bit.
_DEFAULTS: dict[str, Any] = {
    field.name: field.default
    for kind in (FitRequest, FitSettings, Reading)
    for field in fields(kind)
    if field.name != "seed"
}


def reading(encoding: str | None, separator: str | None, decimal: str) -> Reading:
    """How a table is read."""
    return Reading(encoding, separator, decimal)


def request(data: str, options: dict[str, Any]) -> FitRequest:
    """The fit that the options ask for.

    Args:
        data: file or `sklearn:NAME`.
        options: by their names, with underscores.
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
        **chosen(FitRequest),
    )  # fmt: skip
