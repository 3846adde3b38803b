"""The runner of `taylornets reproduce`: each claim is kept on disk as soon as it is finished."""

import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import jax

from taylornets import _checks, records
from taylornets.records import ClaimRecord, RunRecord, Stamp, environment
from taylornets.records.folders import check_folder, prepare_folder
from taylornets.records.progress import NoProgress, Progress
from taylornets.reproduction import claims as registry
from taylornets.reproduction._running import run_claims

_OWN = ("figures", "tables", "claims.json", "report.html")
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
    """Removes what an earlier run left and the new one does not keep; the kept records by name."""
    # run.json marks the folder as ours and is replaced, never absent.
    prepare_folder(out, _OWN)
    found = (records.load_claim(out, path.stem) for path in sorted((out / "records").glob("*.json")))
    kept = {r.claim: r for r in found if r and r.stamp == stamp and not r.error} if resume else {}
    for item in (out / "records").glob("*"):
        if item.name not in {f"{name}.json" for name in kept}:
            item.unlink()
    return kept


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
    """Checks claims and keeps what comes out in a folder, from which `taylornets.report.write_report` makes the report.

    Every record is written to `out/records/<claim>.json` when its claim is finished. So a run that is interrupted or
    killed loses the claims under way and no other: called again with `resume=True` it computes what is missing, and
    gives what an undisturbed run would have given. Without `resume`, an earlier run in the same folder is replaced.

    Args:
        out: the folder; made if absent.
        names: of the claims to check; all if empty. Records are in the order of `claims.names()`; with several workers the
            claims with the longest expected time start first.
        profile: `"quick"` or `"full"`.
        seed: of every random draw, from 0 to 2³² − 1.
        resume: keep finished records of the same profile, seed, version, commit and precision.
        workers: claims that run at the same time, each in a process of its own; with 1, in this process. What comes out
            does not depend on it, the measured seconds do.
        progress: receives the claims by name; the message of a finished one is its verdict.

    Returns:
        The records of all claims in the folder: those asked for and, with `resume`, those kept.

    Raises:
        ArgumentError: for a claim or profile that does not exist, a seed or number of workers out of range, or a folder
            that holds something else. Nothing has been written then.
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
        # A killed fresh run must not leave the old run's records under its own name: they go first.
        kept = _kept(out, stamp, resume)
        order = [name for name in registry.names() if name in chosen or name in kept]
        run = _new_run(stamp, order)
        records.save_run(out, run)
    except OSError as error:
        raise _checks.ArgumentError("out", "a folder that can be written", f"{out} ({error.strerror})") from None

    for record in kept.values():
        progress.finished(record.claim, f"{record.verdict} (kept from the earlier run)")
    missing = [registry.get(name) for name in order if name not in kept]
    if workers > 1:
        missing.sort(key=lambda claim: claim.seconds, reverse=True)
    found = dict(kept)
    with closing(run_claims(missing, stamp, workers, progress)) as fresh:
        for record in fresh:
            records.save_claim(out, record)
            found[record.claim] = record
            progress.finished(record.claim, f"{record.verdict}: {record.error}" if record.error else record.verdict)
    done = [found[name] for name in order]
    records.save_summary(out, done)
    timings = {record.claim: record.seconds for record in done}
    records.save_run(out, replace(run, status="finished", end=environment.now(), timings=timings))
    return tuple(done)
