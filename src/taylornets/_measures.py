"""Small measures of outputs and kernels that training and the regime share."""

import jax.numpy as jnp
from jaxtyping import Array

TASKS = ("auto", "classification", "regression")


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
