"""The representation of the hierarchical learner (theory 16; Chen, Bai, Lee et al. 2020)."""

import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, _trees, activations
from taylornets.activations import PolynomialActivation
from taylornets.learners._covariance import KINDS, activation_parity, check_inputs, closed_form, whitening
from taylornets.targets import degree_spectrum
from taylornets.two_layer import TwoLayerNetwork

TOP = "polynomial(0.0, 0.0, 0.5)"
"""The activation of the network on a representation, `t²/2`: its quadratic term is a quadratic form in `h`."""

_SHARE = 1e-6  # of the variance of a target, above which a part of the wrong parity is said


class Hierarchical(_trees.HashableModule):
    """A fitted representation `h(x) = Σ^{-1/2} s(V x + b)/√K`; created by `hierarchical`.

    Attributes:
        directions: `V`, unit rows, shape `(D, d)`.
        biases: `b`, shape `(D,)`.
        transform: `Σ^{-1/2}/√K` on the kept eigenvectors, shape `(D, K)`.
        scale: divisor of the inputs: their root mean square norm, over `√d`.
        activation: `s`.
        covariance: `"empirical"`, `"gaussian"` or `"sphere"`.
        parity: `"even"` if `h(-x) = h(x)`, `"odd"` if `h(-x) = -h(x)`, otherwise None. In the first two cases every quadratic
            form in `h` is even: no odd target can be expressed.
        dropped: number of eigenvalues of `Σ` dropped because `Σ` is singular; with fewer rows than features, also those that
            the rows do not determine.
        rows: number of rows behind `Σ`, or None for a closed form.

    Example:
        >>> import jax, taylornets as tn
        >>> x = jax.random.normal(jax.random.key(0), (200, 4))
        >>> h = tn.learners.hierarchical(jax.random.key(1), x, width=20, covariance="gaussian")
        >>> h.outputs, h.dropped, h(x).shape
        (10, 10, (200, 10))
    """

    directions: Float[Array, "D d"]
    biases: Float[Array, "D"]
    transform: Float[Array, "D K"]
    scale: Float[Array, ""]
    activation: activations.Activation = eqx.field(static=True)
    covariance: str = eqx.field(static=True)
    parity: str | None = eqx.field(static=True)
    dropped: int = eqx.field(static=True)
    rows: int | None = eqx.field(static=True)

    @property
    def inputs(self) -> int:
        """The dimension `d` of an example."""
        return self.directions.shape[1]

    @property
    def outputs(self) -> int:
        """The dimension `K` of the representation."""
        return self.transform.shape[1]

    def __call__(self, x: ArrayLike) -> Float[Array, "n K"]:
        """Returns `h(x)` for `x` of shape `(n, d)`; mean squared norm 1."""
        x = _checks.array("x", x, ("n", self.inputs))
        return _represent(self, x)

    def network(self, key: PRNGKeyArray, width: int = 32, outputs: int = 1) -> TwoLayerNetwork:
        """Draws a network on `h` with the activation `t²/2` and the dtype of the representation.

        Args:
            key: JAX random key.
            width: hidden units; 32 are enough for a target of low rank, 8 too few.
            outputs: `C`.

        Returns:
            A network with `K` inputs.
        """
        return TwoLayerNetwork.init(
            key, inputs=self.outputs, width=width, outputs=outputs, activation=TOP, dtype=self.transform.dtype
        )

    def wrong_parity(self, target: Any, y: Any = None) -> str | None:
        """Says before training whether the target has an odd part, which a representation with a parity cannot express.

        Args:
            target: a target of `taylornets.targets`, or inputs `x` on a sphere, shape `(n, d)`.
            y: values, shape `(n,)`, with inputs.

        Returns:
            A sentence, or None if nothing speaks against the representation. From examples, only odd degrees up to 3 that are
            significant are reported.
        """
        if self.parity is None:
            return None
        spectrum = degree_spectrum(target) if y is None else degree_spectrum(target, y, degrees=3)
        odd = [i for i, k in enumerate(spectrum.degrees) if k % 2 and spectrum.significant[i]]
        share = sum(spectrum.shares[i] for i in odd)
        if not odd or share <= _SHARE:
            return None
        return (
            f"The target has an odd part, a share of {share:.2g} of its variance. This representation is {self.parity}, and "
            "quadratic forms in it are even functions: that share cannot be learned. Use a bias, for example bias=1."
        )

    def __str__(self) -> str:
        features, rank = len(self.directions), len(self.directions) - self.dropped
        dropped = f"{self.dropped} singular directions dropped"
        if self.rows is not None and self.rows <= rank:
            dropped = f"{self.dropped} directions dropped, singular or undetermined from only {self.rows} rows"
        cut = f", {rank - self.outputs} of small variance cut" if rank > self.outputs else ""
        even = "" if self.parity is None else f"; {self.parity}: quadratic forms in it express even functions only"
        return (
            f"representation of dimension {self.outputs} from {features} features {self.activation.name}, {dropped}{cut} "
            f"({self.covariance} covariance){even}"
        )


@eqx.filter_jit
def _represent(h: Hierarchical, x: Array) -> Array:
    return _features(h.activation, h.directions, h.biases, x / h.scale) @ h.transform


def _features(activation: activations.Activation, v: Array, b: Array, x: Array) -> Array:
    return activation(x @ v.T + b)


def hierarchical(
    key: PRNGKeyArray,
    x: ArrayLike,
    *,
    width: int,
    activation: str | activations.Activation = "square",
    bias: float = 0.0,
    keep: int | str = "auto",
    covariance: str = "empirical",
    unlabeled: ArrayLike | None = None,
) -> Hierarchical:
    """Fits the representation of the hierarchical learner, `h(x) = Σ^{-1/2} s(V x + b)/√K`, with random fixed `V` and `b`.

    A quadratic model on `h` expresses `⟨β, x⟩^p` as a product of two factors of degree `⌈p/2⌉`, each linear in `h`, so it
    needs `n ~ d^{⌈p/2⌉}` examples, against `d^{p-1}` for the quadratic model on `x`. This pays from `p = 4` on.

    `h(x)` is an ordinary array of examples: use it wherever `x` is used. Train the quadratic model on it with `h.network(key)`,
    whose activation is `t²/2`.

    Args:
        key: JAX random key for `V` and `b`.
        x: examples, shape `(n, d)`, of any scale; the scale is kept in `h`.
        width: `D`, the number of features. For `"square"`, `D ≥ 2K = d(d+1)` spans all quadratic forms.
        activation: `s`. `"square"` spans the quadratic forms exactly. ReLU and its powers need more features.
        bias: standard deviation of `b`. With 0, `"square"` is even: odd targets cannot be expressed.
        keep: `K`, the number of leading eigenvalues of `Σ`. `"auto"` keeps all that are not singular for polynomials, and the
            `d(d+3)/2` of degrees 0, 1 and 2 for other activations: full whitening would lift the noise of higher degrees.
        covariance: `"empirical"`, from the rows of `x` and `unlabeled`; or in closed form for inputs that are `"gaussian"`
            (isotropic) or uniform on a `"sphere"`.
        unlabeled: further rows for the empirical covariance, shape `(N, d)`.

    Returns:
        The representation, a function of `x`.

    Raises:
        ArgumentError: for `keep` above `width` or above the rank of `Σ`, rows that contradict a closed form, and a closed form
            with a bias or, on a sphere, for an activation that is not homogeneous.

    Warns:
        UserWarning: if an empirical covariance has fewer rows than the dimension that it estimates.

    Source: theory 16; Chen et al. (2020).

    Example:
        >>> import jax, taylornets as tn
        >>> x = jax.random.normal(jax.random.key(0), (400, 6))
        >>> h = hierarchical(jax.random.key(1), x, width=42)
        >>> z, y = h(x), x[:, 0] ** 4
        >>> found = tn.fit(h.network(jax.random.key(2)), z, y, penalty=1e-3, power=4, tol=1e-2)
        >>> found.w.shape
        (32, 21)
    """
    x = _checks.array("x", x, ("n", "d"))
    rows, wide = np.asarray(x, np.float64), _checks.integer("width", width, 1)
    s = activations.get(activation)
    d = x.shape[1]
    given: Any = bias
    if isinstance(given, bool) or not isinstance(given, int | float | np.number) or not 0 <= float(bias) < np.inf:
        raise _checks.ArgumentError("bias", "a number ≥ 0", _checks.shown(bias))
    fixed = _kept(keep, wide)
    kind = _checks.choice("covariance", covariance, KINDS)
    if unlabeled is not None:
        if kind != "empirical":
            advice = "A closed form uses no rows."
            raise _checks.ArgumentError("unlabeled", f"None for covariance={kind!r}", _checks.shown(unlabeled), advice)
        rows = np.concatenate([rows, np.asarray(_checks.array("unlabeled", unlabeled, ("N", d)), np.float64)])
    scale = float(np.sqrt(np.mean(np.sum(rows**2, axis=1)) / d))
    if scale == 0:
        raise _checks.ArgumentError("x", "nonzero rows", "zeros only")
    check_inputs(kind, rows)
    key_v, key_b = jax.random.split(key)
    with jax.enable_x64(True):
        v = np.asarray(jax.random.normal(key_v, (wide, d), jnp.float64))
        b = float(bias) * np.asarray(jax.random.normal(key_b, (wide,), jnp.float64))
        v = v / np.linalg.norm(v, axis=1, keepdims=True)
        if kind == "empirical":
            g = np.asarray(_features(s, jnp.asarray(v), jnp.asarray(b), jnp.asarray(rows / scale)))
            sigma = g.T @ g / len(g)
        else:
            sigma = closed_form(kind, s, v, b)
    most = None if isinstance(s, PolynomialActivation) else d * (d + 3) // 2
    count = len(rows) if kind == "empirical" else None
    transform, dropped = whitening(sigma, count, fixed, most)
    if count is not None and count <= min(transform.shape[1], wide):
        warnings.warn(
            f"The covariance of {wide} features is estimated from {count} rows and has rank {wide - dropped}; pass more rows "
            "in `unlabeled`, or use a closed form.",
            UserWarning,
            stacklevel=2,
        )
    parity = activation_parity(s) if not np.any(b) else None
    v, b, transform, scale = (jnp.asarray(part, x.dtype) for part in (v, b, transform, scale))
    return Hierarchical(v, b, transform, scale, s, kind, parity, dropped, count)


def _kept(keep: Any, width: int) -> int | None:
    """Returns `K`, or None for `"auto"`."""
    if isinstance(keep, str):
        _checks.choice("keep", keep, ("auto",), "Or an integer.")
        return None
    if _checks.integer("keep", keep, 1) > width:
        raise _checks.ArgumentError("keep", f"at most {width}, the number of features", str(keep), "Raise `width`.")
    return int(keep)
