"""The neural tangent kernel of any model, without storing the Jacobian if both modes of differentiation are available."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from taylornets.kernels._operator import NTK


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

    The kernel `NTK(f, params, x1).gram()`, or with `x2` the block between two batches. `NTK` also provides products, traces
    and eigenvalues without the matrix. The kernel is not averaged over outputs.
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
    settings: dict[str, Any] = {"trainable": trainable, "batch_size": batch_size, "custom_vjp": custom_vjp}
    operator = NTK(f, params, x1, max_bytes=max_bytes, name="x1", **settings)
    return jnp.asarray(operator.gram()) if x2 is None else operator.across(x2, "x2")
