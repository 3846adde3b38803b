"""ReLU powers `relu(t)^p/p!`, including the cubic ReLU of Bai & Lee (2020), and the arc-cosine kernels."""

import dataclasses
import functools
import math
import re

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import Polynomial as NumpyPolynomial
from typing_extensions import override

from taylornets import _checks
from taylornets.activations import _quadrature
from taylornets.activations._base import Activation
from taylornets.activations._registry import register, register_pattern
from taylornets.activations._traits import Traits

_NAMES = {1: "relu", 3: "cubic_relu"}


@dataclasses.dataclass(frozen=True)
class ReluPower(Activation):
    """`σ(t) = relu(t)^p/p!`, normalized so that each derivative is the next lower ReLU power.

    `σ^{(k)} = relu^{p-k}/(p-k)!` for `k < p`, a step function for `k = p`, and 0 for `k > p` (the almost-everywhere
    derivative). At the kink, the value is the limit from the left: `step(0) = 0`. Powers 1 and 3 are named `"relu"` and
    `"cubic_relu"`, others `"relu_power_P"`.

    Args:
        power: `p`, an integer ≥ 1.

    Raises:
        ArgumentError: if `power` is not an integer ≥ 1.

    Source: theory section 1; Bai & Lee (2020), section 2. The duals are the arc-cosine kernels of Cho and Saul (2009).

    Example:
        >>> import taylornets as tn
        >>> sigma = tn.activations.ReluPower(2)
        >>> float(sigma(3.0)), float(sigma.derivative(1)(3.0)), float(sigma.derivative(2)(3.0))
        (4.5, 3.0, 1.0)
    """

    power: int = 3

    def __post_init__(self):
        object.__setattr__(self, "power", _checks.integer("power", self.power, 1, "A ReLU power is relu(t)^p/p!."))

    @property
    @override
    def traits(self) -> Traits:
        name = _NAMES.get(self.power, f"relu_power_{self.power}")
        return Traits(name, analytic=False, strip=0.0, kinks=(0.0,), smoothness=self.power - 1)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        positive = jnp.maximum(t, 0)

        def one(degree: int) -> Array:
            if degree < 0:
                return jnp.zeros_like(t)
            if degree == 0:
                return jnp.where(jnp.isnan(t), t, (t > 0).astype(t.dtype))
            return positive**degree * (1 / math.factorial(degree)) if degree > 1 else positive

        return tuple(one(self.power - k) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        """Integrates by parts `min(n, q)` times, `n = p - k`; a half-moment or a boundary term at 0 remains."""
        n = self.power - k
        if n < 0:
            return 0.0
        if q <= n:
            return _quadrature.absolute_moment(n - q) / (2 * math.factorial(n - q))
        # ∫_0^∞ He_j φ = He_{j-1}(0) φ(0), since (He_{j-1} φ)' = -He_j φ.
        return _quadrature.hermite_at_zero(q - n - 1) / math.sqrt(2 * math.pi)

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        return _arc_cosine(self.power - k, rho) if k <= self.power else jnp.zeros_like(rho)

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        """Returns `κ_{k+1}`, and for a step `1/(2π √(1-ρ²))`, which the almost-everywhere derivative misses."""
        if k != self.power:
            return self.dual(k + 1)(rho)
        clipped = jnp.clip(rho, -1, 1)
        return 1 / (2 * math.pi * jnp.sqrt((1 - clipped) * (1 + clipped)))

    @override
    def supremum(self, k: int) -> float:
        """Returns the exact supremum; infinite for `k > p`, where `σ^{(k-1)}` jumps or is only a distribution."""
        return 1.0 if k == self.power else math.inf


@functools.cache
def _arc_cosine_polynomials(n: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns polynomials `A_n`, `B_n` of `J_n(θ) = A_n(ρ) sin θ + B_n(ρ) (π - θ)`, `ρ = cos θ`, lowest degree first.

    `J_n = s^{2n+1} d^n/dρ^n [(π - θ)/s]` with `s = sin θ`, `ds/dρ = -ρ/s`, `dθ/dρ = -1/s` implies
    `A_{n+1} = (1-ρ²) A_n' + 2nρ A_n + B_n` and `B_{n+1} = (1-ρ²) B_n' + (2n+1)ρ B_n`.
    """
    a, b = NumpyPolynomial([0.0]), NumpyPolynomial([1.0])
    rho, square = NumpyPolynomial([0.0, 1.0]), NumpyPolynomial([1.0, 0.0, -1.0])
    for j in range(n):
        a, b = square * a.deriv() + 2 * j * rho * a + b, square * b.deriv() + (2 * j + 1) * rho * b
    return tuple(map(float, np.trim_zeros(a.coef, "b"))) or (0.0,), tuple(map(float, np.trim_zeros(b.coef, "b")))


def _arc_cosine(n: int, rho: Array) -> Array:
    """Computes `E[r(g) r(g')] = J_n(θ)/(2π n!²)` for `r = relu^n/n!`."""
    a, b = _arc_cosine_polynomials(n)
    sine = jnp.sqrt((1 - rho) * (1 + rho))
    rest = math.pi - jnp.arctan2(sine, rho)
    scale = 1 / (2 * math.pi * math.factorial(n) ** 2)
    return scale * (_quadrature.horner(a, rho) * sine + _quadrature.horner(b, rho) * rest)


def _parse(name: str) -> ReluPower | None:
    match = re.fullmatch(r"relu_power_(\d+)", name)
    return ReluPower(int(match[1])) if match else None


for _power in (1, 2, 3, 4):
    register(ReluPower(_power).name, functools.partial(ReluPower, _power))
register_pattern("relu_power_P", _parse)
