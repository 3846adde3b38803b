"""What a run of Taylorized training takes as values: its measurements, its checkpoint file, and how its models are called."""

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
    """The measurements of `taylornets.taylorized_training`: on which examples, of what, and when.

    Args:
        x: inputs, an array or a tree of arrays of shape `(n, ...)`; by default, with `y`, the first batch.
        y: targets, `n` of them.
        every: steps between measurements; by default about 20 over the run. The start and the end are measured too.
        batch_size: inputs at the same time; by default all.
        task: "classification" (accuracy and agreement of classes), "regression", or "auto": by the loss; for a function,
            labels are strings, booleans, integers, or 2 to 10 different whole numbers with one per example.
        ntk_inputs: first inputs for the drift of the full model's kernel; 0 for none. By default 8, or fewer where the
            outputs are many; where there is no kernel, `history.ntk_drift` is NaN and `reasons` says why.
        f_eval: the model `f_eval(params, x)` for measurements (dropout off); by default `f`.
        callbacks: each called with a `Snapshot` after every measurement.

    Raises:
        ArgumentError: for inputs without targets, numbers out of range, an unknown task, callbacks that are not functions.

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
                "probe", "inputs x and targets y", "one of the two", "Without both it is the first batch."
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
    """The file that a run of `taylornets.taylorized_training` resumes from after an interruption.

    Args:
        path: of the file; its folder is made.
        every: steps between writing it; by default at every measurement.
        resume: whether the run continues from the file if it exists: the result is that of the undisturbed run, bit for bit.

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
        key: of the noise; step `i` uses `fold_in(key, i)`.
        augment: `augment(key, x) -> x`, drawn once a step for all models; needs `key`.
        stochastic: `f` takes a key as third argument (dropout), the same for all models; needs `key`, and `f_eval` of `Probe`.
        trainable: as in `taylor_terms`: the leaves that may move.
        mode: as in `taylor_terms`.
        custom_vjp: as in `taylor_terms`, for the Taylor models. The model itself is always trained with the author's reverse
            rules, as by `jax.grad`; a warning says where the two differ (a straight-through estimator).
        max_bytes: as in `taylor_terms`, for the Taylor models and the kernel.
        together: True for one compiled step, False for one a model, None to choose by memory.

    Raises:
        ArgumentError: for noise without a key, what is not a key, an unknown `mode` or `custom_vjp`.

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
            raise ArgumentError("key", "a random key of JAX", shown(self.key), _EXAMPLE)
        choice("mode", self.mode, MODES)
        choice("custom_vjp", self.custom_vjp, CUSTOM_VJP)


def _is_key(key: Any) -> bool:
    """Whether it is one key, typed or raw."""
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    return typed or (dtype == jnp.uint32 and len(shape or ()) == 1)
