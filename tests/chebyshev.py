"""Taylor coefficients from values alone: a fit by Chebyshev polynomials around a point, without automatic differentiation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from numpy.polynomial import chebyshev

RADIUS = 0.2
NODES = 16
TIMES = RADIUS * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)


def _weights() -> np.ndarray:
    """weights[k, i]: what the value at time i contributes to the coefficient of order k of the interpolating polynomial."""
    nodes = np.arange(NODES)
    transform = np.cos(np.outer(nodes, np.pi * (nodes + 0.5) / NODES)) * (2 / NODES)
    transform[0] /= 2
    # The coefficient of s^k in the Chebyshev polynomial T_n(s), in row k and column n.
    powers = np.stack([np.pad(chebyshev.cheb2poly(row), (0, NODES))[:NODES] for row in np.eye(NODES)], axis=1)
    return (powers @ transform) / RADIUS ** nodes[:, None]


WEIGHTS = _weights()


def coefficients_from_values(values: Any, order: int) -> list[np.ndarray]:
    """The coefficients 0..order of a function of one variable from its values at `TIMES`.

    For a function that is analytic in a disk of radius 1, the error is that of rounding: below eps · (NODES / RADIUS)^order.

    Args:
        values: the value at each of `TIMES`, along the first axis, in double precision. An entry that is the same at all
            of them is a constant; it may be infinite.
        order: highest coefficient.
    """
    values = np.asarray(values)
    constant = (values == values[:1]).all(0)
    moving = np.tensordot(WEIGHTS[: order + 1], np.where(constant, 0, values), 1)
    return [moving[0] + np.where(constant, values[0], 0), *moving[1:]]


def along(function: Callable[[Any], Any], times: Sequence[float] = TIMES) -> Any:
    """The values of a function of one variable at `TIMES`, stacked, by one compiled program."""
    return jax.jit(lambda ts: jax.lax.map(function, ts))(np.asarray(times))


def terms_from_values(
    function: Callable[..., Any], start: Any, end: Any, order: int, *args: Any
) -> list[list[np.ndarray]]:
    """The Taylor terms 0..order of `function(params, *args)` along the line from `start` to `end`, leaf by leaf."""

    def at(t: Any) -> list[Any]:
        params = jax.tree.map(lambda a, b: a + (b - a) * t, start, end)
        return jax.tree.leaves(function(params, *args))

    return [coefficients_from_values(values, order) for values in along(at)]
