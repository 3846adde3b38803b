"""An optional progress bar for long fits."""

from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar(AbstractContextManager["Bar"]):
    """A progress bar with a message, on standard error.

    Args:
        total: total amount of work.
        verbose: whether the bar is shown.
    """

    def __init__(self, total: float, verbose: bool):
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not verbose)
        self._task = self._progress.add_task("fit", total=total)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def advance(self, amount: float, message: str) -> None:
        """Advances the bar."""
        self._progress.update(self._task, advance=amount, description=message)
