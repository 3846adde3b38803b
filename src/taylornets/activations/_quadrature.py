"""Gaussian expectations, dual activations and suprema of activations without a closed form.

All values are computed once in float64 on the host and cached; only the power series of a dual activation is evaluated on
data.

The normalized Hermite functions `ψ_q(t) = He_q(t) √(φ(t)/q!)`, where `φ` is the standard normal density, are bounded by 1.09
for all `q` and `t`. Since `He_q φ = √q! ψ_q ψ_0`, only the factor `√q!` can overflow.
"""

import concurrent.futures
import contextlib
import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from taylornets.activations._base import Activation

RANGE = 20.0
"""Half the range of integration: `ψ_0(20) < 1e-43`, so the rest is negligible for functions of moderate growth."""
PANEL = 0.5
NODES = 20
"""Panel width and Gauss points per panel: the error is 1e-13 for functions analytic in a strip of half-width 0.2."""
TERMS = 1024
"""Maximum number of terms in the series of a dual activation."""
CRAMER = 1.0865
"""Cramér's constant: `|He_q(t)| exp(-t²/4) ≤ CRAMER √q!` for all `q` and `t`."""

Vector = Float[np.ndarray, " nodes"]


def host_values(activation: Activation, k: int, points: Vector) -> Vector:
    """Evaluates `σ^{(k)}` at the given points in float64, even while a float32 computation is being traced.

    The evaluation runs in a separate thread, since JAX traces are thread-local: `jax.ensure_compile_time_eval` does not
    detach a function with a custom derivative rule from an enclosing `vmap`.
    """

    def evaluate() -> Vector:
        with contextlib.ExitStack() as stack:
            stack.enter_context(jax.enable_x64(True))
            # Without a CPU backend (JAX_PLATFORMS=cuda), use float64 on the accelerator.
            with contextlib.suppress(RuntimeError):
                stack.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
            return np.asarray(activation.derivative(k)(jnp.asarray(points, jnp.float64)), np.float64)

    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(evaluate).result()


@functools.lru_cache(maxsize=64)
def _rule(kinks: tuple[float, ...]) -> tuple[Vector, Vector]:
    """Returns nodes and weights of composite Gauss-Legendre quadrature over [-RANGE, RANGE], with panels ending at kinks."""
    grid = np.arange(-RANGE, RANGE + PANEL / 2, PANEL)
    edges = np.unique(np.concatenate([grid, [kink for kink in kinks if abs(kink) < RANGE]]))
    points, weights = np.polynomial.legendre.leggauss(NODES)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * points).ravel(), (half[:, None] * weights).ravel()


@functools.lru_cache(maxsize=64)
def _samples(activation: Activation, k: int) -> tuple[Vector, Vector]:
    """Returns the nodes, and `weight · σ^{(k)} · ψ_0` at the nodes."""
    nodes, weights = _rule(activation.kinks)
    ground = (2 * math.pi) ** -0.25 * np.exp(-(nodes**2) / 4)
    return nodes, weights * host_values(activation, k, nodes) * ground


class _HermiteFunctions:
    """Iterates over `ψ_0, ψ_1, ...` at fixed nodes by the three-term recurrence, which is stable upwards."""

    def __init__(self, nodes: Vector):
        self._nodes = nodes
        self._degree = 0
        self._previous = np.zeros_like(nodes)
        self._current = (2 * math.pi) ** -0.25 * np.exp(-(nodes**2) / 4)

    def __iter__(self) -> "_HermiteFunctions":
        return self

    def __next__(self) -> Vector:
        result, q = self._current, self._degree
        following = (self._nodes * result - math.sqrt(q) * self._previous) / math.sqrt(q + 1)
        self._previous, self._current, self._degree = result, following, q + 1
        return result


def hermite_coefficient(activation: Activation, k: int, q: int) -> float:
    """Computes `E[σ^{(k)}(g) He_q(g)]`; exactly 0 if the sum is below its rounding error."""
    nodes, samples = _samples(activation, k)
    terms = samples * next(itertools.islice(_HermiteFunctions(nodes), q, None))
    total, noise = math.fsum(terms), 4 * np.finfo(float).eps * float(np.abs(terms).sum())
    return 0.0 if abs(total) <= noise else total * math.sqrt(math.factorial(q))


@functools.lru_cache(maxsize=256)
def _dual_coefficients(activation: Activation, k: int, tolerance: float) -> tuple[float, ...]:
    """Returns the coefficients `c_{k,q}²/q!`, truncated where the remainder is below `tolerance` times the sum.

    All are nonnegative, so the remainder at any `ρ` in [-1, 1] is at most the remainder at 1.
    """
    nodes, samples = _samples(activation, k)
    found = np.array([float(samples @ psi) ** 2 for psi in itertools.islice(_HermiteFunctions(nodes), TERMS)])
    rest = np.cumsum(found[::-1])[::-1]
    return tuple(map(float, found[: max(1, int(np.sum(rest > tolerance * rest[0])))]))


def dual_series(activation: Activation, k: int, rho: Array) -> Array:
    """Evaluates the power series of `κ_k(ρ)` by Horner's rule."""
    coefficients = _dual_coefficients(activation, k, float(jnp.finfo(rho.dtype).eps))
    return jnp.polyval(jnp.asarray(coefficients[::-1], rho.dtype), rho, unroll=16)


def grid_supremum(activation: Activation, k: int, *, edge: float, curvature: float, tail: float) -> float:
    """Computes an upper bound on `sup |σ^{(k)}|` from values on a grid.

    Args:
        activation: the activation.
        k: order.
        edge: the grid covers [-edge, edge].
        curvature: a bound on `|σ^{(k+2)}|`.
        tail: a bound on `|σ^{(k)}|` beyond the grid.

    Returns:
        The bound; see `Activation.derivative_bound`.
    """
    points, spacing = np.linspace(-edge, edge, 200_001, retstep=True)
    largest = float(np.abs(host_values(activation, k, points)).max())
    return max(largest + float(spacing) ** 2 / 8 * curvature, tail) * (1 + 1e-9)


def absolute_moment(j: int) -> float:
    """Returns `E|g|^j = (j-1)!!`, times `√(2/π)` for odd `j`."""
    return math.prod(range(j - 1, 0, -2)) * (math.sqrt(2 / math.pi) if j % 2 else 1.0)


def hermite_at_zero(q: int) -> float:
    """Returns `He_q(0)`: 0 for odd `q`, `(-1)^{q/2} (q-1)!!` for even `q`."""
    return 0.0 if q % 2 else float((-1) ** (q // 2) * math.prod(range(1, q, 2)))


def horner(coefficients: tuple[float, ...], x: Any) -> Any:
    """Returns `Σ_j coefficients[j] x^j` for numbers and arrays, in the dtype of `x`."""
    total = coefficients[-1] + 0 * x
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total
