"""Training of sums of orders; the linear and the quadratic term by the dual Newton method (theory 12)."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from taylornets import _checks, _devices
from taylornets._fit._blocks import blocks_path
from taylornets._fit._dual_newton import solve_lift
from taylornets._fit._result import FitResult
from taylornets._fit._status import Status
from taylornets._fit._trail import Trail
from taylornets.certificates import Certificate, default_tolerance, dual_bound
from taylornets.objectives import (
    ORDERS,
    SUM,
    Objective,
    linear_outputs,
    optimal_block,
    sum_objective,
    value_of_sum,
    with_strengths,
)
from taylornets.two_layer import failures_raised


def sum_results(
    net: Any, x: Any, y: Any, penalties: Sequence[Any], orders: tuple[int, ...], w_init: Any, *, tol: float | None,
    max_steps: int, **options: Any,
) -> Iterator[FitResult]:  # fmt: skip
    """Trains a sum of orders at each penalty, warm-started from the previous solution.

    Args:
        net: the network.
        x: examples.
        y: targets.
        penalties: of each result, a number or one for each order.
        orders: the orders, ascending.
        w_init: initial displacements, one for each order, or None.
        tol: tolerance, None for the default.
        max_steps: maximum number of iterations at each penalty.
        options: `method`, `key`, `rank`, `kernel`, and the options of `taylornets.objectives.sum_objective`.

    Yields:
        One result per penalty.

    Raises:
        ArgumentError: for invalid arguments.
    """
    method, key, rank = (options.pop(name) for name in ("method", "key", "rank"))
    if orders != ORDERS:
        run = blocks_path(net, x, y, penalties, orders, w_init, method=method, key=key, rank=rank, **options)
        yield from run(tol, max_steps)
        return
    check_sum(method, rank)
    risk = sum_objective(net, x, y, penalty=penalties[0], **options)
    with failures_raised(risk.features.blocks.x):
        yield from sum_path(risk, penalties, initial_block(risk, w_init), tol=tol, max_steps=max_steps)


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
    risk: Objective, w: Array | None, *, tol: float | None, max_steps: int, outputs: Array | None = None,
    predicted: Array | None = None,
) -> FitResult:  # fmt: skip
    """Trains a sum to a certified optimum.

    Args:
        risk: an objective with a linear block.
        w: initial displacement of the quadratic block, or None.
        tol: relative gap at which the run stops; None for the default of the precision.
        max_steps: maximum number of Newton steps.
        outputs: initial outputs of the sum, shape `(n, outputs)`; by default those of `w`.
        predicted: as in `solve_lift`.

    Returns:
        The result; `w` is the pair `(V, W)`.
    """
    tol = default_tolerance(risk) if tol is None else tol
    found = solve_lift(risk, w, tol=tol, max_steps=max_steps, outputs=outputs, predicted=predicted)
    v = optimal_block(risk, found.nu)
    certificate = Certificate(value_of_sum(risk, v, found.w), *dual_bound(risk, found.dual_vector))
    found.history.close(certificate)
    status = found.status
    if status is Status.CERTIFIED and float(certificate.relative_gap) > tol:
        status = Status.GAP_REMAINS
    result = FitResult(
        (v, found.w), float(certificate.primal), certificate, status, found.steps, found.history, net=risk.net,
        model=risk.model, orders=ORDERS, own_kernel=risk.block is not None and risk.block.own,
    )  # fmt: skip
    return result.explained("auto", tol)


def sum_path(
    risk: Objective, penalties: Any, w: Array | None, *, tol: float | None, max_steps: int
) -> Iterator[FitResult]:
    """Trains a sum at each penalty, warm-started from the previous solution."""
    outputs, trail = None, Trail()
    for penalty in penalties:
        result = train_sum(
            with_strengths(risk, penalty), w, tol=tol, max_steps=max_steps, outputs=outputs, predicted=trail.at(penalty)
        )
        v, w = result.w
        outputs = risk.outputs(jnp.asarray(w)) + linear_outputs(risk, v)
        trail.add(penalty, outputs)
        yield result
