"""Training of sums of orders without a certificate: L-BFGS over the blocks, the linear one eliminated where it can be."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from taylornets import _checks, _devices
from taylornets._fit._minimize import minimize
from taylornets._fit._result import FitResult
from taylornets.certificates import default_tolerance
from taylornets.objectives import ReducedObjective, SumObjective, blocks_objective, eliminates, gram_of
from taylornets.optimizers import LBFGS, NegativeCurvature
from taylornets.two_layer import failures_raised

_COLLAPSED = 1e-3  # a block with less than this fraction of its initial norm has been driven to zero
_METHODS = {"auto": LBFGS, "lbfgs": LBFGS, "negative_curvature": NegativeCurvature}


def blocks_path(
    net: Any, x: Any, y: Any, penalties: Sequence[Any], orders: tuple[int, ...], w_init: Any, *, method: Any, key: Any,
    rank: Any, **options: Any,
) -> Callable[[float | None, int], Iterator[FitResult]]:  # fmt: skip
    """Prepares a path of sums of any orders; arguments as in `taylornets.fit`.

    Returns:
        The path as a function of the tolerance and the maximum number of steps.

    Raises:
        ArgumentError: for invalid arguments.
    """
    if not isinstance(method, str) or method not in _METHODS:
        expected = f"'auto', 'lbfgs' or 'negative_curvature' for model={orders}"
        raise _checks.ArgumentError("method", expected, _checks.shown(method), "Other methods train one displacement.")
    if rank not in ("auto", 1):
        raise _checks.ArgumentError("rank", f"'auto' or 1 for model={orders}", str(rank), "Use a wider network.")
    kernel = options.pop("kernel")
    whole = blocks_objective(net, x, y, orders, penalty=penalties[0], **options)
    eliminated = orders[0] == 1 and eliminates(whole.loss)
    if kernel is not None and not eliminated:
        expected = "None except for a quadratic loss and orders that begin with 1"
        got = f"loss={whole.loss.name!r} and the orders {orders}"
        raise _checks.ArgumentError("linear_kernel", expected, got)
    solver, key = _METHODS[method](), jax.random.key(0) if key is None else key

    def run(tol: float | None, max_steps: int) -> Iterator[FitResult]:
        return blocks_results(
            whole, penalties, w_init, solver=solver, key=key, tol=tol, max_steps=max_steps, kernel=kernel
        )

    return run


def blocks_results(
    whole: SumObjective, penalties: Sequence[Any], w: Any, *, solver: Any, key: Any, tol: float | None, max_steps: int,
    kernel: Any = None,
) -> Iterator[FitResult]:  # fmt: skip
    """Trains a prepared sum at each penalty, warm-started from the previous solution.

    Zero is a stationary point of every term of order 2 or more: a block that a strong penalty has driven to zero restarts.

    Args:
        whole: the objective; its own penalties are replaced.
        penalties: of each result, a number or one for each order.
        w: initial displacements, one for each order, or None.
        solver: the method.
        key: JAX random key.
        tol: tolerance, None for the default.
        max_steps: maximum number of iterations at each penalty.
        kernel: a Gram matrix in place of that of the linear block, or None.

    Returns:
        An iterator over one result per penalty.

    Raises:
        ArgumentError: for an invalid kernel or invalid displacements.
    """
    eliminated = whole.orders[0] == 1 and eliminates(whole.loss)
    gram = gram_of(whole.net, whole.features.x, kernel, whole.y.dtype) if eliminated else None
    start = None if w is None else initial_blocks(whole, w, eliminated)

    def results(start: Array | None) -> Iterator[FitResult]:
        w = start
        for penalty in penalties:
            reduced = reduce_sum(whole.with_penalty(penalty), gram)
            if w is None or start is None:
                w = start = reduced.start(key)
            sizes, least = (jnp.linalg.norm(each, axis=(1, 2), keepdims=True) for each in (w, start))
            w = jnp.where(sizes < _COLLAPSED * least, start, w)
            goal = default_tolerance(reduced) if tol is None else tol
            with failures_raised(whole.features.blocks.x):
                found = minimize(reduced, w, solver, key, certified=False, tol=goal, max_steps=max_steps)
                w = found.w
                yield with_linear_block(reduced, found, own=kernel is None)

    return results(start)


def initial_blocks(whole: SumObjective, w: Any, eliminated: bool) -> Array:
    """Returns the initial displacements of the blocks that are trained, stacked."""
    blocks = whole.displacements(w)[1:] if eliminated else whole.displacements(w)
    if any(block.ndim != 2 for block in blocks):
        raise _checks.ArgumentError(
            "w_init", "blocks of shape (m, d)", "several copies of a unit", "Use a wider network."
        )
    return jnp.stack(blocks)


@_devices.exact
def reduce_sum(whole: SumObjective, gram: Array | None) -> ReducedObjective:
    """Eliminates the linear block, if its Gram matrix is given."""
    return ReducedObjective.of(whole, gram)


def with_linear_block(reduced: ReducedObjective, found: FitResult, own: bool) -> FitResult:
    """Returns the result with one displacement for each order."""
    blocks, value = tuple(found.w), found.objective
    if reduced.factor is not None:
        nu = reduced.dual_vector(found.w)
        linear = reduced.linear_block(nu) if own else -nu / (2 * reduced.whole.strengths[0])
        blocks = (linear, *blocks)
    if own:
        value = float(reduced.whole(blocks))
    return dataclasses.replace(found, w=blocks, objective=value, orders=reduced.whole.orders, own_kernel=own)
