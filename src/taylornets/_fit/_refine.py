"""Refinement in double precision of a run that lower precision has stopped (theory 11).

At a weak penalty the residual `f - y` is a small difference. In float32 it has few correct digits, and so have `ν`, the dual
value, and the displacement that is read off. The dual Newton method then ends far from the optimum. The same steps in float64
do not; the solution is rounded to the dtype of the network, and the certificate is that of the rounded weights.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from taylornets import _checks, _devices
from taylornets._fit._result import FitResult
from taylornets._fit._status import Status
from taylornets.certificates import Certificate, certify_objective
from taylornets.objectives import Objective, in_double
from taylornets.two_layer import RowBlocks

_MOST_FEATURES = 2**22  # n · m; larger problems would wait for minutes
_INSIDE = 0.25  # part of the tolerance that the run in float64 may use; the rest is for rounding its solution

# What the rounding of a certified solution leaves open.
_OPEN = {Status.CERTIFIED: Status.GAP_REMAINS}

Solve = Callable[[Objective, Array | None, float], FitResult]


def may_refine(risk: Objective) -> bool:
    """Whether a run on this objective is repeated in float64 if its gap remains."""
    small = risk.count * risk.net.width <= _MOST_FEATURES
    inside = risk.block is None and not isinstance(risk.features.blocks.x, RowBlocks)
    return risk.net.w0.dtype != np.float64 and small and inside


def refined(risk: Objective, result: FitResult, solve: Solve, tol: float) -> FitResult:
    """Continues a result in float64, and returns it in the dtype of the network.

    Args:
        risk: the objective.
        result: the result that lower precision has stopped.
        solve: trains `solve(risk, w, tol)` and certifies it.
        tol: relative gap to be reached.

    Returns:
        The better one of the two results.
    """
    dtype = risk.net.w0.dtype
    usable = bool(jnp.isfinite(result.w).all())
    with jax.enable_x64(True):
        double = in_double(risk)
        found = solve(double, jnp.asarray(result.w, jnp.float64) if usable else None, _INSIDE * tol)
        if found.certificate is None:
            return result
        w = found.w.astype(dtype)
        certificate = certify_objective(double, w.astype(jnp.float64), jnp.asarray(found.certificate.dual_vector))
        values = [_checks.host(part) for part in (certificate.primal, certificate.dual, certificate.dual_vector)]
    before = result.certificate
    if before is not None and usable and not values[0] - values[1] < float(before.gap):
        return result
    kind = _devices.wide(dtype)
    # Rounded outward, so that the gap is not understated.
    primal, dual = -_below(-float(values[0]), kind), _below(float(values[1]), kind)
    lowered = Certificate(primal, dual, jnp.asarray(values[2], dtype))
    closed = float(lowered.relative_gap) <= tol
    status = Status.CERTIFIED if closed else _OPEN.get(found.status, found.status)
    later = replace(found, net=risk.net, status=status)
    return result.followed_by(later).with_displacement(w, lowered)


def _below(value: float, dtype: jnp.dtype) -> Array:
    """The largest number of the dtype that is at most `value`."""
    rounded = np.asarray(value, dtype)
    return jnp.asarray(rounded if float(rounded) <= value else np.nextafter(rounded, np.asarray(-np.inf, dtype)))
