"""The squared loss after elimination of a linear block (theory 12).

For the predictions `f` without the linear block, `r = f - y`, weights `p` and the Gram matrix `K` of the linear block,

    min_V Σ_i p_i ‖r_i + (A V)_i‖² + λ1 ‖V‖² = Σ_i p_i ⟨r_i, r_i - (K z)_i⟩,
    z = P^{1/2} B^{-1} P^{1/2} r,    B = P^{1/2} K P^{1/2} + λ1 I,

attained at `V = -Aᵀ z`. The derivative in `f` is that of the squared loss at all predictions, `2 p (r - K z)`, and the
conjugate that of the squared loss plus `‖Aᵀ ν‖²/(4 λ1)`. So the quadratic model with this loss is the sum of both models; the
loss couples the examples, but the lift, its dual and Newton's method need nothing else.
"""

import dataclasses
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float
from typing_extensions import override

from taylornets.losses import Loss
from taylornets.objectives._objective import Objective

Predictions = Float[Array, "n C"]


class EliminatedSquared(eqx.Module, Loss):
    """The squared loss minimized over a linear block. Methods act on all examples together.

    Attributes:
        gram: `K`, shape `(nC, nC)`.
        factor: lower Cholesky factor of `B`, shape `(nC, nC)`.
        weights: `p_i`, shape `(n,)`.
        strength: `λ1`.
    """

    gram: Float[Array, "nC nC"]
    factor: Float[Array, "nC nC"]
    weights: Float[Array, " n"]
    strength: Float[Array, ""]

    separable: ClassVar[bool] = False
    quadratic: ClassVar[bool] = False
    coupled: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return "squared, linear block eliminated"

    @property
    @override
    def curvature_bound(self) -> float:
        return 2.0

    @property
    @override
    def fourth_derivative_bound(self) -> float:
        return 0.0

    @property
    @override
    def output_lipschitz(self) -> float:
        return math.inf

    @override
    def lipschitz(self, outputs: int = 1) -> float:
        return math.inf

    @override
    def prepare_targets(self, y: Any, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        return jnp.asarray(y, dtype)

    def coefficients(self, r: Predictions) -> Predictions:
        """Returns `z`: the linear block is `-K z` on the examples."""
        root = jnp.repeat(jnp.sqrt(self.weights), r.shape[1])
        solved = jax.scipy.linalg.cho_solve((self.factor, True), root * r.reshape(-1))
        return (root * solved).reshape(r.shape)

    def kernel_product(self, z: Predictions) -> Predictions:
        """Returns `K z`."""
        return (self.gram @ z.reshape(-1)).reshape(z.shape)

    def _rest(self, r: Predictions) -> Predictions:
        return r - self.kernel_product(self.coefficients(r))

    @override
    def value(self, v: Predictions, y: Predictions) -> Float[Array, " n"]:
        return jnp.sum((v - y) * self._rest(v - y), axis=1)

    @override
    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        return 2 * self._rest(v - y)

    @override
    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        return 2 * self._rest(u)

    @override
    def conjugate(self, s: Predictions, y: Predictions) -> Float[Array, " n"]:
        moved = self.kernel_product(self.weights[:, None] * s)
        terms = s**2 / 4 + s * y + s * moved / (4 * self.strength)
        sizes = s**2 / 4 + jnp.abs(s * y) + jnp.abs(s * moved) / (4 * self.strength)
        slack = (s.shape[1] + 4 + math.sqrt(s.size)) * jnp.finfo(s.dtype).eps
        return jnp.sum(terms, axis=1) + jax.lax.stop_gradient(slack * jnp.sum(sizes, axis=1))

    @override
    def project(self, s: Predictions, y: Predictions) -> Predictions:
        return s

    @override
    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Array, Array]:
        return jnp.zeros((), s.dtype), jnp.full((), jnp.inf, s.dtype)


class _Coupled(eqx.Module):
    """Holds a loss that has no value for single examples."""

    loss: EliminatedSquared

    def __call__(self, outputs: Array, y: Array) -> Array:
        raise NotImplementedError("a loss that couples the examples is evaluated by Objective.risk")


def eliminate(risk: Objective, gram: Float[Array, "nC nC"], strength: float | Array) -> Objective:
    """Returns the objective of the sum, minimized over its linear block.

    Args:
        risk: the squared loss under a model.
        gram: `K` on the examples of the risk, row `i C + c` for output `c` of example `i`.
        strength: `λ1 > 0`.

    Returns:
        An objective of the same displacement: values, dual bound and Newton's method are those of the sum.
    """
    weights, dtype = risk.weights(), risk.strength.dtype
    gram, strength = jnp.asarray(gram, dtype), jnp.asarray(strength, dtype)
    root = jnp.repeat(jnp.sqrt(weights), risk.net.outputs)
    inner = root[:, None] * gram * root[None, :] + strength * jnp.eye(len(gram), dtype=dtype)
    loss = EliminatedSquared(gram, jnp.linalg.cholesky(inner), weights, strength)
    return dataclasses.replace(risk, empirical=dataclasses.replace(risk.empirical, pointwise=_Coupled(loss)))
