"""The help of a command, one line per option in groups, so that it fits a screen."""

import textwrap
from typing import Any

from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

_INDENT = 2
_NARROWEST = 20  # of a text


class Listed(TyperCommand):
    """A command whose help lists its arguments, and its options under the headings of their groups."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help; `formatter` is not used, since the widths of the columns depend on all groups."""
        del formatter
        console = Console(highlight=False)
        pieces = [piece.strip("{}") for piece in self.collect_usage_pieces(ctx)]
        console.print(Text(" ".join(["Usage:", ctx.command_path, *pieces]), style="bold"))
        console.print(Text(" ".join((self.help or "").split())))
        rows = [(self._group(one), *_described(one, ctx)) for one in self.get_params(ctx) if not _hidden(one)]
        width = _left_width([row[1:] for row in rows], console.width)
        for group in dict.fromkeys(group for group, _, _ in rows):
            console.print()
            if group:
                console.print(Text(group, style="bold"))
            for _, left, text in (row for row in rows if row[0] == group):
                console.print(Text("\n".join(_lines(left, text, width, console.width))))

    @staticmethod
    def _group(parameter: Any) -> str:
        """The heading of a parameter; arguments and ungrouped options come first, without a heading."""
        return getattr(parameter, "rich_help_panel", None) or ""


def _lines(left: str, text: str, width: int, screen: int) -> list[str]:
    """An option in a column of a given width, and its text next to it, or below it where the option is longer."""
    column = _INDENT + width + _INDENT
    wrapped = [
        " " * column + line for line in textwrap.wrap(text, max(screen - column, _NARROWEST), break_on_hyphens=False)
    ]
    if len(left) > width or not wrapped:
        return [" " * _INDENT + left, *wrapped]
    return [" " * _INDENT + left.ljust(width) + wrapped[0][_INDENT + width :], *wrapped[1:]]


def _left_width(rows: list[tuple[str, str]], screen: int) -> int:
    """The width of the options' column with the fewest lines; the widest of them. With the least, texts are below."""
    widths = sorted({_INDENT, *(len(left) for left, _ in rows if len(left) + _NARROWEST < screen)}, reverse=True)
    return min(widths, key=lambda width: sum(len(_lines(*row, width, screen)) for row in rows))


def _hidden(parameter: Any) -> bool:
    return bool(getattr(parameter, "hidden", False))


def _described(parameter: Any, ctx: Any) -> tuple[str, str]:
    """The option as it is written, and its help with the default."""
    help_text = " ".join((getattr(parameter, "help", None) or "").split())
    if parameter.param_type_name == "argument":
        return str(parameter.metavar), help_text
    flag = getattr(parameter, "is_flag", False)
    left = ", ".join(sorted(parameter.opts, key=len)) + ("" if flag else f" {parameter.metavar}")
    default = parameter.get_default(ctx)
    shown = "" if flag or default is None or default in ((), []) else f" [{default}]"
    return left, f"{help_text}{shown}"
