"""The processors of this machine, divided among the processes of a pool."""

import os
from collections.abc import Generator
from contextlib import contextmanager

# Read by XLA and by OpenBLAS when they start their threads. By default each takes all processors in every process, and
# threads that spin until the others have their turn cost up to half as much again as the computation.
_THREADS = ("NPROC", "OMP_NUM_THREADS")


def count() -> int:
    """The number of processors that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def threads(processes: int) -> dict[str, str]:
    """Environment variables of each of several processes: an equal share of the processors; the user's values stay.

    Args:
        processes: number of processes that compute at the same time.
    """
    share = str(max(1, count() // processes))
    return {name: os.environ.get(name, share) for name in _THREADS}


@contextmanager
def divided(processes: int) -> Generator[None]:
    """Processes started in this context have an equal share of the processors each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(threads(processes))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
