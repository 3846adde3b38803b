"""Information exponent, generative exponent and leap (theory 17)."""

import math
from typing import Any

import numpy as np
from numpy.polynomial import hermite_e

from taylornets import _checks
from taylornets.targets._tensors import Expansion, expansion

TOLERANCE = 1e-8
_GRID, _EDGE, _BINS = 2**17, 8.0, 256  # of the conditional expectations E[He_k(g) | y]
_CONDITIONAL = 1e-6  # smallest share of the variance of He_k that y must explain


def check_tolerance(tol: Any) -> float:
    """Returns `tol`, a share of the variance between 0 and 1."""
    _checks.positive("tol", tol)
    if tol >= 1:
        raise _checks.ArgumentError("tol", "a share of the variance, below 1", str(tol))
    return float(tol)


def information_exponent(target: Any, *, tol: float = TOLERANCE) -> int:
    """Returns the information exponent `k*`: the smallest degree `k ≥ 1` with a nonzero Hermite tensor `T_k`.

    The exponent is discontinuous: `He_3(z) + 0.01 z` has exponent 1. Read it together with the energies of `degree_spectrum`,
    or raise `tol`.

    It governs online gradient descent on *full* networks. It does **not** predict the sample complexity of the models of
    `tn.fit`, which depends on the degree and on the rank of the target: with the quadratic model, `He_3` (`k* = 3`) and `z³`
    (`k* = 1`) need equally many examples.

    Args:
        target: a `Polynomial`, or a target of `from_function` or `from_formula`.
        tol: degrees with at most this share of the variance count as zero; at least the numerical error is used.

    Returns:
        `k*`.

    Raises:
        ArgumentError: for a constant target, another kind of function, or a target without a term up to its `degree`.

    Source: theory 17; Ben Arous, Gheissari & Jagannath (2021).

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> hermite3 = tn.targets.Polynomial(jnp.array([[1.0], [1.0]]), (3, 1), jnp.array([1.0, -3.0]))
        >>> tn.targets.information_exponent(hermite3)
        3
    """
    terms = expansion(target)
    least = _least(terms, tol)
    for k in range(1, terms.degree + 1):
        if terms.energy(k) > least:
            return k
    raise _beyond(terms)


def leap(target: Any, *, tol: float = TOLERANCE) -> int:
    """Returns the leap, in its rotation-invariant form.

    Let `U = {0}`. While `U` does not contain all directions on which the target depends, take the smallest `l ≥ 1` for which
    some `T_k`, projected on `U^⊥` in `l` slots and on `U` in the others, is not zero; the span of those `l` slots joins `U`.
    The leap is the largest `l`. It does not change under rotations: `x_1 + x_2 + x_1 x_2` has leap 2, and 1 only for methods
    that are tied to the coordinate axes.

    Like the information exponent, it governs gradient descent on *full* networks and does **not** predict the sample
    complexity of the models of `tn.fit`.

    Args:
        target: a `Polynomial`, or a target of `from_function` or `from_formula`.
        tol: as in `information_exponent`.

    Returns:
        The leap.

    Raises:
        ArgumentError: as in `information_exponent`.

    Source: theory 17; Abbe, Boix-Adserà & Misiakiewicz (2023).

    Example:
        >>> import taylornets as tn
        >>> [tn.targets.leap(tn.targets.from_formula(f, inputs=3)) for f in ("z1 + z1*z2", "z1*z2*z3", "z1 + z1*z2*z3")]
        [1, 3, 2]
    """
    terms = expansion(target)
    least = _least(terms, tol)
    whole = relevant(terms, least)
    if not whole.shape[1]:
        raise _beyond(terms)
    inside, largest = np.zeros((whole.shape[0], 0)), 0
    while inside.shape[1] < whole.shape[1]:
        slots, found = _next_step(terms, inside, least)
        if not slots:
            break
        largest, inside = max(largest, slots), np.concatenate([inside, found], axis=1)
    return largest


def _next_step(terms: Expansion, inside: np.ndarray, least: float) -> tuple[int, np.ndarray]:
    """Returns the smallest number of slots with a nonzero projection, and orthonormal columns of their span."""
    for slots in range(1, terms.degree + 1):
        gram = sum(terms.unfolding(k, slots, inside) for k in range(slots, terms.degree + 1))
        found = _span(np.asarray(gram), least)
        if found.shape[1]:
            found = found - inside @ (inside.T @ found)  # against rounding
            return slots, np.linalg.qr(found)[0]
    return 0, inside[:, :0]


def _span(gram: np.ndarray, least: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(gram)
    return vectors[:, values > least]


def relevant(terms: Expansion, least: float) -> np.ndarray:
    """Returns orthonormal columns that span the directions on which the target depends, shape `(r, s)`."""
    empty = np.zeros((terms.basis.shape[0], 0))
    total: Any = sum(terms.unfolding(k, k, empty) for k in range(1, terms.degree + 1))
    return _span(total, least)


def _least(terms: Expansion, tol: float) -> float:
    return max(check_tolerance(tol), terms.noise) * terms.variance


def _beyond(terms: Expansion) -> _checks.ArgumentError:
    got = f"one whose variance lies above degree {terms.degree}"
    return _checks.ArgumentError("target", "a target with a term within its expansion", got, "Raise `degree`.")


def generative_exponent(target: Any, *, highest: int = 8, tol: float = _CONDITIONAL) -> int:
    """Returns the generative exponent of a single-index target: the smallest `k ≥ 1` with `E[He_k(g) | y] ≢ 0`.

    It is the information exponent after the best transformation of the labels: at most `k*`, at most 2 for polynomials,
    and 1 unless the function is even. Conditional expectations are computed on 256 level sets of equal probability.

    It bounds algorithms that may transform the labels. Like the information exponent, it does **not** predict the sample
    complexity of the models of `tn.fit`.

    Args:
        target: a target of one direction.
        highest: largest exponent tried.
        tol: smallest share of the variance of `He_k(g)` that `y` must explain.

    Returns:
        The exponent.

    Raises:
        ArgumentError: for a target of several directions or a constant, or if no exponent up to `highest` is found.

    Source: theory 17; Damian, Pillaud-Vivien, Lee & Bruna (2024).

    Example:
        >>> import taylornets as tn
        >>> formulas = ("he3(z1)", "he4(z1)", "relu(z1)")
        >>> [tn.targets.generative_exponent(tn.targets.from_formula(f, inputs=2)) for f in formulas]
        [1, 2, 1]
    """
    highest, tol = _checks.integer("highest", highest, 1), check_tolerance(tol)
    terms = expansion(target)
    directions = relevant(terms, _least(terms, TOLERANCE))
    if directions.shape[1] != 1:
        got = f"one that depends on {directions.shape[1]} directions"
        advice = "For several directions, `leap` and `information_exponent` are defined."
        raise _checks.ArgumentError("target", "a single-index target", got, advice)
    half = (np.arange(_GRID // 2) + 0.5) * 2 * _EDGE / _GRID
    g = np.concatenate([-half[::-1], half])
    mass = np.exp(-(g**2) / 2)
    mass /= mass.sum()
    bins, weight = _level_sets(terms.profile(g[:, None] * directions[:, 0]), mass, math.sqrt(terms.variance))
    for k in range(1, highest + 1):
        values = hermite_e.hermeval(g, [0] * k + [1]) / math.sqrt(math.factorial(k))
        sums = np.bincount(bins, mass * values, len(weight))
        if float(np.sum(sums**2 / np.maximum(weight, 1e-300))) > tol:
            return k
    expected = f"a target with an exponent of at most {highest}"
    raise _checks.ArgumentError("target", expected, "a larger one", "Raise `highest`.")


def _level_sets(y: np.ndarray, mass: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Assigns points to level sets of about equal probability; equal values (up to rounding) share one."""
    values, place = np.unique(np.round(y / scale, 10), return_inverse=True)
    total = np.bincount(place, mass, len(values))
    bins = np.minimum(((np.cumsum(total) - total) * _BINS).astype(int), _BINS - 1)[place]
    return bins, np.bincount(bins, mass, _BINS)
