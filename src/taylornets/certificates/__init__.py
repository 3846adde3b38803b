"""Certificates of global optimality from convex duality (theory 5) and from the landscape (theory 4).

Example:
    >>> import jax, jax.numpy as jnp, taylornets as tn
    >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
    >>> found = tn.certificates.certify(net, net.w0, jnp.eye(3), jnp.ones((3, 1)), penalty=0.1)
    >>> bool(found.dual <= found.primal)  # no displacement has an objective below `dual`
    True
"""

from taylornets.certificates._bounds import default_tolerance as default_tolerance
from taylornets.certificates._bounds import weighted_sum as weighted_sum
from taylornets.certificates._dual import Certificate, certify
from taylornets.certificates._dual import certify_objective as certify_objective
from taylornets.certificates._dual import certify_sum as certify_sum
from taylornets.certificates._dual import dual_bound as dual_bound
from taylornets.certificates._landscape import Inequality as Inequality
from taylornets.certificates._landscape import Landscape as Landscape
from taylornets.certificates._landscape import curvature_inequality, landscape
from taylornets.certificates._landscape import landscape_objective as landscape_objective
from taylornets.certificates._leave_one_out import leave_one_out

__all__ = [
    "Certificate",
    "certify",
    "curvature_inequality",
    "landscape",
    "leave_one_out",
]
