"""Losses for real targets: squared and Huber."""

import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp
from jax.typing import DTypeLike
from typing_extensions import override

from taylornets import _checks
from taylornets.losses._base import (
    Loss,
    PerExample,
    Predictions,
    Scalar,
    interval_end,
    outward,
    real_targets,
)
from taylornets.losses._registry import register


@dataclasses.dataclass(frozen=True)
class Squared(Loss):
    """The squared loss `ℓ(v, y) = Σ_c (v_c - y_c)²`. Targets: real numbers, `(n, C)`, or `(n,)` with one output.

    Conjugate: `Σ_c s_c²/4 + s_c y_c`, finite everywhere.
    """

    separable: ClassVar[bool] = True
    quadratic: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return "squared"

    @property
    @override
    def curvature_bound(self) -> float:
        return 2.0

    @property
    @override
    def fourth_derivative_bound(self) -> float:
        return 0.0

    @property
    @override
    def output_lipschitz(self) -> float:
        return math.inf

    @override
    def lipschitz(self, outputs: int = 1) -> float:
        _checks.integer("outputs", outputs, 1)
        return math.inf

    @override
    def prepare_targets(self, y: Any, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        return real_targets(y, outputs, dtype, "real numbers")

    @override
    def value(self, v: Predictions, y: Predictions) -> PerExample:
        return jnp.sum((v - y) ** 2, axis=1)

    @override
    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        return 2 * (v - y)

    @override
    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        """The Hessian is constant in `v` and `y`."""
        return 2 * u

    @override
    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        return outward(s * s / 4 + s * y, s * s / 4 + jnp.abs(s * y))

    @override
    def project(self, s: Predictions, y: Predictions) -> Predictions:
        """Returns `s`, since every point is in the domain."""
        return s

    @override
    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        """Unbounded."""
        return jnp.zeros((), s.dtype), jnp.full((), jnp.inf, s.dtype)


@dataclasses.dataclass(frozen=True)
class Huber(Loss):
    """The Huber loss `ℓ(v, y) = Σ_c h(v_c - y_c)`: `h(r) = r²/2` for `|r| ≤ δ`, otherwise `δ|r| - δ²/2`.

    Targets: as for the squared loss. Conjugate: `Σ_c s_c²/2 + s_c y_c` for `|s_c| ≤ δ`.

    Args:
        delta: the threshold `δ > 0`.

    Raises:
        ArgumentError: if `delta` is not a finite number > 0.
    """

    separable: ClassVar[bool] = True

    delta: float = 1.0

    def __post_init__(self):
        _checks.positive("delta", self.delta)
        object.__setattr__(self, "delta", float(self.delta))

    @property
    @override
    def name(self) -> str:
        return "huber"

    @property
    @override
    def curvature_bound(self) -> float:
        return 1.0

    @property
    @override
    def fourth_derivative_bound(self) -> float:
        return math.inf

    @property
    @override
    def output_lipschitz(self) -> float:
        return self.delta

    @override
    def lipschitz(self, outputs: int = 1) -> float:
        """`δ√C`."""
        return self.delta * math.sqrt(_checks.integer("outputs", outputs, 1))

    @override
    def prepare_targets(self, y: Any, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        return real_targets(y, outputs, dtype, "real numbers")

    @override
    def value(self, v: Predictions, y: Predictions) -> PerExample:
        residual = v - y
        near = jnp.clip(residual, -self.delta, self.delta)
        return jnp.sum(near * (residual - near / 2), axis=1)

    @override
    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        return jnp.clip(v - y, -self.delta, self.delta)

    @override
    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        """Uses the curvature of the quadratic part at the threshold."""
        return jnp.where(jnp.abs(v - y) <= self.delta, u, 0)

    @override
    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        outside = jnp.any(jnp.abs(s) > self.delta, axis=1)
        return jnp.where(outside, jnp.inf, outward(s * s / 2 + s * y, s * s / 2 + jnp.abs(s * y)))

    @override
    def project(self, s: Predictions, y: Predictions) -> Predictions:
        return jnp.clip(s, -self.delta, self.delta)

    @override
    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        return jnp.zeros((), s.dtype), interval_end(jnp.full_like(s, self.delta), jnp.abs(s))


register(Squared())
register(Huber())
