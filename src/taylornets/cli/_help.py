"""The help of a command, one line per option in groups, so that it fits a screen."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

_INDENT = 2


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
        width = min(max(len(left) for _, left, _ in rows), max(console.width - 40, 20))
        for group in dict.fromkeys(group for group, _, _ in rows):
            console.print()
            if group:
                console.print(Text(group, style="bold"))
            table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
            table.add_column(width=_INDENT - 2)
            table.add_column(width=width, overflow="fold")
            table.add_column(overflow="fold")
            for _, left, text in (row for row in rows if row[0] == group):
                table.add_row("", Text(left), Text(text))
            console.print(table)

    @staticmethod
    def _group(parameter: Any) -> str:
        """The heading of a parameter; arguments and ungrouped options come first, without a heading."""
        return getattr(parameter, "rich_help_panel", None) or ""


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
