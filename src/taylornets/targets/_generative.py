"""The generative exponent of single-index targets (theory 17).

`E[He_k(g) | y] ≡ 0` holds exactly if `E[He_k(g) T(y)] = 0` for every function `T` of a family that is dense in `L²` of the law
of `y`. Take the polynomials of degree at most `J` in a bounded monotone transform of `y`, orthonormal under that law. Then

    S_k = Σ_j E[He_k(g) T_j(y)]²/k!

is the share of the variance of `He_k(g)` that they explain: at most that of `E[He_k(g) | y]`, and zero where it is zero. The
integrands are as smooth as the target, so that composite Gauss-Legendre quadrature is accurate to rounding for smooth targets.
Level sets of `y`, in contrast, cut the grid at their boundaries, which leaves an error of second order in its step.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import hermite_e, legendre

from taylornets import _checks
from taylornets.targets._exponents import TOLERANCE, check_tolerance, least_energy, relevant
from taylornets.targets._tensors import expansion

_CONDITIONAL = 1e-6  # smallest share of the variance of He_k that y must explain
_DEGREE = 20  # J
_RANK = 1e-7  # singular values of the functions of y, relative to the largest, that count as zero
# Composite rules on [-12, 12] with a boundary of panels at 0, where targets have their kinks: panels of each half, and points.
_PANELS, _POINTS, _EDGE = (5000, 4000), 4, 12.0


def generative_exponent(target: Any, *, highest: int = 8, tol: float = _CONDITIONAL) -> int:
    """Returns the generative exponent of a single-index target: the smallest `k ≥ 1` with `E[He_k(g) | y] ≢ 0`.

    It is the information exponent after the best transformation of the labels: at most `k*`, at most 2 for polynomials,
    and 1 unless the function is even. `z² exp(-z²)` has the exponent 4: labels of its square do not help.

    It bounds algorithms that may transform the labels. Like the information exponent, it does **not** predict the sample
    complexity of the models of `tn.fit`.

    The share of the variance of `He_k(g)` that `y` explains is computed on 21 functions of `y`, by two quadrature rules. Their
    difference estimates the numerical error, and shares below it count as zero: at most 1e-22 for smooth targets and kinks at
    0, and below 1e-6 for kinks and jumps elsewhere.

    Args:
        target: a target of one direction.
        highest: largest exponent tried.
        tol: smallest share of the variance of `He_k(g)` that `y` must explain; at least the numerical error is used.

    Returns:
        The exponent.

    Raises:
        ArgumentError: for a target of several directions or a constant, or if no exponent up to `highest` is found.

    Source: theory 17; Damian, Pillaud-Vivien, Lee & Bruna (2024).

    Example:
        >>> import taylornets as tn
        >>> formulas = ("he3(z1)", "he4(z1)", "relu(z1)", "z1**2 * exp(-z1**2)")
        >>> [tn.targets.generative_exponent(tn.targets.from_formula(f, inputs=2)) for f in formulas]
        [1, 2, 1, 4]
    """
    highest, tol = _checks.integer("highest", highest, 1), check_tolerance(tol)
    terms = expansion(target)
    directions = relevant(terms, least_energy(terms, TOLERANCE))
    if directions.shape[1] != 1:
        got = f"one that depends on {directions.shape[1]} directions"
        advice = "For several directions, `leap` and `information_exponent` are defined."
        raise _checks.ArgumentError("target", "a single-index target", got, advice)
    for k, (share, error) in enumerate(explained(lambda g: terms.profile(g[:, None] * directions[:, 0]), highest), 1):
        if share > max(tol, error):
            return k
    expected = f"a target with an exponent of at most {highest}"
    raise _checks.ArgumentError("target", expected, "a larger one", "Raise `highest`.")


def explained(profile: Callable[[np.ndarray], np.ndarray], highest: int) -> list[tuple[float, float]]:
    """Computes the shares `S_k` for `k = 1 … highest` and their numerical errors.

    Args:
        profile: the target as a function of `g`, shape `(n,)`.
        highest: the largest degree.

    Returns:
        Pairs of a share of the variance of `He_k(g)` and of a share below which it is numerical error: the square of three
        times the change of the coefficients between two rules.
    """
    nodes, mass = _rule(_PANELS[0])
    values = profile(nodes)
    order = np.argsort(values)
    low, middle, high = np.interp((0.25, 0.5, 0.75), np.cumsum(mass[order]), values[order])
    spread = (high - low) or float(np.sqrt(mass @ (values - middle) ** 2))

    def functions(y: np.ndarray) -> np.ndarray:
        v = (y - middle) / spread
        return legendre.legvander(v / np.sqrt(1 + v**2), _DEGREE)

    # Orthonormal functions of y; combinations that are almost zero under the law of y are dropped.
    _, sizes, right = np.linalg.svd(np.linalg.qr(functions(values) * np.sqrt(mass)[:, None], mode="r"))
    kept = sizes > _RANK * sizes[0]
    mixing = right[kept].T / sizes[kept]
    first = _coefficients(nodes, mass, functions(values) @ mixing, highest)
    nodes, mass = _rule(_PANELS[1])
    second = _coefficients(nodes, mass, functions(profile(nodes)) @ mixing, highest)
    errors = 9 * np.sum((first - second) ** 2, axis=1)
    return list(zip(map(float, np.sum(first**2, axis=1)), map(float, errors), strict=True))


def _coefficients(nodes: np.ndarray, mass: np.ndarray, functions: np.ndarray, highest: int) -> np.ndarray:
    """Returns `E[He_k(g) T_j(y)]/√k!`, shape `(highest, J)`."""
    scale = np.sqrt([float(math.factorial(k)) for k in range(highest + 1)])
    hermite = hermite_e.hermevander(nodes, highest) / scale
    return (hermite * mass[:, None]).T[1:] @ functions


def _rule(panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns nodes and masses of a composite rule for the standard normal density."""
    points, weights = legendre.leggauss(_POINTS)
    width = _EDGE / panels
    middle = (np.arange(panels) + 0.5) * width
    half = (middle[:, None] + width / 2 * points).ravel()
    nodes = np.concatenate([-half[::-1], half])
    mass = np.tile(weights, 2 * panels) * np.exp(-(nodes**2) / 2)
    return nodes, mass / mass.sum()
