"""Losses for class labels: logistic and softmax."""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import DTypeLike
from typing_extensions import override

from taylornets import _checks
from taylornets.losses._base import (
    Loss,
    PerExample,
    Predictions,
    Scalar,
    axes,
    entropy,
    entropy_of_rest,
    interval_end,
    outward,
    real_targets,
    refuse_labels,
    unless_not_finite,
)
from taylornets.losses._registry import register


@dataclasses.dataclass(frozen=True)
class Logistic(Loss):
    """The logistic loss `ℓ(v, y) = Σ_c log(1 + exp(-y_c v_c))`, `y_c = ±1`.

    Targets: labels -1 and +1, or 0 and 1 (or booleans), where 0 is mapped to -1; `(n, C)`, or `(n,)` with one output.

    Conjugate, for `u = -s y`: `Σ_c u_c log u_c + (1 - u_c) log(1 - u_c)` for `0 ≤ u ≤ 1`.
    """

    separable: ClassVar[bool] = True
    classifies: ClassVar[bool] = True
    probabilistic: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return "logistic"

    @property
    @override
    def curvature_bound(self) -> float:
        return 0.25

    @property
    @override
    def fourth_derivative_bound(self) -> float:
        return 0.125

    @property
    @override
    def output_lipschitz(self) -> float:
        return 1.0

    @override
    def lipschitz(self, outputs: int = 1) -> float:
        """`√C`."""
        return math.sqrt(_checks.integer("outputs", outputs, 1))

    @override
    def prepare_targets(self, y: Any, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        labels = real_targets(y, outputs, dtype, "labels -1 and +1 (or 0 and 1)")
        needed = "labels -1 and +1, or 0 and 1, for the logistic loss"
        advice = "Map your two classes to -1 and +1; for more classes use loss='softmax'."
        refuse_labels(needed, labels, ~((jnp.abs(labels) == 1) | (labels == 0)), advice)
        if not isinstance(labels, Tracer) and bool(jnp.any(labels == 0) & jnp.any(labels == -1)):
            raise _checks.ArgumentError("y", needed, "a mix of -1, 0 and +1", advice)
        return jnp.where(labels > 0, 1, -1).astype(labels.dtype)

    @override
    def value(self, v: Predictions, y: Predictions) -> PerExample:
        return jnp.sum(jax.nn.softplus(-y * v), axis=1)

    @override
    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        return -y * jax.nn.sigmoid(-y * v)

    @override
    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        return jax.nn.sigmoid(y * v) * jax.nn.sigmoid(-y * v) * u

    @override
    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        u = -s * y
        outside = jnp.any((u < 0) | (u > 1), axis=1)
        inside = jnp.clip(u, 0, 1)
        terms = entropy(inside) + entropy_of_rest(inside)  # both are ≤ 0
        return jnp.where(outside, jnp.inf, outward(terms, -terms))

    @override
    def project(self, s: Predictions, y: Predictions) -> Predictions:
        return -y * jnp.clip(-s * y, 0, 1)

    @override
    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        u = -s * y
        end = interval_end(jnp.ones_like(u), u)
        return jnp.zeros((), s.dtype), jnp.where(jnp.any(u < 0), 0, end).astype(s.dtype)


@dataclasses.dataclass(frozen=True)
class Softmax(Loss):
    """The softmax cross-entropy `ℓ(v, y) = log Σ_c exp(v_c) - ⟨y, v⟩`, `y` in the simplex.

    Targets: integer labels `(n,)` from 0 to `C - 1`; or rows of probabilities `(n, C)` (including one-hot rows), which
    are rescaled to sum to 1.

    Conjugate, for `q = y + s`: `Σ_c q_c log q_c` for `q` in the simplex, for both kinds of targets.
    """

    separable: ClassVar[bool] = False
    classifies: ClassVar[bool] = True
    probabilistic: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return "softmax"

    @property
    @override
    def curvature_bound(self) -> float:
        """The matrix `diag(p) - p p^T` has eigenvalues of at most 1/2."""
        return 0.5

    @property
    @override
    def fourth_derivative_bound(self) -> float:
        """The derivative is a fourth cumulant.

        For a random variable of range `R`, here `√2`, it lies between `-2 μ_2² ≥ -R⁴/8` and `μ_4 ≤ R⁴/12`.
        """
        return 0.5

    @property
    @override
    def output_lipschitz(self) -> float:
        return 1.0

    @override
    def lipschitz(self, outputs: int = 1) -> float:
        """Returns the diameter `√2` of the simplex."""
        _checks.integer("outputs", outputs, 1)
        return math.sqrt(2)

    @override
    def prepare_targets(self, y: Any, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        outputs = _checks.integer("outputs", outputs, 1)
        advice = f"Pass labels 0 to {outputs - 1} of shape (n,), or probabilities of shape (n, {outputs})."
        if outputs == 1:
            raise _checks.ArgumentError(
                "outputs", "at least 2 for the softmax loss", "1", "For two classes and one output use loss='logistic'."
            )
        if axes(y) == 1:
            return self._one_hot(y, outputs, dtype, advice)
        rows = real_targets(y, outputs, dtype, "class labels of shape (n,), or probabilities")
        needed = "rows of nonnegative probabilities that sum to 1"
        sums = jnp.sum(rows, axis=1, keepdims=True)
        if not isinstance(rows, Tracer):
            if bool(jnp.any(rows < 0)):
                raise _checks.ArgumentError("y", needed, f"the entry {float(jnp.min(rows)):g}", advice)
            # A heuristic tolerance: it accepts rows rounded to four digits and rejects logits and counts.
            if bool(jnp.any(jnp.abs(sums - 1) > 1e-3)):
                worst = sums.ravel()[int(jnp.argmax(jnp.abs(sums - 1)))]
                raise _checks.ArgumentError("y", needed, f"a row that sums to {float(worst):g}", advice)
        return rows / sums

    def _one_hot(self, y: Any, outputs: int, dtype: DTypeLike | None, advice: str) -> Predictions:
        _checks.array("y", y, ("n",), unless_not_finite(y, advice))
        raw = y if isinstance(y, Tracer) else jnp.asarray(y)
        if not jnp.issubdtype(raw.dtype, jnp.integer) and raw.dtype != jnp.bool_:
            advice = f"Convert them with y.astype(int). {advice}"
            raise _checks.ArgumentError("y", "integer labels for the softmax loss", f"dtype {raw.dtype}", advice)
        labels = raw.astype(int)
        refuse_labels(f"labels from 0 to {outputs - 1}", labels, (labels < 0) | (labels >= outputs), advice)
        return jax.nn.one_hot(labels, outputs, dtype=jnp.result_type(float) if dtype is None else dtype)

    @override
    def value(self, v: Predictions, y: Predictions) -> PerExample:
        # Centering on the predicted mean avoids cancellation for confident, correct predictions.
        return jax.nn.logsumexp(v - jnp.sum(y * v, axis=1, keepdims=True), axis=1)

    @override
    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        return jax.nn.softmax(v, axis=1) - y

    @override
    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        """Computes `(diag(p) - p p^T) u`, which does not depend on `y`."""
        p = jax.nn.softmax(v, axis=1)
        return p * (u - jnp.sum(p * u, axis=1, keepdims=True))

    @override
    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        q = y + s
        total = jnp.sum(q, axis=1)
        tolerance = (q.shape[1] + 8) * jnp.finfo(q.dtype).eps
        outside = jnp.any(q < 0, axis=1) | (jnp.abs(total - 1) > tolerance)
        inside = jnp.maximum(q, 0)
        # After rescaling to sum 1: Σ (q/t) log(q/t) = E/t - log t with E = Σ q log q, which differs from E by at most
        # 2 |t - 1| (1 + |E|) within the tolerance.
        terms = entropy(inside)
        sizes = jnp.where(inside == 1, 0, inside + jnp.abs(terms))  # rounding q changes q log q by q (1 + |log q|)
        slack = 2 * jnp.abs(total - 1) * (1 + jnp.abs(jnp.sum(terms, axis=1)))
        return jnp.where(outside, jnp.inf, outward(terms, sizes) + jax.lax.stop_gradient(slack))

    @override
    def project(self, s: Predictions, y: Predictions) -> Predictions:
        q = jnp.maximum(y + s, 0)
        total = jnp.sum(q, axis=1, keepdims=True)
        empty = total <= 0  # false for NaN, which passes
        return jnp.where(empty, y, q / jnp.where(empty, 1, total)) - y

    @override
    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        """Requires `y + t s ≥ 0`; `hi = 0` if some `s_i` does not sum to 0 up to rounding."""
        tolerance = (s.shape[1] + 8) * jnp.finfo(s.dtype).eps * jnp.maximum(1, jnp.max(jnp.abs(s)))
        unbalanced = jnp.any(jnp.abs(jnp.sum(s, axis=1)) > tolerance)
        return jnp.zeros((), s.dtype), jnp.where(unbalanced, 0, interval_end(y, -s)).astype(s.dtype)


register(Logistic())
register(Softmax())
