"""Training that continues in smaller blocks when the memory of a device is exhausted."""

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from taylornets.objectives import Objective, in_smaller_blocks

T = TypeVar("T")


def within_memory(solve: Callable[..., T], risk: Objective, *args: Any) -> tuple[T, Objective]:
    """Calls `solve(risk, *args)`; while the device has too little memory, again in smaller blocks, which it says.

    Returns:
        The result, and the objective with which it was computed, for the calls that follow.
    """
    while True:
        try:
            return solve(risk, *args), risk
        except jax.errors.JaxRuntimeError as error:
            smaller = in_smaller_blocks(risk) if "RESOURCE_EXHAUSTED" in str(error) else None
            if smaller is None:
                raise
        rows = [each.features.blocks.x.shape[1] for each in (risk, smaller)]
        warnings.warn(
            f"The memory of the device is exhausted with blocks of {rows[0]:,} examples. Training continues with blocks of "
            f"{rows[1]:,} and without stored features: slower, with the same result.",
            RuntimeWarning,
            stacklevel=3,
        )
        risk = smaller
