"""Learners beyond a single order: representations that are fitted before a network is trained on them (theory 16).

Example:
    >>> import jax, taylornets as tn
    >>> x = jax.random.normal(jax.random.key(0), (300, 5))
    >>> x = x / jax.numpy.linalg.norm(x, axis=1, keepdims=True)
    >>> h = tn.learners.hierarchical(jax.random.key(1), x, width=40)
    >>> h(x).shape, h.parity  # all polynomials of degree 2, whitened
    ((300, 15), 'even')
"""

from taylornets.learners._hierarchical import TOP as TOP
from taylornets.learners._hierarchical import Hierarchical as Hierarchical
from taylornets.learners._hierarchical import hierarchical

__all__ = [
    "hierarchical",
]
