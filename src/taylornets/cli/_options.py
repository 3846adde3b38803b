"""Options that several commands share or that need a parser; an error states the expected and the given value."""

from pathlib import Path
from typing import Annotated, Any

import typer

from taylornets._errors import ArgumentError

Task = Annotated[
    str, typer.Option("--task", metavar="auto|classification|regression", help="Inferred from the target by default.")
]
Before = Annotated[
    Path | None,
    typer.Option("--before", metavar="DIR", help="Local folder of a Hugging Face model before fine-tuning."),
]
After = Annotated[
    Path | None,
    typer.Option("--after", metavar="DIR", help="The same model after fine-tuning, or a PEFT adapter for it."),
]
Text = Annotated[str | None, typer.Option("--text", metavar="COLUMN", help="Text column of --data to tokenize.")]
Groups = Annotated[
    str | None, typer.Option("--groups", metavar="kind|block", help="PyTorch: also move one group of layers at a time.")
]
Pickle = Annotated[
    bool, typer.Option("--pickle", help="Accept folders with pickled weights, read with weights_only=True.")
]


def whole(option: str, metavar: str, text: str, panel: str | None = None) -> Any:
    """Creates an option that takes an integer.

    Args:
        option: with its dashes.
        metavar: placeholder in the help.
        text: the help.
        panel: group in the help.
    """
    return typer.Option(option, metavar=metavar, help=text, parser=_integer, rich_help_panel=panel)


def number(option: str, metavar: str, text: str, panel: str | None = None) -> Any:
    """Creates an option that takes a number.

    Args:
        option: with its dashes.
        metavar: placeholder in the help.
        text: the help.
        panel: group in the help.
    """
    return typer.Option(option, metavar=metavar, help=text, parser=_number, rich_help_panel=panel)


def once(option: str, words: list[str] | None) -> str | None:
    """Returns the value of an option that may be given at most once."""
    if words is not None and len(words) > 1:
        raise ArgumentError(option, "one column", f"{len(words)}: {', '.join(map(repr, words[:3]))}")
    return words[0] if words else None


def _integer(text: str | int) -> int:  # defaults come as numbers
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"expected an integer, got {text!r}") from None


def _number(text: str | float) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"expected a number, got {text!r}") from None
