"""The interface of every activation: derivatives of all orders, Gaussian moments, dual activations, bounds."""

import abc
import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from taylornets import _checks

Elementwise = Callable[[ArrayLike], Array]
"""A function applied to every entry of an array; shape and floating type are kept."""

MAX_DEGREE = 170
"""Largest degree of a Hermite coefficient: `170!` is the last factorial in float64's range."""


@dataclasses.dataclass(frozen=True)
class Traits:
    """What is known about an activation without evaluating it.

    Attributes:
        name: the name `taylornets.activations.get` accepts (of a custom one: the name of its function).
        analytic: whether it is real analytic, and complex arguments are accepted.
        strip: half-width of the strip around the real axis on which it is analytic; 0 if it is not.
        kinks: points where some derivative jumps.
        smoothness: number of continuous derivatives, or None for all.

    Example:
        >>> import taylornets as tn
        >>> traits = tn.activations.get("cubic_relu").traits
        >>> traits.analytic, traits.kinks, traits.smoothness
        (False, (0.0,), 2)
    """

    name: str
    analytic: bool
    strip: float
    kinks: tuple[float, ...] = ()
    smoothness: int | None = None


def as_inexact(t: ArrayLike) -> Array:
    """`t` as an array of floating or complex type; only integers and booleans change type."""
    array = jnp.asarray(t)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(jnp.result_type(float))


class Activation(abc.ABC):
    """An activation σ with everything that the theory asks of it.

    Instances are immutable, hashable and equal by value. A new activation is one class that fills in `traits` and the
    methods below that are abstract, and registers a name with `taylornets.activations.register`.

    All functions of an array are elementwise, keep its shape and floating type, and can be jitted, vmapped and
    differentiated. The gradient of `derivative(k)` is `derivative(k + 1)`, at kinks too.

    Source: theory sections 1, 6 and 9.

    Example:
        >>> import taylornets as tn
        >>> sigma = tn.activations.get("cubic_relu")
        >>> round(float(sigma(2.0)), 4), float(sigma.derivative(2)(2.0))
        (1.3333, 2.0)
    """

    @property
    @abc.abstractmethod
    def traits(self) -> Traits:
        """Name, analyticity, kinks and smoothness."""

    @abc.abstractmethod
    def evaluate(self, t: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """The derivatives of the given orders, computed together; `derivatives` adds checks and gradients."""

    @abc.abstractmethod
    def gaussian_moment(self, k: int, q: int) -> float:
        """`E[σ^{(k)}(g) He_q(g)]` for integers that have been checked."""

    @abc.abstractmethod
    def dual_value(self, k: int, rho: Array) -> Array:
        """`κ_k(ρ)` for `ρ` in [-1, 1]."""

    @abc.abstractmethod
    def dual_slope(self, k: int, rho: Array) -> Array:
        """`dκ_k/dρ` for `ρ` in [-1, 1], itself differentiable."""

    @abc.abstractmethod
    def supremum(self, k: int) -> float:
        """An upper bound on `sup_t |σ^{(k)}(t)|` for an integer that has been checked."""

    @property
    def name(self) -> str:
        """The name under which `taylornets.activations.get` returns this activation."""
        return self.traits.name

    @property
    def analytic(self) -> bool:
        """Whether σ is real analytic, so that complex arguments are accepted inside `strip`."""
        return self.traits.analytic

    @property
    def strip(self) -> float:
        """Half-width of the strip around the real axis on which σ is analytic: 0 if nowhere, infinite if entire."""
        return self.traits.strip

    @property
    def kinks(self) -> tuple[float, ...]:
        """Points where some derivative jumps; empty for smooth activations."""
        return self.traits.kinks

    @property
    def smoothness(self) -> int | None:
        """Number of continuous derivatives; None for infinitely many."""
        return self.traits.smoothness

    def __call__(self, t: ArrayLike) -> Array:
        """σ at every entry of `t`."""
        return self.derivatives(t, (0,))[0]

    def derivative(self, k: int) -> Elementwise:
        """The function `t ↦ σ^{(k)}(t)`, elementwise.

        Args:
            k: order, an integer ≥ 0.

        Returns:
            A function of an array; its gradient is `derivative(k + 1)`.

        Raises:
            ArgumentError: if `k` is not an integer ≥ 0.

        Example:
            >>> import taylornets as tn
            >>> float(tn.activations.get("sin").derivative(3)(0.0))
            -1.0
        """
        return _derivative(self, _checks.integer("k", k, 0, "The order of a derivative is 0, 1, 2, ..."))

    def derivatives(self, t: ArrayLike, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """Several derivatives at the same points; what they have in common is computed once.

        Args:
            t: points, any shape; complex only if the activation is `analytic`.
            orders: orders of derivative, integers ≥ 0 in any sequence.

        Returns:
            One array of the shape of `t` for each order.

        Raises:
            ArgumentError: for a bad order, or complex points of an activation that is not analytic.
        """
        points = as_inexact(t)
        if not self.analytic and jnp.issubdtype(points.dtype, jnp.complexfloating):
            raise _checks.ArgumentError(
                "t",
                f"real points, since {self.name!r} is not known to be analytic",
                f"dtype {points.dtype}",
                "Use an analytic activation such as 'erf', 'sin', 'exp' or 'tanh'.",
            )
        return _joint(self, tuple(_checks.integer("orders", k, 0) for k in orders))(points)

    def hermite_coefficient(self, k: int, q: int) -> float:
        """The Hermite coefficient `c_{k,q} = E[σ^{(k)}(g) He_q(g)]`, `g ~ N(0, 1)`.

        `He_q` is the probabilists' Hermite polynomial. `σ^{(k)}` is the derivative almost everywhere, which is what
        `derivative(k)` computes and a network sees: a ReLU power `p` has `c_{k,q} = 0` for all `k > p`, although the
        distribution `σ^{(p+1)}` is a point mass. For smooth activations `c_{k,q} = c_{0,k+q}`.

        Computed in float64 on the host, whatever JAX's floating type. In closed form for ReLU powers, erf, GELU, sin,
        exp and polynomials. Otherwise by composite Gauss-Legendre quadrature, with an error of about
        `1e-15 √q! (E σ^{(k)}(g)²)^{1/2}`; a result below the rounding error of the sum is returned as exactly 0, so
        that coefficients that vanish by symmetry do vanish.

        Args:
            k: order of the derivative, an integer ≥ 0.
            q: degree of the Hermite polynomial, an integer from 0 to 170 (beyond, `He_q` leaves float64).

        Returns:
            The coefficient.

        Raises:
            ArgumentError: if `k` or `q` is not such an integer.

        Source: theory section 6; BL20 section 5.

        Example:
            >>> import taylornets as tn
            >>> tn.activations.get("cubic_relu").hermite_coefficient(2, 1)
            0.5
        """
        order, degree = _checks.integer("k", k, 0), _checks.integer("q", q, 0)
        if degree > MAX_DEGREE:
            raise _checks.ArgumentError("q", f"a degree ≤ {MAX_DEGREE}", str(q), "Its moments are beyond float64.")
        return _moment(self, order, degree)

    def dual(self, k: int) -> Elementwise:
        """The dual activation of `σ^{(k)}`: `κ_k(ρ) = E[σ^{(k)}(g) σ^{(k)}(g')] = Σ_q c_{k,q}²/q! ρ^q`.

        `g` and `g'` are standard normal with correlation `ρ`. In closed form for ReLU powers (the arc-cosine
        kernels), erf, sin, exp and polynomials. Otherwise the power series, with coefficients by Gauss quadrature,
        cut where the rest of at most 1,024 terms is below the rounding error at every `ρ`; only a custom function with
        a kink uses them up, with an error of about `1e-4` for a jump of the first derivative. `ρ` is clipped to
        [-1, 1], so that correlations that left it by rounding are harmless.

        For smooth activations the gradient of `dual(k)` is `dual(k + 1)` (Price's theorem), at `ρ = ±1` too. For a
        ReLU power `p` it is that of the arc-cosine kernel, which is infinite at `±1` for `k = p`.

        Args:
            k: order, an integer ≥ 0.

        Returns:
            A function of an array of correlations, elementwise.

        Raises:
            ArgumentError: if `k` is not an integer ≥ 0.

        Source: theory section 9; Cho and Saul 2009 for ReLU powers, Williams 1998 for erf.

        Example:
            >>> import taylornets as tn
            >>> float(tn.activations.get("relu").dual(1)(1.0))
            0.5
        """
        return _dual(self, _checks.integer("k", k, 0))

    def derivative_bound(self, k: int) -> float:
        """An upper bound on `sup_t |σ^{(k)}(t)|`, infinite when unbounded.

        It is made for remainders of Taylor's theorem, so it is also a Lipschitz constant of `σ^{(k-1)}`: infinite if
        that function jumps, as for a ReLU power `p` and every `k > p`, where the derivative almost everywhere is 0.

        Exact where a closed form is at hand. Otherwise the largest value on a grid of spacing `h` plus `h²/8` times a
        bound on `|σ^{(k+2)}|`: the derivative vanishes at an interior maximum, so the nearest grid point, at most
        `h/2` away, cannot be lower by more. Beyond the grid an analytic tail bound is used. The result is enlarged
        by a relative `1e-9` for rounding.

        Args:
            k: order, an integer ≥ 0.

        Returns:
            The bound.

        Raises:
            ArgumentError: if `k` is not an integer ≥ 0.

        Source: theory section 5, the constant `L4` of the coupling bound.

        Example:
            >>> import taylornets as tn
            >>> tn.activations.get("cubic_relu").derivative_bound(3)
            1.0
        """
        return _bound(self, _checks.integer("k", k, 0))


# Functions below are cached by value, so that an activation hands out the same function every time and jitted code that
# received it as a static argument is not compiled again.


@functools.lru_cache(maxsize=1024)
def _derivative(activation: Activation, k: int) -> Elementwise:
    def derivative(t: ArrayLike) -> Array:
        return activation.derivatives(t, (k,))[0]

    return derivative


@functools.lru_cache(maxsize=1024)
def _joint(activation: Activation, orders: tuple[int, ...]) -> Callable[[Array], tuple[Array, ...]]:
    """All orders at once; the rule of differentiation evaluates them and the next ones together."""
    needed = tuple(sorted({*orders, *(k + 1 for k in orders)}))

    @jax.custom_jvp
    def joint(t: Array) -> tuple[Array, ...]:
        return activation.evaluate(t, orders)

    @joint.defjvp
    def _rule(primals: tuple[Array], tangents: tuple[Array]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        (t,), (tangent,) = primals, tangents
        found = dict(zip(needed, activation.derivatives(t, needed), strict=True))
        return tuple(found[k] for k in orders), tuple(found[k + 1] * tangent for k in orders)

    return joint


@functools.lru_cache(maxsize=4096)
def _moment(activation: Activation, k: int, q: int) -> float:
    return activation.gaussian_moment(k, q)


@functools.lru_cache(maxsize=1024)
def _bound(activation: Activation, k: int) -> float:
    return activation.supremum(k)


@functools.lru_cache(maxsize=1024)
def _dual(activation: Activation, k: int) -> Elementwise:
    # Clipping stays inside: the gradient of `clip` at its ends is not 1, that of κ_k at ρ = ±1 is wanted whole.
    @jax.custom_jvp
    def dual(rho: Array) -> Array:
        return activation.dual_value(k, jnp.clip(rho, -1, 1))

    @dual.defjvp
    def _rule(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        (rho,), (tangent,) = primals, tangents
        return dual(rho), activation.dual_slope(k, rho) * tangent

    def apply(rho: ArrayLike) -> Array:
        return dual(as_inexact(rho))

    return apply
