"""Per-unit suprema of a linear functional of `f^(k)`: the one routine behind dual bounds and Rademacher complexities.

For coefficients `q ∈ R^{n×C}` the functional `Σ_i ⟨q_i, f^(k)(W; x_i)⟩` splits over the units, and a unit contributes at
most `τ_r ‖w_r‖^k` with

    τ_r = max(0, sup_{‖w‖=1} Σ_i ⟨q_i, a_r⟩ σ^{(k)}(u_ir)/(k!√m) ⟨w, x_i⟩^k).

For `k = 1` that is the norm of a vector; for `k = 2` the top eigenvalue of the moment matrix
`M_r(q) = Σ_i ⟨q_i, a_r⟩ σ''(u_ir)/(2√m) x_i x_iᵀ` (theory 5 and 7).
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from taylornets import _checks
from taylornets.two_layer._prepared import Block, Prepared, Term


def moment_matrices(prepared: Prepared, coefficients: Float[Array, "n outputs"]) -> Float[Array, "h d d"]:
    """The matrices `M_r(q)` of the distinct units; the second unit of a pair has `-M_r(q)`.

    Cost: `n (h + 1) d (d+1)/2` multiplications, as one matrix product per block of the upper triangles of `x_i x_iᵀ`.

    Args:
        prepared: features that include order 2.
        coefficients: `q`, shape `(n, outputs)`.

    Returns:
        Symmetric matrices, shape `(h, d, d)` with `h = m/2` for paired units and `h = m` otherwise.

    Source: theory 5.
    """
    d = prepared.net.inputs
    rows, columns = jnp.triu_indices(d)
    packed = _accumulate(prepared, coefficients, 2, lambda x: x[:, rows] * x[:, columns], rows.size)
    full = jnp.zeros((packed.shape[0], d, d), packed.dtype)
    return full.at[:, rows, columns].set(packed).at[:, columns, rows].set(packed)


def unit_suprema(prepared: Prepared, order: int, coefficients: Float[Array, "n outputs"]) -> Float[Array, "m"]:
    """The `τ_r` of all units, for `order` 1 or 2.

    Args:
        prepared: features that include `order`.
        order: `k`, 1 or 2.
        coefficients: `q`, shape `(n, outputs)`.

    Returns:
        `τ`, shape `(m,)`, entries ≥ 0.

    Raises:
        ArgumentError: for another order, where `τ_r` is a tensor norm and has no exact polynomial-time formula.

    Source: theory 5 and 7.
    """
    net = prepared.net
    if order == 1:
        vectors = _accumulate(prepared, coefficients, 1, lambda x: x, net.inputs)
        norms = jnp.linalg.norm(vectors, axis=1)
        return jnp.concatenate([norms, norms]) if net.symmetric else norms
    if order == 2:
        spectra = jnp.linalg.eigvalsh(moment_matrices(prepared, coefficients))
        top = jnp.maximum(spectra[:, -1], 0)
        return jnp.concatenate([top, jnp.maximum(-spectra[:, 0], 0)]) if net.symmetric else top
    raise _checks.ArgumentError("order", "1 or 2", repr(order), "Higher orders lead to tensor norms.")


def _accumulate(prepared: Prepared, coefficients: Array, order: int, lift, columns: int) -> Float[Array, "h p"]:
    """`Σ_i ⟨q_i, a_r⟩ σ^{(k)}(u_ir)/(k!√m) lift(x_i)` over the blocks, for the distinct units."""
    net, term = prepared.net, Term(order)
    distinct = net.width // 2 if net.symmetric else net.width
    signs = net.a[:distinct]

    def body(total: Array, item: tuple[Block, Array]) -> tuple[Array, None]:
        block, q = item
        scaled = prepared.features(block, term).scaled[order]
        return total + ((signs @ q.T) * scaled) @ lift(block.x), None

    start = jnp.zeros((distinct, columns), jnp.result_type(net.w0, coefficients, prepared.blocks.x))
    total, _ = lax.scan(body, start, (prepared.blocks, prepared.per_example(coefficients)))
    return total
