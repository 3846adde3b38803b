"""Gram matrices ⟨J₁, J₂⟩ of two batches, from the Jacobian products available for the model."""

import dataclasses
import math
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from taylornets._checks import ArgumentError
from taylornets._trees import ask_for_bytes
from taylornets.kernels._products import Backward, Forward, Leaves, Products

# One forward pass per parameter: more parameters would take hours. A heuristic.
_PASSES = 100_000

SMALLER = "Pass fewer examples, fewer outputs, or fewer parameters by trainable."


def gram(one: Products, two: Products, batch_size: int | None, limit: float) -> Array:
    """Computes K = Re(J₁ J₂ᴴ), shape `(outputs of one, outputs of two)`.

    Args:
        one: the Jacobian products on the first batch.
        two: the Jacobian products on the second batch.
        batch_size: number of simultaneous passes; one by default.
        limit: memory limit in bytes.

    Raises:
        ArgumentError: for a model without reverse mode and with many parameters, or a Jacobian that exceeds the limit.
    """
    if two.values.size < one.values.size:
        return gram(two, one, batch_size, limit).T
    if one.backward is not None and two.forward is not None:
        return _by_rows(one, two, batch_size)
    if one.forward is not None and two.forward is not None:
        return _by_parameters(one, two, batch_size, limit)
    return _by_jacobians(one, two, batch_size, limit)


def _unit(i: Array, size: int, dtype: Any) -> Array:
    """Returns the i-th unit vector; zeros outside the range."""
    return (jnp.arange(size) == i).astype(dtype)


def _by_rows(one: Products, two: Products, batch_size: int | None) -> Array:
    """Computes K with one reverse and one forward pass per row."""
    first, both = one.values, dataclasses.replace(one, forward=two.forward)

    def row(i: Array) -> Array:
        return both.round_trip(_unit(i, first.size, first.dtype))

    return lax.map(row, jnp.arange(first.size), batch_size=batch_size)


def _by_parameters(one: Products, two: Products, batch_size: int | None, limit: float) -> Array:
    """Computes K = Σ_p ∂_p f ∂_p f'ᵀ with one forward pass per real parameter."""
    sizes = [leaf.size * (2 if jnp.iscomplexobj(leaf) else 1) for leaf in one.start]
    count, batch = sum(sizes), batch_size or 1
    if count > _PASSES and math.isfinite(limit):
        raise ArgumentError(
            "f",
            f"a model with a reverse mode, or at most {_PASSES} parameters",
            f"{count} parameters, which require one forward pass each ({one.lacking})",
            "Use lax.scan or a fori_loop of known length (or diffrax) for the loop, or select parameters by trainable; "
            "max_bytes=float('inf') disables this check.",
        )
    offsets = [sum(sizes[:i]) for i in range(len(sizes))]

    def direction(p: Array) -> Leaves:
        found: Leaves = []
        for leaf, offset in zip(one.start, offsets, strict=True):
            way = _unit(p - offset, leaf.size, leaf.dtype)
            if jnp.iscomplexobj(leaf):
                way = lax.complex(way.real, _unit(p - offset - leaf.size, leaf.size, way.real.dtype))
            found.append(way.reshape(leaf.shape))
        return found

    kind = _wide(two.values.dtype)

    def add(total: Array, some: Array) -> tuple[Array, None]:
        ways = jax.vmap(direction)(some)
        mine, theirs = (jax.vmap(cast(Forward, side.forward))(ways).astype(kind) for side in (one, two))
        return total + _product(mine.T, theirs.T), None

    padded = jnp.arange(-(-count // batch) * batch).reshape(-1, batch)
    total = jnp.zeros((one.values.size, two.values.size), kind)
    return lax.scan(add, total, padded)[0].astype(two.values.dtype)


def _by_jacobians(one: Products, two: Products, batch_size: int | None, limit: float) -> Array:
    """Computes K as a product of two full Jacobians, with one reverse pass per output of either batch."""
    sides = [one] if one is two else [one, two]
    numbers = sum(side.values.size for side in sides)
    needed = numbers * sum(leaf.size * leaf.dtype.itemsize for leaf in one.start)
    ask_for_bytes("x1", f"a Jacobian that fits into memory ({one.lacking})", needed, limit, SMALLER)

    def jacobian(side: Products) -> Leaves:
        backward, values = cast(Backward, side.backward), side.values
        found = lax.map(
            lambda i: backward(_unit(i, values.size, values.dtype)), jnp.arange(values.size), batch_size=batch_size
        )
        return [leaf.reshape(values.size, -1) for leaf in found]

    jacobians = [jacobian(side) for side in sides]
    kind = _wide(two.values.dtype)
    total = jnp.zeros((one.values.size, two.values.size), kind)
    for a, b in zip(jacobians[0], jacobians[-1], strict=True):
        total = total + _product(a.real.astype(kind), b.real.astype(kind))
        if jnp.iscomplexobj(a):
            total = total + _product(a.imag.astype(kind), b.imag.astype(kind))
    return total.astype(two.values.dtype)


def _wide(dtype: Any) -> Any:
    """Returns the dtype for sums over parameters: half precision would lose small terms."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
