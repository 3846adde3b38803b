"""Training of sums of the linear and the quadratic term by the dual Newton method (theory 12)."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from taylornets import _checks, _devices
from taylornets._fit._dual_newton import solve_lift
from taylornets._fit._result import FitResult, Status
from taylornets.certificates import Certificate, default_tolerance, dual_bound
from taylornets.objectives import SUM, Objective, linear_outputs, optimal_block, value_of_sum, with_strengths


def check_sum(method: Any, rank: Any) -> None:
    """Rejects methods other than the dual Newton method, and a fixed rank."""
    if method not in ("auto", "dual_newton"):
        advice = "L-BFGS over both blocks stalls far from the optimum."
        raise _checks.ArgumentError(
            "method", f"'auto' or 'dual_newton' for model={SUM!r}", _checks.shown(method), advice
        )
    if rank != "auto":
        raise _checks.ArgumentError("rank", f"'auto' for model={SUM!r}", str(rank), "Rank one has local minima here.")


def initial_block(risk: Objective, w: Any) -> Array | None:
    """Returns the initial displacement of the quadratic block, from `W` or from a pair `(V, W)`."""
    block: Any = w[1] if isinstance(w, tuple) and len(w) == 2 else w
    return None if block is None else risk.displacement(block)


@_devices.exact
def train_sum(
    risk: Objective, w: Array | None, *, tol: float | None, max_steps: int, outputs: Array | None = None
) -> FitResult:
    """Trains a sum to a certified optimum.

    Args:
        risk: an objective with a linear block.
        w: initial displacement of the quadratic block, or None.
        tol: relative gap at which the run stops; None for the default of the precision.
        max_steps: maximum number of Newton steps.
        outputs: initial outputs of the sum, shape `(n, outputs)`; by default those of `w`.

    Returns:
        The result; `w` is the pair `(V, W)`.
    """
    tol = default_tolerance(risk) if tol is None else tol
    found = solve_lift(risk, w, tol=tol, max_steps=max_steps, outputs=outputs)
    v = optimal_block(risk, found.nu)
    certificate = Certificate(value_of_sum(risk, v, found.w), *dual_bound(risk, found.dual_vector))
    found.history.close(certificate)
    status = found.status
    if status is Status.CERTIFIED and float(certificate.relative_gap) > tol:
        status = Status.GAP_REMAINS
    return FitResult(
        (v, found.w), float(certificate.primal), certificate, status, found.steps, found.history, net=risk.net,
        model=risk.model, own_kernel=risk.block is not None and risk.block.own,
    )  # fmt: skip


def sum_path(
    risk: Objective, penalties: Any, w: Array | None, *, tol: float | None, max_steps: int
) -> Iterator[FitResult]:
    """Trains a sum at each penalty, warm-started from the previous solution."""
    outputs = None
    for penalty in penalties:
        result = train_sum(with_strengths(risk, penalty), w, tol=tol, max_steps=max_steps, outputs=outputs)
        v, w = result.w
        outputs = risk.outputs(jnp.asarray(w)) + linear_outputs(risk, v)
        yield result
