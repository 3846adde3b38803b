"""Multipliers that keep order `k` and remove the lower ones: signed moments, roots of unity (theory 2).

A rule has nodes `z_t` and weights `c_t` with `Σ_t c_t z_t^j = 0` for `1 ≤ j < k` and `Σ_t c_t z_t^k = 1`. A unit draws node `t`
with probability `|c_t|/T`, `T = Σ_t |c_t|`; its displacement is multiplied by `z_t`, its output weight by `T c_t/|c_t|`. So
its mean is `Σ_t c_t σ(u + z_t v)`, whose terms of order `1..k-1` vanish, and whose term of order `k` is that of the network.
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
from taylornets.two_layer import BlockFeatures, Network, TwoLayerNetwork, contract

_INTEGER_NODES = {4: (1.0, 2.0)}  # of the theory page; for orders 2 and 3 the general rule gives integers


class NodeMoments(eqx.Module):
    """Response whose outputs are the exact mean and variance over independent multipliers.

    With `E_r = Σ_t c_t g_rt` for `g_rt = σ(u_r + z_t v_r)`, of units that share a draw the difference of theirs: mean
    `m^{-1/2} Σ_r a_r E_r`, variance `m^{-1} Σ_r a_r² T Σ_t |c_t| |g_rt - E_r sign(c_t)/T|²`.
    """

    rule: MultiplierRule = eqx.field(static=True)
    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Float[Array, "halves h 1 b"]) -> Moments:
        """Moments of the block, each of shape `(outputs, b)`."""
        nodes, total = self.rule.upper(), self.rule.total
        values = [[net.activation(_argument(features.u, z, part)) for z, _ in nodes] for part in v[:, :, 0]]
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
        """The response under one draw."""
        return SampledNodes.draw(key, net, self.rule)


class SampledNodes(eqx.Module):
    """Response under one draw of the multipliers: the outputs of the network whose units carry them.

    Attributes:
        rule: that they are drawn from.
        multipliers: of the displacements, shape `(m,)`.
        factors: of the output weights, shape `(m,)`.
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
        """Fresh multipliers for the units of a network."""
        return cls.of(rule.draws(key, net, ()), net, rule)

    @classmethod
    def of(cls, drawn: Array, net: Network, rule: MultiplierRule) -> "SampledNodes":
        """The multipliers of the nodes with these numbers, one for each draw: shape `(m,)`, or `(m/2,)` if pairs share."""
        drawn = jnp.tile(drawn, net.width // drawn.shape[0])
        dtype = net.w0.dtype
        kind = dtype if rule.real else _complex(dtype)
        factors = rule.total * np.sign(rule.weights)
        return cls(rule, jnp.asarray(np.asarray(rule.nodes), kind)[drawn], jnp.asarray(factors, dtype)[drawn])

    def __call__(self, net: Network, features: BlockFeatures, v: Float[Array, "halves h 1 b"]) -> Array:
        """Outputs of shape `(outputs, b)`, complex where the multipliers are."""
        shape, scale = (*v.shape[:2], 1), 1 / math.sqrt(net.width)
        kind = self.multipliers.dtype
        moved = v[:, :, 0].astype(kind) * self.multipliers.reshape(shape)
        values = [net.activation(jnp.asarray(features.u, kind) + part) for part in moved]
        factors = scale * self.factors.reshape(shape).astype(kind)
        return contract(net, [factor * value for factor, value in zip(factors, values, strict=True)])

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "SampledNodes":
        """The response under another draw."""
        return SampledNodes.draw(key, net, self.rule)


class NodeValues(eqx.Module):
    """Response that keeps every unit's value at every node: `m^{-1/2} T sign(c_t) σ(u_r + z_t v_r)`, shape `(nodes, m, b)`."""

    rule: MultiplierRule = eqx.field(static=True)
    orders: tuple[int, ...] = eqx.field(static=True, default=(), init=False)
    preactivations: bool = eqx.field(static=True, default=True, init=False)
    shifted: bool = eqx.field(static=True, default=False, init=False)
    copies: bool = eqx.field(static=True, default=False, init=False)

    def __call__(self, net: Network, features: BlockFeatures, v: Float[Array, "halves h 1 b"]) -> Array:
        """Values of the block."""
        scale = self.rule.total / math.sqrt(net.width)
        pairs = zip(self.rule.nodes, self.rule.weights, strict=True)
        rows = [
            [math.copysign(scale, c) * net.activation(features.u + z * part) for part in v[:, :, 0]] for z, c in pairs
        ]
        return jnp.stack([jnp.concatenate(row) for row in rows])


def _complex(dtype: Any) -> Any:
    return jnp.complex128 if jnp.finfo(dtype).bits == 64 else jnp.complex64


def _argument(u: Any, z: complex, part: Array) -> Array:
    """`u + z v`, complex where the multiplier is; types are not left to promotion, which may be strict."""
    if not isinstance(z, complex):
        return u + z * part
    kind = _complex(part.dtype)
    return jnp.asarray(u, kind) + jnp.asarray(z, kind) * part.astype(kind)


def _squared(value: Array) -> Array:
    """`|z|²`, without the square root that has no slope at 0."""
    return value.real**2 + value.imag**2 if jnp.iscomplexobj(value) else value**2


class SignedMoments(Randomization):
    """Real multipliers with signed output weights, for any activation and symmetric initialization.

    Nodes lie in `[-⌈k/2⌉, ⌈k/2⌉]`, symmetric, with weights of the parity of `k`. There they have the least `T` of all rules
    (for `k = 4`, where the nodes ±1, ±2 are kept, 0.417 in place of 0.364): by duality `1/T` is the least maximum of a monic
    polynomial of degree `k` and its parity, without constant term, so the nodes are the extrema of a Chebyshev polynomial (of
    `z` for odd `k`; of `z²`, moved so that its first zero lies at 0, for even `k`). A pair shares its draw: order 0, whose
    weight `Σ c_t` is not 1, cancels in every sample.

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
        """The exact moments as a function of the projections."""
        return NodeMoments(self.rule)

    @property
    def rule(self) -> MultiplierRule:
        """Nodes from the largest to the smallest, and their weights."""
        positive, weights = _half_rule(self.order)
        both = np.concatenate([positive, -positive[::-1]])
        signed = np.concatenate([weights, (-1) ** self.order * weights[::-1]]) / 2
        return MultiplierRule(tuple(map(float, both)), tuple(map(float, signed)), True)

    def check(self, net: TwoLayerNetwork, w: Array | None, x: Array) -> None:
        """Refuses networks without pairs, whose order 0 would not cancel."""
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
    """Positive nodes, descending, and twice their weights: the conditions of the parity of `order` alone."""
    half = -(-order // 2)
    if order in _INTEGER_NODES:
        nodes = np.array(_INTEGER_NODES[order])[::-1]
    elif order % 2:
        nodes = half * np.cos(np.arange(half) * np.pi / order)
    else:
        zero = -math.cos(math.pi / (2 * half))
        nodes = half * np.sqrt((np.cos(np.arange(half) * np.pi / half) - zero) / (1 - zero))
    powers = np.arange(order % 2 or 2, order + 1, 2)
    # The nodes over the largest one: a Vandermonde matrix of numbers up to 1, its last condition scaled with them.
    matrix = (nodes / half) ** powers[:, None]
    wanted = np.where(powers == order, float(half) ** -order, 0.0)
    return nodes, np.linalg.solve(matrix, wanted)


class RootsOfUnity(Randomization):
    """Multipliers uniform on the `k`-th roots of unity: order `k` is untouched in every sample, for analytic activations.

    In the mean only orders divisible by `k` survive. Outputs of a sample are complex from `k = 3` on; `k = 2` are random signs.

    Source: theory 2.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> np.round(tn.randomization.RootsOfUnity(order=4).nodes, 6).tolist()
        [(1+0j), 1j, (-1+0j), -1j]
    """

    order: int = eqx.field(static=True)

    @property
    def response(self) -> NodeMoments:
        """The exact moments as a function of the projections."""
        return NodeMoments(self.rule)

    @property
    def rule(self) -> MultiplierRule:
        """Roots by increasing angle, all of weight `1/k`."""
        weights = (1 / self.order,) * self.order
        if self.order == 2:
            return MultiplierRule((1.0, -1.0), weights, False)
        angles = 2 * np.pi * np.arange(self.order) / self.order
        # Exact where a root lies on an axis, so that conjugates are recognized.
        real, imaginary = (np.where(np.abs(part) < 1e-15, 0.0, part) for part in (np.cos(angles), np.sin(angles)))
        return MultiplierRule(tuple(map(complex, real, imaginary)), weights, False)

    def check(self, net: TwoLayerNetwork, w: Array | None, x: Array) -> None:
        """Refuses activations with kinks, and displacements that leave the strip on which the activation is analytic."""
        sigma = net.activation
        if self.order == 2:
            return
        if not sigma.analytic:
            kinks = ", ".join(f"{kink:g}" for kink in sigma.kinks)
            why = f", which has a kink at {kinks}" if kinks else ", which is not known to be analytic"
            raise _checks.ArgumentError(
                "net", f"an analytic activation, since roots of unity of order {self.order} are complex",
                f"{sigma.name!r}{why}", "Use SignedMoments, which serve any activation.",
            )  # fmt: skip
        if w is None or isinstance(w, Tracer) or isinstance(x, Tracer) or math.isinf(sigma.strip):
            return
        reach = float(jnp.max(jnp.abs(jnp.asarray(x) @ jnp.asarray(w).T))) * max(z.imag for z in self.rule.nodes)
        if reach >= sigma.strip:
            raise _checks.ArgumentError(
                "w", f"|⟨w_r, x_i⟩| Im z below {sigma.strip:.4g}, where {sigma.name!r} is analytic", f"{reach:.4g}",
                "Use SignedMoments, or a smaller displacement.",
            )  # fmt: skip
