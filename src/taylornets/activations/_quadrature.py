"""Gaussian expectations, dual activations and suprema of activations without a closed form.

Everything here is computed once, in float64 on the host, and kept: what depends on data is only the evaluation of the
power series of a dual activation.

The normalized Hermite functions `ψ_q(t) = He_q(t) √(φ(t)/q!)`, `φ` the standard normal density, are bounded by 1.09 for
all `q` and `t`, so with `He_q φ = √q! ψ_q ψ_0` nothing overflows before the factor `√q!`.
"""

import contextlib
import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import special

from taylornets.activations._base import Activation

RANGE = 20.0
"""Half the range of integration: `ψ_0(20) < 1e-43` leaves nothing outside for functions of moderate growth."""
PANEL = 0.5
NODES = 20
"""Width of a panel and Gauss points in it: a function analytic in a strip of half-width 0.2 is integrated to 1e-13."""
TERMS = 1024
"""Most terms of the series of a dual activation."""
CRAMER = 1.0865
"""Cramér's constant: `|He_q(t)| exp(-t²/4) ≤ CRAMER √q!` for all `q` and `t`."""

Vector = Float[np.ndarray, " nodes"]


def host_values(activation: Activation, k: int, points: Vector) -> Vector:
    """`σ^{(k)}` at the given points in float64, also while a float32 computation is being traced."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.ensure_compile_time_eval())
        stack.enter_context(jax.enable_x64(True))
        # Without a CPU backend (JAX_PLATFORMS=cuda) the accelerator's float64 serves as well.
        with contextlib.suppress(RuntimeError):
            stack.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
        return np.asarray(activation.derivative(k)(jnp.asarray(points, jnp.float64)), np.float64)


@functools.lru_cache(maxsize=64)
def _rule(kinks: tuple[float, ...]) -> tuple[Vector, Vector]:
    """Nodes and weights of composite Gauss-Legendre quadrature over [-RANGE, RANGE], panels ending at the kinks."""
    grid = np.arange(-RANGE, RANGE + PANEL / 2, PANEL)
    edges = np.unique(np.concatenate([grid, [kink for kink in kinks if abs(kink) < RANGE]]))
    points, weights = special.roots_legendre(NODES)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * points).ravel(), (half[:, None] * weights).ravel()


@functools.lru_cache(maxsize=64)
def _samples(activation: Activation, k: int) -> tuple[Vector, Vector]:
    """Nodes, and `weight · σ^{(k)} · ψ_0` at them."""
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
    """`E[σ^{(k)}(g) He_q(g)]`; exactly 0 where the sum is below its rounding error."""
    nodes, samples = _samples(activation, k)
    terms = samples * next(itertools.islice(_HermiteFunctions(nodes), q, None))
    total, noise = math.fsum(terms), 4 * np.finfo(float).eps * float(np.abs(terms).sum())
    return 0.0 if abs(total) <= noise else total * math.sqrt(math.factorial(q))


@functools.lru_cache(maxsize=256)
def _dual_coefficients(activation: Activation, k: int, tolerance: float) -> tuple[float, ...]:
    """Coefficients `c_{k,q}²/q!`, cut where the rest of the series is below `tolerance` of its sum.

    All are nonnegative, so the rest at any `ρ` in [-1, 1] is at most the rest at 1.
    """
    nodes, samples = _samples(activation, k)
    found = np.array([float(samples @ psi) ** 2 for psi in itertools.islice(_HermiteFunctions(nodes), TERMS)])
    rest = np.cumsum(found[::-1])[::-1]
    return tuple(map(float, found[: max(1, int(np.sum(rest > tolerance * rest[0])))]))


def dual_series(activation: Activation, k: int, rho: Array) -> Array:
    """`κ_k(ρ)` by its power series, Horner's rule."""
    coefficients = _dual_coefficients(activation, k, float(jnp.finfo(rho.dtype).eps))
    return jnp.polyval(jnp.asarray(coefficients[::-1], rho.dtype), rho, unroll=16)


def grid_supremum(activation: Activation, k: int, *, edge: float, curvature: float, tail: float) -> float:
    """An upper bound on `sup |σ^{(k)}|` from a grid.

    Args:
        activation: the activation.
        k: order.
        edge: the grid covers [-edge, edge].
        curvature: a bound on `|σ^{(k+2)}|`.
        tail: a bound on `|σ^{(k)}|` beyond the grid.

    Returns:
        The bound: see `Activation.derivative_bound`.
    """
    points, spacing = np.linspace(-edge, edge, 200_001, retstep=True)
    largest = float(np.abs(host_values(activation, k, points)).max())
    return max(largest + float(spacing) ** 2 / 8 * curvature, tail) * (1 + 1e-9)


def absolute_moment(j: int) -> float:
    """`E|g|^j = 2^{j/2} Γ((j+1)/2)/√π`."""
    return math.exp(j / 2 * math.log(2) + math.lgamma((j + 1) / 2)) / math.sqrt(math.pi)


def hermite_at_zero(q: int) -> float:
    """`He_q(0)`: 0 for odd `q`, `(-1)^{q/2} (q-1)!!` for even `q`."""
    return 0.0 if q % 2 else float((-1) ** (q // 2) * math.prod(range(1, q, 2)))


def horner(coefficients: tuple[float, ...], x: Any) -> Any:
    """`Σ_j coefficients[j] x^j`, for numbers and arrays; the type of `x` is kept."""
    total = coefficients[-1] + 0 * x
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total
