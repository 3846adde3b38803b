"""The interface of every loss, and shared functions for conjugates and targets."""

import abc
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from taylornets import _checks

Predictions = Float[Array, "n C"]
PerExample = Float[Array, " n"]
Scalar = Float[Array, ""]


class Loss(abc.ABC):
    """A convex loss `ℓ(v, y)`. Instances are immutable, hashable and compared by value.

    To add a loss, define a subclass with the abstract methods below and the attributes without default, and register an
    instance with `taylornets.losses.register`.

    Attributes:
        separable: whether `ℓ` is a sum over the outputs, so that only the marginal distribution of each output matters.
        quadratic: whether the Hessian of `ℓ` in `v` is `curvature_bound` times the identity everywhere.
        classifies: whether the targets are class labels: ±1 in every output if `ℓ` is separable, otherwise integers
            `0, ..., C - 1` for classes with one output each.
        probabilistic: whether `ℓ` is the negative log-likelihood of a class, so that the outputs are logits.

    Source: theory sections 3 and 5.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> loss = tn.losses.get("squared")
        >>> y = loss.prepare_targets([1.0, 2.0], outputs=1)
        >>> loss.value(jnp.zeros((2, 1)), y).tolist()
        [1.0, 4.0]
    """

    separable: ClassVar[bool]
    quadratic: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    probabilistic: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name under which `taylornets.losses.get` returns this loss."""

    @property
    @abc.abstractmethod
    def curvature_bound(self) -> float:
        """The supremum of the largest eigenvalue of the Hessian of `ℓ` in the `v` of one example."""

    @property
    @abc.abstractmethod
    def fourth_derivative_bound(self) -> float:
        """A bound on the fourth derivative of `ℓ` along unit directions of `v` for one example; infinite if none exists."""

    @property
    @abc.abstractmethod
    def output_lipschitz(self) -> float:
        """The Lipschitz constant of `ℓ` in one output with the others fixed; infinite for the squared loss."""

    @abc.abstractmethod
    def lipschitz(self, outputs: int = 1) -> float:
        """Returns the Lipschitz constant of `ℓ` in the `v` of one example (Euclidean norm); infinite for the squared loss.

        Args:
            outputs: number of outputs `C`.
        """

    @abc.abstractmethod
    def prepare_targets(self, y: Any, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
        """Validates targets passed by the user and converts them to the form expected by the other methods.

        Args:
            y: targets in one of the forms documented in the class.
            outputs: number of outputs `C`.
            dtype: floating dtype of the result; by default that of `y`, or JAX's default if `y` has none.

        Returns:
            Targets, shape `(n, C)`.

        Raises:
            ArgumentError: for a wrong shape, NaN, infinity, no examples, or invalid labels.
        """

    @abc.abstractmethod
    def value(self, v: Predictions, y: Predictions) -> PerExample:
        """Computes `ℓ(v_i, y_i)` for every example.

        Args:
            v: predictions, shape `(n, C)`.
            y: prepared targets, shape `(n, C)`.

        Returns:
            Losses, shape `(n,)`.
        """

    @abc.abstractmethod
    def derivative(self, v: Predictions, y: Predictions) -> Predictions:
        """Computes the gradient of `ℓ(v_i, y_i)` in `v_i` for every example; arguments as in `value`, result `(n, C)`."""

    @abc.abstractmethod
    def hessian_product(self, v: Predictions, y: Predictions, u: Predictions) -> Predictions:
        """Computes the Hessian of `ℓ(v_i, y_i)` in `v_i` times `u_i` for every example; all of shape `(n, C)`."""

    @abc.abstractmethod
    def conjugate(self, s: Predictions, y: Predictions) -> PerExample:
        """Computes the convex conjugate `ℓ*(s_i) = sup_v ⟨s_i, v⟩ - ℓ(v, y_i)`; infinite outside its domain.

        The result is never below the true value, under the conditions in the docstring of `taylornets.losses`.

        Args:
            s: dual points, shape `(n, C)`.
            y: prepared targets, shape `(n, C)`.

        Returns:
            Conjugates, shape `(n,)`.
        """

    @abc.abstractmethod
    def project(self, s: Predictions, y: Predictions) -> Predictions:
        """Maps `s` to a nearby point of the domain of the conjugate, by clipping (for softmax: clipping and rescaling).

        Points of the domain are unchanged up to rounding. Arguments as in `conjugate`, result `(n, C)`.
        """

    @abc.abstractmethod
    def scale_range(self, s: Predictions, y: Predictions) -> tuple[Scalar, Scalar]:
        """Returns the interval of `t ≥ 0` for which `t s_i` is in the domain of the conjugate for all examples.

        Arguments as in `conjugate`. Zero is always in the domain. At the upper end, rounding may move `t s` outside the
        domain; see `project`.

        Returns:
            `(0, hi)`; `hi` may be infinite.
        """


def outward(terms: Array, sizes: Array) -> Array:
    """Sums `terms` over outputs and adds a bound on the rounding error.

    Each term is accurate to a few units in the last place of its entry in `sizes`, and summing `C` numbers adds at most
    `C - 1` more; the bound is twice the total.
    """
    slack = (terms.shape[1] + 4) * jnp.finfo(terms.dtype).eps
    return jnp.sum(terms, axis=1) + jax.lax.stop_gradient(slack * jnp.sum(sizes, axis=1))


def entropy(q: Array) -> Array:
    """Computes `q log q` for `q ≥ 0`, with `0 log 0 = 0`; the gradient at 0 is defined as 0. NaN stays NaN."""
    inside = jnp.where(q <= 0, 1, q)
    return inside * jnp.log(inside)


def entropy_of_rest(u: Array) -> Array:
    """Computes `(1 - u) log(1 - u)` for `u ≤ 1`, with full relative accuracy near `u = 0`; the gradient at 1 is 0."""
    inside = jnp.where(u >= 1, 0, u)
    return (1 - inside) * jnp.log1p(-inside)


def interval_end(limit: Array, slope: Array) -> Array:
    """Returns the largest `t` with `t slope ≤ limit` for all entries; `limit ≥ 0`."""
    rising = slope > 0
    return jnp.min(jnp.where(rising, limit / jnp.where(rising, slope, 1), jnp.inf))


def real_targets(y: Any, outputs: int, dtype: DTypeLike | None, kind: str) -> Array:
    """Converts `y` to an array of shape `(n, C)`; shape `(n,)` is one output."""
    outputs = _checks.integer("outputs", outputs, 1)
    one_axis = outputs == 1 and axes(y) == 1
    shape = ("n",) if one_axis else ("n", outputs)
    advice = f"The targets y are {kind} of shape (n, {outputs})" + (" or (n,)." if outputs == 1 else ".")
    array = _checks.array("y", y, shape, unless_not_finite(y, advice))
    array = array[:, None] if one_axis else array
    return array if dtype is None else array.astype(dtype)


def axes(y: Any) -> int:
    """Returns the number of axes of `y`; 0 for ragged lists, which raise later."""
    try:
        return np.ndim(y)
    except ValueError:
        return 0


def unless_not_finite(y: Any, advice: str) -> str:
    """Returns the advice about shapes if all values are finite, otherwise advice about missing values."""
    if isinstance(y, Tracer):
        return advice
    try:
        return advice if bool(np.all(np.isfinite(_checks.host(y)))) else "Remove or impute them."
    except (TypeError, ValueError):
        return advice


def refuse_labels(needed: str, y: Array, wrong: Array, advice: str) -> None:
    """Raises if `wrong` is true anywhere, reporting the first invalid label; traced labels pass."""
    if isinstance(wrong, Tracer) or not bool(jnp.any(wrong)):
        return
    first = int(jnp.argmax(wrong.ravel()))
    raise _checks.ArgumentError("y", needed, f"the label {y.ravel()[first].item():g}", advice)
