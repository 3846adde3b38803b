"""Sums a Taylor series beyond its radius of convergence, and locates the nearest singularity, from the terms alone.

Along the line `θ0 + tΔ`, the singularities of networks with normalization come in complex pairs, so that plain sums diverge at
`t = 1` although the network is smooth there. The conformal map `t = 2a w/(1 − w²)` takes the plane, slit along the imaginary
axis outside `±ia`, to the unit disk. Substituted into the polynomial and truncated at `w^K`, it gives a weighted sum of the
same terms, `Σ_j c_j(a) f_j`, whose weights tend to 1 where the radius is large (theory 14).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

ORDERS = (4, 6, 8)
_CONVERGED = 0.05  # last two terms, relative to the sum, below which the plain sum is kept
_FIT = 0.5  # relative residual of the recurrence above which its roots are ignored; a heuristic
_REAL = 0.05  # the same for a single real singularity
_AHEAD, _AROUND = 1.05, 1.2  # radius from which on the plain sum is kept: of singularities near the line, and of others
_NEAR_LINE = 0.9  # radians
_GROWTH = 6.0  # of the last term over the first three, above which it is not: terms of a double pole grow less inside
_FAR = 4.0  # radius from which on a singularity is called far
_VANISHES = 1e-6  # first term relative to the second, below which it counts as zero
_NARROW = 0.15  # radians between a real singularity and a pair
_MISSED = 0.01  # of the output change, above which the sum of a series that seems to end differs from it


@dataclass(frozen=True)
class Singularities:
    """The nearest complex singularity of each example along the line, in units of the displacement.

    A pair at `ρ e^{±iφ}` makes the terms follow `f_{k+1} ≈ (2 cos φ/ρ) f_k − f_{k−1}/ρ²`; `ρ` and `φ` are fitted to the last
    terms of all outputs of an example (Mercer and Roberts 1990), or a single real singularity, `f_{k+1} ≈ ±f_k/ρ`, if that
    fits.

    Attributes:
        radius: `ρ` by example; infinite if the series ends (a polynomial, or an example that does not move); NaN if its last
            terms vanish, but it does not sum to the output change, as for a function that is constant until it jumps.
        angle: `φ` by example in radians, from 0 (on the line ahead) to π (behind); NaN where the terms follow no recurrence.
        parameter: the estimate that the resummation uses, `min_k (‖f_1‖/‖f_k‖)^{1/(k−1)}` over the last three orders.
        error: change of `radius`, relative, if the last order is left out.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> found = tn.regime(lambda w, x: x / (2 - w), jnp.array(0.0), jnp.array(1.0), jnp.ones(2))
        >>> round(found.singularities.median, 6), found.singularities.kind  # x/2 · 1/(1 − t/2)
        (2.0, 'ahead on the line')
    """

    radius: tuple[float, ...]
    angle: tuple[float, ...]
    parameter: tuple[float, ...]
    error: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median radius over examples."""
        known = [r for r in self.radius if not math.isnan(r)]
        return float(np.sort(known)[(len(known) - 1) // 2]) if known else math.nan

    @property
    def kind(self) -> str:
        """The kind of most examples: a complex pair, ahead on the line, behind the start, far (beyond 4), none or unclear."""
        kinds = [_kind(r, a) for r, a in zip(self.radius, self.angle, strict=True)]
        return max(dict.fromkeys(kinds), key=kinds.count) if kinds else "unclear"


def _kind(radius: float, angle: float) -> str:
    if math.isnan(radius):
        return "unknown: the last terms vanish, but the series does not sum to the output change"
    if math.isinf(radius):
        return "none: the series ends"
    if radius >= _FAR:
        return "far"
    if math.isnan(angle):
        return "unclear"
    if angle < _NARROW:
        return "ahead on the line"
    return "behind the start" if angle > math.pi - _NARROW else "a complex pair"


def singularities(terms: np.ndarray, unit: float) -> Singularities:
    """Locates the nearest singularity of each example.

    Args:
        terms: orders 0 to K ≥ 4, finite, shape `(K + 1, n, ...)`.
        unit: unit roundoff of the terms.
    """
    flat = _flat(terms)
    last = len(flat) - 1
    rho = parameter(flat, last)
    radius, angle = _roots(flat, last, rho, unit)
    before = _roots(flat, last - 1, rho, unit)[0] if last > ORDERS[0] else np.full_like(radius, math.nan)
    with np.errstate(invalid="ignore"):
        error = np.where(radius == before, 0.0, np.abs(before / radius - 1))
    return Singularities(*(tuple(map(float, values)) for values in (radius, angle, rho, error)))


def ended(terms: np.ndarray, nearest: Singularities, last: np.ndarray, unit: float) -> tuple[Singularities, float]:
    """Compares series whose last terms vanish with the outputs: only a polynomial has no singularity.

    Args:
        terms: orders 0 to K, shape `(K + 1, n, ...)`.
        nearest: the nearest singularity of each example.
        last: the outputs at the end point, shape `(n, ...)`.
        unit: unit roundoff of the outputs.

    Returns:
        The singularities, with the radius NaN where the sum differs from the output change; and the squared norm of those
        differences.
    """
    flat, outputs = _flat(terms), last.reshape(len(last), -1)
    moved = outputs - flat[0]
    missed = np.linalg.norm(moved - flat[1:].sum(axis=0), axis=1)
    size = np.maximum(np.linalg.norm(moved, axis=1), np.linalg.norm(flat[1:], axis=2).max(axis=0))
    rounding = 8 * unit * np.maximum(np.linalg.norm(outputs, axis=1), np.linalg.norm(flat[0], axis=1))
    wrong = np.isinf(nearest.radius) & (missed > np.maximum(_MISSED * size, rounding))
    if not wrong.any():
        return nearest, 0.0
    radius, error = (tuple(map(float, np.where(wrong, math.nan, part))) for part in (nearest.radius, nearest.error))
    return replace(nearest, radius=radius, error=error), float(np.sum(missed[wrong] ** 2))


def resummed(terms: np.ndarray, order: int, nearest: Singularities) -> np.ndarray:
    """Sums the terms of orders 1 to `order` at the end point, shape `(n, ...)`; arguments as for `weighted`."""
    return weighted(terms, order, nearest).sum(axis=0)


def weighted(terms: np.ndarray, order: int, nearest: Singularities) -> np.ndarray:
    """Weights the terms of orders 1 to `order`, by the conformal map where the plain series does not converge.

    An example keeps its plain sum if its last two terms together are at most 5 % of the sum, if its first or its last terms
    vanish, or if the nearest singularity lies well beyond the end point and the terms do not grow. The map is symmetric about
    the imaginary axis: singularities near the line ahead gain nothing from it, so for those, the plain sum is kept throughout
    its disk of convergence.

    Args:
        terms: orders 0 to K, shape `(K + 1, n, ...)`.
        order: at least 2, at most K.
        nearest: the nearest singularity of each example.

    Returns:
        The weighted terms, whose sum is the output change, shape `(order, n, ...)`. All weights are at most 1.
    """
    flat = _flat(terms)
    plain = flat[1 : order + 1].sum(axis=0)
    norms = np.linalg.norm(flat, axis=2)
    rho = parameter(flat, order)
    settled = norms[order - 1] + norms[order] <= _CONVERGED * np.linalg.norm(plain, axis=1)
    within = np.where(np.asarray(nearest.angle) < _NEAR_LINE, _AHEAD, _AROUND)  # a NaN angle compares as false
    grows = norms[order] > _GROWTH * norms[1:4].max(axis=0)
    inside = (np.asarray(nearest.radius) >= within) & ~grows  # the fit of a radius may fail where the terms still grow
    keep = settled | ~np.isfinite(rho) | (norms[1] <= _VANISHES * norms[2]) | inside
    weights = np.where(keep, 1.0, _weights(np.where(keep, 1.0, rho), order))
    return (weights[:, :, None] * flat[1 : order + 1]).reshape(order, *terms.shape[1:])


def parameter(flat: np.ndarray, order: int) -> np.ndarray:
    """`ρ = min_{k=K−2..K} (‖f_1‖/‖f_k‖)^{1/(k−1)}` by example; infinite where the last terms vanish.

    Args:
        flat: shape `(K + 1, n, c)`.
        order: the last order `K` to use.
    """
    norms = np.linalg.norm(flat, axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [
            np.where(norms[k] > 0, (norms[1] / norms[k]) ** (1 / (k - 1)), math.inf)
            for k in range(order - 2, order + 1)
            if k > 1
        ]
    return np.min(ratios, axis=0)


def _flat(terms: np.ndarray) -> np.ndarray:
    return terms.reshape(*terms.shape[:2], -1)


def _weights(rho: np.ndarray, order: int) -> np.ndarray:
    """The weights `c_j = (2a)^j Σ_{k ≤ K} P_jk w^k` of the terms, `P_jk` the coefficients of `(w + w³ + w⁵ + ..)^j`."""
    a = rho / 2
    w = 1 / (np.sqrt(a**2 + 1) + a)
    odd = (np.arange(order + 1) % 2).astype(float)
    power, found = np.eye(1, order + 1)[0], list[np.ndarray]()
    powers = w[None] ** np.arange(order + 1)[:, None]
    for j in range(1, order + 1):
        power = np.convolve(power, odd)[: order + 1]
        found.append((2 * a) ** j * (power @ powers))
    return np.stack(found)


def _roots(flat: np.ndarray, last: int, rho: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Fits the recurrence to the last terms and returns radius and angle of its nearest root, by example."""
    scale = np.where(np.isfinite(rho) & (rho > 0), rho, 1.0)
    scaled = flat[: last + 1] * scale[None, :, None] ** np.arange(last + 1)[:, None, None]
    rows = range(max(3, last - 2), last + 1)
    new, one, two = (np.concatenate([scaled[k - back] for k in rows], axis=1) for back in (0, 1, 2))
    radius, angle = np.full(len(scale), math.nan), np.full(len(scale), math.nan)
    norms = np.linalg.norm(flat, axis=2)
    ended = norms[last - 1 : last + 1].max(axis=0) <= 8 * unit * norms[1:].max(axis=0)
    for i in range(len(scale)):
        radius[i], angle[i] = (math.inf, math.nan) if ended[i] else _root(new[i], one[i], two[i])
    radius = radius * scale
    return np.where(np.isnan(radius), rho, radius), angle


def _root(new: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    """Radius and angle of the nearest root of `1 − p z + q z²` for the best fit `new ≈ p one − q two`; NaN without a fit."""
    size = float(np.linalg.norm(new))
    ratio = float(one @ new) / max(float(one @ one), 1e-300)
    if ratio and float(np.linalg.norm(new - ratio * one)) <= _REAL * size:
        return 1 / abs(ratio), 0.0 if ratio > 0 else math.pi
    (p, q), *_ = np.linalg.lstsq(np.stack([one, -two], axis=1), new, rcond=None)
    if q == 0 or not float(np.linalg.norm(new - p * one + q * two)) <= _FIT * size:
        return math.nan, math.nan
    # `1 − p z + q z²` in `s = 1/z` is `s² − p s + q`: the nearest singularity is the root of largest modulus.
    nearest = max(np.roots([1.0, -p, q]), key=abs)
    return 1 / abs(nearest), abs(float(np.angle(1 / nearest)))
