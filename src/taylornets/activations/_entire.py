"""sin, exp and polynomials."""

import dataclasses
import math
import re

import jax.numpy as jnp
from jaxtyping import Array
from typing_extensions import override

from taylornets import _checks
from taylornets.activations import _quadrature
from taylornets.activations._base import Activation
from taylornets.activations._registry import register, register_pattern
from taylornets.activations._traits import Traits


@dataclasses.dataclass(frozen=True)
class Sin(Activation):
    """`σ(t) = sin t`; entire.

    Source: theory sections 1 and 6.

    Example:
        >>> import taylornets as tn
        >>> float(tn.activations.get("sin").derivative(1)(0.0))
        1.0
    """

    @property
    @override
    def traits(self) -> Traits:
        return Traits("sin", analytic=True, strip=math.inf)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        sine = jnp.sin(t) if any(k % 2 == 0 for k in orders) else t
        cosine = jnp.cos(t) if any(k % 2 == 1 for k in orders) else t
        return tuple((sine, cosine, -sine, -cosine)[k % 4] for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        """Differentiates `E sin(g + s) = e^{-1/2} sin s` to order `k + q` at 0."""
        return math.exp(-0.5) * (0.0, 1.0, 0.0, -1.0)[(k + q) % 4]

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        """Returns `e^{-1} sinh ρ`, and for the cosine `e^{-1} cosh ρ`."""
        return math.exp(-1) * (jnp.cosh(rho) if k % 2 else jnp.sinh(rho))

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        """Exact."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class Exp(Activation):
    """`σ(t) = exp t`; entire. It overflows the floating-point range (for `t > 88` in float32).

    Source: theory sections 1 and 2.

    Example:
        >>> import taylornets as tn
        >>> float(tn.activations.get("exp").derivative(5)(0.0))
        1.0
    """

    @property
    @override
    def traits(self) -> Traits:
        return Traits("exp", analytic=True, strip=math.inf)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        return (jnp.exp(t),) * len(orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        """Uses `E exp(g + s) = exp(s + 1/2)`."""
        return math.exp(0.5)

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        """Returns `exp(1 + ρ)`."""
        return jnp.exp(1 + rho)

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        """Exact."""
        return math.inf


# Polynomials with a name of their own, by their coefficients.
_NAMED: dict[tuple[float, ...], str] = {(0.0, 0.0, 1.0): "square"}


@dataclasses.dataclass(frozen=True)
class PolynomialActivation(Activation):
    """`σ(t) = Σ_j c_j t^j`; entire. By name: `"polynomial(c0, c1, ...)"`, and `"square"` for `t²`.

    Args:
        coefficients: `(c_0, c_1, ...)`, finite numbers; trailing zeros are dropped.

    Raises:
        ArgumentError: for an empty sequence, or a coefficient that is not a finite real number.

    Source: theory section 1.

    Example:
        >>> import taylornets as tn
        >>> sigma = tn.activations.PolynomialActivation((0, 0, 0.5))
        >>> float(sigma(4.0)), float(sigma.derivative(1)(4.0)), sigma.name
        (8.0, 4.0, 'polynomial(0.0, 0.0, 0.5)')
    """

    coefficients: tuple[float, ...]

    def __post_init__(self):
        needed = "a sequence of at least one finite real number"
        try:
            values = [float(c) for c in self.coefficients]
        except (TypeError, ValueError):
            raise _checks.ArgumentError("coefficients", needed, repr(self.coefficients)) from None
        if not values or not all(map(math.isfinite, values)):
            raise _checks.ArgumentError("coefficients", needed, repr(self.coefficients))
        while len(values) > 1 and values[-1] == 0:
            values.pop()
        object.__setattr__(self, "coefficients", tuple(values))

    @property
    @override
    def traits(self) -> Traits:
        name = _NAMED.get(self.coefficients, f"polynomial({', '.join(map(repr, self.coefficients))})")
        return Traits(name, analytic=True, strip=math.inf)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        return tuple(_quadrature.horner(self._derivative_coefficients(k), t) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        """Uses `E[g^a He_q(g)] = a!/((a-q)/2)!/2^{(a-q)/2}` for `a - q` even and nonnegative, 0 otherwise."""
        return math.fsum(
            c * math.factorial(a) / (math.factorial((a - q) // 2) * 2 ** ((a - q) // 2))
            for a, c in enumerate(self._derivative_coefficients(k))
            if a >= q and (a - q) % 2 == 0
        )

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        """Returns the finite sum `Σ_q c_{k,q}²/q! ρ^q`."""
        degree = max(0, len(self.coefficients) - 1 - k)
        return _quadrature.horner(
            tuple(self.gaussian_moment(k, q) ** 2 / math.factorial(q) for q in range(degree + 1)), rho
        )

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        """Exact."""
        left = self._derivative_coefficients(k)
        return abs(left[0]) if len(left) == 1 else math.inf

    def _derivative_coefficients(self, k: int) -> tuple[float, ...]:
        return tuple(math.perm(j, k) * c for j, c in enumerate(self.coefficients) if j >= k) or (0.0,)


def _parse(name: str) -> PolynomialActivation | None:
    match = re.fullmatch(r"polynomial\((.*)\)", name.strip())
    if not match:
        return None
    try:
        return PolynomialActivation(tuple(map(float, match[1].split(","))))
    except ValueError:
        raise _checks.ArgumentError(
            "activation", "'polynomial(c0, c1, ...)' with numbers", repr(name), "Example: 'polynomial(0, 1, 0.5)'."
        ) from None


register("sin", Sin)
register("exp", Exp)
register("square", lambda: PolynomialActivation((0.0, 0.0, 1.0)))
register_pattern("polynomial(c0, c1, ...)", _parse)
