"""The penalized risk as a differentiable function of the displacement."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, _programs, _trees, losses, models, randomization
from taylornets.models import Model
from taylornets.objectives._data import normalized_weights
from taylornets.objectives._risk import (
    EmpiricalRisk,
    compiled_risk,
    initial_outputs,
    risk_and_gradient,
    risk_hessian_vector_product,
)
from taylornets.penalties import GroupPenalty
from taylornets.two_layer import Block, Network, Prepared, Taylor, Term
from taylornets.two_layer import moment_matrices as matrices_of
from taylornets.two_layer import unit_suprema as suprema_of
from taylornets.two_layer import weighted_moments as moments_of


class Objective(_trees.HashableModule):
    """The penalized risk `P` as a differentiable function of `w`; created by `taylornets.objective`.

    Call it on `w` of shape `(m, d)` (single terms: also `(m, R, d)`) for the value, a scalar. All JAX transformations
    apply. The gradient in `w` costs one matrix product more than the value. `value_and_gradient` performs the same
    computation without the transformation.

    Attributes:
        penalty: norm and power of the penalty.
        strength: strength `λ` of the penalty.
        block: a linear block that is trained with the quadratic model (theory 12). Dual bounds and the dual Newton method
            include it; the values and derivatives of this class are those of the quadratic model alone.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> risk = tn.objective(net, jnp.eye(3), y, penalty=0.1)
        >>> value, gradient = risk.value_and_gradient(net.w0)
        >>> gradient.shape, bool(jnp.isclose(value, risk(net.w0)))
        ((8, 3), True)
    """

    empirical: EmpiricalRisk
    penalty: GroupPenalty = eqx.field(static=True)
    strength: Float[Array, ""]
    block: Any = None

    @property
    def model(self) -> Model:
        """The model."""
        return self.empirical.model

    @property
    def loss(self) -> losses.Loss:
        """The loss."""
        return self.empirical.pointwise.loss

    @property
    def net(self) -> Network:
        """The network."""
        return self.empirical.prepared.net

    @property
    def features(self) -> Prepared:
        """The features of the network on the examples, in blocks."""
        return self.empirical.prepared

    @property
    def x(self) -> Float[Array, "n d"]:
        """The examples, shape `(n, d)`."""
        return self.empirical.prepared.x

    @property
    def count(self) -> int:
        """The number of examples `n`."""
        return self.empirical.prepared.examples

    @property
    def order(self) -> int:
        """The order `k` of the penalty norm."""
        return self.penalty.order

    def __call__(self, w: Array) -> Array:
        """Returns `P(w)`, a scalar."""
        return _value(self, self.displacement(w))

    def risk(self, w: Array) -> Array:
        """Returns the first term of `P`, a scalar."""
        return compiled_risk(self.displacement(w), self.empirical)

    def penalty_value(self, w: Array) -> Array:
        """Returns the second term of `P`, a scalar."""
        return self.penalty.value(w, self.strength)

    def value_and_gradient(self, w: Array) -> tuple[Array, Array]:
        """Returns `P(w)` and `∇P(w)` from one pass: two matrix products of size `n × m × d`."""
        return _value_and_gradient(self, self.displacement(w))

    def hessian_vector_product(self, w: Array, direction: Array) -> Array:
        """Returns `∇²P(w)[direction]`: three matrix products of size `n × m × d`, two of them forward.

        For activations with kinks, this is the Hessian almost everywhere; see `require_second_derivative`.
        """
        return _hessian_vector_product(self, self.displacement(w), direction)

    def displacement(self, w: ArrayLike) -> Array:
        """Validates `w`: shape `(m, d)` or, for models that allow copies, `(m, R, d)`."""
        return self.empirical.prepared.displacement(w, self.model.response)

    def require_second_derivative(self) -> None:
        """Raises if the activation or its derivative has a kink, whose curvature the almost-everywhere Hessian misses."""
        activation = self.net.activation
        smooth = activation.smoothness is None or activation.smoothness >= 2
        if not smooth and not isinstance(self.model.response, Term | Taylor):
            raise _checks.ArgumentError(
                "activation",
                "two continuous derivatives for Hessians and second-order methods",
                f"{activation.name!r} with {activation.smoothness}",
                "The almost-everywhere Hessian misses the curvature at kinks. Use 'cubic_relu' or a smooth activation, "
                "a first-order method, or the Taylor models, which are polynomials in w.",
            )

    def minibatch(self, key: PRNGKeyArray, size: int) -> "Objective":
        """Returns the objective on `size` examples drawn without replacement, whose expectation is the full objective.

        Args:
            key: JAX random key.
            size: number of examples, from 1 to `n`.

        Returns:
            An objective whose risk is the average over the drawn examples, each with its weight times `n`. It may be
            created inside `jax.jit`.

        Raises:
            ArgumentError: for a size outside this range.
        """
        return dataclasses.replace(self, empirical=self.empirical.minibatch(key, size))

    def with_signs(self, key: PRNGKeyArray) -> "Objective":
        """Returns the penalized risk under new signs (or multipliers) `s`, `(1/n) Σ_i ℓ(f(sW; x_i), y_i) + λ ‖W‖_{2,2k}^p`.

        Its expectation is the randomized objective (for losses without an exact formula: up to the approximation error).

        Args:
            key: JAX random key.

        Returns:
            An objective. It may be created inside `jax.jit`.

        Raises:
            ArgumentError: for models without a randomization.

        Source: theory 2; the algorithm of Bai & Lee (2020), section 4, draws new signs in every step.
        """
        model, pointwise = self.model.redrawn(key, self.net), randomization.OfOutputs(self.loss)
        return dataclasses.replace(
            self, empirical=dataclasses.replace(self.empirical, model=model, pointwise=pointwise)
        )

    def with_weights(self, weight: ArrayLike) -> "Objective":
        """Returns the objective with different example weights, reusing features and compiled programs.

        Args:
            weight: `s_i ≥ 0`, not all zero, shape `(n,)`; normalized to `s_i/Σ s`.

        Returns:
            An objective.

        Raises:
            ArgumentError: for a wrong shape, negative weights, NaN, or weights that are all zero.
        """
        empirical = self.empirical
        weight = normalized_weights(weight, self.count, empirical.examples.weight.dtype)
        examples = empirical.examples._replace(weight=empirical.prepared.per_example(weight))
        return dataclasses.replace(self, empirical=dataclasses.replace(empirical, examples=examples))

    def with_penalty(self, penalty: float | Array) -> "Objective":
        """Returns the objective with a different penalty strength, reusing features and compiled programs.

        Args:
            penalty: `λ > 0`.

        Returns:
            An objective.

        Raises:
            ArgumentError: unless the number is finite and positive.
        """
        _checks.positive("penalty", penalty)
        return dataclasses.replace(self, strength=jnp.asarray(penalty, self.strength.dtype))

    def outputs(self, w: Array) -> Any:
        """Returns the outputs on the training examples, including `f^(0)`; `(n, outputs)` unless randomized."""
        empirical = self.empirical
        outputs = empirical.prepared.apply(self.model.response, w)
        if empirical.examples.offset is None:
            return outputs
        return outputs + self.features.joined(empirical.examples.offset)

    def mean_outputs(self, w: Array) -> Float[Array, "n outputs"]:
        """Returns `outputs`, or their mean for randomized models; shape `(n, outputs)`."""
        return self.model.mean_output(self.outputs(w))

    def initial_outputs(self) -> Float[Array, "n outputs"]:
        """Returns `f^(0)` on the examples, shape `(n, outputs)`."""
        return initial_outputs(self.empirical.prepared)

    def targets(self) -> Float[Array, "n outputs"]:
        """Returns the targets in the form expected by the loss."""
        return self.features.joined(self.empirical.examples.y)

    def weights(self) -> Float[Array, "n"]:
        """Returns the weights `p_i` of the examples in the risk; `1/n` by default."""
        return self.features.joined(self.empirical.examples.weight)

    def scaled_derivative(self, block: Block, k: int) -> Float[Array, "h b"]:
        """Returns `σ^{(k)}(u)/(k! √m)` of the distinct units on one block of examples."""
        return self.empirical.prepared.features(block, Term(k)).scaled[k]

    def preactivations(self, block: Block) -> Float[Array, "h b"]:
        """Returns `u` of the distinct units on one block of examples, for models that use it."""
        return jnp.asarray(self.empirical.prepared.features(block, self.model.response).u)

    def projections(self, w: Array, block: Block) -> Float[Array, "m b"]:
        """Returns `⟨w_r, x_i⟩` of rank-one displacements on one block of examples."""
        parts = self.empirical.prepared.project(self.model.response, w, block.x)
        return jnp.concatenate([part.reshape(part.shape[0], -1) for part in parts])

    def term(self, k: int, w: Array) -> Float[Array, "n outputs"]:
        """Returns `f^(k)` on the examples, for an order that the model uses; shape `(n, outputs)`."""
        return self.empirical.prepared.term(k, w)

    def moment_matrices(self, coefficients: Float[Array, "n outputs"]) -> Float[Array, "h d d"]:
        """Returns `taylornets.two_layer.moment_matrices` of the examples."""
        return matrices_of(self.empirical.prepared, coefficients)

    def weighted_moments(self, weigh: Any, values: Float[Array, "n ..."]) -> Float[Array, "units d d"]:
        """Returns `taylornets.two_layer.weighted_moments` of the examples."""
        return moments_of(self.empirical.prepared, weigh, values)

    def unit_suprema(self, coefficients: Float[Array, "n outputs"]) -> Float[Array, "m"]:
        """Returns `taylornets.two_layer.unit_suprema` of the examples, for the order of the penalty."""
        return suprema_of(self.empirical.prepared, self.order, coefficients)

    @property
    def natural_norm(self) -> float:
        """Returns the norm of a displacement whose units all have the natural norm: `m^{1/2 - 1/(2k)}/B_x`."""
        return models.natural_norm(self.net, self.order)

    def natural_point(self, key: PRNGKeyArray, scale: float = 1.0) -> Float[Array, "m d"]:
        """Draws a displacement whose units have a norm of about `scale · m^{-1/(2k)}/B_x`, shape `(m, d)`."""
        return models.natural_point(self.net, self.order, key, scale=scale)

    def start(self, key: PRNGKeyArray, rank: int = 1) -> Array:
        """Returns the initial displacement of `taylornets.fit`, zero or random; `(m, d)`, or `(m, R, d)` if `rank > 1`."""
        return self.model.start(self.net, key, rank)


@_programs.program
def _value(objective: Objective, w: Array) -> Array:
    return objective.risk(w) + objective.penalty_value(w)


@_programs.program
def _value_and_gradient(objective: Objective, w: Array) -> tuple[Array, Array]:
    risk, gradient = risk_and_gradient(w, objective.empirical)
    penalty, slope = objective.penalty.value_and_gradient(w, objective.strength)
    return risk + penalty, gradient + slope


@_programs.program
def _hessian_vector_product(objective: Objective, w: Array, direction: Array) -> Array:
    curvature = risk_hessian_vector_product(w, direction, objective.empirical)
    return curvature + objective.penalty.hessian_vector_product(w, direction, objective.strength)
