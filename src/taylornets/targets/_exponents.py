"""Information exponent and leap (theory 17)."""

from typing import Any

import numpy as np

from taylornets import _checks
from taylornets.targets._tensors import Expansion, expansion

TOLERANCE = 1e-8


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
    least = least_energy(terms, tol)
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
    least = least_energy(terms, tol)
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


def least_energy(terms: Expansion, tol: float) -> float:
    """Returns the energy up to which a degree counts as zero: `tol`, or the numerical error, times the variance."""
    return max(check_tolerance(tol), terms.noise) * terms.variance


def _beyond(terms: Expansion) -> _checks.ArgumentError:
    got = f"one whose variance lies above degree {terms.degree}"
    return _checks.ArgumentError("target", "a target with a term within its expansion", got, "Raise `degree`.")
