"""Measurements of all models on the probe set."""

import functools
import operator
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from taylornets import _checks
from taylornets._evaluator import KernelDrift, chunks
from taylornets._measures import classes, rms
from taylornets._trees import displacements
from taylornets.training._lockstep import LockstepProblem, State
from taylornets.training._result import FULL, History, Name
from taylornets.training._settings import Probe


class ProbeEvaluator:
    """Compiled programs that evaluate all models on the probe set.

    Args:
        study: the training problem.
        probe: the measurements, with inputs and targets.

    Attributes:
        reasons: why values of the history are NaN, keyed by field.
    """

    def __init__(self, study: LockstepProblem, probe: Probe):
        self._study = study
        x, self._y = jax.tree.map(jnp.asarray, probe.x), jax.tree.map(jnp.asarray, probe.y)
        self._chunks = chunks(x, probe.batch_size)
        models = [study.model(name, study.f_eval) for name in study.names]
        self._models = jax.jit(
            lambda arrays, params, chunk: [model(arrays, p, chunk) for model, p in zip(models, params, strict=True)]
        )
        self._numbers = jax.jit(self._compare)
        self._start = study.moving
        self._arrays = study.arrays
        full = study.model(FULL, study.f_eval)
        first = jax.jit(full)
        self._first = jnp.concatenate([first(self._arrays, self._start, chunk) for chunk in self._chunks])
        self._drift: KernelDrift | None = None
        self.reasons: dict[str, str] = {}
        if study.include_full and probe.ntk_inputs != 0:
            how = {"custom_vjp": "rule", "max_bytes": study.settings.max_bytes}
            self._drift = KernelDrift(full, self._arrays, self._start, x, self._first, probe.ntk_inputs, how)
            self._note(self._drift.begin())

    @property
    def start_outputs(self) -> np.ndarray:
        """The outputs before training."""
        return _checks.host(self._first)

    def outputs(self, states: Mapping[Name, State]) -> list[Array]:
        """Returns the outputs of every model on all probe inputs."""
        params = [state.params for state in states.values()]
        parts = [self._models(self._arrays, params, chunk) for chunk in self._chunks]
        return [jnp.concatenate(pieces) for pieces in zip(*parts, strict=True)]

    def _compare(
        self, outputs: list[Array], first: Array, start: Any, params: list[Any], y: Any
    ) -> dict[str, list[Any]]:
        """Returns the measurements by field: lists over all models, or over orders for comparisons with the full model."""
        task = self._study.task
        found: dict[str, list[Any]] = {"loss": [task.value(out, y) for out in outputs]}
        found["displacement"] = [displacements(start, moved) for moved in params]
        if task.classification:
            found["accuracy"] = [task.accuracy(out, y) for out in outputs]
        if self._study.include_full:
            *others, full = outputs
            found["distance"] = [rms(out - full) for out in others]
            moved = rms(full - first)
            # Before the first step all models agree; differences between programs are rounding and count as 0.
            still = [
                functools.reduce(operator.and_, [length == 0 for length in lengths.values()])
                for lengths in found["displacement"]
            ]
            found["relative_distance"] = [
                jnp.where(
                    rest & still[-1] | (d == 0), 0, jnp.where(moved > 0, d / jnp.where(moved > 0, moved, 1), jnp.inf)
                )
                for d, rest in zip(found["distance"], still[:-1], strict=True)
            ]
            if task.classification:
                found["agreement"] = [jnp.mean(classes(out) == classes(full)) for out in others]
        return found

    def measure(self, step: int, states: Mapping[Name, State], history: History) -> None:
        """Appends one entry to every list of the history."""
        params = [state.params for state in states.values()]
        found = jax.device_get(self._numbers(self.outputs(states), self._first, self._start, params, self._y))
        history.steps.append(step)
        for kind, values in found.items():
            table = getattr(history, kind)
            for name, value in zip(states, values, strict=False):  # the orders come first
                if kind == "displacement":
                    for leaf, number in value.items():
                        table.setdefault(name, {}).setdefault(leaf, []).append(float(number))
                else:
                    table.setdefault(name, []).append(float(value))
        if self._drift is not None:
            drift, why = self._drift(params[-1])
            history.ntk_drift.append(drift)
            self._note(why)

    def _note(self, why: str) -> None:
        """Keeps the reason for a drift that is NaN."""
        if why:
            self.reasons["ntk_drift"] = why
