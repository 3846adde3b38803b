"""Progress on the screen: bars on a terminal, plain lines elsewhere, so that the log of a server shows it too."""

import time
from collections.abc import Sequence
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
from rich.text import Text

from taylornets.records import ClaimRecord
from taylornets.report import seconds
from taylornets.reproduction.claims import Claim

_QUIET_SECONDS = 5.0  # at most so often does what is under way write a line
_EARLY = 0.05  # before, the time spent on compiling says nothing about the rest


def verdict(record: ClaimRecord) -> Text:
    """The verdict as a symbol and a word."""
    if record.error:
        return Text("! failed", style="bold red")
    return Text("✓ holds", style="bold green") if record.holds else Text("✗ does not hold", style="bold red")


class Bars:
    """One bar per claim, with the time that has passed and the time that is left."""

    def __init__(self, console: Console):
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}", markup=False),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def started(self, claim: Claim) -> None:
        """Adds the claim's bar."""
        self._tasks[claim.name] = self._progress.add_task(f"{claim.name:<18}", total=1.0, message="")

    def progressed(self, claim: Claim, fraction: float, message: str) -> None:
        """Moves the claim's bar."""
        self._progress.update(self._tasks[claim.name], completed=fraction, message=message)

    def finished(self, record: ClaimRecord, reused: bool) -> None:
        """Fills the claim's bar and puts the verdict beside it."""
        if reused:
            self._tasks[record.claim] = self._progress.add_task(f"{record.claim:<18}", total=1.0, message="")
        message = verdict(record).plain + (" (kept)" if reused else "")
        self._progress.update(self._tasks[record.claim], completed=1.0, message=message)


class Lines:
    """A line when a claim begins, every few seconds, and when it ends."""

    def __init__(self, console: Console):
        self._console = console
        self._begin: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def _say(self, claim: str, text: str) -> None:
        self._last[claim] = time.monotonic()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def started(self, claim: Claim) -> None:
        """Says which claim begins."""
        self._begin[claim.name] = time.monotonic()
        self._say(claim.name, f"{claim.name}: begins")

    def progressed(self, claim: Claim, fraction: float, message: str) -> None:
        """Says how far the claim is, if it has been silent for some seconds."""
        now = time.monotonic()
        if now - self._last[claim.name] >= _QUIET_SECONDS:
            passed = now - self._begin[claim.name]
            left = f", about {seconds(passed * (1 - fraction) / fraction)} left" if fraction >= _EARLY else ""
            self._say(claim.name, f"{claim.name}: {100 * fraction:.0f} % after {seconds(passed)}{left}: {message}")

    def finished(self, record: ClaimRecord, reused: bool) -> None:
        """Says the verdict."""
        kept = "kept from the earlier run" if reused else seconds(record.seconds)
        self._say(
            record.claim,
            f"{record.claim}: {verdict(record).plain} ({kept})" + (f": {record.error}" if record.error else ""),
        )


def listener(console: Console) -> Bars | Lines:
    """Bars on a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)


class Stages:
    """One bar that moves through the stages of a run on a terminal, lines elsewhere."""

    def __init__(self, console: Console, names: Sequence[str]):
        self._console, self._names = console, tuple(names)
        columns = (
            TextColumn("{task.description:<14}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}", markup=False),
        )
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self.bar.add_task(self._names[0], total=float(len(self._names)), message="")
        self._said = time.monotonic()
        self._stage = ""

    def progressed(self, stage: str, fraction: float, message: str) -> None:
        """Moves the bar, or writes a line now and then."""
        self.bar.update(self._task, completed=self._names.index(stage) + fraction, description=stage, message=message)
        now = time.monotonic()
        # The first stage is silent: what is refused while reading is one line.
        if (
            not self._console.is_terminal
            and stage != self._names[0]
            and (stage != self._stage or now - self._said >= _QUIET_SECONDS)
        ):
            self._said = now
            self._console.print(Text(f"{stage}: {message}"), soft_wrap=True)
        self._stage = stage
