"""The neural tangent kernel of any model, without storing the Jacobian if both modes of differentiation are available."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array, Float

from taylornets._checks import ArgumentError, choice, integer
from taylornets._trees import (
    Line,
    Segment,
    ask_for_bytes,
    refuse_batch_axis,
    refuse_nan,
    refuse_other_tree,
    refuse_outputs,
    rows,
)
from taylornets.expansion import CUSTOM_VJP, refuse_impure
from taylornets.kernels._gram import SMALLER, gram
from taylornets.kernels._products import Leaves, Products, products
from taylornets.series import memory_limit


def model_ntk(
    f: Callable[..., Any],
    params: Any,
    x1: Any,
    x2: Any = None,
    *,
    trainable: Any = None,
    batch_size: int | None = None,
    custom_vjp: str = "rule",
    max_bytes: float | None = None,
) -> Float[Array, "n1 c n2 c"]:
    """Computes the empirical NTK `K(x, x')[a, b] = ⟨∂f_a(x)/∂θ, ∂f_b(x')/∂θ⟩` of any model for all pairs of outputs.

    Each row costs one reverse pass followed by one forward pass, `2 min(n1, n2) c` passes over the batches in total. Memory
    therefore grows with the number of parameters, not with parameters × examples. The kernel is not averaged over outputs.
    A complex parameter counts as two real ones: K = Re(J Jᴴ), where J contains the derivatives ∂/∂Re − i ∂/∂Im.

    A model without reverse mode (`lax.while_loop`) requires one forward pass per parameter instead. If the reverse pass
    cannot be differentiated, the kernel requires one reverse pass per output and stores the Jacobian.

    Args:
        f: a model `f(params, x)` that returns one real array of shape `(n, ...)`; the `c` outputs of an example are
            flattened.
        params: the parameters, a pytree.
        x1: examples along the first axis, shape `(n1, ...)`, an array or a tree of arrays.
        x2: examples, shape `(n2, ...)`, a tree like `x1`; by default `x1`.
        trainable: the parameters to differentiate, as in `taylornets.taylor_terms`.
        batch_size: number of rows computed at a time (parameters, without reverse mode); one by default.
        custom_vjp: derivatives of a `jax.custom_vjp` function: "rule" is the author's reverse rule, as used by `jax.grad`
            and gradient descent; "function" is the derivative of the function itself. Both factors use the same
            derivative, so that the kernel is symmetric and positive semidefinite.
        max_bytes: limit on the estimated memory, in bytes; by default the memory of the device.

    Returns:
        The kernel, shape `(n1, c, n2, c)`, in the dtype of the outputs.

    Raises:
        ArgumentError: for parameters that contain NaN or cannot move, a mask that does not match, a model that is not a pure
            function or does not return one row per example, NaN in the outputs, `x1` and `x2` with different tree
            structures, a kernel that does not fit into memory, a reverse rule that is not linear, or a model without
            reverse mode and with more than 100 000 parameters.

    Source: theory 10.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> kernel = tn.kernels.model_ntk(lambda w, x: x @ w, jnp.ones((3, 2)), jnp.eye(3))
        >>> kernel.shape, float(kernel[0, 0, 0, 0]), float(kernel[0, 0, 0, 1])  # ⟨x, x'⟩ for equal outputs
        ((3, 2, 3, 2), 1.0, 0.0)
    """
    choice("custom_vjp", custom_vjp, CUSTOM_VJP)
    size = 1 if batch_size is None else integer("batch_size", batch_size, 1)
    here = Line.through(f, params, trainable).here()
    if not here.start:
        raise ArgumentError("params", "a leaf that may move, an array of floats", "none", "Is trainable all False?")
    sides = [_side(here, "x1", x1)]
    if x2 is not None:
        theirs, mine = (jax.tree_util.tree_map(lambda _: 0, x) for x in (x1, x2))
        refuse_other_tree("x2", theirs, mine, "x1")
        sides.append(_side(here, "x2", x2))
    first, last = sides[0], sides[-1]
    if last.shape[1:] != first.shape[1:]:
        raise ArgumentError("x2", f"outputs whose shape ends in {first.shape[1:]} as for x1", f"shape {last.shape}")
    shape = (first.shape[0], math.prod(first.shape[1:]), last.shape[0], math.prod(last.shape[1:]))
    limit = memory_limit() if max_bytes is None else max_bytes
    _ask(shape, size, here.start, last.dtype, limit)
    made = [side.products(here.start, custom_vjp) for side in sides]
    return gram(made[0], made[-1], batch_size, limit).reshape(shape)


@dataclass(frozen=True)
class _Side:
    """The validated model on one batch.

    Attributes:
        name: name of the batch in the signature.
        x: the batch.
        shape: shape of the outputs.
        dtype: dtype of the outputs.
        function: the flattened outputs as a function of the moving leaves.
        closed: the program, or `None` if Python branches on parameter values.
    """

    name: str
    x: Any
    shape: tuple[int, ...]
    dtype: Any
    function: Callable[[Leaves], Array]
    closed: Any

    def products(self, start: Leaves, custom_vjp: str) -> Products:
        """Returns the Jacobian products at the parameters; raises for NaN in the outputs."""
        made = products(self.function, self.closed, start, custom_vjp)
        refuse_nan(made.values, {self.name: self.x})
        return made


def _side(here: Segment, name: str, x: Any) -> _Side:
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

    return _Side(name, x, outputs.shape, outputs.dtype, function, closed)


def _ask(shape: tuple[int, ...], batch: int, start: Leaves, dtype: Any, limit: float) -> None:
    """Raises if the kernel, a temporary copy, and one batch of rows and gradients do not fit into memory."""
    gradient = sum(leaf.size * leaf.dtype.itemsize for leaf in start)
    item = jnp.dtype(dtype).itemsize
    needed = 2 * math.prod(shape) * item + batch * (gradient + math.prod(shape[2:]) * item)
    ask_for_bytes("x1", f"a kernel of shape {shape} that fits into memory", needed, limit, SMALLER)
