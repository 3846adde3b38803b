"""Counts operations and bytes of a program and finds its precision, without running it."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from taylornets.series._versions import closed, kind, parameters, programs

# Operations that only move data.
_MOVES = frozenset((
    "reshape", "broadcast_in_dim", "transpose", "squeeze", "slice", "concatenate", "gather", "rev", "pad", "iota",
    "copy", "dynamic_slice", "dynamic_update_slice", "convert_element_type", "split", "scatter", "stop_gradient",
    "name", "stack", "unstack", "tile",
))  # fmt: skip
# Elementwise operations that a compiler fuses into their consumers.
_FUSED = frozenset((
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp",
    "complex", "conj", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor",
    "ge", "gt", "imag", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "mul",
    "ne", "neg", "not", "or", "pow", "real", "reduce_precision", "rem", "round", "rsqrt", "select_n", "sign", "sin",
    "sinh", "sqrt", "square", "sub", "tan", "tanh", "xor",
)) | (_MOVES - {"gather", "scatter", "dynamic_update_slice"})  # fmt: skip
# Reductions, into which elementwise operations are fused.
_REDUCTIONS = frozenset((
    "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin",
))  # fmt: skip
# Calls that a compiler inlines.
_INLINE = frozenset(("jit", "eval_jaxpr", "custom_jvp_call", "custom_vjp_call", "closed_call", "core_call", "remat2"))


def size_bytes(variable: Any) -> int:
    """Returns the size in bytes of a program variable."""
    aval = variable.aval
    shape = getattr(aval, "shape", ())
    try:
        return math.prod(shape) * jnp.dtype(aval.dtype).itemsize
    except (AttributeError, TypeError):  # tokens and key arrays
        return 8 * math.prod(shape)


def _inexact(variable: Any) -> bool:
    dtype = getattr(variable.aval, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.inexact)


@dataclass(frozen=True)
class _Step:
    """An equation with the numbers of the values it reads and writes."""

    equation: Any
    reads: tuple[int, ...]
    writes: tuple[int, ...]

    @property
    def fused(self) -> bool:
        return self.equation.primitive.name in _FUSED


def _flat(
    jaxpr: Any, operands: Sequence[int | None], sizes: dict[int, int], factor: int
) -> tuple[list[_Step], list[int | None]]:
    """Returns the equations of a program with calls inlined, and its outputs; adds the bytes of each new value to `sizes`."""
    names: dict[Any, int | None] = dict(zip([*jaxpr.constvars, *jaxpr.invars], operands, strict=True))
    steps: list[_Step] = []

    def read(atom: Any) -> int | None:
        return None if isinstance(atom, core.Literal) else names[atom]

    for equation in jaxpr.eqns:
        reads = [read(atom) for atom in equation.invars]
        inner = list(programs(equation)) if kind(equation) in _INLINE else []
        if len(inner) == 1 and len(inner[0].invars) == len(reads):
            below, outs = _flat(inner[0], [*[None] * len(inner[0].constvars), *reads], sizes, factor)
            steps += below
            names.update(zip(equation.outvars, outs, strict=True))
            continue
        writes = tuple(range(len(sizes), len(sizes) + len(equation.outvars)))
        for v, number in zip(equation.outvars, writes, strict=True):
            sizes[number] = size_bytes(v) * (factor if _inexact(v) else 1)
            names[v] = number
        steps.append(_Step(equation, tuple(r for r in reads if r is not None), writes))
    return steps, [read(atom) for atom in jaxpr.outvars]


def _needed(steps: Sequence[_Step], outputs: set[int]) -> tuple[set[int], dict[int, int]]:
    """Returns the stored values, and the last step that needs each value.

    The result of a fused operation is stored only if it is read by an operation that is neither fused nor a reduction.
    """
    last = dict.fromkeys(outputs, len(steps))
    stored, whole = set(outputs), set(outputs)
    for position in range(len(steps) - 1, -1, -1):
        step = steps[position]
        used = [w for w in step.writes if w in last]
        if not used and not step.equation.effects:
            continue
        kept = [w for w in used if w in whole or not step.fused]
        stored.update(kept)
        done = position if kept or not used else max(last[w] for w in used)
        for r in step.reads:
            last[r] = max(last.get(r, 0), done)
        if not step.fused and step.equation.primitive.name not in _REDUCTIONS:
            whole.update(step.reads)
    return stored, last


def _peak(jaxpr: Any, factor: int) -> int:
    """Returns the peak bytes of a program in addition to its arguments and constants."""
    sizes: dict[int, int] = {}
    arguments = [*jaxpr.constvars, *jaxpr.invars]
    sizes.update((number, 0) for number in range(len(arguments)))
    steps, outs = _flat(jaxpr, range(len(arguments)), sizes, factor)
    stored, last = _needed(steps, {v for v in outs if v is not None})
    ends: dict[int, list[int]] = {}
    for v in stored:
        ends.setdefault(last[v], []).append(v)
    alive = largest = 0
    for position, step in enumerate(steps):
        inside = max((_peak(inner, factor) for inner in programs(step.equation)), default=0)
        new = sum(sizes[w] for w in step.writes if w in stored)
        freed = sum(sizes[v] for v in ends.get(position, ()))
        # A fused operation can work in place.
        largest = max(largest, alive + inside, alive + new + (-min(freed, new) if step.fused else inside))
        alive += new - freed
    return largest


def live_bytes(jaxpr: Any, factor: int = 1) -> int:
    """Returns an optimistic estimate of the peak memory in bytes: results that a compiler can fuse are not counted.

    Args:
        jaxpr: an open program.
        factor: number of arrays per real or complex result; arguments and constants count once.
    """
    return sum(size_bytes(v) for v in (*jaxpr.constvars, *jaxpr.invars)) + _peak(jaxpr, factor)


def operations(jaxpr: Any) -> int:
    """Counts floating-point operations: 2 per multiply-add of a product, 1 per element of any other result.

    A `scan` counts its body once per iteration, a `while` loop its body once, and a `cond` its most expensive branch.
    """
    return sum(_operations(equation) for equation in jaxpr.eqns)


def _operations(equation: Any) -> int:
    name = kind(equation)
    inner = [operations(program) for program in programs(equation)]
    out = sum(math.prod(getattr(v.aval, "shape", ())) for v in equation.outvars)
    if name in ("scan", "scan3"):
        return parameters(equation)["length"] * sum(inner)
    if inner:  # only one branch of a cond, or one of the four programs of a linear solve, runs
        return max(inner) if name in ("cond", "custom_linear_solve") else sum(inner)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * out * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = equation.params["dimension_numbers"].rhs_spec[0]
        return 2 * out * math.prod(kernel) // kernel[features]
    read = math.prod(equation.invars[0].aval.shape) if name.startswith(("reduce_", "arg")) else out
    return 0 if name in _MOVES else read


def precision(program: Any) -> float:
    """Returns the largest machine epsilon among the results of a program and its nested programs; 0 without such results.

    The dtypes of the computation count, not those of the inputs: a network with single-precision weights that multiplies in
    half precision has the rounding errors of half precision.

    Args:
        program: an open or a closed program.
    """
    return max(_roundings(closed(program).jaxpr), default=0.0)


def _roundings(jaxpr: Any) -> Iterator[float]:
    for equation in jaxpr.eqns:
        yield from (float(jnp.finfo(v.aval.dtype).eps) for v in equation.outvars if _inexact(v))
        if equation.primitive.name == "reduce_precision":
            yield 2.0 ** -equation.params["mantissa_bits"]
        for inner in programs(equation):
            yield from _roundings(inner)


def memory_limit() -> int:
    """Returns the memory of the default device in bytes, or that of the host if the device does not report it."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
