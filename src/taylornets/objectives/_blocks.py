"""Sums of any orders, each with its own displacement and penalty, as functions of these displacements (theory 12).

    P(W_1, W_2, …) = Σ_i p_i ℓ(f⁰_i + Σ_k f^(k)(W_k; x_i), y_i) + Σ_k λ_k ‖W_k‖_{2,2k}^{p_k}

**Elimination.** For a quadratic loss `ℓ(v, y) = ℓ(t, y) + h ‖v - t‖²/2` with minimum at `t(y)`, and `p_1 = 2`, the minimum over
the linear block `V` is in closed form. With the residual `r = t - f⁰ - Σ_{k>1} f^(k)`, the Gram matrix `K` of the block and
`P = diag(p h/2)`,

    min_V P = Σ_i p_i ℓ(t_i, y_i) + rᵀ (K/λ1 + P^{-1})^{-1} r,    V = -Aᵀν/(2λ1),    ν = -2 (K/λ1 + P^{-1})^{-1} r.

With `r = P^{-1/2} s`, the matrix is `P^{-1/2} (P^{1/2} K P^{1/2}/λ1 + I) P^{-1/2}`, which allows weights of 0.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, _programs, losses, models
from taylornets.models import Model
from taylornets.objectives._data import Dataset, normalized_weights
from taylornets.objectives._orders import powers, strengths
from taylornets.penalties import GroupPenalty
from taylornets.two_layer import Network, Prepared, Term, TwoLayerNetwork, prepare_checked


class SumObjective(eqx.Module):
    """The penalized risk of a sum of orders, a differentiable function of a tuple of displacements, one for each order.

    Call it on the tuple, or on a stacked array of shape `(orders, m, d)`; all JAX transformations apply.

    Attributes:
        features: the features of the network on the examples.
        y: targets, shape `(n, outputs)`.
        weight: weights of the examples, which sum to 1.
        offset: `f^(0)`, or None if it is zero.
        loss: the loss.
        penalties: norm and power of the penalty of each order.
        strengths: strength of the penalty of each order.
    """

    features: Prepared
    y: Float[Array, "n outputs"]
    weight: Float[Array, "n"]
    offset: Float[Array, "n outputs"] | None
    loss: losses.Loss = eqx.field(static=True)
    penalties: tuple[GroupPenalty, ...] = eqx.field(static=True)
    strengths: Float[Array, "orders"]

    @property
    def orders(self) -> tuple[int, ...]:
        """The orders, ascending."""
        return tuple(penalty.order for penalty in self.penalties)

    @property
    def net(self) -> Network:
        """The network."""
        return self.features.net

    def __call__(self, w: Any) -> Array:
        """Returns `P(w)`, a scalar."""
        return _value(self, self.displacements(w))

    def value_and_gradient(self, w: Any) -> tuple[Array, tuple[Array, ...]]:
        """Returns `P(w)` and its gradient, one array for each order."""
        return _value_and_gradient(self, self.displacements(w))

    def displacements(self, w: Any) -> tuple[Array, ...]:
        """Validates `w`: one displacement for each order, shape `(m, d)` or, for orders of at least 2, `(m, R, d)`."""
        stacked = jnp.ndim(w) == 3 if isinstance(w, jax.Array) else isinstance(w, tuple | list)
        if not stacked or len(w) != len(self.orders):
            expected = f"a tuple of {len(self.orders)} displacements, for the orders {self.orders}"
            raise _checks.ArgumentError("w", expected, _checks.shown(w))
        return tuple(self.features.displacement(block, Term(k)) for block, k in zip(w, self.orders, strict=True))

    def parts(self, w: Any) -> tuple[Float[Array, "n outputs"], ...]:
        """Returns the terms on the examples, without `f^(0)`."""
        return tuple(self.features.term(k, block) for block, k in zip(self.displacements(w), self.orders, strict=True))

    @property
    def count(self) -> int:
        """The number of examples."""
        return self.features.examples

    def outputs(self, w: Any) -> Float[Array, "n outputs"]:
        """Returns the outputs of the sum on the examples."""
        found = sum(self.parts(w), jnp.zeros_like(self.y))
        return found if self.offset is None else found + self.offset

    def risk(self, w: Any) -> Array:
        """Returns the objective without the penalties, a scalar."""
        return _risk(self, sum(self.parts(w), jnp.zeros_like(self.y)))

    def with_weights(self, weight: ArrayLike) -> "SumObjective":
        """Returns the objective with other weights of the examples, normalized to sum 1; features and programs are reused."""
        return dataclasses.replace(self, weight=normalized_weights(weight, self.count, self.weight.dtype))

    def with_penalty(self, penalty: Any) -> "SumObjective":
        """Returns the objective with other penalties, see `taylornets.fit`; features and programs are reused."""
        found = jnp.asarray(strengths(penalty, self.orders), self.strengths.dtype)
        return dataclasses.replace(self, strengths=found)


def blocks_objective(
    net: TwoLayerNetwork, x: Any, y: Any, orders: tuple[int, ...], *, loss: Any, penalty: Any, power: Any,
    chunk_size: int | None = None, sample_weight: ArrayLike | None = None,
) -> SumObjective:  # fmt: skip
    """Returns the objective of a sum of orders; arguments as in `taylornets.fit`.

    Raises:
        ArgumentError: for invalid arguments.
    """
    found, numbers = losses.get(loss), strengths(penalty, orders)
    penalties = tuple(GroupPenalty(k, p) for k, p in zip(orders, powers(power, orders), strict=True))
    data = Dataset.checked(net, found, x, y, sample_weight)
    features = prepare_checked(net, data.x, orders if net.symmetric else (0, *orders), chunk_size)
    offset = None if net.symmetric else features.term(0, jnp.zeros_like(net.w0))
    return SumObjective(features, data.y, data.weight, offset, found, penalties, jnp.asarray(numbers, data.y.dtype))


def _risk(risk: SumObjective, found: Array) -> Array:
    """Sums the weighted losses at the terms of a sum."""
    outputs = found if risk.offset is None else found + risk.offset
    return jnp.sum(jnp.where(risk.weight > 0, risk.weight * risk.loss.value(outputs, risk.y), 0))


@_programs.program
def _value(risk: SumObjective, w: tuple[Array, ...]) -> Array:
    blocks = zip(risk.penalties, w, risk.strengths, strict=True)
    return _risk(risk, sum(risk.parts(w), jnp.zeros_like(risk.y))) + sum(p.value(v, s) for p, v, s in blocks)


@_programs.program
def _value_and_gradient(risk: SumObjective, w: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    return jax.value_and_grad(lambda blocks: _value(risk, blocks))(w)


def eliminates(loss: losses.Loss) -> bool:
    """Returns whether the minimum over a linear block is in closed form: the loss is quadratic and strictly convex."""
    return loss.quadratic and loss.curvature_bound > 0


class ReducedObjective(eqx.Module):
    """The objective of a sum as a function of one array, for the iterative methods.

    Attributes:
        whole: the objective of the sum.
        factor: the Cholesky factor of `P^{1/2} K P^{1/2}/λ1 + I` if the linear block is eliminated, otherwise None.
        minima: then the outputs `t` at which the loss of each example is least.
        least: then the risk at these outputs.
    """

    whole: SumObjective
    factor: Float[Array, "nC nC"] | None
    minima: Float[Array, "n outputs"] | None = None
    least: Float[Array, ""] | None = None

    @classmethod
    def of(cls, whole: SumObjective, gram: Float[Array, "nC nC"] | None) -> "ReducedObjective":
        """Eliminates the linear block if its Gram matrix is given."""
        if gram is None:
            return cls(whole, None)
        roots = jnp.repeat(_roots(whole), whole.net.outputs)
        matrix = roots[:, None] * gram * roots / whole.strengths[0] + jnp.eye(len(gram), dtype=gram.dtype)
        loss = whole.loss
        minima = -loss.derivative(jnp.zeros_like(whole.y), whole.y) / loss.curvature_bound
        least = jnp.sum(jnp.where(whole.weight > 0, whole.weight * loss.value(minima, whole.y), 0))
        return cls(whole, cho_factor(matrix, lower=True)[0], minima, least)

    @property
    def orders(self) -> tuple[int, ...]:
        """The orders of the blocks of the array."""
        return self.whole.orders if self.factor is None else self.whole.orders[1:]

    @property
    def net(self) -> Network:
        """The network."""
        return self.whole.net

    @property
    def model(self) -> Model:
        """The model of the highest order."""
        return models.get(self.whole.orders[-1])

    @property
    def features(self) -> Prepared:
        """The features of the network on the examples."""
        return self.whole.features

    @property
    def x(self) -> Float[Array, "n d"]:
        """The examples."""
        return self.features.x

    @property
    def count(self) -> int:
        """The number of examples."""
        return self.features.examples

    @property
    def strength(self) -> Array:
        """The strength of the penalty of the highest order."""
        return self.whole.strengths[-1]

    @property
    def natural_norm(self) -> float:
        """The norm of blocks of natural norm together."""
        return sum(models.natural_norm(self.net, k) ** 2 for k in self.orders) ** 0.5

    def weights(self) -> Float[Array, "n"]:
        """Returns the weights of the examples."""
        return self.whole.weight

    def start(self, key: PRNGKeyArray) -> Float[Array, "orders m d"]:
        """Returns the initial displacements: zero for order 1, small and random for the others."""
        return jnp.stack([models.get(k).start(self.net, jax.random.fold_in(key, k)) for k in self.orders])

    def __call__(self, w: Float[Array, "orders m d"]) -> Array:
        """Returns the objective, minimized over the linear block if it is eliminated."""
        return _reduced(self, w)

    def value_and_gradient(self, w: Float[Array, "orders m d"]) -> tuple[Array, Array]:
        """Returns the objective and its gradient."""
        return _reduced_and_gradient(self, w)

    def dual_vector(self, w: Float[Array, "orders m d"]) -> Float[Array, "n outputs"]:
        """Returns `ν`, of which the eliminated linear block is `-Aᵀν/(2λ1)`."""
        roots = _roots(self.whole)[:, None]
        return -2 * roots * self._solved(roots * self._residual(w))

    def linear_block(self, nu: Float[Array, "n outputs"]) -> Float[Array, "m d"]:
        """Returns the eliminated linear block of the network."""
        _, pull = jax.vjp(lambda v: self.features.term(1, v), jnp.zeros_like(self.net.w0))
        return -pull(nu)[0] / (2 * self.whole.strengths[0])

    def value(self, w: Float[Array, "orders m d"]) -> Array:
        """Evaluates `__call__`, not compiled."""
        if self.least is None:
            return _value(self.whole, tuple(w))
        scaled = _roots(self.whole)[:, None] * self._residual(w)
        blocks = zip(self.whole.penalties[1:], w, self.whole.strengths[1:], strict=True)
        return self.least + jnp.vdot(scaled, self._solved(scaled)) + sum(p.value(v, s) for p, v, s in blocks)

    def _residual(self, w: Array) -> Array:
        assert self.minima is not None
        found = sum(self.features.term(k, block) for k, block in zip(self.orders, w, strict=True))
        return self.minima - found - (0 if self.whole.offset is None else self.whole.offset)

    def _solved(self, scaled: Array) -> Array:
        assert self.factor is not None
        return cho_solve((self.factor, True), scaled.reshape(-1)).reshape(scaled.shape)


def _roots(whole: SumObjective) -> Float[Array, "n"]:
    """Returns the diagonal of `P^{1/2}`."""
    return jnp.sqrt(whole.weight * whole.loss.curvature_bound / 2)


@_programs.program
def _reduced(risk: ReducedObjective, w: Array) -> Array:
    return risk.value(w)


@_programs.program
def _reduced_and_gradient(risk: ReducedObjective, w: Array) -> tuple[Array, Array]:
    return jax.value_and_grad(risk.value)(w)
