"""Optimization methods for any objective, and the test of second-order stationarity (theory 4).

The first-order ones are optax gradient transformations; `FirstOrder` makes a method of `taylornets.fit` of these and of
any other. `LBFGS` and `NegativeCurvature` are methods themselves.

Example:
    >>> import jax, jax.numpy as jnp, taylornets as tn
    >>> saddle = lambda w: jnp.sum(w**4) / 4 - jnp.sum(w[0] ** 2) / 2
    >>> w = tn.optimizers.negative_curvature(saddle, jnp.zeros((2, 1)), jax.random.key(0), tol=1e-4).w
    >>> round(abs(float(w[0, 0])), 3)  # it leaves the saddle at zero
    1.0
"""

from taylornets.optimizers._first_order import FirstOrder
from taylornets.optimizers._first_order import FirstOrderState as FirstOrderState
from taylornets.optimizers._lbfgs import LBFGS
from taylornets.optimizers._lbfgs import LBFGSState as LBFGSState
from taylornets.optimizers._method import Method
from taylornets.optimizers._negative_curvature import NegativeCurvature as NegativeCurvature
from taylornets.optimizers._negative_curvature import NegativeCurvatureState as NegativeCurvatureState
from taylornets.optimizers._negative_curvature import negative_curvature
from taylornets.optimizers._stationarity import Stationarity, stationarity
from taylornets.optimizers._stationarity import spectral_radius as spectral_radius
from taylornets.optimizers._transformations import PerturbationState as PerturbationState
from taylornets.optimizers._transformations import noisy_sgd, perturbed_gradient_descent

__all__ = [
    "LBFGS",
    "FirstOrder",
    "Method",
    "Stationarity",
    "negative_curvature",
    "noisy_sgd",
    "perturbed_gradient_descent",
    "stationarity",
]
