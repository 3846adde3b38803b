"""Measurements on the probe set: every model at the same moment."""

import functools
import operator
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from taylornets._measures import classes, rms
from taylornets._trees import displacements
from taylornets.training._drift import Drift
from taylornets.training._lockstep import FULL, LockstepProblem, Name, State
from taylornets.training._result import History


class Probe:
    """The probe set, and the programs that measure on it.

    Args:
        study: what is trained.
        x: inputs, a tree of arrays of shape `(n, ...)`.
        y: targets.
        batch_size: inputs at the same time; None for all.
        ntk_inputs: of the first inputs, for the drift of the kernel; 0 for none, None for as many as by default.
    """

    def __init__(self, study: LockstepProblem, x: Any, y: Any, batch_size: int | None, ntk_inputs: int | None):
        self._study = study
        self._x, self._y = jax.tree.map(jnp.asarray, x), jax.tree.map(jnp.asarray, y)
        count = jax.tree.leaves(self._x)[0].shape[0]
        size = count if batch_size is None else batch_size
        self._chunks = [jax.tree.map(lambda a, i=i: a[i : i + size], self._x) for i in range(0, count, size)]
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
        wanted = study.include_full and ntk_inputs != 0
        self._drift = Drift(study, self._x, self._start, self._first, ntk_inputs) if wanted else None

    @property
    def start_outputs(self) -> np.ndarray:
        """Outputs before training."""
        return np.asarray(self._first)

    @property
    def reasons(self) -> dict[str, str]:
        """Why numbers of the history are NaN, by their name."""
        return {"ntk_drift": self._drift.reason} if self._drift is not None and self._drift.reason else {}

    def outputs(self, states: Mapping[Name, State]) -> list[Array]:
        """Outputs of every model on all probe inputs."""
        params = [state.params for state in states.values()]
        parts = [self._models(self._arrays, params, chunk) for chunk in self._chunks]
        return [jnp.concatenate(pieces) for pieces in zip(*parts, strict=True)]

    def _compare(
        self, outputs: list[Array], first: Array, start: Any, params: list[Any], y: Any
    ) -> dict[str, list[Any]]:
        """Numbers by kind: a list over all models, or over the orders where they are compared with the model itself."""
        task = self._study.task
        found: dict[str, list[Any]] = {"loss": [task.value(out, y) for out in outputs]}
        found["displacement"] = [displacements(start, moved) for moved in params]
        if task.classification:
            found["accuracy"] = [task.accuracy(out, y) for out in outputs]
        if self._study.include_full:
            *others, full = outputs
            found["distance"] = [rms(out - full) for out in others]
            moved = rms(full - first)
            # Before the first step nothing has moved: what programs that round differently leave is no distance.
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
            history.ntk_drift.append(self._drift(params[-1]))
