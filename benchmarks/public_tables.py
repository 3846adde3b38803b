"""`taylornets fit` on every table that is bundled in packages: how many are read as they are, and how many after advice.

    python -m benchmarks.public_tables                         # tables of the packages of this environment
    python -m benchmarks.public_tables --packages DIR --train 40

Tables are CSV files (also in `.gz` and in tar archives, as `pydataset` bundles those of R) and Parquet files. The target is the
last column. Every table is read with `--dry-run`; if the command refuses, the command that its message ends with is run, up to
three times. `--train N` then trains on N of the tables, which need not be those that were read without a message: for five
seconds at a small width, or with `--defaults` as `fit` does without options. `--most` and `--train` choose in the same way:
packages take turns, each with tables at regular distances of its list. The results are counted; tables without a model are
listed with their messages. With `--out`, the same command continues an interrupted one.
"""

import argparse
import collections
import contextlib
import csv
import gzip
import io
import json
import re
import shlex
import sysconfig
import tarfile
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from taylornets.cli import _app

LARGEST, ARCHIVE = 5_000_000, 200_000_000  # bytes of a table, and of an archive of tables
NEVER = "never"
OUTCOMES = ("at once", "after one message", "after two messages", "after three messages")
BRIEF = ["--time-limit", "5", "--width", "32", "--no-compare"]
UNTRAINABLE = re.compile(
    r"at least 20 rows|at least two distinct|columns other than the target|a column with values|No other column"
)


def tables(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the tables below a folder."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        archive = name.endswith(".tar.gz")
        if not path.is_file() or path.stat().st_size > (ARCHIVE if archive else LARGEST) or "/tests/" in f"/{name}":
            continue
        if name.endswith((".csv", ".csv.gz", ".parquet")):
            yield name, path.read_bytes()
        elif archive:
            with tarfile.open(path) as packed:
                for member in packed:
                    file = packed.extractfile(member) if member.name.endswith(".csv") else None
                    if file is not None and member.size <= LARGEST and not Path(member.name).name.startswith("."):
                        yield f"{name}/{member.name}", file.read()


def last_column(name: str, data: bytes) -> str | None:
    """The last column of a table with a name; None for a file without two columns."""
    try:
        if name.endswith(".parquet"):
            columns = [str(column) for column in pd.read_parquet(io.BytesIO(data)).columns]
        else:
            text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8", "replace")
            columns = next(csv.reader(io.StringIO(text)), [])
    except (OSError, ValueError, csv.Error, EOFError):
        return None
    named = [column.strip() for column in columns if column.strip()]
    return named[-1] if len(named) > 1 else None


def run(words: list[str]) -> tuple[int, str]:
    """The exit code of a command and what it wrote on standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = _app.run(words)
        except Exception:  # a defect, which is counted and shown
            return _app.BROKEN, traceback.format_exc()
    return code, err.getvalue()


def followed(words: list[str]) -> tuple[str, list[str]]:
    """Runs `fit`, and the commands that its messages advise, as they stand: the outcome, and the messages."""
    messages: list[str] = []
    for outcome in OUTCOMES:
        code, said = run(words)
        if code == _app.INTERRUPTED:
            raise KeyboardInterrupt
        if code == 0:
            return outcome, messages
        messages.append(said.strip())
        again = re.search(r"To continue: taylornets (.*)", said)
        if again is None or code != 2:
            break
        words = shlex.split(again[1])
    return NEVER, messages


def spread(names: list[str], most: int) -> list[str]:
    """A part of the tables: the packages take turns, and each gives tables at regular distances of its list."""
    packages: dict[str, list[str]] = {}
    for name in names:
        packages.setdefault(name.split("/")[0], []).append(name)
    share = dict.fromkeys(packages, 0)
    while sum(share.values()) < min(most, len(names)):
        for package, own in packages.items():
            share[package] += share[package] < len(own) and sum(share.values()) < most
    return [own[i * len(own) // share[package]] for package, own in packages.items() for i in range(share[package])]


def unpacked(packages: Path, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Writes every table to a file of its own; yields its name, the path and the target."""
    for number, (name, data) in enumerate(tables(packages)):
        target = last_column(name, data)
        if target is not None:
            suffix = ".csv.gz" if name.endswith(".csv.gz") else Path(name).suffix
            path = folder / f"{number}{suffix}"
            path.write_bytes(data)
            yield name, str(path), target


def main(arguments: list[str] | None = None) -> int:
    """Reads, trains and counts; 0 if every table has a model or a reason that no option can mend."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public_tables", description="Reads bundled tables.")
    parser.add_argument("--packages", type=Path, default=Path(sysconfig.get_path("purelib")), help="folder of packages")
    parser.add_argument("--most", type=int, default=10**9, help="number of tables that are read")
    parser.add_argument("--train", type=int, default=0, help="number of tables to train on")
    parser.add_argument("--defaults", action="store_true", help="train as `fit` does without options, not briefly")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after this time; the same command continues")
    parser.add_argument("--out", type=Path, default=None, help="JSON file of the outcomes; what it has is not repeated")
    request = parser.parse_args(arguments)
    kept: dict[str, dict[str, Any]] = {"read": {}, "trained": {}}
    if request.out is not None and request.out.exists():
        kept = json.loads(request.out.read_text())
    end = time.perf_counter() + request.seconds
    with tempfile.TemporaryDirectory() as folder:
        every = list(unpacked(request.packages, Path(folder)))
        names = [name for name, _, _ in every]
        chosen = [
            (kind, set(spread(names, most))) for kind, most in (("read", request.most), ("trained", request.train))
        ]
        jobs = [(kind, *table) for kind, some in chosen for table in every if table[0] in some]
        for kind, name, path, target in jobs:
            if name in kept[kind]:
                continue
            if time.perf_counter() > end:
                break
            last = ["--dry-run"] if kind == "read" else ["--out", f"{folder}/run", *([] if request.defaults else BRIEF)]
            outcome, messages = followed(["fit", path, "--target", target, *last])
            kept[kind][name] = (outcome, [message.replace(f"{folder}/", "") for message in messages])
            if kind == "trained":
                print(f"{name}: {outcome}", flush=True)
            if request.out is not None:
                request.out.write_text(json.dumps(kept, indent=1))
    for kind in kept:
        report(kind, kept[kind])
    return int(any(not mended(*entry) for part in kept.values() for entry in part.values()))


def mended(outcome: str, messages: list[str]) -> bool:
    """Whether a table has a model, or lacks what a model needs, such as rows."""
    return outcome != NEVER or UNTRAINABLE.search(messages[-1]) is not None


def report(kind: str, found: dict[str, Any]) -> None:
    """Prints the counts, and the tables that no advice could mend."""
    counts = collections.Counter(outcome for outcome, _ in found.values())
    lacking = [name for name, entry in found.items() if entry[0] == NEVER and mended(*entry)]
    for name, entry in found.items():
        if not mended(*entry):
            print(f"{name}: {entry[1][-1]}")
    print(f"{len(found)} tables {kind}: {', '.join(f'{count} {outcome}' for outcome, count in counts.most_common())}.")
    print(f"Of those without a model, {len(lacking)} have too few rows, no inputs, or a constant target.\n", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
