"""The initial displacement of first-order steps on the quadratic model: a step in the convex lift from zero (theory 11).

At zero the gradient in `Θ_r` is `M_r(ν)` for the dual vector `ν` of the initial outputs. The start is `Θ_r = s Π₊(-M_r)`,
limited to its largest eigenvalues, with the best `s`, plus the small random displacement from which methods start otherwise: a
copy that is zero stays zero. From a random start alone, the line search needs some forty evaluations to find its scale.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PRNGKeyArray

from taylornets import _devices, _programs
from taylornets._fit._lift import dual_point
from taylornets.objectives import Objective

_EXPONENTS = 60  # the scale is the best power of 2 with an exponent of at most this size


def spectral_start(risk: Objective, key: PRNGKeyArray, copies: int) -> Array:
    """Returns the initial displacement, shape `(m, copies, d)`."""
    moments = dual_point(risk, risk.initial_outputs()).moments
    return _scaled(risk, moments, risk.start(key, copies).reshape(risk.net.width, copies, risk.net.inputs))


@_programs.program
def _scaled(risk: Objective, moments: Array, random: Array) -> Array:
    values, vectors = _devices.eigh(moments, risk.features.layout)
    copies = random.shape[1]
    factors = jnp.sqrt(jnp.maximum(-values[:, :copies], 0))[:, :, None] * jnp.swapaxes(vectors, 1, 2)[:, :copies]
    size = jnp.linalg.norm(factors)
    factors = factors * risk.natural_norm / jnp.where(size > 0, size, 1)
    initial = risk.initial_outputs()
    change = risk.outputs(factors) - initial
    penalty = risk.penalty_value(factors)

    def objective(exponent: Array) -> Array:
        scale = 2.0**exponent
        losses = risk.loss.value(initial + scale * change, risk.targets())
        return jnp.sum(risk.weights() * losses) + penalty * scale ** (risk.penalty.power / 2)

    exponents = jnp.arange(-_EXPONENTS, _EXPONENTS + 1, dtype=factors.dtype)
    found = lax.map(objective, exponents)
    best = exponents[jnp.argmin(jnp.where(jnp.isfinite(found), found, jnp.inf))]
    return factors * 2.0 ** (best / 2) + random
