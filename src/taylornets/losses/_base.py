"""The interface of every loss, and what their conjugates share."""

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
    """A convex loss `ℓ(v, y)`. Instances are immutable, hashable and equal by value.

    A new loss is one class that defines the abstract methods below and the attributes that have no default, and registers
    an instance with `taylornets.losses.register`.

    Attributes:
        separable: whether `ℓ` is a sum over the outputs, so that only the marginal distribution of each output matters.
        quadratic: whether the Hessian of `ℓ` in `v` is `curvature_bound` times the identity everywhere.
        classifies: whether the targets are class labels: ±1 in every output if `ℓ` is separable, otherwise the numbers
            `0, ..., C - 1` of classes with one output each.
        probabilistic: whether `ℓ` is the negative log-likelihood of a class, so that outputs are logits.

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
        """The largest eigenvalue that the Hessian of `ℓ` in one example's `v` can have."""

    @property
    @abc.abstractmethod
    def fourth_derivative_bound(self) -> float:
        """A bound on the fourth derivative of `ℓ` along unit directions of one example's `v`; infinite without one."""

    @property
    @abc.abstractmethod
    def output_lipschitz(self) -> float:
        """The Lipschitz constant of `ℓ` in one output, the others fixed; infinite for the squared loss."""

    @abc.abstractmethod
    def lipschitz(self, outputs: int = 1) -> float:
        """The Lipschitz constant of `ℓ` in one example's `v`, Euclidean norm; infinite for the squared loss.

        Args:
            outputs: number of outputs `C`.
        """

    @abc.abstractmethod
    def prepare_targets(self, y: Any, outputs: int, dtype: DTypeLike | None = None) -> Predictions:
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

        Arguments as `conjugate`. 0 is always in the domain. At the upper end `t s` may be outside by rounding; see
        `project`.

        Returns:
            `(0, hi)`; `hi` may be infinite.
        """


def outward(terms: Array, sizes: Array) -> Array:
    """The sum of `terms` over outputs plus a bound on its rounding error.

    Each term is known to a few units in the last place of its entry in `sizes`, and a sum of `C` numbers adds at most
    `C - 1` more; twice that is taken.
    """
    slack = (terms.shape[1] + 4) * jnp.finfo(terms.dtype).eps
    return jnp.sum(terms, axis=1) + jax.lax.stop_gradient(slack * jnp.sum(sizes, axis=1))


def entropy(q: Array) -> Array:
    """`q log q` with `0 log 0 = 0`, of `q ≥ 0`; its gradient at 0 is taken as 0. NaN stays NaN."""
    inside = jnp.where(q <= 0, 1, q)
    return inside * jnp.log(inside)


def entropy_of_rest(u: Array) -> Array:
    """`(1 - u) log(1 - u)` of `u ≤ 1`, to full relative accuracy near `u = 0`; its gradient at 1 is taken as 0."""
    inside = jnp.where(u >= 1, 0, u)
    return (1 - inside) * jnp.log1p(-inside)


def interval_end(limit: Array, slope: Array) -> Array:
    """The largest `t` with `t slope ≤ limit` for all entries; `limit ≥ 0`."""
    rising = slope > 0
    return jnp.min(jnp.where(rising, limit / jnp.where(rising, slope, 1), jnp.inf))


def real_targets(y: Any, outputs: int, dtype: DTypeLike | None, kind: str) -> Array:
    """`y` as an array of shape `(n, C)`; `(n,)` is taken for one output."""
    outputs = _checks.integer("outputs", outputs, 1)
    one_axis = outputs == 1 and axes(y) == 1
    shape = ("n",) if one_axis else ("n", outputs)
    advice = f"The targets y are {kind} of shape (n, {outputs})" + (" or (n,)." if outputs == 1 else ".")
    array = _checks.array("y", y, shape, unless_not_finite(y, advice))
    array = array[:, None] if one_axis else array
    return array if dtype is None else array.astype(dtype)


def axes(y: Any) -> int:
    """Number of axes of `y`; 0 for ragged lists, which are refused later."""
    try:
        return np.ndim(y)
    except ValueError:
        return 0


def unless_not_finite(y: Any, advice: str) -> str:
    """No advice about shapes where the numbers are the trouble."""
    if isinstance(y, Tracer):
        return advice
    try:
        return advice if bool(np.all(np.isfinite(np.asarray(y)))) else "Remove or impute them."
    except (TypeError, ValueError):
        return advice


def refuse_labels(needed: str, y: Array, wrong: Array, advice: str) -> None:
    """Raises if `wrong` is true anywhere, naming the first such label; traced labels pass."""
    if isinstance(wrong, Tracer) or not bool(jnp.any(wrong)):
        return
    first = int(jnp.argmax(wrong.ravel()))
    raise _checks.ArgumentError("y", needed, f"the label {y.ravel()[first].item():g} among others", advice)
