"""`stable_rates`: which step sizes a network and its Taylor models survive."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from taylornets._checks import ArgumentError, integer
from taylornets.dynamics._lanczos import largest
from taylornets.dynamics._models import FULL, Fit, Name, descend, names_of, stability_limit
from taylornets.dynamics._trajectory import outcome, within

CONVERGES, CATAPULT, DIVERGES = "converges", "catapult", "diverges"


@dataclass(frozen=True)
class StableRates:
    """Outcomes over a grid of step sizes, by order and for `"full"`.

    The set of stable step sizes can have holes, so that both ends of the transition are given.

    Attributes:
        rates: the step sizes in ascending order.
        outcome: for each step size, "converges" (at most `limit`, and the model trains), "catapult" (above it, and the model
            trains), or "diverges" (the loss is not finite, a million times the first, or above it at the end).
        first_failure: the smallest step size that diverges; None if none does.
        last_success: the largest step size that does not; None if none does.
        limit: `2/λ_max(J Jᵀ/n)` at the start, the stability limit of order 1.
        steps: number of updates.
        limit_residual: residual of the eigenvalue behind `limit`, relative to it.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> x, y = jnp.ones((1, 1)), jnp.zeros(1)
        >>> f = lambda p, x: (x * p[0] * p[1])[:, 0]
        >>> found = tn.dynamics.stable_rates(
        ...     f, jnp.array([1.0, 0.9]), x, y, orders=(1,), rates=[0.5, 1.5, 3.0], steps=100, key=jax.random.key(0)
        ... )
        >>> found.outcome["full"], found.first_failure[1]
        (('converges', 'catapult', 'diverges'), 1.5)
    """

    rates: tuple[float, ...]
    outcome: Mapping[Name, tuple[str, ...]]
    first_failure: Mapping[Name, float | None]
    last_success: Mapping[Name, float | None]
    limit: float
    steps: int
    limit_residual: float = math.nan

    def __str__(self) -> str:
        short = {CONVERGES: "·", CATAPULT: "c", DIVERGES: "X"}
        limit = f"{self.limit:.4g}{within(self.limit_residual)}"
        lines = [f"stability limit of order 1: {limit}; · converges, c catapult, X diverges"]
        for name, kinds in self.outcome.items():
            title = name if isinstance(name, str) else f"order {name}"
            ends = [("none" if v is None else f"{v:.4g}") for v in (self.first_failure[name], self.last_success[name])]
            shown = "".join(short[kind] for kind in kinds)
            lines.append(f"{title:>9}  {shown}  first failure {ends[0]}, last success {ends[1]}")
        return "\n".join(lines)


def stable_rates(
    f: Callable[..., Any],
    params0: Any,
    x: Any,
    y: Any,
    *,
    orders: Sequence[int] = (1, 2, 3),
    rates: Sequence[float] | np.ndarray | Array,
    steps: int,
    key: PRNGKeyArray,
) -> StableRates:
    """Trains a network and its Taylor models by gradient descent with every step size of a grid.

    All step sizes of a model run in one vectorized program, which holds one copy of the parameters per step size.

    Args:
        f: the model, as in `run`.
        params0: the initialization.
        x: examples.
        y: targets.
        orders: orders of the Taylor models.
        rates: the step sizes, distinct and positive.
        steps: number of updates.
        key: JAX random key of the Lanczos method.

    Returns:
        A `StableRates`; printing it draws the grid.

    Raises:
        ArgumentError: for an empty grid, repeated step sizes or step sizes that are not positive, and as in `run`.

    Source: theory 15; Lewkowycz, Bahri, Dyer, Sohl-Dickstein and Gur-Ari (2020).

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> found = tn.dynamics.stable_rates(
        ...     lambda w, x: x @ w, jnp.ones(1), jnp.ones((1, 1)), jnp.zeros(1), orders=(), rates=[1.9, 2.1], steps=50,
        ...     key=jax.random.key(0),
        ... )
        >>> found.outcome["full"], round(found.limit, 6)
        (('converges', 'diverges'), 2.0)
    """
    names = names_of(orders)
    integer("steps", steps, 1)
    grid = np.sort(np.asarray(rates, float).ravel())
    if not grid.size or not np.all(np.isfinite(grid) & (grid > 0)) or len(np.unique(grid)) < len(grid):
        raise ArgumentError("rates", "distinct numbers > 0", ", ".join(f"{r:.4g}" for r in grid[:6]) or "none")
    fit = Fit.of(f, params0, x, y)
    first = jax.random.normal(key, (fit.y.size,), fit.start.dtype)
    value, residual = map(float, jax.jit(lambda v: largest(fit.kernel(FULL, v, v), first))(fit.start))
    limit = stability_limit(value)
    kinds: dict[Name, tuple[str, ...]] = {}
    for name in names:
        last, losses = jax.jit(jax.vmap(lambda r, name=name: descend(fit, name, fit.start, fit.start, r, steps)))(
            jnp.asarray(grid, fit.start.dtype)
        )
        end = jax.jit(jax.vmap(partial(fit.loss, name, fit.start)))(last)
        whole = np.concatenate([np.asarray(losses, float), np.asarray(end, float)[:, None]], axis=1)
        kinds[name] = tuple(
            DIVERGES if outcome(row)[0] == "diverged" else CATAPULT if r > limit else CONVERGES
            for r, row in zip(grid, whole, strict=True)
        )
    failed = {name: [float(r) for r, k in zip(grid, row, strict=True) if k == DIVERGES] for name, row in kinds.items()}
    passed = {name: [float(r) for r, k in zip(grid, row, strict=True) if k != DIVERGES] for name, row in kinds.items()}
    return StableRates(
        tuple(map(float, grid)),
        kinds,
        {name: min(values, default=None) for name, values in failed.items()},
        {name: max(values, default=None) for name, values in passed.items()},
        limit if math.isfinite(limit) else math.inf,
        steps,
        residual,
    )
