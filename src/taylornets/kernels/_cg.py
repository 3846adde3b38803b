"""Kernel ridge regression by conjugate gradients (lineax), computing the Gram matrix chunk by chunk without storing it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from taylornets import _checks, activations
from taylornets.kernels._ntk import ntk, on_sphere, squared_radius
from taylornets.two_layer import TwoLayerNetwork

Kernel = Callable[[Array, Array], Array]


class ConjugateGradient(NamedTuple):
    """A solution of `(K + nλ I) c = y`.

    Attributes:
        coefficients: `c`, shape `(n, outputs)`.
        steps: number of iterations.
        residual: `‖(K + nλ I) c - y‖/‖y‖`, recomputed at the end.
        converged: whether the residual is at most ten times the requested tolerance.
    """

    coefficients: Float[Array, "n outputs"]
    steps: Int[Array, ""]
    residual: Float[Array, ""]
    converged: bool


def kernel_ridge_cg(
    kernel: Any,
    x: ArrayLike,
    y: ArrayLike,
    ridge: float,
    *,
    chunk_size: int = 1024,
    tol: float = 1e-6,
    max_steps: int = 1000,
    start: Array | None = None,
) -> ConjugateGradient:
    """Minimizes `(1/n) Σ ‖f(x_i) - y_i‖² + λ ‖f‖²` without the Gram matrix: memory `O(chunk_size · n)`.

    Args:
        kernel: an activation or its name for the infinite-width NTK, a network for its finite-width NTK, or a function of
            `x1`, shape `(c, d)`, and `x2`, shape `(n, d)`, that returns a positive semidefinite Gram matrix, shape `(c, n)`;
            or the full matrix, shape `(n, n)`, if it fits into memory but is too large to factorize.
        x: examples, shape `(n, d)`; on one sphere for the infinite-width NTK.
        y: targets, shape `(n, outputs)`.
        ridge: `λ > 0`.
        chunk_size: number of rows of the Gram matrix computed at a time.
        tol: relative residual at which the iteration stops.
        max_steps: maximum number of iterations; each evaluates the kernel `n²` times.
        start: initial coefficients, shape `(n, outputs)`, such as the solution for a larger ridge.

    Returns:
        The coefficients for `predict`, and the convergence status.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 9.

    Example:
        >>> import jax, taylornets as tn
        >>> x = jax.random.normal(jax.random.key(0), (50, 3))
        >>> x = x / jax.numpy.linalg.norm(x, axis=1, keepdims=True)
        >>> found = tn.kernels.kernel_ridge_cg("cubic_relu", x, x[:, :1] ** 2, 1e-2, chunk_size=16)
        >>> found.converged
        True
    """
    x = _checks.array("x", x, ("n", "d"))
    y = _checks.array("y", y, (x.shape[0], "outputs"))
    _checks.positive("ridge", ridge)
    _checks.positive("tol", tol)
    size = min(_checks.integer("chunk_size", chunk_size, 1), x.shape[0])
    max_steps = _checks.integer("max_steps", max_steps, 1)
    guess = jnp.zeros_like(y) if start is None else _checks.array("start", start, y.shape)
    function, parameter = (None, _gram(kernel, x)) if isinstance(kernel, jax.Array) else _resolve(kernel, x)
    shift = jnp.asarray(x.shape[0] * ridge, y.dtype)
    found, steps, residual = _solve(function, parameter, x, y, shift, guess, size, tol, max_steps)
    return ConjugateGradient(found, steps, residual, bool(residual <= 10 * tol))


def predict(
    kernel: Any,
    x_new: ArrayLike,
    x: ArrayLike,
    coefficients: ArrayLike,
    *,
    chunk_size: int = 1024,
) -> Float[Array, "n_new outputs"]:
    """Computes the predictions `K(x_new, x) c`, one chunk of rows at a time.

    Args:
        kernel: as in `kernel_ridge_cg`.
        x_new: examples, shape `(n_new, d)`.
        x: the training examples, shape `(n, d)`.
        coefficients: `c`, shape `(n, outputs)`.
        chunk_size: number of rows computed at a time.

    Returns:
        Predictions, shape `(n_new, outputs)`.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 9.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> x, c = jnp.eye(2), jnp.array([[1.0], [2.0]])
        >>> tn.kernels.predict(lambda a, b: a @ b.T, jnp.ones((1, 2)), x, c).tolist()
        [[3.0]]
    """
    x = _checks.array("x", x, ("n", "d"))
    x_new = _checks.array("x_new", x_new, ("n_new", x.shape[1]))
    coefficients = _checks.array("coefficients", coefficients, (x.shape[0], "outputs"))
    size = min(_checks.integer("chunk_size", chunk_size, 1), x_new.shape[0])
    function, parameter = _resolve(kernel, x, x_new)
    return _product(function, parameter, x_new, x, coefficients, size)


def _resolve(kernel: Any, *data: Array) -> tuple[Callable[..., Array], Any]:
    """Returns the kernel as a function that is compiled once per kind, and its inputs other than the data."""
    if isinstance(kernel, TwoLayerNetwork):
        return ntk, kernel
    if isinstance(kernel, str | activations.Activation):
        sigma = activations.get(kernel)
        return _Limit(sigma), squared_radius(*data)
    if not callable(kernel):
        needed = "an activation, a network, a function of x1 and x2, or (to solve) a Gram matrix"
        raise _checks.ArgumentError("kernel", needed, repr(kernel))
    given: Any = kernel
    return _Given(given), None


def _gram(gram: Array, x: Array) -> Array:
    return _checks.array("kernel", gram, (x.shape[0], x.shape[0]))


class _Limit(eqx.Module):
    activation: activations.Activation = eqx.field(static=True)

    def __call__(self, radius: Array, x1: Array, x2: Array) -> Array:
        return on_sphere(self.activation, radius)(x1, x2)


class _Given(eqx.Module):
    kernel: Kernel = eqx.field(static=True)

    def __call__(self, _: None, x1: Array, x2: Array) -> Array:
        return self.kernel(x1, x2)


@eqx.filter_jit
def _product(function: Callable, parameter: object, rows: Array, x: Array, v: Array, size: int) -> Array:
    """Computes `K(rows, x) v` by chunks of rows; the last chunk is padded with the last row."""
    count = -(-rows.shape[0] // size)
    padded = jnp.pad(rows, ((0, count * size - rows.shape[0]), (0, 0)), mode="edge")
    products = lax.map(lambda chunk: function(parameter, chunk, x) @ v, padded.reshape(count, size, -1))
    return products.reshape(count * size, -1)[: rows.shape[0]]


@eqx.filter_jit
def _solve(
    function: Callable | None,
    parameter: Any,
    x: Array,
    y: Array,
    shift: Array,
    guess: Array,
    size: int,
    tol: float,
    steps: int,
) -> tuple[Array, Array, Array]:
    def apply(v: Array) -> Array:
        product = parameter @ v if function is None else _product(function, parameter, x, x, v, size)
        return product + shift * v

    # lineax compares residual and step with `atol + rtol |·|` entrywise, so the targets are scaled to unit size. It also stops
    # with NaN if `⟨p, A p⟩ ≤ 100 n eps ⟨p, p⟩`, so the system is scaled to raise its smallest eigenvalue, the shift.
    scale = jnp.sqrt(jnp.mean(y**2))
    scale = jnp.where(scale > 0, scale, 1)
    factor = max(1.0, 1000 * y.size * float(jnp.finfo(y.dtype).eps)) / shift
    operator = lineax.FunctionLinearOperator(
        lambda v: factor * apply(v), jax.eval_shape(lambda: y), lineax.positive_semidefinite_tag
    )
    solver = lineax.CG(rtol=tol, atol=tol, norm=_root_mean_square, max_steps=steps, stabilise_every=None)
    # Recomputing the residual every few steps breaks the recurrence in single precision: it diverges instead of stalling.
    # `throw=False`: the residual reports convergence.
    solution = lineax.linear_solve(operator, y / scale, solver, options={"y0": guess / (scale * factor)}, throw=False)
    value = solution.value * (scale * factor)
    residual = jnp.linalg.norm(apply(value) - y) / (scale * jnp.sqrt(y.size))
    return value, jnp.asarray(solution.stats["num_steps"]), residual


def _root_mean_square(r: Array) -> Array:
    return jnp.sqrt(jnp.mean(r**2))
