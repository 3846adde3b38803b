"""SiLU, `t/(1 + exp(-t))`, from the derivatives of the sigmoid."""

import dataclasses
import math

from jaxtyping import Array
from typing_extensions import override

from taylornets.activations import _quadrature
from taylornets.activations._base import Activation
from taylornets.activations._logistic import Sigmoid, derivative_bound_of_sigmoid
from taylornets.activations._registry import register
from taylornets.activations._traits import Traits

_EDGE = 40.0
_PRODUCT = 0.9  # an upper bound on sup t/cosh²(t/2) = 0.8955


@dataclasses.dataclass(frozen=True)
class Silu(Activation):
    """`σ(t) = t s(t)` with the sigmoid `s`, also called swish; complex arguments inside the strip `|Im t| < π`.

    `σ''` is even, so the quadratic model of this activation is an even function of `x` (theory 12).

    Source: theory section 1; Hendrycks and Gimpel (2016).

    Example:
        >>> import taylornets as tn
        >>> float(tn.activations.get("silu").derivative(1)(0.0))
        0.5
    """

    @property
    @override
    def traits(self) -> Traits:
        return Traits("silu", analytic=True, strip=math.pi)

    @override
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """Uses `σ^{(k)} = t s^{(k)} + k s^{(k-1)}`."""
        needed = tuple(sorted({*orders, *(k - 1 for k in orders if k > 0)}))
        s = dict(zip(needed, Sigmoid().evaluate(t, needed), strict=True))
        return tuple(t * s[k] + k * s[k - 1] if k > 0 else t * s[0] for k in orders)

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
        """On a grid; `|s^{(j)}(t)| ≤ b_j/cosh²(t/2)` bounds the curvature and the tails."""
        if k == 0:
            return math.inf
        decay = 4 * math.exp(-_EDGE)  # of 1/cosh²(t/2) beyond the grid, where also t/cosh²(t/2) decreases
        tail = _EDGE * decay * derivative_bound_of_sigmoid(k)
        tail += k * (1.0 if k == 1 else decay * derivative_bound_of_sigmoid(k - 1))
        curvature = _PRODUCT * derivative_bound_of_sigmoid(k + 2) + (k + 2) * derivative_bound_of_sigmoid(k + 1)
        return _quadrature.grid_supremum(self, k, edge=_EDGE, curvature=curvature, tail=tail)


register("silu", Silu)
