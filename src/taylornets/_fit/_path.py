"""The regularization path: warm-started training along a sequence of penalties."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks, losses
from taylornets._fit._fit import check_copies, check_settings
from taylornets._fit._memory import within_memory
from taylornets._fit._result import FitError, FitResult
from taylornets._fit._sum import sum_results
from taylornets._fit._trail import Trail
from taylornets._fit._train import Rank, takes_outputs, train
from taylornets.models import ModelLike
from taylornets.objectives import Objective, orders_of, single_objective
from taylornets.optimizers import Method
from taylornets.two_layer import TwoLayerNetwork, failures_raised


def fit_path(
    net: TwoLayerNetwork,
    x: Any,
    y: Any,
    penalties: Sequence[Any],
    *,
    model: ModelLike | tuple[int, ...] = "quadratic",
    loss: str | losses.Loss = "squared",
    power: Any = 8,
    method: str | Method = "auto",
    w_init: Any = None,
    key: PRNGKeyArray | None = None,
    rank: Rank = "auto",
    tol: float | None = None,
    max_steps: int = 5000,
    throw: bool = True,
    chunk_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    linear_kernel: ArrayLike | None = None,
) -> list[FitResult]:
    """Computes a regularization path: each penalty is warm-started from the previous solution.

    Features are prepared and programs compiled once for the whole path. The first penalty is trained as in `fit`.

    Args:
        net: the network.
        x: examples, shape `(n, d)`, or row blocks as in `fit`.
        y: targets in the form the loss expects; None for an iterable of blocks.
        penalties: strengths `λ > 0`, preferably in decreasing order; of a sum, numbers or tuples as in
            `fit`.
        model: see `fit`; so are `loss`, `power`, `method`, `key`, `rank`, `tol`, `max_steps`, `chunk_size` and `sample_weight`.
        loss: a name of `taylornets.losses`, or a loss.
        power: `p ≥ 2k`.
        method: a name, or a method object of `taylornets.optimizers`.
        w_init: initial displacement for the first penalty, shape `(m, d)` or `(m, R, d)`.
        key: JAX random key.
        rank: `"auto"`, or the number of copies `R` of each unit.
        tol: stopping tolerance at each penalty; 1e-3 suffices to choose a penalty, see the example.
        max_steps: maximum number of iterations at each penalty.
        throw: whether a failed run raises; otherwise its status reports the failure and the path continues.
        chunk_size: examples processed at a time.
        sample_weight: weights of the examples, shape `(n,)`.
        linear_kernel: as in `fit`, for sums.

    Returns:
        One result per penalty, in the same order.

    Raises:
        ArgumentError: for invalid arguments.
        FitError: if a run fails, unless `throw=False`.

    Source: theory 3.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=16)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> path = tn.fit_path(net, x, x[:, 0] * x[:, 1], (1e-1, 1e-2), tol=1e-3)
        >>> [result.status.name for result in path]
        ['CERTIFIED', 'CERTIFIED']
    """
    rank, max_steps = check_settings(rank, max_steps, tol)
    penalties = tuple(penalties)
    if not penalties:
        raise _checks.ArgumentError("penalties", "at least one number > 0", "none")
    orders = orders_of(model)
    if orders is not None:
        runs = sum_results(
            net, x, y, penalties, orders, w_init, tol=tol, max_steps=max_steps, method=method, key=key, rank=rank, loss=loss,
            power=power, kernel=linear_kernel, chunk_size=chunk_size, sample_weight=sample_weight,
        )  # fmt: skip
        return _kept(runs, throw)
    for penalty in penalties:
        _checks.positive("penalties", penalty)
    single: Any = model  # a sum has returned above
    risk = single_objective(
        net, x, y, model=single, loss=loss, penalty=penalties[0], power=power, chunk_size=chunk_size,
        sample_weight=sample_weight,
    )  # fmt: skip
    check_copies(risk, rank, model)
    solve = partial(train, method=method, key=key, rank=rank, tol=tol, max_steps=max_steps)
    predicts = takes_outputs(risk, method, rank)
    with failures_raised(risk.features.blocks.x):
        return _kept(regularization_path(risk, penalties, solve, w_init, predicts=predicts), throw)


def _kept(path: Iterator[FitResult], throw: bool) -> list[FitResult]:
    """Collects a path; raises at the first failed run if `throw` is set."""
    results: list[FitResult] = []
    for result in path:
        if throw and result.status.is_failure:
            raise FitError(result)
        results.append(result)
    return results


def regularization_path(
    risk: Objective,
    penalties: Sequence[float],
    solve: Callable[[Objective, Any], FitResult],
    w: Array | None = None,
    restart_below: float = 0.0,
    predicts: bool = False,
) -> Iterator[FitResult]:
    """Trains a prepared objective at each penalty, warm-started from the previous solution.

    Zero is a stationary point of every term of order 2 or more; a path that a strong penalty has driven to zero stays there.

    Args:
        risk: the objective; its own penalty is replaced.
        penalties: from strong to weak.
        solve: trains an objective from an initial displacement.
        w: initial displacement; None lets `solve` choose it.
        restart_below: the path restarts from `w` when its norm falls below this fraction of the norm of `w`.
        predicts: whether `solve` takes extrapolated outputs as its third argument.

    Yields:
        One result per penalty.
    """
    start = w
    trail = Trail()
    for penalty in penalties:
        if restart_below and start is not None and jnp.linalg.norm(w) < restart_below * jnp.linalg.norm(start):
            w = start
        extra = (trail.at(penalty),) if predicts else ()
        result, risk = within_memory(solve, risk.with_penalty(penalty), w, *extra)
        w = result.w
        if predicts:
            trail.add(penalty, risk.outputs(result.w))
        yield result
