"""The training task: a loss, by name or as a function, and the choice between classification and regression."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from taylornets import _checks, losses
from taylornets._measures import TASKS, classes, guessed_task, true_classes
from taylornets.losses import Loss
from taylornets.training._loss import refuse_loss, with_fresh_targets


@dataclass(frozen=True)
class Task:
    """A loss and the type of task.

    Attributes:
        loss: one of `taylornets.losses`, or a function `loss(outputs, y)` whose mean is taken.
        classification: whether predictions are classes, for which accuracy and agreement are measured.
    """

    loss: Loss | Callable[[Array, Any], Array]
    classification: bool

    def value(self, outputs: Array, y: Any) -> Array:
        """Computes the mean loss of a batch.

        Args:
            outputs: model outputs, shape `(n, ..., C)` or `(n,)`.
            y: targets.
        """
        if not isinstance(self.loss, Loss):
            return jnp.mean(with_fresh_targets(self.loss, outputs, y))
        v = outputs[:, None] if outputs.ndim == 1 else outputs.reshape(-1, outputs.shape[-1])
        return jnp.mean(self.loss.value(v, self._targets(outputs, jnp.asarray(y))))

    def _targets(self, outputs: Array, y: Array) -> Array:
        """Returns the targets of every example (and position) in the form the loss expects."""
        assert isinstance(self.loss, Loss)
        count = 1 if outputs.ndim == 1 else outputs.shape[-1]
        one_axis = y.ndim < outputs.ndim or outputs.ndim == 1
        flat = y.reshape(-1) if one_axis else y.reshape(-1, y.shape[-1])
        return self.loss.prepare_targets(flat, count, outputs.dtype)

    def accuracy(self, outputs: Array, y: Any) -> Array:
        """Computes the accuracy."""
        predicted = classes(outputs)
        # Labels may have any integer dtype, and strict promotion does not compare different dtypes.
        return jnp.mean(predicted == true_classes(jnp.asarray(y), outputs).astype(predicted.dtype))

    def check_on_host(self, outputs: Any, y: Any) -> None:
        """Runs `check` for a batch on the host, so that it does not wait for the previous step."""
        if isinstance(self.loss, Loss):
            with jax.default_device(jax.local_devices(backend="cpu")[0]):
                self.check(outputs, _checks.host(y))

    def check(self, outputs: Any, y: Any) -> None:
        """Raises for targets that do not match the shape of the outputs, and for unusable loss functions."""
        if not isinstance(self.loss, Loss):
            return refuse_loss(self.loss, outputs, y)
        shape = outputs.shape
        y = jnp.asarray(y)
        cells = shape[:-1] if len(shape) > 1 else shape
        if y.shape not in (shape, cells):
            advice = "y must hold one label per example, or one row per example like the outputs."
            raise _checks.ArgumentError("y", f"shape {cells} or {shape} for outputs {shape}", str(y.shape), advice)
        self._targets(jnp.zeros(shape, outputs.dtype), y)
        return None


def task_of(loss: Any, task: str, y: Any) -> Task:
    """Returns the task; `"auto"` infers its type from a named loss, otherwise from the targets (see `guessed_task`)."""
    _checks.choice("task", task, TASKS)
    kept: Any = loss if callable(loss) else losses.get(loss)
    if task != "auto":
        return Task(kept, task == "classification")
    if isinstance(kept, Loss):
        return Task(kept, kept.classifies)
    return Task(kept, guessed_task(y) == "classification")
