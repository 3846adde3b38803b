"""The function `objective`, which combines a model, a loss and a penalty on validated data."""

import dataclasses
from typing import Any, Literal, cast, overload

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks, losses, models
from taylornets.models import ModelLike
from taylornets.objectives._blocks import SumObjective, blocks_objective
from taylornets.objectives._data import Dataset
from taylornets.objectives._objective import Objective
from taylornets.objectives._orders import orders_of
from taylornets.objectives._risk import EmpiricalRisk
from taylornets.penalties import GroupPenalty
from taylornets.two_layer import HostRows, RowBlocks, TwoLayerNetwork

_LEAST_ROWS = 32  # of a block


@overload
def objective(  # pyright: ignore[reportOverlappingOverload]: a name of a sum is a name of a model
    net: TwoLayerNetwork, x: Any, y: Any, *, model: Literal["linear+quadratic"] | tuple[int, ...],
    loss: str | losses.Loss = ..., penalty: Any, power: Any = ..., chunk_size: int | None = ...,
    key: PRNGKeyArray | None = ..., sample_weight: ArrayLike | None = ...,
) -> SumObjective: ...  # fmt: skip


@overload
def objective(
    net: TwoLayerNetwork, x: Any, y: Any, *, model: ModelLike = ...,
    loss: str | losses.Loss = ..., penalty: Any, power: Any = ..., chunk_size: int | None = ...,
    key: PRNGKeyArray | None = ..., sample_weight: ArrayLike | None = ...,
) -> Objective: ...  # fmt: skip


def objective(
    net: TwoLayerNetwork,
    x: Any,
    y: Any,
    *,
    model: ModelLike | tuple[int, ...] = "quadratic",
    loss: str | losses.Loss = "squared",
    penalty: Any,
    power: Any = 8,
    chunk_size: int | None = None,
    key: PRNGKeyArray | None = None,
    sample_weight: ArrayLike | None = None,
) -> Objective | SumObjective:
    """Returns the penalized risk of a model on data.

    Args:
        net: the network.
        x: examples, shape `(n, d)`. The rows of a memory-mapped array are read in blocks when they are needed, and never
            stored on the device; so are those of an iterable of blocks `(x, y)`, which is iterated once per pass.
        y: targets in the form expected by the loss: `(n,)`, `(n, outputs)` or labels; None for an iterable of blocks.
        model: `"linear"` and `"quadratic"` are the single orders 1 and 2, an integer `k ≥ 1` is the single order `k`
            (each with `f^(0)`, which is zero under symmetric initialization), `"full"` is the network, `"randomized"` the
            exact expected risk of the network under random signs, and `"sampled"` its risk under one draw of the signs (any
            loss; `with_signs` draws new ones). A randomization such as `SignedMoments(3)` is the network under its
            multipliers, penalized with its order; `Signs()` is `"randomized"`. Any response of `taylornets.two_layer`, such
            as `Taylor(4)`, is penalized with `k = 1`. `"linear+quadratic"` or a tuple of orders, such as `(1, 3)`, is the sum
            of these terms, each with its own displacement.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`; of a sum, a number or one for each order, as in `taylornets.fit`.
        power: `p ≥ 2k`; `k` is the order of a term or a randomization, 1 for `"linear"` and `"full"`, 2 for
            `"quadratic"`, `"randomized"` and `"sampled"`. Of a sum as in `taylornets.fit`.
        chunk_size: examples processed at a time, see `TwoLayerNetwork.prepare`; `None` stores the features. Of rows outside
            memory, the number that is read at a time, by default 16 MiB.
        key: JAX random key for the signs of `"sampled"`; by default `jax.random.key(0)`.
        sample_weight: weights `s_i ≥ 0` of the examples, shape `(n,)`; by default all equal. The risk is
            `Σ_i s_i ℓ_i/Σ_i s_i`.

    Returns:
        A differentiable function of `w`, shape `(m, d)`, with value and gradient in the dtype of the network. Of a sum, `w` is
        the tuple of displacements that `taylornets.fit` returns (with `linear_kernel=`, use `taylornets.certify`).

    Raises:
        ArgumentError: for invalid data, labels, names or numbers.

    Source: theory 3; Bai & Lee (2020), section 4.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> risk = tn.objective(net, x, x[:, 0] * x[:, 1], penalty=1e-3)
        >>> jax.grad(risk)(0.1 * net.w0).shape
        (8, 3)
    """
    shared: dict[str, Any] = {
        "loss": loss, "penalty": penalty, "power": power, "chunk_size": chunk_size, "sample_weight": sample_weight,
    }  # fmt: skip
    orders, single = orders_of(model), cast("Any", model)
    if orders is not None:
        return blocks_objective(net, x, y, orders, **shared)
    return single_objective(net, x, y, model=single, key=key, **shared)


def single_objective(
    net: TwoLayerNetwork,
    x: Any,
    y: Any,
    *,
    model: ModelLike = "quadratic",
    loss: str | losses.Loss = "squared",
    penalty: float | Array,
    power: float = 8,
    chunk_size: int | None = None,
    key: PRNGKeyArray | None = None,
    sample_weight: ArrayLike | None = None,
) -> Objective:
    """See `objective`; for models with one displacement."""
    meaning, loss = models.get(model), losses.get(loss)
    _checks.positive("penalty", penalty)
    group_penalty = GroupPenalty(meaning.order, power)
    data = Dataset.checked(net, loss, x, y, sample_weight)
    meaning.check(net, jnp.asarray(data.x.head) if isinstance(data.x, HostRows) else data.x)
    pointwise = meaning.pointwise(loss)
    if meaning.sampled:
        meaning = meaning.redrawn(jax.random.key(0) if key is None else key, net)
    empirical = EmpiricalRisk.of(meaning, net, pointwise, data, chunk_size)
    return Objective(empirical, group_penalty, jnp.asarray(penalty, data.y.dtype))


def in_double(risk: Objective) -> Objective:
    """Returns the same problem in float64, with its features computed anew; call it where `jax.enable_x64` is on.

    Args:
        risk: an objective without a linear block, on examples that are in memory.
    """
    net, x, y, weight, strength = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf,
        (risk.net, risk.x, risk.targets(), risk.weights(), risk.strength),
    )
    blocks = risk.features.blocks
    chunk_size = None if blocks.stored is not None else blocks.x.shape[1]
    empirical = EmpiricalRisk.of(risk.model, net, risk.empirical.pointwise, Dataset(x, y, weight), chunk_size)
    return Objective(empirical, risk.penalty, strength)


def in_smaller_blocks(risk: Objective) -> Objective | None:
    """Returns the same problem with blocks of a quarter of the size and without stored features, or None at the least size."""
    rows = risk.features.blocks.x.shape[1]
    if rows <= _LEAST_ROWS or isinstance(risk.features.blocks.x, RowBlocks):
        return None
    data = Dataset(risk.x, risk.targets(), risk.weights())
    empirical = EmpiricalRisk.of(risk.model, risk.net, risk.empirical.pointwise, data, max(rows // 4, _LEAST_ROWS))
    return dataclasses.replace(risk, empirical=empirical)
