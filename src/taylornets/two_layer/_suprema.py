"""Per-unit suprema of a linear functional of `f^(k)`, used for dual bounds and Rademacher complexities.

For coefficients `q ∈ R^{n×C}` the functional `Σ_i ⟨q_i, f^(k)(W; x_i)⟩` is a sum over the units, and a unit contributes
at most `τ_r ‖w_r‖^k` with

    τ_r = max(0, sup_{‖w‖=1} Σ_i ⟨q_i, a_r⟩ σ^{(k)}(u_ir)/(k!√m) ⟨w, x_i⟩^k).

For `k = 1` that is the norm of a vector; for `k = 2` the top eigenvalue of the moment matrix
`M_r(q) = Σ_i ⟨q_i, a_r⟩ σ''(u_ir)/(2√m) x_i x_iᵀ` (theory 5 and 7).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from taylornets import _checks, _devices
from taylornets.two_layer._passes import first_block, fold_blocks
from taylornets.two_layer._prepared import Block, Prepared
from taylornets.two_layer._responses import Term

# Maps a block and its rows of a per-example array to the weights of its examples in each unit's sum, shape (units, b).
Weigh = Callable[[Block, Array], Array]
# Up to this many units, one product per unit is cheaper than sharing the upper triangles of `x_i x_iᵀ`.
_FEW_UNITS = 16


@_devices.exact
def moment_matrices(prepared: Prepared, coefficients: Float[Array, "n outputs"]) -> Float[Array, "h d d"]:
    """Returns the matrices `M_r(q)` of the distinct units; the second unit of a pair has `-M_r(q)`.

    Args:
        prepared: features that include order 2.
        coefficients: `q`, shape `(n, outputs)`.

    Returns:
        Symmetric matrices, shape `(h, d, d)` with `h = m/2` for paired units and `h = m` otherwise.

    Source: theory 5.
    """
    return weighted_moments(prepared, term_weights(prepared, 2), coefficients)


@_devices.exact
def moment_vectors(prepared: Prepared, coefficients: Float[Array, "n outputs"]) -> Float[Array, "h d"]:
    """Returns `Σ_i ⟨q_i, a_r⟩ σ'(u_ir)/√m x_i` of the distinct units; the second unit of a pair has the negative.

    Of all units, this is the gradient of `Σ_i ⟨q_i, f^(1)(W; x_i)⟩`.

    Args:
        prepared: features that include order 1.
        coefficients: `q`, shape `(n, outputs)`.

    Returns:
        Vectors, shape `(h, d)`.
    """
    weigh = term_weights(prepared, 1)
    return _accumulate(prepared, lambda block, rows: weigh(block, rows) @ block.x, coefficients)


@_devices.exact
def weighted_moments(prepared: Prepared, weigh: Weigh, values: Float[Array, "n ..."]) -> Float[Array, "units d d"]:
    """Computes `Σ_i c_ri x_i x_iᵀ` for every unit, with weights `c` that are computed block by block.

    Cost: `n (units + 1) d (d+1)/2` multiplications, as one matrix product per block with the upper triangles of `x_i x_iᵀ`; for
    up to 16 units `n units d²`, as one product per unit.

    Args:
        prepared: the data.
        weigh: maps a block and its rows of `values` to the weights `c`, shape `(units, b)`.
        values: an array with one row per example.

    Returns:
        Symmetric matrices, shape `(units, d, d)`.
    """
    d = prepared.net.inputs
    weights = jax.eval_shape(lambda: weigh(*_first(prepared, values)))
    if weights.shape[0] <= _FEW_UNITS:
        return _accumulate(prepared, lambda block, rows: _products(block.x, weigh(block, rows)), values)
    rows, columns = jnp.triu_indices(d)
    # The products x_i x_j of all examples of a block are computed in groups of columns that fit into memory.
    size = prepared.blocks.x.shape[1]
    limit = _devices.block_limit(prepared.net.w0, bytes_per_example=size * prepared.net.w0.dtype.itemsize)
    groups = -(-rows.size // max(limit, d))

    def triangles(block: Block, row: Array) -> Array:
        c = weigh(block, row)
        if groups == 1:
            return c @ (block.x[:, rows] * block.x[:, columns])
        padded = [jnp.pad(side, (0, -rows.size % groups)).reshape(groups, -1) for side in (rows, columns)]
        found = lax.map(lambda pair: c @ (block.x[:, pair[0]] * block.x[:, pair[1]]), tuple(padded))
        return jnp.moveaxis(found, 0, 1).reshape(c.shape[0], -1)[:, : rows.size]

    packed = _accumulate(prepared, triangles, values)
    full = jnp.zeros((packed.shape[0], d, d), packed.dtype)
    return full.at[:, rows, columns].set(packed).at[:, columns, rows].set(packed)


@_devices.exact
def unit_suprema(prepared: Prepared, order: int, coefficients: Float[Array, "n outputs"]) -> Float[Array, "m"]:
    """Computes the `τ_r` of all units, for `order` 1 or 2.

    Args:
        prepared: features that include `order`.
        order: `k`, 1 or 2.
        coefficients: `q`, shape `(n, outputs)`.

    Returns:
        `τ`, shape `(m,)`, entries ≥ 0.

    Raises:
        ArgumentError: for any other order, where `τ_r` is a tensor norm without an exact polynomial-time formula.

    Source: theory 5 and 7.
    """
    net = prepared.net
    if order == 1:
        return net.both_halves(jnp.linalg.norm(moment_vectors(prepared, coefficients), axis=1))
    if order == 2:
        spectra = prepared.eigvalsh(moment_matrices(prepared, coefficients))
        top = jnp.maximum(spectra[:, -1], 0)
        return net.both_halves(top, jnp.maximum(-spectra[:, 0], 0))
    raise _checks.ArgumentError("order", "1 or 2", repr(order), "For higher orders these are NP-hard tensor norms.")


def term_weights(prepared: Prepared, order: int) -> Weigh:
    """Returns `⟨q_i, a_r⟩ σ^{(k)}(u_ir)/(k!√m)` of the distinct units."""
    net, term = prepared.net, Term(order)
    return lambda block, q: (net.signs @ q.T) * prepared.features(block, term).scaled[order]


def _products(x: Float[Array, "b d"], weights: Float[Array, "units b"]) -> Float[Array, "units d d"]:
    """Computes `Σ_i c_ri x_i x_iᵀ` of one block, unit by unit."""
    return jnp.einsum("rb,bd,be->rde", weights, x, x, optimize=[(0, 1), (0, 1)])


def _first(prepared: Prepared, values: Array) -> tuple[Block, Array]:
    """Returns the first block and its rows."""
    return first_block((prepared.blocks, prepared.per_example(values)))


def _accumulate(prepared: Prepared, one: Callable[[Block, Array], Array], values: Array) -> Array:
    """Sums a function of each block and its rows of `values` over the blocks."""
    blocks = (prepared.blocks, prepared.per_example(values))
    start = jnp.zeros_like(jax.eval_shape(lambda: one(*_first(prepared, values))))
    return fold_blocks(lambda total, item: total + one(*item), start, blocks)
