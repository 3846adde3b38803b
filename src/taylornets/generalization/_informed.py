"""Informed priors: a Gaussian process trained on the prior rows, whose posterior is the prior of the bound (theory 13).

With the features `φ` and `A = I + Φ_0ᵀ Φ_0/λ`, the prior is `N(T_P, A^{-1})`, and posteriors are `N(T_Q, A^{-1})`:

    variance of an output:    s(x)² = K(x,x) - k_0ᵀ (K_00 + λ)^{-1} k_0
    prior mean:               f_P(x) = a k_0ᵀ (K_00 + λ)^{-1} y_0
    divergence:               ½ (‖T_Q - T_P‖² + ‖f_Q(X_0) - f_P(X_0)‖²/λ)

`λ` and the scale `a` minimize the leave-one-out Gibbs error on the prior rows, in closed form from one eigendecomposition
(Rasmussen & Williams 2006, section 5.4.2): with `H = (K_00 + λ)^{-1}`, the example `i` left out has the mean `y_i - [H
y]_i/H_ii` and the variance `1/H_ii - λ`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from taylornets.generalization._gibbs import Scored, mean_loss
from taylornets.generalization._posterior import Divergence

# Ridges relative to the mean of the kernel's diagonal, and scales of the prior mean; paid by no union, since the bound does
# not count the prior rows.
_RIDGES = tuple(10.0 ** (-e / 2) for e in range(-2, 9))
_SCALES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_FIRST = 0.9  # share of the failure probability
_BROAD, _NARROW = (30.0, 10.0, 3.0), 0.5


class Rows(NamedTuple):
    """Prior rows and counted rows, as increasing indices."""

    prior: np.ndarray
    counted: np.ndarray


class Prior(NamedTuple):
    """A prior trained on the prior rows.

    Attributes:
        rows: the split.
        ridge: `λ`, the noise variance.
        inverse: `(K_00 + λ)^{-1}`, shape `(n0, n0)`.
        mean: coefficients of `f_P`, shape `(n0, C)`.
        targets: `a y_0`, shape `(n0, C)`.
        norm2: `‖T_P‖² + ‖f_P(X_0)‖²/λ`.
    """

    rows: Rows
    ridge: float
    inverse: np.ndarray
    mean: np.ndarray
    targets: np.ndarray
    norm2: float

    def variance(self, diagonal: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """Returns `s²` of the counted rows from their `K(x, x)` and their kernel with the prior rows, `(n1, n0)`."""
        return np.maximum(diagonal - np.sum((cross @ self.inverse) * cross, axis=1), 0.0)

    def divergence(self, outputs: np.ndarray, norm2: float) -> Divergence:
        """Returns the divergence of `ν T` from the prior; `outputs` are those of `T` on the prior rows, `norm2` is `‖T‖²`."""
        second = norm2 + float(np.sum(outputs**2)) / self.ridge
        # ⟨T, T_P⟩ + ⟨f(X_0), f_P(X_0)⟩/λ = f(X_0)ᵀ (I + K_00/λ) α = f(X_0)ᵀ a y_0/λ.
        return Divergence(second, float(np.sum(outputs * self.targets)) / self.ridge, self.norm2)


def targets_of(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns ±1 in one column for two classes, and in one column per class for more."""
    if classes == 2:
        return labels[:, None].astype(float)
    return 2.0 * (labels[:, None] == np.arange(classes)) - 1


def trained_priors(gram: np.ndarray, labels: np.ndarray, classes: int, rows: Rows) -> list[tuple[float, Prior]]:
    """Trains candidates for the prior on its rows.

    The first has the smallest leave-one-out Gibbs error and most of the failure probability. It suits posteriors that are
    trained from it. The others are broad, for weights that were trained in another way, and share the rest.

    Args:
        gram: `K_00`, shape `(n0, n0)`.
        labels: ±1 or class indices of the prior rows.
        classes: number of classes.
        rows: the split.

    Returns:
        Shares of the failure probability, and priors.
    """
    targets = targets_of(labels, classes)
    values, vectors = np.linalg.eigh(gram)
    values, projected = np.maximum(values, 0.0), vectors.T @ targets
    unit = max(float(np.trace(gram)) / len(gram), np.finfo(float).tiny)

    def prior(ridge: float, scale: float) -> Prior:
        inverse = (vectors / (values + ridge)) @ vectors.T
        norm2 = scale**2 * float(np.sum(projected**2 * (values / (values + ridge))[:, None])) / ridge
        return Prior(rows, ridge, inverse, scale * inverse @ targets, scale * targets, norm2)

    best: tuple[float, float, float] | None = None
    for relative in _RIDGES:
        ridge = relative * unit
        solved = vectors @ (projected / (values + ridge)[:, None])
        own = (vectors**2) @ (1 / (values + ridge))
        left_out = targets - solved / own[:, None]
        deviation = np.sqrt(np.maximum(1 / own - ridge, 1e-12 * unit))
        loss: Callable[[float, float], float] = mean_loss(Scored(left_out, deviation, labels))
        for scale in _SCALES:
            found = (loss(scale, 0.0), ridge, scale)
            best = found if best is None or found < best else best
    assert best is not None
    share = (1 - _FIRST) / len(_BROAD)
    others = [(share, prior(relative * unit, _NARROW)) for relative in _BROAD]
    return [(_FIRST, prior(best[1], best[2])), *others]
