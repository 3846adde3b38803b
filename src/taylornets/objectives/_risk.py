"""The empirical risk of a model, computed in passes over the blocks of the prepared data.

One pass computes the value and the gradient. Each block forms the projections `V_b = W X_bᵀ` (one matrix product), the risk
and its derivative in `V_b` (elementwise, in cache), and `G += (∂/∂V_b) X_b` (the second product). On an accelerator there is
one block, and the response is evaluated again for the derivative: the only arrays of size `n × m` are `V` and `∂/∂V`.
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, _devices, _programs
from taylornets.models import Model
from taylornets.objectives._data import Dataset
from taylornets.two_layer import (
    Network,
    Prepared,
    Projections,
    Response,
    RowBlocks,
    Term,
    fold_blocks,
    prepare_checked,
)


def evaluates_again(response: Response) -> bool:
    """Returns whether the whole layout evaluates a response again for its derivative, instead of storing its factors.

    With several activations, evaluation is faster than memory on a GPU; with a single one it is not (`benchmarks/gpu.py`).
    """
    return response.preactivations or len(response.orders) > 1


class Examples(NamedTuple):
    """Targets, weights (which sum to 1, for minibatches in expectation) and `f^(0)`, in blocks like the features."""

    y: Float[Array, "blocks b outputs"]
    weight: Float[Array, "blocks b"]
    offset: Float[Array, "blocks b outputs"] | None


class EmpiricalRisk(eqx.Module):
    """The weighted mean of the losses: the model, its features on the data, and the targets.

    Attributes:
        model: the model.
        prepared: the features.
        pointwise: the loss of each example as a function of the response.
        examples: targets and weights.
    """

    model: Model
    prepared: Prepared
    pointwise: Any
    examples: Examples

    @classmethod
    def of(cls, model: Model, net: Network, pointwise: Any, data: Dataset, chunk_size: int | None) -> "EmpiricalRisk":
        """Creates the risk of a model on validated data."""
        response = model.response
        prepared = prepare_checked(net, data.x, response.orders, chunk_size, preactivations=response.preactivations)
        has_offset = isinstance(response, Term) and not net.symmetric
        offset = prepared.per_example(initial_outputs(prepared)) if has_offset else None
        examples = Examples(prepared.per_example(data.y), prepared.per_example(data.weight), offset)
        return cls(model, prepared, pointwise, examples)

    @property
    def response(self) -> Response:
        """The model as an elementwise function of the projections."""
        return self.model.response

    def minibatch(self, key: PRNGKeyArray, size: int) -> "EmpiricalRisk":
        """See `Objective.minibatch`."""
        prepared = self.prepared
        size = _checks.integer("size", size, 1)
        if size > prepared.examples:
            raise _checks.ArgumentError("size", f"at most the number of examples, {prepared.examples}", str(size))
        chosen = jax.random.choice(key, prepared.examples, (size,), replace=False)
        chunk_size = None if prepared.blocks.stored is not None else min(size, prepared.blocks.x.shape[1])
        x, preactivations = _chosen_rows(prepared, chosen), self.response.preactivations
        drawn = prepare_checked(prepared.net, x, prepared.orders, chunk_size, preactivations, prepared.layout)

        def cut(values: Array) -> Array:
            return drawn.per_example(prepared.joined(values)[chosen])

        offset = None if self.examples.offset is None else cut(self.examples.offset)
        weight = cut(self.examples.weight) * (prepared.examples / size)
        examples = Examples(cut(self.examples.y), weight, offset)
        return dataclasses.replace(self, prepared=drawn, examples=examples)


def initial_outputs(prepared: Prepared) -> Float[Array, "n outputs"]:
    """Returns `f^(0)` on the examples."""
    net = prepared.net
    if not isinstance(prepared.blocks.x, RowBlocks):
        prepared = prepare_checked(net, prepared.x, (0,), None)
    return prepared.apply(Term(0), jnp.zeros_like(net.w0))


def _chosen_rows(prepared: Prepared, chosen: Array) -> Float[Array, "size d"]:
    """Returns the examples of these numbers; sources of blocks, which have no random access, raise."""
    blocks = prepared.blocks.x
    return blocks.take(chosen) if isinstance(blocks, RowBlocks) else prepared.x[chosen]


def _block_risk(v: Projections, item: tuple[Any, Examples], risk: EmpiricalRisk) -> Array:
    """Sums the weighted losses of one block, given its projections."""
    block, examples = item
    prepared = risk.prepared

    def respond(v: Projections) -> Any:
        return risk.response(prepared.net, prepared.features(block, risk.response), v)

    recomputed = prepared.layout == _devices.WHOLE and evaluates_again(risk.response)
    outputs = jax.checkpoint(respond)(v) if recomputed else respond(v)
    if examples.offset is not None:
        outputs = outputs + examples.offset.T
    return jnp.sum(examples.weight * risk.pointwise(outputs, examples.y))


def _plain_risk(w: Array, risk: EmpiricalRisk) -> Array:
    """Computes the risk as an ordinary scan, used by every transformation other than the gradient in `w`."""
    prepared = risk.prepared

    @jax.checkpoint
    def add(total: Array, item: tuple[Any, Examples]) -> Array:
        v = prepared.project(risk.response, w, item[0].x)
        return total + _block_risk(v, item, risk)

    return fold_blocks(add, jnp.zeros((), _sum_dtype(w, risk)), (prepared.blocks, risk.examples))


def risk_and_gradient(w: Array, risk: EmpiricalRisk) -> tuple[Array, Array]:
    """Computes value and gradient in one pass over the blocks."""
    prepared = risk.prepared

    def add(carry: tuple[Array, Array], item: tuple[Any, Examples]) -> tuple[Array, Array]:
        total, gradient = carry
        x = item[0].x
        v = prepared.project(risk.response, w, x)
        value, slope = jax.value_and_grad(_block_risk)(v, item, risk)
        return total + value, gradient + prepared.collect(risk.response, slope, x)

    dtype = _sum_dtype(w, risk)
    start = (jnp.zeros((), dtype), jnp.zeros((w.size // w.shape[-1], w.shape[-1]), dtype))
    value, gradient = fold_blocks(add, start, (prepared.blocks, risk.examples))
    return value, gradient.reshape(w.shape)


def _sum_dtype(w: Array, risk: EmpiricalRisk) -> Any:
    """The dtype of sums over examples: float32 for data of half precision."""
    return _devices.wide(jnp.result_type(w, risk.prepared.blocks.x.dtype))


def risk_hessian_vector_product(w: Array, direction: Array, risk: EmpiricalRisk) -> Array:
    """Computes in one pass `V_b` and its tangent `dV_b` (two products), the derivative of the slope, and `H += (...) X_b`."""
    prepared = risk.prepared

    def add(total: Array, item: tuple[Any, Examples]) -> Array:
        x = item[0].x
        v = prepared.project(risk.response, w, x)
        change = prepared.project(risk.response, direction, x, direction=True)
        slope = jax.grad(lambda point: _block_risk(point, item, risk))
        return total + prepared.collect(risk.response, jax.jvp(slope, (v,), (change,))[1], x)

    start = jnp.zeros((w.size // w.shape[-1], w.shape[-1]), _sum_dtype(w, risk))
    return fold_blocks(add, start, (prepared.blocks, risk.examples)).reshape(w.shape)


@eqx.filter_custom_jvp
def _risk(w: Array, risk: EmpiricalRisk) -> Array:
    return _plain_risk(w, risk)


@_risk.def_jvp
def _risk_jvp(primals: tuple[Array, EmpiricalRisk], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    # With respect to the displacement alone (training, Hessians), the derivative is the gradient from the single pass, and its
    # transpose costs nothing more. Derivatives in data, initial weights or targets use the ordinary scan.
    w, risk = primals
    dw, drisk = tangents
    if dw is not None and not jax.tree.leaves(drisk):
        value, gradient = risk_and_gradient(w, risk)
        return value, jnp.vdot(gradient, dw)
    return eqx.filter_jvp(_plain_risk, primals, tangents)


@_programs.program
def compiled_risk(w: Array, risk: EmpiricalRisk) -> Array:
    """Computes the risk at `w`, a scalar; its derivative in `w` costs one pass."""
    return _risk(w, risk)
