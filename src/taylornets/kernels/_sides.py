"""The model on one batch, validated before anything is computed."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array

from taylornets._checks import gathered
from taylornets._trees import Segment, ask_for_bytes, refuse_batch_axis, refuse_nan, refuse_outputs, rows
from taylornets.expansion import refuse_impure
from taylornets.kernels._gram import SMALLER
from taylornets.kernels._products import Leaves, Products, products
from taylornets.kernels._spread import Spread
from taylornets.series import memory_limit


@dataclass(frozen=True)
class Side:
    """The validated model on one batch.

    Attributes:
        name: name of the batch in the signature.
        x: the batch.
        shape: shape of the outputs.
        dtype: dtype of the outputs.
        function: the flattened outputs as a function of the moving leaves.
        closed: the program, or `None` if Python branches on parameter values.
        spread: the batch on several devices, or `None`.
    """

    name: str
    x: Any
    shape: tuple[int, ...]
    dtype: Any
    function: Callable[[Leaves], Array]
    closed: Any
    spread: Spread | None = None

    def check_values(self, start: Leaves) -> None:
        """Raises for NaN in the outputs."""
        refuse_nan(jax.jit(self.function)(start), {self.name: self.x})

    def products(self, start: Leaves, custom_vjp: str) -> Products:
        """Returns the Jacobian products at the parameters; raises for NaN in the outputs."""
        made = products(self.function, self.closed, start, custom_vjp)
        refuse_nan(made.values, {self.name: self.x})
        return made


def side_of(here: Segment, name: str, x: Any) -> Side:
    """Validates the model on one batch, without running it."""
    spread, x = Spread.of(x), gathered(x)
    count = rows(name, x)
    model, start = here.model((x,)), here.start
    try:
        closed, outputs = jax.make_jaxpr(model, return_shape=True)(start)
        refuse_impure(model, start, closed)
    except jax.errors.ConcretizationTypeError:  # Python branches on values, which are concrete outside `jit`
        closed, outputs = None, model(start)
    refuse_outputs("f", outputs, count)
    refuse_batch_axis("f", lambda x: here.model((x,))(start), x, outputs)

    def function(leaves: Leaves) -> Array:
        out = model(leaves) if closed is None else core.jaxpr_as_fun(closed)(*leaves)[0]
        return out.reshape(-1)

    return Side(name, x, outputs.shape, outputs.dtype, function, closed, spread)


def ask(name: str, shape: tuple[int, ...], batch: int, start: Leaves, dtype: Any, limit: float) -> None:
    """Raises if the kernel, a temporary copy, and one batch of rows and gradients do not fit into memory."""
    gradient = sum(leaf.size * leaf.dtype.itemsize for leaf in start)
    item = jnp.dtype(dtype).itemsize
    needed = 2 * math.prod(shape) * item + batch * (gradient + math.prod(shape[2:]) * item)
    ask_for_bytes(name, f"a kernel of shape {shape} that fits into memory", needed, limit, SMALLER)


def memory_of(side: Side) -> float:
    """The memory of the devices of a batch, in bytes; those of one host share its memory."""
    spread = side.spread
    if spread is None or spread.mesh.devices.flat[0].platform == "cpu":
        return memory_limit()
    return memory_limit() * spread.count
