"""Copies of units: the least rank of a lifted solution, and new copies along directions of negative curvature (theory 5).

A displacement of `R` copies is the lifted matrix `Θ_r = Σ_j w_rj w_rjᵀ`; any factor of it is as good. The factor from its
eigenvectors has the least number of copies, in order of their norm.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from taylornets import _checks, _devices, _programs
from taylornets._fit._lift import DualPoint, Prox, assemble, list_of_pairs, truncated
from taylornets.objectives import Objective

_NEGLIGIBLE = 1e-6  # eigenvalues of Θ below this fraction of the largest are dropped
_SLACK = 1.01
_MAGNITUDES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # sizes of a new copy relative to the natural norm of a unit


def displacement_of(risk: Objective, point: DualPoint, found: Prox, dual: float, tol: float, size: int | None) -> Array:
    """Returns the displacement of `Θ` with the least number of copies whose relative gap to `dual` is at most `tol`.

    If the gap of `Θ` itself exceeds `tol`, truncation may increase it by 1 %.
    """
    values = np.maximum(_checks.host(found.shifted), 0)
    most = max(int(np.max(np.sum(values > _NEGLIGIBLE * np.max(values), axis=1))), 1)
    size = list_of_pairs(risk, found, size).unit.shape[0]  # one size for all ranks: one program

    def gap(rank: int) -> float:
        kept = truncated(risk, found, rank)
        primal = float(assemble(risk, point, kept, list_of_pairs(risk, kept, size)).primal)
        return (primal - dual) / abs(primal) if primal else 0.0

    limit = max(tol, _SLACK * gap(most)) if most > 1 else 0.0
    rank = next((rank for rank in range(1, most) if gap(rank) <= limit), most)
    factors = (_checks.host(found.vectors) * np.sqrt(values)[:, None, :]).swapaxes(1, 2)[:, ::-1][:, :rank]
    return _beside(factors[:, 0] if rank == 1 else factors, found.penalty)


@_programs.program
def _beside(values: Array | np.ndarray, like: Array) -> Array:
    """The values, on the devices of `like`."""
    return jnp.asarray(values) + 0 * like


def fewest_copies(risk: Objective, w: Array, dual: float, tol: float) -> Array:
    """Returns a displacement with the same `Θ`, or nearly, and the least number of copies; see `displacement_of`."""
    copies = _checks.host(w)
    # The right singular vectors of the copies of a unit, times the singular values, are the least factor of Θ.
    _, sizes, directions = np.linalg.svd(copies, full_matrices=False)
    factors = sizes[:, :, None] * directions
    most = max(int(np.max(np.sum(sizes**2 > _NEGLIGIBLE * np.max(sizes) ** 2, axis=1))), 1)

    def kept(rank: int) -> Array:
        return jnp.asarray(factors[:, 0] if rank == 1 else factors[:, :rank])

    def gap(rank: int) -> float:
        primal = float(risk(kept(rank)))
        return (primal - dual) / abs(primal) if primal else 0.0

    limit = max(tol, _SLACK * gap(most)) if most > 1 else 0.0
    return kept(next((rank for rank in range(1, most) if gap(rank) <= limit), most))


def with_new_copy(risk: Objective, w: Array) -> Array | None:
    """Adds a copy to every unit along the negative eigenvector of `M_r + 2a q_r I`, which decreases the objective.

    At a stationary point a new copy `η u` of unit `r` changes the objective by `η² uᵀ(M_r + 2a q_r I)u + O(η⁴)`; the matrix
    is positive semidefinite for all units if and only if the point is globally optimal. `η` is found by a search over
    magnitudes.

    Returns:
        Shape `(m, R + 1, d)`, or None if no copy decreases the objective.
    """
    copies = w.reshape(w.shape[0], -1, w.shape[-1])
    values, vectors = _least_curvature(risk, copies)
    weights = jnp.sqrt(jnp.maximum(-values, 0) / jnp.maximum(jnp.max(-values), jnp.finfo(w.dtype).tiny))
    unit = weights[:, None] * vectors * risk.natural_norm / risk.net.width**0.5
    trials = [jnp.concatenate([copies, (eta * unit)[:, None]], axis=1) for eta in _MAGNITUDES]
    objectives = [float(risk(trial)) for trial in trials]
    best = int(np.nanargmin(objectives))
    return trials[best] if objectives[best] < float(risk(copies)) else None


@_programs.program
def _least_curvature(risk: Objective, copies: Float[Array, "m R d"]) -> tuple[Array, Array]:
    """Returns the least eigenvalue of `M_r + 2a q_r I` and its eigenvector for every unit, shapes `(m,)` and `(m, d)`."""
    outputs = risk.outputs(copies)
    nu = risk.loss.derivative(outputs, risk.targets()) * risk.weights()[:, None]
    half = risk.moment_matrices(nu)
    values, vectors = _devices.eigh(risk.net.both_halves(half, -half), risk.features.layout)
    squares = jnp.sum(copies**2, axis=(1, 2))
    power = risk.penalty.power / 4
    slope = risk.strength * power * jnp.sum(squares**2) ** (power - 1)
    return values[:, 0] + 2 * slope * squares, vectors[:, :, 0]
