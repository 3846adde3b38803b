"""Neural tangent kernels of weighted rows, and the certificate of ridge regression with them."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array

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
