"""Transposes of linear maps, and J v for functions that have a reverse rule alone."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from taylornets._checks import ArgumentError
from taylornets.series._versions import contains

Linear: TypeAlias = Callable[[Any], Any]

# JAX's transpose of a linear program can forget what passes through mutable arrays that the program makes, and then returns
# zeros (JAX 0.10 to 0.12).
_STATE = ("new_ref", "empty_ref", "scan3")
# Programs with these can be linear and yet have no transpose.
_OPAQUE = ("custom_vjp_call", "while", "pure_callback", "io_callback", *_STATE)


def transpose(linear: Linear, operand: Any, cotangent: Any) -> Linear | None:
    """The transpose of a linear map, or `None` where JAX has none.

    Args:
        linear: a function of one tree.
        operand: that tree, of which shapes and types are read.
        cotangent: of the outputs, likewise.
    """
    if contains(jax.make_jaxpr(linear)(operand), *_STATE):
        return None
    return _possible(lambda u: jax.linear_transpose(linear, operand)(u)[0], cotangent)


def push_forward(pull_back: Linear, outs: Any, point: tuple[Any, ...]) -> Linear | None:
    """The map v ↦ J v, from the reverse pass u ↦ Jᵀ u.

    Args:
        pull_back: the reverse pass, as `jax.vjp` returns it.
        outs: outputs of the function, of which shapes and types are read.
        point: its operands, likewise.

    Returns:
        The transpose of the reverse pass, which leaves out what a rule adds to a gradient (a penalty: that is no
        derivative); where the reverse pass has rules of its own (`odeint`), its reverse pass; `None` where it can be run
        only once.

    Raises:
        ArgumentError: for a rule that is not linear, such as one that clips gradients; there is no J then.
    """
    push = transpose(pull_back, outs, point)
    if push is not None:
        return push
    if not contains(jax.make_jaxpr(pull_back)(outs), *_OPAQUE):
        raise ArgumentError(
            "custom_vjp",
            "a reverse rule that is linear in the cotangent",
            "one that is not (it clips or rounds gradients?)",
            'Pass custom_vjp="function" to use the derivative of the function itself.',
        )
    nothing = jax.tree_util.tree_map(jnp.zeros_like, outs)
    return _possible(lambda way: jax.vjp(pull_back, nothing)[1](way)[0], point)


def _possible(function: Linear, operand: Any) -> Linear | None:
    try:
        jax.eval_shape(function, operand)
    except Exception:  # which operation is in the way decides the type of the error
        return None
    return function
