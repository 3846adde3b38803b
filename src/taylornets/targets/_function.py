"""Functions of few directions, expanded in Hermite polynomials by quadrature (theory 17)."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.polynomial import hermite_e, legendre

from taylornets import _checks
from taylornets.targets._tensors import Dense, orthonormal

LARGEST = 4  # directions: the quadrature has a product grid
# Nodes per axis of the two rules by number of directions; their difference estimates the error of the first.
_NODES = {2: (80, 61), 3: (40, 31), 4: (24, 19)}
# One direction: panel widths of two composite rules on [-12, 12], with 16 Gauss points each.
_PANELS, _POINTS, _EDGE = (0.25, 0.2), 16, 12.0
_ENTRIES = 2**22  # of the largest tensor, r^k
_LARGEST_ERROR = 0.05


class FunctionTarget:
    """A target `f*(x) = φ(⟨β_1, x⟩, …, ⟨β_J, x⟩)`; created by `from_function` or `from_formula`.

    Attributes:
        directions: `β`, shape `(J, d)`.
        degree: highest degree of the Hermite expansion.
        quadrature_error: estimated error of the expansion, relative to the standard deviation of the target.
    """

    def __init__(self, phi: Callable[..., Any], directions: Array, degree: int, label: str):
        self.directions, self.degree = directions, degree
        self._phi, self._label = phi, label
        self._basis, self._coordinates = orthonormal(np.asarray(directions, np.float64), directions.dtype)
        self._one = _takes_one(phi, len(directions))
        self._expansion, self.quadrature_error = self._expand()

    def __call__(self, x: ArrayLike) -> Float[Array, "n 1"]:
        """Returns the values at `x` of shape `(n, d)`."""
        x = _checks.array("x", x, ("n", self.directions.shape[1]))
        return self._values(x @ self.directions.T.astype(x.dtype))[:, None]

    def __repr__(self) -> str:
        return f"FunctionTarget({self._label}, degree={self.degree})"

    @property
    def expansion(self) -> Dense:
        """The Hermite expansion in an orthonormal basis of the span of the directions."""
        return self._expansion

    def _values(self, z: Array) -> Array:
        """Evaluates `φ` at `z` of shape `(n, J)`."""
        columns = (z,) if self._one and z.shape[1] > 1 else tuple(z[:, j] for j in range(z.shape[1]))
        out = jnp.asarray(self._phi(*columns))
        if out.shape == (len(z), 1):
            out = out[:, 0]
        if out.shape == () and not isinstance(out, Tracer):
            out = jnp.broadcast_to(out, (len(z),))
        if out.shape != (len(z),) or jnp.issubdtype(out.dtype, jnp.complexfloating):
            got = f"shape {out.shape}, dtype {out.dtype}, for {len(z)} points"
            advice = "`phi` is called with one array of shape (n,) per direction."
            raise _checks.ArgumentError("phi", "a function with real values of shape (n,)", got, advice)
        return out.astype(z.dtype)

    def _on_host(self, g: np.ndarray) -> np.ndarray:
        """Evaluates the target in float64 at coordinates `g` of shape `(n, r)` in the orthonormal basis."""
        with jax.enable_x64(True):
            found = np.asarray(self._values(jnp.asarray(g @ self._coordinates.T, jnp.float64)), np.float64)
        if not np.isfinite(found).all():
            got = f"{int((~np.isfinite(found)).sum())} of {found.size} values that are not"
            advice = "Gaussian inputs reach every real number: clip the argument of logarithms and roots."
            raise _checks.ArgumentError("phi", "finite values at every node of the quadrature", got, advice)
        return found

    def _expand(self) -> tuple[Dense, float]:
        r = self._coordinates.shape[1]
        if r**self.degree > _ENTRIES:
            most = int(math.log(_ENTRIES) / math.log(r) + 1e-9)
            raise _checks.ArgumentError("degree", f"at most {most} for {r} directions", str(self.degree))
        first, second = (self._coefficients(*rule) for rule in _rules(r))
        variance = first[1]
        if variance <= 1e-24 * max(first[2], 1e-300):
            raise _checks.ArgumentError("phi", "a non-constant function", "one with variance 0 on Gaussian inputs")
        error = math.sqrt(
            max(float(np.sum((first[0] - second[0]) ** 2)), (variance - second[1]) ** 2 / variance) / variance
        )
        if error > _LARGEST_ERROR:
            got = f"an estimated error of {error:.2g} of its standard deviation"
            advice = "Use a smoother function, fewer directions or a smaller `degree`."
            raise _checks.ArgumentError("phi", "a function that the quadrature resolves", got, advice)
        noise = max((3 * error) ** 2, 1e-20)
        return Dense.build(first[0], variance, self.degree, self._basis, noise, self._on_host), error

    def _coefficients(self, nodes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Returns `E[φ Π_i He_{α_i}/√α_i!]` for `|α| ≤ degree`, the variance and the mean square."""
        r, count = self._coordinates.shape[1], len(nodes)
        grid = np.stack(np.meshgrid(*[nodes] * r, indexing="ij"), -1).reshape(-1, r)
        values = self._on_host(grid).reshape((count,) * r)
        scale = np.sqrt([float(math.factorial(q)) for q in range(self.degree + 1)])
        hermite = hermite_e.hermevander(nodes, self.degree).T / scale[:, None] * weights
        weight = weights
        for _ in range(r - 1):
            weight = weight[..., None] * weights
        mean = float(np.sum(weight * values))
        variance = float(np.sum(weight * (values - mean) ** 2))
        found = values
        for _ in range(r):  # each contraction moves the next axis to the front
            found = np.tensordot(found, hermite, ((0,), (1,)))
        total = np.indices(found.shape).sum(0)
        return np.where(total <= self.degree, found, 0.0), variance, variance + mean**2


def _rules(r: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Returns two quadrature rules for the standard normal density on one axis."""
    if r > 1:
        rules = (hermite_e.hermegauss(count) for count in _NODES[r])
        return tuple((nodes, weights / math.sqrt(2 * math.pi)) for nodes, weights in rules)
    points, weights = legendre.leggauss(_POINTS)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for panel in _PANELS:
        middle = np.arange(-_EDGE, _EDGE, panel) + panel / 2
        nodes = (middle[:, None] + panel / 2 * points).ravel()
        density = np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)
        found.append((nodes, np.tile(panel / 2 * weights, len(middle)) * density))
    return tuple(found)


def _takes_one(phi: Callable[..., Any], count: int) -> bool:
    """Returns whether `φ` takes one array; raises if it takes neither one nor `count`."""
    try:
        signature = inspect.signature(phi)
    except (TypeError, ValueError):  # NumPy's universal functions have no signature
        return count == 1
    for arguments in ((None,) * count, (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 1
    expected = f"a function of {count} arrays z_1, …, z_{count}, one per direction"
    raise _checks.ArgumentError("phi", expected, f"one with the signature {str(signature)[:80]}")


def from_function(phi: Any, directions: Any, *, degree: int = 8, label: str = "phi") -> FunctionTarget:
    """Creates a target from any function of at most four directions, `f*(x) = φ(⟨β_1, x⟩, …, ⟨β_J, x⟩)`.

    The function is expanded in Hermite polynomials on Gaussian inputs, by composite Gauss-Legendre quadrature for one
    direction and by Gauss-Hermite quadrature on a product grid for several. The difference between two rules estimates the
    error, which is kept in `quadrature_error`; for polynomials it is of the order of rounding.

    Args:
        phi: called as `phi(z_1, …, z_J)` with arrays of shape `(n,)`, or as `phi(z)` with `z` of shape `(n, J)`
            if it takes one argument; returns shape `(n,)`. NumPy and JAX functions are accepted.
        directions: `β`, shape `(J, d)` or `(d,)`. Their norms matter: `φ(z) = z³ - 3z` has information exponent 3 for a unit
            direction and 1 for one of norm 2.
        degree: highest degree of the expansion; degrees above it are reported together as a remainder.
        label: name in messages and tables.

    Returns:
        The target, callable on `x` of shape `(n, d)`.

    Raises:
        ArgumentError: for more than four directions, a zero direction, a constant function, values that are not finite or
            not of shape `(n,)`, or an estimated quadrature error above 5 % of the standard deviation.

    Source: theory 17.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> target = tn.targets.from_function(lambda z1, z2: z1 * z2, jnp.eye(3)[:2])
        >>> target(jnp.array([[2.0, 5.0, 1.0]])).tolist(), tn.targets.leap(target)
        ([[10.0]], 2)
    """
    if not callable(phi):
        raise _checks.ArgumentError("phi", "a function", _checks.shown(phi), "For formulas, use `from_formula`.")
    if np.ndim(directions) == 1:
        directions = jnp.asarray(directions)[None, :]
    directions = _checks.array("directions", directions, ("J", "d"))
    if len(directions) > LARGEST:
        advice = "For sums of powers of more directions, use `Polynomial`."
        raise _checks.ArgumentError("directions", f"at most {LARGEST} rows", str(len(directions)), advice)
    if not np.all(np.linalg.norm(np.asarray(directions), axis=1)):
        raise _checks.ArgumentError("directions", "nonzero directions", "a zero row")
    return FunctionTarget(phi, directions, _checks.integer("degree", degree, 1), label)
