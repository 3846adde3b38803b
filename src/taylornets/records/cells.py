"""Named cells with cached results: stored results are read from the database, missing ones are computed and stored."""

from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from taylornets.records._store import Store, StoreError, exists
from taylornets.records.progress import NoProgress, Progress

__all__ = ["PART", "Result", "Store", "StoreError", "collect", "exists", "run_cells"]

Result = dict[str, Any]
PART = "cells"  # name of a grid in progress updates


def run_cells(
    out: Path, names: Sequence[str], compute: Callable[[str], Result], *, progress: Progress | None = None
) -> list[Result]:
    """Computes the cells that have no result yet, one after another in this process.

    Each result is stored in `out/sweep.sqlite` as soon as it is available, so that an interrupted run resumes when called again
    with the same or additional names.

    Args:
        out: the folder; created if absent. It may contain other files.
        names: names of the cells; a name must determine the result of its cell.
        compute: maps the name of a cell to its result, a dictionary of JSON types.
        progress: receives the updates of part `"cells"`.

    Returns:
        The results in the order of the names.

    Raises:
        StoreError: for a damaged database or one of another version, a full disk, or a folder that is not writable.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first = run_cells(Path(folder), ["2", "3"], lambda name: {"square": int(name) ** 2})
        ...     again = run_cells(Path(folder), ["3", "2"], lambda name: {"square": -1})
        >>> first, again
        ([{'square': 4}, {'square': 9}], [{'square': 9}, {'square': 4}])
    """
    with Store(out, metadata.version("taylornets")) as store:
        collect(store, names, lambda missing: ((name, compute(name)) for name in missing), progress=progress)
        found = dict(store.finished())
    return [found[name] for name in names]


def collect(
    store: Store,
    names: Sequence[str],
    results: Callable[[list[str]], Iterable[tuple[str, Result | BaseException]]],
    *,
    cost: Callable[[str], float] = lambda _: 1.0,
    label: Callable[[str], str] = str,
    progress: Progress | None = None,
) -> list[str]:
    """Stores the results of unfinished cells as they arrive.

    Args:
        store: the store of results.
        names: names of the cells.
        results: called with the unfinished names; yields each name with its result or the error it raised.
        cost: cost of a cell in any unit; progress is the fraction of the total cost.
        label: display name of a cell.
        progress: receives the updates of part `"cells"`.

    Returns:
        One line per cell that raised an error.
    """
    progress = NoProgress() if progress is None else progress
    store.plan(names)
    missing = store.missing(names)
    count, done = len(names), len(names) - len(missing)
    total, spent, errors = sum(map(cost, missing)), 0.0, list[str]()
    progress.started(PART)
    if missing:
        progress.progressed(PART, 0.0, f"{done} of {count}")
        for name, found in results(missing):
            if isinstance(found, BaseException):
                errors.append(f"{name}: {type(found).__name__}: {found}")
            else:
                store.save(name, found)
                done += 1
            spent += cost(name)
            progress.progressed(PART, spent / total, f"{done} of {count}, the last: {label(name)}")
    progress.finished(PART, f"{done} of {count} finished")
    return errors
