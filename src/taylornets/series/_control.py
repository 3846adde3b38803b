"""Rules of programs inside programs: calls, custom derivatives, rematerialization, cond, scan, while, linear solves."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from taylornets.series._engine import Context, along_curve, bind, evaluate, evaluate_closed, register
from taylornets.series._series import (
    Series,
    Value,
    coefficient,
    fill,
    join,
    make,
    minus,
    pattern,
    primal,
    zeros_like,
)

FAMILY = "control flow"


@register("call", "jit")
def _call(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    return evaluate_closed(ctx, equation.params["jaxpr"], values)


@register("custom derivative rule", "custom_jvp_call")
def _custom_jvp(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # The author's rule is the derivative, as it is for nested `jvp`; the body only gives the value.
    return along_curve(ctx.silent(), lambda *operands: bind(equation, *operands), values)


@register("custom derivative rule", "custom_vjp_call")
def _custom_vjp(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # A reverse rule cannot be run forward (nested `jvp` refuses these functions), so the body is expanded.
    return evaluate_closed(ctx.silent(), equation.params["call_jaxpr"], values)


@register("rematerialization", "remat2")
def _remat(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    params = equation.params

    def body(*operands: Value) -> list[Value]:
        return evaluate(ctx, params["jaxpr"], (), operands)

    return jax.checkpoint(body, prevent_cse=params["prevent_cse"], policy=params["policy"])(*values)


@register(FAMILY, "cond")
def _cond(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    index, *operands = values

    def branch(closed: Any) -> Callable[..., list[Value]]:
        return lambda *args: evaluate_closed(ctx, closed, args)

    branches = [branch(closed) for closed in equation.params["branches"]]
    quiet = Context(ctx.order)
    shapes = [
        jax.eval_shape(lambda *args, closed=closed: evaluate_closed(quiet, closed, args), *operands)
        for closed in equation.params["branches"]
    ]
    # Every branch returns the coefficients that any of them has.
    wanted = [None] * len(shapes[0])
    for shape in shapes:
        wanted = [join(w, pattern(s)) for w, s in zip(wanted, shape, strict=True)]

    def filled(function: Callable[..., list[Value]]) -> Callable[..., list[Value]]:
        return lambda *args: [fill(v, w) for v, w in zip(function(*args), wanted, strict=True)]

    return lax.switch(index, [filled(function) for function in branches], *operands)


def stable_carry(step: Callable[[list[Value]], list[Value]], carry: Sequence[Value]) -> list[Value]:
    """The carry with explicit zeros for every coefficient that some iteration of `step` will produce.

    The set of present coefficients only grows from one iteration to the next and is finite, so this ends. No number is
    computed: `step` is traced for shapes only.
    """
    carry = list(carry)
    while True:
        after = jax.eval_shape(step, carry)
        wanted = [join(pattern(a), pattern(b)) for a, b in zip(carry, after, strict=True)]
        if wanted == [pattern(v) for v in carry]:
            return carry
        carry = [fill(v, w) for v, w in zip(carry, wanted, strict=True)]


def _match(values: Sequence[Value], like: Sequence[Value]) -> list[Value]:
    return [fill(v, pattern(other)) for v, other in zip(values, like, strict=True)]


@register(FAMILY, "scan")
def _scan(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    params = equation.params
    first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
    consts, carry, xs = list(values[:first]), list(values[first:second]), list(values[second:])
    quiet = Context(ctx.order)
    slices = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)

    def outline(carry: list[Value]) -> list[Value]:
        def once(consts: list[Value], carry: list[Value], x: list[Value]) -> list[Value]:
            return evaluate_closed(quiet, params["jaxpr"], [*consts, *carry, *x])[: params["num_carry"]]

        return jax.eval_shape(once, consts, carry, slices)

    carry = stable_carry(outline, carry)

    def step(carry: list[Value], x: list[Value]) -> tuple[list[Value], list[Value]]:
        outs = evaluate_closed(ctx, params["jaxpr"], [*consts, *carry, *x])
        return _match(outs[: params["num_carry"]], carry), outs[params["num_carry"] :]

    final, ys = lax.scan(step, carry, xs, params["length"], reverse=params["reverse"], unroll=params["unroll"])
    return [*final, *ys]


@register(FAMILY, "while")
def _while(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    params = equation.params
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    cond_consts, body_consts, carry = list(values[:first]), list(values[first:second]), list(values[second:])
    quiet = Context(ctx.order)

    def outline(carry: list[Value]) -> list[Value]:
        return evaluate_closed(quiet, params["body_jaxpr"], [*body_consts, *carry])

    carry = stable_carry(outline, carry)

    def going(carry: list[Value]) -> Any:
        # How often the loop runs is decided by the primal alone; it is locally constant.
        operands = [primal(v) for v in (*cond_consts, *carry)]
        return evaluate_closed(quiet, params["cond_jaxpr"], operands)[0]

    def step(carry: list[Value]) -> list[Value]:
        after = _match(evaluate_closed(ctx, params["body_jaxpr"], [*body_consts, *carry]), carry)
        # `vmap` makes one loop of many, each with a predicate of its own: those that are done stay where they are.
        alive = going(carry)
        return [jax.tree.map(partial(_select, alive), new, old) for new, old in zip(after, carry, strict=True)]

    return lax.while_loop(lambda carry: going(carry).any(), step, carry)


def _select(predicate: Any, new: Any, old: Any) -> Any:
    """`new` where the predicate of each loop holds, else `old`; a single predicate holds wherever a step runs."""
    return (
        jnp.where(lax.expand_dims(predicate, range(predicate.ndim, jnp.ndim(new))), new, old) if predicate.ndim else new
    )


@register("linear algebra", "custom_linear_solve")
def _linear_solve(ctx: Context, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # A(t) x(t) = b(t):  A_0 x_k = b_k − [A(t) (x_0 + .. + x_{k-1} t^{k-1})]_k, every order with the solver of A_0.
    params = equation.params
    total = sum(params["const_lengths"])
    consts, b = list(values[:total]), list(values[total:])
    fixed = [primal(v) for v in consts]
    matrix = consts[: params["const_lengths"].matvec]
    moves = any(isinstance(v, Series) for v in matrix)
    x = [[c] for c in bind(equation, *fixed, *[primal(v) for v in b])]
    for k in range(1, ctx.order + 1):
        right = [coefficient(v, k) for v in b]
        if moves:
            known = [make([*row, *[None] * (ctx.order + 1 - k)]) for row in x]
            image = evaluate_closed(Context(ctx.order), params["jaxprs"].matvec, [*matrix, *known])
            right = [minus(r, coefficient(v, k)) for r, v in zip(right, image, strict=True)]
        if all(r is None for r in right):
            outs: Sequence[Any] = [None] * len(x)
        else:
            outs = bind(equation, *fixed, *[_or_zeros(r, v) for r, v in zip(right, b, strict=True)])
        for row, out in zip(x, outs, strict=True):
            row.append(out)
    return [make(row) for row in x]


def _or_zeros(value: Any, like: Value) -> Any:
    """`value`, or zeros of the shape of `like` where it is absent."""
    return zeros_like(primal(like)) if value is None else value
