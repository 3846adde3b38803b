"""Randomization of any model with a parameter tree (theory 2).

For `Δ = new_params - params`, two evaluations cancel all odd orders, row signs cancel them in expectation, and a stencil of
`k + 1` evaluations isolates order `k` from the lower orders.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from taylornets import _checks
from taylornets._trees import Line
from taylornets.randomization._multipliers import SignedMoments


def symmetrized(
    f: Callable[..., Any], params: Any, *, trainable: Any = None, fixed: str | None = None
) -> Callable[..., Any]:
    """Returns the even part of a model around its initialization: `[f(θ0 + Δ) + f(θ0 - Δ)]/2`, from two evaluations.

    All odd orders vanish, and the even orders are unchanged: `f_0 + f_2 + f_4 + ...`.

    Args:
        f: any function `f(params, *args, **kwargs)` of pytrees that returns a pytree of arrays.
        params: the initial parameters `θ0`.
        trainable: the leaves that may move, as in `taylornets.taylor_terms`.
        fixed: the end whose value is used for settings that differ, as in `taylornets.taylor_terms`.

    Returns:
        A function of `(new_params, *args, **kwargs)`.

    Raises:
        ArgumentError: for parameters that do not match.

    Source: theory 2.

    Example:
        >>> import jax.numpy as jnp
        >>> even = symmetrized(lambda t, x: x * (t + t**2 + t**3), jnp.zeros(()))
        >>> float(even(jnp.full((), 2.0), 1.0))
        4.0
    """
    line = Line.through(f, params, trainable, fixed=fixed)
    return lambda new_params, *args, **kwargs: _combined(line, new_params, (1.0, -1.0), (0.5, 0.5), args, kwargs)


def stencil(
    f: Callable[..., Any],
    params: Any,
    order: int,
    *,
    step: float = 1.0,
    trainable: Any = None,
    fixed: str | None = None,
) -> Callable[..., Any]:
    """Approximates the term of order `k` from `k + 1` evaluations of the model: `Σ_t c_t f(θ0 + h z_t Δ)/h^k`.

    Nodes and weights are those of `SignedMoments(order)`, for even `k` with an additional node 0 that cancels order 0. All
    lower orders and those of opposite parity vanish; the leading error is `h² Σ_t c_t z_t^{k+2} f_{k+2}`. Rounding errors
    grow as `ε T/h^k`. `taylornets.taylor_terms` computes the exact term in one pass of Taylor mode.

    Args:
        f: as in `symmetrized`.
        params: the initial parameters `θ0`.
        order: `k ≥ 1`.
        step: `h > 0`.
        trainable: as in `symmetrized`.
        fixed: as in `symmetrized`.

    Returns:
        A function of `(new_params, *args, **kwargs)` with outputs like those of `f`.

    Raises:
        ArgumentError: for parameters that do not match, or an invalid order or step.

    Source: theory 2.

    Example:
        >>> import jax.numpy as jnp
        >>> cubic = stencil(lambda t, x: x * (1 + t + t**2 + 5 * t**3 + t**4), jnp.zeros(()), 3)
        >>> round(float(cubic(jnp.full((), 2.0), 1.0)), 3)  # 5 t³; t⁴ is of the other parity
        40.0
    """
    order = _checks.order_of("order", order, 1)
    _checks.positive("step", step)
    nodes, weights = stencil_rule(order)
    line = Line.through(f, params, trainable, fixed=fixed)
    moved, scaled = step * nodes, weights / step**order
    return lambda new_params, *args, **kwargs: _combined(line, new_params, moved, scaled, args, kwargs)


def stencil_rule(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns `k + 1` nodes and weights such that `Σ_t c_t z_t^j` is 1 for `j = k` and 0 for every other `j < k + 2`."""
    if order == 1:
        return np.array([1.0, -1.0]), np.array([0.5, -0.5])
    rule = SignedMoments(order).rule
    nodes, weights = np.array(rule.nodes), np.array(rule.weights)
    if order % 2:
        return nodes, weights
    return np.append(nodes, 0.0), np.append(weights, -weights.sum())


def row_signs(
    f: Callable[..., Any],
    params: Any,
    *,
    matrices: Any = None,
    axis: int = 0,
    trainable: Any = None,
    fixed: str | None = None,
) -> Callable[..., Any]:
    """Returns a model with random signs on the rows of the displacement of selected matrices.

    In expectation over the signs, all orders that are odd in some row vanish. For two-layer networks with units along `axis`,
    these are the random signs of `taylornets.randomization.Signs`.

    Args:
        f: as in `symmetrized`.
        params: the initial parameters `θ0`.
        matrices: a boolean pytree prefix of `params` that selects the leaves with row signs; by default all leaves with at
            least two axes.
        axis: the axis that indexes the rows.
        trainable: as in `symmetrized`.
        fixed: as in `symmetrized`.

    Returns:
        A function of `(key, new_params, *args, **kwargs)` that returns the outputs under one draw of the signs.

    Raises:
        ArgumentError: for parameters that do not match, or selected leaves without that axis.

    Source: theory 2.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> model = row_signs(lambda w, x: jnp.sum(jnp.exp(w @ x)), jnp.zeros((2, 2)))
        >>> model(jax.random.key(0), jnp.eye(2), jnp.ones(2)).shape
        ()
    """
    line = Line.through(f, params, trainable, fixed=fixed)
    chosen = Line.through(f, params, matrices, "matrices").movable
    if matrices is None:
        chosen = tuple(c and jnp.ndim(leaf) > 1 for c, leaf in zip(chosen, line.leaves, strict=True))
    for c, leaf, path in zip(chosen, line.leaves, line.paths, strict=True):
        if c and not -jnp.ndim(leaf) <= axis < jnp.ndim(leaf):
            raise _checks.ArgumentError("axis", f"an axis of the leaf {path}, of shape {jnp.shape(leaf)}", str(axis))

    def drawn(key: PRNGKeyArray, new_params: Any, *args: Any, **kwargs: Any) -> Any:
        way = line.to(new_params)
        keys = jax.random.split(key, max(len(line.moving), 1))
        ends = [
            start + (_with_signs(k, move, axis) if chosen[i] else move)
            for i, k, start, move in zip(line.moving, keys, way.start, way.move, strict=False)
        ]
        return way.model(args, kwargs)(ends)

    return drawn


def _with_signs(key: PRNGKeyArray, move: Any, axis: int) -> Any:
    shape = [1] * move.ndim
    shape[axis] = move.shape[axis]
    return move * jax.random.rademacher(key, shape, move.dtype)


def _combined(
    line: Line,
    new_params: Any,
    nodes: Sequence[float] | np.ndarray,
    weights: Sequence[float] | np.ndarray,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Computes `Σ_t c_t f(θ0 + z_t Δ)`."""
    way = line.to(new_params)
    model = way.model(args, kwargs)

    def at(node: float) -> Any:
        return model([start + node * move for start, move in zip(way.start, way.move, strict=True)])

    outputs = [at(float(node)) for node in nodes]
    return jax.tree.map(lambda *values: sum(float(c) * v for c, v in zip(weights, values, strict=True)), *outputs)
