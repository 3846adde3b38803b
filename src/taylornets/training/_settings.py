"""Options of Taylorized training: measurements, checkpoint file, and how the models are called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from taylornets._checks import ArgumentError, choice, integer, shown
from taylornets._measures import TASKS
from taylornets.expansion import CUSTOM_VJP, MODES
from taylornets.training._result import Snapshot

_EXAMPLE = "For example jax.random.key(0)."


@dataclass(frozen=True)
class Probe:
    """The measurements of `taylornets.taylorized_training`: the examples, the quantities and the schedule.

    Args:
        x: inputs, an array or a tree of arrays of shape `(n, ...)`; `x` and `y` default to the first batch.
        y: the `n` targets.
        every: steps between measurements; by default about 20 measurements per run. The first and last step are always
            measured.
        batch_size: inputs per batch; by default all.
        task: "classification" (accuracy and agreement of classes), "regression", or "auto": inferred from the loss; for a
            loss function, targets are labels if they are strings, booleans, integers, or 2 to 10 distinct whole numbers with
            one per example.
        ntk_inputs: number of leading inputs used for the kernel drift of the full model; 0 to skip it. By default 8, or fewer
            if there are many outputs. If the kernel does not exist, `history.ntk_drift` is NaN and `reasons` states why.
        f_eval: the model `f_eval(params, x)` for measurements (dropout off); by default `f`.
        callbacks: functions called with a `Snapshot` after every measurement.

    Raises:
        ArgumentError: for inputs without targets, values out of range, an unknown task, or callbacks that are not callable.

    Source: theory 10.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> probe = tn.training.Probe(np.ones((4, 2)), np.ones(4), every=10, callbacks=[lambda snapshot: print(snapshot.step)])
        >>> probe.task, probe.every
        ('auto', 10)
    """

    x: Any = None
    y: Any = None
    every: int | None = None
    batch_size: int | None = None
    task: str = "auto"
    ntk_inputs: int | None = None
    f_eval: Callable[..., Any] | None = None
    callbacks: Sequence[Callable[[Snapshot], Any]] = ()

    def __post_init__(self):
        if (self.x is None) != (self.y is None):
            raise ArgumentError(
                "probe", "inputs x and targets y", "only one of them", "Omit both to use the first batch."
            )
        for name, value, least in (
            ("every", self.every, 1), ("batch_size", self.batch_size, 1), ("ntk_inputs", self.ntk_inputs, 0)
        ):  # fmt: skip
            if value is not None:
                integer(name, value, least)
        choice("task", self.task, TASKS)
        callbacks: Any = self.callbacks
        if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
            advice = "Put it into a list." if callable(callbacks) else ""
            raise ArgumentError("callbacks", "a list of functions of a Snapshot", shown(callbacks), advice)


@dataclass(frozen=True)
class Checkpointing:
    """The checkpoint file from which `taylornets.taylorized_training` resumes after an interruption.

    Args:
        path: path of the file; its folder is created if absent.
        every: steps between checkpoints; by default one checkpoint per measurement.
        resume: whether to resume from the file if it exists. The result equals that of an uninterrupted run bit for bit.

    Raises:
        ArgumentError: for `every` below 1.

    Example:
        >>> import taylornets as tn
        >>> tn.training.Checkpointing("run.checkpoint", every=100, resume=True).every
        100
    """

    path: str | Path
    every: int | None = None
    resume: bool = False

    def __post_init__(self):
        if self.every is not None:
            integer("every", self.every, 1)


@dataclass(frozen=True)
class TrainingSettings:
    """How `taylornets.taylorized_training` calls, expands and compiles its models.

    Args:
        key: JAX random key for the noise; step `i` uses `fold_in(key, i)`.
        augment: `augment(key, x) -> x`, applied once per step for all models; requires `key`.
        stochastic: whether `f` takes a key as third argument (dropout), shared by all models; requires `key`, and `f_eval` in
            `Probe`.
        trainable: mask of trainable leaves, as in `taylor_terms`.
        mode: as in `taylor_terms`.
        custom_vjp: as in `taylor_terms`, for the Taylor models. The model itself is always trained with its own reverse rules,
            as in `jax.grad`; a warning is issued if the two differ (for example, for a straight-through estimator).
        max_bytes: as in `taylor_terms`, for the Taylor models and the kernel.
        together: True for one compiled step for all models, False for one per model, None to choose by memory.

    Raises:
        ArgumentError: for noise without a key, an invalid key, or an unknown `mode` or `custom_vjp`.

    Example:
        >>> import jax, taylornets as tn
        >>> noisy = lambda key, x: x + 0.1 * jax.random.normal(key, x.shape)
        >>> tn.training.TrainingSettings(key=jax.random.key(0), augment=noisy).mode
        'auto'
    """

    key: PRNGKeyArray | None = None
    augment: Callable[..., Any] | None = None
    stochastic: bool = False
    trainable: Any = None
    mode: str = "auto"
    custom_vjp: str = "function"
    max_bytes: float | None = None
    together: bool | None = None

    def __post_init__(self):
        for name, value in (("augment", self.augment is not None), ("stochastic", self.stochastic)):
            if value and self.key is None:
                raise ArgumentError("key", f"a key, since {name} draws noise", "None", _EXAMPLE)
        if self.augment is not None and not callable(self.augment):
            raise ArgumentError("augment", "a function augment(key, x)", shown(self.augment))
        if self.key is not None and not _is_key(self.key):
            raise ArgumentError("key", "a JAX random key", shown(self.key), _EXAMPLE)
        choice("mode", self.mode, MODES)
        choice("custom_vjp", self.custom_vjp, CUSTOM_VJP)


def _is_key(key: Any) -> bool:
    """Returns whether the value is a single JAX key, typed or raw."""
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    return typed or (dtype == jnp.uint32 and len(shape or ()) == 1)
