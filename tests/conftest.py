"""Fixtures and tolerances of all tests; how they are compiled."""

import gc
import os
from collections.abc import Iterator

import jax
import pytest

# Most of the time of the tests is the compiler's, and nearly every program runs once: it is told to optimize little,
# here and in the processes that tests start. What the programs compute is the same; `JAX_DISABLE_MOST_OPTIMIZATIONS=0`
# brings the optimizer back.
if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") not in {"0", "false", "False"}:
    jax.config.update("jax_disable_most_optimizations", True)

# Compiled programs stay alive, millions of objects of them: the garbage collector would walk through them all the time.
gc.set_threshold(100_000, 50, 100)

# Relative tolerance of a result that is one pass of arithmetic away from its reference.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


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
