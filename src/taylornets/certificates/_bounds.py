"""Shared parts of the dual bounds of the different models."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from taylornets.objectives import Objective, ReducedObjective

_GOLDEN = (math.sqrt(5) - 1) / 2
_DOUBLE = 1e-12
_LOOSEST = 0.1  # default tolerance
_SEARCH_STEPS = 80  # 1024 · 0.618^80 < 2e-14: the maximizer is found to rounding


def golden_section(value: Callable[[Array], Array], low: Array, high: Array, steps: int = _SEARCH_STEPS) -> Array:
    """Maximizes a concave function over `[low, high]`; it may be minus infinity near the right end."""

    def step(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        left_value, right_value = jax.vmap(value)(jnp.stack([left, right]))
        keep_left = (left_value >= right_value) | ~jnp.isfinite(right_value)
        return jnp.where(keep_left, low, left), jnp.where(keep_left, right, high)

    low, high = lax.fori_loop(0, steps, step, (low, high))
    return (low + high) / 2


def initial_inner(risk: Objective, dual_vector: Float[Array, "n outputs"]) -> Array:
    """`Σ_i ⟨ν_i, f^(0)_i⟩`, which is 0 under symmetric initialization."""
    if risk.net.symmetric:
        return jnp.zeros((), dual_vector.dtype)
    return jnp.sum(dual_vector * risk.initial_outputs())


def slopes_of(risk: Objective, dual_vector: Float[Array, "n outputs"]) -> Float[Array, "n outputs"]:
    """Projects the slopes `ν_i/p_i` onto the domain of the conjugate; 0, a feasible slope, for examples of weight 0."""
    loss, y, weights = risk.loss, risk.targets(), risk.weights()[:, None]
    present = weights > 0
    return jnp.where(present, loss.project(dual_vector / jnp.where(present, weights, 1), y), 0)


def mean_conjugate(risk: Objective, slopes: Float[Array, "n outputs"]) -> Array:
    """`Σ_i p_i ℓ*(s_i, y_i)`; examples of weight 0 do not contribute, whatever their targets."""
    loss, y = risk.loss, risk.targets()
    return weighted_sum(risk, loss.conjugate(loss.project(slopes, y), y))


def weighted_sum(risk: Objective, values: Float[Array, " n"]) -> Array:
    """`Σ_i p_i value_i` over the examples with nonzero weight."""
    weights = risk.weights()
    return jnp.sum(jnp.where(weights > 0, weights * values, 0))


def conjugate_magnitude(risk: Objective, slopes: Float[Array, "n outputs"]) -> Array:
    """Sum of the magnitudes of the terms in the mean conjugate."""
    loss, y = risk.loss, risk.targets()
    conjugates = loss.conjugate(loss.project(slopes, y), y)
    return weighted_sum(risk, jnp.abs(conjugates) + jnp.sum(jnp.abs(slopes * y), axis=1))


def rounding_allowance(risk: Objective, magnitude: Array) -> Array:
    """Allowance subtracted from a computed dual value: `16 ε (√n + d)` times the magnitudes of its terms."""
    epsilon = jnp.finfo(magnitude.dtype).eps
    return 16 * epsilon * (math.sqrt(risk.count) + risk.net.inputs) * magnitude


def default_tolerance(risk: Objective | ReducedObjective) -> float:
    """The default relative gap of training: 1e-8 in float64, and otherwise the larger of 1e-4 and four times the allowance.

    The allowance is that of a dual value whose terms have the magnitude of the objective. A gap above 0.1 certifies little,
    so that it is the limit in half precision.
    """
    epsilon = float(jnp.finfo(risk.strength.dtype).eps)
    if epsilon < _DOUBLE:
        return 1e-8
    return min(max(1e-4, 64 * epsilon * (math.sqrt(risk.count) + risk.net.inputs)), _LOOSEST)
