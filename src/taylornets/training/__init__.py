"""Taylorized training: a network and its Taylor models, trained in lockstep (theory 10).

`taylorized_training` is the entry point; `Batches` makes minibatches from arrays, `Probe` sets the measurements,
`Checkpointing` sets the checkpoint file, and `TrainingSettings` holds all other options. The result is a `TaylorizedTraining`
with the final parameters, a `History` of measurements and the status of each model.

Example:
    >>> import jax, jax.numpy as jnp, optax, taylornets as tn
    >>> x = jnp.linspace(-1, 1, 8)[:, None]
    >>> data = tn.training.Batches(x, x**2, batch_size=4, steps=6, key=jax.random.key(0))
    >>> found = tn.taylorized_training(
    ...     lambda w, x: jnp.tanh(x @ w), jnp.ones((1, 1)), data, orders=(1, 2), loss="squared", optimizer=optax.sgd(0.1),
    ...     probe=tn.training.Probe(x, x**2, every=3),
    ... )
    >>> found.history.steps
    [0, 3, 6]
"""

from taylornets.training._data import Batches as Batches
from taylornets.training._result import History as History
from taylornets.training._result import Snapshot as Snapshot
from taylornets.training._result import TaylorizedTraining
from taylornets.training._settings import Checkpointing, Probe, TrainingSettings
from taylornets.training._task import Task as Task
from taylornets.training._task import task_of as task_of
from taylornets.training._training import taylorized_training

__all__ = [
    "Checkpointing",
    "Probe",
    "TaylorizedTraining",
    "TrainingSettings",
    "taylorized_training",
]
