"""Sweeps: configuration, storage and export, interruption and resumption, one-line errors."""

import json
import math
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import polars
import psutil
import pytest

import taylornets as tn
from taylornets import ArgumentError
from taylornets.cli import load as load_command
from taylornets.learning import FIELDS, Cell
from taylornets.sweeps import Store, StoreError, load, run_cells

# How often the sweep is killed; the command `TAYLORNETS_KILLS=10 pytest -k killed` is the long form.
KILLS = int(os.environ.get("TAYLORNETS_KILLS", "1"))
GRID = """
[grid]
d = 4
n = [20, 30, 40]
seed = [0, 1, 2, 3]
model = "ntk"
validation = 50
test = 100
"""


def write(folder: Path, text: str = GRID) -> Path:
    path = folder / "grid.toml"
    path.write_text(text)
    return path


def start(*words: object, **options: Any) -> subprocess.Popen[str]:
    # As from an interactive shell: a test run in the background inherits that SIGINT is ignored.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from taylornets.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", "if __name__ == '__main__':\n    " + code, "sweep", *map(str, words)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=300)
    return process.returncode, out, error


def table(folder: Path) -> polars.DataFrame:
    return polars.read_parquet(folder / "results.parquet")


def finished(folder: Path) -> int:
    """Cells with a result, read from the database independently."""
    try:
        database = f"file:{folder / 'sweep.sqlite'}?mode=ro"
        with closing(sqlite3.connect(database, uri=True, timeout=30)) as connection:
            return connection.execute("SELECT COUNT(result) FROM cells").fetchone()[0]
    except sqlite3.Error:
        return 0


# --- configuration -------------------------------------------------------------------------------------------------


def test_grid_is_the_product_of_its_lists(tmp_path: Path):
    text = "[[grid]]\nd = [5, 4]\nn_over_d = [2, 1.5]\nseed = 0\npenalties = [[1e-2], [1e-2, 1e-3]]\n"
    cells = load(
        write(tmp_path, text + '[[grid]]\nd = 4\nn = 8\nseed = 0\npenalties = [1e-2]\nmodel = "quadratic"\n')
    ).cells
    assert [(cell.d, cell.n, len(cell.penalties)) for cell in cells] == [
        (5, 10, 1), (5, 10, 2), (5, 8, 1), (5, 8, 2), (4, 8, 1), (4, 8, 2), (4, 6, 1), (4, 6, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[grid\n", r"path: expected a TOML file, got .*grid\.toml \("),
        ("", r"grid\.toml: expected a table \[grid\], got none\. For example: d = \[10, 20\]"),
        ("[grdi]\nd = 1\n", r"grid\.toml: expected one of 'grid', got 'grdi'. Did you mean 'grid'"),
        (GRID + "widht = 8\n", r"\[grid\]: expected one of .*got 'widht'\. Did you mean 'width'"),
        (GRID + 'width = "8"\n', "width: expected an integer, or a list of them, got '8'"),
        (GRID + "width = [8, 8.5]\n", "width: expected an integer, or a list of them, got 8.5"),
        (GRID + "noise = true\n", "noise: expected a number, or a list of them, got True"),
        (GRID + "penalties = 3\n", "penalties: expected a list of numbers, or a list of them, got 3"),
        (GRID + "width = []\n", "width: expected at least one value, got an empty list"),
        (GRID + "n_over_d = 2\n", r"\[grid\]: expected either n or n_over_d, got both"),
        ("[grid]\nd = 4\nseed = 1\n", r"\[grid\]: expected either n or n_over_d, got neither"),
        ("[grid]\nn = 4\nseed = 1\n", r"\[grid\]: expected a value or list for 'd', got none"),
        (GRID.replace("d = 4", "d = [4, 0]"), "d: expected an integer ≥ 1, got 0"),
    ],
)
def test_wrong_configurations_are_named(text: str, message: str, tmp_path: Path):
    with pytest.raises(ArgumentError, match=message):
        load(write(tmp_path, text))


def test_the_documentation_s_grid_loads(tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(load(write(tmp_path, block)).cells) == 108
    assert all(f"`{name}`" in page for name in FIELDS)


def test_missing_configuration_is_named(tmp_path: Path):
    with pytest.raises(ArgumentError, match=r"path: expected a readable TOML file, got .*none\.toml \(No such"):
        load(tmp_path / "none.toml")


# --- the database --------------------------------------------------------------------------------------------------

CELLS = [Cell(d=4, n=n, seed=0).name for n in (10, 20, 30)]


def test_store_keeps_the_first_result_and_the_order(tmp_path: Path):
    with Store(tmp_path, "1") as store:
        store.plan(CELLS)
        store.save(CELLS[2], {"error": 0.1 + 0.2})
        store.save(CELLS[2], {"error": 9.0})
        store.save(CELLS[0], {"error": 1.0})
        assert store.count() == (2, 3)
    with Store(tmp_path, "1") as store:
        store.plan(CELLS)
        assert store.missing(CELLS) == [CELLS[1]]
        assert store.finished() == [(CELLS[0], {"error": 1.0}), (CELLS[2], {"error": 0.1 + 0.2})]


def test_another_version_s_sweep_is_refused(tmp_path: Path):
    Store(tmp_path, "1").__exit__(None, None, None)
    with pytest.raises(
        StoreError, match=r"expected a sweep of taylornets 2, got a sweep of taylornets.sweep/1, taylornets 1"
    ):
        Store(tmp_path, "2")


@pytest.mark.parametrize("damage", ["head", "middle", "text"])
def test_damaged_database_is_named_and_left_alone(damage: str, tmp_path: Path):
    with Store(tmp_path, "1") as store:
        store.plan([Cell(d=4, n=n, seed=0).name for n in range(1, 200)])
    path = tmp_path / "sweep.sqlite"
    content = bytearray(path.read_bytes())
    if damage == "text":
        content = bytearray(b"my notes\n" * 100)
    else:
        at = 0 if damage == "head" else len(content) // 2
        content[at : at + 4096] = os.urandom(min(4096, len(content) - at))
    path.write_bytes(content)
    with pytest.raises(
        StoreError, match=r"out: expected a sweep database at .*sweep\.sqlite, got .* Move it, or"
    ) as caught:
        Store(tmp_path, "1")
    assert path.read_bytes() == content
    assert len(str(caught.value).splitlines()) == 1  # some versions of SQLite describe damage in several
    assert not [file for file in psutil.Process().open_files() if Path(file.path) == path]


def test_full_disk_loses_nothing(tmp_path: Path):
    """SQLite's limit on the file size triggers the error for a full disk."""
    with Store(tmp_path, "1") as store:
        store.plan(CELLS)
        store.save(CELLS[0], {"error": 1.0})
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(
            StoreError, match=r"out: expected free space on the disk of .*Finished cells are kept. Free disk space"
        ):
            store.save(CELLS[1], {"error": "x" * 100_000})
        assert store.count() == (1, 3)
    with Store(tmp_path, "1") as store:
        assert store.missing(CELLS) == CELLS[1:]


def test_named_cells_are_computed_once(tmp_path: Path):
    computed: list[str] = []

    def compute(name: str) -> dict[str, Any]:
        computed.append(name)
        if name == "bad" and len(computed) == 2:
            raise RuntimeError("stopped")
        return {"name": name, "nothing": math.nan, "pair": [1, None]}

    with pytest.raises(RuntimeError, match="stopped"):
        run_cells(tmp_path, ["good", "bad", "last"], compute)
    found = run_cells(tmp_path, ["last", "bad", "good"], compute)
    assert computed == ["good", "bad", "last", "bad"]
    assert [item["name"] for item in found] == ["last", "bad", "good"]
    assert all(math.isnan(item["nothing"]) and item["pair"] == [1, None] for item in found)
    assert run_cells(tmp_path, [], compute) == []


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of the grid with one worker and no interruption."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, out, error = finish(start(write(folder), "--out", folder / "out", "--workers", 1))
    assert (code, error.count("Traceback")) == (0, 0), error
    assert out.startswith("12 cells. Table: ")
    assert "cells: 12 of 12 finished" in error
    return folder / "out"


def test_exports(undisturbed: Path):
    found = table(undisturbed)
    assert found.height == 12
    # The columns of text and numbers agree between the two files; CSV has no types of its own.
    csv = polars.read_csv(undisturbed / "results.csv")
    assert csv.columns == found.columns
    assert csv["error"].to_list() == found["error"].to_list()
    latex = (undisturbed / "results.tex").read_text()
    assert latex.startswith(r"\begin{tabular}")
    mean = found.filter(polars.col("n") == 40)["error"].mean()
    assert f"40 & ${mean:.3g} \\pm" in latex
    assert latex.count(r"\\") == 4


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The worker processes of a sweep or of a `dask worker`; none if it has ended."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        return [child for child in family if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def wait_for_cells(out: Path, wanted: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 200
    while finished(out) < wanted and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_sweep_resumes_to_the_undisturbed_table(kill: int, undisturbed: Path, tmp_path: Path):
    """SIGKILL to the main process (even) or a worker (odd) at a random moment."""
    chance = random.Random(kill)
    out = tmp_path / "out"
    process = start(write(tmp_path), "--out", out, "--workers", 2)
    wait_for_cells(out, chance.randrange(0, 9), process)
    time.sleep(chance.random())
    workers = workers_of(process)
    if kill % 2 and workers:
        workers[0].kill()
        code, _, error = finish(process)
    else:
        process.kill()
        process.communicate(timeout=60)
        psutil.wait_procs(workers, timeout=30)
        assert not [child for child in workers if child.is_running()]  # no worker is left behind
        code, _, error = finish(start(tmp_path / "grid.toml", "--out", out, "--workers", 2, "--resume"))
    assert code == 0, error
    assert table(out).equals(table(undisturbed))
    with closing(sqlite3.connect(out / "sweep.sqlite")) as connection:
        assert (
            connection.execute("SELECT COUNT(*), COUNT(DISTINCT name), COUNT(result) FROM cells").fetchone()
            == (12,) * 3
        )


def test_scheduler_with_two_workers_gives_the_same_table(undisturbed: Path, tmp_path: Path):
    """A `dask scheduler` and two `dask worker` processes on loopback, as on a cluster; one worker is killed."""
    dask = [sys.executable, "-m", "dask"]
    file = tmp_path / "scheduler.json"
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "env": {**os.environ, "JAX_PLATFORMS": "cpu"},
    }
    where = ["--scheduler-file", str(file), "--host", "127.0.0.1"]
    processes = [subprocess.Popen([*dask, "scheduler", *where, "--port", "0", "--no-dashboard"], **quiet)]
    try:
        for _ in range(2):
            words = [*where, "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)]
            processes.append(subprocess.Popen([*dask, "worker", *words], **quiet))
        end = time.monotonic() + 100
        while not file.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        sweep = start(write(tmp_path), "--out", tmp_path / "out", "--scheduler", address)
        wait_for_cells(tmp_path / "out", 2, sweep)
        for worker in workers_of(processes[1])[:1]:
            worker.kill()
        code, _, error = finish(sweep)
        assert code == 0, error
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=60)
    assert table(tmp_path / "out").equals(table(undisturbed))


def test_wrong_requests_are_one_line(undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config, elsewhere = str(write(tmp_path)), str(tmp_path / "x")
    requests = {
        ("--out", str(undisturbed)): r"--out: expected a folder without a sweep, got .* Resume it with --resume",
        ("--out", str(tmp_path)): r"--out: expected a new or empty folder, or one .*, got .*Choose another folder",
        ("--workers", "0", "--out", elsewhere): "--workers: expected an integer ≥ 1, got 0",
        ("--workers", "two", "--out", elsewhere): "--workers: expected an integer, got 'two'",
        (
            "--scheduler",
            "nowhere:x",
            "--out",
            elsewhere,
        ): "--scheduler: expected the address of a running dask scheduler",
    }
    for words, message in requests.items():
        assert load_command("_app").run(["sweep", config, *words]) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert len(error.splitlines()) == 1, error
        assert re.search(message, error), error


def test_disk_without_room_is_one_line(tmp_path: Path):
    """The system limits the file size: the message is one line, and finished cells are kept."""
    out = tmp_path / "out"
    process = start(write(tmp_path), "--out", out, "--workers", 1)
    psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (24_000, 24_000))
    code, _, error = finish(process)
    assert code == 2, error
    assert "Traceback" not in error
    assert re.search(r"--out: expected free space on the disk of .*Finished cells are kept", error.splitlines()[-1]), (
        error
    )
    with Store(out, tn.__version__) as store:
        cells, done = [cell.name for cell in load(tmp_path / "grid.toml").cells], store.count()[0]
        assert 0 < done < 12
        assert len(store.missing(cells)) == 12 - done
