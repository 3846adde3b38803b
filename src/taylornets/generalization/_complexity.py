"""Empirical Rademacher complexities: exact for orders 1 and 2, lower and upper bounds for orders ≥ 3 (theory 7)."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, _devices
from taylornets.two_layer import Prepared, TwoLayerNetwork, prepare, unit_brackets, unit_suprema


class Rademacher(NamedTuple):
    """An empirical Rademacher complexity.

    Attributes:
        mean: average over the sampled signs of the exact suprema (orders 1 and 2) or of their lower bounds (orders ≥ 3).
        standard_error: standard error of `mean`.
        draws: number of sign vectors.
        lower: average of lower bounds on the suprema, attained at explicit weights; equal to `mean`.
        upper: average of upper bounds on the suprema; equal to `mean` for orders 1 and 2.
    """

    mean: Float[Array, ""]
    standard_error: Float[Array, ""]
    draws: int
    lower: Float[Array, ""]
    upper: Float[Array, ""]


@_devices.exact
def rademacher(
    net: TwoLayerNetwork,
    x: ArrayLike,
    *,
    order: int,
    radius: float,
    draws: int = 100,
    key: PRNGKeyArray,
    chunk_size: int | None = None,
) -> Rademacher:
    """The empirical Rademacher complexity `E_ε sup_{‖W‖_{2,2k} ≤ B} (1/n) Σ_i ⟨ε_i, f^(k)(W; x_i)⟩`.

    The supremum is exact for each `ε`: a norm of vectors for `k = 1`, top eigenvalues of moment matrices for `k = 2`. For
    `k ≥ 3` it involves norms of symmetric tensors, which are bounded from below by power iteration and from above by
    matricization.

    Args:
        net: the network; with several outputs, `ε` has a sign for each.
        x: examples, shape `(n, d)`.
        order: `k ≥ 1`.
        radius: `B > 0`, the radius of the ball in the norm `group_norm(w, order)`.
        draws: number of sign vectors `ε`, at least 2.
        key: JAX random key for the signs.
        chunk_size: see `TwoLayerNetwork.prepare`.

    Returns:
        Mean over the draws and its standard error, in units of the network output. For orders ≥ 3 the mean is that of the
        lower bounds, and `lower` and `upper` hold both bounds.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 7.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> found = tn.generalization.rademacher(net, x, order=2, radius=1.0, draws=50, key=jax.random.key(2))
        >>> bool(found.mean > 5 * found.standard_error)
        True
    """
    draws, order = _checks.integer("draws", draws, 2), _checks.integer("order", order, 1)
    _checks.positive("radius", radius)
    if order > 2:
        prepared = prepare(net, x, (order,), chunk_size)
        lower, upper = _brackets(prepared, order, _drawn(prepared, draws, key)) * radius**order
    else:
        prepared = prepare_order(net, x, order, chunk_size)
        lower = upper = drawn_suprema(prepared, order, draws, key) * radius**order
    return Rademacher(lower.mean(), lower.std(ddof=1) / jnp.sqrt(draws), draws, lower.mean(), upper.mean())


@_devices.exact
def suprema(
    net: TwoLayerNetwork,
    x: ArrayLike,
    signs: ArrayLike,
    *,
    order: int,
    radius: float,
    chunk_size: int | None = None,
) -> Float[Array, "draws"]:
    """The suprema `sup_{‖W‖_{2,2k} ≤ B} (1/n) Σ_i ⟨ε_i, f^(k)(W; x_i)⟩` for given `ε`.

    Args:
        net: the network.
        x: examples, shape `(n, d)`.
        signs: `ε`, shape `(draws, n)`, or `(draws, n, outputs)` for several outputs; any real values are
            allowed, for example all `2^n` sign vectors.
        order: `k`, 1 or 2.
        radius: `B > 0`.
        chunk_size: see `TwoLayerNetwork.prepare`.

    Returns:
        The suprema, shape `(draws,)`.

    Raises:
        ArgumentError: for invalid arguments, and for orders ≥ 3.

    Source: theory 7.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork(jnp.ones((1, 1)), jnp.ones((1, 1)), tn.activations.get("cubic_relu"))
        >>> float(suprema(net, jnp.ones((1, 1)), jnp.ones((1, 1)), order=2, radius=2.0)[0])  # f² = w²/2
        2.0
    """
    prepared = prepare_order(net, x, order, chunk_size)
    _checks.positive("radius", radius)
    n, outputs = prepared.examples, net.outputs
    if jnp.ndim(signs) == 2 and outputs == 1:
        signs = jnp.asarray(signs)[..., None]
    signs = _checks.array("signs", signs, ("draws", n, outputs))
    return _suprema(prepared, order, signs.astype(net.w0.dtype)) * radius**order


def prepare_order(net: TwoLayerNetwork, x: ArrayLike, order: int, chunk_size: int | None = None) -> Prepared:
    """Prepares the features of one order; raises if the supremum has no exact formula."""
    order = _checks.integer("order", order, 1)
    if order > 2:
        raise _checks.ArgumentError(
            "order", "1 or 2, for which the supremum is exact", str(order), "For orders ≥ 3 it is a tensor norm."
        )
    return prepare(net, x, (order,), chunk_size)


def drawn_suprema(prepared: Prepared, order: int, draws: int, key: PRNGKeyArray) -> Float[Array, "draws"]:
    """The suprema over the unit ball for random signs."""
    return _suprema(prepared, order, _drawn(prepared, draws, key))


def _drawn(prepared: Prepared, draws: int, key: PRNGKeyArray) -> Float[Array, "draws n outputs"]:
    return jax.random.rademacher(key, (draws, prepared.examples, prepared.net.outputs), prepared.net.w0.dtype)


@eqx.filter_jit
def _brackets(prepared: Prepared, order: int, signs: Float[Array, "draws n outputs"]) -> Float[Array, "2 draws"]:
    """Lower and upper bounds on the suprema over the unit ball."""

    def one(epsilon: Array) -> Array:
        return jnp.stack([jnp.linalg.norm(end) for end in unit_brackets(prepared, order, epsilon)])

    return lax.map(one, signs).T / signs.shape[1]


@eqx.filter_jit
def _suprema(prepared: Prepared, order: int, signs: Float[Array, "draws n outputs"]) -> Float[Array, "draws"]:
    return lax.map(lambda epsilon: jnp.linalg.norm(unit_suprema(prepared, order, epsilon)), signs) / signs.shape[1]


def operator_norm_ratio(x: ArrayLike) -> Float[Array, ""]:
    """`M_op = B_x^{-1} ‖(1/n) Σ_i x_i x_iᵀ‖_op^{1/2}` with `B_x = max_i ‖x_i‖`.

    The ratio lies between `1/√d` (isotropic inputs) and 1 (collinear inputs). It is the factor by which the complexity of the
    quadratic model is below that of the NTK.

    Args:
        x: examples, shape `(n, d)`, not all zero.

    Returns:
        The dimensionless ratio.

    Raises:
        ArgumentError: for data of the wrong shape, or all zero.

    Source: theory 7; Bai & Lee (2020), section 4.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> round(float(tn.generalization.operator_norm_ratio(jnp.eye(4))), 4)
        0.5
    """
    return ratio_of(_checks.array("x", x, ("n", "d")))


def ratio_of(x: Float[Array, "n d"]) -> Float[Array, ""]:
    """Computes `operator_norm_ratio` of checked examples."""
    size = jnp.max(jnp.linalg.norm(x, axis=1))
    if not isinstance(size, Tracer) and float(size) == 0:
        raise _checks.ArgumentError("x", "at least one nonzero example", "zeros only")
    x = x / size
    return jnp.sqrt(jnp.linalg.eigvalsh(x.T @ x)[-1] / x.shape[0])
