"""Progress display: bars on a terminal, plain lines elsewhere, so that log files show progress too."""

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from taylornets.report import seconds

_QUIET_SECONDS = 5.0  # minimum time between two lines about the same part
_EARLY = 0.05  # below this fraction, compilation dominates and the remaining time is not estimated


class Bars:
    """One bar per part, with elapsed and remaining time.

    Args:
        console: a terminal.
        transient: whether the bars are removed at the end.
    """

    def __init__(self, console: Console, transient: bool = False):
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}", markup=False),
            console=console,
            transient=transient,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def started(self, name: str) -> None:
        """Adds the part's bar."""
        self._tasks[name] = self._progress.add_task(f"{name:<18}", total=1.0, message="")

    def progressed(self, name: str, fraction: float, message: str) -> None:
        """Advances the part's bar."""
        self._progress.update(self._tasks[name], completed=fraction, message=message)

    def finished(self, name: str, message: str) -> None:
        """Completes the part's bar and shows the result next to it."""
        if name not in self._tasks:
            self.started(name)
        self._progress.update(self._tasks[name], completed=1.0, message=message)


class Lines:
    """Prints a line when a part begins, every few seconds, and when it ends with a result.

    Args:
        console: not a terminal.
        silent: names of parts for which nothing is printed.
    """

    def __init__(self, console: Console, silent: Iterable[str] = ()):
        self._console, self._silent = console, frozenset(silent)
        self._begin: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def _say(self, name: str, text: str) -> None:
        if name not in self._silent:
            self._last[name] = time.monotonic()
            self._console.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)

    def started(self, name: str) -> None:
        """Prints the name of a part that begins."""
        self._begin[name] = self._last[name] = time.monotonic()
        self._say(name, "started")

    def progressed(self, name: str, fraction: float, message: str) -> None:
        """Prints the progress of a part, at most once every few seconds."""
        now = time.monotonic()
        if now - self._last[name] >= _QUIET_SECONDS:
            passed = now - self._begin[name]
            left = f", about {seconds(passed * (1 - fraction) / fraction)} left" if fraction >= _EARLY else ""
            self._say(name, f"{100 * fraction:.0f} % after {seconds(passed)}{left}: {message}")

    def finished(self, name: str, message: str) -> None:
        """Prints the result, if any, and the elapsed time."""
        began = self._begin.pop(name, None)
        if message:
            self._say(name, message + (f" ({seconds(time.monotonic() - began)})" if began is not None else ""))


def shown(console: Console, *, transient: bool = False, silent: Iterable[str] = ()) -> Bars | Lines:
    """Shows bars on a terminal and lines elsewhere.

    Args:
        console: standard error.
        transient: whether bars are removed at the end.
        silent: names of parts that have a bar but no lines.
    """
    return Bars(console, transient) if console.is_terminal else Lines(console, silent)
