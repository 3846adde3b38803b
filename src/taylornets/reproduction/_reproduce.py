"""The runner of `taylornets reproduce`: each claim is kept on disk as soon as it is finished."""

import os
import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import jax

from taylornets import _checks, _files
from taylornets.reproduction import claims as registry
from taylornets import records
from taylornets.records import environment
from taylornets.reproduction._running import Listener, Silent, run_claims
from taylornets.records import ClaimRecord, RunRecord, Stamp

_OWN = ("records", "figures", "tables", "claims.json", "report.html", "run.json")
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


def _check_folder(out: Path) -> None:
    """Refuses a folder with contents that no run of ours has written."""
    needed = "a new or empty folder, or one that `taylornets reproduce` has written"
    if out.exists() and not out.is_dir():
        raise _checks.ArgumentError("--out", needed, f"the file {out}", "Choose another folder.")
    if out.is_dir() and records.load_run(out) is None:
        foreign = sorted(item.name for item in out.iterdir() if not _files.is_temporary(item))
        if foreign:
            came = f"{out}, which holds {foreign[0]!r}" + (f" and {len(foreign) - 1} more" if foreign[1:] else "")
            raise _checks.ArgumentError("--out", needed, came, "Choose another folder.")


def _prepare_folder(out: Path, stamp: Stamp, resume: bool) -> dict[str, ClaimRecord]:
    """Removes what an earlier run left and the new one does not keep; the kept records by name."""
    kept: dict[str, ClaimRecord] = {}
    if resume and out.is_dir():
        found = (records.load_claim(out, path.stem) for path in sorted((out / "records").glob("*.json")))
        kept = {record.claim: record for record in found if record and record.stamp == stamp and not record.error}
    for item in sorted(out.iterdir()) if out.is_dir() else []:
        # run.json marks the folder as ours and is replaced, never absent.
        if _files.is_temporary(item) or (item.name in _OWN and item.name not in ("run.json", "records")):
            shutil.rmtree(item) if item.is_dir() else item.unlink()
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
    listener: Listener | None = None,
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
        listener: hears about the progress.

    Returns:
        The records of all claims in the folder: those asked for and, with `resume`, those kept.

    Raises:
        ArgumentError: for a claim or profile that does not exist, a seed or number of workers out of range, or a folder
            that holds something else. Nothing has been written then.
    """
    for name in names:
        registry.get(name)
    _checks.choice("--profile", profile, registry.PROFILES)
    if _checks.integer("--seed", seed, 0) > _LARGEST_SEED:
        raise _checks.ArgumentError("--seed", f"an integer ≤ {_LARGEST_SEED}", str(seed))
    _checks.integer("--workers", workers, 1)
    _check_folder(out)
    listener = Silent() if listener is None else listener

    stamp = _stamp(profile, seed)
    chosen = set(names) or set(registry.names())
    try:
        out.mkdir(parents=True, exist_ok=True)
        # A killed fresh run must not leave the old run's records under its own name: they go first.
        kept = _prepare_folder(out, stamp, resume)
        order = [name for name in registry.names() if name in chosen or name in kept]
        run = _new_run(stamp, order)
        records.save_run(out, run)
    except OSError as error:
        raise _checks.ArgumentError("--out", "a folder that can be written", f"{out} ({error.strerror})") from None

    for record in kept.values():
        listener.finished(record, True)
    missing = [registry.get(name) for name in order if name not in kept]
    if workers > 1:
        missing.sort(key=lambda claim: claim.seconds, reverse=True)
    found = dict(kept)
    with closing(run_claims(missing, stamp, workers, listener)) as fresh:
        for record in fresh:
            records.save_claim(out, record)
            found[record.claim] = record
            listener.finished(record, False)
    done = [found[name] for name in order]
    records.save_summary(out, done)
    timings = {record.claim: record.seconds for record in done}
    records.save_run(out, replace(run, status="finished", end=environment.now(), timings=timings))
    return tuple(done)
