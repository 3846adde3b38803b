"""The drift of the model's own kernel over training, wherever it can be had."""

import math
from typing import Any

import jax
import numpy as np

from taylornets._checks import ArgumentError, cut
from taylornets._measures import one_minus_cosine
from taylornets.kernels import model_ntk
from taylornets.training._lockstep import FULL, LockstepProblem

_INPUTS = 8  # of the kernel by default,
_COLUMNS = 10_000  # or as many as have this many outputs: each is a pass forward and a pass backward
_LONGEST = 240  # characters of a reason


class Drift:
    """1 − cosine between the full model's kernels at the initialization and at other parameters.

    Args:
        study: what is trained.
        x: probe inputs, arrays.
        start: the trained leaves at the initialization.
        outputs: the outputs there, shape `(n, ...)`.
        inputs: of the first inputs; None for 8, or fewer where outputs are many.

    Attributes:
        reason: why there is no number, or empty.

    Raises:
        ArgumentError: for a kernel that was asked for and does not fit into memory.
    """

    def __init__(self, study: LockstepProblem, x: Any, start: Any, outputs: Any, inputs: int | None):
        count, columns = outputs.shape[0], outputs.size // outputs.shape[0]
        taken = min(_INPUTS, count, _COLUMNS // columns) if inputs is None else min(inputs, count)
        self._kernel, self._first, self._arrays = None, None, study.arrays
        self.reason = ""
        if not taken:
            self.reason = f"left out by default for {columns:,} outputs per input (ntk_inputs asks for it)"
            return
        few = jax.tree.map(lambda a: a[:taken], x)
        full = study.model(FULL, study.f_eval)
        limit = study.max_bytes
        kernel = jax.jit(lambda arrays, p: model_ntk(lambda p, x: full(arrays, p, x), p, few, max_bytes=limit))
        try:
            first = kernel(self._arrays, start)
        except ArgumentError as error:
            if inputs is not None and error.argument in ("x1", "x2"):
                expected, got = "inputs whose kernel fits into memory", f"{taken} of {columns:,} outputs each ({error})"
                raise ArgumentError("ntk_inputs", expected, got, "Ask for fewer.") from None
            self.reason = cut(str(error), _LONGEST)
        except Exception as error:  # whatever it is: training does not need the kernel
            self.reason = cut(f"{type(error).__name__}: {' '.join(str(error).split())}", _LONGEST)
        else:
            if _compares(first):
                self._kernel, self._first = kernel, first
            else:
                self.reason = "the kernel at the initialization is zero or not finite"

    def __call__(self, params: Any) -> float:
        """The drift at other trained leaves; NaN where there is none."""
        if self._kernel is None or self._first is None:
            return math.nan
        now = self._kernel(self._arrays, params)
        if not _compares(now):
            self.reason = "a kernel during training is zero or not finite"
            return math.nan
        return float(one_minus_cosine(self._first, now))


def _compares(kernel: Any) -> bool:
    """Whether a kernel has a direction."""
    return 0 < float(np.linalg.norm(np.asarray(kernel, np.float64).ravel())) < math.inf
