"""Products J v and Jᵀ u with the Jacobian of a model at one point, wherever JAX has either of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array

from taylornets._checks import cut
from taylornets.series import RuleContext, coefficients, contains, evaluate_closed, make, push_forward, transpose

Leaves: TypeAlias = list[Any]
Forward: TypeAlias = Callable[[Leaves], Array]
Backward: TypeAlias = Callable[[Array], Leaves]


@dataclass(frozen=True)
class Products:
    """The Jacobian J of the flattened outputs, as the linear maps that are known.

    A complex parameter is two real ones: J is linear over the real numbers, and Jᵀ u holds ∂/∂Re − i ∂/∂Im.

    Attributes:
        values: the outputs, flattened.
        start: where, a list of arrays.
        forward: v to J v, or `None`.
        backward: u to Jᵀ u, or `None`; one of the two is there.
        lacking: in words, why one is not there.
    """

    values: Array
    start: Leaves
    forward: Forward | None
    backward: Backward | None
    lacking: str = ""


def products(function: Callable[[Leaves], Array], closed: Any, start: Leaves, custom_vjp: str) -> Products:
    """The products of a model.

    Where the program has no `jax.custom_vjp` function, forward mode gives J, and its transpose is Jᵀ. With one, the
    reverse rule gives Jᵀ and its transpose J ("rule"), or a series of order 1 through the body gives J and its
    transpose Jᵀ ("function").

    Args:
        function: the flattened outputs as a function of the moving leaves.
        closed: its program, whose only output may have another shape; `None` for a function that cannot be traced.
        start: where.
        custom_vjp: "rule" or "function".

    Raises:
        ArgumentError: for a reverse rule that is not a linear map.
    """
    if closed is None or not contains(closed, "custom_vjp_call"):
        values, forward = jax.linearize(function, start)
        try:
            pull_back = jax.vjp(function, start)[1]
            jax.eval_shape(pull_back, values)
        except Exception as error:  # which primitive has no reverse mode decides the type of the error
            return Products(values, start, forward, None, _reason(closed, error))
        return Products(values, start, forward, lambda u: pull_back(u)[0])
    if custom_vjp == "function":
        values, forward = _by_series(closed, start, custom_vjp)
        return Products(values, start, forward, transpose(forward, start, values), _reason(closed))
    try:
        values, pull_back = jax.vjp(function, start)
        jax.eval_shape(pull_back, values)
    except Exception as error:  # no reverse mode elsewhere in the program; the rules can be used one by one
        values, forward = _by_series(closed, start, custom_vjp)
        return Products(values, start, forward, None, _reason(closed, error))
    return _by_rule(values, pull_back, start)


def _by_series(closed: Any, start: Leaves, custom_vjp: str) -> tuple[Array, Forward]:
    """The outputs and v to J v, where the coefficient of order 1 of the outputs is linear in the one of the parameters."""

    def slopes(move: Leaves) -> Array:
        operands = [make([a, v]) for a, v in zip(start, move, strict=True)]
        value, slope = coefficients(evaluate_closed(RuleContext(1, None, custom_vjp), closed, operands)[0], 1)
        return (jnp.zeros_like(value) if slope is None else slope).reshape(-1)

    values = core.jaxpr_as_fun(closed)(*start)[0].reshape(-1)
    return values, jax.linearize(slopes, start)[1]  # what does not depend on v is computed once


def _by_rule(values: Array, pull_back: Any, start: Leaves) -> Products:
    push = push_forward(pull_back, values, (start,))
    if push is None:
        return Products(values, start, None, lambda u: pull_back(u)[0], "its reverse pass can be run only once")

    def forward(move: Leaves) -> Array:
        return push((move,))

    # The transpose of J leaves out what a rule adds to the gradient; where there is none, the reverse pass itself.
    backward = transpose(forward, start, values) or (lambda u: pull_back(u)[0])
    return Products(values, start, forward, backward)


def _reason(closed: Any, error: Exception | str = "") -> str:
    if closed is not None and contains(closed, "while"):
        return "the primitive while, a loop whose number of steps is not known before it runs, has no reverse mode"
    return f"it has no reverse mode: {cut(' '.join(str(error).split()), 120)}"
