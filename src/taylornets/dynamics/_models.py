"""A network and its Taylor models as functions of one vector of parameters, with the loss of theory 15."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from taylornets._checks import ArgumentError, gathered, order_of, shown
from taylornets._trees import Line, refuse_batch_axis, refuse_nan, refuse_outputs, refuse_unusable, rows
from taylornets.expansion import refuse_impure, taylor_expand

FULL = "full"
Name = int | str


def names_of(orders: Any) -> tuple[Name, ...]:
    """The orders in ascending order, then `"full"`.

    Raises:
        ArgumentError: for anything but a sequence of distinct integers ≥ 1.
    """
    if isinstance(orders, str) or not isinstance(orders, Sequence):
        raise ArgumentError("orders", "a list of integers ≥ 1", shown(orders))
    found = sorted(order_of("orders", k, 1) for k in orders)
    if len(set(found)) < len(found):
        raise ArgumentError("orders", "distinct orders", str(tuple(orders)))
    return (*found, FULL)


def stability_limit(largest: float) -> float:
    """`2/λ` for the largest eigenvalue of a kernel; infinite if the kernel is zero, as at a saddle of the outputs."""
    return math.inf if largest <= 0 else 2 / largest


@dataclass(frozen=True)
class Fit:
    """A network that is fitted to targets, as a function of one vector.

    Attributes:
        outputs: `outputs(v)`, shape `(n, c)`.
        start: the initial vector, shape `(p,)`.
        y: targets, shape `(n, c)`.
    """

    outputs: Callable[[Array], Array]
    start: Float[Array, " p"]
    y: Float[Array, "n c"]

    @staticmethod
    def of(f: Any, params0: Any, x: Any, y: Any) -> "Fit":
        """Validates a model and data; raises an `ArgumentError` for what does not fit."""
        params0, x, y = gathered((params0, x, y))
        refuse_unusable(f, params0, (x,))
        line = Line.through(f, params0, None)
        if not line.moving or any(jnp.iscomplexobj(leaf) for leaf in line.start):
            got = "complex leaves" if line.moving else "none"
            raise ArgumentError(
                "params0", "at least one leaf that is an array of real floats, and no complex ones", got
            )
        n = rows("x", x)
        x = jax.tree.map(jnp.asarray, x)
        start, back = ravel_pytree(line.start)
        model = line.here().model((x,))
        closed, first = jax.make_jaxpr(model, return_shape=True)(line.start)
        refuse_outputs("f", first, n)
        refuse_impure(model, line.start, closed)
        refuse_batch_axis("f", lambda x: line.here().model((x,))(line.start), x, first)
        refuse_nan(model(line.start), {"x": x})
        y = jnp.asarray(y, first.dtype)
        if y.size != first.size or y.shape[:1] != (n,):
            raise ArgumentError("y", f"targets of shape {first.shape}, like the outputs", f"shape {y.shape}")
        if not bool(jnp.all(jnp.isfinite(y))):
            raise ArgumentError("y", "finite targets", f"{int(jnp.sum(~jnp.isfinite(y)))} NaN or infinite of {y.size}")
        return Fit(lambda v: model(back(v)).reshape(n, -1), start, y.reshape(n, -1))

    def model(self, name: Name, center: Array, v: Array) -> Array:
        """The outputs of the network, or of its Taylor model of that order around `center`, at `v`."""
        if name == FULL:
            return self.outputs(v)
        return taylor_expand(lambda u, _: self.outputs(u), center, int(name))(v, None)

    def loss(self, name: Name, center: Array, v: Array) -> Array:
        """`(1/2n) Σ_i ‖f(x_i) − y_i‖²`."""
        return jnp.sum((self.model(name, center, v) - self.y) ** 2) / (2 * self.y.shape[0])

    def gradient(self, name: Name, center: Array, v: Array) -> tuple[Array, Array]:
        """Loss and gradient in `v`."""
        return jax.value_and_grad(lambda v: self.loss(name, center, v))(v)

    def hessian(self, name: Name, center: Array, v: Array) -> Callable[[Array], Array]:
        """The product with the Hessian of the loss at `v`."""
        slope = jax.grad(lambda v: self.loss(name, center, v))
        return lambda u: jax.jvp(slope, (v,), (u,))[1]

    def kernel(self, name: Name, center: Array, v: Array) -> Callable[[Array], Array]:
        """The product with `J Jᵀ/n`, of vectors of size `n c`."""

        def flat(v: Array) -> Array:
            return self.model(name, center, v).reshape(-1)

        pull = jax.vjp(flat, v)[1]
        return lambda u: jax.jvp(flat, (v,), pull(u))[1] / self.y.shape[0]


def descend(fit: Fit, name: Name, center: Array, v: Array, rate: Any, steps: int) -> tuple[Array, Array]:
    """Gradient descent: returns the vector after `steps` updates, and the losses before each of them."""

    def step(v: Array, _: None) -> tuple[Array, Array]:
        value, slope = fit.gradient(name, center, v)
        return v - jnp.asarray(rate, v.dtype) * slope, value

    return jax.lax.scan(step, v, None, length=steps)
