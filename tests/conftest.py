"""Fixtures of all tests; how they are compiled."""

import gc
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import jax
import jaxlib
import pytest

from taylornets import _processors


def _known_flags(*flags: str) -> str:
    """Those of these flags that the installed XLA has: flags come and go, and an unknown one ends the process."""
    library = next(Path(jaxlib.__file__).parent.glob("libjax_common.*"), None)
    if library is None:
        return ""
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        # As a whole C string, as the table of flags holds it: the names of removed ones linger elsewhere.
        return " ".join(flag for flag in flags if text.find(f"\0{flag[2:].split('=')[0]}\0".encode()) >= 0)


# Most of the time of the tests is the compiler's, and nearly every program runs once: it is told to optimize little,
# here and in the processes that tests start. XLA's older code generator for the CPU takes half the time of the newer one,
# and two test processes on two cores leave none for a program compiled in parts. What the programs compute is the same;
# `JAX_DISABLE_MOST_OPTIMIZATIONS=0` brings the defaults back.
if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") not in {"0", "false", "False"}:
    jax.config.update("jax_disable_most_optimizations", True)
    os.environ.setdefault(
        "XLA_FLAGS",
        _known_flags("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"),
    )

# Tests leave the user's cache of compiled programs alone.
os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "0")
jax.config.update(
    "jax_enable_compilation_cache", os.environ["JAX_ENABLE_COMPILATION_CACHE"] not in {"0", "false", "False"}
)

# XLA and OpenBLAS would start a thread for each processor in each of the test processes.
os.environ.update(_processors.threads(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))

# Compiled programs stay alive, millions of objects of them: the garbage collector would walk through them all the time.
gc.set_threshold(100_000, 50, 100)


_MAPS = Path("/proc/self/maps")
_MOST_MAPS = 30_000


_SLOW = Path(__file__).with_name("slow.txt")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the slow cases; those that other versions of a package do not generate are passed over."""
    listed = frozenset(_SLOW.read_text().splitlines())
    for item in items:
        if item.nodeid in listed:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="module")
def room_for_programs() -> Iterator[None]:
    """Compiled programs map memory, and Linux allows a process 65530 mappings: beyond, the compiler runs out of memory."""
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision for one test; the library itself never sets the option."""
    with jax.enable_x64(True):
        yield


_PRECISION = bool(jax.config.read("jax_enable_x64"))


@pytest.fixture(autouse=True)
def precision_of_the_process() -> Iterator[None]:
    """The command sets double precision for its process; tests and fixtures that run it in this one leave nothing of it."""
    jax.config.update("jax_enable_x64", _PRECISION)
    yield
    jax.config.update("jax_enable_x64", _PRECISION)
