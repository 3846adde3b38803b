"""Numeric options, validated when they are parsed; the message states the expected and the given value."""

from typing import Any

import typer

from taylornets._checks import ArgumentError


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


def once(option: str, words: list[str] | None) -> str | None:
    """Returns the value of an option that may be given at most once."""
    if words is not None and len(words) > 1:
        raise ArgumentError(option, "one column", f"{len(words)}: {', '.join(map(repr, words[:3]))}")
    return words[0] if words else None
