"""Losses of real targets: squared and Huber."""

import dataclasses
import math

import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

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


@dataclasses.dataclass(frozen=True)
class Squared(Loss):
    """`ℓ(v, y) = Σ_c (v_c - y_c)²`. Targets: real numbers, `(n, C)`, or `(n,)` with one output.

    Conjugate: `Σ_c s_c²/4 + s_c y_c`, everywhere finite.
    """

    @property
    def name(self) -> str:
        """See `Loss`."""
        return "squared"

    @property
    def curvature_bound(self) -> float:
        """See `Loss`."""
        return 2.0

    @property
    def fourth_derivative_bound(self) -> float:
        """See `Loss`."""
        return 0.0

    @property
    def output_lipschitz(self) -> float:
        """See `Loss`."""
        return math.inf

    def lipschitz(self, outputs: int = 1) -> float:
        """See `Loss`."""
        _checks.integer("outputs", outputs, 1)
        return math.inf

    def prepare_targets(self, y: ArrayLike, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        """See `Loss`."""
        return real_targets(y, outputs, dtype, "real numbers")

    def value(self, v: Predictions, y: Predictions) -> PerExample:
        """See `Loss`."""
        return jnp.sum((v - y) ** 2, axis=1)

    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        """See `Loss`."""
        return 2 * (v - y)

    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:  # noqa: ARG002
        """See `Loss`; constant in `v` and `y`."""
        return 2 * u

    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        """See `Loss`."""
        return outward(s * s / 4 + s * y, s * s / 4 + jnp.abs(s * y))

    def project(self, s: Predictions, y: Predictions) -> Predictions:  # noqa: ARG002
        """See `Loss`; every `s` is in the domain."""
        return s

    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:  # noqa: ARG002
        """See `Loss`; unbounded."""
        return jnp.zeros((), s.dtype), jnp.full((), jnp.inf, s.dtype)


@dataclasses.dataclass(frozen=True)
class Huber(Loss):
    """`ℓ(v, y) = Σ_c h(v_c - y_c)`: `h(r) = r²/2` for `|r| ≤ δ`, `δ|r| - δ²/2` beyond.

    Targets as for the squared loss. Conjugate: `Σ_c s_c²/2 + s_c y_c` for `|s_c| ≤ δ`.

    Args:
        delta: the threshold `δ > 0`.

    Raises:
        ArgumentError: if `delta` is not a finite number > 0.
    """

    delta: float = 1.0

    def __post_init__(self):
        _checks.positive("delta", self.delta)
        object.__setattr__(self, "delta", float(self.delta))

    @property
    def name(self) -> str:
        """See `Loss`."""
        return "huber"

    @property
    def curvature_bound(self) -> float:
        """See `Loss`."""
        return 1.0

    @property
    def fourth_derivative_bound(self) -> float:
        """See `Loss`."""
        return math.inf

    @property
    def output_lipschitz(self) -> float:
        """See `Loss`."""
        return self.delta

    def lipschitz(self, outputs: int = 1) -> float:
        """See `Loss`: `δ√C`."""
        return self.delta * math.sqrt(_checks.integer("outputs", outputs, 1))

    def prepare_targets(self, y: ArrayLike, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        """See `Loss`."""
        return real_targets(y, outputs, dtype, "real numbers")

    def value(self, v: Predictions, y: Predictions) -> PerExample:
        """See `Loss`."""
        residual = v - y
        near = jnp.clip(residual, -self.delta, self.delta)
        return jnp.sum(near * (residual - near / 2), axis=1)

    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        """See `Loss`."""
        return jnp.clip(v - y, -self.delta, self.delta)

    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        """See `Loss`; at the threshold the curvature of the inner part is taken."""
        return jnp.where(jnp.abs(v - y) <= self.delta, u, 0)

    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        """See `Loss`."""
        outside = jnp.any(jnp.abs(s) > self.delta, axis=1)
        return jnp.where(outside, jnp.inf, outward(s * s / 2 + s * y, s * s / 2 + jnp.abs(s * y)))

    def project(self, s: Predictions, y: Predictions) -> Predictions:  # noqa: ARG002
        """See `Loss`."""
        return jnp.clip(s, -self.delta, self.delta)

    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:  # noqa: ARG002
        """See `Loss`."""
        return jnp.zeros((), s.dtype), interval_end(jnp.full_like(s, self.delta), jnp.abs(s))
