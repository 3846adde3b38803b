"""Products J v and Jᵀ u with the Jacobian of a model at one point, as far as JAX provides them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jaxtyping import Array

from taylornets._checks import cut
from taylornets.series import RuleContext, coefficients, contains, evaluate_closed, make, push_forward, transpose

Leaves: TypeAlias = list[Any]
Forward: TypeAlias = Callable[[Leaves], Array]
Backward: TypeAlias = Callable[[Array], Leaves]


@dataclass(frozen=True)
class Products:
    """The Jacobian J of the flattened outputs, represented by the available linear maps.

    A complex parameter counts as two real ones: J is linear over the real numbers, and Jᵀ u contains ∂/∂Re − i ∂/∂Im.

    Attributes:
        values: the outputs, flattened.
        start: the point of differentiation, a list of arrays.
        forward: the map v ↦ J v, or `None`.
        backward: the map u ↦ Jᵀ u, or `None`; at least one of the two is available.
        lacking: the reason why one of the maps is missing.
    """

    values: Array
    start: Leaves
    forward: Forward | None
    backward: Backward | None
    lacking: str = ""

    def round_trip(self, v: Array, summed: Callable[[Array], Array] = jnp.asarray) -> Array:
        """Computes `Re(J Jᴴ) v`; `summed` adds the gradients of several devices."""
        assert self.forward is not None
        assert self.backward is not None
        # For a complex parameter, J v is Re(d v) with d = ∂/∂Re − i ∂/∂Im, the value returned by the reverse pass.
        return self.forward([jnp.conj(summed(leaf)) for leaf in self.backward(v)])

    def squared_rows(self, batch_size: int | None) -> Array:
        """Computes the diagonal of `Re(J Jᴴ)` with one reverse pass per row."""
        assert self.backward is not None
        backward = self.backward

        def square(i: Array) -> Array:
            gradient = backward((jnp.arange(self.values.size) == i).astype(self.values.dtype))
            return sum((jnp.sum(jnp.abs(leaf) ** 2) for leaf in gradient), jnp.zeros(())).astype(self.values.dtype)

        return lax.map(square, jnp.arange(self.values.size), batch_size=batch_size)


def products(function: Callable[[Leaves], Array], closed: Any, start: Leaves, custom_vjp: str) -> Products:
    """Returns the Jacobian products of a model.

    Without `jax.custom_vjp` functions, forward mode provides J, and its transpose is Jᵀ. Otherwise, the reverse rule
    provides Jᵀ and its transpose J ("rule"), or a series of order 1 through the body provides J and its transpose Jᵀ
    ("function").

    Args:
        function: the flattened outputs as a function of the moving leaves.
        closed: its program, whose single output may have another shape; `None` for a function that cannot be traced.
        start: the point of differentiation.
        custom_vjp: "rule" or "function".

    Raises:
        ArgumentError: for a reverse rule that is not a linear map.
    """
    if closed is None or not contains(closed, "custom_vjp_call"):
        values, forward = jax.linearize(function, start)
        try:
            pull_back = jax.vjp(function, start)[1]
            jax.eval_shape(pull_back, values)
        except Exception as error:  # the exception type depends on the primitive without reverse mode
            return Products(values, start, forward, None, _reason(closed, error))
        return Products(values, start, forward, lambda u: pull_back(u)[0])
    if custom_vjp == "function":
        values, forward = _by_series(closed, start, custom_vjp)
        return Products(values, start, forward, transpose(forward, start, values), _reason(closed))
    try:
        values, pull_back = jax.vjp(function, start)
        jax.eval_shape(pull_back, values)
    except Exception as error:  # another part of the program has no reverse mode; the rules can be used one by one
        values, forward = _by_series(closed, start, custom_vjp)
        return Products(values, start, forward, None, _reason(closed, error))
    return _by_rule(values, pull_back, start)


def _by_series(closed: Any, start: Leaves, custom_vjp: str) -> tuple[Array, Forward]:
    """Returns the outputs and v ↦ J v, using that order 1 of the outputs is linear in order 1 of the parameters."""

    def slopes(move: Leaves) -> Array:
        operands = [make([a, v]) for a, v in zip(start, move, strict=True)]
        value, slope = coefficients(evaluate_closed(RuleContext(1, None, custom_vjp), closed, operands)[0], 1)
        return (jnp.zeros_like(value) if slope is None else slope).reshape(-1)

    values = core.jaxpr_as_fun(closed)(*start)[0].reshape(-1)
    return values, jax.linearize(slopes, start)[1]  # parts that do not depend on v are computed once


def _by_rule(values: Array, pull_back: Any, start: Leaves) -> Products:
    push = push_forward(pull_back, values, (start,))
    if push is None:
        return Products(values, start, None, lambda u: pull_back(u)[0], "its reverse pass can be run only once")

    def forward(move: Leaves) -> Array:
        return push((move,))

    # The transpose of J ignores terms that a rule adds to the gradient; without a transpose, use the reverse pass itself.
    backward = transpose(forward, start, values) or (lambda u: pull_back(u)[0])
    return Products(values, start, forward, backward)


def _reason(closed: Any, error: Exception | str = "") -> str:
    if closed is not None and contains(closed, "while"):
        return "the primitive while, a loop of unknown length, has no reverse mode"
    return f"it has no reverse mode: {cut(' '.join(str(error).split()), 120)}"
