"""Taylor models of wide neural networks of any order, beyond the neural tangent kernel.

The subject is Bai & Lee, "Beyond Linearization: On Quadratic and Higher-Order Approximation of Wide Neural Networks"
(ICLR 2020): terms of any order of a two-layer network, random signs that couple the network with its quadratic term,
and training with a proof of global optimality.
"""

import importlib
from typing import TYPE_CHECKING

from taylornets import activations as activations
from taylornets import certificates as certificates
from taylornets import compat as compat
from taylornets import expressivity as expressivity
from taylornets import generalization as generalization
from taylornets import kernels as kernels
from taylornets import losses as losses
from taylornets import models as models
from taylornets import optimizers as optimizers
from taylornets import randomization as randomization
from taylornets import targets as targets
from taylornets import training as training
from taylornets._checks import ArgumentError as ArgumentError
from taylornets._fit import FitError as FitError
from taylornets._fit import FitResult as FitResult
from taylornets._fit import Status as Status
from taylornets._fit import fit as fit
from taylornets._fit import fit_path as fit_path
from taylornets._regime import Regime as Regime
from taylornets._regime import regime as regime
from taylornets.certificates import Certificate as Certificate
from taylornets.certificates import certify as certify
from taylornets.expansion import cost as cost
from taylornets.expansion import explain as explain
from taylornets.expansion import linearize as linearize
from taylornets.expansion import taylor_expand as taylor_expand
from taylornets.expansion import taylor_terms as taylor_terms
from taylornets.objectives import Objective as Objective
from taylornets.objectives import objective as objective
from taylornets.optimizers import Stationarity as Stationarity
from taylornets.optimizers import stationarity as stationarity
from taylornets.training import TaylorizedTraining as TaylorizedTraining
from taylornets.training import taylorized_training as taylorized_training
from taylornets.two_layer import TwoLayerNetwork as TwoLayerNetwork

if TYPE_CHECKING:
    from taylornets.estimators import NTKClassifier as NTKClassifier
    from taylornets.estimators import NTKRegressor as NTKRegressor
    from taylornets.estimators import TaylorClassifier as TaylorClassifier
    from taylornets.estimators import TaylorRegressor as TaylorRegressor
    from taylornets.estimators import load as load
    from taylornets.estimators import save as save

__version__ = "0.1.0"

# Loaded when they are asked for: they need scikit-learn, which the library does not.
_ESTIMATORS = ("NTKClassifier", "NTKRegressor", "TaylorClassifier", "TaylorRegressor", "load", "save")


def __getattr__(name: str) -> object:
    if name != "estimators" and name not in _ESTIMATORS:
        raise AttributeError(f"module 'taylornets' has no attribute {name!r}")
    try:
        module = importlib.import_module("taylornets.estimators")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "taylornets":
            raise
        needed = f"taylornets.{name} needs scikit-learn and rich ({error.name!r} is missing): pip install 'taylornets[sklearn]'"
        raise ImportError(needed) from error
    return module if name == "estimators" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ESTIMATORS, "estimators"})
