"""The command `sweep`."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from taylornets import _checks
from taylornets.cli._app import BROKEN, DONE, INTERRUPTED
from taylornets.learning import Cell
from taylornets.report import seconds
from taylornets.sweeps import CellError, load, sweep


class Shown:
    """A bar on a terminal, a line a cell elsewhere; both with the time left."""

    def __init__(self, console: Console):
        self._console = console
        columns = (TextColumn("cells"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
        self.bar = Progress(
            *columns, TextColumn("{task.fields[message]}"), console=console, disable=not console.is_terminal
        )
        self._task = self.bar.add_task("", message="")

    def progressed(self, done: int, count: int, cell: Cell | None, left: float | None) -> None:
        """Moves the bar, or writes a line."""
        message = "" if left is None else f"about {seconds(left)} left"
        self.bar.update(self._task, completed=done, total=count, message=message)
        if not self._console.is_terminal:
            last = f": {cell.model}, d = {cell.d}, n = {cell.n}, seed {cell.seed}" if cell else ""
            words = f"{done} of {count} cells{', ' + message if message else ''}{last}"
            self._console.print(Text(words), soft_wrap=True)


def run(config: Path, *, out: Path, resume: bool, scheduler: str | None, workers: int | None) -> int:
    """Runs the grid of a configuration.

    Returns:
        0 if every cell is finished, 1 if one failed, 130 if it was interrupted.
    """
    screen = Console(stderr=True)
    if workers is not None:
        _checks.integer("workers", workers, 1)
    plan = load(config)
    words = ["taylornets", "sweep", str(config), "--out", str(out), "--resume"]
    words += ["--scheduler", scheduler] if scheduler else []
    shown = Shown(screen)
    try:
        with shown.bar:
            sweep(plan, out, resume=resume, scheduler=scheduler, workers=workers, listener=shown)
    except KeyboardInterrupt:
        screen.print(Text(f"Interrupted: finished cells are kept in {out}. Resume with: {shlex.join(words)}"))
        return INTERRUPTED
    except CellError as error:
        screen.print(Text(" ".join(str(error).split())), soft_wrap=True)
        return BROKEN
    Console().print(Text(f"{len(plan.cells)} cells. Table: {(out / 'results.csv').resolve()}"), soft_wrap=True)
    return DONE
