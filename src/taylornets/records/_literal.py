"""Texts of data inside sentences of a report: shown letter for letter, never as a formula, code or markup."""

import re

_BEGIN, _END = "\ue000", "\ue001"  # private characters of Unicode, which no rule of a page touches
SEGMENTS = re.compile(f"{_BEGIN}([^{_END}]*){_END}")


def literal(text: object) -> str:
    """Marks a text of the data, so that reports show it letter for letter.

    Args:
        text: a name, a class or another text of a table.

    Returns:
        The text between two marks, which only `taylornets.report` reads; `bare` removes them.

    Example:
        >>> bare(f"the column {literal('R^2')}")
        'the column R^2'
    """
    return f"{_BEGIN}{str(text).replace(_BEGIN, '').replace(_END, '')}{_END}"


def bare(text: object) -> str:
    """Removes the marks of `literal`."""
    return str(text).replace(_BEGIN, "").replace(_END, "")
