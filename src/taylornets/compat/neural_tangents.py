"""The functions of the archived `neural_tangents` package that this library covers.

Code written for that package runs with `from taylornets.compat import neural_tangents as nt`. Differences: integer and
boolean leaves of `params` stay fixed instead of raising, error messages name mismatched trees and shapes, the cost of
`taylor_expand` is linear in `degree`, and both functions accept the keywords of `taylornets`.

Example:
    >>> import jax.numpy as jnp
    >>> from taylornets.compat import neural_tangents as nt
    >>> float(nt.linearize(lambda w, x: (w * x) ** 2, jnp.array(1.0))(jnp.array(2.0), 3.0))  # 9 + 18 (w - 1) at w = 2
    27.0
"""

from taylornets.expansion import linearize, taylor_expand

__all__ = ["linearize", "taylor_expand"]
