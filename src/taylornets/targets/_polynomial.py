"""Sums of powers of linear functions (theory 6)."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from taylornets import _checks, _trees


class Polynomial(_trees.HashableModule):
    """A sum of powers of linear functions, `f*(x) = Σ_j α_j ⟨β_j, x⟩^{p_j}`.

    Args:
        directions: `β`, shape `(J, d)`.
        powers: `p`, `J` integers ≥ 1.
        coefficients: `α`, shape `(J,)`.

    Source: theory 6; Bai & Lee (2020), section 5.

    Example:
        >>> import jax.numpy as jnp
        >>> product = Polynomial(jnp.array([[1.0, 1.0], [1.0, -1.0]]), (2, 2), jnp.array([0.25, -0.25]))
        >>> float(product(jnp.array([[2.0, 3.0]]))[0, 0])
        6.0
    """

    directions: Float[Array, "J d"]
    powers: tuple[int, ...] = eqx.field(static=True)
    coefficients: Float[Array, "J"]

    def __init__(self, directions: Array, powers: tuple[int, ...], coefficients: Array):
        self.directions = _checks.array("directions", directions, ("J", "d"))
        count = self.directions.shape[0]
        if len(powers) != count:
            raise _checks.ArgumentError("powers", f"{count} powers, one for each direction", f"{len(powers)}")
        self.powers = tuple(_checks.integer("powers", power, 1) for power in powers)
        self.coefficients = _checks.array("coefficients", coefficients, (count,))
        if not isinstance(self.directions, Tracer) and not np.all(np.linalg.norm(self.directions, axis=1)):
            raise _checks.ArgumentError("directions", "nonzero directions", "a zero row")

    def __call__(self, x: Array) -> Float[Array, "n 1"]:
        """Returns the values at `x` of shape `(n, d)`."""
        x = _checks.array("x", x, ("n", self.directions.shape[1]))
        powers = jnp.stack([(x @ beta) ** p for beta, p in zip(self.directions, self.powers, strict=True)], axis=1)
        return (powers @ self.coefficients)[:, None]
