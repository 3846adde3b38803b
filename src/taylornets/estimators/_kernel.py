"""Neural tangent kernels of weighted rows, and the certificate of ridge regression with them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.linalg import cholesky, solve_triangular

from taylornets import kernels
from taylornets.certificates import Certificate
from taylornets.estimators._data import TrainingData, filled
from taylornets.two_layer import TwoLayerNetwork


@eqx.filter_jit
def weighted_gram(kernel: Any, x: Array, roots: Array) -> Array:
    """Computes `D K D` for the square roots `D` of the weights, shape `(n, 1)`; zero for padded rows."""
    return roots * _plain(kernel, x, x) * roots.T


def weighted_kernel(kernel: Any, first: Array, second: Array) -> Array:
    """Computes the weighted kernel from inputs whose last column is the square root of the weight."""
    return first[:, -1:] * _plain(kernel, first[:, :-1], second[:, :-1]) * second[:, -1]


def _plain(kernel: Any, first: Array, second: Array) -> Array:
    if isinstance(kernel, TwoLayerNetwork):
        return kernels.ntk(kernel, first, second)
    return first @ second.T * kernel.dual(1)(first @ second.T)


def filled_on_sphere(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Pads with points on the sphere, which the kernel of infinite width requires."""
    ready = filled(x, rows, columns)
    ready[len(x) :, 0] = 1.0
    return ready


def posterior_deviations(
    kernel: Any, x: np.ndarray, new: np.ndarray, weight: np.ndarray, coefficients: np.ndarray, ridge: float
) -> np.ndarray:
    """Computes the posterior standard deviations of the Gaussian process whose mean is the ridge solution.

    The prior is `f ~ N(0, τ² K)` and the noise of example `i` has the variance `τ² λ/p_i`. The scale
    `τ² = yᵀ (K + λ P⁻¹)⁻¹ y/n` maximizes the likelihood, for each output. The posterior variance of `f(x)` is
    `τ² [K(x, x) - kᵀ (K + λ P⁻¹)⁻¹ k]`.

    Args:
        kernel: an activation for the kernel of infinite width, or a network.
        x: training inputs, scaled, shape `(n, d)`.
        new: inputs, scaled, shape `(n_new, d)`.
        weight: `p ≥ 0`, shape `(n,)`.
        coefficients: `c`, shape `(n, outputs)`.
        ridge: `λ`.

    Returns:
        Standard deviations in units of the scaled targets, shape `(n_new, outputs)`.

    Source: theory 9; Rasmussen and Williams (2006), section 2.2.
    """
    kept = weight > 0
    x, weight, coefficients = x[kept], weight[kept], coefficients[kept]
    roots = np.sqrt(weight)[:, None]
    system = np.asarray(
        weighted_gram(kernel, jnp.asarray(x), jnp.asarray(roots.astype(x.dtype))), float
    ) + ridge * np.eye(len(x))
    scaled = coefficients / roots
    scale = np.sum(scaled * (system @ scaled), axis=0) / len(x)
    between = roots * np.asarray(_plain(kernel, jnp.asarray(x), jnp.asarray(new)), float)
    prior = jax.vmap(lambda point: _plain(kernel, point[None], point[None])[0, 0])(jnp.asarray(new))
    explained = np.sum(solve_triangular(cholesky(system, lower=True), between, lower=True) ** 2, axis=0)
    variance = np.maximum(np.asarray(prior, float) - explained, 0)
    return np.sqrt(variance[:, None] * np.maximum(scale, 0))


def ridge_certificate(problem: TrainingData, fitted: np.ndarray, coefficients: np.ndarray, ridge: float) -> Certificate:
    """Certifies a solution of the ridge problem, independently of the solver.

    With `ν_i = 2 p_i (f_i - y_i)` and any `f = K c` the dual is `-Σ p_i ⟨s_i, s_i/4 + y_i⟩ - ⟨ν, K ν⟩/(4λ)`, `s_i = ν_i/p_i`.
    At the optimum `ν = -2λ c`; this choice avoids a further product with `K`.
    """
    weight, y = problem.weight[:, None], problem.y
    squared = float(np.sum(coefficients * fitted, dtype=np.float64))
    primal = float(np.sum(weight * (fitted - y) ** 2)) + ridge * squared
    slopes = -2 * ridge * coefficients.astype(np.float64) / weight
    dual = -float(np.sum(weight * slopes * (slopes / 4 + y))) - ridge * squared
    # Lowered by an allowance for rounding, as in the other certificates; products with K have n terms.
    sizes = float(np.sum(weight * np.abs(slopes) * (np.abs(slopes) / 4 + np.abs(y)))) + ridge * float(
        np.sum(np.abs(coefficients * fitted), dtype=np.float64)
    )
    dual -= 16 * float(np.finfo(coefficients.dtype).eps) * len(y) ** 0.5 * sizes
    return Certificate(np.asarray(primal), np.asarray(min(dual, primal)), -2 * ridge * coefficients)
