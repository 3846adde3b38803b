"""The inferred table on the terminal: how each column was read, and what is done with it."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from taylornets._checks import counted
from taylornets._errors import cut
from taylornets.cli._streams import visible
from taylornets.tabular import TableProblem

_MOST = 40  # columns that are listed
_LONGEST = 120  # characters of a name
_NARROW = 60  # below this width, each column has lines of its own


def show(console: Console, problem: TableProblem) -> None:
    """Prints the inferred table, the task, the split and the notes.

    Args:
        console: standard error, or standard output for a dry run.
        problem: the learning problem.
    """
    rows = [
        (cut(visible(row.column), _LONGEST), row.kind, _missing(row.missing), visible(row.read), visible(row.done))
        for row in problem.plan[:_MOST]
    ]
    if console.width < _NARROW:
        for column, kind, missing, read, done in rows:
            parts = [kind, f"{missing} missing" if missing else "", read, done]
            console.print(Text(f"{column}: {'; '.join(filter(None, parts))}"))
    else:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("column", "kind", "missing", "read as", "used as"):
            table.add_column(name, overflow="fold", justify="right" if name == "missing" else "left")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    if len(problem.plan) > _MOST:
        console.print(Text(f"and {counted(len(problem.plan) - _MOST, 'more column')}"), style="dim")
    how = "by time" if problem.division == "time" else "at random"
    how += "" if problem.group is None else f", with rows of equal {problem.group!r} kept together"
    console.print()
    console.print(
        Text(
            f"{problem.task.capitalize()} of {problem.target!r}: {problem.reason}. "
            f"{counted(len(problem.y), 'row')}, split {how}: {problem.parts}."
        )
    )
    for note in problem.notes:
        console.print(Text(f"Note: {note}"))
    console.print()


def _missing(share: float) -> str:
    if not share:
        return ""
    return "< 1 %" if share < 0.01 else "> 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"
