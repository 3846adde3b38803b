"""erf and GELU, whose derivatives are Hermite polynomials times a Gaussian density.

`He_j` is the probabilists' Hermite polynomial and `φ` the standard normal density, `φ^{(j)} = (-1)^j He_j φ`.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import Polynomial as NumpyPolynomial
from typing_extensions import override

from taylornets.activations import _quadrature
from taylornets.activations._base import Activation
from taylornets.activations._registry import register
from taylornets.activations._traits import Traits


def _density_derivatives(u: Array, orders: tuple[int, ...]) -> dict[int, Array]:
    """Computes `φ^{(j)}(u)` for the given orders, by the three-term recurrence of the Hermite polynomials.

    Real arguments of the polynomials are clipped where the density underflows to 0, so that an overflowing power is never
    multiplied by a zero density.
    """
    if not orders:
        return {}
    density = jnp.exp(-u * u / 2) / math.sqrt(2 * math.pi)
    if not jnp.issubdtype(u.dtype, jnp.complexfloating):
        edge = math.sqrt(-2 * math.log(float(jnp.finfo(u.dtype).smallest_subnormal))) + 1
        u = jnp.clip(u, -edge, edge)
    polynomials = [jnp.ones_like(u), u]
    for j in range(1, max(orders)):
        polynomials.append(u * polynomials[j] - j * polynomials[j - 1])
    return {j: (-1) ** j * polynomials[j] * density for j in orders}


def _density_bound(j: int, u: float = 0.0) -> float:
    """Bounds `|φ^{(j)}|` beyond `±u`, by Cramér's inequality."""
    return _quadrature.CRAMER * math.sqrt(math.factorial(j)) * math.exp(-u * u / 4) / math.sqrt(2 * math.pi)


def _erf(z: Array) -> Array:
    """Computes the error function; complex arguments use a series accurate to rounding while `exp(|Im z|²)` is finite.

    For `z = x + iy` (Abramowitz and Stegun 7.1.29, after Salzer 1951, in terms of decaying exponentials):
    `erf z = erf x + e^{-x²}(1 - cos 2xy + i sin 2xy)/(2πx) + (2/π) e^{-x²} Σ_n e^{-n²/4} (f_n + i g_n)/(n² + 4x²)`,
    `f_n = 2x(1 - cosh ny cos 2xy) + n sinh ny sin 2xy`, `g_n = 2x cosh ny sin 2xy + n sinh ny cos 2xy`.
    """
    if not jnp.issubdtype(z.dtype, jnp.complexfloating):
        return jax.lax.erf(z)
    x, y = z.real, z.imag
    cosine, sine = jnp.cos(2 * x * y), jnp.sin(2 * x * y)
    first = y / math.pi * jax.lax.complex(jnp.sin(x * y) * jnp.sinc(x * y / math.pi), jnp.sinc(2 * x * y / math.pi))
    # The largest terms have n ≈ 2|y|, and |y| is at most 27 (float64) or 10 (float32) before exp(y²) overflows.
    terms = 2 * math.ceil(math.sqrt(math.log(float(jnp.finfo(x.dtype).max)))) + 14

    def add(n: Array, total: Array) -> Array:
        order = n.astype(x.dtype)
        grown, decayed = jnp.exp(order * (y - order / 4)), jnp.exp(-order * (y + order / 4))
        cosh, sinh, plain = (grown + decayed) / 2, (grown - decayed) / 2, jnp.exp(-order * order / 4)
        real = 2 * x * (plain - cosh * cosine) + order * sinh * sine
        imaginary = 2 * x * cosh * sine + order * sinh * cosine
        return total + jax.lax.complex(real, imaginary) / (order * order + 4 * x * x)

    rest = jax.lax.fori_loop(1, terms + 1, add, jnp.zeros_like(z))
    return jax.lax.erf(x) + jnp.exp(-x * x) * (first + 2 / math.pi * rest)


@dataclasses.dataclass(frozen=True)
class Erf(Activation):
    """The error function `σ(t) = (2/√π) ∫_0^t exp(-u²) du`; entire.

    Source: theory sections 1 and 9; Williams (1998) for the dual `κ_0(ρ) = (2/π) arcsin(2ρ/3)`.

    Example:
        >>> import taylornets as tn
        >>> round(float(tn.activations.get("erf").derivative(1)(0.0)), 4)
        1.1284
    """

    @property
    @override
    def traits(self) -> Traits:
        return Traits("erf", analytic=True, strip=math.inf)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """Uses `erf(t) = 2Φ(√2 t) - 1`, so order `k ≥ 1` is `2 · 2^{k/2} φ^{(k-1)}(√2 t)`."""
        density = _density_derivatives(math.sqrt(2) * t, tuple(k - 1 for k in orders if k > 0))
        return tuple(2 * 2 ** (k / 2) * density[k - 1] if k > 0 else _erf(t) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        """Differentiates `E erf(g + s) = erf(s/√3)` to order `k + q` at 0."""
        j = k + q
        if j % 2 == 0:
            return 0.0
        return 2 * (2 / 3) ** (j / 2) * _quadrature.hermite_at_zero(j - 1) / math.sqrt(2 * math.pi)

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        """Computes derivatives of `(2/π) arcsin(2ρ/3)`."""
        if k == 0:
            return 2 / math.pi * jnp.arcsin(2 * rho / 3)
        root = jax.lax.rsqrt(9 - 4 * rho * rho)
        return 4 / math.pi * root ** (2 * k - 1) * _quadrature.horner(_arcsine_polynomial(k), rho)

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        if k <= 1:
            return (1.0, 2 / math.sqrt(math.pi))[k]
        scale = 2 * 2 ** (k / 2)
        curvature, tail = 2 * scale * _density_bound(k + 1), scale * _density_bound(k - 1, 20 * math.sqrt(2))
        return _quadrature.grid_supremum(self, k, edge=20.0, curvature=curvature, tail=tail)


@functools.cache
def _arcsine_polynomial(k: int) -> tuple[float, ...]:
    """Returns `P_k`, lowest degree first, with `d^{k-1}/dρ^{k-1} (9 - 4ρ²)^{-1/2} = (9 - 4ρ²)^{-(2k-1)/2} P_k(ρ)`."""
    polynomial = NumpyPolynomial([1.0])
    square, rho = NumpyPolynomial([9.0, 0.0, -4.0]), NumpyPolynomial([0.0, 1.0])
    for j in range(1, k):
        polynomial = square * polynomial.deriv() + 4 * (2 * j - 1) * rho * polynomial
    return tuple(map(float, np.trim_zeros(polynomial.coef, "b")))


@dataclasses.dataclass(frozen=True)
class Gelu(Activation):
    """`σ(t) = t Φ(t)` with the standard normal distribution function `Φ` (not the tanh approximation); entire.

    Source: theory section 1; Hendrycks and Gimpel (2016).

    Example:
        >>> import taylornets as tn
        >>> float(tn.activations.get("gelu").derivative(1)(0.0))
        0.5
    """

    @property
    @override
    def traits(self) -> Traits:
        return Traits("gelu", analytic=True, strip=math.inf)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """Uses `σ' = Φ + tφ`; by `t He_{k-1} = He_k + (k-1) He_{k-2}`, order `k ≥ 2` is `φ^{(k-2)} - φ^{(k)}`."""
        needed = {0} if 1 in orders else set[int]()
        needed |= {j for k in orders if k > 1 for j in (k - 2, k)}
        density = _density_derivatives(t, tuple(needed))
        cumulative = _normal_cumulative(t) if min(orders, default=2) < 2 else t

        def one(k: int) -> Array:
            if k == 0:
                return t * cumulative
            return cumulative + t * density[0] if k == 1 else density[k - 2] - density[k]

        return tuple(one(k) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        """Differentiates `E σ(g + s) = sΦ(s/√2) + φ(s/√2)/√2` to order `j = k + q` at 0.

        For `r = 1/√2` the result is `j r^{j-1} Φ^{(j-1)}(0) + r^{j+1} φ^{(j)}(0)`.
        """
        j, r = k + q, math.sqrt(0.5)

        def density(order: int) -> float:
            return (-1) ** order * _quadrature.hermite_at_zero(order) / math.sqrt(2 * math.pi)

        if j == 0:
            return r * density(0)
        inner = 0.5 if j == 1 else density(j - 2)
        return j * r ** (j - 1) * inner + r ** (j + 1) * density(j) + 0.0

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        return _quadrature.dual_series(self, k, rho)

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        if k == 0:
            return math.inf
        # |Φ + tφ - 1| and |Φ + tφ| are below 1e-80 beyond the grid, on the right and on the left.
        tail = 1.0 + 1e-12 if k == 1 else _density_bound(k - 2, 20.0) + _density_bound(k, 20.0)
        curvature = _density_bound(k) + _density_bound(k + 2)
        return _quadrature.grid_supremum(self, k, edge=20.0, curvature=curvature, tail=tail)


def _normal_cumulative(t: Array) -> Array:
    if jnp.issubdtype(t.dtype, jnp.complexfloating):
        return (1 + _erf(t * math.sqrt(0.5))) / 2
    return jax.lax.erfc(-t * math.sqrt(0.5)) / 2


register("erf", Erf)
register("gelu", Gelu)
