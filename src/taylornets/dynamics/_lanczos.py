"""The largest eigenvalues of a symmetric operator by the Lanczos method with full reorthogonalization."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SETTLED = 1e-3  # residual relative to the eigenvalue, above which it is reported as not converged


class Top(NamedTuple):
    """The largest eigenvalues (algebraically) in descending order, their vectors as rows, and the residuals `‖A v − λ v‖`."""

    values: Float[Array, " k"]
    vectors: Float[Array, "k p"]
    residuals: Float[Array, " k"]


def largest(product: Callable[[Array], Array], start: Array, products: int = 24) -> tuple[Array, Array]:
    """The largest eigenvalue of a positive semidefinite operator, and its residual relative to it; 0 for the zero operator."""
    found = top(product, start, products, 1)
    value, residual = found.values[0], found.residuals[0]
    return value, jnp.where(value > 0, residual / jnp.where(value > 0, value, 1), residual)


def top(product: Callable[[Array], Array], start: Array, products: int, count: int = 2) -> Top:
    """Runs the Lanczos method; traceable by JAX.

    Args:
        product: `v -> A v`, symmetric.
        start: the first vector, shape `(p,)`.
        products: number of products, at most `p` are made.
        count: number of eigenvalues; those that do not exist are NaN.
    """
    steps = min(products, start.size)
    tiny = jnp.finfo(start.dtype).eps

    def step(j: Array, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        basis, image, alpha, beta = state
        v = basis[j]
        new = product(v)
        image = image.at[j].set(new)
        alpha = alpha.at[j].set(v @ new)
        for _ in range(2):  # once is not enough for orthogonality to rounding
            new = new - basis.T @ (basis @ new)
        size = jnp.linalg.norm(new)
        # The space is exhausted where nothing is left: later vectors are zero.
        alive = size > 10 * tiny * jnp.maximum(jnp.max(jnp.abs(alpha)), jnp.max(beta))
        basis = basis.at[j + 1].set(jnp.where(alive, new / jnp.where(alive, size, 1), 0))
        return basis, image, alpha, beta.at[j].set(jnp.where(alive, size, 0))

    basis = jnp.zeros((steps + 1, start.size), start.dtype).at[0].set(start / jnp.linalg.norm(start))
    begin = (
        basis,
        jnp.zeros((steps, start.size), start.dtype),
        jnp.zeros(steps, start.dtype),
        jnp.zeros(steps, start.dtype),
    )
    basis, image, alpha, beta = jax.lax.fori_loop(0, steps, step, begin)
    basis = basis[:steps]
    used = jnp.sum(basis**2, axis=1) > 0.5
    # Directions that were not used receive a value below all others.
    low = -(jnp.max(jnp.abs(alpha)) + 2 * jnp.max(beta)) - 1
    alpha, beta = jnp.where(used, alpha, low), jnp.where(used, beta, 0)
    ritz, parts = jnp.linalg.eigh(jnp.diag(alpha) + jnp.diag(beta[:-1], 1) + jnp.diag(beta[:-1], -1))
    kept = min(count, steps)
    values, parts = ritz[::-1][:kept], parts.T[::-1][:kept]
    vectors, images = parts @ basis, parts @ image
    known = jnp.arange(kept) < jnp.sum(used)
    values = jnp.where(known, values, jnp.nan)
    found = Top(values, vectors, jnp.linalg.norm(images - values[:, None] * vectors, axis=1))
    rest = count - kept
    return Top(
        jnp.pad(found.values, (0, rest), constant_values=jnp.nan),
        jnp.pad(found.vectors, ((0, rest), (0, 0))),
        jnp.pad(found.residuals, (0, rest), constant_values=jnp.nan),
    )
