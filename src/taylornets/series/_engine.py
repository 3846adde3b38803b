"""The interpreter: walks a program equation by equation and asks the table for the rule of each primitive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core

from taylornets.series._series import Series, Value, derivative, integral, primal, truncate

# Told of every equation that series pass through: the primitive's name and the family that handled it.
Record: TypeAlias = Callable[[str, str], None]


@dataclass(frozen=True)
class Context:
    """What a rule may ask for besides its operands.

    Attributes:
        order: order of truncation of every series of this run.
        record: told of each equation, or `None`.
    """

    order: int
    record: Record | None = None

    def silent(self) -> "Context":
        """The same without a record: for work that an enclosing rule has already reported."""
        return replace(self, record=None)


RuleFunction: TypeAlias = Callable[[Context, Any, Sequence[Value]], Sequence[Value]]


@dataclass(frozen=True)
class Rule:
    """How series pass through one primitive.

    Attributes:
        primitive: the primitive's name as a printed program shows it.
        family: the group of rules it belongs to.
        apply: takes the context, the equation and its operands (at least one a `Series`); returns the outputs.
    """

    primitive: str
    family: str
    apply: RuleFunction


RULES: dict[str, Rule] = {}


def register(family: str, *primitives: str) -> Callable[[RuleFunction], RuleFunction]:
    """Enters a function into the table as the rule of each named primitive."""

    def enter(function: RuleFunction) -> RuleFunction:
        for name in primitives:
            if name in RULES:
                raise ValueError(f"two rules for {name}")
            RULES[name] = Rule(name, family, function)
        return function

    return enter


def bind(equation: Any, *operands: Any) -> list[Any]:
    """The equation's own operation on plain arrays; always a list of outputs."""
    out = equation.primitive.bind(*operands, **equation.primitive.get_bind_params(equation.params))
    return list(out) if equation.primitive.multiple_results else [out]


def bind1(equation: Any, *operands: Any) -> Any:
    """`bind` for an operation with a single output."""
    return bind(equation, *operands)[0]


def evaluate(ctx: Context, jaxpr: Any, consts: Sequence[Value], operands: Sequence[Value]) -> list[Value]:
    """Runs a program on series.

    Args:
        ctx: the context.
        jaxpr: an open `jax.extend.core.Jaxpr`.
        consts: values of its constants.
        operands: values of its arguments.

    Returns:
        The values of its outputs.
    """
    env: dict[Any, Value] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *operands], strict=True))

    def read(atom: Any) -> Value:
        return atom.val if isinstance(atom, core.Literal) else env[atom]

    for equation in live_equations(jaxpr):
        values = [read(atom) for atom in equation.invars]
        outs = apply(ctx, equation, values) if any(isinstance(v, Series) for v in values) else bind(equation, *values)
        env.update(zip(equation.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def evaluate_closed(ctx: Context, closed: Any, operands: Sequence[Value]) -> list[Value]:
    """`evaluate` for a program that carries its constants."""
    return evaluate(ctx, closed.jaxpr, closed.consts, operands)


def live_equations(jaxpr: Any) -> list[Any]:
    """The equations that an output or an effect needs, in order."""
    needed = {id(v) for v in jaxpr.outvars if not isinstance(v, core.Literal)}
    kept: list[Any] = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or any(id(v) in needed for v in equation.outvars):
            needed.update(id(v) for v in equation.invars if not isinstance(v, core.Literal))
            kept.append(equation)
    return kept[::-1]


def apply(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    """The outputs of one equation with a series among its operands."""
    name = equation.primitive.name
    rule = RULES.get(name)
    if not any(jnp.issubdtype(v.aval.dtype, jnp.inexact) for v in equation.outvars):
        # Comparisons, indices, rounding to integers: locally constant.
        family = "locally constant"
        outs: Sequence[Value] = bind(equation, *map(primal, values))
    elif rule is None:
        family = FALL_BACK
        outs = along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    else:
        family = rule.family
        outs = rule.apply(ctx, equation, values)
    if ctx.record is not None:
        ctx.record(name, family)
    return outs


FALL_BACK = "fall-back"


def along_curve(ctx: Context, function: Callable[..., Sequence[Any]], values: Sequence[Value]) -> list[Value]:
    """Any differentiable function of series, by its own derivative along the curve.

    With y(t) = F(x(t)) the chain rule gives y'(t) = J(x(t), x'(t)), where J is the Jacobian-vector product that JAX
    knows for F. J is a program of its own, so it is run on the series x and x', which are one order shorter, and
    y = F(x_0) + ∫ y'. Where J contains F again the same argument applies, one order lower each time, so this ends at
    order 0. If J contains F at most once, the number of operations is polynomial in the order; if it does twice (a
    Bessel function), it doubles with each order as it does for nested `jvp`, but for this primitive alone. Since J is
    the derivative that nested differentiation would use, custom derivative rules are honored.

    Args:
        ctx: the context.
        function: takes plain arrays, returns a sequence of plain arrays.
        values: its operands.
    """
    moving = [i for i, v in enumerate(values) if isinstance(v, Series)]
    start = list(map(primal, values))
    outputs = list(function(*start))

    def tangents(operands: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
        def restricted(*moved: Any) -> list[Any]:
            full = list(operands)
            for i, value in zip(moving, moved, strict=True):
                full[i] = value
            return [y for y in function(*full) if jnp.issubdtype(y.dtype, jnp.inexact)]

        return jax.jvp(restricted, tuple(operands[i] for i in moving), tuple(directions))[1]

    shorter = ctx.order - 1
    closed = jax.make_jaxpr(tangents)(start, [start[i] for i in moving])
    operands = [truncate(v, shorter) for v in values] + [derivative(values[i]) for i in moving]
    slopes = iter(evaluate_closed(Context(shorter), closed, operands))
    return [integral(y, next(slopes), ctx.order) if jnp.issubdtype(y.dtype, jnp.inexact) else y for y in outputs]
