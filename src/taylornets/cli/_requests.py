"""From options to what the runner of fits takes."""

import shlex
from typing import Any

from taylornets.datafiles import Reading
from taylornets.tabular import FitRequest, FitSettings

_DEFAULTS: dict[str, Any] = {"order": 2, "width": 256, "rank": 1, "task": "auto", "decimal": "."}


def reading(encoding: str | None, separator: str | None, decimal: str) -> Reading:
    """How a table is read."""
    return Reading(encoding, separator, decimal)


def request(data: str, options: dict[str, Any]) -> FitRequest:
    """A fit that was asked for.

    Args:
        data: file or `sklearn:NAME`.
        options: by their names without dashes.
    """
    words = ["taylornets", "fit", data]
    for name, value in options.items():
        if isinstance(value, bool):
            words += [f"--{name}"] * value
        elif value is not None and _DEFAULTS.get(name) != value:
            for item in value if isinstance(value, tuple) else (value,):
                words += [f"--{name}", str(item)]
    return FitRequest(
        data,
        options["target"],
        options["task"],
        Reading(options["encoding"], options["separator"], options["decimal"], options["drop"], options["categorical"]),
        FitSettings(options["order"], options["width"], options["penalty"], options["rank"], options["seed"]),
        options["out"],
        shlex.join(words),
        options["drop-constant"],
    )
