"""Compares custom reverse rules with the derivative of the function along one line."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from taylornets._trees import concrete
from taylornets.series import RuleContext, coefficients, contains, evaluate_closed, make, precision

# Derivatives that agree to a third of the digits count as equal: they differ by rounding, or by the tolerance of a solver whose
# reverse rule solves the adjoint equation. A heuristic; rules that define a different derivative differ by far more.
_DIGITS = 1 / 3


def warn_of_other_slopes(
    model: Callable[[list[Any]], Any], start: Sequence[Any], move: Sequence[Any], stacklevel: int = 3
) -> bool:
    """Warns if the reverse rules of `jax.custom_vjp` functions define a different directional derivative than the functions.

    An example is a straight-through estimator: the function is a step, its rule that of the identity. Programs without
    `jax.custom_vjp` and traced values are not checked.

    Args:
        model: the outputs as a function of the moving leaves.
        start: the moving leaves at the initialization.
        move: the direction, like `start`.
        stacklevel: stack level of the warning, relative to this function.

    Returns:
        Whether the two derivatives differ.
    """
    start, move = list(start), list(move)
    if not start or not concrete((start, move)):
        return False
    closed = jax.make_jaxpr(model)(start)
    if not contains(closed, "custom_vjp_call"):
        return False
    distance = _distance(closed, start, move)
    if distance <= precision(closed) ** _DIGITS:  # false for NaN, which may occur in only one of the two
        return False
    apart = f"by {100 * distance:.3g} %" if np.isfinite(distance) else "(one of them is not finite)"
    warnings.warn(
        f"The reverse rule of a jax.custom_vjp function in the model is not the derivative of that function: along this "
        f'line they differ {apart}. Pass custom_vjp="rule" to use the rule, as jax.grad does (a straight-through '
        f'estimator), or custom_vjp="function" to use the derivative of the function.',
        UserWarning,
        stacklevel=stacklevel,
    )
    return True


def _distance(closed: Any, start: list[Any], move: list[Any]) -> float:
    """Returns ‖J v − J' v‖ relative to the larger norm, where J is the Jacobian of the function and J' that of the rules."""
    function = jax.jit(lambda a, v: _slopes(closed, a, v, "function"))(start, move)
    try:
        rule = jax.jit(lambda a, v: _slopes(closed, a, v, "rule"))(start, move)
    except Exception:  # rules without a transpose: nonlinear ones, or ones with loops
        try:
            return _projected(closed, start, move, function)
        except Exception:  # without reverse mode, the only derivative is that of the function
            return 0.0
    return _relative(*(np.concatenate([_double(part) for part in parts]) for parts in (function, rule)))


def _slopes(closed: Any, start: list[Any], move: list[Any], custom_vjp: str) -> list[Any]:
    """Returns the coefficients of order 1 of those outputs that have one."""
    context = RuleContext(1, None, custom_vjp)
    outs = evaluate_closed(context, closed, [make([a, v]) for a, v in zip(start, move, strict=True)])
    smooth = [v for v, aval in zip(outs, closed.out_avals, strict=True) if jnp.issubdtype(aval.dtype, jnp.inexact)]
    rows = [coefficients(v, 1) for v in smooth]
    return [jnp.zeros_like(value) if slope is None else slope for value, slope in rows]


def _projected(closed: Any, start: list[Any], move: list[Any], slopes: list[Any]) -> float:
    """Estimates the distance with random output signs u: compares ⟨u, J v⟩ with ⟨J'ᵀ u, v⟩, at the cost of one reverse pass."""
    smooth = [i for i, aval in enumerate(closed.out_avals) if jnp.issubdtype(aval.dtype, jnp.inexact)]
    signs = np.random.default_rng(0)
    u = [jnp.asarray(signs.choice([-1.0, 1.0], s.shape), s.dtype) for s in slopes]

    def pulled(start: list[Any], u: list[Any]) -> list[Any]:
        def outputs(leaves: list[Any]) -> list[Any]:
            outs = core.jaxpr_as_fun(closed)(*leaves)
            return [outs[i] for i in smooth]

        return jax.vjp(outputs, start)[1](u)[0]

    pairs = [(_double(a), _double(b)) for a, b in zip(jax.jit(pulled)(start, u), move, strict=True)]
    parts = np.concatenate([_double(a) * _double(b) for a, b in zip(u, slopes, strict=True)])
    ours, theirs = float(np.sum(parts).real), sum(float(np.sum(a * b).real) for a, b in pairs)
    scale = max(float(np.linalg.norm(parts)), abs(ours), abs(theirs))
    return abs(ours - theirs) / scale if scale else 0.0


def _relative(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the distance of two vectors relative to the larger norm, ignoring entries that are NaN in both."""
    known = ~(np.isnan(first) & np.isnan(second))
    first, second = first[known], second[known]
    scale = max(np.linalg.norm(first), np.linalg.norm(second))
    return float(np.linalg.norm(first - second) / scale) if scale else 0.0


def _double(array: Any) -> np.ndarray:
    kind = np.complex128 if jnp.iscomplexobj(array) else np.float64
    return np.asarray(array).astype(kind).ravel()
