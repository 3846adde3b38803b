"""Hermite tensors of a target, in an orthonormal basis of the span of its directions (theory 17).

`f*(x) = Σ_k ⟨T_k, He_k(x)⟩`; degree `k` has energy `k! ‖T_k‖²`. Two representations: dense tensors of size `r^k`, and sums of
powers `T_k = Σ_j t_jk b_j^{⊗k}`, whose norms and unfoldings are computed from the Gram matrix of the `b_j` at any rank.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets import _checks
from taylornets.targets._polynomial import Polynomial


@dataclass(frozen=True)
class Dense:
    """The Hermite expansion of a target, with dense tensors.

    Attributes:
        tensors: `T_k`, each of shape `(r,) * k`.
        degree: highest degree computed.
        variance: variance on Gaussian inputs, all degrees.
        basis: orthonormal basis of the span of the directions, shape `(r, d)`.
        noise: shares of the variance below this value are numerical error.
        profile: the target as a function of coordinates of shape `(n, r)`.
    """

    tensors: tuple[np.ndarray, ...]
    degree: int
    variance: float
    basis: np.ndarray
    noise: float
    profile: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def build(
        cls, coefficients: np.ndarray, variance: float, degree: int, basis: np.ndarray, noise: float, profile: Any
    ) -> "Dense":
        """Converts coefficients of the orthonormal polynomials `Π He_{α_i}/√α_i!` to tensors.

        With `c_α = E[φ Π He_{α_i}]`, an entry of `T_k` with `α_i` indices equal to `i` is `c_α/k!`.
        """
        r = coefficients.ndim
        tensors: list[np.ndarray] = []
        for k in range(degree + 1):
            places = np.indices((r,) * k).reshape(k, r**k)
            counts = np.stack([(places == i).sum(0) for i in range(r)])
            roots = np.sqrt(np.prod([[float(math.factorial(q)) for q in row] for row in counts.tolist()], axis=0))
            tensors.append((coefficients[tuple(counts)] * roots / math.factorial(k)).reshape((r,) * k))
        return cls(tuple(tensors), degree, variance, basis, noise, profile)

    def energy(self, k: int) -> float:
        """Returns `k! ‖T_k‖²`."""
        return math.factorial(k) * float(np.sum(self.tensors[k] ** 2))

    def unfolding(self, k: int, slots: int, inside: np.ndarray) -> np.ndarray:
        """Returns the Gram matrix `(r, r)` of `T_k`, projected on `U^⊥` in the first `slots` slots and on `U` in the others.

        Args:
            k: degree.
            slots: number of slots, at least 1.
            inside: orthonormal columns that span `U`, shape `(r, u)`.

        Returns:
            `k! C(k, slots)` times the Gram matrix over the first slot, so that its trace is an energy.
        """
        within = inside @ inside.T
        outside, tensor = np.eye(len(within)) - within, self.tensors[k]
        for slot in range(k):  # each contraction moves the next slot to the front
            tensor = np.tensordot(tensor, outside if slot < slots else within, ((0,), (0,)))
        rows = tensor.reshape(len(within), -1)
        return math.factorial(k) * math.comb(k, slots) * (rows @ rows.T)


@dataclass(frozen=True)
class Powers:
    """An expansion of a sum of powers, with the attributes and methods of `Dense`.

    `⟨β, x⟩^p` has `T_k = c(p, k) ‖β‖^{p-k} β^{⊗k}` with `c(p, k) = p!/(2^{(p-k)/2} ((p-k)/2)! k!)` for even `p - k ≥ 0`.
    """

    points: np.ndarray  # b_j, shape (J, r)
    powers: tuple[int, ...]
    coefficients: np.ndarray
    basis: np.ndarray
    noise: float

    @property
    def degree(self) -> int:
        return max(self.powers)

    @property
    def variance(self) -> float:
        return sum(self.energy(k) for k in range(1, self.degree + 1))

    def profile(self, g: np.ndarray) -> np.ndarray:
        return ((g @ self.points.T) ** np.asarray(self.powers)) @ self.coefficients

    def _weights(self, k: int) -> np.ndarray:
        norms = np.linalg.norm(self.points, axis=1)
        found = [_moment(p, k) * norm ** (p - k) if p >= k else 0.0 for p, norm in zip(self.powers, norms, strict=True)]
        return self.coefficients * np.array(found)

    def energy(self, k: int) -> float:
        t = self._weights(k)
        return max(math.factorial(k) * float(t @ (self.points @ self.points.T) ** k @ t), 0.0)

    def unfolding(self, k: int, slots: int, inside: np.ndarray) -> np.ndarray:
        within = self.points @ inside
        outside = self.points - within @ inside.T
        t = self._weights(k)
        inner = np.outer(t, t) * (outside @ outside.T) ** (slots - 1) * (within @ within.T) ** (k - slots)
        return math.factorial(k) * math.comb(k, slots) * (outside.T @ inner @ outside)


def _moment(p: int, k: int) -> float:
    if (p - k) % 2:
        return 0.0
    half = (p - k) // 2
    return math.factorial(p) / (2**half * math.factorial(half) * math.factorial(k))


def orthonormal(directions: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns an orthonormal basis of the row span, shape `(r, d)`, and the coordinates of the rows, shape `(J, r)`."""
    _, values, vectors = np.linalg.svd(directions, full_matrices=False)
    kept = vectors[values > 10 * max(directions.shape) * float(np.finfo(dtype).eps) * values[0]]
    return kept, directions @ kept.T


Expansion = Dense | Powers


def expansion(target: Any) -> Expansion:
    """Returns the Hermite expansion of a target; raises for other functions and for constants."""
    if isinstance(target, Polynomial):
        basis, points = orthonormal(np.asarray(target.directions, np.float64), target.directions.dtype)
        coefficients = np.asarray(target.coefficients, np.float64)
        size = max(float(np.finfo(item.dtype).eps) for item in (target.directions, target.coefficients))
        found = Powers(points, target.powers, coefficients, basis, size**1.5)
        scale = sum(
            abs(a) * np.linalg.norm(b) ** p for a, b, p in zip(coefficients, points, target.powers, strict=True)
        )
        if found.variance <= 1e-24 * scale**2:
            raise _checks.ArgumentError("target", "a non-constant target", "a polynomial whose terms cancel")
        return found
    inner = getattr(target, "expansion", None)
    if isinstance(inner, Dense):
        return inner
    advice = "Create one with `from_function(phi, directions)`, `from_formula` or `Polynomial`."
    raise _checks.ArgumentError("target", "a target of `taylornets.targets`", _checks.shown(target), advice)
