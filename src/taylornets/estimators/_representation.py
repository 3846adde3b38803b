"""The representation of a Taylor estimator: fitted to the scaled inputs, stored as plain arrays (theory 16)."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checks, activations, learners

REPRESENTATIONS = ("hierarchical",)
_MOST_FEATURES = 4096
_ROWS_PER_DIRECTION = (
    3  # of the empirical covariance; with fewer rows, whitening turns every row into a direction of its own
)
Stored = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]


def top_activation(representation: str | None, activation: Any) -> Any:
    """Returns the activation of the network: on a representation, `t²/2` takes the place of the default."""
    return learners.TOP if representation is not None and activation == "cubic_relu" else activation


def fit_representation(representation: str | None, x: np.ndarray, generator: np.random.Generator) -> Stored | None:
    """Fits the representation to scaled inputs, shape `(n, d)`; None if there is none.

    Raises:
        ArgumentError: for too many columns.
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
        warnings.simplefilter("ignore", UserWarning)  # of few rows: fewer directions are kept below
        h = learners.hierarchical(key, x, width=d * (d + 1))
    keep = min(h.outputs, max(len(x) // _ROWS_PER_DIRECTION, 1))
    transform = np.asarray(h.transform)[:, :keep] * np.sqrt(h.outputs / keep).astype(x.dtype)
    return np.asarray(h.directions), np.asarray(h.biases), transform, np.asarray(h.scale), h.activation.name


def represented(stored: Stored | None, x: np.ndarray) -> np.ndarray:
    """Applies a stored representation to scaled inputs; returns `x` itself if there is none."""
    if stored is None:
        return x
    directions, biases, transform, scale, name = stored
    features = activations.get(name)(jnp.asarray(x) / scale @ directions.T + biases)
    return np.asarray(features @ jnp.asarray(transform)).astype(x.dtype)
