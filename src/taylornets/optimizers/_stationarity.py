"""Second-order stationarity: gradient norm and smallest Hessian eigenvalue (theory 4).

ARPACK (SciPy) runs implicitly restarted Lanczos on Hessian-vector products. Its convergence criterion is relative to the
target eigenvalue, which can be close to zero at a minimum. We therefore pass `∇²P − ρI` with `ρ ≳ ‖∇²P‖`, which has the same
Krylov spaces but an eigenvalue of size `ρ`, so that the iteration always converges. The tolerance `τ` is decreased in stages,
each initialized at the previous eigenvector, until the residual `r = ‖∇²P q − θ q‖` and `τρ` are small relative to `|θ|`.
There is an eigenvalue within `r` of `θ`, and the smallest is at most `θ`. Eigenvalues closer than about `τρ` are not resolved
at that tolerance: `q` may be the second eigenvector. Hence `λ_min ∈ [θ − r − τρ, θ]`, unless Lanczos misses an eigenvector
entirely, which has probability zero for a random initial vector in exact arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its modules are loaded on first use: `scipy.sparse.linalg` takes 50 ms
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks, _devices, _programs
from taylornets.optimizers import _method

_ROUGH = 1e-2
_RUNGS = (1e-6, 1e-10, 1e-13)
_DENSE = 16
_LEAST = 1000  # product budget for the largest eigenvalue in small problems
_KRYLOV = 40


@dataclass(frozen=True)
class Stationarity:
    """First- and second-order stationarity measures at a point.

    Attributes:
        gradient_norm: `‖∇P(w)‖`.
        min_eigenvalue: `θ`, the Rayleigh quotient of `direction`: never below the smallest eigenvalue of the Hessian.
        direction: unit vector of the shape of `w`.
        residual: `r = ‖∇²P q − θ q‖`; an eigenvalue lies within `r` of `θ`. Infinite if Lanczos found no eigenvector, in
            which case no bound is claimed.
        resolution: `τρ`; eigenvalues closer than this were not resolved. Zero for Hessians of a few variables.
        converged: whether `r + τρ` is at most the tolerance times `|θ|`.
        spectral_radius: the largest absolute eigenvalue, to a few percent.
        products: number of Hessian-vector products.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> found = tn.stationarity(lambda w: w[0] ** 2 - 3 * w[1] ** 2, jnp.zeros(2), key=jax.random.key(0))
        >>> round(found.min_eigenvalue, 3), found.gradient_norm
        (-6.0, 0.0)
    """

    gradient_norm: float
    min_eigenvalue: float
    direction: Array
    residual: float
    resolution: float
    converged: bool
    spectral_radius: float
    products: int

    @property
    def lower_bound(self) -> float:
        """`θ − r − τρ`, a lower bound on the smallest eigenvalue."""
        return self.min_eigenvalue - self.uncertainty

    @property
    def uncertainty(self) -> float:
        """`r + τρ`, the maximal distance of the smallest eigenvalue below `θ`."""
        return self.residual + self.resolution

    def __str__(self) -> str:
        state = "" if self.converged else " (not converged)"
        return (
            f"gradient norm {self.gradient_norm:.2e}, smallest Hessian eigenvalue {self.min_eigenvalue:.6g} "
            f"± {self.uncertainty:.1e}{state}"
        )


@_devices.exact
def stationarity(
    fun: Callable[[Array], Array], w: Array, *, key: PRNGKeyArray, tol: float = 1e-6, max_products: int = 3000
) -> Stationarity:
    """Computes the gradient norm and the smallest Hessian eigenvalue of `fun` at `w`, by Lanczos.

    Args:
        fun: a twice differentiable scalar function of `w`, such as `taylornets.objective(...)`.
        w: the point, a floating-point array of any shape.
        key: JAX random key for the initial Lanczos vector.
        tol: relative accuracy of the eigenvalue. Float32 rarely reaches less than 1e-4.
        max_products: approximate limit on Hessian-vector products.

    Returns:
        The result; if `tol` was not reached, `converged` is false and `residual` gives the accuracy reached.

    Raises:
        ArgumentError: for invalid arguments, and for networks whose activation has no continuous second derivative.
        FloatingPointError: if a derivative at `w` is not finite.

    Source: theory 4; Lehoucq, Sorensen, Yang, "ARPACK Users' Guide" (1998).

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> saddle = lambda w: w[0] ** 2 - 3 * w[1] ** 2 + jnp.sum(w**4)
        >>> found = tn.stationarity(saddle, jnp.zeros(2), key=jax.random.key(0))
        >>> found.min_eigenvalue, found.converged
        (-6.0, True)
    """
    _checks.positive("tol", tol)
    max_products = _checks.integer("max_products", max_products, 1)
    w = _checks.array("w", w, tuple(f"axis {i}" for i in range(jnp.ndim(w))))
    _method.require_second_derivative(fun)
    gradient = _gradient(fun, w)
    if not bool(jnp.all(jnp.isfinite(gradient))):
        raise FloatingPointError("stationarity: the gradient at w is not finite; pass a w of smaller norm.")
    operator = _Counted(fun, w)
    start = np.asarray(jax.random.normal(key, (w.size,), w.dtype), float)
    if w.size <= _DENSE:
        value, vector, radius, rung = *operator.dense(), 0.0
    else:
        value, vector, radius, rung = _lanczos(operator, start, tol, max_products)
    residual = float("inf") if rung is None else float(np.linalg.norm(operator(vector) - value * vector))
    resolution = 0.0 if rung is None else rung * radius
    return Stationarity(
        gradient_norm=float(jnp.linalg.norm(gradient)),
        min_eigenvalue=value,
        direction=jnp.asarray(vector, w.dtype).reshape(w.shape),
        residual=residual,
        resolution=resolution,
        converged=residual + resolution <= tol * abs(value),
        spectral_radius=radius,
        products=operator.products,
    )


def spectral_radius(fun: Callable[[Array], Array], w: Array, *, key: PRNGKeyArray) -> float:
    """Computes the largest absolute eigenvalue of the Hessian of `fun` at `w`, to a few percent.

    Gradient descent is stable near `w` for learning rates up to twice the inverse of this value.

    Args:
        fun: a scalar function of `w`.
        w: the point, a floating-point array of any shape.
        key: JAX random key for the initial Lanczos vector.

    Returns:
        The spectral radius.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from taylornets.optimizers import spectral_radius
        >>> spectral_radius(lambda w: w[0] ** 2 - 3 * w[1] ** 2, jnp.zeros(2), key=jax.random.key(0))
        6.0
    """
    w = jnp.asarray(w)
    operator = _Counted(fun, w)
    if w.size <= _DENSE:
        return operator.dense()[2]
    start = np.asarray(jax.random.normal(key, (w.size,), w.dtype), float)
    largest = _extreme(operator, start, _ROUGH, max(w.size, _LEAST))
    return _length(operator, start) if largest is None else abs(largest[0])


class _Counted:
    """The Hessian as a linear operator on flat NumPy vectors that counts its calls."""

    def __init__(self, fun: Any, w: Array):
        self.fun, self.w, self.products = fun, w, 0

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        self.products += 1
        direction = jnp.asarray(vector, self.w.dtype).reshape(self.w.shape)
        product = _checks.host(_product(self.fun, self.w, direction), float).ravel()
        if not np.all(np.isfinite(product)):
            raise FloatingPointError("stationarity: the Hessian at w is not finite; pass a w of smaller norm.")
        return product

    def dense(self) -> tuple[float, np.ndarray, float]:
        """Returns the smallest eigenvalue, its eigenvector, and the spectral radius of a Hessian of a few variables."""
        matrix = np.stack([self(row) for row in np.eye(self.w.size)])
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        return float(values[0]), vectors[:, 0], float(np.abs(values).max())


def _lanczos(
    operator: _Counted, vector: np.ndarray, tol: float, max_products: int
) -> tuple[float, np.ndarray, float, float | None]:
    """Returns the smallest eigenvalue, its eigenvector, the spectral radius, and the tolerance reached, if any."""
    largest = _extreme(operator, vector, _ROUGH, max_products)
    radius = _length(operator, vector) if largest is None else abs(largest[0])
    vector = vector / np.linalg.norm(vector)
    if radius == 0:
        return 0.0, vector, 0.0, 0.0
    value, reached = float(vector @ operator(vector)), None
    for rung in _RUNGS if largest is not None else ():
        left = max_products - operator.products
        lowest = _extreme(lambda v: operator(v) - radius * v, vector, rung, left)
        if lowest is None:
            break
        value, vector, reached = lowest[0] + radius, lowest[1], rung
        if rung * radius + np.linalg.norm(operator(vector) - value * vector) <= tol * abs(value):
            break
    return value, vector, radius, reached


def _length(operator: _Counted, vector: np.ndarray) -> float:
    """`‖∇²P v‖/‖v‖`, a lower bound on the spectral radius."""
    return float(np.linalg.norm(operator(vector)) / np.linalg.norm(vector))


def _extreme(
    matvec: Callable[[np.ndarray], np.ndarray], start: np.ndarray, tol: float, products: int
) -> tuple[float, np.ndarray] | None:
    """Returns the eigenvalue of largest absolute value and its eigenvector; None if the product budget did not suffice."""
    size = start.size
    krylov = min(size, _KRYLOV)
    restarts = max(1, products // (krylov // 2))
    if not np.any(matvec(start)):  # ARPACK raises an error; a random vector lies in the kernel only for the zero matrix
        return 0.0, start
    arpack: Any = scipy.sparse.linalg
    operator = arpack.LinearOperator((size, size), matvec=matvec, dtype=float)
    options: Any = {"v0": start, "ncv": krylov, "tol": tol, "maxiter": restarts}
    try:
        values, vectors = arpack.eigsh(operator, 1, which="LM", **options)
    except arpack.ArpackNoConvergence:
        return None
    return float(values[0]), vectors[:, 0]


@_programs.program
def _gradient(fun: Any, w: Array) -> Array:
    return _method.value_and_gradient(fun, w)[1]


@_programs.program
def _product(fun: Any, w: Array, direction: Array) -> Array:
    return _method.hessian_vector_product(fun, w, direction)
