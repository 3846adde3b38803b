"""An optional progress bar for long fits."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_WATCHER: ContextVar[Callable[[Any], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Callable[[Any], None]) -> Generator[None]:
    """Calls a function with the history of steps and gaps, at every check of the final fit of an estimator in the block.

    Args:
        watcher: receives a `FitHistory`.
    """
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


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

    def checked(self, history: Any) -> None:
        """Receives the history of the final fit."""
        self.advance(0, f"final fit, step {history.steps[-1]}")
        watcher = _WATCHER.get()
        if watcher is not None:
            watcher(history)
