"""L-BFGS on the device: optax's two-loop recursion and zoom line search, run in compiled segments.

A segment is one `while_loop`, so that no array is transferred to the host between iterations. (At 10^5 variables, SciPy's
L-BFGS-B spends far more time on its own bookkeeping than on the objective; see `benchmarks/solvers.py`.)
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from taylornets import _programs
from taylornets.optimizers._interface import MethodOutcome
from taylornets.optimizers._method import strongly_typed

_STALLED_STEPS = 5


class LBFGSState(NamedTuple):
    """The state of a run; `value` and `gradient` are those at `w`, `stalled` counts consecutive steps without decrease."""

    w: Array
    value: Float[Array, ""]
    gradient: Array
    inner: optax.OptState
    steps: Int[Array, ""]
    stalled: Int[Array, ""]
    restarted: bool = False


class LBFGS(eqx.Module):
    """Limited-memory BFGS with a strong-Wolfe line search (optax).

    Args:
        memory: number of stored curvature pairs.
        line_search_steps: maximum number of trial points per line search.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> method, square = tn.optimizers.LBFGS(memory=5), lambda w: jnp.sum((w - 1) ** 2)
        >>> state = method.advance(square, method.init(square, jnp.zeros(3)), 10)
        >>> [round(entry, 4) for entry in state.w.tolist()]
        [1.0, 1.0, 1.0]
    """

    memory: int = eqx.field(static=True, default=20)
    line_search_steps: int = eqx.field(static=True, default=20)
    scales_inputs: bool = eqx.field(static=True, default=True, init=False)

    def init(self, fun: Callable[[Array], Array], w: Array, key: PRNGKeyArray | None = None) -> LBFGSState:
        """Returns the state at the initial point `w` of any shape; the method is deterministic."""
        del key
        return _init(self, fun, w)

    def advance(self, fun: Callable[[Array], Array], state: LBFGSState, steps: int) -> LBFGSState:
        """Runs up to `steps` iterations; stops early if the objective stops decreasing or is not finite.

        Args:
            fun: differentiable objective; a pytree (such as an Equinox module), so that equal shapes compile once.
            state: state from `init` or an earlier call.
            steps: number of iterations.

        Returns:
            The new state.
        """
        last, restarted = int(state.steps) + steps, state.restarted
        state = self._segment(fun, state, steps)
        left = last - int(state.steps)
        if int(state.stalled) >= _STALLED_STEPS and not restarted and left > 0:
            # Stale curvature pairs can cause a stall: the method restarts once from the current point.
            fresh = _init(self, fun, state.w)._replace(steps=state.steps)
            state, restarted = self._segment(fun, fresh, left), True
        return state._replace(restarted=restarted)

    def _segment(self, fun: Callable[[Array], Array], state: LBFGSState, steps: int) -> LBFGSState:
        return _advance(self, fun, state._replace(restarted=False), jnp.asarray(steps))

    def outcome(self, state: LBFGSState) -> MethodOutcome:
        """Reports a stall if the last iterations gave no decrease beyond rounding, even after a restart."""
        return MethodOutcome(int(state.stalled) >= _STALLED_STEPS and state.restarted)

    def transformation(self, dtype: jnp.dtype) -> optax.GradientTransformationExtraArgs:
        """Returns the optax transformation; the rounding tolerance of the line search depends on the dtype."""
        search = optax.scale_by_zoom_linesearch(
            self.line_search_steps,
            initial_guess_strategy="one",
            approx_dec_rtol=10 * float(jnp.finfo(dtype).eps),
        )
        return optax.lbfgs(memory_size=self.memory, linesearch=search)


@_programs.program
def _init(method: LBFGS, fun: Callable[[Array], Array], w: Array) -> LBFGSState:
    inner = method.transformation(w.dtype).init(w)
    value, gradient = jax.value_and_grad(fun)(w)
    zero = jnp.zeros((), jnp.int32)
    state = LBFGSState(w, value, gradient, inner, zero, zero)
    return strongly_typed(state)


@_programs.loop
def _advance(method: LBFGS, fun: Callable[[Array], Array], state: LBFGSState, steps: Array) -> LBFGSState:
    transformation = method.transformation(state.w.dtype)
    last = state.steps + steps

    def going(state: LBFGSState) -> Array:
        return (state.steps < last) & (state.stalled < _STALLED_STEPS) & jnp.isfinite(state.value)

    def step(state: LBFGSState) -> LBFGSState:
        updates, inner = transformation.update(
            state.gradient, state.inner, state.w, value=state.value, grad=state.gradient, value_fn=fun
        )
        w = jnp.asarray(optax.apply_updates(state.w, updates))
        # The line search has already evaluated value and gradient at the accepted point and stores them.
        value = optax.tree.get(inner, "value")
        gradient = optax.tree.get(inner, "grad")
        floor = 4 * jnp.finfo(value.dtype).eps * jnp.abs(state.value)
        stalled = jnp.where(state.value - value > floor, 0, state.stalled + 1)
        return LBFGSState(w, value, gradient, inner, state.steps + 1, stalled, state.restarted)

    return lax.while_loop(going, step, state._replace(stalled=jnp.zeros_like(state.stalled)))
