"""Penalized risks as functions of the displacement (theory 3).

    P(W) = (1/n) Σ_i ℓ(f(W; x_i), y_i) + λ ‖W‖_{2,2k}^p

With weights `s_i ≥ 0` of the examples, `s_i/Σ s` stands in place of `1/n`: a weight of 2 is the row twice, a weight of 0 a row
that is absent.

`f` is a single term `f^(0) + f^(k)`, the network, or, for the randomized model, `ℓ` is replaced by its expectation over
random signs. One pass over the blocks of the prepared data gives the value and the gradient: in each block the
projections `V_b = W X_bᵀ` (one matrix product), the risk and its derivative in `V_b` (elementwise, in cache), and
`G += (∂/∂V_b) X_b` (the second product).
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, losses, randomization
from taylornets.penalties import GroupPenalty
from taylornets.two_layer import Full, Prepared, Response, Taylor, Term, TwoLayerNetwork, prepare

_ORDER_OF_MODEL = {"linear": 1, "quadratic": 2, "randomized": 2, "sampled": 2, "full": 1}
MODELS = tuple(_ORDER_OF_MODEL)
Model = str | int | Response | randomization.Randomization


class Examples(NamedTuple):
    """Targets, weights (their sum is 1, on average over minibatches) and `f^(0)`, cut into blocks like the features."""

    y: Float[Array, "blocks b outputs"]
    weight: Float[Array, "blocks b"]
    offset: Float[Array, "blocks b outputs"] | None


class Objective(eqx.Module):
    """The penalized risk `P` as a differentiable function of `w`; made by `taylornets.objective`.

    Call it on `w` of shape `(m, d)` (single terms: also `(m, R, d)`) for the value, a scalar. All JAX transformations
    apply; the gradient in `w` costs one matrix product more than the value, and so does
    `value_and_gradient`, which is the same pass without the transformation.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jnp.eye(3)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> risk = tn.objective(net, x, y, penalty=0.1)
        >>> value, gradient = risk.value_and_gradient(net.w0)
        >>> gradient.shape, bool(jnp.isclose(value, risk(net.w0)))
        ((8, 3), True)
    """

    prepared: Prepared
    response: Response
    pointwise: Any
    examples: Examples
    penalty: GroupPenalty = eqx.field(static=True)
    strength: Float[Array, ""]

    @property
    def order(self) -> int:
        """The order `k` of the penalty's norm."""
        return self.penalty.order

    def __call__(self, w: Array) -> Array:
        """`P(w)`, a scalar."""
        return self.risk(w) + self.penalty.value(w, self.strength)

    def risk(self, w: Array) -> Array:
        """The first term of `P`, a scalar."""
        return _compiled_risk(self.prepared.displacement(w, self.response), self)

    def value_and_gradient(self, w: Array) -> tuple[Array, Array]:
        """`P(w)` and `∇P(w)` in one pass: two matrix products of size `n × m × d`."""
        return _value_and_gradient(self, self.prepared.displacement(w, self.response))

    def hessian_vector_product(self, w: Array, direction: Array) -> Array:
        """`∇²P(w)[direction]`: three matrix products of size `n × m × d`, two of them forward.

        Almost everywhere, where the activation has kinks; see `require_second_derivative`.
        """
        return _hessian_vector_product(self, self.prepared.displacement(w, self.response), direction)

    def require_second_derivative(self) -> None:
        """Refuses networks whose activation has a kink in itself or its slope: almost-everywhere Hessians miss it."""
        activation = self.prepared.net.activation
        smooth = activation.smoothness is None or activation.smoothness >= 2
        if not smooth and not isinstance(self.response, Term | Taylor):
            raise _checks.ArgumentError(
                "activation",
                "two continuous derivatives for Hessians and second-order methods",
                f"{activation.name!r} with {activation.smoothness}",
                "The Hessian almost everywhere misses the curvature of the kinks. Use 'cubic_relu' or a smooth activation, "
                "a first-order method, or the Taylor models, which are polynomials in w.",
            )

    def minibatch(self, key: PRNGKeyArray, size: int) -> "Objective":
        """The same objective on `size` examples drawn without replacement; its mean over draws is this objective.

        Args:
            key: JAX random key.
            size: number of examples, from 1 to `n`.

        Returns:
            An objective whose risk is the average over the drawn examples, each with its weight times `n`. It may be
            formed inside `jax.jit`.

        Raises:
            ArgumentError: for another size.
        """
        prepared = self.prepared
        size = _checks.integer("size", size, 1)
        if size > prepared.examples:
            raise _checks.ArgumentError("size", f"at most the number of examples, {prepared.examples}", str(size))
        chosen = jax.random.choice(key, prepared.examples, (size,), replace=False)
        chunk_size = None if prepared.blocks.stored is not None else min(size, prepared.blocks.x.shape[1])
        x, preactivations = prepared.x[chosen], self.response.preactivations
        drawn = prepare(prepared.net, x, prepared.orders, chunk_size, preactivations=preactivations)

        def cut(values: Array) -> Array:
            return drawn.per_example(values.reshape(-1, *values.shape[2:])[chosen])

        offset = None if self.examples.offset is None else cut(self.examples.offset)
        weight = cut(self.examples.weight) * (prepared.examples / size)
        examples = Examples(cut(self.examples.y), weight, offset)
        return dataclasses.replace(self, prepared=drawn, examples=examples)

    def with_signs(self, key: PRNGKeyArray) -> "Objective":
        """The risk of the network under fresh signs (or multipliers) `s`, `(1/n) Σ_i ℓ(f(sW; x_i), y_i)`, penalty included.

        Its mean over draws is the randomized objective (for the losses that have no closed form: up to that form's error).

        Args:
            key: JAX random key.

        Returns:
            An objective. It may be formed inside `jax.jit`.

        Raises:
            ArgumentError: for models without a randomization.

        Source: theory 2; the algorithm of BL20, section 4, draws so in every step.
        """
        if not isinstance(self.response, randomization.Random):
            came = type(self.response).__name__
            needed = "'randomized', 'sampled' or a randomization, which have something to draw"
            raise _checks.ArgumentError("model", needed, came)
        response = self.response.redrawn(key, self.prepared.net)
        return dataclasses.replace(self, response=response, pointwise=randomization.OfOutputs(self.pointwise.loss))

    def outputs(self, w: Array) -> Any:
        """What the model predicts on the training examples, `f^(0)` included; `(n, outputs)` unless randomized."""
        outputs = self.prepared.apply(self.response, w)
        if self.examples.offset is None:
            return outputs
        return outputs + self.examples.offset.reshape(-1, self.prepared.net.outputs)[: self.prepared.examples]

    def targets(self) -> Float[Array, "n outputs"]:
        """The targets as the loss takes them."""
        return self.examples.y.reshape(-1, self.prepared.net.outputs)[: self.prepared.examples]

    def weights(self) -> Float[Array, "n"]:
        """The weights `p_i` of the examples in the risk; without any, `1/n`."""
        return self.examples.weight.reshape(-1)[: self.prepared.examples]

    def with_weights(self, weight: ArrayLike) -> "Objective":
        """The same objective under other weights of the examples; features are kept and nothing is compiled anew.

        Args:
            weight: `s_i ≥ 0`, not all zero, shape `(n,)`; `s_i/Σ s` is what counts.

        Returns:
            An objective.

        Raises:
            ArgumentError: for another shape, negative weights, NaN, or weights that are all zero.
        """
        weight = normalized_weights(weight, self.prepared.examples, self.examples.weight.dtype)
        return dataclasses.replace(self, examples=self.examples._replace(weight=self.prepared.per_example(weight)))


def normalized_weights(weight: ArrayLike, examples: int, dtype: DTypeLike) -> Float[Array, "n"]:
    """Weights of the examples, divided by their sum.

    Args:
        weight: `s_i ≥ 0`, not all zero, shape `(n,)`.
        examples: `n`.
        dtype: of the result.

    Returns:
        `s_i/Σ s`, shape `(n,)`.

    Raises:
        ArgumentError: for another shape, negative weights, NaN, or weights that are all zero.
    """
    found = _checks.array("sample_weight", weight, (examples,), "One weight for each example of x.").astype(dtype)
    if not isinstance(found, Tracer):
        values = np.asarray(found)
        if values.min() < 0:
            raise _checks.ArgumentError("sample_weight", "weights ≥ 0", f"{values.min():g} among others")
        if not values.any():
            raise _checks.ArgumentError("sample_weight", "at least one weight above 0", "zeros only")
    return found / jnp.sum(found)


def objective(
    net: TwoLayerNetwork,
    x: ArrayLike,
    y: Any,
    *,
    model: Model = "quadratic",
    loss: str | losses.Loss = "squared",
    penalty: float | Array,
    power: float = 8,
    chunk_size: int | None = None,
    key: PRNGKeyArray | None = None,
    sample_weight: ArrayLike | None = None,
) -> Objective:
    """The penalized risk of a model on data.

    Args:
        net: the network.
        x: examples, shape `(n, d)`.
        y: targets as the loss takes them: `(n,)`, `(n, outputs)` or labels.
        model: `"linear"` and `"quadratic"` are the single orders 1 and 2, an integer `k ≥ 1` is the single order `k`
            (each with `f^(0)`, which is zero under symmetric initialization), `"full"` the network, `"randomized"` the
            exact expected risk of the network under random signs, `"sampled"` its risk under one draw of them (any loss;
            `with_signs` draws anew). A randomization such as `SignedMoments(3)` is the network under its multipliers,
            penalized with its order; `Signs()` is `"randomized"`. Any response of `taylornets.two_layer`, such as
            `Taylor(4)`, is penalized with `k = 1`.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`.
        power: `p ≥ 2k`; `k` is the order of a term or a randomization, 1 for `"linear"` and `"full"`, 2 for
            `"quadratic"`, `"randomized"` and `"sampled"`.
        chunk_size: examples handled at a time, see `TwoLayerNetwork.prepare`; `None` keeps the features.
        key: JAX random key of the signs of `"sampled"`; by default `jax.random.key(0)`.
        sample_weight: weights `s_i ≥ 0` of the examples, shape `(n,)`; by default all equal. The risk is
            `Σ_i s_i ℓ_i/Σ_i s_i`.

    Returns:
        A differentiable function of `w`, shape `(m, d)`, with value and gradient in the dtype of the network.

    Raises:
        ArgumentError: for data, labels, names or numbers that do not fit.

    Source: theory 3; BL20 section 4.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> risk = tn.objective(net, x, x[:, 0] * x[:, 1], penalty=1e-3)
        >>> jax.grad(risk)(0.1 * net.w0).shape
        (8, 3)
    """
    if isinstance(model, randomization.Randomization):
        order = model.order
        model.check(net, None, jnp.asarray(x))
    elif isinstance(model, Response):
        order = 1
    elif not isinstance(model, str):
        order = _checks.integer("model", model, 1, f"Or one of {', '.join(map(repr, MODELS))}.")
    else:
        order = _ORDER_OF_MODEL[_checks.choice("model", model, MODELS)]
    loss = losses.get(loss)
    _checks.positive("penalty", penalty)
    group_penalty = GroupPenalty(order, power)
    x = _checks.array("x", x, ("n", net.inputs))
    targets = loss.prepare_targets(y, net.outputs, dtype=net.a.dtype)
    _checks.array("y", targets, (x.shape[0], net.outputs), "One target for each example of x.")
    response, pointwise, orders = _response(model, order, loss, net, jax.random.key(0) if key is None else key)
    prepared = prepare(net, x, orders, chunk_size, preactivations=response.preactivations)
    offset = (
        None
        if net.symmetric or not isinstance(response, Term)
        else prepared.per_example(net.term(0, jnp.zeros_like(net.w0), x))
    )
    n, dtype = x.shape[0], targets.dtype
    weight = jnp.full((n,), 1 / n, dtype) if sample_weight is None else normalized_weights(sample_weight, n, dtype)
    examples = Examples(prepared.per_example(targets), prepared.per_example(weight), offset)
    strength = jnp.asarray(penalty, targets.dtype)
    return Objective(prepared, response, pointwise, examples, group_penalty, strength)


def _response(
    model: Model,
    order: int,
    loss: losses.Loss,
    net: TwoLayerNetwork,
    key: PRNGKeyArray,
) -> tuple[Response, Any, tuple[int, ...]]:
    if isinstance(model, randomization.Randomization):
        return model.response, randomization.example_expectation(loss, model), ()
    if isinstance(model, Response):
        return model, randomization.OfOutputs(loss), model.orders
    if model == "full":
        return Full(), randomization.OfOutputs(loss), ()
    if model == "randomized":
        return randomization.SignMoments(), randomization.example_expectation(loss, randomization.Signs()), ()
    if model == "sampled":
        return randomization.SampledSigns.draw(key, net), randomization.OfOutputs(loss), ()
    return Term(order), randomization.OfOutputs(loss), (order,)


def _block_risk(v: Array, item: tuple[Any, Examples], objective: Objective) -> Array:
    """Weighted losses of one block, summed, from its projections."""
    block, examples = item
    prepared = objective.prepared
    outputs = objective.response(prepared.net, prepared.features(block, objective.response), v)
    if examples.offset is not None:
        outputs = outputs + examples.offset.T
    return jnp.sum(examples.weight * objective.pointwise(outputs, examples.y))


def _plain_risk(w: Array, objective: Objective) -> Array:
    """The risk as an ordinary scan: what every transformation other than the gradient in `w` sees."""
    prepared = objective.prepared

    @jax.checkpoint
    def body(total: Array, item: tuple[Any, Examples]) -> tuple[Array, None]:
        v = prepared.project(objective.response, w, item[0].x)
        return total + _block_risk(v, item, objective), None

    start = jnp.zeros((), jnp.result_type(w, prepared.blocks.x))
    return lax.scan(body, start, (prepared.blocks, objective.examples))[0]


def _risk_and_gradient(w: Array, objective: Objective) -> tuple[Array, Array]:
    """Value and gradient in one pass over the blocks."""
    prepared = objective.prepared

    def body(carry: tuple[Array, Array], item: tuple[Any, Examples]) -> tuple[tuple[Array, Array], None]:
        total, gradient = carry
        x = item[0].x
        v = prepared.project(objective.response, w, x)
        value, slope = jax.value_and_grad(_block_risk)(v, item, objective)
        return (total + value, gradient + slope.reshape(-1, x.shape[0]) @ x), None

    dtype = jnp.result_type(w, prepared.blocks.x)
    start = (jnp.zeros((), dtype), jnp.zeros((w.size // w.shape[-1], w.shape[-1]), dtype))
    (value, gradient), _ = lax.scan(body, start, (prepared.blocks, objective.examples))
    return value, gradient.reshape(w.shape)


@eqx.filter_jit
def _value_and_gradient(objective: Objective, w: Array) -> tuple[Array, Array]:
    risk, gradient = _risk_and_gradient(w, objective)
    penalty, slope = objective.penalty.value_and_gradient(w, objective.strength)
    return risk + penalty, gradient + slope


@eqx.filter_jit
def _hessian_vector_product(objective: Objective, w: Array, direction: Array) -> Array:
    """One pass: `V_b` and its change `dV_b` (two products), the slope's derivative along it, and `H += (...) X_b`."""
    prepared = objective.prepared
    rows = direction.reshape(-1, direction.shape[-1])

    def body(total: Array, item: tuple[Any, Examples]) -> tuple[Array, None]:
        x = item[0].x
        v = prepared.project(objective.response, w, x)
        change = (rows @ x.T).reshape(v.shape)
        slope = jax.grad(lambda point: _block_risk(point, item, objective))
        return total + jax.jvp(slope, (v,), (change,))[1].reshape(-1, x.shape[0]) @ x, None

    start = jnp.zeros_like(rows, jnp.result_type(w, prepared.blocks.x))
    total, _ = lax.scan(body, start, (prepared.blocks, objective.examples))
    return total.reshape(w.shape) + objective.penalty.hessian_vector_product(w, direction, objective.strength)


@eqx.filter_custom_jvp
def _risk(w: Array, objective: Objective) -> Array:
    return _plain_risk(w, objective)


@_risk.def_jvp
def _risk_jvp(primals: tuple[Array, Objective], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    # In the displacement alone (training, Hessians) the gradient of the single pass is the derivative; transposed, it
    # costs nothing more. Any other direction (data, initial weights, targets) goes through the ordinary scan.
    w, objective = primals
    dw, dobjective = tangents
    if dw is not None and not jax.tree.leaves(dobjective):
        value, gradient = _risk_and_gradient(w, objective)
        return value, jnp.vdot(gradient, dw)
    return eqx.filter_jvp(_plain_risk, primals, tangents)


@eqx.filter_jit
def _compiled_risk(w: Array, objective: Objective) -> Array:
    return _risk(w, objective)
