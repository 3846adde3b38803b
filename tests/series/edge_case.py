"""The record of one point in the space of a primitive's parameters, and the numbers that the tables of cases share."""

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
    """A function that uses a primitive with certain parameters, and where it is expanded.

    Attributes:
        function: takes the operands, returns an array or a tuple of them.
        operands: double precision; real and complex arrays move, others are constants.
        label: the parameters.
        dtypes: low precisions that the primitive takes.
        across: the function runs once for each "row" along the first axis of the operands, by `vmap`, or once for each
            "device", by `shard_map`; that axis is "i".
        edge: the operands lie where arithmetic may fail (zero, infinity, a tie); run step by step to see that it does not.
        expected: the function whose values have the derivatives that `function` should have, if that is another; takes
            the operands along the curve and those at its start.
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
    """Numbers spread evenly over an interval, in no particular order."""
    size = int(np.prod(shape))
    order = np.random.default_rng(zlib.crc32(repr((shape, salt)).encode())).permutation(size)
    return (low + (high - low) * (order + 0.5) / max(size, 1)).reshape(shape)


def apart(shape: tuple[int, ...], salt: int = 0, gap: float = 0.4) -> np.ndarray:
    """Numbers no two of which are closer than `gap`, so that no two change places along a short curve."""
    half, shift = int(np.prod(shape)) * gap / 2, 0.15 * salt * gap
    return between(-half + shift, half + shift, shape, salt)


def complex_between(low: float, high: float, shape: tuple[int, ...], salt: int = 0) -> np.ndarray:
    """The same with an imaginary part between 0.2 and 0.5."""
    return between(low, high, shape, salt) + 1j * between(0.2, 0.5, shape, salt + 1)


def shapes(*given: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """A scalar, a vector, nothing."""
    return given or ((), (3,), (0, 2))
