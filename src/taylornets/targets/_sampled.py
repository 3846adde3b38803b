"""Estimates of the degree spectrum from examples: U-statistics over all pairs, in blocks (theory 17)."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks

_NORMS = 1e-3  # largest relative difference of norms of rows on one sphere


@dataclass(frozen=True)
class Sampled:
    """Estimated energies of degrees 1, 2, …, with test and bootstrap; fields as in `DegreeSpectrum`.

    Attributes:
        threshold: p-values of at most this size are significant.
        unresolved: whether there are fewer rows than `√N_k`.
    """

    energies: np.ndarray
    variance: float
    intervals: np.ndarray | None
    p_values: np.ndarray
    noise: np.ndarray
    threshold: float
    unresolved: np.ndarray


def harmonics(d: int, k: int) -> int:
    """Returns `N_k = C(d+k-1, k) - C(d+k-3, k-2)`, the number of spherical harmonics of degree `k` in `R^d`."""
    return math.comb(d + k - 1, k) - (math.comb(d + k - 3, k - 2) if k >= 2 else 0)


def estimate(
    x: Any, y: Any, degrees: int, permutations: int, resamples: int, level: float, key: PRNGKeyArray | None, block: int
) -> Sampled:
    """Estimates the degree spectrum; arguments as in `degree_spectrum`."""
    x, y = _checked(x, y)
    degrees = _checks.integer("degrees", degrees, 1)
    permutations = _checks.integer("permutations", permutations, 1)
    resamples = _checks.integer("resamples", resamples, 0)
    block = _checks.integer("block", block, 1)
    _checks.positive("level", level)
    if (permutations + 1) * level < degrees:
        advice = f"The smallest p-value is 1/{permutations + 1}, and the level is divided by {degrees} degrees."
        raise _checks.ArgumentError(
            "permutations", f"at least {math.ceil(degrees / level) - 1}", str(permutations), advice
        )
    n, d = x.shape
    generator = np.random.default_rng(
        np.asarray(jax.random.key_data(jax.random.key(0) if key is None else key)).ravel()
    )
    orders = [np.arange(n), *(generator.permutation(n) for _ in range(permutations))]
    weights = generator.multinomial(n, np.full(n, 1 / n), size=resamples)
    # Columns: the values, permuted values, and bootstrap weights times values; shape (n, Q, C).
    columns = np.concatenate([np.stack([y[order] for order in orders], 1), weights.T[:, :, None] * y[:, None, :]], 1)
    sizes = np.array([harmonics(d, k) for k in range(1, degrees + 1)], float)
    forms = _forms(x, columns, degrees, min(block, 2 ** max(math.ceil(math.log2(n)), 3)))
    exact = n * (n - 1) * (1 - 2 / n + 2 / n**2)  # centering by the sample mean has this effect on the expectation
    energies = sizes[:, None] * forms / exact
    variance = float(np.sum(y.astype(float) ** 2) / (n - 1))
    observed, permuted, drawn = np.split(energies, [1, permutations + 1], axis=1)
    p_values = (1 + (permuted >= observed).sum(1)) / (1 + permutations)
    intervals = None
    if resamples:
        spread = np.einsum("bn,nc->b", weights, y.astype(float) ** 2) - np.sum((weights @ y.astype(float)) ** 2, 1) / n
        shares = drawn * n / (n - 1) / np.maximum(spread / (n - 1), 1e-300)
        intervals = np.quantile(shares, [0.025, 0.975], axis=1)
    noise = np.sqrt(2 * sizes) / n
    return Sampled(energies[:, 0], variance, intervals, p_values, noise, level / degrees, n < np.sqrt(sizes))


def _checked(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns unit rows and centered values of shape `(n, C)`."""
    points = np.asarray(_checks.array("x", x, ("n", "d")))
    n, d = points.shape
    if d < 2 or n < 4:
        raise _checks.ArgumentError("x", "at least 4 rows and 2 columns", f"shape {points.shape}")
    norms = np.linalg.norm(points, axis=1)
    if norms.min() <= 0 or norms.max() > (1 + _NORMS) * norms.min():
        got = f"norms from {norms.min():.4g} to {norms.max():.4g}"
        advice = "Whiten the inputs and divide each row by its norm; the spectrum is then that of directions."
        raise _checks.ArgumentError("x", "rows of equal nonzero norms, points on a sphere", got, advice)
    values = np.asarray(_checks.array("y", y if np.ndim(y) == 2 else np.asarray(y)[..., None], (n, "C")))
    values = values - values.mean(0, dtype=float)
    if not np.sum(values**2) > 1e-24 * max(float(np.abs(np.asarray(y, float)).max()) ** 2, 1e-300) * n:
        raise _checks.ArgumentError("y", "values that vary", "a constant")
    return points / norms[:, None], values.astype(points.dtype)


def _forms(x: np.ndarray, columns: np.ndarray, degrees: int, block: int) -> np.ndarray:
    """Computes `Σ_{i≠j} ⟨c_iq, c_jq⟩ P_k(⟨x_i, x_j⟩)` for every degree and column, shape `(degrees, Q)`.

    Only blocks on and above the diagonal are visited; sums over blocks are in float64.
    """
    n, count, outputs = columns.shape
    extra = -n % block
    x = np.pad(x, ((0, extra), (0, 0)))
    flat = np.pad(columns.reshape(n, -1), ((0, extra), (0, 0))).astype(x.dtype)
    parts = [(jnp.asarray(x[i : i + block]), jnp.asarray(flat[i : i + block])) for i in range(0, n, block)]
    total = np.zeros((degrees, count))
    for i, first in enumerate(parts):
        for j in range(i, len(parts)):
            found = np.asarray(_block(*first, *parts[j], i == j, x.shape[1], degrees), float)
            total += (1 if i == j else 2) * found.reshape(degrees, count, outputs).sum(2)
    return total


@partial(jax.jit, static_argnums=(5, 6))
def _block(x1: Array, c1: Array, x2: Array, c2: Array, same: Any, d: int, degrees: int) -> Array:
    """Sums over a block, by `(k+d-2) P_{k+1}(t) = (2k+d-2) t P_k(t) - k P_{k-1}(t)`; a diagonal is left out."""
    t = x1 @ x2.T
    kept = 1 - jnp.where(same, jnp.eye(len(x1), dtype=t.dtype), 0)
    before, now = jnp.ones_like(t), t
    sums: list[Array] = []
    for k in range(1, degrees + 1):
        sums.append(jnp.sum(c1 * ((now * kept) @ c2), axis=0))
        before, now = now, ((2 * k + d - 2) * t * now - k * before) / (k + d - 2)
    return jnp.stack(sums)
