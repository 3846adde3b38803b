"""Convex losses: value, derivative, curvature and convex conjugate, per example (theory sections 3 and 5).

Predictions `v` and prepared targets `y` have shape `(n, C)`; results that are one number an example have shape `(n,)`.
The objective averages over examples elsewhere. Everything keeps the floating type of what comes in.

**Conjugates as proofs.** `conjugate(s, y)` enters lower bounds on an optimum, so it must never be too small:

- The domain is decided strictly, on the numbers as they come; outside the value is `+inf`. The one exception is the
  equation `Σ_c s_c = 0` of the softmax loss, which floating-point numbers cannot meet exactly: it is granted within
  `(C + 8) eps`, and the value is then at least that of the point rescaled onto the simplex.
- A point that left the domain by rounding is brought back by the caller, with `project`, and the bound is then computed
  from the projected point throughout.
- The value is rounded outward: a bound on the rounding error of its own formula is added.

**A new loss** is one more file in this folder, which defines a class and registers an instance; every module of the folder
is imported with the package.

Example:
    >>> import jax.numpy as jnp, taylornets as tn
    >>> squared = tn.losses.get("squared")
    >>> squared.value(jnp.array([[2.0], [0.0]]), jnp.array([[1.0], [0.0]])).tolist()  # (v - y)²
    [1.0, 0.0]
"""

from taylornets import _discover
from taylornets.losses._base import Loss
from taylornets.losses._classification import Logistic as Logistic
from taylornets.losses._classification import Softmax as Softmax
from taylornets.losses._registry import get, names, register
from taylornets.losses._regression import Huber as Huber
from taylornets.losses._regression import Squared as Squared

_discover.import_modules(__name__, __path__)

__all__ = [
    "Loss",
    "get",
    "names",
    "register",
]
