"""The linear model as a generalized ridge problem: Newton's method on its dual (theory 5).

With `f = f⁰ + A V` and the penalty `λ ‖V‖_F^p`, the minimizer for a dual vector `ν` is `V(ν) = -φ G`, `G = Aᵀ ν`, with
`φ = 1/(2λ)` for `p = 2` and `φ = ‖G‖^{(2-p)/(p-1)} (pλ)^{-1/(p-1)}` in general. In the outputs `f`, with `ν = p ℓ'(f)`, the
optimum is the root of `F(f) = f - f⁰ - A V(ν(f))`, and Newton's matrix is `I + 𝒢 H` with

    𝒢 v = φ A [g - (p-2)/(p-1) G ⟨G, g⟩/‖G‖²],   g = Aᵀ v.

For the squared loss and `p = 2` this is kernel ridge regression with the NTK, solved in one step.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from taylornets import _devices, _programs
from taylornets._fit._newton import Direction, conjugate_gradients, curvature_product, solve_dense
from taylornets._fit._result import FitHistory, FitResult
from taylornets._fit._status import Status
from taylornets.certificates import Certificate, dual_bound, weighted_sum
from taylornets.objectives import Objective
from taylornets.two_layer import map_blocks, moment_vectors

_DENSE_UNKNOWNS = 2000  # up to this many n·C, the NTK Gram matrix is formed and factorized
_TOLERANCE = 1e-10  # relative residual of conjugate gradients
_MOST_TRIALS, _BACKTRACK, _ARMIJO = 20, 0.4, 1e-4
_PATIENCE = 3


class _Point(NamedTuple):
    f: Array
    nu: Array
    v: Array
    residual: Array
    dual: Array  # without the allowance for rounding, for the line search
    primal: Array


@_devices.exact
def ridge(
    risk: Objective,
    w: Array | None,
    *,
    tol: float,
    max_steps: int,
    on_check: Callable[[FitHistory], None] | None = None,
) -> FitResult:
    """Trains the linear model to a certified optimum; arguments and result as in `dual_newton`."""
    history, began = FitHistory(), time.perf_counter()
    point = _evaluate(risk, risk.initial_outputs() if w is None else risk.outputs(w))
    primal, best, dual, vector = np.inf, point.v, -np.inf, point.nu
    steps = idle = 0
    while True:
        lower, scaled = dual_bound(risk, point.nu)
        if float(point.primal) < primal:
            primal, best, idle = float(point.primal), point.v, 0
        if float(lower) > dual:
            dual, vector, idle = float(lower), scaled, 0
        gap = (primal - dual) / abs(primal) if primal else 0.0
        history.add_bounds(steps, primal, gap, time.perf_counter() - began)
        if on_check is not None:
            on_check(history)
        if gap <= tol or idle >= _PATIENCE or steps >= max_steps or not np.isfinite(primal):
            break
        point, steps, idle = _step(risk, point), steps + 1, idle + 1
    status = Status.CERTIFIED if gap <= tol else Status.MAX_STEPS if steps >= max_steps else Status.GAP_REMAINS
    if not np.isfinite(primal):
        status = Status.DIVERGED
    certificate = Certificate(risk(best), jnp.asarray(dual, vector.dtype), vector)
    return FitResult(best, primal, certificate, status, steps, history, net=risk.net, model=risk.model)


def _step(risk: Objective, point: _Point) -> _Point:
    direction = _direction(risk, point)
    before, decrement = float(point.dual), float(direction.decrement)
    slack = 16 * float(jnp.finfo(point.f.dtype).eps) * abs(before)
    step = 1.0
    for _ in range(_MOST_TRIALS):
        trial = _evaluate(risk, point.f + step * direction.f)
        if float(trial.dual) >= before + _ARMIJO * step * decrement - slack:
            return trial
        step *= _BACKTRACK
    return point


def _factor(risk: Objective, size: Array) -> Array:
    """Returns `φ` for `‖G‖ = size`."""
    p = risk.penalty.power
    safe = jnp.where(size > 0, size, 1)
    return jnp.where(size > 0, safe ** ((2 - p) / (p - 1)) * (p * risk.strength) ** (-1 / (p - 1)), 0)


def _adjoint(risk: Objective) -> Callable[[Array], Array]:
    """Returns `ν ↦ Aᵀ ν`, shape `(m, d)`."""

    def adjoint(nu: Array) -> Array:
        half = moment_vectors(risk.features, nu)
        return risk.net.both_halves(half, -half)

    return adjoint


@_programs.program
def _evaluate(risk: Objective, f: Float[Array, "n outputs"]) -> _Point:
    y, weights = risk.targets(), risk.weights()
    slopes = risk.loss.derivative(f, y)
    nu = slopes * weights[:, None]
    moved = _adjoint(risk)(nu)
    size = jnp.linalg.norm(moved)
    v = -_factor(risk, size) * moved
    outputs = risk.outputs(v)
    penalty = risk.penalty.value(v, risk.strength)
    fenchel = weighted_sum(risk, risk.loss.value(f, y) - jnp.sum(slopes * f, axis=1))
    primal = weighted_sum(risk, risk.loss.value(outputs, y)) + penalty
    return _Point(f, nu, v, f - outputs, fenchel + jnp.sum(nu * outputs) + penalty, primal)


@_programs.program
def _direction(risk: Objective, point: _Point) -> Direction:
    adjoint = _adjoint(risk)
    moved = adjoint(point.nu)
    size, p = jnp.linalg.norm(moved), risk.penalty.power
    factor = _factor(risk, size)
    unit = moved / jnp.where(size > 0, size, 1)
    share = (p - 2) / (p - 1)
    if risk.count * risk.net.outputs <= _DENSE_UNKNOWNS:
        along = risk.term(1, unit)
        operator = factor * (_gram(risk) - share * jnp.einsum("ic,jd->icjd", along, along))
        return solve_dense(risk, operator, point.f, point.residual)

    def product(v: Array) -> Array:
        g = adjoint(v)
        return factor * risk.term(1, g - share * jnp.vdot(unit, g) * unit)

    def curved(v: Array) -> Array:
        return curvature_product(risk, point.f, v)

    tolerance = jnp.asarray(max(_TOLERANCE, 10 * float(jnp.finfo(point.f.dtype).eps)), point.f.dtype)
    return conjugate_gradients(product, curved, point.residual, tolerance)


def _gram(risk: Objective) -> Float[Array, "n outputs n outputs"]:
    """Returns `A Aᵀ`, the NTK at initialization on the examples."""
    prepared, net = risk.features, risk.net
    features = prepared.unblock(map_blocks(lambda block: risk.scaled_derivative(block, 1), prepared.blocks))
    signed = features[:, None, :] * net.signs.T[None]
    inner: Any = risk.x @ risk.x.T
    return net.halves * jnp.einsum("ich,jdh->icjd", signed, signed) * inner[:, None, :, None]
