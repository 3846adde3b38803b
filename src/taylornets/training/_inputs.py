"""Locates the source of NaN: the inputs of a batch, the model at its initial parameters, or the loss."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets._checks import ArgumentError, host
from taylornets._trees import moves, refuse_nan, refuse_nan_inputs
from taylornets.training._lockstep import Lockstep, LockstepProblem, noise
from taylornets.training._result import FULL

_IMPUTE = "Remove or impute them."


class Inputs:
    """Detects NaN in the inputs of batches, and reports it only if the outputs are NaN too.

    Args:
        study: the training problem.
        lockstep: the steps, which define the augmentation.
        first: the first batch.
    """

    def __init__(self, study: LockstepProblem, lockstep: Lockstep, first: tuple[Any, Any]):
        self._study, self._lockstep, self._batch = study, lockstep, first
        self._copes = False  # whether the model is known to handle NaN in its inputs
        self._model = jax.jit(study.model(FULL, study.f))
        self._flag = jax.jit(lambda leaves: jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in leaves])))

    def check(self, number: int, x: Any) -> None:
        """Raises if NaN in the inputs of a batch gives NaN outputs at the initial parameters."""
        refuse_nan_inputs(lambda x: self._outputs(number, x), x, {f"x of batch {number}": x})

    def flag(self, x: Any) -> Any:
        """Returns whether the inputs contain NaN, as a boolean on the device; None for dtypes without NaN."""
        leaves = [leaf for leaf in jax.tree.leaves(x) if moves(leaf)]
        return self._flag(leaves) if leaves else None

    def explain(self, number: int, losses: Sequence[Any], flag: Any) -> None:
        """Raises if the losses of a step are NaN for a reason other than divergence.

        Args:
            number: index of the batch.
            losses: losses of all models.
            flag: whether the inputs of the batch contain NaN.
        """
        # A diverged model may give NaN for any inputs. NaN in the inputs affects every model, at its first occurrence.
        if not all(np.isnan(loss) for loss in losses):
            self._copes |= bool(flag)
            return
        if flag and not self._copes:
            raise ArgumentError(f"x of batch {number}", "inputs without NaN", "NaN, and a NaN loss", _IMPUTE)
        if number:
            return
        x, y = self._batch
        refuse_nan(self._outputs(0, x), {})
        wrong = sum(int(np.isnan(host(leaf)).sum()) for leaf in jax.tree.leaves(y) if moves(leaf))
        if wrong:
            raise ArgumentError("y of batch 0", "targets without NaN", f"{wrong} NaN, and a NaN loss", _IMPUTE)
        advice = "Look for 0/0, the logarithm or root of a negative number, or an overflow in the loss."
        got = "NaN from outputs and targets without NaN"
        raise ArgumentError("loss", "a function whose value at the initial parameters is a number", got, advice)

    def _outputs(self, number: int, x: Any) -> Any:
        """Returns the outputs at the initial parameters under the noise of a step."""
        study = self._study
        key = study.settings.key
        drawn, shaken = noise(None if key is None else jax.random.fold_in(key, number))
        x = self._lockstep.augment(shaken, jax.tree.map(jnp.asarray, x))
        return self._model(study.arrays, study.moving, x, *(drawn,) * study.settings.stochastic)
