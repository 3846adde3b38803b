"""The value that moves through a program: a truncated power series with its structural zeros left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class TaylorSeries:
    """x(t) = Σ_k coefficients[k] t^k, truncated after the last entry.

    A coefficient that is zero because of the structure of the program is `None`; the one of order 0 is always an array,
    and at least one other is. `None` is an empty node of a pytree, so the set of present coefficients belongs to the
    tree structure: JAX's own `scan`, `cond`, `checkpoint` and `jit` keep it apart from the numbers.

    Attributes:
        coefficients: one entry an order, from 0 to the order of truncation.
    """

    coefficients: tuple[Any, ...]

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """The coefficients are the children; nothing else is stored."""
        return self.coefficients, None

    @classmethod
    def tree_unflatten(cls, _: None, children: Sequence[Any]) -> "TaylorSeries":
        """The inverse of `tree_flatten`."""
        return cls(tuple(children))

    def __getitem__(self, order: int) -> Any:
        return self.coefficients[order]

    @property
    def order(self) -> int:
        """The order of truncation."""
        return len(self.coefficients) - 1

    @property
    def primal(self) -> Any:
        """The coefficient of order 0."""
        return self.coefficients[0]


# A plain array is a series whose higher coefficients are all zero: data, frozen parameters, integers.
Value: TypeAlias = Any


def make(coefficients: Sequence[Any]) -> Value:
    """A `TaylorSeries`, or a plain array if no coefficient above order 0 is present."""
    if all(c is None for c in coefficients[1:]):
        return coefficients[0]
    return TaylorSeries(tuple(coefficients))


def primal(value: Value) -> Any:
    """The coefficient of order 0 of a series or a constant."""
    return value.primal if isinstance(value, TaylorSeries) else value


def coefficients(value: Value, order: int) -> tuple[Any, ...]:
    """The order + 1 coefficients of a series or a constant."""
    return value.coefficients if isinstance(value, TaylorSeries) else (value,) + (None,) * order


def coefficient(value: Value, k: int) -> Any:
    """The coefficient of order `k`, `None` if structurally zero."""
    return value[k] if isinstance(value, TaylorSeries) else (value if k == 0 else None)


def each(x: Value, function: Callable[[Any], Any]) -> Value:
    """A linear function of each coefficient that is present."""
    if not isinstance(x, TaylorSeries):
        return function(x)
    return make([None if c is None else function(c) for c in x.coefficients])


def truncate(value: Value, order: int) -> Value:
    """The series up to `order`."""
    return make(value.coefficients[: order + 1]) if isinstance(value, TaylorSeries) else value


def derivative(value: TaylorSeries) -> Value:
    """x'(t), one order shorter; its coefficient of order 0 is made explicit, since a series always has one."""
    coefs = [None if c is None else (c if k == 1 else k * c) for k, c in enumerate(value.coefficients)][1:]
    if coefs[0] is None:
        coefs[0] = zeros_like(value.primal)
    return make(coefs)


def integral(start: Any, slope: Value, order: int) -> Value:
    """Start + ∫_0^t slope: the inverse of `derivative`."""
    coefs = coefficients(slope, order - 1)
    return make([start] + [None if c is None else (c if k == 1 else c / k) for k, c in enumerate(coefs, 1)])


def zeros_like(array: Any) -> Any:
    """Zeros of the shape and type of `array`."""
    return lax.full_like(array, 0, jnp.result_type(array))  # inside of `shard_map`, zeros that vary as the array does


def plus(a: Any, b: Any) -> Any:
    """The sum of two coefficients, either of which may be absent."""
    if a is None:
        return b
    return a if b is None else a + b


def minus(a: Any, b: Any) -> Any:
    """The difference of two coefficients, either of which may be absent."""
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
    """Σ_{j=start..stop} a_j b_{k-j} over the present pairs, or `None`; `stop` is k unless given."""
    total = None
    for j in range(start, (k if stop is None else stop) + 1):
        if a[j] is not None and b[k - j] is not None:
            total = plus(total, product(a[j], b[k - j]))
    return total


Pattern: TypeAlias = tuple[bool, ...] | None


def pattern(value: Value) -> Pattern:
    """Which coefficients are present; `None` for a constant."""
    return tuple(c is not None for c in value.coefficients) if isinstance(value, TaylorSeries) else None


def join(a: Pattern, b: Pattern) -> Pattern:
    """The coefficients that are present in either."""
    if a is None or b is None:
        return b if a is None else a
    return tuple(p or q for p, q in zip(a, b, strict=True))


def fill(value: Value, present: Pattern) -> Value:
    """The same series with explicit zeros wherever `present` asks for a coefficient."""
    if present is None:
        return value
    coefs = coefficients(value, len(present) - 1)
    zero = zeros_like(primal(value))
    return TaylorSeries(tuple(zero if c is None and p else c for c, p in zip(coefs, present, strict=True)))
