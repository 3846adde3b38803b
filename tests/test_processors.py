"""Every process of a pool computes on its share of the processors."""

import multiprocessing
import os
from pathlib import Path

import pytest

from taylornets import _processors

THREADS = Path("/proc/self/task")


def threads_of_xla() -> int:
    """The threads among which XLA divides a computation of this process."""
    import jax.numpy as jnp  # noqa: PLC0415 (the variables are read when XLA starts)

    jnp.ones((300, 300)).dot(jnp.ones((300, 300))).block_until_ready()
    return sum("XLAEigen" in (thread / "comm").read_text() for thread in THREADS.iterdir())


@pytest.mark.skipif(not THREADS.is_dir(), reason="the system does not list the threads of a process")
@pytest.mark.parametrize(("processes", "threads"), [(1, 3), (2, 1), (3, 1), (8, 1)])
def test_xla_starts_the_threads_of_its_share(monkeypatch: pytest.MonkeyPatch, processes: int, threads: int):
    for name in ("NPROC", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_processors, "count", lambda: 3)
    with _processors.divided(processes), multiprocessing.get_context("spawn").Pool(1) as pool:
        assert os.environ["NPROC"] == os.environ["OMP_NUM_THREADS"] == str(threads)
        assert pool.apply(threads_of_xla) == threads
    assert "NPROC" not in os.environ
    assert "OMP_NUM_THREADS" not in os.environ


def test_values_of_the_user_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NPROC", "5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_processors, "count", lambda: 4)
    with _processors.divided(2):
        assert (os.environ["NPROC"], os.environ["OMP_NUM_THREADS"]) == ("5", "2")
    assert os.environ["NPROC"] == "5"
    assert "OMP_NUM_THREADS" not in os.environ


def test_every_process_has_a_processor(monkeypatch: pytest.MonkeyPatch):
    for name in ("NPROC", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert 1 <= _processors.count() <= (os.cpu_count() or 1)
    assert _processors.threads(10**6) == {"NPROC": "1", "OMP_NUM_THREADS": "1"}
