"""Named cells that are computed once: what has a result in the folder's database is read, the rest is computed and kept."""

from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from taylornets.records.progress import NoProgress, Progress
from taylornets.sweeps._store import Store

Result = dict[str, Any]
PART = "cells"  # what progress calls a grid


def run_cells(
    out: Path, names: Sequence[str], compute: Callable[[str], Result], *, progress: Progress | None = None
) -> list[Result]:
    """Computes the cells that have no result yet, one after another in this process.

    Each result is kept in `out/sweep.sqlite` as soon as it is there, so that a run that was stopped resumes when it is called
    again, with these names or with more of them.

    Args:
        out: the folder; made if absent, and it may hold other files.
        names: of the cells; a name says everything that the cell's result depends on.
        compute: the result of a cell, by its name: a dictionary of JSON's types.
        progress: receives the part `"cells"`.

    Returns:
        The results in the order of the names.

    Raises:
        StoreError: for a database that is damaged or of another version, a full disk, a folder that cannot be written.

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
    """Keeps the results of the cells that have none yet, as they come.

    Args:
        store: of the results.
        names: of the cells.
        results: called with the names without a result; yields each name with its result or with the error that it raised.
        cost: of a cell, in any unit; the fraction done is a fraction of the cost.
        label: a cell in words.
        progress: receives the part `"cells"`.

    Returns:
        A line for each cell that raised an error.
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
