"""Multipliers that preserve order `k` and cancel the lower orders: signed moments, roots of unity (theory 2).

A rule has nodes `z_t` and weights `c_t` with `Σ_t c_t z_t^j = 0` for `1 ≤ j < k` and `Σ_t c_t z_t^k = 1`. A unit draws node `t`
with probability `|c_t|/T`, `T = Σ_t |c_t|`; its displacement is multiplied by `z_t`, its output weight by `T c_t/|c_t|`. The
mean of its output is `Σ_t c_t σ(u + z_t v)`, whose terms of orders `1..k-1` vanish and whose term of order `k` is that of the
network.
"""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Inexact, PRNGKeyArray

from taylornets import _checks
from taylornets.randomization._randomization import Moments, MultiplierRule, Randomization
from taylornets.two_layer import BlockFeatures, Network, Projections, TwoLayerNetwork, contract

_INTEGER_NODES = {4: (1.0, 2.0)}  # from theory 2; for orders 2 and 3 the general rule yields integers


class NodeMoments(eqx.Module):
    """Response whose outputs are the exact mean and variance over independent multipliers.

    Let `E_r = Σ_t c_t g_rt` with `g_rt = σ(u_r + z_t v_r)` (the difference of the two units if a pair shares its draw). The
    mean is `m^{-1/2} Σ_r a_r E_r` and the variance is `m^{-1} Σ_r a_r² T Σ_t |c_t| |g_rt - E_r sign(c_t)/T|²`.
    """

    rule: MultiplierRule = eqx.field(static=True)
    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Moments:
        """Computes the moments of the block, each of shape `(outputs, b)`."""
        nodes, total = self.rule.upper(), self.rule.total
        values = [[net.activation(_argument(features.u, z, part[:, 0])) for z, _ in nodes] for part in v]
        means: list[Any] = [sum(c * value.real for (_, c), value in zip(nodes, row, strict=True)) for row in values]
        centers, groups = means, values
        if self.rule.shared and net.symmetric:
            centers, groups = [means[0] - means[1]], [[a - b for a, b in zip(*values, strict=True)]]
        squares: Any = sum(
            total * abs(c) * _squared(value - (math.copysign(1 / total, c) * center).astype(value.dtype))
            for center, row in zip(centers, groups, strict=True)
            for (_, c), value in zip(nodes, row, strict=True)
        )
        signs, scale = net.a[: squares.shape[0]], 1 / math.sqrt(net.width)
        fused = jnp.sum(signs**2 * squares, axis=0)[None] if signs.shape[1] == 1 else (signs**2).T @ squares
        return Moments(contract(net, [scale * mean for mean in means]), scale**2 * fused)

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "SampledNodes":
        """Returns the response under one draw."""
        return SampledNodes.draw(key, net, self.rule)


class SampledNodes(eqx.Module):
    """Response under one draw of the multipliers: the outputs of the network with multiplied displacements.

    Attributes:
        rule: rule from which the multipliers are drawn.
        multipliers: multipliers of the displacements, shape `(m,)`.
        factors: factors of the output weights, shape `(m,)`.
    """

    rule: MultiplierRule = eqx.field(static=True)
    multipliers: Inexact[Array, " m"]
    factors: Float[Array, " m"]
    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    @classmethod
    def draw(cls, key: PRNGKeyArray, net: Network, rule: MultiplierRule) -> "SampledNodes":
        """Draws new multipliers for the units of a network."""
        return cls.of(rule.draws(key, net, ()), net, rule)

    @classmethod
    def of(cls, drawn: Array, net: Network, rule: MultiplierRule) -> "SampledNodes":
        """Returns the multipliers for given node indices, one per draw: shape `(m,)`, or `(m/2,)` if pairs share draws."""
        drawn = jnp.tile(drawn, net.width // drawn.shape[0])
        dtype = net.w0.dtype
        kind = dtype if rule.real else _complex(dtype)
        factors = rule.total * np.sign(rule.weights)
        return cls(rule, jnp.asarray(np.asarray(rule.nodes), kind)[drawn], jnp.asarray(factors, dtype)[drawn])

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Array:
        """Returns outputs of shape `(outputs, b)`, complex if the multipliers are complex."""
        shape, scale = (len(v), -1, 1), 1 / math.sqrt(net.width)
        kind, multipliers = self.multipliers.dtype, self.multipliers.reshape(shape)
        moved = [part[:, 0].astype(kind) * factor for part, factor in zip(v, multipliers, strict=True)]
        values = [net.activation(jnp.asarray(features.u, kind) + part) for part in moved]
        factors = scale * self.factors.reshape(shape).astype(kind)
        return contract(net, [factor * value for factor, value in zip(factors, values, strict=True)])

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "SampledNodes":
        """Returns the response under a new draw."""
        return SampledNodes.draw(key, net, self.rule)


class NodeValues(eqx.Module):
    """Response with the value of every unit at every node: `m^{-1/2} T sign(c_t) σ(u_r + z_t v_r)`, shape `(nodes, m, b)`."""

    rule: MultiplierRule = eqx.field(static=True)
    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Projections) -> Array:
        """Computes the values of the block."""
        scale = self.rule.total / math.sqrt(net.width)
        pairs = zip(self.rule.nodes, self.rule.weights, strict=True)
        rows = [
            [math.copysign(scale, c) * net.activation(jnp.asarray(features.u) + z * part[:, 0]) for part in v]
            for z, c in pairs
        ]
        return jnp.stack([jnp.concatenate(row) for row in rows])


def _complex(dtype: Any) -> Any:
    return jnp.complex128 if jnp.finfo(dtype).bits == 64 else jnp.complex64


def _argument(u: Any, z: complex, part: Array) -> Array:
    """Computes `u + z v`, complex if `z` is complex, with explicit casts since type promotion may be strict."""
    if not isinstance(z, complex):
        return u + z * part
    kind = _complex(part.dtype)
    return jnp.asarray(u, kind) + jnp.asarray(z, kind) * part.astype(kind)


def _squared(value: Array) -> Array:
    """Computes `|z|²` without a square root, which is not differentiable at 0."""
    return value.real**2 + value.imag**2 if jnp.iscomplexobj(value) else value**2


class SignedMoments(Randomization):
    """Real multipliers with signed output weights, for any activation and symmetric initialization.

    The nodes are symmetric in `[-⌈k/2⌉, ⌈k/2⌉]`, with weights of the parity of `k`. Among all such rules they minimize `T`
    (except for `k = 4`, which uses the nodes ±1, ±2: 0.417 instead of 0.364). By duality, `1/T` is the smallest maximum of a
    monic polynomial of degree and parity `k` without constant term, so the nodes are the extrema of a Chebyshev polynomial (in
    `z` for odd `k`; in `z²`, shifted so that its first zero is at 0, for even `k`). The two units of a pair share a draw, so
    that order 0, whose weight `Σ c_t` is not 1, cancels in every sample.

    Source: theory 2.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> rule = tn.randomization.SignedMoments(order=3)
        >>> np.round(rule.nodes, 6).tolist(), np.round(12 * rule.weights, 6).tolist()
        ([2.0, 1.0, -1.0, -2.0], [1.0, -2.0, 2.0, -1.0])
    """

    order: int = eqx.field(static=True)

    @property
    def response(self) -> NodeMoments:
        """Returns the response that computes the exact moments."""
        return NodeMoments(self.rule)

    @property
    def rule(self) -> MultiplierRule:
        """Returns the nodes in descending order, and their weights."""
        positive, weights = _half_rule(self.order)
        both = np.concatenate([positive, -positive[::-1]])
        signed = np.concatenate([weights, (-1) ** self.order * weights[::-1]]) / 2
        return MultiplierRule(tuple(map(float, both)), tuple(map(float, signed)), True)

    def check(self, net: TwoLayerNetwork, w: Array | None, x: Array) -> None:
        """Raises for networks without pairs, whose order 0 would not cancel."""
        del w
        if net.symmetric:
            return
        weights = np.asarray(self.rule.weights)
        share = self.total_variation**2 - weights.sum() ** 2
        remains = share * float(jnp.mean(net.activation(jnp.asarray(x) @ net.w0.T) ** 2 @ net.a**2)) / net.width
        raise _checks.ArgumentError(
            "net", "symmetric initialization for signed moments", "independent units",
            f"Order 0 would not cancel: a variance of {remains:.3g} would remain at w = 0. Use symmetric=True.",
        )  # fmt: skip


def _half_rule(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positive nodes in descending order and twice their weights, from the conditions of one parity."""
    half = -(-order // 2)
    if order in _INTEGER_NODES:
        nodes = np.array(_INTEGER_NODES[order])[::-1]
    elif order % 2:
        nodes = half * np.cos(np.arange(half) * np.pi / order)
    else:
        zero = -math.cos(math.pi / (2 * half))
        nodes = half * np.sqrt((np.cos(np.arange(half) * np.pi / half) - zero) / (1 - zero))
    powers = np.arange(order % 2 or 2, order + 1, 2)
    # Nodes relative to the largest one: the entries of the Vandermonde matrix are at most 1, and its last row is rescaled.
    matrix = (nodes / half) ** powers[:, None]
    wanted = np.where(powers == order, float(half) ** -order, 0.0)
    return nodes, np.linalg.solve(matrix, wanted)


class RootsOfUnity(Randomization):
    """Multipliers uniform on the `k`-th roots of unity: order `k` is unchanged in every sample, for analytic activations.

    In expectation, only orders divisible by `k` remain. Outputs of a sample are complex for `k ≥ 3`; `k = 2` is random signs.

    Source: theory 2.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> np.round(tn.randomization.RootsOfUnity(order=4).nodes, 6).tolist()
        [(1+0j), 1j, (-1+0j), -1j]
    """

    order: int = eqx.field(static=True)

    @property
    def response(self) -> NodeMoments:
        """Returns the response that computes the exact moments."""
        return NodeMoments(self.rule)

    @property
    def rule(self) -> MultiplierRule:
        """Returns the roots by increasing angle, all with weight `1/k`."""
        weights = (1 / self.order,) * self.order
        if self.order == 2:
            return MultiplierRule((1.0, -1.0), weights, False)
        angles = 2 * np.pi * np.arange(self.order) / self.order
        # Exact for roots on an axis, so that conjugates are recognized.
        real, imaginary = (np.where(np.abs(part) < 1e-15, 0.0, part) for part in (np.cos(angles), np.sin(angles)))
        return MultiplierRule(tuple(map(complex, real, imaginary)), weights, False)

    def check(self, net: TwoLayerNetwork, w: Array | None, x: Array) -> None:
        """Raises for activations with kinks, and for displacements outside the strip on which the activation is analytic."""
        sigma = net.activation
        if self.order == 2:
            return
        if not sigma.analytic:
            kinks = ", ".join(f"{kink:g}" for kink in sigma.kinks)
            why = f", which has a kink at {kinks}" if kinks else ", which is not known to be analytic"
            raise _checks.ArgumentError(
                "net", f"an analytic activation, since roots of unity of order {self.order} are complex",
                f"{sigma.name!r}{why}", "Use SignedMoments, which supports any activation.",
            )  # fmt: skip
        if w is None or isinstance(w, Tracer) or isinstance(x, Tracer) or math.isinf(sigma.strip):
            return
        reach = float(jnp.max(jnp.abs(jnp.asarray(x) @ jnp.asarray(w).T))) * max(z.imag for z in self.rule.nodes)
        if reach >= sigma.strip:
            raise _checks.ArgumentError(
                "w", f"|⟨w_r, x_i⟩| Im z below {sigma.strip:.4g}, where {sigma.name!r} is analytic", f"{reach:.4g}",
                "Use SignedMoments, or a smaller displacement.",
            )  # fmt: skip
