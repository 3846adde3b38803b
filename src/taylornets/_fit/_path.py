"""The regularization path: training at one penalty after the other, each from the solution of the one before."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks, losses
from taylornets._fit._fit import check_copies, check_settings, train
from taylornets._fit._result import FitError, FitResult
from taylornets.models import ModelLike
from taylornets.objectives import Objective, objective
from taylornets.optimizers import Method
from taylornets.two_layer import TwoLayerNetwork


def fit_path(
    net: TwoLayerNetwork,
    x: ArrayLike,
    y: Any,
    penalties: Sequence[float],
    *,
    model: ModelLike = "quadratic",
    loss: str | losses.Loss = "squared",
    power: float = 8,
    method: str | Method = "lbfgs",
    w_init: Array | None = None,
    key: PRNGKeyArray | None = None,
    rank: int = 1,
    tol: float = 1e-8,
    max_steps: int = 5000,
    throw: bool = True,
    chunk_size: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> list[FitResult]:
    """Trains at each penalty in turn, warm-started from the solution of the one before.

    Features are prepared and programs compiled once for the whole path. The first penalty is trained as by `fit`.

    Args:
        net: the network.
        x: examples, shape `(n, d)`.
        y: targets as the loss takes them.
        penalties: strengths `λ > 0`, best from strong to weak.
        model: see `fit`; so are `loss`, `power`, `method`, `key`, `rank`, `tol`, `max_steps`, `chunk_size` and `sample_weight`.
        loss: a name of `taylornets.losses`, or a loss.
        power: `p ≥ 2k`.
        method: a name, or a method object of `taylornets.optimizers`.
        w_init: initial displacement for the first penalty, shape `(m, d)` or `(m, R, d)`.
        key: JAX random key.
        rank: copies `R` of every unit.
        tol: at which the run at each penalty stops.
        max_steps: iterations at most, at each penalty.
        throw: whether a run that failed raises; otherwise its status says so, and the path continues.
        chunk_size: examples handled at a time.
        sample_weight: weights of the examples, shape `(n,)`.

    Returns:
        One result for each penalty, in their order.

    Raises:
        ArgumentError: for arguments that do not fit.
        FitError: when a run fails, unless `throw=False`.

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
    for penalty in penalties:
        _checks.positive("penalties", penalty)
    risk = objective(
        net, x, y, model=model, loss=loss, penalty=penalties[0], power=power, chunk_size=chunk_size,
        sample_weight=sample_weight,
    )  # fmt: skip
    check_copies(risk, rank, model)
    solve = partial(train, method=method, key=key, rank=rank, tol=tol, max_steps=max_steps)
    results: list[FitResult] = []
    for result in regularization_path(risk, penalties, solve, w_init):
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
) -> Iterator[FitResult]:
    """Trains a prepared objective at each penalty in turn, from where the last one ended.

    Zero is a stationary point of every term of order 2 or more; a path that a strong penalty has driven to zero stays there.

    Args:
        risk: the objective; its own penalty is replaced.
        penalties: from strong to weak.
        solve: trains an objective from an initial displacement.
        w: initial displacement; None lets `solve` choose it.
        restart_below: the path restarts from `w` when its norm falls below this fraction of the norm of `w`.

    Yields:
        A result for each penalty.
    """
    start = w
    for penalty in penalties:
        if restart_below and start is not None and jnp.linalg.norm(w) < restart_below * jnp.linalg.norm(start):
            w = start
        result = solve(risk.with_penalty(penalty), w)
        w = result.w
        yield result
