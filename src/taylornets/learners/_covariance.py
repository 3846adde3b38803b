"""Second moments of random features: empirical, or in closed form for Gaussian and spherical inputs (theory 16)."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2

from taylornets import _checks
from taylornets.activations import Activation, PolynomialActivation, ReluPower

KINDS = ("empirical", "gaussian", "sphere")
_NORMS = 1e-3  # largest relative difference of norms of rows on one sphere
_SPREAD = 3.0  # largest spread of squared norms, relative to that of a standard normal vector
_FALSE_ALARM = 1e-6  # of each test of moments, for rows of the stated distribution
_ROWS = 8  # fewer rows say nothing about second moments
_HARMLESS = 1e-2  # squared deviations of the moments, relative to their mean square, that change nothing visible
_WAY_OUT = "Use covariance='empirical', with more rows in `unlabeled` if you have them."


def homogeneous_degree(activation: Activation) -> int | None:
    """Returns `a` if `s(ct) = c^a s(t)` for `c > 0`, otherwise None."""
    if isinstance(activation, ReluPower):
        return activation.power
    if isinstance(activation, PolynomialActivation):
        present = [j for j, c in enumerate(activation.coefficients) if c]
        return present[0] if len(present) == 1 else None
    return None


def activation_parity(activation: Activation) -> str | None:
    """Returns `"even"`, `"odd"` or None, from values at 64 points and their negatives."""
    t = jnp.linspace(0.05, 4.0, 64)
    right, left = np.asarray(activation(t)), np.asarray(activation(-t))
    scale = 1e-5 * max(float(np.abs(right).max()), 1e-30)
    if np.abs(right - left).max() <= scale:
        return "even"
    return "odd" if np.abs(right + left).max() <= scale else None


def closed_form(kind: str, activation: Activation, v: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes `Σ_ij = E s(⟨v_i, x⟩) s(⟨v_j, x⟩) = κ_0(⟨v_i, v_j⟩)` for `x ~ N(0, I)` and unit rows `v_i`.

    On the sphere of radius `√d`, if `s` is homogeneous of degree `a`, the moment is that of the Gaussian divided by
    `E ‖x‖^{2a}/d^a = d (d+2) … (d+2a-2)/d^a`.

    Raises:
        ArgumentError: with a bias, or on the sphere for an activation that is not homogeneous.
    """
    if np.any(b):
        got = f"{kind!r} with a bias"
        raise _checks.ArgumentError("covariance", "'empirical' for features with a bias", got, _WAY_OUT)
    d, degree = v.shape[1], homogeneous_degree(activation)
    if kind == "sphere" and degree is None:
        expected = "'empirical' for an activation that is not homogeneous"
        raise _checks.ArgumentError("covariance", expected, f"'sphere' with {activation.name!r}", _WAY_OUT)
    with jax.enable_x64(True):
        rho = jnp.clip(jnp.asarray(v @ v.T, jnp.float64), -1.0, 1.0)
        sigma = np.asarray(activation.dual(0)(rho), np.float64)
    if kind == "sphere":
        assert degree is not None
        return sigma * d**degree / math.prod(d + 2 * j for j in range(degree))
    return sigma


def check_inputs(kind: str, x: np.ndarray) -> None:
    """Rejects rows that contradict a closed form.

    These are rows whose norms differ (sphere) or vary more than those of a Gaussian, and rows with other moments.
    """
    if kind == "empirical":
        return
    norms = np.linalg.norm(x, axis=1)
    got = f"norms from {norms.min():.4g} to {norms.max():.4g}"
    if kind == "sphere" and norms.max() > (1 + _NORMS) * norms.min():
        raise _checks.ArgumentError("x", "rows of equal norms for covariance='sphere'", got, _WAY_OUT)
    squares = norms**2 / np.mean(norms**2)
    if kind == "gaussian" and len(x) > 1 and squares.std() > _SPREAD * math.sqrt(2 / x.shape[1]):
        raise _checks.ArgumentError("x", "rows of a normal distribution for covariance='gaussian'", got, _WAY_OUT)
    check_moments(kind, x * math.sqrt(x.shape[1] / np.mean(norms**2)))


def check_moments(kind: str, x: np.ndarray) -> None:
    """Rejects rows whose mean is not 0, or whose covariance is not a multiple of the identity, beyond the sampling error.

    For `n` rows with `E x xᵀ = Σ` and `tr Σ = d`, `F = Σ_{i≠j} ⟨x_i, x_j⟩²/(n(n-1))` is unbiased for `tr Σ² ≥ d`, with equality
    for `Σ = I` only; then its variance is `2 Var⟨x_1, x_2⟩²/(n(n-1))`. In the limit of many rows, `n ‖x̄‖²` has a chi-squared
    distribution of `d` degrees of freedom, and `F`, shifted and scaled, one of `d(d+1)/2 - 1`, the entries of a symmetric
    matrix of trace 0.

    Args:
        kind: `"gaussian"` or `"sphere"`.
        x: rows of mean squared norm `d`, shape `(n, d)`.
    """
    n, d = x.shape
    mean = float(n * np.sum(np.mean(x, axis=0) ** 2))
    shifted = mean > max(chi2.isf(_FALSE_ALARM, d), _HARMLESS * n * d)
    moment = x.T @ x / n
    uneven = False
    if n >= _ROWS and d > 1:
        fourth = np.sum(np.sum(x**2, axis=1) ** 2) / n
        excess = float((n * np.sum(moment**2) - fourth) / (n - 1) - d)
        squares = 3 * d * (d + 2) if kind == "gaussian" else 3 * d**3 / (d + 2)
        error, freedom = math.sqrt(2 * (squares - d**2) / (n * (n - 1))), d * (d + 1) // 2 - 1
        most = error * (chi2.isf(_FALSE_ALARM, freedom) - freedom) / math.sqrt(2 * freedom)
        uneven = excess > max(most, _HARMLESS * d)
    if shifted or uneven:
        values = np.linalg.eigvalsh(moment)
        got = (
            f"a mean of {math.sqrt(mean / n / d):.2g} times the norm of the rows and second moments from "
            f"{max(values[0], 0):.2g} to {values[-1]:.2g} times their mean"
        )
        raise _checks.ArgumentError("x", f"isotropic rows of mean 0 for covariance={kind!r}", got, _WAY_OUT)


def whitening(sigma: np.ndarray, rows: int | None, keep: int | None, most: int | None) -> tuple[np.ndarray, int]:
    """Returns `Σ^{-1/2}` on the leading eigenvectors, shape `(D, K)`, divided by `√K`, and the number dropped as singular.

    Args:
        sigma: `Σ`, shape `(D, D)`.
        rows: number of rows behind an empirical `Σ`, or None.
        keep: `K`, or None for all that are not singular.
        most: largest `K` if `keep` is None.

    Raises:
        ArgumentError: if `keep` exceeds the rank of `Σ`.
    """
    values, vectors = np.linalg.eigh(sigma)
    values, vectors = values[::-1], vectors[:, ::-1]
    size = len(values)
    rank = int(np.sum(values > size * 1e-13 * values[0]))
    if not rank:
        raise _checks.ArgumentError("x", "inputs with nonzero features", "features that are all zero")
    if keep is not None and keep > rank:
        cause = "" if rows is None or rows > rank else f" (from {rows} rows)"
        got = f"{keep}, for a covariance of rank {rank}{cause}"
        advice = "Use keep='auto', or more rows in `unlabeled`."
        raise _checks.ArgumentError("keep", f"at most {rank}", got, advice)
    kept = keep or min(rank, most or rank)
    transform: Any = vectors[:, :kept] / np.sqrt(kept * values[:kept])
    return transform, size - rank
