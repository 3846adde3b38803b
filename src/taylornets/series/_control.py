"""Rules for nested programs (calls, rematerialization, cond, scan, while) and for mutable arrays."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from taylornets.series._effects import StateCell, cells_of, contents, on_contents, pure, put
from taylornets.series._engine import RuleContext, bind, evaluate_closed, register
from taylornets.series._series import TaylorSeries, Value, fill, join, pattern, primal
from taylornets.series._versions import HIGH, body, expansion, parameters, scan_sizes, without_state

FAMILY = "control flow"


@register("call", "jit", "eval_jaxpr", "custom_vmap_call", "scan3", "root_linear_map", "opt_remat", state=True)
def expanded(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    """Evaluates the program inside an equation, or its expansion by JAX."""
    program = body(equation) if equation.primitive.name != HIGH else None
    if program is not None:
        return evaluate_closed(ctx, program, values)
    cells, (program, operands) = cells_of(values), on_contents(expansion(equation), values)
    outs = evaluate_closed(ctx, program, operands)
    count = len(outs) - len(cells)
    put(cells, outs[count:])
    return outs[:count]


@register("rematerialization", "remat2", state=True)
def _remat(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    params, cells = parameters(equation), cells_of(values)
    program = body(equation)
    plain = [not isinstance(v, StateCell) for v in values]

    def run(*operands: Value) -> list[Value]:
        given = iter(operands)
        return evaluate_closed(ctx, program, [next(given) if p else v for p, v in zip(plain, values, strict=True)])

    barrier = params.get("prevent_cse", True)
    if not isinstance(barrier, bool):  # one flag per operand
        barrier = (any(barrier), *compress(barrier, plain))
    wrapped = jax.checkpoint(pure(cells, run), prevent_cse=barrier, policy=params["policy"])
    held, outs = wrapped(contents(cells), *compress(values, plain))
    put(cells, held)
    return outs


@register(FAMILY, "cond", state=True)
def _cond(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    index, *operands = values
    cells = cells_of(operands)
    plain = [not isinstance(v, StateCell) for v in operands]

    def branch(ctx: RuleContext, closed: Any) -> Callable[..., list[Value]]:
        def run(*args: Value) -> list[Value]:
            given = iter(args)
            return evaluate_closed(ctx, closed, [next(given) if p else v for p, v in zip(plain, operands, strict=True)])

        def flat(held: Sequence[Value], *args: Value) -> list[Value]:
            after, outs = pure(cells, run)(held, *args)
            return [*after, *outs]

        return flat

    given = (contents(cells), *compress(operands, plain))
    shapes = [jax.eval_shape(branch(ctx.silent(), closed), *given) for closed in equation.params["branches"]]
    # All branches must return the same set of coefficients: the union over the branches.
    wanted = [None] * len(shapes[0])
    for shape in shapes:
        wanted = [join(w, pattern(s)) for w, s in zip(wanted, shape, strict=True)]

    def filled(function: Callable[..., list[Value]]) -> Callable[..., list[Value]]:
        return lambda *args: [fill(v, w) for v, w in zip(function(*args), wanted, strict=True)]

    outs = lax.switch(index, [filled(branch(ctx, closed)) for closed in equation.params["branches"]], *given)
    put(cells, outs[: len(cells)])
    return outs[len(cells) :]


# After this many rounds, all coefficients above the lowest nonzero one are made explicit. A loop that raises the degree by one
# per iteration would otherwise need one round per order, each as expensive as tracing the loop.
ROUNDS = 6


def stable_carry(step: Callable[[list[Value]], list[Value]], carry: Sequence[Value]) -> list[Value]:
    """Returns the carry with explicit zeros for every coefficient that some iteration of `step` produces.

    The set of present coefficients is finite and can only grow between iterations, so this terminates. Nothing is
    computed: `step` is traced for shapes only.
    """
    carry, rounds = list(carry), 0
    while True:
        after = jax.eval_shape(step, carry)
        wanted = [join(pattern(a), pattern(b)) for a, b in zip(carry, after, strict=True)]
        if wanted == [pattern(v) for v in carry]:
            return carry
        rounds += 1
        if rounds > ROUNDS:
            wanted = [_upward(present) for present in wanted]
        carry = [fill(v, w) for v, w in zip(carry, wanted, strict=True)]


def _upward(present: tuple[bool, ...] | None) -> tuple[bool, ...] | None:
    return None if present is None else tuple(any(present[1 : k + 1]) or k == 0 for k in range(len(present)))


def _match(values: Sequence[Value], like: Sequence[Value]) -> list[Value]:
    return [fill(v, pattern(other)) for v, other in zip(values, like, strict=True)]


@register(FAMILY, "scan", state=True)
def _scan(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    params, cells = equation.params, cells_of(values)
    constants, carried = scan_sizes(params)
    consts, carry, xs = values[:constants], values[constants : constants + carried], list(values[constants + carried :])
    count = len(cells)

    def advance(ctx: RuleContext, full: list[Value], x: list[Value]) -> tuple[list[Value], list[Value]]:
        run = pure(cells, lambda *operands: evaluate_closed(ctx, params["jaxpr"], [*consts, *operands]))
        held, outs = run(full[:count], *full[count:], *x)
        return [*held, *outs[:carried]], outs[carried:]

    def outline(full: list[Value]) -> list[Value]:
        slices = jax.tree.map(lambda leaf: lax.full_like(leaf, 0, shape=leaf.shape[1:]), xs)  # the length may be zero
        return advance(ctx.silent(), full, slices)[0]

    start = stable_carry(outline, [*contents(cells), *carry])

    def step(full: list[Value], x: list[Value]) -> tuple[list[Value], list[Value]]:
        after, ys = advance(ctx, full, x)
        return _match(after, full), ys

    full, ys = lax.scan(step, start, xs, params["length"], reverse=params["reverse"], unroll=params["unroll"])
    put(cells, full[:count])
    return [*full[count:], *ys]


@register(FAMILY, "while", state=True)
def _while(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    params, cells = equation.params, cells_of(values)
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    cond_consts, body_consts, carry = list(values[:first]), list(values[first:second]), list(values[second:])
    count, quiet = len(cells), ctx.silent()

    def advance(ctx: RuleContext, full: list[Value]) -> list[Value]:
        run = pure(cells, lambda carry: evaluate_closed(ctx, params["body_jaxpr"], [*body_consts, *carry]))
        held, after = run(full[:count], full[count:])
        return [*held, *after]

    start = stable_carry(partial(advance, quiet), [*contents(cells), *carry])

    def going(full: list[Value]) -> Any:
        # The number of iterations depends on the primal alone and is locally constant.
        fixed = [primal(v) for v in full]
        operands = [primal(v) for v in cond_consts] + fixed[count:]
        run = pure(cells, lambda: evaluate_closed(quiet, params["cond_jaxpr"], operands)[0])
        return run(fixed[:count])[1]

    def step(full: list[Value]) -> list[Value]:
        after = _match(advance(ctx, full), full)
        # Under `vmap`, each batch element has its own predicate; finished elements keep their values.
        alive = going(full)
        return [jax.tree.map(partial(_select, alive), new, old) for new, old in zip(after, full, strict=True)]

    full = lax.while_loop(lambda full: going(full).any(), step, start)
    put(cells, full[:count])
    return full[count:]


def _select(predicate: Any, new: Any, old: Any) -> Any:
    """Selects `new` where the predicate of a batch element holds, else `old`; a scalar predicate holds whenever a step runs."""
    return (
        jnp.where(lax.expand_dims(predicate, range(predicate.ndim, jnp.ndim(new))), new, old) if predicate.ndim else new
    )


STATE = "mutable array"


@register(STATE, "new_ref", "empty_ref", state=True)
def _new(_: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    aval = equation.outvars[0].aval
    start = values[0] if values else jnp.zeros(aval.shape, aval.dtype)
    return [StateCell(start if isinstance(start, TaylorSeries) else jnp.asarray(start, aval.dtype))]


@register(STATE, "get", "swap", "addupdate", state=True)
def _access(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    program, operands = on_contents(lambda *args: bind(equation, *args), values)
    *outs, values[0].value = evaluate_closed(ctx.silent(), without_state(program), operands)
    return outs


@register(STATE, "freeze", "free_ref", state=True)
def _freeze(_: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    return [values[0].value] if equation.outvars else []
