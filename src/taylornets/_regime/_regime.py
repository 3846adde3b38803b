"""`regime`: the orders of the Taylor series in the movement of a network from a start to an end."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from taylornets._checks import ArgumentError
from taylornets._regime._evaluator import RegimeEvaluator
from taylornets._regime._programs import RegimeSettings
from taylornets._regime._result import Regime


def regime(
    f: Callable[..., Any],
    params0: Any,
    params1: Any,
    x: Any,
    *,
    max_order: int = 4,
    threshold: float = 0.9,
    tolerance: float = 0.1,
    task: str = "auto",
    ntk_inputs: int | None = None,
    batch_size: int | None = None,
    trainable: Any = None,
    mode: str = "auto",
    fixed: str | None = None,
    custom_vjp: str = "function",
    max_bytes: float | None = None,
) -> Regime:
    """Says which order of a network's Taylor series around `params0` explains its movement to `params1`.

    Args:
        f: the model `f(params, x)`; returns one array of shape `(n, ...)`, logits or predictions.
        params0: the initialization θ0, a pytree. Only arrays with a floating or complex dtype move; integers, masks, random
            keys, NumPy scalars and Python numbers are settings.
        params1: the end θ1, a tree like it.
        x: probe inputs, `(n, ...)` on the first axis, an array or a tree of arrays.
        max_order: the highest order K ≥ 1.
        threshold: the part of the movement's square, between 0 and 1, that an order must explain for the verdict.
        tolerance: relative error that bounds the radius of an order.
        task: "classification" (predicted classes are compared), "regression", or "auto": classes where there are several
            outputs, the sign where there is one.
        ntk_inputs: first probe inputs for the drift of the kernel; 0 for none. By default 8, or fewer where their kernel
            would have more than 10,000 rows.
        batch_size: probe inputs at the same time; all by default.
        trainable: as in `taylor_terms`; leaves that are frozen stay at `params0`.
        mode: as in `taylor_terms`.
        fixed: whose value a setting takes that differs between the two ends: "start" or "end" (then frozen leaves are those
            of `params1` too). By default such a difference is an error.
        custom_vjp: derivatives of a `jax.custom_vjp` function, as in `taylor_terms`.
        max_bytes: limit of an estimate of the memory, as in `taylor_terms`.

    Returns:
        A `Regime`. Printing it gives the verdict and a table. What cannot be had beside the verdict is NaN with a reason.

    Raises:
        ArgumentError: for a list of ends, trees that differ or hold NaN, settings that differ (it names the leaf), inputs or
            initial outputs with NaN, outputs that are not one array with one example per row, arguments out of range, or an
            order or `ntk_inputs` beyond the memory.

    Source: theory 10.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> found = tn.regime(lambda w, x: (x @ w) ** 2, jnp.ones((2, 1)), 1.5 * jnp.ones((2, 1)), jnp.eye(2), max_order=2)
        >>> [round(part, 6) for part in found.share]  # (1 + t/2)² = 1 + t + t²/4: 1 and 1/4 of 5/4
        [0.8, 0.2]
        >>> found.verdict
        'lazy: order 1 explains 96 % of the movement'
    """
    settings = RegimeSettings(
        max_order, threshold, tolerance, task, ntk_inputs, batch_size, mode, custom_vjp, max_bytes
    )  # fmt: skip
    _refuse_series(params0, params1)
    return RegimeEvaluator(f, params0, x, settings, trainable, fixed)(params1, stacklevel=3)


def _refuse_series(params0: Any, params1: Any) -> None:
    """Raises for a list of checkpoints; parameters that are a list themselves are one end."""
    whole = jax.tree.structure(params0)
    if isinstance(params1, list | tuple) and params1 and jax.tree.structure(params1) != whole:
        arrays = any(isinstance(end, jax.Array | np.ndarray) for end in params1)
        if not arrays or jax.tree.structure(params1[0]) == whole:
            expected, got = "one tree like params0", f"a {type(params1).__name__} of {len(params1)} trees"
            raise ArgumentError("params1", expected, got, "For a sequence of checkpoints see tn.regime_path.")
