"""Taylorized training: a network and its Taylor models, trained in lockstep (theory 10).

`taylorized_training` is the entry; `Batches` makes minibatches of arrays. What comes out is a `TaylorizedTraining` with the
parameters, a `History` of measurements and a sentence on how each model ended.
"""

from taylornets.training._data import Batches as Batches
from taylornets.training._result import History as History
from taylornets.training._result import Snapshot as Snapshot
from taylornets.training._result import TaylorizedTraining as TaylorizedTraining
from taylornets.training._task import Task as Task
from taylornets.training._task import task_of as task_of
from taylornets.training._training import taylorized_training as taylorized_training

__all__ = ["Batches", "History", "Snapshot", "TaylorizedTraining", "taylorized_training"]
