"""Lower and upper bounds on per-unit suprema for orders k ≥ 3, where they are norms of symmetric tensors (theory 7).

Lower bound: `g_r(w) = Σ_i c_ri ⟨w, x_i⟩^k` at a unit `w`, found by shifted symmetric power iteration (Kolda and Mayo 2011) from
many starts; the shift makes every step an ascent. Upper bound: for the monomials `φ_j(x)` of degree `j`, weighted so that
`⟨φ_j(x), φ_j(w)⟩ = ⟨x, w⟩^j`, `g_r(w) = ⟨φ_a(w), A_r φ_b(w)⟩` for `A_r = Σ_i c_ri φ_a(x_i) φ_b(x_i)ᵀ`, `a + b = k`: at most the
largest singular value, for `a = b` the largest eigenvalue. If `A_r` has rank one, the two bounds coincide.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from taylornets import _devices
from taylornets.two_layer._passes import map_blocks
from taylornets.two_layer._prepared import Prepared
from taylornets.two_layer._suprema import term_weights

_STARTS = 8
_STEPS = 60


class Bracket(NamedTuple):
    """Bounds on the suprema of all units, each of shape `(m,)`: `lower ≤ τ_r ≤ upper`."""

    lower: Array
    upper: Array


@_devices.exact
def unit_brackets(
    prepared: Prepared, order: int, coefficients: Float[Array, "n outputs"], starts: int = _STARTS
) -> Bracket:
    """Computes bounds on `τ_r = max(0, sup_{‖w‖=1} Σ_i ⟨q_i, a_r⟩ σ^{(k)}(u_ir)/(k!√m) ⟨w, x_i⟩^k)`.

    The lower bound is the value at an explicit vector, so it is valid even if the search does not converge. The upper bound
    requires eigenvalues of a matrix with `C(d+a-1, a)` rows, `a = ⌊k/2⌋`, for each unit.

    Args:
        prepared: features that include `order`.
        order: `k ≥ 3`.
        coefficients: `q`, shape `(n, outputs)`.
        starts: random starts of the power iteration, in addition to the eigenvectors of `Σ_i c_ri ‖x_i‖^{k-2} x_i x_iᵀ`.

    Returns:
        The bounds.

    Source: theory 7; T. G. Kolda and J. R. Mayo, SIAM J. Matrix Anal. Appl. 32 (2011).
    """
    net, x = prepared.net, prepared.x
    weigh = term_weights(prepared, order)
    weights = map_blocks(lambda item: weigh(*item), (prepared.blocks, prepared.per_example(coefficients)))
    weights = jnp.moveaxis(weights, 1, 0).reshape(weights.shape[1], -1)[:, : prepared.examples]
    halves = (1.0, -1.0)[: net.halves]
    parts = [tensor_bracket(x, half * weights, order, starts) for half in halves]
    return Bracket(*(jnp.concatenate(found) for found in zip(*parts, strict=True)))


@_devices.exact
def tensor_bracket(
    x: Float[Array, "n d"], weights: Float[Array, "units n"], order: int, starts: int = _STARTS
) -> Bracket:
    """Computes bounds on `max(0, sup_{‖w‖=1} Σ_i c_ri ⟨w, x_i⟩^k)` for every row of weights `c`.

    Args:
        x: vectors, shape `(n, d)`.
        weights: `c`, shape `(units, n)`.
        order: `k ≥ 1`.
        starts: random starts of the power iteration.

    Returns:
        The bounds, each of shape `(units,)`.
    """
    d = x.shape[1]
    first, second = _monomials(x, order // 2), _monomials(x, -(-order // 2))
    fixed = jax.random.normal(jax.random.key(0), (starts, d), x.dtype)
    sizes = jnp.linalg.norm(x, axis=1) ** (order - 2)

    def one(c: Array) -> tuple[Array, Array]:
        vectors = jnp.linalg.eigh(((c * sizes)[None, :] * x.T) @ x)[1].T
        w = jnp.concatenate([fixed, vectors, -vectors] if order % 2 else [fixed, vectors])
        w = w / jnp.linalg.norm(w, axis=1, keepdims=True)
        matrix = (c[None, :] * first.T) @ second
        if order % 2:
            upper = norm = jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(matrix @ matrix.T)[-1], 0))
        else:
            ends = jnp.linalg.eigvalsh(matrix)
            upper, norm = ends[-1], jnp.maximum(ends[-1], -ends[0])
        # |T(w, .., w, u, u)| ≤ norm for unit vectors: with (k - 1) norm ‖w‖² k/2 added, g is convex, and every step ascends.
        shift = jnp.maximum((order - 1) * norm, jnp.finfo(w.dtype).tiny)

        def step(w: Array, _: None) -> tuple[Array, None]:
            w = w + ((w @ x.T) ** (order - 1) * c[None, :]) @ x / shift
            return w / jnp.linalg.norm(w, axis=1, keepdims=True), None

        w = lax.scan(step, w, None, length=_STEPS)[0]
        lower = jnp.max((w @ x.T) ** order @ c)
        # An upper bound below the lower bound is due to rounding: the two coincide.
        lower, upper = jnp.maximum(lower, 0), jnp.maximum(upper, 0)
        return lower, jnp.maximum(upper, lower)

    return Bracket(*lax.map(one, weights))


def _monomials(x: Float[Array, "n d"], degree: int) -> Float[Array, "n features"]:
    """Returns all monomials of a degree, weighted by square roots of multinomial coefficients."""
    if degree == 0:
        return jnp.ones((x.shape[0], 1), x.dtype)
    chosen = np.array(list(itertools.combinations_with_replacement(range(x.shape[1]), degree)))
    counts = [math.prod(map(math.factorial, np.unique(row, return_counts=True)[1].tolist())) for row in chosen]
    roots = np.sqrt(math.factorial(degree) / np.array(counts, float))
    return jnp.prod(x[:, chosen], axis=2) * jnp.asarray(roots, x.dtype)[None, :]
