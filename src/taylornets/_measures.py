"""Measures of outputs and kernels shared by training and the regime diagnostics."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

TASKS = ("auto", "classification", "regression")
_MOST_WHOLE = 10


def guessed_task(y: Any) -> str:
    """Infers the task from the targets for `task="auto"`; the single rule for tables, diagnoses and training.

    Strings, booleans, categories and integers are class labels by type. Floating-point targets (all numeric columns of a
    table) are class labels if there is one per example, all values are whole numbers, and there are 2 to 10 distinct values.
    All other targets define a regression.

    Args:
        y: targets: an array or a column of a table, shape `(n, ...)`; trees of arrays define a regression.

    Returns:
        `"classification"` or `"regression"`.

    Example:
        >>> [guessed_task(np.array(y)) for y in (["a", "b"], [1, 2], [1.0, 2.0], [1.0, 2.5])]
        ['classification', 'classification', 'classification', 'regression']
    """
    kind = str(getattr(getattr(y, "dtype", None), "kind", "tree"))
    if kind in "OUSTbiu":
        return "classification"
    if kind != "f" or np.shape(y)[:1] != (np.size(y),):
        return "regression"
    values = np.asarray(y, dtype=np.float64)
    whole = bool(np.all(np.isfinite(values)) and np.all(values == np.round(values)))
    return "classification" if whole and 2 <= len(np.unique(values)) <= _MOST_WHOLE else "regression"


def percent_of(share: float) -> str:
    """Formats a share in percent with one decimal; 100 % only if nothing is lacking, and 0 % only if there is nothing.

    Args:
        share: a fraction from 0 to 1.

    Example:
        >>> percent_of(0.25), percent_of(1.0), percent_of(0.99996), percent_of(1e-5)
        ('25.0 %', '100.0 %', 'more than 99.99 %', 'less than 0.1 %')
    """
    if not math.isfinite(share):
        return "an unknown fraction"
    shown = f"{100 * abs(share):.1f}"
    if shown == "0.0" and share:
        return "less than 0.1 %"
    if shown == "100.0" and share < 1:
        return f"{math.floor(1e4 * share) / 100:.2f} %" if share < 0.9999 else "more than 99.99 %"  # rounded down
    return f"{shown} %"


def classes(outputs: Array) -> Array:
    """Returns the predicted classes: the argmax over the last axis, or 1 where a single output is positive.

    Args:
        outputs: shape `(n, ..., C)`, or `(n,)` for one output.

    Returns:
        Integers, shape `(n, ...)`.
    """
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        return jnp.argmax(outputs, axis=-1)
    single = outputs if outputs.ndim == 1 else outputs[..., 0]
    return (single > 0).astype(jnp.int32)


def true_classes(y: Array, outputs: Array) -> Array:
    """Returns the classes encoded by the targets: integer labels, rows of probabilities, or signs for one output.

    Args:
        y: labels of the shape of `classes(outputs)`, or targets of the shape of the outputs.
        outputs: the predictions to compare with, shape `(n, ..., C)`.

    Returns:
        Integers, shape of `classes(outputs)`.
    """
    if y.shape == outputs.shape:
        return classes(y)
    labels = y.reshape(outputs.shape[:-1] if outputs.ndim > 1 else outputs.shape)
    return labels if outputs.ndim > 1 and outputs.shape[-1] > 1 else (labels > 0).astype(jnp.int32)


def rms(difference: Array) -> Array:
    """Returns the distance of two functions on the probe inputs: the root mean square over examples of the output norm."""
    return jnp.sqrt(jnp.sum(difference**2) / difference.shape[0])


def one_minus_cosine(first: Array, second: Array) -> Array:
    """Returns 1 − ⟨A, B⟩/(‖A‖ ‖B‖) of two kernel matrices, from differences to resolve small drifts; 0 if proportional."""
    a, b = first / jnp.linalg.norm(first.ravel()), second / jnp.linalg.norm(second.ravel())
    return jnp.sum((a - b) ** 2) / 2
