"""Kernel ridge regression for a path of ridge parameters from one eigendecomposition."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from taylornets import _checks, _devices
from taylornets.kernels._operator import NTK

# Eigenvalues of an n × n matrix have an error of about n ε ‖K‖; a heuristic factor for the rounding errors of the entries.
_ROUNDING = 4


class Spectrum(NamedTuple):
    """Extreme eigenvalues of a Gram matrix, and their accuracy.

    Attributes:
        smallest: smallest eigenvalue.
        largest: largest eigenvalue.
        rounding: rounding error of the eigenvalues, `4 n ε` times the largest.
    """

    smallest: Float[Array, ""]
    largest: Float[Array, ""]
    rounding: Float[Array, ""]

    @property
    def condition_number(self) -> Array:
        """Largest over smallest eigenvalue; infinite if the smallest is not positive."""
        return jnp.where(self.smallest > 0, self.largest / self.smallest, jnp.inf)

    @property
    def positive_semidefinite(self) -> Array:
        """Whether the smallest eigenvalue is nonnegative up to rounding."""
        return self.smallest >= -self.rounding

    def __str__(self) -> str:
        kind = "positive semidefinite" if bool(self.positive_semidefinite) else "NOT positive semidefinite"
        return (
            f"eigenvalues from {float(self.smallest):.3g} to {float(self.largest):.3g}, condition number "
            f"{float(self.condition_number):.3g}, {kind} up to rounding ({float(self.rounding):.1e})"
        )


class KernelRidge(NamedTuple):
    """Kernel ridge regression with one eigendecomposition for all ridge parameters; created by `kernel_ridge`.

    Attributes:
        values: eigenvalues of the Gram matrix, ascending, shape `(n,)`.
        vectors: eigenvectors, shape `(n, n)`.
        projected: targets in their basis, shape `(n, outputs)`.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> prepared = tn.kernels.kernel_ridge(jnp.eye(2), jnp.array([[3.0], [6.0]]))
        >>> prepared.coefficients(1.0)[:, 0].tolist(), float(prepared.condition_number)  # y/(1 + n λ)
        ([1.0, 2.0], 1.0)
    """

    values: Float[Array, "n"]
    vectors: Float[Array, "n n"]
    projected: Float[Array, "n outputs"]

    def coefficients(self, ridge: float | Array) -> Float[Array, "n outputs"]:
        """Computes the dual coefficients `(K + nλ I)^{-1} y` for one ridge: `f(x) = K(x, x_train) c`."""
        return self.vectors @ (self.projected / (self.values + self.values.shape[0] * ridge)[:, None])

    def path(self, ridges: ArrayLike | Sequence[float]) -> Float[Array, "ridges n outputs"]:
        """Computes the coefficients for every ridge, at a cost of `n²` multiplications each.

        Args:
            ridges: `λ > 0`, shape `(ridges,)`.

        Returns:
            Coefficients, shape `(ridges, n, outputs)`.

        Raises:
            ArgumentError: for ridges that are not positive, or too small to compensate a negative eigenvalue of the Gram
                matrix, so that the system is singular or indefinite.
        """
        ridges = _checks.array("ridges", ridges, ("ridges",))
        n = self.values.shape[0]
        if not isinstance(ridges, Tracer) and not isinstance(self.values, Tracer):
            _checks.positive("ridges", float(ridges.min()))
            if float(self.values[0] + n * ridges.min()) <= 0:
                least = -float(self.values[0]) / n
                raise _checks.ArgumentError(
                    "ridges", f"ridges above {least:.3g}, where K + nλ I is positive definite", f"{ridges.min():.3g}"
                )
        shrunk = self.projected / (self.values + n * ridges[:, None])[..., None]
        return self.vectors @ shrunk

    def leave_one_out(self, ridge: float | Array) -> Float[Array, "n outputs"]:
        """Computes the leave-one-out residual of each example, `c_i/((K + nλ I)^{-1})_ii`, without refitting.

        Args:
            ridge: `λ > 0`; `n λ` stays fixed when an example is removed.

        Returns:
            `y_i - f_{-i}(x_i)`, shape `(n, outputs)`.
        """
        inverse = 1 / (self.values + self.values.shape[0] * ridge)
        return self.coefficients(ridge) / ((self.vectors**2) @ inverse)[:, None]

    @property
    def spectrum(self) -> Spectrum:
        """Extreme eigenvalues, condition number, and whether the kernel is positive semidefinite up to rounding."""
        size = jnp.maximum(jnp.abs(self.values[0]), jnp.abs(self.values[-1]))
        rounding = _ROUNDING * self.values.shape[0] * jnp.finfo(self.values.dtype).eps * size
        return Spectrum(self.values[0], self.values[-1], rounding)

    @property
    def condition_number(self) -> Array:
        """Largest over smallest eigenvalue of the Gram matrix; infinite if the smallest is not positive."""
        return self.spectrum.condition_number


def kernel_ridge(gram: ArrayLike | NTK, y: ArrayLike) -> KernelRidge:
    """Prepares kernel ridge regression, which minimizes `(1/n) Σ ‖f(x_i) - y_i‖² + λ ‖f‖²`, for all `λ`.

    Args:
        gram: symmetric Gram matrix of the training examples, shape `(n, n)`, or an `NTK` of `n` examples and `c` outputs. Its
            rows are the `n c` pairs of an example and an output, which take the place of the examples.
        y: targets, shape `(n, outputs)`; for an `NTK`, shape `(n, c)`.

    Returns:
        The eigendecomposition; `spectrum` reports definiteness and condition number of the kernel.

    Raises:
        ArgumentError: for wrong shapes, NaN, or a matrix that is not symmetric.

    Source: theory 9.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> prepared = tn.kernels.kernel_ridge(jnp.diag(jnp.array([1.0, 3.0])), jnp.ones((2, 1)))
        >>> float(prepared.condition_number), prepared.path([0.5])[0, :, 0].tolist()
        (3.0, [0.5, 0.25])
    """
    if isinstance(gram, NTK):
        y = _checks.array("y", y, gram.examples).reshape(-1, 1)
        gram = gram.gram().reshape(gram.shape)
    gram = _checks.array("gram", gram, ("n", "n"))
    y = _checks.array("y", y, (gram.shape[0], "outputs"))
    if len(_devices.devices(gram, y)) > 1:  # one device decomposes the kernel; otherwise each would do the same work
        gram, y = jnp.asarray(_checks.host(gram)), jnp.asarray(_checks.host(y))
    if not isinstance(gram, Tracer):
        skew = float(jnp.max(jnp.abs(gram - gram.T)))
        if skew > 1e-4 * float(jnp.max(jnp.abs(gram))):
            raise _checks.ArgumentError("gram", "a symmetric matrix", f"entries that differ by {skew:.3g}")
    values, vectors = jnp.linalg.eigh(gram)
    return KernelRidge(values, vectors, vectors.T @ y)
