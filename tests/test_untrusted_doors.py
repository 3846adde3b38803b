"""Every door for files of others, with files that hypothesis invents: a value or one message, no code, bounded memory.

`FUZZ_EXAMPLES=2000 pytest tests/test_untrusted_doors.py` tries more.
"""

import contextlib
import gzip
import io
import math
import os
import re
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save as pack

import taylornets as tn
from taylornets import ArgumentError, _checkpoints, records
from taylornets.datafiles import scan
from taylornets.records import PageRecord, Section
from taylornets.sweeps._config import load as load_grid
from taylornets.tabular import _wording as sentences
from taylornets.tabular._temperature import Temperature

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
FEW = hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[*hypothesis.HealthCheck],
)  # fmt: skip
MOST_BYTES = 100_000_000  # the files have at most a few thousand bytes
RUNS_CODE = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")
START = {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.zeros(2, np.float32)}
TABLE = pd.DataFrame({"a": [0.5, 1.5, -2.0] * 4, "b": ["u", "v", ""] * 4, "y": range(12)})

seen: list[str] = []
watching = [False]
sys.addaudithook(lambda event, _: seen.append(event) if watching[0] and event in RUNS_CODE else None)


def csv() -> bytes:
    return TABLE.to_csv(index=False).encode()


def npz(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    return buffer.getvalue()


def leaves() -> bytes:
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, START)
    return buffer.getvalue()


def model() -> bytes:
    x = np.linspace(-1, 1, 6)[:, None]
    estimator: Any = tn.NTKRegressor().fit(x, x[:, 0])
    path = Path(os.environ["PYTEST_DOORS"]) / "source.safetensors"
    return tn.save(estimator, path).read_bytes()


GRID = b"[grid]\nd = [4, 5]\nn = [40]\nseed = [0]\nmodel = ['ntk', 'quadratic']\nwidth = 32\n"


def page() -> bytes:
    folder = Path(os.environ["PYTEST_DOORS"])
    records.save_page(folder, PageRecord("fit", "t", "lead", {}, [Section("s", "S", (), {})], {}, "c", ()))
    return (folder / "records" / "page.json").read_bytes()


# Name of the file -> its valid content, and what opens it.
DOORS: dict[str, tuple[Callable[[], bytes], Callable[[Path], Any]]] = {
    "t.csv": (csv, lambda path: scan(str(path)).check()),
    "t.csv.gz": (lambda: gzip.compress(csv()), lambda path: scan(str(path)).check()),
    "t.parquet": (lambda: TABLE.to_parquet(), lambda path: scan(str(path)).check()),
    "t.npz": (lambda: npz(a=np.arange(12.0), y=np.arange(12)), lambda path: scan(str(path)).check()),
    "model.safetensors": (model, tn.load),
    "c.safetensors": (lambda: pack(START), lambda path: _checkpoints.read(path, START)),
    "c.npz": (lambda: npz(**START), lambda path: _checkpoints.read(path, START)),
    "c.eqx": (leaves, lambda path: _checkpoints.read(path, START)),
    "grid.toml": (lambda: GRID, load_grid),
    "records/page.json": (page, lambda path: records.load_page(path.parents[1])),
}


def changed(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replaces pieces of a file: place, length and new bytes, each modulo its size."""
    found = data
    for place, length, piece in edits:
        at = place % (len(found) + 1)
        found = found[:at] + piece + found[at + length :]
    return found


PIECES = st.one_of(st.binary(max_size=12), st.sampled_from([
    b"\xff" * 8, b"\x00" * 8, b"1e999", b"-", b"NaN", b"inf", b"9" * 30, b"[" * 200, b'{"$class": "Popen"}',
    b"\x80\x04cos\nsystem\n",
    b'"', b"\n", b",", b"\r", "\u202eé\U0001f600".encode(), b"PAR1", b"PK\x03\x04", b"<html>", b"=cmd|' /C calc'!A1",
]))  # fmt: skip
EDITS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 60), PIECES), min_size=1, max_size=4)


def opened(path: Path, read: Callable[[Path], Any], content: bytes) -> bool:
    """Whether a file was read; anything but a value, None or an `ArgumentError` is a failure."""
    path.write_bytes(content)
    seen.clear()
    tracemalloc.start()
    watching[0] = True
    try:
        return read(path) is not None
    except ArgumentError:
        return False
    finally:
        watching[0] = False
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seen == []
        assert peak < MOST_BYTES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DOORS)
def test_changed_and_invented_files_are_values_or_errors(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTEST_DOORS", str(tmp_path))
    make, read = DOORS[name]
    valid, path = make(), tmp_path / name
    path.parent.mkdir(exist_ok=True)
    assert opened(path, read, valid)  # the control: what is changed below can be read
    count = [0, 0]

    @FEW
    @hypothesis.given(EDITS, st.sampled_from(["changed", "cut", "invented"]))
    def one(edits: list[tuple[int, int, bytes]], kind: str) -> None:
        content = changed(valid, edits) if kind == "changed" else valid[: edits[0][0] % len(valid)]
        content = b"".join(piece for _, _, piece in edits) if kind == "invented" else content
        count[opened(path, read, content)] += 1

    one()
    assert count[0] > EXAMPLES / 8


NUMBERS = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.005, 0.995, 1e-300, math.inf, -math.inf, math.nan])
)
COUNTS = st.one_of(st.sampled_from([0, 1, 2]), st.integers(0, 10**7))
WRONG = re.compile(
    r"(more|less|most) than (less|more)|most less|\bnan\b|\binf\b|-\d|\b1 (test |held-out )*rows|1 of which equal "
)


@FEW
@hypothesis.given(NUMBERS)
def test_percentages_are_true(value: float):
    said = [
        sentences.share(value),
        sentences.at_most(abs(value)),
        sentences.more_than(abs(value)),
        sentences.signed(value),
    ]
    for text in said:
        assert not WRONG.search(text), (value, text)
    stated = re.fullmatch(r"(−?)(\d[\d.]*) %", said[0])
    if stated and 1e-5 < abs(value) < 1e4:
        number = float(stated[2]) * (-1 if stated[1] else 1)
        assert number / 100 == pytest.approx(value, rel=0.06, abs=5e-6)


@FEW
@hypothesis.given(NUMBERS, COUNTS, COUNTS, st.sampled_from(["classification", "regression"]))
def test_the_sentence_on_the_score_is_true(score: float, rows: int, repeated: int, task: str):
    score = min(max(score, 0.0), 1.0) if task == "classification" and not math.isnan(score) else min(score, 1.0)
    said = sentences.score_sentence(task, score, rows, min(rows, repeated))
    assert not WRONG.search(said), said
    if task == "regression" and math.isfinite(score):
        assert ("predicts better" in said) == (score < 0)
        percent = re.search(r"explains ([\d.]+) %", said)
        assert percent is None or abs(float(percent[1]) / 100 - score) <= 0.0051


@FEW
@hypothesis.given(st.floats(0.05, 20), st.floats(0, 700), st.floats(0, 700), COUNTS)
def test_the_sentence_on_the_temperature_is_true(value: float, before: float, after: float, rows: int):
    said = Temperature(value if after < before else 1.0, before, after, rows).sentence
    if rows < 20:
        assert "too few" in said
        return
    assert ("does not lower" in said) == (not after < before or value == 1)
    if "confident" in said:
        assert ("less confident" in said) == (value > 1)
    with contextlib.suppress(AttributeError):
        assert "  " not in said
