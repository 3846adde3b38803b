"""The neural tangent kernel of any model, without its Jacobian."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from taylornets._trees import Line


def model_ntk(
    f: Callable[..., Any], params: Any, x1: Any, x2: Any = None, *, trainable: Any = None, batch_size: int | None = None
) -> Float[Array, "n1 c n2 c"]:
    """The empirical kernel `K(x, x')[a, b] = ⟨∂f_a(x)/∂θ, ∂f_b(x')/∂θ⟩` of any model, all pairs of outputs.

    Each column is one reverse pass followed by one forward pass, so that memory grows with the parameters and not with
    parameters × examples: `2 n2 c` passes over the batch. Nothing is averaged over outputs.

    Args:
        f: a model `f(params, x)` that returns one array of shape `(n, ...)`; its `c` outputs an example are flattened.
        params: the parameters, a pytree.
        x1: examples, `(n1, ...)` on the first axis.
        x2: examples, `(n2, ...)`; by default `x1`.
        trainable: as in `taylornets.taylor_terms`: the parameters that count.
        batch_size: columns at the same time; one by default.

    Returns:
        The kernel, shape `(n1, c, n2, c)`.

    Raises:
        ArgumentError: for parameters that hold NaN, or a mask that does not fit.

    Source: theory 10.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> kernel = tn.kernels.model_ntk(lambda w, x: x @ w, jnp.ones((3, 2)), jnp.eye(3))
        >>> kernel.shape, float(kernel[0, 0, 0, 0]), float(kernel[0, 0, 0, 1])  # ⟨x, x'⟩ for equal outputs
        ((3, 2, 3, 2), 1.0, 0.0)
    """
    line = Line.through(f, params, trainable)
    here = line.here()
    start = here.start

    def flat(x: Any) -> Callable[[Any], Array]:
        model = here.model((x,))
        return lambda leaves: model(leaves).reshape(-1)

    first = flat(x1)
    values, forward = jax.linearize(first, start)
    other, backward = (values, jax.vjp(first, start)[1]) if x2 is None else jax.vjp(flat(x2), start)
    columns = jax.lax.map(
        lambda e: forward(backward(e)[0]), jnp.eye(other.size, dtype=other.dtype), batch_size=batch_size
    )
    n1, n2 = (jax.tree_util.tree_leaves(x)[0].shape[0] for x in (x1, x1 if x2 is None else x2))
    return columns.T.reshape(n1, values.size // n1, n2, other.size // n2)
