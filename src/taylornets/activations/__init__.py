"""Activations: derivatives of every order, Hermite coefficients, dual activations (theory sections 1, 6 and 9).

An `Activation` provides the derivatives `σ^{(k)}` for Taylor terms, the Hermite coefficients for planted weights, the dual
activation for infinite-width kernels, and suprema for certificates.

**Adding an activation** takes one new file in this folder, which defines a class and registers a name. All modules of the
folder are imported with the package.

Example:
    >>> import taylornets as tn
    >>> tanh = tn.activations.get("tanh")
    >>> float(tanh.derivative(1)(0.0)), round(tanh.hermite_coefficient(1, 0), 4)  # σ'(0) and E σ'(g)
    (1.0, 0.6057)
"""

from taylornets import _discover
from taylornets.activations._base import Activation
from taylornets.activations._custom import Custom
from taylornets.activations._entire import Exp as Exp
from taylornets.activations._entire import PolynomialActivation as PolynomialActivation
from taylornets.activations._entire import Sin as Sin
from taylornets.activations._gaussian import Erf as Erf
from taylornets.activations._gaussian import Gelu as Gelu
from taylornets.activations._logistic import Sigmoid as Sigmoid
from taylornets.activations._logistic import Softplus as Softplus
from taylornets.activations._logistic import Tanh as Tanh
from taylornets.activations._registry import get, names, register
from taylornets.activations._registry import register_pattern as register_pattern
from taylornets.activations._relu import ReluPower as ReluPower
from taylornets.activations._silu import Silu as Silu
from taylornets.activations._traits import Traits

_discover.import_modules(__name__, __path__)

__all__ = [
    "Activation",
    "Custom",
    "Traits",
    "get",
    "names",
    "register",
]
