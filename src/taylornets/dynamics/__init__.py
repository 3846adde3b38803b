"""Training dynamics by Taylor order: step sizes, catapults, and the sharpness of the loss (theory 15).

All statements refer to gradient descent with step size η on `L = (1/2n) Σ_i ‖f(θ, x_i) − y_i‖²`. `run` trains a network and its
Taylor models side by side and measures sharpness along the way, `stable_rates` finds which step sizes each order survives,
`predict` gives the exact recurrences where they exist, and `Monitor` reports sharpness against 2/η in any training loop.

Example:
    >>> import jax, jax.numpy as jnp, taylornets as tn
    >>> x, y = jnp.eye(2), jnp.array([1.0, -1.0])
    >>> f = lambda w, x: jnp.tanh(x @ w)
    >>> found = tn.dynamics.run(f, jnp.zeros(2), x, y, orders=(1,), rate=0.5, steps=20, key=jax.random.key(0))
    >>> found.status[1], round(float(found.hessian[1][0]), 3)  # J = I and n = 2
    ('converged', 0.5)
"""

from taylornets.dynamics._monitor import Monitor
from taylornets.dynamics._rates import StableRates as StableRates
from taylornets.dynamics._rates import stable_rates
from taylornets.dynamics._recurrences import Recurrence as Recurrence
from taylornets.dynamics._recurrences import predict
from taylornets.dynamics._run import run
from taylornets.dynamics._sharpness import Sharpness as Sharpness
from taylornets.dynamics._sharpness import sharpness
from taylornets.dynamics._trajectory import Trajectory as Trajectory

__all__ = [
    "Monitor",
    "predict",
    "run",
    "sharpness",
    "stable_rates",
]
