"""Bounds on the Rademacher complexities with explicit constants (theory 7).

**Order 1.** `Σ_r τ_r² = ‖(1/n) Σ_i ε_i ∇f(x_i)‖²`, so by Jensen `E ‖τ‖ ≤ (1/n) (tr K)^{1/2}`. Here `K` is the NTK Gram
matrix, and `tr K = Σ_i ‖x_i‖² s_i²` with `s_i² = m^{-1} Σ_r ‖a_r‖² σ'(u_ir)²`.

**Order 2.** `τ_r = max(0, λ_max(Σ_i ε_i A_ri))` with `A_ri = a_r σ''(u_ir)/(2n√m) x_i x_iᵀ`. Tropp's bound for a Rademacher
series of symmetric `d × d` matrices, `P(λ_max ≥ t) ≤ d exp(-t²/(2 v))` with `v = ‖Σ_i A_ri²‖_op`, gives

    E τ_r² = ∫_0^∞ P(τ_r² ≥ s) ds ≤ ∫_0^∞ min(1, d e^{-s/(2 v_r)}) ds = 2 v_r (1 + log d),
    v_r = (4 m n²)^{-1} ‖Σ_i ‖a_r‖² σ''(u_ir)² ‖x_i‖² x_i x_iᵀ‖_op,

and by Jensen `E ‖τ‖ ≤ (2 (1 + log d) Σ_r v_r)^{1/2}`, the field `value` (`d` may be replaced by the rank of the data, at
most `n`; with several outputs `A_ri` is a sum over outputs with independent signs, hence `‖a_r‖²`). Bounding
`σ''² ‖x_i‖²` by its maximum over the examples gives the form of Bai & Lee (2020, section 4),

    E ‖τ‖ ≤ S (2 (1 + log d))^{1/2}/2 · B_x² M_op/√n,      S² = m^{-1} Σ_r ‖a_r‖² max_i σ''(u_ir)²,

the field `operator_norm_form`; its order-1 counterpart is `S B_x/√n` with `S² = m^{-1} Σ_r ‖a_r‖² max_i σ'(u_ir)²`. All
bounds are multiplied by `B^k`.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from taylornets import _checks, _devices
from taylornets.generalization._complexity import prepare_order, ratio_of
from taylornets.two_layer import Block, Prepared, Term, TwoLayerNetwork, weighted_moments


class ComplexityBound(NamedTuple):
    """An upper bound on a Rademacher complexity, with its components.

    Attributes:
        value: the bound, computed from network and data.
        operator_norm_form: the weaker closed form `constant · B^k B_x^k M/√n`, with `M = M_op` for order 2,
            `M = 1` for order 1.
        constant: the constant of the closed form.
        operator_norm_ratio: `M_op`.
        input_norm: `B_x = max_i ‖x_i‖`.
    """

    value: Float[Array, ""]
    operator_norm_form: Float[Array, ""]
    constant: Float[Array, ""]
    operator_norm_ratio: Float[Array, ""]
    input_norm: Float[Array, ""]


@_devices.exact
def bound(
    net: TwoLayerNetwork, x: ArrayLike, *, order: int, radius: float, chunk_size: int | None = None
) -> ComplexityBound:
    """Bounds the Rademacher complexity of `f^(k)` over `‖W‖_{2,2k} ≤ B`.

    The bound is at least the expectation that `rademacher` estimates.

    Args:
        net: the network.
        x: examples, shape `(n, d)`, not all zero.
        order: `k`, 1 or 2.
        radius: `B > 0`.
        chunk_size: see `TwoLayerNetwork.prepare`.

    Returns:
        The bound in two forms, with its constants.

    Raises:
        ArgumentError: for invalid arguments, and for orders ≥ 3.

    Source: theory 7; Tropp, "User-friendly tail bounds for sums of random matrices" (2012), theorem 1.2; Bai & Lee (2020),
    section 4, for the form of order 2.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> found = tn.generalization.rademacher(net, x, order=2, radius=1.0, key=jax.random.key(2))
        >>> bool(found.mean <= tn.generalization.bound(net, x, order=2, radius=1.0).value)
        True
    """
    prepared = prepare_order(net, x, order, chunk_size)
    _checks.positive("radius", radius)
    ratio = ratio_of(prepared.x)
    second_moment, steepest = _second_moment(prepared, order)
    n, d = prepared.x.shape
    size = jnp.max(jnp.linalg.norm(prepared.x, axis=1))
    scale = radius**order
    tail = math.sqrt(2 * (1 + math.log(min(n, d)))) / 2 if order == 2 else 1.0
    constant = steepest * tail
    form = constant * size**order / math.sqrt(n) * (ratio if order == 2 else 1)
    return ComplexityBound(tail * jnp.sqrt(second_moment) * scale, form * scale, constant, ratio, size)


@eqx.filter_jit
def _second_moment(prepared: Prepared, order: int) -> tuple[Array, Array]:
    """`tr K/n²` for order 1 or `4 Σ_r v_r` for order 2, and `S`."""
    net, term = prepared.net, Term(order)
    lengths = jnp.sum(net.signs**2, axis=1)
    # Features are σ^{(k)}(u)/(k!√m), so the squares of `k!` times the features contain the factor 1/m.
    factor = math.factorial(order)

    def weigh(block: Block, squares: Array) -> Array:
        slopes = factor * prepared.features(block, term).scaled[order]
        return lengths[:, None] * slopes**2 * squares

    squares = jnp.sum(prepared.x**2, axis=1)
    if order == 1:
        moments = weighted_moments(prepared, weigh, jnp.ones_like(squares))
        total = jnp.sum(jnp.trace(moments, axis1=1, axis2=2))
    else:
        total = jnp.sum(prepared.eigvalsh(weighted_moments(prepared, weigh, squares))[:, -1])
    slopes = net.activation.derivative(order)(prepared.x @ net.w0[: net.pairs].T)
    steepest = jnp.sqrt(jnp.mean(lengths * jnp.max(slopes**2, axis=0)))
    return net.halves * total / prepared.examples**2, steepest
