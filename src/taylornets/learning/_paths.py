"""Warm-started training along a path of penalties, with examples padded so that runs of many sizes compile once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets._fit import minimize, regularization_path
from taylornets.optimizers import LBFGS

_MEMORY = 10
# A path has collapsed where less than this share of the start's norm is left.
_COLLAPSED = 1e-3


@dataclass(frozen=True)
class Step:
    """One penalty of a path: the weights found there, the steps taken and how they ended."""

    penalty: float
    w: Array
    steps: int
    status: str


def penalty_path(
    net: tn.TwoLayerNetwork,
    x: ArrayLike,
    y: ArrayLike,
    *,
    model: Any,
    loss: str = "squared",
    penalties: Sequence[float],
    power: float,
    key: PRNGKeyArray,
    padded: int | None = None,
    start: Array | None = None,
    tol: float = 1e-2,
    max_steps: int = 300,
) -> Iterator[Step]:
    """Trains at each penalty in turn, from where the last one ended.

    Args:
        net: the network.
        x: examples, shape `(n, d)`.
        y: targets, shape `(n,)`.
        model: as in `tn.objective`.
        loss: a name of `tn.losses`.
        penalties: from strong to weak.
        power: of the penalty.
        key: of the random start.
        start: a displacement, shape `(m, d)`; by default zero where `tn.fit` starts there, and small and random elsewhere.
        padded: number of rows that the data get, zeros with weight zero behind the last example; by default none.
        tol: the scale-free gradient at which a run stops, as in `tn.fit`.
        max_steps: per penalty.

    Yields:
        A step per penalty, up to the first one whose weights are not finite.

    Zero is stationary for every term of order 2 or more: a path that a strong penalty drew into it begins anew at the next one.
    """
    x, y = np.asarray(x), np.asarray(y)  # on the host, so that nothing is compiled for each `n`
    n, rows = x.shape[0], max(padded or 0, x.shape[0])
    present = (np.arange(rows) < n).astype(x.dtype)
    # Labels of padding must be labels; their weight is zero.
    x, y = np.pad(x, ((0, rows - n), (0, 0))), np.pad(y, (0, rows - n), constant_values=1)
    risk = tn.objective(net, x, y, model=model, loss=loss, penalty=1.0, power=power, sample_weight=present)
    solver = LBFGS(memory=_MEMORY)

    def solve(risk: tn.Objective, w: Array) -> tn.FitResult:
        return minimize(risk, w, solver, key, certified=False, tol=tol, max_steps=max_steps)

    start = risk.start(key) if start is None else start
    path = regularization_path(risk, penalties, solve, start, restart_below=_COLLAPSED)
    for penalty, result in zip(penalties, path, strict=True):
        if not jnp.isfinite(result.w).all():
            return
        yield Step(float(penalty), result.w, result.steps, result.status.name)
