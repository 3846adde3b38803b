"""The binary relative entropy, its inverses to full precision, and the constant `ξ(n)` of Maurer's bound (theory 13).

**Relative entropy.** With `t = p - q` and `L(x) = log(1 + x) - x ≤ 0`,

    kl(q | p) = -q L(t/q) - (1 - q) L(-t/(1 - q)),

since the linear parts cancel. Both summands are nonnegative, so nothing is lost to cancellation for `p` close to `q`, where the
bounds at large `n` lie: the textbook form has an error of `ε` in `kl`, which is `ε/√c` in the inverse at level `c ~ 1/n`.

**Inverse.** For `q` fixed, `kl` is convex in `t` and increases away from `t = 0`. Newton's method converges from every point
beyond the root; a step that leaves the bracket is replaced by bisection.

**`ξ(n)`.** Abel's identity turns the sum of `n + 1` binomial terms into `Σ_j n!/((n-j)! n^j) = Σ_j Π_{i<j} (1 - i/n)`, whose
terms decay like `exp(-j²/(2n))`.
"""

import functools
import math

import numpy as np

_SERIES = 0.4  # below, `L` is summed as a series in `x/(2 + x)`, which converges like 1/16^j
_TERMS = 18
_NEWTON = 200
_NEGLIGIBLE = 45.0  # exp(-45) relative to the first term is below rounding


def log1p_minus(x: float) -> float:
    """Computes `log(1 + x) - x` for `x ≥ -1` without cancellation; `-inf` at `x = -1`."""
    if x <= -1:
        return -math.inf
    if abs(x) > _SERIES:
        return math.log1p(x) - x
    # log(1 + x) = 2 artanh(r) with r = x/(2 + x), and 2r - x = -x r.
    r = x / (2 + x)
    square, total = r * r, 0.0
    for j in range(_TERMS, 0, -1):
        total = (total + 1 / (2 * j + 1)) * square
    return r * (2 * total - x)


def relative_entropy(q: float, t: float) -> float:
    """Computes `kl(q | q + t)` between Bernoulli distributions, from the difference `t`."""
    first = -q * log1p_minus(t / q) if q > 0 else t
    second = -(1 - q) * log1p_minus(-t / (1 - q)) if q < 1 else -t
    return first + second


def kl_upper(q: float, c: float) -> float:
    """Computes the upper inverse `sup {p : kl(q | p) ≤ c}`."""
    return min(1.0, q + _offset(q, c, 1 - q))


def kl_lower(q: float, c: float) -> float:
    """Computes the lower inverse `inf {p : kl(q | p) ≤ c}`."""
    return max(0.0, q - _offset(1 - q, c, q))


def _offset(q: float, c: float, room: float) -> float:
    """Returns the root `t` in `[0, room]` of `kl(q | q + t) = c`, where `room = 1 - q`."""
    if c <= 0 or room <= 0:
        return 0.0
    if q <= 0:
        return -math.expm1(-c)
    low, high = 0.0, room
    t = min(math.sqrt(c / 2), room * (1 - math.exp(-1 - c)))  # Pinsker: beyond the root
    for _ in range(_NEWTON):
        # With room handed in, 1 - q is exact also for q close to 1.
        excess = -q * log1p_minus(t / q) - room * log1p_minus(-t / room) - c
        if excess > 0:
            high = min(high, t)
        else:
            low = max(low, t)
        slope = t / ((q + t) * (room - t)) if t < room else math.inf
        following = t - excess / slope if slope > 0 and math.isfinite(excess) else math.nan
        if not low <= following <= high:
            following = (low + high) / 2
        if abs(following - t) <= 2**-53 * t:
            return following
        t = following
    return t


def slopes(q: float, p: float) -> tuple[float, float]:
    """Computes the derivatives of `p = kl^{-1}(q | c)`, `q < p < 1`, in `q` and in `c`."""
    in_c = p * (1 - p) / (p - q)
    in_q = in_c * (math.log(p / q) - math.log1p(-p) + math.log1p(-q)) if q > 0 else math.inf
    return in_q, in_c


@functools.lru_cache(maxsize=1024)
def log_xi(n: int) -> float:
    """Computes `ln ξ(n)`, `ξ(n) = Σ_k C(n,k) (k/n)^k (1 - k/n)^{n-k}`, the exact constant of Maurer's bound."""
    terms = min(n, math.ceil(math.sqrt(2 * _NEGLIGIBLE * n)) + 1)
    factors = 1 - np.arange(terms, dtype=np.longdouble) / n
    # Term j is the product of the first j factors; term 0 is 1.
    return float(np.log1p(np.sum(np.cumprod(factors))))
