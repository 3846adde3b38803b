"""Error probabilities of a linear model under Gaussian noise on its weights, exact or with their own confidence (theory 13).

With the posterior mean `ν T` and unit noise, the outputs at `x` are Gaussian with mean `ν f(x)` and variance `s(x)²`. The
loss of threshold `θ` counts an example as an error if its margin falls below `θ` standard deviations,

    one output:                     Φ(θ - ν y f/s)
    C outputs, independent noise:   1 - E_z Π_{j≠y} Φ(z + ν (f_y - f_j)/s - √2 θ)

and is at least `Φ(θ)` wherever `f` itself errs or ties. The expectation over `z` is a sum over Gauss-Hermite nodes; its
error is below `ALLOWANCE`, which is added. For shared weights the outputs are correlated. Each example then gets
independent draws,
and Hoeffding's (1963) bound for sums of independent variables with different means, in its relative-entropy form, covers the
difference between the observed frequency and the exact mean.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, roots_hermitenorm

from taylornets.generalization._kl import kl_upper

NODES = 120
ALLOWANCE = 1e-9
SHARE = 0.1  # of the failure probability, for the draws
_ELEMENTS = 2**22  # numbers formed at a time

# The mean loss of threshold `θ` at the posterior mean `ν T`: `loss(ν, θ)`.
MeanLoss = Callable[[float, float], float]


class Scored(NamedTuple):
    """Outputs on the counted rows with their noise and labels.

    Attributes:
        outputs: shape `(n, C)`.
        deviation: `s`, shape `(n,)`.
        labels: ±1 for one output, class indices otherwise, shape `(n,)`.
        covariance: covariance of the outputs under unit noise, shape `(n, C, C)`; `None` if they are independent.
    """

    outputs: np.ndarray
    deviation: np.ndarray
    labels: np.ndarray
    covariance: np.ndarray | None = None


def margins_of(scored: Scored) -> np.ndarray:
    """Returns `y f/s`, shape `(n,)`, or `(f_y - f_j)/s` of the other classes, `(n, C - 1)`; `-inf` where nothing is known."""
    scale = np.where(scored.deviation > 0, scored.deviation, 1.0)
    if scored.outputs.shape[1] == 1:
        margins = scored.labels * scored.outputs[:, 0] / scale
        return np.where(scored.deviation > 0, margins, -np.inf)
    margins = differences(scored) / scale[:, None]
    return np.where((scored.deviation > 0)[:, None], margins, -np.inf)


def differences(scored: Scored) -> np.ndarray:
    """Returns `f_y - f_j` of the other classes, shape `(n, C - 1)`."""
    n, classes = scored.outputs.shape
    own = scored.outputs[np.arange(n), scored.labels][:, None]
    others = np.arange(classes)[None, :] != scored.labels[:, None]
    return (own - scored.outputs)[others].reshape(n, classes - 1)


def mistakes(scored: Scored) -> np.ndarray:
    """Returns where the model itself errs or ties, shape `(n,)`."""
    if scored.outputs.shape[1] == 1:
        return scored.labels * scored.outputs[:, 0] <= 0
    return np.any(differences(scored) <= 0, axis=1)


def mean_loss(scored: Scored) -> MeanLoss:
    """Returns the exact mean loss, for one output or independent noise."""
    margins = margins_of(scored)
    known = np.isfinite(margins)

    def one(scale: float, threshold: float) -> float:
        return float(np.mean(np.where(known, ndtr(threshold - scale * np.where(known, margins, 0.0)), 1.0)))

    def several(scale: float, threshold: float) -> float:
        certain = known.all(axis=1)
        correct = several_correct(scale * margins[certain] - math.sqrt(2) * threshold)
        return min(1.0, 1 - float(np.sum(correct)) / len(margins) + ALLOWANCE)

    return one if margins.ndim == 1 else several


def several_correct(margins: np.ndarray) -> np.ndarray:
    """Computes `E_z Π_j Φ(z + d_j)`, shape `(n,)`, for margins `d` of shape `(n, C - 1)`."""
    nodes, weights = roots_hermitenorm(NODES)
    weights = weights / weights.sum()
    keep = weights > 1e-20
    nodes, weights = nodes[keep], weights[keep]
    found = np.empty(len(margins))
    step = max(1, _ELEMENTS // (len(nodes) * max(1, margins.shape[1])))
    for start in range(0, len(margins), step):
        block = margins[start : start + step]
        found[start : start + step] = np.prod(ndtr(block[:, :, None] + nodes), axis=1) @ weights
    return found


def drawn_loss(scored: Scored, draws: int, seed: int, delta: float) -> tuple[MeanLoss, MeanLoss]:
    """Returns an estimate of the mean loss under shared noise, and an upper bound from fresh draws.

    Args:
        scored: the rows, with the covariance of their outputs.
        draws: number of draws for each example.
        seed: seed of the draws.
        delta: failure probability of the upper bound, for one scale that does not depend on its draws.

    Returns:
        The estimate, for the choice of the scale, and the upper bound, for the chosen scale.
    """
    assert scored.covariance is not None
    n, classes = scored.outputs.shape
    others = np.arange(classes)[None, :] != scored.labels[:, None]
    means = differences(scored)
    values, vectors = np.linalg.eigh(scored.covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    own = roots[np.arange(n), scored.labels][:, None, :]
    factors = (own - roots)[others].reshape(n, classes - 1, classes)
    spreads = np.sqrt(np.sum(factors**2, axis=2))

    def errors(draw: np.random.Generator, scale: float, threshold: float) -> float:
        wrong = 0
        for _ in range(draws):
            noise = np.einsum("njc,nc->nj", factors, draw.standard_normal((n, classes)))
            wrong += int(np.sum(np.any(scale * means + noise <= threshold * spreads, axis=1)))
        return wrong / (n * draws)

    def estimate(scale: float, threshold: float) -> float:
        return errors(np.random.default_rng((seed, 0)), scale, threshold)

    def upper(scale: float, threshold: float) -> float:
        found = errors(np.random.default_rng((seed, 1)), scale, threshold)
        return kl_upper(found, math.log(1 / delta) / (n * draws))

    return estimate, upper
