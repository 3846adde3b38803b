"""The interface of every activation: derivatives of all orders, Gaussian moments, dual activations, bounds."""

import abc
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from taylornets import _checks
from taylornets.activations._traits import Traits

Elementwise = Callable[[ArrayLike], Array]
"""An elementwise function of an array; it preserves shape and dtype."""

MAX_DEGREE = 170
"""Largest degree of a Hermite coefficient: `170!` is the largest factorial in the range of float64."""


def as_inexact(t: ArrayLike) -> Array:
    """Converts `t` to an array of floating or complex dtype; only integers and booleans change dtype."""
    array = jnp.asarray(t)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(jnp.result_type(float))


class Activation(abc.ABC):
    """An activation σ with its derivatives, Gaussian moments, dual activations and bounds.

    Instances are immutable, hashable and compared by value. To add an activation, define a subclass that implements `traits`
    and the abstract methods, and register a name with `taylornets.activations.register`.

    All functions of an array are elementwise, preserve shape and dtype, and support `jit`, `vmap` and differentiation. The
    gradient of `derivative(k)` is `derivative(k + 1)`, including at kinks.

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
        """Computes the derivatives of the given orders jointly; `derivatives` adds validation and gradients."""

    @abc.abstractmethod
    def gaussian_moment(self, k: int, q: int) -> float:
        """Computes `E[σ^{(k)}(g) He_q(g)]` for validated integers."""

    @abc.abstractmethod
    def dual_value(self, k: int, rho: Array) -> Array:
        """Computes `κ_k(ρ)` for `ρ` in [-1, 1]."""

    @abc.abstractmethod
    def dual_slope(self, k: int, rho: Array) -> Array:
        """Computes `dκ_k/dρ` for `ρ` in [-1, 1], itself differentiable."""

    @abc.abstractmethod
    def supremum(self, k: int) -> float:
        """Computes an upper bound on `sup_t |σ^{(k)}(t)|` for a validated integer."""

    @property
    def name(self) -> str:
        """The name under which `taylornets.activations.get` returns this activation."""
        return self.traits.name

    @property
    def analytic(self) -> bool:
        """Whether σ is real analytic and accepts complex arguments inside `strip`."""
        return self.traits.analytic

    @property
    def strip(self) -> float:
        """Half-width of the strip around the real axis on which σ is analytic: 0 if not analytic, infinite if entire."""
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
        """Applies σ to every entry of `t`."""
        return self.derivatives(t, (0,))[0]

    def derivative(self, k: int) -> Elementwise:
        """Returns the elementwise function `t ↦ σ^{(k)}(t)`.

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
        """Computes several derivatives at the same points, sharing common subexpressions.

        Args:
            t: points, any shape; complex only if the activation is `analytic`.
            orders: orders of the derivatives, integers ≥ 0 in any order.

        Returns:
            One array of the shape of `t` for each order.

        Raises:
            ArgumentError: for an invalid order, or complex points with an activation that is not analytic.
        """
        points = as_inexact(t)
        if not self.analytic and jnp.issubdtype(points.dtype, jnp.complexfloating):
            raise _checks.ArgumentError(
                "t",
                f"real points, since {self.name!r} is not known to be analytic",
                f"dtype {points.dtype}",
                "Use an analytic activation such as 'erf', 'sin', 'exp' or 'tanh'.",
            )
        found = _joint(self, tuple(_checks.integer("orders", k, 0) for k in orders))(points)
        return tuple(map(jnp.asarray, found))  # with JAX's coming custom rules, constants are NumPy arrays

    def hermite_coefficient(self, k: int, q: int) -> float:
        """Computes the Hermite coefficient `c_{k,q} = E[σ^{(k)}(g) He_q(g)]`, `g ~ N(0, 1)`.

        `He_q` is the probabilists' Hermite polynomial. `σ^{(k)}` is the almost-everywhere derivative, as computed by
        `derivative(k)` and used in a network: a ReLU power `p` has `c_{k,q} = 0` for all `k > p`, although the
        distributional derivative `σ^{(p+1)}` is a point mass. For smooth activations `c_{k,q} = c_{0,k+q}`.

        The computation runs in float64 on the host, regardless of JAX's default dtype. It uses a closed form for ReLU powers,
        erf, GELU, sin, exp and polynomials, and otherwise composite Gauss-Legendre quadrature with an error of about
        `1e-15 √q! (E σ^{(k)}(g)²)^{1/2}`. A result below the rounding error of the sum is returned as exactly 0, so that
        coefficients that vanish by symmetry are exact.

        Args:
            k: order of the derivative, an integer ≥ 0.
            q: degree of the Hermite polynomial, an integer from 0 to 170 (higher degrees overflow float64).

        Returns:
            The coefficient.

        Raises:
            ArgumentError: if `k` or `q` is not such an integer.

        Source: theory section 6; Bai & Lee (2020), section 5.

        Example:
            >>> import taylornets as tn
            >>> tn.activations.get("cubic_relu").hermite_coefficient(2, 1)
            0.5
        """
        order, degree = _checks.integer("k", k, 0), _checks.integer("q", q, 0)
        if degree > MAX_DEGREE:
            raise _checks.ArgumentError("q", f"a degree ≤ {MAX_DEGREE}", str(q), "Higher moments overflow float64.")
        return _moment(self, order, degree)

    def dual(self, k: int) -> Elementwise:
        """Returns the dual activation of `σ^{(k)}`: `κ_k(ρ) = E[σ^{(k)}(g) σ^{(k)}(g')] = Σ_q c_{k,q}²/q! ρ^q`.

        `g` and `g'` are standard normal with correlation `ρ`. ReLU powers (the arc-cosine kernels), erf, sin, exp and
        polynomials have a closed form. Other activations use the power series with coefficients from Gauss quadrature,
        truncated where the remainder is below the rounding error at every `ρ`, or after 1,024 terms. Only custom functions
        with kinks reach this limit, with an error of about `1e-4` for a jump of the first derivative. `ρ` is clipped to
        [-1, 1], to allow for rounding errors in the correlations.

        For smooth activations the gradient of `dual(k)` is `dual(k + 1)` (Price's theorem), including at `ρ = ±1`. For a
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
        """Computes an upper bound on `sup_t |σ^{(k)}(t)|`, infinite if unbounded.

        The bound applies to remainders of Taylor's theorem, so it is also a Lipschitz constant of `σ^{(k-1)}`: it is infinite
        if that function jumps, as for a ReLU power `p` and every `k > p`, although the almost-everywhere derivative is 0.

        The bound is exact if a closed form is available. Otherwise it is the largest value on a grid of spacing `h` plus
        `h²/8` times a bound on `|σ^{(k+2)}|`: the derivative vanishes at an interior maximum, so the value at the nearest grid
        point, at most `h/2` away, is lower by at most this amount. An analytic tail bound covers points beyond the grid. The
        result is increased by a relative `1e-9` for rounding.

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


# The functions below are cached by value, so that an activation always returns the same function object and jitted code that
# receives it as a static argument is not recompiled.


@functools.lru_cache(maxsize=1024)
def _derivative(activation: Activation, k: int) -> Elementwise:
    def derivative(t: ArrayLike) -> Array:
        return activation.derivatives(t, (k,))[0]

    return derivative


@functools.lru_cache(maxsize=1024)
def _joint(activation: Activation, orders: tuple[int, ...]) -> Callable[[Array], tuple[Array, ...]]:
    """Computes all orders jointly; the differentiation rule evaluates them together with the next orders."""
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
    # Clip inside the function: the gradient of `clip` at its ends is not 1, but κ_k needs its full gradient at ρ = ±1.
    @jax.custom_jvp
    def dual(rho: Array) -> Array:
        return activation.dual_value(k, jnp.clip(rho, -1, 1))

    @dual.defjvp
    def _rule(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        (rho,), (tangent,) = primals, tangents
        return dual(rho), activation.dual_slope(k, rho) * tangent

    def apply(rho: ArrayLike) -> Array:
        return jnp.asarray(dual(as_inexact(rho)))

    return apply
