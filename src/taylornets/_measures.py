"""Small measures of outputs and kernels that training and the regime share."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

TASKS = ("auto", "classification", "regression")
_MOST_WHOLE = 10


def guessed_task(y: Any) -> str:
    """What `task="auto"` means for targets: the one rule of tables, diagnoses and training.

    Strings, booleans, categories and integers are classes: their type says so. Floating-point numbers, which all numbers of a
    table are, are classes if there is one per example, all of them are whole, and from 2 to 10 of them differ. All other
    targets are regressed.

    Args:
        y: targets: an array or a column of a table, shape `(n, ...)`; trees of arrays are regressed.

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


def classes(outputs: Array) -> Array:
    """The predicted classes: the largest of several outputs on the last axis, or whether a single one is positive.

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
    """The classes that targets name: integer labels, rows of probabilities, or signs for one output.

    Args:
        y: labels of the shape of `classes(outputs)`, or targets of the shape of the outputs.
        outputs: what they are compared with, shape `(n, ..., C)`.

    Returns:
        Integers, shape of `classes(outputs)`.
    """
    if y.shape == outputs.shape:
        return classes(y)
    labels = y.reshape(outputs.shape[:-1] if outputs.ndim > 1 else outputs.shape)
    return labels if outputs.ndim > 1 and outputs.shape[-1] > 1 else (labels > 0).astype(jnp.int32)


def rms(difference: Array) -> Array:
    """The distance of two functions on the probe inputs: the root mean square over examples of the norm of the outputs."""
    return jnp.sqrt(jnp.sum(difference**2) / difference.shape[0])


def one_minus_cosine(first: Array, second: Array) -> Array:
    """1 − ⟨A, B⟩/(‖A‖ ‖B‖) of two kernel matrices: 0 for the same up to a factor. By differences, to keep small drifts."""
    a, b = first / jnp.linalg.norm(first.ravel()), second / jnp.linalg.norm(second.ravel())
    return jnp.sum((a - b) ** 2) / 2
