"""Optimization methods for any objective, and the test of second-order stationarity (theory 4).

The first-order ones are optax gradient transformations; `FirstOrder` makes a method of `taylornets.fit` of these and of
any other. `LBFGS` and `NegativeCurvature` are methods themselves.
"""

from taylornets.optimizers._first_order import FirstOrder as FirstOrder
from taylornets.optimizers._first_order import FirstOrderState as FirstOrderState
from taylornets.optimizers._interface import Method as Method
from taylornets.optimizers._interface import MethodOutcome as MethodOutcome
from taylornets.optimizers._lbfgs import LBFGS as LBFGS
from taylornets.optimizers._lbfgs import LBFGSState as LBFGSState
from taylornets.optimizers._negative_curvature import NegativeCurvature as NegativeCurvature
from taylornets.optimizers._negative_curvature import NegativeCurvatureState as NegativeCurvatureState
from taylornets.optimizers._negative_curvature import negative_curvature as negative_curvature
from taylornets.optimizers._stationarity import Stationarity as Stationarity
from taylornets.optimizers._stationarity import spectral_radius as spectral_radius
from taylornets.optimizers._stationarity import stationarity as stationarity
from taylornets.optimizers._transformations import PerturbationState as PerturbationState
from taylornets.optimizers._transformations import noisy_sgd as noisy_sgd
from taylornets.optimizers._transformations import perturbed_gradient_descent as perturbed_gradient_descent
