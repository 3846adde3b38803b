"""First-order methods as optax gradient transformations (theory 4).

They compose with optax schedules and with preceding clipping: `optax.chain(optax.clip_by_global_norm(1.0),
noisy_sgd(...))`. The state stores the random key as `rng_key`, so that one transformation can be reused across runs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from taylornets import _checks


class PerturbationState(NamedTuple):
    """The number of steps, the step of the last perturbation, and the key for the next one."""

    steps: Int[Array, ""]
    last: Int[Array, ""]
    rng_key: PRNGKeyArray


def perturbed_gradient_descent(
    learning_rate: optax.ScalarOrSchedule,
    *,
    radius: float,
    threshold: float,
    interval: int = 50,
    key: PRNGKeyArray,
) -> optax.GradientTransformation:
    """Perturbed gradient descent, which escapes saddles: `w ← w − η ∇P(w)`, plus `ξ` if the gradient is small.

    `ξ` is uniform in the ball of radius `radius` around 0, in the coordinates of `w` (it is not multiplied by the learning
    rate). It is added if `‖∇P‖ ≤ threshold` and the last perturbation is more than `interval` steps ago.

    Args:
        learning_rate: `η > 0`, or an optax schedule.
        radius: radius `r > 0` of the perturbation; its mean square over `N` variables is `r² N/(N + 2)`.
        threshold: norm of the incoming gradient up to which a point counts as stationary; `0` perturbs only at exactly
            stationary points.
        interval: minimum number of steps between two perturbations.
        key: JAX random key.

    Returns:
        An optax gradient transformation.

    Raises:
        ArgumentError: for values out of range.

    Source: Jin, Ge, Netrapalli, Kakade, Jordan, "How to escape saddle points efficiently" (ICML 2017), algorithm 1.

    Example:
        >>> import jax, jax.numpy as jnp, optax, taylornets as tn
        >>> method = tn.optimizers.perturbed_gradient_descent(0.1, radius=0.01, threshold=0.0, key=jax.random.key(0))
        >>> state = method.init(jnp.zeros(3))
        >>> update, state = method.update(jnp.zeros(3), state)  # a saddle: the gradient alone would stay
        >>> bool(0 < jnp.linalg.norm(update) <= 0.01)
        True
    """
    _positive_rate(learning_rate)
    _checks.positive("radius", radius)
    if threshold != 0:
        _checks.positive("threshold", threshold)
    interval = _checks.integer("interval", interval, 0)

    def init(params: optax.Params) -> PerturbationState:
        del params
        zero = jnp.zeros((), jnp.int32)
        return PerturbationState(zero, zero - interval - 1, key)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, PerturbationState]:
        del params
        rate: Any = learning_rate(state.steps) if callable(learning_rate) else learning_rate
        quiet = (optax.tree.norm(updates) <= threshold) & (state.steps - state.last > interval)
        following, drawn = jax.random.split(state.rng_key)
        jump = _uniform_in_ball(drawn, updates)
        scale = jnp.where(quiet, radius, 0.0)
        moved = jax.tree.map(lambda g, j: -rate * g + scale.astype(g.dtype) * j, updates, jump)
        last = jnp.where(quiet, state.steps, state.last)
        return moved, PerturbationState(state.steps + 1, last, following)

    return optax.GradientTransformation(init, update)


def noisy_sgd(
    learning_rate: optax.ScalarOrSchedule, *, variance: float, decay: float = 0.0, key: PRNGKeyArray
) -> optax.GradientTransformation:
    """Stochastic gradient descent with injected noise: `w ← w − η_t (g_t + ζ_t)`, `ζ_t ~ N(0, variance/(1+t)^decay I)`.

    The noise is added to the gradient before the learning rate is applied: one step moves every coordinate by a random amount
    of standard deviation `η √variance`. The caller supplies the gradient `g_t`; `FirstOrder` supplies that of a minibatch
    under fresh signs.

    Args:
        learning_rate: `η > 0`, or an optax schedule.
        variance: variance > 0 of the noise in every coordinate of the gradient at the first step.
        decay: exponent of the decay of the variance with the step; 0 keeps it constant.
        key: JAX random key.

    Returns:
        An optax gradient transformation.

    Raises:
        ArgumentError: for values out of range.

    Source: Ge, Huang, Jin, Yuan, "Escaping from saddle points" (COLT 2015), algorithm 1 (which uses noise on the sphere).

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> method = tn.optimizers.noisy_sgd(0.1, variance=0.01, key=jax.random.key(0))
        >>> update, _ = method.update(jnp.zeros(10000), method.init(jnp.zeros(10000)))
        >>> round(float(jnp.std(update)), 3)  # 0.1 · √0.01
        0.01
    """
    _positive_rate(learning_rate)
    _checks.positive("variance", variance)
    if decay != 0:
        _checks.positive("decay", decay)
    return optax.chain(optax.add_noise(variance, decay, key=key), optax.scale_by_learning_rate(learning_rate))


def _positive_rate(learning_rate: Any) -> None:
    if not callable(learning_rate):
        _checks.positive("learning_rate", learning_rate)


def _uniform_in_ball(key: PRNGKeyArray, like: optax.Updates) -> optax.Updates:
    """Samples uniformly from the unit ball: a normalized Gaussian vector times `U^{1/N}`."""
    key_direction, key_length = jax.random.split(key)
    normal = optax.tree.random_like(key_direction, like, sampler=jax.random.normal)
    size = sum(leaf.size for leaf in jax.tree.leaves(like))
    length = jax.random.uniform(key_length) ** (1 / size) / optax.tree.norm(normal)
    return jax.tree.map(lambda leaf: length.astype(leaf.dtype) * leaf, normal)
