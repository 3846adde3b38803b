"""tanh, the sigmoid `(1 + tanh(t/2))/2`, and softplus, whose derivative is the sigmoid.

For `T = tanh` and `s = sech²`, `T' = s`, `s' = -2 T s`, `T² = 1 - s`: every derivative is `R(s)` (odd order) or
`T R(s)` (even order) with a polynomial `R`. Writing `R` in `s` instead of `T` avoids cancellation in the tails, where `s` is
small and computed to full relative accuracy as `4e/(1+e)²`, `e = exp(-2|t|)`.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array
from typing_extensions import override

from taylornets.activations import _quadrature
from taylornets.activations._base import Activation
from taylornets.activations._registry import register
from taylornets.activations._traits import Traits


@functools.cache
def _polynomial(k: int) -> tuple[int, ...]:
    """Returns the coefficients of `R`, by increasing degree, for `k ≥ 1`: `(R)' = T·(-2 s R')`, `(T R)' = sR - 2s(1-s)R'`."""
    if k == 1:
        return (0, 1)
    below = _polynomial(k - 1)
    scaled = tuple(j * c for j, c in enumerate(below))  # s R'
    if k % 2 == 0:
        return tuple(-2 * c for c in scaled)
    return tuple(
        (below[j - 1] + 2 * scaled[j - 1] if j > 0 else 0) - (2 * scaled[j] if j < len(below) else 0)
        for j in range(len(below) + 1)
    )


def _tanh_derivatives(x: Array, orders: tuple[int, ...], scale: tuple[float, ...]) -> tuple[Array, ...]:
    """Computes `scale · tanh^{(k)}(x)` for orders `k ≥ 1`."""
    if not orders:
        return ()
    # s is even, and e must not overflow; selecting by the real part also handles complex arguments.
    decay = jnp.exp(-2 * jnp.where(jnp.real(x) < 0, -x, x))
    s = 4 * decay / (1 + decay) ** 2
    tangent = jnp.tanh(x) if any(k % 2 == 0 for k in orders) else x

    def one(k: int, factor: float) -> Array:
        value = s * _quadrature.horner(tuple(factor * c for c in _polynomial(k)[1:]), s)
        return value if k % 2 else tangent * value

    return tuple(one(k, factor) for k, factor in zip(orders, scale, strict=True))


def _tanh_supremum(k: int, activation: Activation, order: int, scale: float, width: float) -> float:
    """Bounds `scale · sup|tanh^{(k)}|`, where the derivative of `activation` is `scale · tanh^{(k)}(t/width)`."""
    edge = 20.0 * width
    # |T| ≤ 1 and 0 ≤ s ≤ 1 bound the polynomial by the sum of its coefficients; s ≤ 4 exp(-2|x|) in the tail.
    curvature = scale / width**2 * sum(map(abs, _polynomial(k + 2)))
    tail = scale * 4 * math.exp(-2 * edge / width) * sum(map(abs, _polynomial(k)))
    return _quadrature.grid_supremum(activation, order, edge=edge, curvature=curvature, tail=tail)


@dataclasses.dataclass(frozen=True)
class Tanh(Activation):
    """`σ(t) = tanh t`; complex arguments inside the strip `|Im t| < π/2`.

    Source: theory section 1.

    Example:
        >>> import taylornets as tn
        >>> float(tn.activations.get("tanh").derivative(3)(0.0))
        -2.0
    """

    @property
    @override
    def traits(self) -> Traits:
        return Traits("tanh", analytic=True, strip=math.pi / 2)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        higher = tuple(k for k in orders if k > 0)
        found = iter(_tanh_derivatives(t, higher, (1.0,) * len(higher)))
        return tuple(next(found) if k > 0 else jnp.tanh(t) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        return _quadrature.hermite_coefficient(self, k, q)

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        return _quadrature.dual_series(self, k, rho)

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        return 1.0 if k <= 1 else _tanh_supremum(k, self, k, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Sigmoid(Activation):
    """`σ(t) = 1/(1 + exp(-t))`; complex arguments inside the strip `|Im t| < π`.

    Source: theory section 1.

    Example:
        >>> import taylornets as tn
        >>> float(tn.activations.get("sigmoid").derivative(1)(0.0))
        0.25
    """

    @property
    @override
    def traits(self) -> Traits:
        return Traits("sigmoid", analytic=True, strip=math.pi)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        higher = tuple(k for k in orders if k > 0)
        found = iter(_tanh_derivatives(t / 2, higher, tuple(0.5 ** (k + 1) for k in higher)))
        return tuple(next(found) if k > 0 else _sigmoid(t) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        return _quadrature.hermite_coefficient(self, k, q)

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        return _quadrature.dual_series(self, k, rho)

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        return (1.0, 0.25)[k] if k <= 1 else _tanh_supremum(k, self, k, 0.5 ** (k + 1), 2.0)


@dataclasses.dataclass(frozen=True)
class Softplus(Activation):
    """`σ(t) = log(1 + exp t)`; complex arguments inside the strip `|Im t| < π`.

    Source: theory section 1.

    Example:
        >>> import taylornets as tn
        >>> float(tn.activations.get("softplus").derivative(1)(0.0))
        0.5
    """

    @property
    @override
    def traits(self) -> Traits:
        return Traits("softplus", analytic=True, strip=math.pi)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        higher = tuple(k for k in orders if k > 1)
        found = iter(_tanh_derivatives(t / 2, tuple(k - 1 for k in higher), tuple(0.5**k for k in higher)))
        low = (_softplus, _sigmoid)
        return tuple(next(found) if k > 1 else low[k](t) for k in orders)

    @override
    def gaussian_moment(self, k: int, q: int) -> float:
        return _quadrature.hermite_coefficient(self, k, q)

    @override
    def dual_value(self, k: int, rho: Array) -> Array:
        return _quadrature.dual_series(self, k, rho)

    @override
    def dual_slope(self, k: int, rho: Array) -> Array:
        return self.dual(k + 1)(rho)

    @override
    def supremum(self, k: int) -> float:
        return (math.inf, 1.0, 0.25)[k] if k <= 2 else _tanh_supremum(k - 1, self, k, 0.5**k, 2.0)


def derivative_bound_of_sigmoid(k: int) -> float:
    """Returns `b` with `|s^{(k)}(t)| ≤ b/cosh²(t/2)` for the sigmoid `s` and `k ≥ 1`: the sum of coefficients."""
    return 0.5 ** (k + 1) * sum(map(abs, _polynomial(k)))


def _sigmoid(t: Array) -> Array:
    if not jnp.issubdtype(t.dtype, jnp.complexfloating):
        return jax.nn.sigmoid(t)
    left = t.real < 0
    decay = jnp.exp(jnp.where(left, t, -t))
    return jnp.where(left, decay, 1) / (1 + decay)


def _softplus(t: Array) -> Array:
    left = jnp.real(t) < 0
    return jnp.where(left, 0, t) + jnp.log1p(jnp.exp(jnp.where(left, t, -t)))


register("tanh", Tanh)
register("sigmoid", Sigmoid)
register("softplus", Softplus)
