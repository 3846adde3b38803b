"""Warm-started training along a path of penalties, with examples padded so that runs of many sizes compile once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets._fit import minimize, small_start
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
    # Labels of padding must be labels; their weight is zero.
    x, y = np.pad(x, ((0, rows - n), (0, 0))), np.pad(y, (0, rows - n), constant_values=1)
    risk = tn.objective(net, x, y, model=model, loss=loss, penalty=1.0, power=power)
    weight = risk.prepared.per_example(jnp.asarray(np.where(np.arange(rows) < n, 1 / n, 0).astype(x.dtype)))
    risk = eqx.tree_at(lambda r: r.examples.weight, risk, weight)
    if start is None:
        start = jnp.zeros_like(net.w0) if model in ("linear", "full") else small_start(risk, key)
    w, least = start, _COLLAPSED * jnp.linalg.norm(start)
    for penalty in penalties:
        risk = eqx.tree_at(lambda r: r.strength, risk, jnp.asarray(penalty, risk.strength.dtype))
        solver = LBFGS(memory=_MEMORY)
        w = start if jnp.linalg.norm(w) < least else w
        result = minimize(risk, w, solver, key, certified=False, tol=tol, max_steps=max_steps)
        w = result.w
        if not jnp.isfinite(w).all():
            return
        yield Step(float(penalty), w, result.steps, result.status.name)
