"""Truncated power series without their structural zeros: the values that the interpreter propagates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class TaylorSeries:
    """The series x(t) = Σ_k coefficients[k] t^k, truncated after the last entry.

    A coefficient that is structurally zero is `None`. The coefficient of order 0 is always an array, and so is at least
    one other. Since `None` is an empty pytree node, the set of present coefficients is part of the tree structure, which
    JAX's `scan`, `cond`, `checkpoint` and `jit` treat as static.

    Attributes:
        coefficients: one entry per order, from 0 to the truncation order.
    """

    coefficients: tuple[Any, ...]

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """Returns the coefficients as children, without auxiliary data."""
        return self.coefficients, None

    @classmethod
    def tree_unflatten(cls, _: None, children: Sequence[Any]) -> "TaylorSeries":
        """Inverts `tree_flatten`."""
        return cls(tuple(children))

    def __getitem__(self, order: int) -> Any:
        return self.coefficients[order]

    @property
    def order(self) -> int:
        """The truncation order."""
        return len(self.coefficients) - 1

    @property
    def primal(self) -> Any:
        """The coefficient of order 0."""
        return self.coefficients[0]


# A plain array represents a constant series: data, frozen parameters, integers.
Value: TypeAlias = Any


def make(coefficients: Sequence[Any]) -> Value:
    """Returns a `TaylorSeries`, or a plain array if no coefficient above order 0 is present."""
    if all(c is None for c in coefficients[1:]):
        return coefficients[0]
    return TaylorSeries(tuple(coefficients))


def primal(value: Value) -> Any:
    """Returns the coefficient of order 0 of a series or a constant."""
    return value.primal if isinstance(value, TaylorSeries) else value


def coefficients(value: Value, order: int) -> tuple[Any, ...]:
    """Returns the order + 1 coefficients of a series or a constant."""
    return value.coefficients if isinstance(value, TaylorSeries) else (value,) + (None,) * order


def coefficient(value: Value, k: int) -> Any:
    """Returns the coefficient of order `k`, `None` if structurally zero."""
    return value[k] if isinstance(value, TaylorSeries) else (value if k == 0 else None)


def each(x: Value, function: Callable[[Any], Any]) -> Value:
    """Applies a linear function to each coefficient that is present."""
    if not isinstance(x, TaylorSeries):
        return function(x)
    return make([None if c is None else function(c) for c in x.coefficients])


def truncate(value: Value, order: int) -> Value:
    """Truncates the series after `order`."""
    return make(value.coefficients[: order + 1]) if isinstance(value, TaylorSeries) else value


def derivative(value: TaylorSeries) -> Value:
    """Returns x'(t), one order shorter, with an explicit coefficient of order 0."""
    coefs = [None if c is None else (c if k == 1 else k * c) for k, c in enumerate(value.coefficients)][1:]
    if coefs[0] is None:
        coefs[0] = zeros_like(value.primal)
    return make(coefs)


def integral(start: Any, slope: Value, order: int) -> Value:
    """Returns start + ∫_0^t slope, the inverse of `derivative`."""
    coefs = coefficients(slope, order - 1)
    return make([start] + [None if c is None else (c if k == 1 else c / k) for k, c in enumerate(coefs, 1)])


def zeros_like(array: Any) -> Any:
    """Returns zeros of the shape and dtype of `array`."""
    return lax.full_like(array, 0, jnp.result_type(array))  # inside `shard_map`, zeros that vary like the array


def plus(a: Any, b: Any) -> Any:
    """Adds two coefficients, either of which may be absent."""
    if a is None:
        return b
    return a if b is None else a + b


def minus(a: Any, b: Any) -> Any:
    """Subtracts two coefficients, either of which may be absent."""
    if b is None:
        return a
    return -b if a is None else a - b


def cauchy(
    a: Sequence[Any],
    b: Sequence[Any],
    k: int,
    product: Callable[[Any, Any], Any],
    start: int = 0,
    stop: int | None = None,
) -> Any:
    """Returns Σ_{j=start..stop} a_j b_{k-j} over the present pairs, or `None`; `stop` defaults to k."""
    total = None
    for j in range(start, (k if stop is None else stop) + 1):
        if a[j] is not None and b[k - j] is not None:
            total = plus(total, product(a[j], b[k - j]))
    return total


Pattern: TypeAlias = tuple[bool, ...] | None


def pattern(value: Value) -> Pattern:
    """Returns a flag per order, true if the coefficient is present; `None` for a constant."""
    return tuple(c is not None for c in value.coefficients) if isinstance(value, TaylorSeries) else None


def join(a: Pattern, b: Pattern) -> Pattern:
    """Returns the union of two patterns of present coefficients."""
    if a is None or b is None:
        return b if a is None else a
    return tuple(p or q for p, q in zip(a, b, strict=True))


def fill(value: Value, present: Pattern) -> Value:
    """Returns the same series with explicit zeros for all coefficients required by `present`."""
    if present is None:
        return value
    coefs = coefficients(value, len(present) - 1)
    zero = zeros_like(primal(value))
    return TaylorSeries(tuple(zero if c is None and p else c for c, p in zip(coefs, present, strict=True)))
