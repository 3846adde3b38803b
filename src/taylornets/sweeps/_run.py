"""Runs the unfinished cells of a sweep on dask.distributed and stores each result as it arrives."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import dask.config as dask_config
import jax
from distributed import Client, LocalCluster, as_completed
from distributed.security import Security

from taylornets import _checks, _processors
from taylornets.learning import Cell, run_cell
from taylornets.records.cells import Store, collect, exists
from taylornets.records.folders import check_folder
from taylornets.records.progress import Progress
from taylornets.sweeps._config import Sweep
from taylornets.sweeps._export import export

_CONNECT = "20s"
# Environment variables of a worker, set before its process starts.
_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"
# Scheduler and workers serve no web pages.
_NO_PAGES = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


class CellError(RuntimeError):
    """Raised if a cell failed; the results of the others are kept."""


def compute(name: str) -> dict[str, Any]:
    """Runs a cell by name in the precision of the command line; called by workers."""
    with jax.enable_x64(True):
        return run_cell(Cell.from_name(name))


def sweep(
    plan: Sweep,
    out: Path,
    *,
    resume: bool = False,
    scheduler: str | None = None,
    workers: int | None = None,
    tls: Security | None = None,
    progress: Progress | None = None,
) -> Path:
    """Runs a grid and exports its table.

    Args:
        plan: the cells.
        out: folder of the database and the tables; created if absent.
        resume: whether to resume the sweep in the folder; otherwise the folder must not contain a sweep.
        scheduler: address of a running dask scheduler whose workers have taylornets; by default a local cluster.
        workers: number of processes of the local cluster; by default one per processor. Its processes talk through TLS with
            certificates of this sweep alone; without the package `cryptography`, the cells run in this process instead.
        tls: credentials for `scheduler`; see `security_of`.
        progress: receives the updates of part `"cells"`.

    Returns:
        The folder.

    Raises:
        ArgumentError: for a folder with another sweep or other files, an unreachable scheduler, a damaged database, or a full
            disk. Finished cells are kept in all cases.
        CellError: if a cell failed or repeatedly killed its worker; all other cells were run.

    Source: theory 8.
    """
    if exists(out) and not resume:
        raise _checks.ArgumentError("out", "a folder without a sweep", str(out), "Resume it with `resume=True`.")
    check_folder(out, "sweep", exists)
    cells = {cell.name: cell for cell in plan.cells}

    def label(name: str) -> str:
        cell = cells[name]
        return f"{cell.model}, d = {cell.d}, n = {cell.n}, seed {cell.seed}"

    with Store(out, metadata.version("taylornets")) as store, ExitStack() as stack:
        missing = len(store.missing(cells))
        client = _connect(stack, scheduler, workers, missing, tls) if missing else None
        errors = collect(
            store,
            tuple(cells),
            lambda names: _computed([cells[name] for name in names], client),
            cost=lambda name: _cost(cells[name]),
            label=label,
            progress=progress,
        )
        if errors:
            raise CellError(f"{len(errors)} of {missing} cells failed; the others are kept. The first: {errors[0]}")
        export(out, [(cells[name], result) for name, result in store.finished() if name in cells])
    return out


def _computed(missing: Sequence[Cell], client: Any) -> Iterator[tuple[str, dict[str, Any] | BaseException]]:
    """Yields the results of cells in order of completion."""
    # Largest first, to balance the load at the end; results do not depend on the order.
    order = sorted(missing, key=_cost, reverse=True)
    futures = {client.submit(compute, cell.name, key=f"cell {cell.name}"): cell.name for cell in order}
    for future in as_completed(futures):
        error = future.exception()
        yield futures[future], error if error is not None else future.result()
        future.release()


def _cost(cell: Cell) -> float:
    """Estimates the multiplications of a cell, plus a constant for the fixed cost per cell."""
    rows = max(cell.n, cell.padded)
    return 1e8 + (rows**2 * 100.0 if cell.model.endswith("ntk") else rows * cell.d * cell.width * 400.0)


def _connect(stack: ExitStack, scheduler: str | None, workers: int | None, cells: int, tls: Security | None) -> Client:
    if scheduler is not None:
        try:
            return stack.enter_context(Client(scheduler, timeout=_CONNECT, security=tls))
        except (OSError, ValueError, TypeError) as error:
            needed = "the address of a running dask scheduler, such as tls://127.0.0.1:8786"
            raise _checks.ArgumentError("scheduler", needed, f"{scheduler!r} ({error})") from None
    secret = _secret()
    count = min(workers or _processors.count(), cells) if secret else 1
    threads = {f"{_ENVIRONMENT}.{name}": value for name, value in _processors.threads(count).items()}
    stack.enter_context(dask_config.set({**_NO_PAGES, **threads}))
    cluster = stack.enter_context(
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=secret is not None,
            host="127.0.0.1" if secret else None,
            security=secret,
            protocol="tls://" if secret else "inproc://",
            dashboard_address="127.0.0.1:0",  # None would ask for port 8787, which another cluster may have
            scheduler_kwargs={"dashboard": False},
            worker_dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    )
    return stack.enter_context(Client(cluster, security=secret))


def _secret() -> Security | None:
    """Returns certificates for this sweep alone; None without the package `cryptography`, where no port may be opened."""
    try:
        return Security.temporary()
    except ImportError:
        return None


def security_of(certificate: str | None, key: str | None, authority: str | None) -> Security | None:
    """Returns the credentials for a scheduler with TLS.

    Args:
        certificate: path of the client's certificate (PEM), or None for a scheduler without TLS.
        key: path of its private key.
        authority: path of the certificate of the authority.

    Raises:
        ArgumentError: if only some of the three are given, or a file does not exist.
    """
    given = {"tls_certificate": certificate, "tls_key": key, "tls_authority": authority}
    if not any(given.values()):
        return None
    for argument, path in given.items():
        if not path or not Path(path).is_file():
            raise _checks.ArgumentError(argument, "a PEM file, as all three for TLS", repr(path))
    return Security(tls_ca_file=authority, tls_client_cert=certificate, tls_client_key=key, require_encryption=True)
