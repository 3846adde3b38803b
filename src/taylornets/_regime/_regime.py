"""`regime`: the contribution of each Taylor order to the output change between two parameter values."""

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
    resum: int | None = 8,
    groups: str | Callable[[str], str] | None = None,
) -> Regime:
    """Determines which order of the Taylor series at `params0` explains the output change between `params0` and `params1`.

    Args:
        f: the model `f(params, x)`; returns one array of shape `(n, ...)`, logits or predictions.
        params0: the initialization θ0, a pytree. Only arrays with a floating or complex dtype are expanded; integers, masks,
            random keys, NumPy scalars and Python numbers are settings.
        params1: the end point θ1, for example the trained parameters; a tree of the same structure.
        x: probe inputs, an array or a tree of arrays of shape `(n, ...)`.
        max_order: the highest order K ≥ 1.
        threshold: the fraction of the squared output change, between 0 and 1, that an order must explain for the verdict.
        tolerance: relative error that bounds the radius of an order.
        task: "classification" (compares predicted classes), "regression", or "auto": the argmax for several outputs, the
            sign for a single one.
        ntk_inputs: number of leading probe inputs used for the kernel drift; 0 to skip it. By default 8, or fewer if the
            kernel would have more than 10,000 rows.
        batch_size: probe inputs per batch; all by default.
        trainable: as in `taylor_terms`; frozen leaves stay at `params0`.
        mode: as in `taylor_terms`.
        fixed: the end point, "start" or "end", that supplies the value of settings that differ between the two (with "end",
            frozen leaves too are taken from `params1`). By default such a difference is an error.
        custom_vjp: derivatives of `jax.custom_vjp` functions, as in `taylor_terms`.
        max_bytes: limit on the estimated memory, as in `taylor_terms`.
        resum: the highest order, 4, 6 or 8, of the resummation beyond the radius of convergence; its terms are one series of
            that order, whose memory is `(resum + 1)` times that of the outputs and intermediate values of the model. None, or
            a lack of memory, leaves it out.
        groups: layer groups for which to compute radii and interactions: "blocks" (leaves up to the first numbered part of
            their name, such as `blocks.2`) or a function of the name of a leaf; by default none. For G groups, this costs
            2 G + 1 series of order `resum` and G (G + 1)/2 of order 2.

    Returns:
        A `Regime`. Printing it gives the verdict and a table. Values that cannot be computed are NaN, with a reason.

    Raises:
        ArgumentError: for a list of end points, trees that differ or contain NaN, settings that differ (the message names
            the leaf), inputs or initial outputs with NaN, outputs that are not one array with one example per row, arguments
            out of range, or an order or `ntk_inputs` that exceeds the memory.

    Source: theory 10 and 14.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> found = tn.regime(lambda w, x: (x @ w) ** 2, jnp.ones((2, 1)), 1.5 * jnp.ones((2, 1)), jnp.eye(2), max_order=2)
        >>> [round(part, 6) for part in found.share]  # (1 + t/2)² = 1 + t + t²/4: 1 and 1/4 of 5/4
        [0.8, 0.2]
        >>> found.verdict
        'lazy: order 1 explains 96 % of the output change'
    """
    settings = RegimeSettings(
        max_order, threshold, tolerance, task, ntk_inputs, batch_size, mode, custom_vjp, max_bytes, resum, groups,
    )  # fmt: skip
    _refuse_series(params0, params1)
    return RegimeEvaluator(f, params0, x, settings, trainable, fixed)(params1, stacklevel=3)


def _refuse_series(params0: Any, params1: Any) -> None:
    """Raises for a list of checkpoints; parameters that are themselves a list are accepted."""
    whole = jax.tree.structure(params0)
    if isinstance(params1, list | tuple) and params1 and jax.tree.structure(params1) != whole:
        arrays = any(isinstance(end, jax.Array | np.ndarray) for end in params1)
        if not arrays or jax.tree.structure(params1[0]) == whole:
            expected, got = "one tree like params0", f"a {type(params1).__name__} of {len(params1)} trees"
            raise ArgumentError("params1", expected, got, "For a sequence of checkpoints use tn.regime_path.")
