"""Taylor models around later parameters of the full model, trained in lockstep from there on (Fort et al. 2020)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from taylornets._checks import ArgumentError, integer, shown
from taylornets.training._inputs import Inputs
from taylornets.training._lockstep import Lockstep, LockstepProblem, State
from taylornets.training._measure import ProbeEvaluator
from taylornets.training._result import TaylorizedTraining
from taylornets.training._running import Keep, LockstepRun
from taylornets.training._settings import Probe


def steps_of(restart_at: Any, batches: Any, include_full: bool) -> tuple[int, ...]:
    """Returns the steps in ascending order.

    Raises:
        ArgumentError: for steps outside of the run, and runs without the full model or a sequence of batches.
    """
    if isinstance(restart_at, str) or not isinstance(restart_at, Sequence):
        raise ArgumentError("restart_at", "a list of steps", shown(restart_at))
    steps = tuple(sorted({integer("restart_at", step, 1) for step in restart_at}))
    if not steps:
        return ()
    if not include_full:
        raise ArgumentError("restart_at", "include_full=True, since the models restart from the full model", "False")
    if not isinstance(batches, Sequence):
        advice = "Use taylornets.training.Batches, or a list."
        raise ArgumentError(
            "batches", "a sequence with restart_at, since batches are used again", "an iterable", advice
        )
    if steps[-1] >= len(batches):
        raise ArgumentError("restart_at", f"steps below the {len(batches)} of the run", str(steps[-1]))
    return steps


def refuse_passed(steps: Sequence[int], resumed: int) -> None:
    """Raises for steps that a resumed run has already passed: the parameters there are not in its file."""
    passed = [step for step in steps if step < resumed]
    if passed:
        expected = f"steps from {resumed} on, where the resumed run continues"
        raise ArgumentError("restart_at", expected, str(passed[0]), "Start without resume, or leave these steps out.")


def restarted(
    study: LockstepProblem, lockstep: Lockstep, probe: Probe, kept: Mapping[int, State], data: tuple[Any, Any, int]
) -> dict[int, TaylorizedTraining]:
    """Trains the Taylor models around every kept state of the full model.

    Args:
        study: the training problem of the whole run.
        lockstep: its compiled steps, which are used again.
        probe: the measurements, without callbacks.
        kept: states of the full model by step.
        data: the batches, the first of them, and the steps between measurements.
    """
    batches, first, every = data
    found: dict[int, TaylorizedTraining] = {}
    for step, state in kept.items():
        if not bool(state.alive):
            continue
        fixed = eqx.partition(study.start, study.mask)[1]
        here = replace(study, start=eqx.combine(state.params, fixed))
        steps = lockstep.around(here)
        run = LockstepRun(here, steps, ProbeEvaluator(here, probe), Inputs(here, steps, first), ())
        # Every model continues with the optimizer state of the full model; copies, since steps donate their buffers.
        begin = state._replace(steps=jnp.zeros_like(state.steps))
        run.states = {name: jax.tree.map(jnp.copy, begin) for name in here.names}
        run.train(batches, first, every, Keep(None, every, {}, run, step))
        found[step] = run.result()
    return found
