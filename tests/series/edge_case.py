"""A test case for one choice of a primitive's parameters, and input values shared by the tables of cases."""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

ALL = ("float16", "bfloat16", "float32")
SINGLE = ("float32",)  # LAPACK and the Fourier transform know no half precision

# The families whose every rule has a generator of cases. Programs inside programs have no parameters at whose edges
# arithmetic changes: `test_rules.py` has a sample of each.
GENERATED = {
    "bilinear", "linear", "linear algebra", "locally constant", "piecewise linear", "reduction", "univariate",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A function that uses a primitive with certain parameters, and its point of expansion.

    Attributes:
        function: takes the operands, returns an array or a tuple of them.
        operands: double precision; real and complex arrays move, others are constants.
        label: the parameters.
        dtypes: low precisions supported by the primitive.
        across: "row" maps the function over the first axis of the operands with `vmap`, "device" with `shard_map`; the
            axis is named "i".
        edge: whether the operands lie at points where arithmetic may fail (zero, infinity, a tie); also evaluated eagerly.
        expected: a function with the expected derivatives, if it is not `function` itself; takes the operands along the
            curve and at its start.
    """

    function: Callable[..., Any]
    operands: tuple[Any, ...]
    label: str
    dtypes: tuple[str, ...] = ALL
    across: str = ""
    edge: bool = False
    expected: Callable[..., Any] | None = None


Generator: TypeAlias = Callable[[], Iterable[Case]]


def between(low: float, high: float, shape: tuple[int, ...], salt: int = 0) -> np.ndarray:
    """Returns evenly spaced numbers in an interval, shuffled."""
    size = int(np.prod(shape))
    order = np.random.default_rng(zlib.crc32(repr((shape, salt)).encode())).permutation(size)
    return (low + (high - low) * (order + 0.5) / max(size, 1)).reshape(shape)


def apart(shape: tuple[int, ...], salt: int = 0, gap: float = 0.4) -> np.ndarray:
    """Returns numbers with pairwise distances of at least `gap`, so that their order is constant along a short curve."""
    half, shift = int(np.prod(shape)) * gap / 2, 0.15 * salt * gap
    return between(-half + shift, half + shift, shape, salt)


def complex_between(low: float, high: float, shape: tuple[int, ...], salt: int = 0) -> np.ndarray:
    """Returns the same numbers with an imaginary part between 0.2 and 0.5."""
    return between(low, high, shape, salt) + 1j * between(0.2, 0.5, shape, salt + 1)


def shapes(*given: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Returns shapes of a scalar, a vector and an empty array."""
    return given or ((), (3,), (0, 2))
