"""Optax gradient transformations as methods of the training loop, with minibatches and fresh signs."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from taylornets import _checks, _programs
from taylornets.optimizers import _method
from taylornets.optimizers._interface import MethodOutcome

_STILL_STEPS = 5


class FirstOrderState(NamedTuple):
    """The state of a run; `value` is the value of the objective that gave the last gradient.

    `best` is the iterate with the smallest value (for stochastic gradients, the last finite iterate).
    """

    w: Array
    value: Float[Array, ""]
    inner: optax.OptState
    key: PRNGKeyArray
    steps: Int[Array, ""]
    still: Int[Array, ""]
    best: Array
    best_value: Float[Array, ""]


class FirstOrder(eqx.Module):
    """A first-order method: an optax gradient transformation and the source of its gradients.

    Args:
        transformation: a gradient transformation from optax or this module. Equal objects compile once.
        batch_size: examples per step, drawn without replacement; None for all examples.
        fresh_signs: whether every step draws new random signs (models `"randomized"` and `"sampled"`), as in the stochastic
            gradient descent of Bai & Lee (2020).

    Raises:
        ArgumentError: for a batch size below 1.

    Example:
        >>> import jax, optax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=16)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> adam = tn.optimizers.FirstOrder(optax.adam(0.03), batch_size=10)
        >>> result = tn.fit(net, x, x[:, 0] * x[:, 1], penalty=1e-2, method=adam, max_steps=50, throw=False)
        >>> result.steps
        50
    """

    transformation: optax.GradientTransformation = eqx.field(static=True)
    batch_size: int | None = eqx.field(static=True, default=None)
    fresh_signs: bool = eqx.field(static=True, default=False)
    scales_inputs: bool = eqx.field(static=True, default=False, init=False)

    def __check_init__(self):
        if self.batch_size is not None:
            _checks.integer("batch_size", self.batch_size, 1)

    @property
    def stochastic(self) -> bool:
        """Whether the gradients are stochastic."""
        return self.batch_size is not None or self.fresh_signs

    def init(self, fun: Any, w: Array, key: PRNGKeyArray) -> FirstOrderState:
        """Returns the state at the initial point `w`; `key` seeds minibatches, signs and the noise of the transformation."""
        return _init(self, fun, w, key)

    def advance(self, fun: Any, state: FirstOrderState, steps: int) -> FirstOrderState:
        """Runs up to `steps` steps; stops early, with `w` the best iterate, if the iterate is unchanged or not finite."""
        return _advance(self, fun, state, jnp.asarray(steps))

    def outcome(self, state: FirstOrderState) -> MethodOutcome:
        """Reports a stall if the last steps left the iterate unchanged, a stationary point of the method."""
        return MethodOutcome(int(state.still) >= _STILL_STEPS)

    def sampled(self, fun: Any, key: PRNGKeyArray) -> Any:
        """Returns the objective whose gradient is used in the step with this key."""
        key_examples, key_signs = jax.random.split(key)
        if self.batch_size is not None:
            fun = fun.minibatch(key_examples, self.batch_size)
        return fun.with_signs(key_signs) if self.fresh_signs else fun


@_programs.program
def _init(method: FirstOrder, fun: Any, w: Array, key: PRNGKeyArray) -> FirstOrderState:
    inner = method.transformation.init(w)
    key, key_noise = jax.random.split(key)
    if optax.tree.get_all_with_path(inner, "rng_key"):
        inner = optax.tree.set(inner, rng_key=key_noise)
    zero = jnp.zeros((), jnp.int32)
    value = jnp.asarray(fun(w), w.dtype)
    return _method.strongly_typed(FirstOrderState(w, value, inner, key, zero, zero, w, value))


@_programs.loop
def _advance(method: FirstOrder, fun: Any, state: FirstOrderState, steps: Array) -> FirstOrderState:
    last = state.steps + steps

    def going(state: FirstOrderState) -> Array:
        return (state.steps < last) & (state.still < _STILL_STEPS) & jnp.isfinite(state.value)

    def step(state: FirstOrderState) -> FirstOrderState:
        objective = method.sampled(fun, jax.random.fold_in(state.key, state.steps))
        value, gradient = _method.value_and_gradient(objective, state.w)
        updates, inner = method.transformation.update(gradient, state.inner, state.w)
        w = jnp.asarray(optax.apply_updates(state.w, updates))
        better = jnp.isfinite(value) & (method.stochastic | (value <= state.best_value))
        best = jnp.where(better, state.w, state.best)
        best_value = jnp.where(better, value, state.best_value)
        still = jnp.where(jnp.all(w == state.w), state.still + 1, 0)
        return FirstOrderState(w, value, inner, state.key, state.steps + 1, still, best, best_value)

    end = lax.while_loop(going, step, state._replace(still=jnp.zeros_like(state.still)))
    return end._replace(w=jnp.where(jnp.isfinite(end.value), end.w, end.best))
