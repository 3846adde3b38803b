"""Warm-started regularization paths, with padded examples so that runs of many sizes compile once."""

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
# A path has collapsed if the norm falls below this fraction of the initial norm.
_COLLAPSED = 1e-3


@dataclass(frozen=True)
class Step:
    """One penalty of a path: the weights, the number of steps and the status."""

    penalty: float
    w: Array
    steps: int
    status: str


def padded_objective(
    net: tn.TwoLayerNetwork,
    x: ArrayLike,
    y: ArrayLike,
    *,
    model: Any,
    loss: str = "squared",
    power: float,
    padded: int | None = None,
) -> tn.Objective:
    """The objective at penalty 1, with `padded` rows: those beyond the examples are zero and have weight zero."""
    x, y = np.asarray(x), np.asarray(y)  # on the host, to avoid compilation for each `n`
    n, rows = x.shape[0], max(padded or 0, x.shape[0])
    present = (np.arange(rows) < n).astype(x.dtype)
    # Padded labels must be valid; their weight is zero.
    x, y = np.pad(x, ((0, rows - n), (0, 0))), np.pad(y, (0, rows - n), constant_values=1)
    return tn.objective(net, x, y, model=model, loss=loss, penalty=1.0, power=power, sample_weight=present)


def penalty_path(
    risk: tn.Objective,
    penalties: Sequence[float],
    *,
    key: PRNGKeyArray,
    start: Array | None = None,
    tol: float = 1e-2,
    max_steps: int = 300,
) -> Iterator[Step]:
    """Trains at each penalty, warm-started from the previous solution.

    Args:
        risk: the objective; its own penalty is not used.
        penalties: strengths in decreasing order.
        key: JAX random key for the random initialization.
        start: initial displacement, shape `(m, d)`; by default the default initialization of `tn.fit`.
        tol: tolerance on the scale-free gradient, as in `tn.fit`.
        max_steps: maximum number of steps per penalty.

    Yields:
        One step per penalty, up to the first with non-finite weights.

    Zero is stationary for every term of order ≥ 2: a path that a strong penalty pulls to zero restarts at the next penalty.
    """
    solver = LBFGS(memory=_MEMORY)

    def solve(risk: tn.Objective, w: Array) -> tn.FitResult:
        return minimize(risk, w, solver, key, certified=False, tol=tol, max_steps=max_steps)

    start = risk.start(key) if start is None else start
    path = regularization_path(risk, penalties, solve, start, restart_below=_COLLAPSED)
    for penalty, result in zip(penalties, path, strict=True):
        if not jnp.isfinite(result.w).all():
            return
        yield Step(float(penalty), result.w, result.steps, result.status.name)
