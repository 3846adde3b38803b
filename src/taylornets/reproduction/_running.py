"""Execution of claims: sequentially in this process, or in several processes."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import jax

from taylornets import _processors
from taylornets.records import ClaimRecord, Stamp
from taylornets.records.cells import StoreError, run_cells
from taylornets.records.progress import Progress, Tell
from taylornets.reproduction import claims as registry
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome


def _paragraphs(explanation: str | Iterable[str]) -> tuple[str, ...]:
    parts = explanation.split("\n\n") if isinstance(explanation, str) else explanation
    return tuple(part for part in (" ".join(part.split()) for part in parts) if part)


def run_claim(claim: Claim, stamp: Stamp, tell: Tell, cells: Path | None = None) -> ClaimRecord:
    """Runs one claim; an exception is stored in the record, and the claim does not hold.

    With `cells`, a folder, the costly parts of the claim are kept in it, for a run that continues.
    """

    def progress(fraction: float, message: str) -> None:
        tell(min(max(float(fraction), 0.0), 1.0), message)

    begin = time.perf_counter()
    try:
        context = ClaimContext(stamp.profile, stamp.seed, registry.claim_key(stamp.seed, claim.name), progress)
        if cells is not None:
            context = replace(context, kept=partial(_kept, cells / claim.name))
        outcome: Outcome = claim.run(context)
        control = None if outcome.control is None else asdict(outcome.control) | {"fails": bool(outcome.control.fails)}
        return ClaimRecord(
            **_named(claim, stamp),
            measured=outcome.measured,
            interval=outcome.interval,
            holds=bool(outcome.holds) and (control is None or control["fails"]),
            seconds=time.perf_counter() - begin,
            detail=outcome.detail if control is None else {**outcome.detail, "negative_control": control},
            figures=outcome.figures,
            tables=outcome.tables,
            explanation=_paragraphs(outcome.explanation),
        )
    except Exception as error:  # an error in one claim must not stop the others; KeyboardInterrupt is not an Exception
        message = f"{type(error).__name__}: {error}"
        return _failed(claim, stamp, time.perf_counter() - begin, message, traceback.format_exc())


def _kept(folder: Path, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return run_cells(folder, [name], lambda _: compute())[0]
    except StoreError:  # a damaged file or a full disk: the part is computed, and not kept
        return compute()


def _failed(claim: Claim, stamp: Stamp, seconds: float, message: str, trace: str) -> ClaimRecord:
    return ClaimRecord(
        **_named(claim, stamp),
        measured=None,
        interval=None,
        holds=False,
        seconds=seconds,
        detail={"error": message, "traceback": trace},
        error=message,
    )


def _named(claim: Claim, stamp: Stamp) -> dict[str, Any]:
    return {
        "claim": claim.name,
        "title": claim.title,
        "statement": claim.statement,
        "source": claim.source,
        "predicted": claim.predicted,
        "stamp": stamp,
    }


def run_claims(
    claims: Sequence[Claim], stamp: Stamp, workers: int, progress: Progress, cells: Path | None = None
) -> Generator[ClaimRecord]:
    """Runs claims, at most `workers` at the same time, and yields each record as soon as it is available.

    If a process dies (killed, out of memory), the record of its claim contains an error. The processes of unfinished claims
    end when the iterator is closed and when this process dies.

    Args:
        claims: claims in starting order; with several workers, their functions must be importable.
        stamp: profile, seed and precision.
        workers: number of processes; with 1, or a single claim, everything runs in this process.
        progress: receives the start and the progress of each claim, by name.
        cells: folder in which costly parts are kept, or None.

    Returns:
        Records in the order in which the claims finish.
    """
    if workers == 1 or len(claims) == 1:
        for claim in claims:
            progress.started(claim.name)
            yield run_claim(claim, stamp, partial(progress.progressed, claim.name), cells)
        return
    waiting, idle, running = list(claims), list[_Worker](), dict[Connection, _Worker]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                worker = (
                    idle.pop()
                    if idle and idle[-1].process.is_alive()
                    else _Worker(stamp, min(workers, len(claims)), cells)
                )
                progress.started(waiting[0].name)
                worker.start(waiting.pop(0))
                running[worker.connection] = worker
            ready = wait(list(running))
            for connection in [each for each in running if each in ready]:
                worker = running[connection]
                try:
                    message = connection.recv()
                except EOFError:
                    del running[connection]
                    code, seconds = worker.end(), time.perf_counter() - worker.begin
                    how = f"signal {-code}" if code < 0 else f"exit code {code}"
                    yield _failed(worker.claim, stamp, seconds, f"the process ended without a result ({how})", "")
                    continue
                if isinstance(message, ClaimRecord):
                    idle.append(running.pop(connection))
                    yield message
                else:
                    progress.progressed(worker.claim.name, *message)
    finally:
        for worker in (*idle, *running.values()):
            worker.process.terminate()
            worker.end()


class _Worker:
    """A process that runs one claim after another; it sends `(fraction, message)` and finally the record of each."""

    claim: Claim
    begin: float

    def __init__(self, stamp: Stamp, processes: int, cells: Path | None):
        context = multiprocessing.get_context("spawn")  # XLA's threads do not survive a fork
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(stamp, theirs, cells), daemon=True)
        with _processors.divided(processes):
            self.process.start()
        theirs.close()

    def start(self, claim: Claim) -> None:
        """Starts a claim."""
        self.claim, self.begin = claim, time.perf_counter()
        self.connection.send(claim)

    def end(self) -> int:
        """Waits for the process; returns its exit code, or the negative number of the signal that ended it."""
        self.process.join()
        self.connection.close()
        return self.process.exitcode or 0


def _work(stamp: Stamp, connection: Connection, cells: Path | None) -> None:
    """Entry point of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent handles it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    jax.config.update("jax_enable_x64", stamp.x64)
    while True:
        claim = connection.recv()
        connection.send(run_claim(claim, stamp, lambda *news: connection.send(news), cells))
        # Claims share few programs, which the cache on disk has; all of them together would take gigabytes.
        jax.clear_caches()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
