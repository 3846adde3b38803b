"""Weights whose term of order `k` is a given target (theory 6; Bai & Lee (2020), section 5).

By Hermite expansion, `E_w0[σ^{(k)}(⟨w0, x⟩) He_q(⟨w0, β⟩ B_x)] = c_{k,q} ⟨β, x̂⟩^q` on `‖x‖ = B_x`, with unit `β` and
`x̂ = x/B_x`. So with `q = p - k` and `h(w0) = α He_q(⟨w0, β⟩ B_x)/c_{k,q}`, displacements `w_± = ρ_± β` of the two
units of each pair whose powers differ by `ρ_+^k - ρ_-^k = 2 k! m^{-1/2} h(w0)/B_x^k` make `f^(k)` an average over the pairs
that tends to `α ⟨β, x̂⟩^p` with error `O(m^{-1/2})`.

Example:
    >>> import jax.numpy as jnp, taylornets as tn
    >>> tn.expressivity.table("cubic_relu", orders=(2,), largest=5).powers(2)  # ⟨β, x⟩^p that the quadratic term expresses
    (2, 3, 4)
"""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial.hermite_e import hermeval

from taylornets import _checks, activations
from taylornets.targets import Polynomial
from taylornets.two_layer import TwoLayerNetwork

__all__ = ["planted_norm", "planted_weights"]

# A Hermite coefficient below this value, relative to the norm of σ^{(k)}, counts as zero up to rounding.
_ZERO = 1e-9


def planted_weights(net: TwoLayerNetwork, target: Polynomial, order: int = 2) -> Float[Array, "m d"]:
    """Returns a displacement whose term of the given order equals the target up to `O(m^{-1/2})`.

    Pairs are assigned to the directions in turn. Each of `J` directions has a fraction `1/J` of the pairs and `J` times the
    weight, so `‖W‖_{2,2k}^{2k}` grows by the factor `J`.

    Args:
        net: a network with symmetric initialization and one output; the target is approximated on `‖x‖ = net.input_norm`.
        target: a polynomial in `net.inputs` variables.
        order: `k ≥ 1`, at most the smallest power of the target.

    Returns:
        The displacement, shape `(m, d)`. Its norm tends to that of `planted_norm`.

    Raises:
        ArgumentError: for a power that the activation cannot express at this order (`c_{k,q} = 0`), a network without
            pairs or with several outputs, or directions of the wrong dimension.

    Source: theory 6.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=20_000)
        >>> target = tn.targets.Polynomial(jnp.array([[1.0, 0.0, 0.0]]), (2,), jnp.ones(1))  # x_1²
        >>> w = planted_weights(net, target)
        >>> bool(jnp.abs(net.term(2, w, jnp.eye(3)) - target(jnp.eye(3))).max() < 0.05)
        True
    """
    order = _checks.integer("order", order, 1)
    if not net.symmetric or net.outputs != 1:
        raise _checks.ArgumentError(
            "net",
            "symmetric initialization and one output",
            f"symmetric={net.symmetric}, outputs={net.outputs}",
        )
    _checks.array("target.directions", target.directions, ("J", net.inputs))
    half, count = net.pairs, len(target.powers)
    if count > half:
        raise _checks.ArgumentError("net", f"at least {2 * count} units for {count} directions", f"width {net.width}")
    first, second = jnp.zeros((half, net.inputs), net.w0.dtype), jnp.zeros((half, net.inputs), net.w0.dtype)
    scale = 2 * math.factorial(order) * count / math.sqrt(net.width) / net.input_norm**order
    for j, (beta, power, alpha) in enumerate(zip(target.directions, target.powers, target.coefficients, strict=True)):
        length = jnp.linalg.norm(beta)
        unit = beta / length
        size = alpha * (length * net.input_norm) ** power
        profile = hermeval(net.w0[j:half:count] @ unit * net.input_norm, [0] * (power - order) + [1])
        h = scale * size * jnp.asarray(profile) / _coefficient(net.activation, order, power)
        if order % 2:
            root = jnp.sign(h) * (jnp.abs(h) / 2) ** (1 / order)
            plus, minus = root, -root
        else:
            plus, minus = jnp.maximum(h, 0) ** (1 / order), jnp.maximum(-h, 0) ** (1 / order)
        positive = net.a[j:half:count, 0] > 0
        first = first.at[j::count].set(jnp.where(positive, plus, minus)[:, None] * unit[None, :])
        second = second.at[j::count].set(jnp.where(positive, minus, plus)[:, None] * unit[None, :])
    return net.both_halves(first, second)


def planted_norm(
    activation: str | activations.Activation, target: Polynomial, order: int = 2, input_norm: float = 1.0
) -> float:
    """Returns the infinite-width limit of `‖W‖_{2,2k}^{2k}` for planted weights.

    For each pair, `‖w_+‖^{2k} + ‖w_-‖^{2k}` is `(2 k! J h)²/(m B_x^{2k})` for even `k` and half of that for odd `k`. Each
    direction has `m/(2J)` pairs and `E h² = α² q!/c_{k,q}²`. Hence, for `J` directions,

        ‖W‖_{2,2k}^{2k} → 2 k!² J Σ_j α_j² (‖β_j‖ B_x)^{2 p_j} q_j!/c_{k,q_j}² / B_x^{2k}      (half of that for odd k).

    Args:
        activation: a name of `taylornets.activations`, or an activation.
        target: the polynomial.
        order: `k ≥ 1`.
        input_norm: `B_x`.

    Returns:
        The limit of the norm raised to the power `2k`.

    Raises:
        ArgumentError: for a power that the activation cannot express at this order.

    Source: theory 6.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> square = tn.targets.Polynomial(jnp.array([[1.0, 0.0]]), (2,), jnp.ones(1))
        >>> round(planted_norm("cubic_relu", square), 3)  # 8/c² with c = E relu(g) = (2π)^{-1/2}
        50.265
    """
    sigma, order = activations.get(activation), _checks.integer("order", order, 1)
    _checks.positive("input_norm", input_norm)
    total = 0.0
    for beta, power, alpha in zip(target.directions, target.powers, target.coefficients, strict=True):
        coefficient = _coefficient(sigma, order, power)
        size = float(alpha) * (float(jnp.linalg.norm(beta)) * input_norm) ** power
        total += size**2 * math.factorial(power - order) / coefficient**2
    factor = 2 * math.factorial(order) ** 2 * len(target.powers) / input_norm ** (2 * order)
    return total * factor * (0.5 if order % 2 else 1.0)


@dataclass(frozen=True)
class Power:
    """Whether the term of order `k` of an activation can express `⟨β, x̂⟩^p`, and the norm of the weights required.

    Attributes:
        order: `k`.
        power: `p`.
        coefficient: `c_{k,q}`, `q = p - k`; 0 if the power cannot be expressed.
        norm: the limit of `‖W‖_{2,2k}^{2k}` for `α = 1`; infinite if the power cannot be expressed.
        tail: `E He_q⁴/(E He_q²)²`. At width `m`, `‖W‖^{2k}` has a relative standard deviation of `(2 (tail - 1)/m)^{1/2}`.
    """

    order: int
    power: int
    coefficient: float
    norm: float
    tail: float

    @property
    def expressible(self) -> bool:
        """Whether the power can be expressed."""
        return self.coefficient != 0


@dataclass(frozen=True)
class Expressible:
    """The powers that an activation can express; created by `table`. It prints as a table of the norms `‖W‖_{2,2k}^{2k}`.

    Attributes:
        activation: name of the activation.
        rows: one entry per order and power.
    """

    activation: str
    rows: tuple[Power, ...]

    def powers(self, order: int) -> tuple[int, ...]:
        """Returns the powers that the term of the given order can express."""
        return tuple(row.power for row in self.rows if row.order == order and row.expressible)

    def __str__(self) -> str:
        powers = sorted({row.power for row in self.rows})
        found = {(row.order, row.power): f"{row.norm:.4g}" if row.expressible else "no" for row in self.rows}
        head = [f"{self.activation}: ‖W‖^(2k) for ⟨β, x⟩^p", "  k, p" + "".join(f"{p:>10}" for p in powers)]
        orders = sorted({row.order for row in self.rows})
        lines = [f"{k:>6}" + "".join(f"{found.get((k, p), ''):>10}" for p in powers) for k in orders]
        return "\n".join([*head, *lines])


def table(
    activation: str | activations.Activation, *, orders: tuple[int, ...] = (1, 2, 3, 4), largest: int = 8
) -> Expressible:
    """Tabulates the powers that an activation can express: coefficient and weight norm for every order and power.

    Args:
        activation: a name of `taylornets.activations`, or an activation.
        orders: the orders `k ≥ 1`.
        largest: the largest power `p`.

    Returns:
        The table; print it, or call `powers(k)`.

    Raises:
        ArgumentError: for an unknown activation, an order below 1, or `largest` below the largest order.

    Source: theory 6.

    Example:
        >>> found = table("cubic_relu", orders=(1, 2), largest=5)
        >>> found.powers(2)
        (2, 3, 4)
        >>> print(found)
        cubic_relu: ‖W‖^(2k) for ⟨β, x⟩^p
          k, p         1         2         3         4         5
             1        16     6.283         8      37.7        no
             2               50.27        32     100.5        no
    """
    sigma = activations.get(activation)
    orders = tuple(_checks.integer("orders", order, 1) for order in orders)
    _checks.integer("largest", largest, max(orders, default=1))
    rows: list[Power] = []
    for order in orders:
        for power in range(order, largest + 1):
            q, value = power - order, _value(sigma, order, power)
            norm = math.inf
            if value:
                norm = (1 if order % 2 else 2) * math.factorial(order) ** 2 * math.factorial(q) / value**2
            rows.append(Power(order, power, value, norm, _tail(q)))
    return Expressible(sigma.name, tuple(rows))


def _tail(q: int) -> float:
    """Computes `E He_q⁴/q!²` from `He_q² = Σ_j j! C(q,j)² He_{2q-2j}` and orthogonality."""
    terms = ((math.factorial(j) * math.comb(q, j) ** 2) ** 2 * math.factorial(2 * q - 2 * j) for j in range(q + 1))
    return sum(terms) / math.factorial(q) ** 2


def _value(sigma: activations.Activation, order: int, power: int) -> float:
    """Returns `c_{k,q}` with `q = power - k`; values within rounding error of zero become zero."""
    value = sigma.hermite_coefficient(order, power - order)
    others = [sigma.hermite_coefficient(order, q) / math.sqrt(math.factorial(q)) for q in range(8)]
    size = np.linalg.norm(others) * math.sqrt(math.factorial(power - order))
    return 0.0 if abs(value) <= _ZERO * size else value


def _coefficient(sigma: activations.Activation, order: int, power: int) -> float:
    """Returns `c_{k,q}` with `q = power - k`; raises if it vanishes."""
    if power < order:
        raise _checks.ArgumentError("order", f"at most the smallest power of the target, {power}", str(order))
    value = _value(sigma, order, power)
    if not value:
        raise _checks.ArgumentError(
            "target.powers",
            f"powers p with E[σ^({order})(g) He_(p-{order})(g)] ≠ 0 for {sigma.name}",
            str(power),
            "Use another order or activation: this one cannot express that power. `taylornets.expressivity.table` "
            "lists the supported powers.",
        )
    return value
