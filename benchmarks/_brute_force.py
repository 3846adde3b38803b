"""What a Taylor series along a line says, from values of the model alone, in float64: no derivative of JAX is used.

Terms come from Chebyshev interpolation on intervals of many sizes, derivatives along the line from finite differences, and the
conformal map from the polynomials of NumPy.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import chebyshev

NODES = 41
RADII = 2.0 ** -np.arange(0, 6.5, 0.5)
STEP = 4e-3  # of the finite differences: fourth order, five points
_CHUNK = 32


def compiled(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any, Sequence[float]], np.ndarray]:
    """The values of `f` at `start + t (end − start)`, shape `(len(t), n, c)`, as a function of start, end, x and t."""

    @jax.jit
    def chunk(start: Any, end: Any, x: Any, at: jax.Array) -> jax.Array:
        def one(t: jax.Array) -> jax.Array:
            return f(jax.tree.map(lambda a, b: a + t * (b - a), start, end), x)

        return jax.lax.map(one, at)

    def values(start: Any, end: Any, x: Any, at: Sequence[float]) -> np.ndarray:
        full = np.concatenate([np.asarray(at, float), np.zeros(-len(at) % _CHUNK)])
        parts = [chunk(start, end, x, jnp.asarray(part)) for part in full.reshape(-1, _CHUNK)]
        found = np.concatenate([np.asarray(part) for part in parts])[: len(at)]
        return found.reshape(*found.shape[:2], -1)

    return values


def terms(line: Callable[[Sequence[float]], np.ndarray], order: int) -> tuple[np.ndarray, np.ndarray]:
    """Terms of orders 0 to `order`, shape `(order + 1, n, c)`, and the relative error of each.

    Each interval gives a polynomial; of every order, the value is taken at which two successive intervals differ least, and
    this difference is its error.
    """
    nodes = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    values = line(np.concatenate([r * nodes for r in RADII]))
    shape = values.shape[1:]
    values = values.reshape(len(RADII), NODES, -1)
    to_powers = np.stack([np.resize(chebyshev.cheb2poly(row), NODES) * _kept(i) for i, row in enumerate(np.eye(NODES))])
    interpolation = np.linalg.inv(chebyshev.chebvander(nodes, NODES - 1))
    found = np.stack([(to_powers.T @ interpolation @ v)[: order + 1] for v in values])
    found = found / RADII[:, None, None] ** np.arange(order + 1)[None, :, None]
    apart = np.linalg.norm(np.diff(found, axis=0), axis=2)
    best = np.argmin(apart, axis=0)
    each = np.arange(order + 1)
    chosen = found[best, each]
    error = apart[best, each] / np.maximum(np.linalg.norm(chosen, axis=1), 1e-300)
    return chosen.reshape(order + 1, *shape), error


def _kept(degree: int) -> np.ndarray:
    """Selects the coefficients of a polynomial of this degree from an array that `np.resize` filled by repetition."""
    return (np.arange(NODES) <= degree).astype(float)


def local(line: Callable[[Sequence[float]], np.ndarray], at: float) -> np.ndarray:
    """Value, first derivative and half the second derivative at a point of the line, shape `(3, n, c)`."""
    left2, left, here, right, right2 = line([at + STEP * k for k in (-2, -1, 0, 1, 2)])
    first = (left2 - 8 * left + 8 * right - right2) / (12 * STEP)
    second = (-left2 + 16 * left - 30 * here + 16 * right - right2) / (12 * STEP**2)
    return np.stack([here, first, second / 2])


def explained(movement: np.ndarray, model: np.ndarray) -> float:
    """`1 − ‖M − model‖²/‖M‖²`; NaN where nothing moves."""
    whole = float(np.sum(movement**2))
    return 1 - float(np.sum((movement - model) ** 2)) / whole if whole else math.nan


def pieces(line: Callable[[Sequence[float]], np.ndarray], order: int, most: int = 16) -> int | None:
    """The smallest number of equal pieces on each of which `order` explains 90 %: every piece of every number is examined."""
    for count in range(1, most + 1):
        ends = line([i / count for i in range(count + 1)])
        models = [
            sum(here[k] / count**k for k in range(1, order + 1))
            for here in (local(line, i / count) for i in range(count))
        ]
        if all(explained(b - a, m) >= 0.9 for a, b, m in zip(ends[:-1], ends[1:], models, strict=True)):
            return count
    return None


def mapped(series: np.ndarray, order: int) -> np.ndarray:
    """The sum of orders 1 to `order` by the map `t = 2a w/(1 − w²)`, substituted with NumPy's polynomials; shape `(n, c)`."""
    found = np.zeros(series.shape[1:])
    for i, own in enumerate(np.moveaxis(series, 1, 0)):
        norms = np.linalg.norm(own, axis=1)
        rho = min((norms[1] / norms[k]) ** (1 / (k - 1)) for k in range(order - 2, order + 1) if k > 1)
        a = rho / 2
        w = math.sqrt(a**2 + 1) - a
        line = np.polynomial.Polynomial([2 * a * (k % 2) for k in range(order + 1)])
        for k in range(1, order + 1):
            weights = (line**k).coef[: order + 1]
            found[i] += own[k] * float(weights @ w ** np.arange(len(weights)))
    return found


def since(fractions: Mapping[int, Sequence[float]], order: int) -> int | None:
    """The first step from which on some order up to `order` explains 90 % of the rest, at every later checkpoint that moves."""
    first: int | None = None
    for step, found in sorted(fractions.items()):
        known = [part for part in found[:order] if not math.isnan(part)]
        if known and max(known) < 0.9:
            first = None
        elif known and first is None:
            first = step
    return first


def radius(series: np.ndarray) -> float:
    """Median over examples of the root test on the last three terms, `min_k (‖f_1‖/‖f_k‖)^{1/(k−1)}`."""
    norms = np.linalg.norm(series, axis=2)
    last = len(series) - 1
    with np.errstate(divide="ignore"):
        each = np.min([(norms[1] / norms[k]) ** (1 / (k - 1)) for k in range(last - 2, last + 1)], axis=0)
    return float(np.sort(each)[(len(each) - 1) // 2])
