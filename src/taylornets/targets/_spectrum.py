"""The degree spectrum of a target: how its variance is distributed over polynomial degrees (theory 17)."""

from dataclasses import dataclass
from typing import Any, overload

from jaxtyping import PRNGKeyArray

from taylornets import _checks
from taylornets.targets._exponents import TOLERANCE, check_tolerance
from taylornets.targets._function import FunctionTarget
from taylornets.targets._polynomial import Polynomial
from taylornets.targets._sampled import Sampled, estimate
from taylornets.targets._tensors import expansion


@dataclass(frozen=True)
class DegreeSpectrum:
    """Energies of a target by polynomial degree; created by `degree_spectrum`. It prints as a table.

    Attributes:
        degrees: the degrees `k ≥ 1`.
        energies: the variance of the part of each degree; an unbiased estimate, possibly negative, if computed from examples.
        shares: energies divided by the variance.
        variance: variance of the target.
        remainder: share of the variance in higher degrees (and, from examples, in the noise).
        significant: whether each degree is present: a share above `tol`, or a permutation test at the stated level.
        error: estimated numerical error relative to the standard deviation of the target; 0 for polynomials and examples.
        intervals: 95 % bootstrap intervals of the shares, from examples; otherwise None.
        p_values: of the permutation test, from examples; otherwise None.
        noise: standard deviation `√(2 N_k)/n` of each share for targets without signal, from examples; otherwise None.
        unresolved: degrees `k` with fewer rows than `√N_k`, which no method could see in this many examples.

    Example:
        >>> import taylornets as tn
        >>> spectrum = tn.targets.degree_spectrum(tn.targets.from_formula("z1 + he3(z1)", inputs=2, degree=3))
        >>> print(spectrum)
        degree   share
             1   0.143  *
             2   0.000
             3   0.857  *
          rest   0.000
        >>> spectrum.exponent, spectrum.degree
        (1, 3)
    """

    degrees: tuple[int, ...]
    energies: tuple[float, ...]
    shares: tuple[float, ...]
    variance: float
    remainder: float
    significant: tuple[bool, ...]
    error: float = 0.0
    intervals: tuple[tuple[float, float], ...] | None = None
    p_values: tuple[float, ...] | None = None
    noise: tuple[float, ...] | None = None
    unresolved: tuple[int, ...] = ()

    @property
    def exponent(self) -> int | None:
        """The smallest degree present, or None; from examples it is nothing more than the smallest significant degree."""
        return next((k for k, found in zip(self.degrees, self.significant, strict=True) if found), None)

    @property
    def degree(self) -> int | None:
        """The largest degree present, or None."""
        return next((k for k, found in zip(self.degrees[::-1], self.significant[::-1], strict=True) if found), None)

    def __str__(self) -> str:
        lines = ["degree   share" + ("   95 % interval    p-value" if self.p_values else "")]
        for i, (k, share) in enumerate(zip(self.degrees, self.shares, strict=True)):
            line = f"{k:>6}  {share:>6.3f}"
            if self.intervals is not None and self.p_values is not None:
                low, high = self.intervals[i]
                line += f"   {low:>6.3f} to {high:.3f}   {self.p_values[i]:.3f}"
            few = "   (fewer rows than √N_k: not resolved)" if k in self.unresolved else ""
            lines.append(line + ("  *" if self.significant[i] else "") + few)
        return "\n".join([*lines, f"{'rest':>6}  {self.remainder:>6.3f}"])


@overload
def degree_spectrum(target: Any, /, *, tol: float = ...) -> DegreeSpectrum: ...


@overload
def degree_spectrum(
    x: Any, y: Any, /, *, degrees: int = ..., permutations: int = ..., resamples: int = ..., level: float = ...,
    key: PRNGKeyArray | None = ..., block: int = ...,
) -> DegreeSpectrum: ...  # fmt: skip


def degree_spectrum(
    target: Any, y: Any = None, *, tol: float = TOLERANCE, degrees: int = 4,
    permutations: int = 199, resamples: int = 199, level: float = 0.05, key: PRNGKeyArray | None = None, block: int = 2048,
) -> DegreeSpectrum:  # fmt: skip
    """Computes the degree spectrum of a target, or estimates it from examples `(x, y)` on a sphere.

    Of a target: degree `k` has energy `k! ‖T_k‖²` on Gaussian inputs, exact for polynomials.

    From examples, for uniform inputs on a sphere: with `N_k` harmonics of degree `k` and the Gegenbauer polynomial `P_k`,
    `P_k(1) = 1`,

        Ê_k = N_k/(n (n-1)) Σ_{i≠j} (y_i - ȳ)(y_j - ȳ) P_k(⟨x̂_i, x̂_j⟩) / (1 - 2/n + 2/n²)

    is an unbiased estimate of the variance of the part of degree `k`; the last factor makes the centering exact. Without
    signal its standard deviation is `√(2 N_k)/n` times the variance, so degree `k` shows from `n ~ √N_k ~ d^{k/2}`
    examples; with signal it can be several times larger. Hence the test permutes `y`, and the intervals come from a bootstrap.

    The spectrum says which degrees are present, hence which order of model can represent the target. It is not the number of
    examples that `tn.fit` needs: that depends on the rank too. If inputs are not uniform on a sphere, degrees mix.

    Args:
        target: a target; or the inputs `x`, shape `(n, d)` with `d ≥ 2`, whose rows have equal norms.
        y: values, shape `(n,)` or `(n, C)` (energies are then summed over outputs); only with inputs.
        tol: share of the variance above which a degree of a target is present; at least the numerical error.
        degrees: largest degree estimated from examples.
        permutations: number of random permutations of the test.
        resamples: number of bootstrap samples; 0 for no intervals.
        level: level of the test over all degrees together (Bonferroni): under a constant regression function,
            the probability that any degree is called significant.
        key: JAX random key of permutations and bootstrap; by default `jax.random.key(0)`.
        block: rows of a block of the `n × n` matrix of inner products, which is never stored.

    Returns:
        The spectrum.

    Raises:
        ArgumentError: for another kind of target, a constant target, rows of different norms, fewer than 4 rows, or too few
            permutations for the level.

    Source: theory 17.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> spectrum = tn.targets.degree_spectrum(tn.targets.from_formula("z1**3", inputs=20))
        >>> [round(share, 2) for share in spectrum.shares[:3]], spectrum.exponent  # z³ = He_3 + 3 He_1
        ([0.6, 0.0, 0.4], 1)
        >>> x = jax.random.normal(jax.random.key(0), (500, 20))
        >>> x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
        >>> tn.targets.degree_spectrum(x, x[:, 0] * x[:, 1], degrees=3).exponent
        2
    """
    if isinstance(target, Polynomial | FunctionTarget) or y is None:
        if y is not None:
            raise _checks.ArgumentError("y", "no values for a target", _checks.shown(y), "Pass inputs `x` first.")
        return _exact(target, check_tolerance(tol))
    found = estimate(target, y, degrees, permutations, resamples, level, key, block)
    return _from_sample(found)


def _exact(target: Any, tol: float) -> DegreeSpectrum:
    terms = expansion(target)
    degrees = tuple(range(1, terms.degree + 1))
    energies = tuple(terms.energy(k) for k in degrees)
    shares = tuple(energy / terms.variance for energy in energies)
    remainder = max(1 - sum(shares), 0.0)
    significant = tuple(share > max(tol, terms.noise) for share in shares)
    error = target.quadrature_error if isinstance(target, FunctionTarget) else 0.0
    return DegreeSpectrum(degrees, energies, shares, terms.variance, remainder, significant, error)


def _from_sample(found: Sampled) -> DegreeSpectrum:
    shares = found.energies / found.variance
    bounds = None if found.intervals is None else [(float(low), float(high)) for low, high in found.intervals.T]
    return DegreeSpectrum(
        tuple(range(1, len(shares) + 1)),
        tuple(map(float, found.energies)),
        tuple(map(float, shares)),
        found.variance,
        float(1 - shares.sum()),
        tuple(bool(p <= found.threshold) for p in found.p_values),
        intervals=None if bounds is None else tuple(bounds),
        p_values=tuple(map(float, found.p_values)),
        noise=tuple(map(float, found.noise)),
        unresolved=tuple(k + 1 for k in range(len(shares)) if found.unresolved[k]),
    )
