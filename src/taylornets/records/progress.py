"""Progress of long runs: a protocol for claims, cells of a grid, and the stages of a fit or a diagnosis.

Long computations call the protocol. The command line implements it, as bars on a terminal and as lines in a log.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

Tell = Callable[[float, str], None]  # `tell(fraction, message)` for one part


@runtime_checkable
class Progress(Protocol):
    """Receives the progress of named parts, several of which may run at the same time.

    Example:
        >>> class Printed:
        ...     def started(self, name): print(name, "begins")
        ...     def progressed(self, name, fraction, message): print(name, fraction, message)
        ...     def finished(self, name, message): print(name, message)
        >>> with stage(Printed(), "training") as tell:
        ...     tell(0.5, "step 1 of 2")
        training begins
        training 0.5 step 1 of 2
        training step 1 of 2
    """

    def started(self, name: str) -> None:
        """Called when a part begins."""
        ...

    def progressed(self, name: str, fraction: float, message: str) -> None:
        """Called when a running part has reached `fraction`, from 0 to 1."""
        ...

    def finished(self, name: str, message: str) -> None:
        """Called when a part is done, with its last message; a part without a start was kept from an earlier run."""
        ...


class NoProgress:
    """Ignores all progress."""

    def started(self, name: str) -> None:
        """Ignores it."""

    def progressed(self, name: str, fraction: float, message: str) -> None:
        """Ignores it."""

    def finished(self, name: str, message: str) -> None:
        """Ignores it."""


@contextmanager
def stage(progress: Progress, name: str) -> Generator[Tell]:
    """Reports the start and the end of a part that runs in a `with` block.

    Args:
        progress: receives the calls.
        name: name of the part.

    Yields:
        A function `tell(fraction, message)`. Its last message is also reported at the end; a block that raises is not reported
        as finished.
    """
    last = ""

    def tell(fraction: float, message: str) -> None:
        nonlocal last
        last = message
        progress.progressed(name, fraction, message)

    progress.started(name)
    yield tell
    progress.finished(name, last)
