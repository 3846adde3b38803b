"""Fixtures and tolerances of all tests."""

from collections.abc import Iterator

import jax
import pytest

# Relative tolerance of a result that is one pass of arithmetic away from its reference.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision for one test; the library itself never sets the option."""
    with jax.enable_x64(True):
        yield
