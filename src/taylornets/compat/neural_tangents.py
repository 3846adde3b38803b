"""The names of the archived `neural_tangents` package that this library covers.

Code written for that package runs after `from taylornets.compat import neural_tangents as nt`. Differences: an integer
or boolean leaf of `params` stays where it is instead of raising, trees and shapes that do not match are named,
`taylor_expand` costs a number of products linear in `degree`, and both take the keywords of `taylornets`.

Example:
    >>> import jax.numpy as jnp
    >>> from taylornets.compat import neural_tangents as nt
    >>> float(nt.linearize(lambda w, x: (w * x) ** 2, jnp.array(1.0))(jnp.array(2.0), 3.0))  # 9 + 18 (w - 1) at w = 2
    27.0
"""

from taylornets.expansion import linearize, taylor_expand

__all__ = ["linearize", "taylor_expand"]
