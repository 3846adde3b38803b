"""Penalties of order `k` and power `p`: `λ ‖W‖_{2,2k}^p` (theory sections 1, 3 and 5).

`‖W‖_{2,2k} = (Σ_r ‖w_r‖^{2k})^{1/(2k)}` is the Frobenius norm for `k = 1` and `‖W‖_{2,4}` for `k = 2`. For `R` copies
of a unit, `‖w_r‖² = Σ_j ‖w_rj‖²`.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from taylornets import _checks

Displacement = Float[Array, "m d"] | Float[Array, "m R d"]
Scalar = Float[Array, ""]


def _squared_norms(w: Array) -> Float[Array, " m"]:
    return jnp.sum(w * w, axis=tuple(range(1, w.ndim)))


def _checked(w: Any) -> Array:
    """Validates `w`, a floating-point array of shape `(m, d)` or `(m, R, d)`; NaN passes, for optimizers to detect it."""
    w = jnp.asarray(w)
    if w.ndim not in {2, 3} or not jnp.issubdtype(w.dtype, jnp.floating):
        raise _checks.ArgumentError(
            "w", "a floating-point array of shape (m, d) or (m, R, d)", f"{w.dtype} of shape {w.shape}"
        )
    return w


def _safe_power(base: Array, exponent: float) -> Array:
    """Computes `base^exponent` for `base ≥ 0` and `exponent ≥ 1`, with derivatives 0 where it underflows to 0.

    The second derivative of `jnp.power` contains `base^{exponent-2}`, which is infinite at 0 for exponents below 2 and is
    multiplied by 0 in the chain rule. NaN stays NaN.
    """
    if exponent == round(exponent):
        return base ** round(exponent)
    vanishes = base <= jnp.finfo(base.dtype).tiny
    return jnp.where(vanishes, 0, jnp.where(vanishes, 1, base) ** exponent)


def group_norm(w: Displacement, order: int) -> Scalar:
    """Computes the norm of order `k`, `‖W‖_{2,2k} = (Σ_r ‖w_r‖^{2k})^{1/(2k)}`.

    The computation is scaled by the largest unit to avoid overflow and underflow. The gradient at `W = 0` is defined as 0.

    Args:
        w: displacement, shape `(m, d)`, or `(m, R, d)` with `R` copies of each unit.
        order: `k`, an integer ≥ 1.

    Returns:
        The norm, a scalar.

    Raises:
        ArgumentError: for a wrong shape, or `order` below 1.

    Source: theory section 1; Bai & Lee (2020), section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> from taylornets.penalties import group_norm
        >>> float(group_norm(jnp.array([[3.0, 4.0]]), 2))
        5.0
    """
    w, order = _checked(w), _checks.integer("order", order, 1)
    largest = jnp.max(jnp.abs(w), initial=0)
    zero = largest == 0
    scale = jnp.where(zero, 1, largest)
    total = jnp.sum(_squared_norms(w / scale) ** order)
    return jnp.where(zero, 0, scale * jnp.where(zero, 1, total) ** (1 / (2 * order)))


@dataclasses.dataclass(frozen=True)
class GroupPenalty:
    """The penalty `λ ‖W‖_{2,2k}^p` of order `k` and power `p ≥ 2k`; Bai & Lee (2020) use `k = 2`, `p = 8`.

    `p ≥ 2k` makes it convex and continuously differentiable in the squared norms, so that derivatives at `W = 0` exist
    and are 0 (for `k = 1`, `p = 2`: the Hessian there is `2λ I`).

    Args:
        order: `k`, an integer ≥ 1.
        power: `p`, a finite number ≥ `2k`.

    Raises:
        ArgumentError: if `order` or `power` is out of range.

    Source: theory sections 3 and 5.

    Example:
        >>> import jax.numpy as jnp
        >>> from taylornets.penalties import GroupPenalty
        >>> float(GroupPenalty(order=2, power=4).value(jnp.array([[1.0, 1.0], [0.0, 1.0]]), 0.5))
        2.5
    """

    order: int = 2
    power: float = 8

    def __post_init__(self):
        object.__setattr__(self, "order", _checks.integer("order", self.order, 1))
        least = 2 * self.order
        advice = f"The penalty has no gradient at w = 0 for lower powers; use power={least} or more."
        _checks.positive("power", self.power, advice)
        if self.power < least:
            raise _checks.ArgumentError(
                "power",
                f"a finite number ≥ {least} for a model of order {self.order}",
                repr(self.power),
                advice,
            )
        object.__setattr__(self, "power", float(self.power))

    def value(self, w: Displacement, strength: float | Array) -> Scalar:
        """Computes `λ ‖W‖_{2,2k}^p`; its gradient and Hessian at `W = 0` are finite.

        Args:
            w: displacement, shape `(m, d)` or `(m, R, d)`.
            strength: `λ > 0`.

        Returns:
            The penalty, a scalar of the type of `w`.

        Raises:
            ArgumentError: for a wrong shape, or a strength that is not a finite number > 0.
        """
        w = _checked(w)
        strength = self._strength(strength, w)
        return strength * _safe_power(jnp.sum(_squared_norms(w) ** self.order), self.power / (2 * self.order))

    def value_and_gradient(self, w: Displacement, strength: float | Array) -> tuple[Scalar, Array]:
        """Computes `value` and its gradient `λ p S^{p/(2k) - 1} ‖w_r‖^{2k-2} w_r`, `S = Σ_r ‖w_r‖^{2k}`.

        Args:
            w: displacement, shape `(m, d)` or `(m, R, d)`.
            strength: `λ > 0`.

        Returns:
            The penalty, a scalar, and its gradient, of the shape of `w`.

        Raises:
            ArgumentError: as in `value`.
        """
        w = _checked(w)
        strength = self._strength(strength, w)
        squares = _squared_norms(w)
        total, exponent = jnp.sum(squares**self.order), self.power / (2 * self.order)
        factors = strength * self.power * total ** (exponent - 1) * squares ** (self.order - 1)
        return strength * _safe_power(total, exponent), factors.reshape(-1, *(1,) * (w.ndim - 1)) * w

    def hessian_vector_product(self, w: Displacement, direction: Displacement, strength: float | Array) -> Array:
        """Computes the Hessian of `value` at `w` times a direction; finite at `W = 0`.

        With `s_r = ‖w_r‖²`, `S = Σ s_r^k`, `e = p/(2k)` and `i_r = ⟨w_r, d_r⟩` it is, for unit `r`,

            λp [2k (e-1) S^{e-2} (Σ_q s_q^{k-1} i_q) s_r^{k-1} w_r + S^{e-1} (2 (k-1) s_r^{k-2} i_r w_r + s_r^{k-1} d_r)].

        Args:
            w: displacement, shape `(m, d)` or `(m, R, d)`.
            direction: same shape.
            strength: `λ > 0`.

        Returns:
            The product, of the shape of `w`.

        Raises:
            ArgumentError: as in `value`.
        """
        w = _checked(w)
        strength = self._strength(strength, w)
        k, exponent = self.order, self.power / (2 * self.order)
        squares, inner = _squared_norms(w), jnp.sum(w * direction, axis=tuple(range(1, w.ndim)))
        powers = squares ** (k - 1)
        total = jnp.sum(squares**k)
        vanishes = total == 0
        # At W = 0 the first term tends to 0 like ‖W‖^{p-2}, although S^{e-2} alone is infinite for e < 2.
        outer = jnp.where(vanishes, 0, jnp.where(vanishes, 1, total) ** (exponent - 2))
        along = 2 * k * (exponent - 1) * outer * jnp.sum(powers * inner) * powers
        level = total ** (exponent - 1)
        if k > 1:
            along = along + level * 2 * (k - 1) * squares ** (k - 2) * inner
        shape = (-1, *(1,) * (w.ndim - 1))
        return strength * self.power * (along.reshape(shape) * w + (level * powers).reshape(shape) * direction)

    def dual_norm(self, c: Float[Array, "*m"]) -> Scalar:
        """Computes `C = sup Σ_r c_r t_r` over `t ≥ 0`, `‖t‖_k ≤ 1`: the norm `‖max(c, 0)‖_{k/(k-1)}`.

        For `t_r = ‖w_r‖²`, `‖t‖_k = ‖W‖_{2,2k}²`. It is the largest entry for `k = 1` and the Euclidean norm for `k = 2`.

        Args:
            c: one number per unit, shape `(m,)`, or a scalar.

        Returns:
            The norm, a scalar; its gradient at 0 is defined as 0.
        """
        positive = jnp.maximum(c, 0).ravel()
        largest = jnp.max(positive, initial=0)
        if self.order == 1:
            return largest
        zero = largest == 0
        scale, exponent = jnp.where(zero, 1, largest), self.order / (self.order - 1)
        total = jnp.sum(_safe_power(positive / scale, exponent))
        return jnp.where(zero, 0, scale * jnp.where(zero, 1, total) ** (1 / exponent))

    def conjugate(self, c: Float[Array, "*m"] | float, strength: float | Array) -> Scalar:
        """Computes the conjugate `R^*(C) = sup_{s ≥ 0} sC - λ s^{p/2}`, where `s` represents `‖W‖_{2,2k}²`.

        It equals `C²/(4λ)` for `p = 4`. In general, for `q = p/2`, the maximizer is `s = (C/(qλ))^{1/(q-1)}` and the value
        is `(1 - 1/q) C s`. For `p = 2` it is 0 if `C ≤ λ`, and infinite otherwise.

        Args:
            c: the scalar `C ≥ 0`, or one number `c_r` per unit, shape `(m,)`, replaced by its `dual_norm`.
            strength: `λ > 0`.

        Returns:
            The conjugate, a scalar.

        Raises:
            ArgumentError: for a strength that is not a finite number > 0.

        Source: theory section 5.

        Example:
            >>> from taylornets.penalties import GroupPenalty
            >>> float(GroupPenalty(order=2, power=4).conjugate(3.0, 0.25))
            9.0
        """
        c = jnp.asarray(c)
        c = c if jnp.issubdtype(c.dtype, jnp.floating) else c.astype(jnp.result_type(float))
        strength = self._strength(strength, c)
        norm, q = self.dual_norm(c), self.power / 2
        if q == 1:
            return jnp.where(norm > strength, jnp.inf, 0 * norm)
        # Written as one power of C with an exponent above 1, so that the gradient at C = 0 is 0.
        return (1 - 1 / q) * (q * strength) ** (-1 / (q - 1)) * _safe_power(norm, q / (q - 1))

    def _strength(self, strength: float | Array, like: Array) -> Array:
        _checks.positive("penalty", strength, "The penalty strength λ must be positive.")
        return jnp.asarray(strength, like.dtype)
