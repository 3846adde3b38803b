"""A loss in one file."""

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
    entropy_of_rest,
    interval_end,
    outward,
    real_targets,
)
from taylornets.losses._registry import register


@dataclasses.dataclass(frozen=True)
class LogCosh(Loss):
    """`ℓ(v, y) = Σ_c log cosh(v_c - y_c)`.

    Conjugate: `Σ_c (1 + s_c)/2 log(1 + s_c) + (1 - s_c)/2 log(1 - s_c) + s_c y_c` for `|s_c| ≤ 1`.
    """

    separable: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return "log_cosh"

    @property
    @override
    def curvature_bound(self) -> float:
        return 1.0

    @property
    @override
    def fourth_derivative_bound(self) -> float:
        """`2 sech²(r) |1 - 3 tanh²(r)|` is largest at 0."""
        return 2.0

    @property
    @override
    def output_lipschitz(self) -> float:
        return 1.0

    @override
    def lipschitz(self, outputs: int = 1) -> float:
        return math.sqrt(_checks.integer("outputs", outputs, 1))

    @override
    def prepare_targets(self, y: Any, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        return real_targets(y, outputs, dtype, "real numbers")

    @override
    def value(self, v: Predictions, y: Predictions) -> PerExample:
        return jnp.sum(jnp.logaddexp(v - y, y - v) - math.log(2), axis=1)

    @override
    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        return jnp.tanh(v - y)

    @override
    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        return u / jnp.cosh(v - y) ** 2

    @override
    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        above, below = entropy_of_rest(-s) / 2, entropy_of_rest(s) / 2
        value = outward(above + below + s * y, jnp.abs(above) + jnp.abs(below) + jnp.abs(s * y))
        return jnp.where(jnp.any(jnp.abs(s) > 1, axis=1), jnp.inf, value)

    @override
    def project(self, s: Predictions, y: Predictions) -> Predictions:
        return jnp.clip(s, -1, 1)

    @override
    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        return jnp.zeros((), s.dtype), interval_end(jnp.ones_like(s), jnp.abs(s))


register(LogCosh())
