"""One step of all models on the same minibatch with the same noise, in one program if memory allows, else one by one."""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int

from taylornets._checks import ArgumentError
from taylornets._trees import moves, run
from taylornets.expansion import taylor_expand
from taylornets.series import memory_limit
from taylornets.training._result import FULL, Name
from taylornets.training._settings import TrainingSettings
from taylornets.training._task import Task

# Collections of models enter JAX's programs as lists in the order of `LockstepProblem.names`: JAX cannot sort keys of two
# types.


# JAX errors for programs without a reverse derivative: loops of unknown length, callbacks, primitives without a rule.
_NO_GRADIENT = re.compile(
    r"everse-mode differentiation|ifferentiation rule|ranspose rule|do not support JVP|fallback_linearize_rule"
)
# The second name is that of JAX 0.12 with its option jax_custom_vjp3.
_REVERSE_RULE = re.compile("custom_lin|fallback_linearize_rule")
_LONGEST = 200  # characters quoted from the JAX message


def _is_argument(leaf: Any) -> bool:
    """Returns whether programs take a leaf of the initialization as an argument; a constant would be compiled into each.

    Leaves that are not trainable and that Python code may inspect (step counters, NumPy arrays such as masks) are closed over.
    """
    return moves(leaf) or (isinstance(leaf, jax.Array) and leaf.ndim > 0)


def noise(key: Any) -> tuple[Any, Any]:
    """Splits the key of a step into keys for the model and the augmentation; None if there is no key."""
    return (None, None) if key is None else tuple(jax.random.split(key))


class State(NamedTuple):
    """The training state of one model.

    Attributes:
        params: the trainable leaves, None for the others.
        inner: the optimizer state.
        alive: whether every update so far was finite.
        steps: number of updates.
    """

    params: Any
    inner: Any
    alive: Bool[Array, ""]
    steps: Int[Array, ""]


@dataclass(frozen=True)
class LockstepProblem:
    """The training problem: all parts of a run that do not change between steps.

    Attributes:
        f: the model `f(params, x)`, or `f(params, x, key)` where `settings.stochastic`.
        f_eval: the model `f(params, x)` for measurements.
        start: the initial parameters of all models, as passed by the user.
        mask: a tree of booleans like `start`, true for trainable leaves.
        orders: orders of the Taylor models.
        include_full: whether the model itself is also trained.
        task: loss and type of task.
        optimizer: the optimizer, used for each model.
        settings: how the models are called, expanded and compiled.
    """

    f: Callable[..., Any]
    f_eval: Callable[..., Any]
    start: Any
    mask: Any
    orders: tuple[int, ...]
    include_full: bool
    task: Task
    optimizer: optax.GradientTransformationExtraArgs
    settings: TrainingSettings

    @property
    def names(self) -> tuple[Name, ...]:
        """The orders, then `"full"`."""
        return (*self.orders, *(FULL,) * self.include_full)

    @property
    def arrays(self) -> Any:
        """The arrays of the initial parameters that programs take as an argument."""
        return eqx.filter(self.start, _is_argument)

    @property
    def moving(self) -> Any:
        """The trainable leaves of the initial parameters, None for the others."""
        return eqx.filter(self.start, self.mask)

    def model(self, name: Name, f: Callable[..., Any]) -> Callable[..., Any]:
        """Returns `f` or its Taylor model as a function `(initial arrays, trainable leaves, *args)`."""
        constants = eqx.filter(self.start, _is_argument, inverse=True)
        how: dict[str, Any] = {name: getattr(self.settings, name) for name in ("mode", "custom_vjp", "max_bytes")}

        def model(arrays: Any, params: Any, *args: Any) -> Any:
            start = eqx.combine(arrays, constants)
            moved = eqx.combine(params, start)
            if name == FULL:
                return run(f, moved, args, {})
            return taylor_expand(f, start, int(name), trainable=self.mask, **how)(moved, *args)

        return model

    def begin(self) -> dict[Name, State]:
        """Returns the initial state of every model; copies, since steps donate their buffers."""

        def copy(tree: Any) -> Any:
            return jax.tree.map(lambda a: jnp.array(a, copy=True), tree)

        states: dict[Name, State] = {}
        for name in self.names:
            params = copy(self.moving)
            # Optimizers may store the initial parameters, or one array under two names; a donated buffer must occur only once.
            states[name] = State(params, copy(self.optimizer.init(params)), jnp.asarray(True), jnp.zeros((), int))
        return states


def advance(study: LockstepProblem, name: Name) -> Callable[..., tuple[State, Array]]:
    """Returns the step of one model: `(state, initial arrays, x, y, key) -> (state, loss of the batch)`.

    A non-finite update and all later updates are skipped, so the last finite state is kept.
    """
    model = study.model(name, study.f)

    def step(state: State, arrays: Any, x: Any, y: Any, key: Any) -> tuple[State, Array]:
        drawn = (key,) if study.settings.stochastic else ()

        def objective(params: Any) -> Array:
            return study.task.value(model(arrays, params, x, *drawn), y)

        value, gradient = jax.value_and_grad(objective)(state.params)
        gradient = jax.tree.map(_ascent, gradient)
        updates, inner = study.optimizer.update(
            gradient, state.inner, state.params, value=value, grad=gradient, value_fn=objective
        )
        params = optax.apply_updates(state.params, updates)
        finite = jnp.isfinite(value)
        for leaf in jax.tree.leaves(params):
            finite &= jnp.all(jnp.isfinite(leaf))
        for new, old in zip(jax.tree.leaves(inner), jax.tree.leaves(state.inner), strict=True):
            # Some optimizers begin with an infinite best value and keep it for several steps.
            if jnp.issubdtype(new.dtype, jnp.inexact):
                finite &= jnp.all(jnp.isfinite(new) | (new == old))
        alive = state.alive & finite

        def keep(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(alive, a, b), new, old)

        steps = state.steps + alive.astype(state.steps.dtype)
        return State(keep(params, state.params), keep(inner, state.inner), alive, steps), value

    return step


def _ascent(gradient: Array) -> Array:
    """Returns the direction of steepest ascent: for complex leaves, the conjugate of the JAX gradient."""
    return jnp.conj(gradient) if jnp.iscomplexobj(gradient) else gradient


class Lockstep:
    """The compiled step of all models.

    Args:
        study: the training problem.
        limit: memory limit of one program in bytes; by default half of the device memory, to leave room for data and copies.
    """

    def __init__(self, study: LockstepProblem, limit: int | None = None):
        self._study = study
        self._limit = memory_limit() // 2 if limit is None else limit
        self._arrays = study.arrays
        self._compiled: dict[Any, Any] = {}
        self.together = study.settings.together
        self.bytes: int | None = None

    def around(self, study: LockstepProblem) -> "Lockstep":
        """Returns the steps of the same models around other parameters, with the same compiled programs."""
        other = copy.copy(self)
        other._study, other._arrays = study, study.arrays
        return other

    def __call__(self, states: Mapping[Name, State], batch: tuple[Any, Any], key: Any) -> tuple[dict[Name, State], Any]:
        """Returns the new states and the losses of the batch, by model."""
        x, y = jax.tree.map(jnp.asarray, batch)
        drawn, shaken = noise(key)
        if self._study.settings.augment is not None:
            x = self.augment(shaken, x)
        if self.together is None:
            self._decide(list(states.values()), x, y, drawn)
        if self.together:
            advanced, losses = self._all()(list(states.values()), self._arrays, x, y, drawn)
            return dict(zip(states, advanced, strict=True)), dict(zip(states, losses, strict=True))
        new: dict[Name, State] = {}
        values: dict[Name, Array] = {}
        for name, state in states.items():
            new[name], values[name] = self._one(name)(state, self._arrays, x, y, drawn)
        return new, values

    def augment(self, key: Any, x: Any) -> Any:
        """Returns the inputs of a step after augmentation."""
        return (
            x
            if self._study.settings.augment is None
            else self._program("augment", self._study.settings.augment)(key, x)
        )

    def trace(self, states: Mapping[Name, State], batch: tuple[Any, Any], key: Any) -> None:
        """Traces the step before the first update. JAX caches the trace, so no work is repeated.

        Raises:
            ArgumentError: for a model without a gradient in JAX, or an order whose series do not fit into memory.
        """
        x, y = jax.tree.map(jnp.asarray, batch)
        drawn, shaken = noise(key)
        x = jax.eval_shape(self.augment, shaken, x)
        try:
            if self.together is not False:
                self._all().trace(list(states.values()), self._arrays, x, y, drawn)
                return
            for name, state in states.items():
                self._one(name).trace(state, self._arrays, x, y, drawn)
        except ArgumentError as error:
            if error.argument != "degree":
                raise
            advice = "Lower the orders or the batch size, or pass max_bytes=float('inf')."
            raise ArgumentError("orders", "orders whose series fit into memory", error.got, advice) from None
        except (ValueError, TypeError, NotImplementedError) as error:
            _refuse_no_gradient(error)
            raise

    def _all(self) -> Any:
        return self._program("all", _all(self._study), donate=True)

    def _one(self, name: Name) -> Any:
        return self._program(name, advance(self._study, name), donate=True)

    def _program(self, name: Any, function: Callable[..., Any], donate: bool = False) -> Any:
        if name not in self._compiled:
            self._compiled[name] = jax.jit(function, donate_argnums=(0,) if donate else ())
        return self._compiled[name]

    def _decide(self, states: list[State], x: Any, y: Any, key: Any) -> None:
        """Returns one program for all models if its arguments, results and temporaries fit into memory per the compiler."""
        memory = self._all().lower(states, self._arrays, x, y, key).compile().memory_analysis()
        if memory is not None:
            self.bytes = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
        self.together = self.bytes is None or self.bytes <= self._limit
        if not self.together:
            del self._compiled["all"]


def _refuse_no_gradient(error: Exception) -> None:
    """Raises for a model that JAX cannot differentiate in reverse mode, which training requires."""
    said = " ".join(str(error).split())
    if not _NO_GRADIENT.search(said):
        return
    advice = "Give the operation a reverse rule by jax.custom_vjp."
    if "while_loop" in said:
        advice = "Write the loop as jax.lax.scan, or use diffrax or optimistix, whose adjoints are differentiable."
    elif _REVERSE_RULE.search(said):  # nested forward mode of a jax.custom_vjp function
        advice = 'Use mode="taylor", which expands jax.custom_vjp functions.'
    expected = "a model with a gradient, reverse-mode differentiation by jax.grad"
    raise ArgumentError("f", expected, f"one without ({type(error).__name__}: {said[:_LONGEST]})", advice) from error


def _all(study: LockstepProblem) -> Callable[..., tuple[list[State], list[Array]]]:
    """The steps of all models as one program, in which the Taylor models share common computations.

    The model itself is separated by an optimization barrier, so its results equal those of a separate program bit for bit.
    """
    steps = [(name, advance(study, name)) for name in study.names]

    def step(states: list[State], arrays: Any, x: Any, y: Any, key: Any) -> tuple[list[State], list[Array]]:
        found: list[tuple[State, Array]] = []
        for (name, one), state in zip(steps, states, strict=True):
            arguments = (state, arrays, x, y, key)
            if name == FULL:
                found.append(jax.lax.optimization_barrier(one(*jax.lax.optimization_barrier(arguments))))
            else:
                found.append(one(*arguments))
        return [state for state, _ in found], [value for _, value in found]

    return step
