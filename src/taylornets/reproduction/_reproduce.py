"""The runner of `taylornets reproduce`: the record of each claim is saved as soon as the claim finishes."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import jax

from taylornets import _checks, records
from taylornets.records import ClaimRecord, RunRecord, Stamp, environment
from taylornets.records.folders import check_folder, own_folder, prepare_folder
from taylornets.records.progress import NoProgress, Progress
from taylornets.reproduction import claims as registry
from taylornets.reproduction._running import run_claims

_OWN = ("figures", "tables", "claims.json", "report.html")
_CELLS = "cells"
_LARGEST_SEED = 2**32 - 1


def _stamp(profile: str, seed: int) -> Stamp:
    x64 = bool(jax.config.read("jax_enable_x64"))
    return Stamp(profile, seed, metadata.version("taylornets"), environment.commit(), x64)


def _new_run(stamp: Stamp, names: Iterable[str]) -> RunRecord:
    return RunRecord(
        status="running",
        stamp=stamp,
        claims=tuple(names),
        versions=environment.versions(),
        platform=environment.system(),
        device=environment.device(),
        cpu_count=os.cpu_count() or 1,
        modified=environment.modified(),
        start=environment.now(),
    )


def _kept(out: Path, stamp: Stamp, resume: bool) -> dict[str, ClaimRecord]:
    """Removes files of an earlier run that the new run does not keep; returns the kept records by name."""
    # run.json marks the folder as an output folder; it is replaced but never removed.
    prepare_folder(out, _OWN)
    found = (records.load_claim(out, path.stem) for path in sorted((out / "records").glob("*.json")))
    kept = {r.claim: r for r in found if r and r.stamp == stamp and not r.error} if resume else {}
    for item in (out / "records").glob("*"):
        if item.name not in {f"{name}.json" for name in kept}:
            item.unlink()
    return kept


def _cells(out: Path, stamp: Stamp, resume: bool) -> Path:
    """The folder of the finished parts of unfinished claims; those of another stamp, or of a new run, are removed."""
    every = own_folder(out, _CELLS)
    folder = every / hashlib.sha256(repr(stamp).encode()).hexdigest()[:16]
    for item in every.glob("*"):
        if item != folder or not resume:
            shutil.rmtree(item)
    return folder


def reproduce(
    out: Path,
    names: Iterable[str] = (),
    *,
    profile: str = "quick",
    seed: int = 0,
    resume: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> tuple[ClaimRecord, ...]:
    """Tests claims and saves the records in a folder, from which `taylornets.report.write_report` builds the report.

    Each record is written to `out/records/<claim>.json` when its claim finishes, and the cells of the learning curves to
    `out/cells` until then, so that an interrupted or killed run loses only the computations in progress. With
    `resume=True`, another call computes what is missing and returns the same results as an uninterrupted run. Without
    `resume`, an earlier run in the same folder is replaced.

    Args:
        out: output folder; created if it does not exist.
        names: names of the claims to test; all if empty. Records are in the order of `claims.names()`; with several workers,
            the claims with the longest expected time start first.
        profile: `"quick"` or `"full"`.
        seed: random seed, from 0 to 2³² − 1.
        resume: whether to keep finished records of the same profile, seed, version, commit and precision.
        workers: number of processes, each of which runs one claim at a time on its share of the processors; with 1, this
            process runs all. Apart from rounding and the measured times, the results do not depend on it.
        progress: receives the progress of each claim by name; the final message is the verdict.

    Returns:
        The records of all claims in the folder: the requested ones and, with `resume`, the kept ones.

    Raises:
        ArgumentError: for an unknown claim or profile, a seed or number of workers out of range, or a folder with
            other contents. In that case, nothing has been written.
    """
    for name in names:
        registry.get(name)
    _checks.choice("profile", profile, registry.PROFILES)
    if _checks.integer("seed", seed, 0) > _LARGEST_SEED:
        raise _checks.ArgumentError("seed", f"an integer ≤ {_LARGEST_SEED}", str(seed))
    _checks.integer("workers", workers, 1)
    check_folder(out, "reproduce", records.load_run)
    progress = NoProgress() if progress is None else progress

    stamp = _stamp(profile, seed)
    chosen = set(names) or set(registry.names())
    try:
        # Old records are removed first, so that a killed run does not present them as its own.
        kept, cells = _kept(out, stamp, resume), _cells(out, stamp, resume)
        order = [name for name in registry.names() if name in chosen or name in kept]
        run = _new_run(stamp, order)
        records.save_run(out, run)
    except OSError as error:
        raise _checks.ArgumentError("out", "a writable folder", f"{out} ({error.strerror})") from None

    for record in kept.values():
        progress.finished(record.claim, f"{record.verdict} (kept from an earlier run)")
    missing = [registry.get(name) for name in order if name not in kept]
    if workers > 1:
        missing.sort(key=lambda claim: claim.seconds, reverse=True)
    found = dict(kept)
    with closing(run_claims(missing, stamp, workers, progress, cells)) as fresh:
        for record in fresh:
            records.save_claim(out, record)
            shutil.rmtree(cells / record.claim, ignore_errors=True)
            found[record.claim] = record
            progress.finished(record.claim, f"{record.verdict}: {record.error}" if record.error else record.verdict)
    done = [found[name] for name in order]
    shutil.rmtree(out / _CELLS, ignore_errors=True)
    records.save_summary(out, done)
    timings = {record.claim: record.seconds for record in done}
    records.save_run(out, replace(run, status="finished", end=environment.now(), timings=timings))
    return tuple(done)
