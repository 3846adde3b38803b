"""Convex losses: value, derivative, curvature and convex conjugate, per example (theory sections 3 and 5).

Predictions `v` and prepared targets `y` have shape `(n, C)`; results that are one number an example have shape `(n,)`. The
objective averages over examples elsewhere. Everything keeps the floating type of what comes in.

**Conjugates as proofs.** `conjugate(s, y)` enters lower bounds on an optimum, so it must never be too small:

- The domain is decided strictly, on the numbers as they come; outside the value is `+inf`. The one exception is the equation
  `Σ_c s_c = 0` of the softmax loss, which floating-point numbers cannot meet exactly: it is granted within `(C + 8) eps`,
  and the value is then that of the point rescaled onto the simplex.
- A point that left the domain by rounding is brought back by the caller, with `project`, and the bound is then computed
  from the projected point throughout.
- The value is rounded outward: a bound on the rounding error of its own formula is added.
"""

import abc
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from taylornets import _checks

Predictions = Float[Array, "n C"]
PerExample = Float[Array, " n"]
Scalar = Float[Array, ""]


class Loss(abc.ABC):
    """A convex loss `ℓ(v, y)`. Instances are immutable, hashable and equal by value.

    Source: theory sections 3 and 5.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> loss = tn.losses.get("squared")
        >>> y = loss.prepare_targets([1.0, 2.0], outputs=1)
        >>> loss.value(jnp.zeros((2, 1)), y).tolist()
        [1.0, 4.0]
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name under which `taylornets.losses.get` returns this loss."""

    @property
    @abc.abstractmethod
    def curvature_bound(self) -> float:
        """The largest eigenvalue that the Hessian of `ℓ` in one example's `v` can have."""

    @abc.abstractmethod
    def lipschitz(self, outputs: int = 1) -> float:
        """The Lipschitz constant of `ℓ` in one example's `v`, Euclidean norm; infinite for the squared loss.

        Args:
            outputs: number of outputs `C`.
        """

    @abc.abstractmethod
    def prepare_targets(self, y: ArrayLike, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        """Checks a user's targets and brings them into the form the other methods take.

        Args:
            y: targets; see the class for what it takes.
            outputs: number of outputs `C`.
            dtype: floating type of the result; by default that of `y`, or JAX's default if `y` has none.

        Returns:
            Targets, shape `(n, C)`.

        Raises:
            ArgumentError: for another shape, NaN, infinity, no examples, or labels that are none.
        """

    @abc.abstractmethod
    def value(self, v: Predictions, y: Predictions) -> PerExample:
        """`ℓ(v_i, y_i)` of every example.

        Args:
            v: predictions, shape `(n, C)`.
            y: prepared targets, shape `(n, C)`.

        Returns:
            Losses, shape `(n,)`.
        """

    @abc.abstractmethod
    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        """The gradient of `ℓ(v_i, y_i)` in `v_i`, of every example; arguments as `value`, result `(n, C)`."""

    @abc.abstractmethod
    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        """The Hessian of `ℓ(v_i, y_i)` in `v_i` times `u_i`, of every example; all of shape `(n, C)`."""

    @abc.abstractmethod
    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        """The convex conjugate `ℓ*(s_i) = sup_v ⟨s_i, v⟩ - ℓ(v, y_i)`; infinite outside its domain.

        Never below the true value, up to the conditions in the module's docstring.

        Args:
            s: dual points, shape `(n, C)`.
            y: prepared targets, shape `(n, C)`.

        Returns:
            Conjugates, shape `(n,)`.
        """

    @abc.abstractmethod
    def project(self, s: Predictions, y: Predictions) -> Predictions:
        """A point of the conjugate's domain near `s`, by clipping (for softmax: clipping, then rescaling).

        Points of the domain stay where they are, up to rounding. Arguments as `conjugate`, result `(n, C)`.
        """

    @abc.abstractmethod
    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        """The interval of `t ≥ 0` for which `t s_i` is in the conjugate's domain for all examples.

        Arguments as `conjugate`. 0 is always in the domain. At the upper end `t s` may be outside by rounding; see `project`.

        Returns:
            `(0, hi)`; `hi` may be infinite.
        """


def _outward(terms: Array, sizes: Array) -> Array:
    """The sum of `terms` over outputs plus a bound on its rounding error, `sizes` bounding what was added up in each."""
    slack = 4 * (terms.shape[1] + 4) * jnp.finfo(terms.dtype).eps
    return jnp.sum(terms, axis=1) + jax.lax.stop_gradient(slack * jnp.sum(sizes, axis=1))


def _entropy(q: Array) -> Array:
    """`q log q` with `0 log 0 = 0`, of `q ≥ 0`; its gradient at 0 is taken as 0. NaN stays NaN."""
    inside = jnp.where(q <= 0, 1, q)
    return inside * jnp.log(inside)


def _interval_end(limit: Array, slope: Array) -> Array:
    """The largest `t` with `t slope ≤ limit` for all entries; `limit ≥ 0`."""
    rising = slope > 0
    return jnp.min(jnp.where(rising, limit / jnp.where(rising, slope, 1), jnp.inf))


def _real_targets(y: ArrayLike, outputs: int, dtype: DTypeLike | None, kind: str) -> Array:
    """`y` as an array of shape `(n, C)`; `(n,)` is taken for one output."""
    outputs = _checks.integer("outputs", outputs, 1)
    one_axis = outputs == 1 and np.ndim(y) == 1
    shape = ("n",) if one_axis else ("n", outputs)
    advice = f"The targets y are {kind} of shape (n, {outputs})" + (" or (n,)." if outputs == 1 else ".")
    array = _checks.array("y", y, shape, _unless_not_finite(y, advice))
    array = array[:, None] if one_axis else array
    return array if dtype is None else array.astype(dtype)


def _unless_not_finite(y: ArrayLike, advice: str) -> str:
    """No advice about shapes where the numbers are the trouble."""
    if isinstance(y, Tracer):
        return advice
    try:
        return advice if bool(np.all(np.isfinite(np.asarray(y)))) else "Remove or impute them."
    except TypeError:
        return advice


def _refuse_labels(needed: str, y: Array, wrong: Array, advice: str) -> None:
    """Raises if `wrong` is true anywhere, naming the first such label; traced labels pass."""
    if isinstance(wrong, Tracer) or not bool(jnp.any(wrong)):
        return
    first = int(jnp.argmax(wrong.ravel()))
    raise _checks.ArgumentError("y", needed, f"the label {y.ravel()[first].item():g} among others", advice)


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

    def lipschitz(self, outputs: int = 1) -> float:
        """See `Loss`."""
        _checks.integer("outputs", outputs, 1)
        return math.inf

    def prepare_targets(self, y: ArrayLike, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        """See `Loss`."""
        return _real_targets(y, outputs, dtype, "real numbers")

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
        return _outward(s * s / 4 + s * y, s * s / 4 + jnp.abs(s * y))

    def project(self, s: Predictions, y: Predictions) -> Predictions:  # noqa: ARG002
        """See `Loss`; every `s` is in the domain."""
        return s

    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:  # noqa: ARG002
        """See `Loss`; unbounded."""
        return jnp.zeros((), s.dtype), jnp.full((), jnp.inf, s.dtype)


@dataclasses.dataclass(frozen=True)
class Logistic(Loss):
    """`ℓ(v, y) = Σ_c log(1 + exp(-y_c v_c))`, `y_c = ±1`.

    Targets: labels -1 and +1, or 0 and 1 (or booleans), where 0 becomes -1; `(n, C)`, or `(n,)` with one output.

    Conjugate, with `u = -s y`: `Σ_c u_c log u_c + (1 - u_c) log(1 - u_c)` for `0 ≤ u ≤ 1`.
    """

    @property
    def name(self) -> str:
        """See `Loss`."""
        return "logistic"

    @property
    def curvature_bound(self) -> float:
        """See `Loss`."""
        return 0.25

    def lipschitz(self, outputs: int = 1) -> float:
        """See `Loss`: `√C`."""
        return math.sqrt(_checks.integer("outputs", outputs, 1))

    def prepare_targets(self, y: ArrayLike, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        """See `Loss`."""
        labels = _real_targets(y, outputs, dtype, "labels -1 and +1 (or 0 and 1)")
        needed = "labels -1 and +1, or 0 and 1, for the logistic loss"
        advice = "Map your two classes to -1 and +1; for more classes use loss='softmax'."
        _refuse_labels(needed, labels, ~((jnp.abs(labels) == 1) | (labels == 0)), advice)
        if not isinstance(labels, Tracer) and bool(jnp.any(labels == 0) & jnp.any(labels == -1)):
            raise _checks.ArgumentError("y", needed, "all of -1, 0 and +1", advice)
        return jnp.where(labels > 0, 1, -1).astype(labels.dtype)

    def value(self, v: Predictions, y: Predictions) -> PerExample:
        """See `Loss`."""
        return jnp.sum(jax.nn.softplus(-y * v), axis=1)

    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        """See `Loss`."""
        return -y * jax.nn.sigmoid(-y * v)

    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        """See `Loss`."""
        return jax.nn.sigmoid(y * v) * jax.nn.sigmoid(-y * v) * u

    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        """See `Loss`."""
        u = -s * y
        outside = jnp.any((u < 0) | (u > 1), axis=1)
        inside = jnp.clip(u, 0, 1)
        terms = (_entropy(inside), _entropy(1 - inside))
        return jnp.where(outside, jnp.inf, _outward(terms[0] + terms[1], inside * (1 - inside) - terms[0] - terms[1]))

    def project(self, s: Predictions, y: Predictions) -> Predictions:
        """See `Loss`."""
        return -y * jnp.clip(-s * y, 0, 1)

    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        """See `Loss`."""
        u = -s * y
        end = _interval_end(jnp.ones_like(u), u)
        return jnp.zeros((), s.dtype), jnp.where(jnp.any(u < 0), 0, end).astype(s.dtype)


@dataclasses.dataclass(frozen=True)
class Softmax(Loss):
    """Cross-entropy: `ℓ(v, y) = log Σ_c exp(v_c) - ⟨y, v⟩`, `y` in the simplex.

    Targets: integer labels `(n,)` from 0 to `C - 1`; or rows of probabilities `(n, C)` (one-hot rows among them), which are
    rescaled to sum to 1.

    Conjugate, with `q = y + s`: `Σ_c q_c log q_c` for `q` in the simplex. For probability targets likewise.
    """

    @property
    def name(self) -> str:
        """See `Loss`."""
        return "softmax"

    @property
    def curvature_bound(self) -> float:
        """See `Loss`: `diag(p) - p p^T` has eigenvalues at most 1/2."""
        return 0.5

    def lipschitz(self, outputs: int = 1) -> float:
        """See `Loss`: the diameter `√2` of the simplex."""
        _checks.integer("outputs", outputs, 1)
        return math.sqrt(2)

    def prepare_targets(self, y: ArrayLike, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        """See `Loss`."""
        outputs = _checks.integer("outputs", outputs, 1)
        advice = f"Give labels 0 to {outputs - 1} of shape (n,), or probabilities of shape (n, {outputs})."
        if outputs == 1:
            raise _checks.ArgumentError(
                "outputs", "at least 2 for the softmax loss", "1", "For two classes and one output use loss='logistic'."
            )
        if np.ndim(y) == 1:
            return self._one_hot(y, outputs, dtype, advice)
        rows = _real_targets(y, outputs, dtype, "class labels of shape (n,), or probabilities")
        needed = "rows of nonnegative probabilities that sum to 1"
        sums = jnp.sum(rows, axis=1, keepdims=True)
        if not isinstance(rows, Tracer):
            if bool(jnp.any(rows < 0)):
                raise _checks.ArgumentError("y", needed, f"the entry {float(jnp.min(rows)):g}", advice)
            # A heuristic: rows printed with four digits pass, logits and counts do not.
            if bool(jnp.any(jnp.abs(sums - 1) > 1e-3)):
                worst = sums.ravel()[int(jnp.argmax(jnp.abs(sums - 1)))]
                raise _checks.ArgumentError("y", needed, f"a row with the sum {float(worst):g}", advice)
        return rows / sums

    def _one_hot(self, y: ArrayLike, outputs: int, dtype: DTypeLike | None, advice: str) -> Predictions:
        raw = jnp.asarray(y) if not isinstance(y, list | tuple) else jnp.asarray(np.asarray(y))
        if not jnp.issubdtype(raw.dtype, jnp.integer) and raw.dtype != jnp.bool_:
            _checks.array("y", y, ("n",), _unless_not_finite(y, advice))
            advice = f"Convert them with y.astype(int). {advice}"
            raise _checks.ArgumentError("y", "integer labels for the softmax loss", f"dtype {raw.dtype}", advice)
        _checks.array("y", raw, ("n",), advice)
        labels = raw.astype(int)
        _refuse_labels(f"labels from 0 to {outputs - 1}", labels, (labels < 0) | (labels >= outputs), advice)
        return jax.nn.one_hot(labels, outputs, dtype=jnp.result_type(float) if dtype is None else dtype)

    def value(self, v: Predictions, y: Predictions) -> PerExample:
        """See `Loss`."""
        # Centering on the predicted mean keeps a confident, right prediction from cancelling.
        return jax.nn.logsumexp(v - jnp.sum(y * v, axis=1, keepdims=True), axis=1)

    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        """See `Loss`."""
        return jax.nn.softmax(v, axis=1) - y

    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:  # noqa: ARG002
        """See `Loss`; `(diag(p) - p p^T) u`, the same for all `y`."""
        p = jax.nn.softmax(v, axis=1)
        return p * (u - jnp.sum(p * u, axis=1, keepdims=True))

    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        """See `Loss`."""
        q = y + s
        total = jnp.sum(q, axis=1)
        tolerance = (q.shape[1] + 8) * jnp.finfo(q.dtype).eps
        outside = jnp.any(q < 0, axis=1) | (jnp.abs(total - 1) > tolerance)
        inside = jnp.maximum(q, 0)
        # Rescaled to the sum 1: Σ (q/t) log(q/t) = E/t - log t with E = Σ q log q, which differs from E by at most
        # 2 |t - 1| (1 + |E|) in the tolerance.
        terms = _entropy(inside)
        sizes = jnp.where(inside > 0, jnp.abs(terms) + jnp.abs(s) + jnp.abs(y), 0)
        slack = 2 * jnp.abs(total - 1) * (1 + jnp.abs(jnp.sum(terms, axis=1)))
        return jnp.where(outside, jnp.inf, _outward(terms, sizes) + jax.lax.stop_gradient(slack))

    def project(self, s: Predictions, y: Predictions) -> Predictions:
        """See `Loss`."""
        q = jnp.maximum(y + s, 0)
        total = jnp.sum(q, axis=1, keepdims=True)
        return jnp.where(total > 0, q / jnp.where(total > 0, total, 1), y) - y

    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        """See `Loss`; `y + t s ≥ 0`, and `hi = 0` if some `s_i` does not sum to 0 within rounding."""
        tolerance = (s.shape[1] + 8) * jnp.finfo(s.dtype).eps * jnp.maximum(1, jnp.max(jnp.abs(s)))
        unbalanced = jnp.any(jnp.abs(jnp.sum(s, axis=1)) > tolerance)
        return jnp.zeros((), s.dtype), jnp.where(unbalanced, 0, _interval_end(y, -s)).astype(s.dtype)


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

    def lipschitz(self, outputs: int = 1) -> float:
        """See `Loss`: `δ√C`."""
        return self.delta * math.sqrt(_checks.integer("outputs", outputs, 1))

    def prepare_targets(self, y: ArrayLike, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        """See `Loss`."""
        return _real_targets(y, outputs, dtype, "real numbers")

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
        return jnp.where(outside, jnp.inf, _outward(s * s / 2 + s * y, s * s / 2 + jnp.abs(s * y)))

    def project(self, s: Predictions, y: Predictions) -> Predictions:  # noqa: ARG002
        """See `Loss`."""
        return jnp.clip(s, -self.delta, self.delta)

    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:  # noqa: ARG002
        """See `Loss`."""
        return jnp.zeros((), s.dtype), _interval_end(jnp.full_like(s, self.delta), jnp.abs(s))


_losses: dict[str, type[Loss]] = {"squared": Squared, "logistic": Logistic, "softmax": Softmax, "huber": Huber}


def names() -> tuple[str, ...]:
    """The names of all losses, sorted.

    Example:
        >>> import taylornets as tn
        >>> tn.losses.names()
        ('huber', 'logistic', 'softmax', 'squared')
    """
    return tuple(sorted(_losses))


def get(loss: Any) -> Loss:
    """The loss of a name.

    Args:
        loss: one of `names()`, or a loss, which is returned as it is (`Huber(delta=0.5)`, say).

    Returns:
        The loss.

    Raises:
        ArgumentError: for an unknown name, with the nearest one.

    Example:
        >>> import taylornets as tn
        >>> tn.losses.get("logistic").curvature_bound
        0.25
    """
    return loss if isinstance(loss, Loss) else _losses[_checks.choice("loss", loss, _losses)]()
