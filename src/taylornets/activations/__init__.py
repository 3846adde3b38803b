"""Activations: derivatives of every order, Hermite coefficients, dual activations (theory sections 1, 6 and 9).

A two-layer network's Taylor terms need `σ^{(k)}` at many points, planted weights its Hermite coefficients,
infinite-width kernels its dual activation, and proofs its supremum. An `Activation` has them all.

**A new activation** is one more file in this folder, which defines a class and registers a name; every module of the folder
is imported with the package.
"""

from taylornets import _discover
from taylornets.activations._base import Activation as Activation
from taylornets.activations._custom import Custom as Custom
from taylornets.activations._entire import Exp as Exp
from taylornets.activations._entire import PolynomialActivation as PolynomialActivation
from taylornets.activations._entire import Sin as Sin
from taylornets.activations._gaussian import Erf as Erf
from taylornets.activations._gaussian import Gelu as Gelu
from taylornets.activations._logistic import Sigmoid as Sigmoid
from taylornets.activations._logistic import Softplus as Softplus
from taylornets.activations._logistic import Tanh as Tanh
from taylornets.activations._registry import get as get
from taylornets.activations._registry import names as names
from taylornets.activations._registry import register as register
from taylornets.activations._registry import register_pattern as register_pattern
from taylornets.activations._relu import ReluPower as ReluPower
from taylornets.activations._traits import Traits as Traits

_discover.import_modules(__name__, __path__)
