"""Convex losses: value, derivative, curvature and convex conjugate, per example (theory sections 3 and 5).

Predictions `v` and prepared targets `y` have shape `(n, C)`; results with one number per example have shape `(n,)`.
The average over examples is part of the objective. All functions preserve the dtype of their inputs.

**Conjugates in certificates.** `conjugate(s, y)` enters lower bounds on the optimum, so it must never be too small:

- Domain membership is tested exactly on the given floating-point numbers; outside the domain the value is `+inf`. The one
  exception is the constraint `Σ_c s_c = 0` of the softmax loss, which cannot hold exactly in floating point: it is tested
  with tolerance `(C + 8) eps`, and the value is then at least that of the point rescaled onto the simplex.
- If rounding moves a point outside the domain, the caller applies `project` and computes the entire bound from the projected
  point.
- The value is rounded upward: it includes a bound on its own rounding error.

**Adding a loss** takes one new file in this folder, which defines a class and registers an instance. All modules of the folder
are imported with the package.

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
