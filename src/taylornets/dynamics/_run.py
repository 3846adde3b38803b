"""`run`: gradient descent on a network and its Taylor models, with sharpness along the way."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from taylornets._checks import ArgumentError, choice, integer, positive, shown
from taylornets.dynamics._lanczos import largest, top
from taylornets.dynamics._models import FULL, Fit, Name, descend, names_of, stability_limit
from taylornets.dynamics._trajectory import Trajectory, outcome

QUANTITIES = ("hessian", "ntk", "alignment", "explained")
_PRODUCTS = 24
_FIELDS = ("hessian", "residual", "gap", "ntk", "ntk_residual", "alpha", "beta", "explained", "cosine", "distance")


def run(
    f: Callable[..., Any],
    params0: Any,
    x: Any,
    y: Any,
    *,
    orders: Sequence[int] = (1, 2, 3),
    rate: float,
    steps: int,
    start: int = 0,
    every: int = 1,
    quantities: Sequence[str] = QUANTITIES,
    key: PRNGKeyArray,
) -> Trajectory:
    """Trains a network and its Taylor models by gradient descent with the same step size, and measures their sharpness.

    The loss is `L = (1/2n) Σ_i ‖f(x_i) − y_i‖²` (`losses.get("squared")` has no factor 1/2: halve the step size there). The
    model of order k is `taylor_expand(f, θ, k)` around the parameters θ after `start` steps of the network, trained from there.

    Args:
        f: the model `f(params, x)`; returns one array of shape `(n, ...)`.
        params0: the initialization, a pytree of real arrays.
        x: examples, an array or a tree of arrays of shape `(n, ...)`.
        y: targets, as many numbers as outputs, shape `(n, ...)`.
        orders: orders of the Taylor models.
        rate: the step size η.
        steps: number of updates of every model.
        start: number of updates of the network before the expansion.
        every: steps between measurements; the first and the last state are always measured.
        quantities: what to measure besides loss and distance: "hessian" (sharpness), "ntk" (largest eigenvalue of `J Jᵀ/n`),
            "alignment" (`alpha` and `beta`), "explained" (`explained` and `cosine`).
        key: JAX random key of the Lanczos method.

    Returns:
        A `Trajectory`; printing it gives a table.

    Raises:
        ArgumentError: for a step size that is not positive, counts out of range, unknown quantities, targets that do not match,
            complex parameters, or a network that diverges before `start`.

    Source: theory 15; Cohen et al. (2021); Damian, Nichani and Lee (2022).

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> x, y = jnp.ones((1, 1)), jnp.ones(1)
        >>> f, key = lambda w, x: x @ w, jax.random.key(0)
        >>> found = tn.dynamics.run(f, jnp.zeros(1), x, y, orders=(1,), rate=0.5, steps=2, key=key)
        >>> [round(float(loss), 4) for loss in found.loss[1]]  # the error is halved
        [0.5, 0.125, 0.0312]
    """
    positive("rate", rate, "The step size of gradient descent.")
    names = names_of(orders)
    for argument, value, least in (("steps", steps, 1), ("start", start, 0), ("every", every, 1)):
        integer(argument, value, least)
    if isinstance(quantities, str):
        raise ArgumentError("quantities", f"a list of names among {', '.join(QUANTITIES)}", shown(quantities))
    wanted = tuple(choice("quantities", name, QUANTITIES) for name in quantities)
    fit = Fit.of(f, params0, x, y)
    advance = {name: jax.jit(partial(descend, fit, name), static_argnums=3) for name in names}
    center = advance[FULL](fit.start, fit.start, rate, start)[0] if start else fit.start
    if not bool(jnp.all(jnp.isfinite(center))):
        raise ArgumentError(
            "start", "a step at which the network is finite", f"{start}, after it has diverged", "Lower rate."
        )
    measure = {name: jax.jit(partial(_measured, fit, name, wanted)) for name in names}
    shape = jax.jit(partial(_shape, fit)) if "explained" in wanted else None
    first = jax.random.normal(key, fit.start.shape, fit.start.dtype)
    step = np.unique(np.append(np.arange(0, steps + 1, every), steps))
    states: dict[Name, Array] = dict.fromkeys(names, center)
    losses: dict[Name, list[np.ndarray]] = {name: [] for name in names}
    found = {field: {name: np.full(len(step), math.nan) for name in names} for field in _FIELDS}
    for i, t in enumerate(step):
        if i:
            for name in names:
                states[name], values = advance[name](center, states[name], rate, int(t - step[i - 1]))
                losses[name].append(np.asarray(values, float))
        direction = shape(states[FULL], first) if shape is not None else None
        for name in names:
            for field, value in measure[name](center, states[name], states[FULL], direction, first).items():
                found[field][name][i] = float(value)
    for name in names:
        last = float(jax.jit(partial(fit.loss, name))(center, states[name]))
        losses[name].append(np.array([last]))
    return _assembled(
        step, start, rate, {name: np.concatenate(parts) for name, parts in losses.items()}, found, fit, center, first
    )


def _shape(fit: Fit, full: Array, first: Array) -> tuple[Array, Array]:
    """Sharpness and top eigenvector of the network."""
    best = top(fit.hessian(FULL, full, full), first, _PRODUCTS)
    return best.values[0], best.vectors[0]


def _measured(
    fit: Fit, name: Name, wanted: tuple[str, ...], center: Array, v: Array, full: Array, direction: Any, first: Array
) -> dict[str, Array]:
    """Everything that is measured of one model at its parameters `v`, and at those of the network."""
    moved = jnp.linalg.norm(full - center)
    found: dict[str, Array] = {"distance": jnp.where(moved > 0, jnp.linalg.norm(v - full) / moved, jnp.nan)}
    if "hessian" in wanted or "alignment" in wanted:
        best = top(fit.hessian(name, center, v), first, _PRODUCTS)
        found |= {
            "hessian": best.values[0], "residual": best.residuals[0] / jnp.abs(best.values[0]),
            "gap": best.values[0] - best.values[1],
        }  # fmt: skip
        if "alignment" in wanted:
            u = jax.lax.stop_gradient(best.vectors[0])
            slope = jax.grad(lambda v: u @ fit.hessian(name, center, v)(u))(v)
            found |= {"alpha": -(fit.gradient(name, center, v)[1] @ slope), "beta": slope @ slope}
    if "ntk" in wanted:
        found["ntk"], found["ntk_residual"] = _ntk(fit, name, center, v, first)
    if "explained" in wanted:
        sharp, u = direction
        if name == FULL:
            return found | {"explained": sharp / sharp, "cosine": jnp.linalg.norm(u)}
        product = fit.hessian(name, center, full)
        own = top(product, first, _PRODUCTS).vectors[0]
        found |= {"explained": (u @ product(u)) / sharp, "cosine": jnp.abs(own @ u)}
    return found


def _ntk(fit: Fit, name: Name, center: Array, v: Array, first: Array) -> tuple[Array, Array]:
    """The largest eigenvalue of the kernel, and its relative residual."""
    begin = jnp.resize(first, (fit.y.size,)) + jnp.linspace(0, 1, fit.y.size, dtype=first.dtype)
    return largest(fit.kernel(name, center, v), begin)


def _assembled(
    step: np.ndarray, start: int, rate: float, losses: dict[Name, np.ndarray], found: dict[str, Any], fit: Fit, center: Array,
    first: Array,
) -> Trajectory:  # fmt: skip
    known = {name: outcome(values, start) for name, values in losses.items()}
    value, residual = map(float, jax.jit(partial(_ntk, fit, FULL))(center, center, first))
    limit = stability_limit(value)
    phase = {
        name: "divergent" if status == "diverged" else "lazy" if rate <= limit else "catapult"
        for name, (status, _, _) in known.items()
    }
    return Trajectory(
        step=start + step,
        rate=float(rate),
        loss={name: values[step] for name, values in losses.items()},
        status={name: status for name, (status, _, _) in known.items()},
        diverged_at={name: left for name, (_, left, _) in known.items()},
        peak={name: peak for name, (_, _, peak) in known.items()},
        phase=phase,
        limit=limit,
        limit_residual=residual,
        **found,
    )
