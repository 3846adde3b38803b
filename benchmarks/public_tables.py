"""`taylornets fit` on every table that is bundled in packages: how many are read as they are, and how many after advice.

    python -m benchmarks.public_tables                         # tables of the packages of this environment
    python -m benchmarks.public_tables --packages DIR --train 40 --light

Tables are CSV files (also in `.gz` and in tar archives, as `pydataset` bundles those of R) and Parquet files. The target is the
last column. Every table is read with `--dry-run`; if the command refuses, the command that its message ends with is run, up to
three times. `--train N` then trains on N of the tables, evenly spaced; `--light` leaves out most baselines. The results are
counted, and every table without a model is listed with its message.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from taylornets.cli import _app
from taylornets.tabular import _baselines

ROUNDS = 3
LARGEST, ARCHIVE = 5_000_000, 200_000_000  # bytes of a table, and of an archive of tables
READ, ADVISED, REFUSED = "read as it is", "read after the advised command", "no model"
UNTRAINABLE = re.compile(r"at least 20 rows|at least two distinct|columns other than the target|a column with values")


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
        code = _app.run(words)
    return code, err.getvalue()


def read(words: list[str]) -> tuple[str, list[str], list[str]]:
    """Reads a table, following advice: the outcome, the last command, and the messages."""
    messages: list[str] = []
    for count in range(ROUNDS + 1):
        code, said = run([*words, "--dry-run"])
        if code == 0:
            return (ADVISED if count else READ), words, messages
        messages.append(said.strip())
        again = re.search(r"To continue: taylornets (.*)", said)
        if again is None or code != 2:
            break
        words = [word for word in shlex.split(again[1]) if word != "--dry-run"]
    return REFUSED, words, messages


def few_baselines() -> None:
    """Leaves one cheap candidate per baseline."""
    for name, value in {
        "_RIDGES": (1e-3,),
        "_ALPHAS": (0.1,),
        "_COSTS": (1.0,),
        "_DECAYS": (1.0,),
        "_LEAVES": (5,),
    }.items():
        setattr(_baselines, name, value)
    _baselines._TREES = 10


def main(arguments: list[str] | None = None) -> int:
    """Reads, trains and counts; 0 if every table has a model or a reason that no option can mend."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public_tables", description="Reads bundled tables.")
    parser.add_argument("--packages", type=Path, default=Path(sysconfig.get_path("purelib")), help="folder of packages")
    parser.add_argument("--most", type=int, default=10**9, help="number of tables")
    parser.add_argument("--train", type=int, default=0, help="number of tables to train on")
    parser.add_argument("--light", action="store_true", help="one candidate per baseline")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop training after this time")
    parser.add_argument("--out", type=Path, default=None, help="JSON file of the outcomes")
    request = parser.parse_args(arguments)
    if request.light:
        few_baselines()
    found: dict[str, tuple[str, list[str], list[str]]] = {}
    trained: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, data) in enumerate(tables(request.packages)):
            target = last_column(name, data)
            if target is None or len(found) >= request.most:
                continue
            suffix = ".csv.gz" if name.endswith(".gz") and name.endswith(".csv.gz") else Path(name).suffix
            path = Path(folder) / f"{number}{suffix}"
            path.write_bytes(data)
            found[name] = read(["fit", str(path), "--target", target])
        report(found)
        usable = [name for name, (outcome, _, _) in found.items() if outcome != REFUSED]
        begin = time.perf_counter()
        for name in usable[:: max(len(usable) // max(request.train, 1), 1)][: request.train]:
            if time.perf_counter() - begin > request.seconds:
                break
            started = time.perf_counter()
            out = ["--out", f"{folder}/run", "--time-limit", "10", "--width", "64"]
            code, said = run([*found[name][1], *out])
            trained[name] = "a model" if code == 0 else said.strip().splitlines()[-1]
            print(f"{name}: {trained[name]} ({time.perf_counter() - started:.0f} s)", flush=True)
    if trained:
        models = sum(outcome == "a model" for outcome in trained.values())
        print(f"\n{models} of {len(trained)} tables that were trained on ended with a model.")
    if request.out is not None:
        request.out.write_text(json.dumps({"read": found, "trained": trained}, indent=1))
    failed = [name for name, outcome in trained.items() if outcome != "a model"]
    return 1 if failed or any(not mended(*entry) for entry in found.values()) else 0


def mended(outcome: str, _: Any, messages: list[str]) -> bool:
    """Whether a table has a model, or lacks what a model needs, such as rows."""
    return outcome != REFUSED or UNTRAINABLE.search(messages[-1]) is not None


def report(found: dict[str, tuple[str, list[str], list[str]]]) -> None:
    """Prints the counts, and the tables that no advice could mend."""
    counts = collections.Counter(outcome for outcome, _, _ in found.values())
    lacking = [name for name, entry in found.items() if entry[0] == REFUSED and mended(*entry)]
    for name, entry in found.items():
        if not mended(*entry):
            print(f"{name}: {entry[2][-1]}")
    print(f"{len(found)} tables: {', '.join(f'{count} {outcome}' for outcome, count in counts.most_common())}.")
    print(f"Of those without a model, {len(lacking)} have too few rows, no inputs, or a constant target.\n", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
