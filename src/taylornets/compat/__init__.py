"""Compatibility modules that mirror the interfaces of other packages.

Example:
    >>> import jax.numpy as jnp
    >>> from taylornets.compat import neural_tangents as nt
    >>> float(nt.taylor_expand(lambda w, x: (w * x) ** 2, jnp.array(1.0), 2)(jnp.array(2.0), 3.0))
    36.0
"""

from taylornets.compat import neural_tangents

__all__ = ["neural_tangents"]
