"""What is minimized, and what counts as right: losses by name or as functions, classification or regression."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from taylornets import _checks, losses
from taylornets._measures import TASKS, classes, guessed_task, true_classes
from taylornets.losses import Loss
from taylornets.training._loss import refuse_loss, with_fresh_targets


@dataclass(frozen=True)
class Task:
    """A loss, and whether predictions are classes.

    Attributes:
        loss: one of `taylornets.losses`, or a function `loss(outputs, y)` whose mean is taken.
        classification: whether accuracy and agreement mean the predicted classes.
    """

    loss: Loss | Callable[[Array, Any], Array]
    classification: bool

    def value(self, outputs: Array, y: Any) -> Array:
        """The mean loss of a batch.

        Args:
            outputs: of the model, shape `(n, ..., C)`, or `(n,)`.
            y: targets.
        """
        if not isinstance(self.loss, Loss):
            return jnp.mean(with_fresh_targets(self.loss, outputs, y))
        v = outputs[:, None] if outputs.ndim == 1 else outputs.reshape(-1, outputs.shape[-1])
        return jnp.mean(self.loss.value(v, self._targets(outputs, jnp.asarray(y))))

    def _targets(self, outputs: Array, y: Array) -> Array:
        """Targets of every example (and place in it) in the form that the loss takes."""
        assert isinstance(self.loss, Loss)
        count = 1 if outputs.ndim == 1 else outputs.shape[-1]
        one_axis = y.ndim < outputs.ndim or outputs.ndim == 1
        flat = y.reshape(-1) if one_axis else y.reshape(-1, y.shape[-1])
        return self.loss.prepare_targets(flat, count, outputs.dtype)

    def accuracy(self, outputs: Array, y: Any) -> Array:
        """The share of right classes."""
        predicted = classes(outputs)
        # Labels may be of any integer type, which strict promotion does not compare.
        return jnp.mean(predicted == true_classes(jnp.asarray(y), outputs).astype(predicted.dtype))

    def check_on_host(self, outputs: Any, y: Any) -> None:
        """`check` for a batch under way: on the host, so that it does not wait for the step before."""
        if isinstance(self.loss, Loss):
            with jax.default_device(jax.local_devices(backend="cpu")[0]):
                self.check(outputs, np.asarray(y))

    def check(self, outputs: Any, y: Any) -> None:
        """Raises for targets that do not fit the outputs, of which only the shape is read, and for an unusable function."""
        if not isinstance(self.loss, Loss):
            return refuse_loss(self.loss, outputs, y)
        shape = outputs.shape
        y = jnp.asarray(y)
        cells = shape[:-1] if len(shape) > 1 else shape
        if y.shape not in (shape, cells):
            advice = "y holds a label for every example, or a row like the outputs."
            raise _checks.ArgumentError("y", f"shape {cells} or {shape} for outputs {shape}", str(y.shape), advice)
        self._targets(jnp.zeros(shape, outputs.dtype), y)
        return None


def task_of(loss: Any, task: str, y: Any) -> Task:
    """The goal of a loss and a task; `"auto"` asks a named loss, or else the targets; see `guessed_task`."""
    _checks.choice("task", task, TASKS)
    kept: Any = loss if callable(loss) else losses.get(loss)
    if task != "auto":
        return Task(kept, task == "classification")
    if isinstance(kept, Loss):
        return Task(kept, kept.classifies)
    return Task(kept, guessed_task(y) == "classification")
