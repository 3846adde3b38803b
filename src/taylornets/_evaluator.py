"""Evaluation on probe inputs for `regime` and Taylorized training: chunks of inputs and kernel drift (theory 10)."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from taylornets._checks import ArgumentError, cut, host
from taylornets._measures import one_minus_cosine
from taylornets.kernels import model_ntk

_INPUTS = 8  # of the kernel by default,
_COLUMNS = 10_000  # or as many as have this many outputs: each is a pass forward and a pass backward
_LONGEST = 240  # characters of a reason


def chunks(x: Any, size: int | None) -> list[Any]:
    """Splits inputs into chunks of `size` rows; the last chunk may be smaller. None gives a single chunk.

    Args:
        x: a tree of arrays of shape `(n, ...)`.
        size: rows per chunk.
    """
    count: int = jax.tree.leaves(x)[0].shape[0]
    step = count if size is None else size
    return [jax.tree.map(lambda a, i=i: a[i : i + step], x) for i in range(0, count, step)]


def said(error: Exception) -> str:
    """Formats an exception as a one-line reason."""
    text = " ".join(str(error).split())
    return cut(text if isinstance(error, ArgumentError) else f"{type(error).__name__}: {text}", _LONGEST)


class KernelDrift:
    """1 − cosine similarity between the kernels of a model at the initialization and at other parameters.

    Args:
        model: `model(fixed, moved, x)`, with the fixed and the trainable leaves.
        fixed: the fixed leaves, passed to the compiled program as an argument so that they are not compiled in as constants.
        start: the trainable leaves at the initialization.
        x: probe inputs, a tree of arrays of shape `(n, ...)`.
        outputs: the outputs at `x`; only their shape `(n, ...)` is used.
        inputs: number of leading probe inputs; None for 8, or fewer if there are many outputs.
        settings: settings of `model_ntk`.

    Raises:
        ArgumentError: if a requested kernel does not fit into memory.
    """

    def __init__(
        self,
        model: Callable[[Any, Any, Any], Any],
        fixed: Any,
        start: Any,
        x: Any,
        outputs: Any,
        inputs: int | None,
        settings: dict[str, Any],
    ):
        self._fixed, self._start = fixed, start
        self._kernel: Callable[..., Array] | None = None
        self._first: Array | None = None
        self._reason = ""
        count, columns = outputs.shape[0], outputs.size // outputs.shape[0]
        taken = min(_INPUTS, count, _COLUMNS // columns) if inputs is None else min(inputs, count)
        if not taken:
            if inputs is None:
                self._reason = f"skipped by default for {columns:,} outputs per input (set ntk_inputs to compute it)"
            return
        few = jax.tree.map(lambda a: a[:taken], x)
        self._kernel = jax.jit(lambda fixed, moved: model_ntk(lambda p, x: model(fixed, p, x), moved, few, **settings))
        if inputs is not None:
            self._refuse_large(taken, columns)

    def begin(self) -> str:
        """Computes the kernel at the initialization, once; returns why there is none, or an empty text."""
        if self._kernel is not None and self._first is None:
            try:
                first = self._kernel(self._fixed, self._start)
            except Exception as error:  # whatever it is: nothing else needs the kernel
                self._kernel, self._reason = None, said(error)
            else:
                if 0 < float(np.linalg.norm(host(first, np.float64).ravel())) < math.inf:
                    self._first = first
                else:
                    self._kernel, self._reason = None, "the kernel at the initialization is zero or not finite"
        return self._reason

    def __call__(self, moved: Any) -> tuple[float, str]:
        """The drift at other parameters and an empty text, or NaN and the reason."""
        self.begin()
        if self._kernel is None or self._first is None:
            return math.nan, self._reason
        try:
            drift = float(one_minus_cosine(self._first, self._kernel(self._fixed, moved)))
        except Exception as error:
            return math.nan, said(error)
        return drift, "" if math.isfinite(drift) else "a kernel is zero or not finite"

    def _refuse_large(self, inputs: int, columns: int) -> None:
        """Raises before any computation if a requested kernel does not fit into memory."""
        assert self._kernel is not None
        try:
            jax.eval_shape(self._kernel, self._fixed, self._start)
        except ArgumentError as error:
            if error.argument not in ("x1", "x2"):
                return  # the kernel does not exist: the result carries the reason
            got = f"{inputs} of {columns:,} outputs each, a kernel of {(inputs * columns) ** 2:.3g} numbers"
            advice = "Use fewer inputs, or pass max_bytes=float('inf')."
            raise ArgumentError("ntk_inputs", "inputs whose kernel fits into memory", got, advice) from None
        except Exception:  # the same
            return
