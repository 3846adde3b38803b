"""A run in progress: its states, its history, and its checkpoint file."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checks
from taylornets._trees import leaf_name, rows
from taylornets.training import _checkpoint
from taylornets.training._data import Batches, batches_from, check_batch
from taylornets.training._inputs import Inputs
from taylornets.training._lockstep import Lockstep, LockstepProblem, State
from taylornets.training._measure import ProbeEvaluator
from taylornets.training._result import FULL, History, Name, Snapshot, TaylorizedTraining
from taylornets.training._settings import Checkpointing

_GROWN = 2.0  # times the initial loss, above which the status reports growth


class LockstepRun:
    """A run in progress: states, history, and the losses that are still on the device.

    Args:
        study: the training problem.
        lockstep: the compiled steps.
        probe: the measurements.
        inputs: the NaN checks.
        callbacks: called with a `Snapshot` after every measurement.
        keep_at: steps at which the state of the full model is copied into `kept`.
    """

    def __init__(
        self,
        study: LockstepProblem,
        lockstep: Lockstep,
        probe: ProbeEvaluator,
        inputs: Inputs,
        callbacks: Sequence[Callable[[Snapshot], Any]],
        keep_at: Sequence[int] = (),
    ):
        self._study, self._lockstep, self._probe, self._callbacks = study, lockstep, probe, callbacks
        self._inputs = inputs
        self.states = study.begin()
        self.history = History(train_loss={name: [] for name in study.names})
        self._pending: list[Any] = []
        self.kept: dict[int, State] = {}
        self._keep_at = keep_at

    def train(self, batches: Iterable[Any], first: tuple[Any, Any], every: int, keep: "Keep") -> None:
        """Runs all remaining steps, with measurements in between.

        Args:
            batches: all batches.
            first: the first batch.
            every: steps between measurements.
            keep: the checkpoint file.
        """
        known = isinstance(batches, Batches)
        watched = not known or batches.first_with_nan(len(batches)) is not None
        count, key = len(batches) if isinstance(batches, Sequence) else None, self._study.settings.key
        done = keep.resumed
        if done != count:
            self._lockstep.trace(self.states, first, key)
        if not self.history.steps:
            self.measure(done)
        for batch in batches_from(batches, done):
            x, y = check_batch(batch, done)
            if done in self._keep_at:
                self.kept[done] = jax.tree.map(jnp.copy, self.states[FULL])
            if not known:
                self.check_targets(y, f"y of batch {done}")
            self._step((x, y), None if key is None else jax.random.fold_in(key, done), watched)
            done += 1
            if done % every == 0 or done == count:
                self.measure(done)
            keep.after(done, done == count)
        if self.history.steps[-1] != done:
            self.measure(done)

    def check_targets(self, y: Any, argument: str = "y") -> None:
        """Raises for labels that exceed the number of outputs."""
        first = self._probe.start_outputs
        like = jax.ShapeDtypeStruct((rows("y", y), *first.shape[1:]), first.dtype)
        try:
            self._study.task.check_on_host(like, y)
        except _checks.ArgumentError as error:
            raise error.renamed(argument) from None

    def _step(self, batch: Any, key: Any, watched: bool) -> None:
        """Updates every model once."""
        x, y = jax.tree.map(jnp.asarray, batch)
        flag = self._inputs.flag(x) if watched else None
        self.states, values = self._lockstep(self.states, (x, y), key)
        self._pending.append((list(values.values()), flag))

    def flush(self) -> None:
        """Fetches the losses of the steps since the last fetch."""
        pending, self._pending = self._pending, []
        for values, flag in jax.device_get(pending):
            self._inputs.explain(len(self.history.train_loss[next(iter(self.states))]), values, flag)
            for name, value in zip(self.states, values, strict=True):
                self.history.train_loss[name].append(float(value))

    def measure(self, step: int) -> None:
        """Measures, and calls the callbacks."""
        self.flush()
        self._probe.measure(step, self.states, self.history)
        for callback in self._callbacks:
            callback(Snapshot(step, self.history, self._whole))

    def _whole(self, name: Name) -> Any:
        """Returns a copy of the parameters of a model, with the structure of the initial parameters."""
        if name not in self.states:
            raise _checks.ArgumentError("name", f"one of {', '.join(map(str, self.states))}", repr(name))
        fixed = eqx.partition(self._study.start, self._study.mask)[1]
        return eqx.combine(jax.tree.map(lambda a: a.copy(), self.states[name].params), fixed)

    def _ended(self, name: Name, taken: int, dead: bool) -> str:
        """Returns the outcome of a model in a sentence."""
        if dead:
            return f"diverged in step {taken + 1}; the last finite state is kept"
        first, last = self.history.loss[name][0], self.history.loss[name][-1]
        if not math.isfinite(last):
            return f"trained for {taken} steps, but its loss on the probe set is not finite"
        grown = f", but its loss on the probe set grew from {first:.3g} to {last:.3g}" if last > _GROWN * first else ""
        return f"trained for {taken} steps{grown}"

    def result(self) -> TaylorizedTraining:
        """Builds the result."""
        taken = {name: int(state.steps) for name, state in self.states.items()}
        dead = tuple(name for name, state in self.states.items() if not bool(state.alive))
        outputs: dict[Name, np.ndarray] = {0: self._probe.start_outputs}
        outputs |= {
            name: _checks.host(a) for name, a in zip(self.states, self._probe.outputs(self.states), strict=True)
        }
        start = jax.tree_util.tree_flatten_with_path(self._study.moving)[0]
        norms = {leaf_name(path): float(np.linalg.norm(np.asarray(leaf).ravel())) for path, leaf in start}
        status = {name: self._ended(name, taken[name], name in dead) for name in self.states}
        params = {name: self._whole(name) for name in self.states}
        together = self._lockstep.together is not False
        return TaylorizedTraining(
            params, status, taken, dead, self.history, outputs, norms, together, self._probe.reasons
        )


class Keep:
    """The checkpoint file of a run, if requested.

    Args:
        checkpointing: path and frequency; None for no file.
        every: steps between checkpoints if `checkpointing` does not set them.
        same: identity of the run.
        run: the run, which is restored from the file.
        begin: the step at which the run begins.
    """

    def __init__(
        self, checkpointing: Checkpointing | None, every: int, same: dict[str, str], run: LockstepRun, begin: int = 0
    ):
        self._path = None if checkpointing is None else Path(checkpointing.path)
        self._every = every if checkpointing is None or checkpointing.every is None else checkpointing.every
        self._same, self._run = same, run
        self.resumed = begin  # steps completed before
        if checkpointing is not None and checkpointing.resume and self._path is not None and self._path.exists():
            self.resumed, run.states, run.history = _checkpoint.load(self._path, same, run.states)

    def after(self, done: int, last: bool) -> None:
        """Writes the file if a checkpoint is due."""
        if self._path is not None and (done % self._every == 0 or last):
            self._run.flush()
            _checkpoint.save(self._path, self._same, done, self._run.states, self._run.history)
