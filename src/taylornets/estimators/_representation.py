"""The representation of a Taylor estimator: fitted to the scaled inputs, stored as plain arrays (theory 16)."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checks, activations, learners

REPRESENTATIONS = ("hierarchical",)
_MOST_FEATURES = 4096
# Of the empirical covariance: with fewer rows, whitening turns every row into a direction of its own.
_ROWS_PER_DIRECTION = 3
# The features are even in the inputs and the appended constant together. Below this share of the constant in the squared norm
# (`bias` of about .3), they are nearly even in the inputs alone: a linear target on four columns has R² = .98 at bias=1, and
# .36 at bias=.1 (300 rows).
_CONSTANT = 0.1
_CHECKED = 1000  # rows of the check of parity, whose cost is quadratic
Stored = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]


def top_activation(representation: str | None, activation: Any) -> Any:
    """Returns the activation of the network: on a representation, `t²/2` takes the place of the default."""
    return learners.TOP if representation is not None and activation == "cubic_relu" else activation


def fit_representation(
    representation: str | None, x: np.ndarray, y: np.ndarray, generator: np.random.Generator
) -> Stored | None:
    """Fits the representation to scaled inputs, shape `(n, d)`; None if there is none.

    Args:
        representation: its name, or None.
        x: scaled inputs; the last column is the appended constant.
        y: numeric targets, shape `(n, c)`, for the check of parity.
        generator: source of the random features.

    Raises:
        ArgumentError: for too many columns.

    Warns:
        UserWarning: for fewer than three rows per direction, and for odd targets that the representation hardly expresses.
    """
    if representation is None:
        return None
    d = x.shape[1]
    if d * (d + 1) > _MOST_FEATURES:
        most = int((_MOST_FEATURES + 0.25) ** 0.5 - 0.5) - 1
        advice = f"{d * (d + 1):,} random features would be needed. Select or project columns first."
        raise _checks.ArgumentError(
            "representation", f"None for more than {most} columns", repr(representation), advice
        )
    key = jax.random.key(int(generator.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of few rows, which is said below
        h = learners.hierarchical(key, x, width=d * (d + 1))
    keep = min(h.outputs, max(len(x) // _ROWS_PER_DIRECTION, 1))
    if keep < d * (d + 1) // 2:
        _warn(
            f"representation='hierarchical' keeps {keep} of {d * (d + 1) // 2} directions, a third of the number of rows, "
            f"{len(x)}. Use more rows or fewer columns."
        )
    said = _wrong_parity(h, x, y)
    if said is not None:
        _warn(f"The appended constant is too small to express odd targets. {said}")
    transform = np.asarray(h.transform)[:, :keep] * np.sqrt(h.outputs / keep).astype(x.dtype)
    return np.asarray(h.directions), np.asarray(h.biases), transform, np.asarray(h.scale), h.activation.name


def _wrong_parity(h: learners.Hierarchical, x: np.ndarray, y: np.ndarray) -> str | None:
    """Says whether the targets have an odd part, where the appended constant is too small for the features to express it."""
    inputs, y = x[:_CHECKED, :-1], y[:_CHECKED]
    norms = np.linalg.norm(inputs, axis=1)
    inputs, y = inputs[norms > 0] / norms[norms > 0, None], y[norms > 0]
    if np.mean(x[:, -1] ** 2) > _CONSTANT * np.mean(np.sum(x**2, axis=1)) or min(inputs.shape) < 2 or len(y) < 4:
        return None
    return h.wrong_parity(inputs, y) if np.ptp(y) > 0 else None


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=5)  # the caller of `fit`


def represented(stored: Stored | None, x: np.ndarray) -> np.ndarray:
    """Applies a stored representation to scaled inputs; returns `x` itself if there is none."""
    if stored is None:
        return x
    directions, biases, transform, scale, name = stored
    features = activations.get(name)(jnp.asarray(x) / scale @ directions.T + biases)
    return np.asarray(features @ jnp.asarray(transform)).astype(x.dtype)
