"""Taylor models of wide neural networks of any order, beyond the neural tangent kernel.

The subject is Bai & Lee, "Beyond Linearization: On Quadratic and Higher-Order Approximation of Wide Neural Networks"
(ICLR 2020): Taylor terms of any order of a two-layer network, random signs that couple the network to its quadratic term,
and training with a certificate of global optimality.

Example:
    >>> import jax, jax.numpy as jnp, taylornets as tn
    >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
    >>> x = jnp.eye(3)
    >>> y = jnp.array([[1.0], [-1.0], [0.5]])
    >>> found = tn.fit(net, x, y, model="quadratic", penalty=0.01)
    >>> found.w.shape, bool(found.certificate.relative_gap < 1e-4)  # two copies of each unit; distance from the optimum
    ((8, 2, 3), True)
"""

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING

from taylornets._errors import ArgumentError

if TYPE_CHECKING:
    from taylornets import (
        activations,
        certificates,
        compat,
        dynamics,
        expressivity,
        generalization,
        kernels,
        learners,
        losses,
        models,
        optimizers,
        randomization,
        targets,
        torch,
        training,
    )
    from taylornets._fit import FitError, FitResult, Status, fit, fit_path
    from taylornets._regime import Regime, RegimePath, regime, regime_from_evaluations, regime_path
    from taylornets.certificates import Certificate, certify
    from taylornets.estimators import NTKClassifier, NTKRegressor, TaylorClassifier, TaylorRegressor, load, save
    from taylornets.expansion import cost, explain, linearize, taylor_expand, taylor_terms
    from taylornets.objectives import Objective, objective
    from taylornets.optimizers import Stationarity, stationarity
    from taylornets.training import TaylorizedTraining, taylorized_training
    from taylornets.two_layer import TwoLayerNetwork

__version__ = "0.2.0"

# The public names. Subpackages that share a name with a public function (`_fit`, `_regime`) are private.
__all__ = [
    "ArgumentError", "Certificate", "FitError", "FitResult", "NTKClassifier", "NTKRegressor", "Objective", "Regime",
    "RegimePath", "Stationarity", "Status", "TaylorClassifier", "TaylorRegressor", "TaylorizedTraining", "TwoLayerNetwork",
    "activations", "certificates", "certify", "compat", "cost", "dynamics", "explain", "expressivity", "fit", "fit_path",
    "generalization", "kernels", "learners", "linearize", "load", "losses", "models", "objective", "optimizers",
    "randomization", "regime", "regime_from_evaluations", "regime_path", "save", "stationarity", "targets",
    "taylor_expand", "taylor_terms", "taylorized_training", "torch", "training",
]  # fmt: skip

# Imported on first access, so that a program waits only for the rooms that it uses. The other public names are rooms.
_HOMES = {
    "_fit": ("FitError", "FitResult", "Status", "fit", "fit_path"),
    "_regime": ("Regime", "RegimePath", "regime", "regime_from_evaluations", "regime_path"),
    "certificates": ("Certificate", "certify"),
    "estimators": ("NTKClassifier", "NTKRegressor", "TaylorClassifier", "TaylorRegressor", "load", "save"),
    "expansion": ("cost", "explain", "linearize", "taylor_expand", "taylor_terms"),
    "objectives": ("Objective", "objective"),
    "optimizers": ("Stationarity", "stationarity"),
    "training": ("TaylorizedTraining", "taylorized_training"),
    "two_layer": ("TwoLayerNetwork",),
}


def __getattr__(name: str) -> object:
    home = next((room for room, names in _HOMES.items() if name in names), name)
    if home.startswith("__") or (home == name and find_spec(f"taylornets.{name}") is None):
        raise AttributeError(f"module 'taylornets' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"taylornets.{home}")
    except ModuleNotFoundError as error:
        if home != "estimators" or error.name is None or error.name.partition(".")[0] == "taylornets":
            raise
        needed = f"taylornets.{name} needs scikit-learn and rich ({error.name!r} is missing): pip install 'taylornets[sklearn]'"
        raise ImportError(needed) from error
    found = module if home == name else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "estimators"})
