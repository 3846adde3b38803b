"""The interpreter: evaluates a program equation by equation, looking up the rule of each primitive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core

from taylornets._checks import ArgumentError
from taylornets.series._effects import StateCell, inside
from taylornets.series._reverse import push_forward
from taylornets.series._series import TaylorSeries, Value, derivative, integral, primal, truncate
from taylornets.series._versions import is_reference, kind

# Called for every equation with a series operand, with the name of the primitive and the family of its rule.
Record: TypeAlias = Callable[[str, str], None]


@dataclass(frozen=True)
class RuleContext:
    """The context of an evaluation, passed to every rule alongside its operands.

    Attributes:
        order: truncation order of all series in this evaluation.
        record: called for each equation, or `None`.
        custom_vjp: "function" expands the body of a `jax.custom_vjp` function, "rule" uses the author's reverse rule.
    """

    order: int
    record: Record | None = None
    custom_vjp: str = "function"

    def silent(self) -> "RuleContext":
        """Returns the same context without `record`, for equations already recorded by an enclosing rule."""
        return replace(self, record=None)


RuleFunction: TypeAlias = Callable[[RuleContext, Any, Sequence[Value]], Sequence[Value]]


@dataclass(frozen=True)
class Rule:
    """The rule that propagates series through one primitive.

    Attributes:
        primitive: the name of the primitive, as in a printed program.
        family: the group that the rule belongs to.
        apply: takes the context, the equation and its operands (at least one a `TaylorSeries`); returns the outputs.
        state: whether operands may be mutable arrays (`StateCell`).
    """

    primitive: str
    family: str
    apply: RuleFunction
    state: bool = False


RULES: dict[str, Rule] = {}


def register(family: str, *primitives: str, state: bool = False) -> Callable[[RuleFunction], RuleFunction]:
    """Registers a function as the rule of each named primitive; `state` if it accepts mutable arrays."""

    def enter(function: RuleFunction) -> RuleFunction:
        for name in primitives:
            if name in RULES:
                raise ValueError(f"two rules for {name}")
            RULES[name] = Rule(name, family, function, state)
        return function

    return enter


def bind(equation: Any, *operands: Any) -> list[Any]:
    """Applies the operation of an equation to plain arrays; always returns a list of outputs."""
    out = equation.primitive.bind(*operands, **equation.primitive.get_bind_params(equation.params))
    return list(out) if equation.primitive.multiple_results else [out]


def bind1(equation: Any, *operands: Any) -> Any:
    """Applies `bind` to an operation with a single output."""
    return bind(equation, *operands)[0]


def evaluate(ctx: RuleContext, jaxpr: Any, consts: Sequence[Value], operands: Sequence[Value]) -> list[Value]:
    """Evaluates a program on series.

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
        # A mutable array that contains a constant may contain a series later.
        followed = any(isinstance(v, TaylorSeries | StateCell) for v in values) or any(
            is_reference(v.aval) for v in equation.outvars
        )
        outs = apply(ctx, equation, values) if followed else bind(equation, *values)
        env.update(zip(equation.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def evaluate_closed(ctx: RuleContext, closed: Any, operands: Sequence[Value]) -> list[Value]:
    """Applies `evaluate` to a closed program."""
    with inside(closed.consts) as consts:
        return evaluate(ctx, closed.jaxpr, consts, operands)


def live_equations(jaxpr: Any) -> list[Any]:
    """Returns the equations needed by an output or an effect, in order; those with mutable arrays may write to them."""
    needed = {id(v) for v in jaxpr.outvars if not isinstance(v, core.Literal)}
    kept: list[Any] = []
    for equation in reversed(jaxpr.eqns):
        used = equation.effects or any(id(v) in needed for v in equation.outvars)
        if used or any(is_reference(v.aval) for v in equation.invars):
            needed.update(id(v) for v in equation.invars if not isinstance(v, core.Literal))
            kept.append(equation)
    return kept[::-1]


def apply(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    """Returns the outputs of an equation that has a series or a mutable array among its operands."""
    name = kind(equation)
    rule = RULES.get(name)
    if _refused(equation, values, rule):
        raise ArgumentError(
            "f",
            "operations on arrays",
            f"the primitive {name} on a mutable array or another unsupported type",
            'Pass mode="nested", or use mutable arrays only in loops, conditionals, jit and checkpoints.',
        )
    moves = any(isinstance(v.value if isinstance(v, StateCell) else v, TaylorSeries) for v in values)
    if _locally_constant(equation, values, name):
        family = "locally constant"
        outs: Sequence[Value] = bind(equation, *map(primal, values))
    elif rule is None:
        family = FALL_BACK
        outs = along_curve(ctx, lambda *operands: bind(equation, *operands), values)
    else:
        family = rule.family
        outs = rule.apply(ctx, equation, values)
    if ctx.record is not None and moves:
        ctx.record(name, family)
    return outs


def inexact(value: Any) -> bool:
    """Returns whether a value or variable has a floating or complex dtype."""
    return jnp.issubdtype(value.dtype, jnp.inexact)


def _refused(equation: Any, values: Sequence[Value], rule: Rule | None) -> bool:
    """Returns whether a value has a type unsupported by rules and fall-back, so that it may not count as constant."""
    if not all(hasattr(v.aval, "dtype") for v in equation.outvars):
        return True
    mutable = any(isinstance(v, StateCell) for v in values) or any(is_reference(v.aval) for v in equation.outvars)
    return mutable and not (rule is not None and rule.state)


# Effects that only display values. Any other effect requires a rule or goes through JAX's own derivative, which raises if it
# is undefined.
_WITNESSES = frozenset(("debug_callback", "debug_print"))


def _locally_constant(equation: Any, values: Sequence[Value], name: str) -> bool:
    """Returns whether an equation is locally constant without effects (comparisons, indices, rounding to integers)."""
    if any(isinstance(v, StateCell) for v in values) or any(inexact(v.aval) for v in equation.outvars):
        return False
    return name in _WITNESSES or (not equation.effects and name != "pure_callback")


FALL_BACK = "fall-back"


# The Jacobian-vector product of a function at a point: `(function, point, direction)` to a sequence of tangents.
Product: TypeAlias = Callable[[Callable[..., Sequence[Any]], tuple[Any, ...], tuple[Any, ...]], Sequence[Any]]


def forward(function: Callable[..., Sequence[Any]], point: tuple[Any, ...], way: tuple[Any, ...]) -> Sequence[Any]:
    """Computes J v in JAX's forward mode."""
    return jax.jvp(function, point, way)[1]


def reverse(function: Callable[..., Sequence[Any]], point: tuple[Any, ...], way: tuple[Any, ...]) -> Sequence[Any]:
    """Computes J v by transposing the reverse pass u ↦ J^T u, for functions that have only a reverse rule.

    Raises:
        ArgumentError: if the rule is not linear, or its reverse pass can be run only once.
    """
    outs, pull_back = jax.vjp(function, *point)
    push = push_forward(pull_back, outs, point)
    if push is None:
        raise ArgumentError(
            "custom_vjp",
            "a reverse rule that has a transpose",
            "one with a loop of unknown length or a callback",
            'Pass custom_vjp="function" to use the derivative of the function itself.',
        )
    return push(way)


def along_curve(
    ctx: RuleContext, function: Callable[..., Sequence[Any]], values: Sequence[Value], product: Product = forward
) -> list[Value]:
    """Propagates series through any differentiable function by its own derivative along the curve.

    For y(t) = F(x(t)) the chain rule gives y'(t) = J(x(t), x'(t)), where J is JAX's Jacobian-vector product of F. Since J
    is itself a program, it is evaluated on the series x and x', one order shorter, and y = F(x_0) + ∫ y'. If J contains F
    again, the same argument applies at one order lower, so the recursion ends at order 0. If J contains F at most once,
    the number of operations is polynomial in the order. If it contains F twice (a Bessel function), the number doubles
    with each order as in nested `jvp`, but only for this primitive. Since nested differentiation uses the same J, custom
    derivative rules are respected.

    Args:
        ctx: the context.
        function: takes plain arrays, returns a sequence of plain arrays.
        values: its operands.
        product: computes the Jacobian-vector product.
    """
    moving = [i for i, v in enumerate(values) if isinstance(v, TaylorSeries)]
    start = list(map(primal, values))

    def tangents(operands: Sequence[Any], directions: Sequence[Any]) -> Sequence[Any]:
        def restricted(*moved: Any) -> list[Any]:
            full = list(operands)
            for i, value in zip(moving, moved, strict=True):
                full[i] = value
            return [y for y in function(*full) if inexact(y)]

        return product(restricted, tuple(operands[i] for i in moving), tuple(directions))

    shorter = replace(ctx, order=ctx.order - 1, record=None)
    closed = jax.make_jaxpr(tangents)(start, [start[i] for i in moving])  # raises if JAX cannot differentiate it
    outputs = list(function(*start))
    operands = [truncate(v, shorter.order) for v in values] + [derivative(values[i]) for i in moving]
    try:
        slopes = iter(evaluate_closed(shorter, closed, operands))
    except RecursionError:  # J contains F at every order down to 0
        got = "a recursive derivative rule that exceeds Python's recursion limit"
        raise ArgumentError("degree", "a lower order", got, "Orders up to 50 are supported.") from None
    return [integral(y, next(slopes), ctx.order) if inexact(y) else y for y in outputs]
