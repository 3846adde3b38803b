"""Optimization methods for any objective, and a test of second-order stationarity (theory 4).

First-order methods are optax gradient transformations; `FirstOrder` turns any of them into a method for `taylornets.fit`.
`LBFGS` and `NegativeCurvature` are methods themselves.

Example:
    >>> import jax, jax.numpy as jnp, taylornets as tn
    >>> well = lambda w: jnp.sum(w**4) / 4 - w[0] ** 2 / 2  # zero is a saddle
    >>> method = tn.optimizers.negative_curvature()
    >>> state = method.advance(well, method.init(well, jnp.zeros(2), jax.random.key(0)), 100)
    >>> round(abs(float(state.w[0])), 3)
    1.0
"""

from taylornets import _discover
from taylornets.optimizers._first_order import FirstOrder
from taylornets.optimizers._first_order import FirstOrderState as FirstOrderState
from taylornets.optimizers._interface import Method
from taylornets.optimizers._interface import MethodOutcome as MethodOutcome
from taylornets.optimizers._lbfgs import LBFGS
from taylornets.optimizers._lbfgs import LBFGSState as LBFGSState
from taylornets.optimizers._negative_curvature import NegativeCurvature as NegativeCurvature
from taylornets.optimizers._negative_curvature import NegativeCurvatureState as NegativeCurvatureState
from taylornets.optimizers._negative_curvature import negative_curvature
from taylornets.optimizers._registry import METHODS as METHODS
from taylornets.optimizers._registry import register
from taylornets.optimizers._stationarity import Stationarity, stationarity
from taylornets.optimizers._stationarity import spectral_radius as spectral_radius
from taylornets.optimizers._transformations import PerturbationState as PerturbationState
from taylornets.optimizers._transformations import noisy_sgd, perturbed_gradient_descent

_discover.import_modules(__name__, __path__)

__all__ = [
    "LBFGS",
    "FirstOrder",
    "Method",
    "Stationarity",
    "negative_curvature",
    "noisy_sgd",
    "perturbed_gradient_descent",
    "register",
    "stationarity",
]
