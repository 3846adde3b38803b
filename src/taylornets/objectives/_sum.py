"""Sums of the linear and the quadratic term, each with its own displacement and penalty (theory 12).

    P(V, W) = Σ_i p_i ℓ(f⁰_i + (A V)_i + f^(2)(W; x_i), y_i) + λ1 ‖V‖² + λ2 ‖W‖_{2,4}^p

For a dual vector `ν` the optimal linear block is `V = -Aᵀν/(2λ1)`, with outputs `-Kν/(2λ1)` and penalty `νᵀKν/(4λ1)`, where
`K = AAᵀ` is its Gram matrix. So the dual function of the sum is that of the quadratic model minus `νᵀKν/(4λ1)`.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from taylornets import _checks, _programs
from taylornets.objectives._entry import single_objective
from taylornets.objectives._objective import Objective
from taylornets.objectives._orders import powers, strengths
from taylornets.two_layer import TwoLayerNetwork

_SYMMETRIC = 1e-5


class LinearBlock(eqx.Module):
    """The linear block of a sum, in its dual form.

    Attributes:
        gram: `K` on the examples, row `i C + c` for output `c` of example `i`.
        strength: `λ1`.
        own: whether `K` is that of the network, so that `V` is a displacement.
    """

    gram: Float[Array, "nC nC"]
    strength: Float[Array, ""]
    own: bool = eqx.field(static=True)

    def outputs(self, nu: Float[Array, "n outputs"]) -> Float[Array, "n outputs"]:
        """Returns `A V = -Kν/(2λ1)`."""
        return -(self.gram @ nu.reshape(-1)).reshape(nu.shape) / (2 * self.strength)

    def cost(self, nu: Float[Array, "n outputs"]) -> Array:
        """Returns `λ1 ‖V‖² = νᵀKν/(4λ1)`."""
        return -jnp.vdot(nu, self.outputs(nu)) / 2

    def magnitude(self, nu: Float[Array, "n outputs"]) -> Array:
        """Returns the sum of the magnitudes of the terms of `cost`."""
        sizes = jnp.abs(nu).reshape(-1)
        return jnp.vdot(sizes, jnp.abs(self.gram) @ sizes) / (4 * self.strength)


def sum_objective(
    net: TwoLayerNetwork,
    x: ArrayLike,
    y: Any,
    *,
    penalty: Any,
    power: Any,
    kernel: ArrayLike | None = None,
    **options: Any,
) -> Objective:
    """Returns the objective of the quadratic model with a linear block; arguments as in `fit`.

    Raises:
        ArgumentError: for invalid arguments.
    """
    first, second = strengths(penalty)
    risk = single_objective(net, x, y, model="quadratic", penalty=second, power=powers(power)[1], **options)
    return with_linear_block(risk, first, kernel)


def with_linear_block(risk: Objective, strength: float, kernel: ArrayLike | None = None) -> Objective:
    """Adds a linear block to an objective of the quadratic model: the network's own, or that of a kernel on the examples."""
    dtype = risk.strength.dtype
    gram = gram_of(risk.net, risk.x, kernel, dtype)
    block = LinearBlock(gram, jnp.asarray(strength, dtype), kernel is None)
    return dataclasses.replace(risk, block=block)


def with_strengths(risk: Objective, penalty: Any) -> Objective:
    """Returns the objective of a sum with other penalties, a pair or the number `λ2`."""
    first, second = strengths(penalty)
    block = dataclasses.replace(block_of(risk), strength=jnp.asarray(first, risk.strength.dtype))
    return dataclasses.replace(risk.with_penalty(second), block=block)


def block_of(risk: Objective) -> LinearBlock:
    """Returns the linear block of a sum."""
    assert risk.block is not None
    return risk.block


@_programs.program
def optimal_block(risk: Objective, nu: Float[Array, "n outputs"]) -> Array:
    """Returns `V` for a dual vector: a displacement, or coefficients of the kernel of shape `(n, outputs)`."""
    block = block_of(risk)
    if not block.own:
        return -nu / (2 * block.strength)
    _, pull = jax.vjp(lambda v: linear_outputs(risk, v), jnp.zeros_like(risk.net.w0))
    return -pull(nu)[0] / (2 * block.strength)


def linear_outputs(risk: Objective, v: Array) -> Float[Array, "n outputs"]:
    """Returns the outputs of the linear block on the examples."""
    block = block_of(risk)
    if not block.own:
        return (block.gram @ v.reshape(-1)).reshape(v.shape)
    net: Any = risk.net
    return net.prepare(risk.x, (1,)).term(1, v)


def value_of_sum(risk: Objective, v: Array, w: Array) -> Array:
    """Returns `P(V, W)`, a scalar."""
    block, linear = block_of(risk), linear_outputs(risk, v)
    norm = jnp.sum(v**2) if block.own else jnp.sum(v * linear)
    weights, losses = risk.weights(), risk.loss.value(risk.outputs(w) + linear, risk.targets())
    misfit = jnp.sum(jnp.where(weights > 0, weights * losses, 0))
    return misfit + block.strength * norm + risk.penalty_value(w)


def gram_of(net: Any, x: Array, kernel: ArrayLike | None, dtype: Any) -> Float[Array, "nC nC"]:
    """Returns the Gram matrix of a linear block, of the network or of a kernel on the examples, for all outputs."""
    if kernel is None:
        return _network_gram(net, x).astype(dtype)
    return jnp.kron(_kernel(kernel, len(x)).astype(dtype), jnp.eye(net.outputs, dtype=dtype))


def _kernel(kernel: ArrayLike, n: int) -> Array:
    """Validates a Gram matrix of the linear block: symmetric and positive semidefinite."""
    gram = _checks.array("linear_kernel", kernel, (n, n), "One row and one column per training example.")
    size = float(jnp.abs(gram).max())
    if float(jnp.abs(gram - gram.T).max()) > _SYMMETRIC * size:
        raise _checks.ArgumentError("linear_kernel", "a symmetric matrix", "one that is not", "Use (K + K.T)/2.")
    least = float(np.linalg.eigvalsh(_checks.host(gram, float))[0])
    if least < -_SYMMETRIC * size * n:
        raise _checks.ArgumentError("linear_kernel", "a positive semidefinite matrix", f"the eigenvalue {least:.3g}")
    return (gram + gram.T) / 2


def _network_gram(net: Any, x: Array) -> Array:
    """The NTK of all outputs on the examples, shape `(nC, nC)`."""
    slopes = net.activation.derivative(1)(x @ net.w0[: net.pairs].T) / net.width**0.5
    inner = x @ x.T

    def block(c: int, e: int) -> Array:
        return net.halves * ((slopes * (net.signs[:, c] * net.signs[:, e])) @ slopes.T) * inner

    outputs = range(net.outputs)
    rows = [jnp.stack([block(c, e) for e in outputs], -1) for c in outputs]
    return jnp.moveaxis(jnp.stack(rows, -2), 1, 2).reshape(len(x) * net.outputs, len(x) * net.outputs)
