"""Transposes of linear maps, and J v for functions that have only a reverse rule."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from taylornets._checks import ArgumentError
from taylornets.series._versions import contains

Linear: TypeAlias = Callable[[Any], Any]

# JAX's transpose of a linear program can lose cotangents through mutable arrays created by the program and return zeros
# (JAX 0.10 to 0.12).
_STATE = ("new_ref", "empty_ref", "scan3")
# Linear programs that contain these may have no transpose.
_OPAQUE = ("custom_vjp_call", "while", "pure_callback", "io_callback", *_STATE)


def transpose(linear: Linear, operand: Any, cotangent: Any) -> Linear | None:
    """Returns the transpose of a linear map, or `None` if JAX cannot transpose it.

    Args:
        linear: a function of one tree.
        operand: that tree; only shapes and dtypes are used.
        cotangent: a cotangent of the outputs; only shapes and dtypes are used.
    """
    if contains(jax.make_jaxpr(linear)(operand), *_STATE):
        return None
    return _possible(lambda u: jax.linear_transpose(linear, operand)(u)[0], cotangent)


def push_forward(pull_back: Linear, outs: Any, point: tuple[Any, ...]) -> Linear | None:
    """Returns the map v ↦ J v, from the reverse pass u ↦ Jᵀ u.

    Args:
        pull_back: the reverse pass, as returned by `jax.vjp`.
        outs: outputs of the function; only shapes and dtypes are used.
        point: its operands; only shapes and dtypes are used.

    Returns:
        The transpose of the reverse pass, which ignores terms that a rule adds to the gradient (such as a penalty, which is
        not part of the derivative). If the reverse pass has custom rules itself (`odeint`), its own reverse pass; `None` if
        the reverse pass can be run only once.

    Raises:
        ArgumentError: for a rule that is not linear, such as gradient clipping, which defines no J.
    """
    push = transpose(pull_back, outs, point)
    if push is not None:
        return push
    if not contains(jax.make_jaxpr(pull_back)(outs), *_OPAQUE):
        raise ArgumentError(
            "custom_vjp",
            "a reverse rule that is linear in the cotangent",
            "a nonlinear rule (does it clip or round gradients?)",
            'Pass custom_vjp="function" to use the derivative of the function itself.',
        )
    nothing = jax.tree_util.tree_map(jnp.zeros_like, outs)
    return _possible(lambda way: jax.vjp(pull_back, nothing)[1](way)[0], point)


def _possible(function: Linear, operand: Any) -> Linear | None:
    try:
        jax.eval_shape(function, operand)
    except Exception:  # the exception type depends on the operation without a transpose
        return None
    return function
