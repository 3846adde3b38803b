"""Claims in separate processes: the same records as in one process, and no remaining processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import jax
import psutil
import pytest

from taylornets import ArgumentError, _processors
from taylornets.records import Stamp
from taylornets.records.progress import NoProgress
from taylornets.reproduction import reproduce
from taylornets.reproduction._running import run_claims
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome

STAMP = Stamp("quick", 3, "0.1.0", None, True)


class Heard(NoProgress):
    def __init__(self) -> None:
        self.told: list[tuple[str, float, str]] = []

    def progressed(self, name: str, fraction: float, message: str) -> None:
        self.told.append((name, fraction, message))


def draw(context: ClaimContext) -> Outcome:
    context.progress(0.5, "half")
    value = jax.random.normal(context.key)
    return Outcome(float(value), value.dtype == "float64", detail={"process": os.getpid()})


def crash(context: ClaimContext) -> Outcome:
    raise RuntimeError("no room")


def die(context: ClaimContext) -> Outcome:
    os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(1, True)


ASLEEP = 90.0  # seconds, of which a test that passes waits for none


def sleep(context: ClaimContext) -> Outcome:
    context.progress(0.1, "asleep")
    time.sleep(ASLEEP)
    return Outcome(1, True)


def claim(name: str, run: object) -> Claim:
    return Claim(name, name.title(), "It holds.", "section 1", "a number", run)


def share(context: ClaimContext) -> Outcome:
    return Outcome(float(os.environ["NPROC"]), True)


def test_processors_are_divided_among_the_processes_that_run(monkeypatch: pytest.MonkeyPatch):
    for name in ("NPROC", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_processors, "count", lambda: 6)
    found = list(run_claims([claim("one", share), claim("two", share)], STAMP, 5, NoProgress()))
    assert [record.measured for record in found] == [3, 3]  # of two processes, not of five


def test_processes_give_what_one_process_gives(x64: None):
    claims = [*(claim(name, draw) for name in ("one", "two", "three")), claim("crash", crash), claim("die", die)]
    heard = Heard()
    alone = {record.claim: record for record in run_claims(claims[:4], STAMP, 1, NoProgress())}
    beside = {record.claim: record for record in run_claims(claims, STAMP, 2, heard)}
    assert set(beside) == {"one", "two", "three", "crash", "die"}
    for name in ("one", "two", "three"):
        assert beside[name].holds
        assert beside[name].detail["process"] not in (alone[name].detail["process"], os.getpid())
        assert replace(beside[name], detail={}, seconds=0) == replace(alone[name], detail={}, seconds=0)
    assert beside["crash"].error == alone["crash"].error == "RuntimeError: no room"
    assert "the process ended without a result (signal 9)" in beside["die"].error
    assert beside["die"].seconds > 0
    assert len({beside[name].detail["process"] for name in ("one", "two", "three")}) <= 2  # a process is used again
    assert sorted(heard.told) == [(name, 0.5, "half") for name in ("one", "three", "two")]
    assert multiprocessing.active_children() == []


class AsleepError(Exception):
    """Raised by the progress object while the claim sleeps."""


class Interrupting(NoProgress):
    def progressed(self, name: str, fraction: float, message: str) -> None:
        raise AsleepError


def test_closing_ends_the_processes():
    """Running processes are terminated rather than awaited."""
    begin = time.monotonic()
    with (
        pytest.raises(AsleepError),
        closing(run_claims([claim("a", sleep), claim("b", sleep)], STAMP, 2, Interrupting())) as run,
    ):
        list(run)
    assert multiprocessing.active_children() == []
    assert time.monotonic() - begin < ASLEEP


def test_processes_end_with_their_parent(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_running import *\n"
        "class Saying(NoProgress):\n"
        "    def progressed(self, name, fraction, message): print(message, flush=True)\n"
        "if __name__ == '__main__':\n"
        "    list(run_claims([claim('a', sleep), claim('b', sleep)], STAMP, 2, Saying()))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "asleep\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def test_number_of_workers_is_checked(tmp_path: Path):
    with pytest.raises(ArgumentError, match=r"^workers: expected an integer ≥ 1, got 0"):
        reproduce(tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()
