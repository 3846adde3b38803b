"""Every rule over the space of its primitive's parameters, against values alone; a rule without a generator fails."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chebyshev import TIMES, coefficients_from_values
from edge_case import Case
from edge_elementwise import ELEMENTWISE, UNARY
from edge_programs import PROGRAMS
from edge_structure import STRUCTURE
from jax import lax

from taylornets.series import RULES, Context, coefficients, evaluate_closed, make

ORDER = 3  # orders up to 6 are compared on whole models
TABLE = {**ELEMENTWISE, **STRUCTURE, **PROGRAMS}
# Programs inside programs have no parameters at whose edges arithmetic changes: `test_rules.py` has a sample of each.
FAMILIES = {
    "bilinear", "linear", "linear algebra", "locally constant", "piecewise linear", "reduction", "univariate",
}  # fmt: skip
# Primitives that some versions of JAX do not have, and a public name that tells.
RECENT = {
    "log2": "log2", "one_minus_square": "one_minus_square", "polynomial": "polynomial", "stack": "stack",
    "unstack": "stack",
}  # fmt: skip

Curve = list[tuple[Any, ...]]


def moves(operand: np.ndarray) -> bool:
    return np.issubdtype(operand.dtype, np.inexact)


def direction(like: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    step = generator.uniform(-0.1, 0.1, like.shape)
    return step + 1j * generator.uniform(-0.1, 0.1, like.shape) if np.iscomplexobj(like) else step


def all_moving(case: Case) -> Curve:
    """Start and two coefficients of each operand; integers stay."""
    generator = np.random.default_rng(7)
    drawn = [[direction(x, generator) for _ in range(2)] if moves(x) else [None, None] for x in case.operands]
    return [(x, *d) for x, d in zip(case.operands, drawn, strict=True)]


def some_moving(case: Case) -> list[Curve]:
    """Each operand alone, and all of them without a term of order 1."""
    curve = all_moving(case)
    moving = [i for i, v in enumerate(curve) if v[1] is not None]
    alone = [[v if i == j else (v[0], None, None) for j, v in enumerate(curve)] for i in moving]
    return [[(x, None, b) for x, _, b in curve], *(alone if len(moving) > 1 else [])]


def curves(cases: Sequence[Case]) -> list[tuple[Case, Curve]]:
    """All operands moving in every case; the other patterns, which do not interact with parameters, in the first few."""
    others = [(case, some_moving(case)) for case in cases]
    partly = [(case, rows[i % len(rows)]) for i, (case, rows) in enumerate(others) if i < 2 * len(rows)]
    return [*[(case, all_moving(case)) for case in cases], *partly]


def series(case: Case, curve: Curve) -> list[tuple[Any, ...]]:
    """The coefficients of each output by the rules."""

    def flat(*operands: Any) -> list[Any]:
        return jax.tree.leaves(case.function(*operands))

    def run(values: Curve) -> list[tuple[Any, ...]]:
        operands = [make((*v, *[None] * (ORDER + 1 - len(v)))) for v in values]
        closed = jax.make_jaxpr(flat)(*[v[0] for v in values])
        return [coefficients(y, ORDER) for y in evaluate_closed(Context(ORDER), closed, operands)]

    return jax.vmap(run, axis_name="i")(curve) if case.axis else run(curve)


def point(value: tuple[Any, ...], t: Any) -> Any:
    """An operand at time t."""
    start, first, second = value
    first = None if first is None else jnp.asarray(first) * t
    second = None if second is None else jnp.asarray(second) * (t * t)
    moved = [m for m in (first, second) if m is not None]
    return jnp.asarray(start) + sum(moved[1:], moved[0]) if moved else jnp.asarray(start)


def values(case: Case, curve: Curve, t: Any) -> list[Any]:
    """The outputs at time t."""
    operands = [point(v, t) for v in curve]
    if case.expected is not None:
        return jax.tree.leaves(case.expected(*operands, *[jnp.asarray(v[0]) for v in curve]))
    function = jax.vmap(case.function, axis_name="i") if case.axis else case.function
    return jax.tree.leaves(function(*operands))


def compare(case: Case, ours: Sequence[Any], theirs: Sequence[np.ndarray], tolerance: float = 1e-8) -> None:
    with np.errstate(invalid="ignore"):
        scale = max([1.0, *(float(np.abs(c[np.isfinite(c)]).max(initial=0)) for c in theirs)])
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        got = np.zeros_like(b) if a is None else np.asarray(a, b.dtype)
        assert got.shape == b.shape, f"{case.label}: order {k} has shape {got.shape} instead of {b.shape}"
        np.testing.assert_allclose(got, b, atol=tolerance * scale, rtol=0, err_msg=f"{case.label}, order {k}")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", TABLE)
def test_coefficients(name):
    chosen = curves(list(TABLE[name]()))
    cases, given = zip(*chosen, strict=True)

    def program(given: Sequence[Curve], times: Any) -> Any:
        ours = [series(*pair) for pair in zip(cases, given, strict=True)]
        return ours, lax.map(lambda t: [values(*pair, t) for pair in zip(cases, given, strict=True)], times)

    # One program for all: compilation is what takes time.
    ours, along = jax.jit(program)(given, TIMES)
    for case, rows, columns in zip(cases, ours, along, strict=True):
        for row, column in zip(rows, columns, strict=True):
            compare(case, row, coefficients_from_values(column, ORDER))


def primitives(jaxpr: Any) -> set[str]:
    """The names in a program and in the programs among its parameters."""
    found = {equation.primitive.name for equation in jaxpr.eqns}
    for equation in jaxpr.eqns:
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            found |= primitives(inner) if hasattr(inner, "eqns") else set()
    return found


def uses(name: str, case: Case) -> bool:
    trace = jax.make_jaxpr(case.function, axis_env=[("i", 2)]) if case.axis else jax.make_jaxpr(case.function)
    operands = [x[0] if case.axis else x for x in case.operands]
    return name in primitives(trace(*operands).jaxpr)


@pytest.mark.usefixtures("x64")
def test_every_rule_has_a_generator():
    expected = {
        name for name, rule in RULES.items() if rule.family in FAMILIES and hasattr(lax, RECENT.get(name, "add"))
    }
    assert expected - set(TABLE) == set()
    assert [name for name in TABLE if not any(uses(name, case) for case in TABLE[name]())] == []


def cast(x: np.ndarray, dtype: str) -> np.ndarray:
    if np.iscomplexobj(x):
        return x.astype(np.complex64)
    return x.astype(jnp.dtype(dtype)) if moves(x) else x


@pytest.mark.parametrize("name", TABLE)
def test_types(name):
    # The precisions in turn, without x64. Types are decided while tracing: nothing is compiled.
    cases = [case for case in TABLE[name]() if case.dtypes]
    cases = cases[:: max(1, len(cases) // 8)]
    for i, case in enumerate(cases if len(cases) > 2 else 3 * cases):
        curve = [
            tuple(None if c is None else cast(c, case.dtypes[i % len(case.dtypes)]) for c in v)
            for v in all_moving(case)
        ]
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            rows = jax.eval_shape(lambda curve, case=case: series(case, curve), curve)
            function = jax.vmap(case.function, axis_name="i") if case.axis else case.function
            outs = jax.tree.leaves(jax.eval_shape(function, *[v[0] for v in curve]))
        for row, out in zip(rows, outs, strict=True):
            assert {(c.dtype, c.shape) for c in row if c is not None} == {(out.dtype, out.shape)}, case.label


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    # Curves in half precision have the same coefficients as in double, up to rounding.
    cases = [case for name in UNARY for case in islice(ELEMENTWISE[name](), 1) if dtype in case.dtypes]
    given = [[tuple(None if c is None else cast(c, dtype) for c in v) for v in all_moving(case)] for case in cases]
    low = jax.jit(lambda given: [series(*pair) for pair in zip(cases, given, strict=True)])(given)
    with jax.enable_x64(True):
        exact = [[tuple(None if c is None else c.astype(np.float64) for c in v) for v in curve] for curve in given]
        high = jax.jit(lambda given: [series(*pair) for pair in zip(cases, given, strict=True)])(exact)
    for case, rows, others in zip(cases, low, high, strict=True):
        for row, other in zip(rows, others, strict=True):
            filled = [np.zeros(other[0].shape) if c is None else np.asarray(c) for c in other]
            compare(case, row, filled, 16 * float(jnp.finfo(dtype).eps))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", [name for name in TABLE if any(case.edge for case in TABLE[name]())])
def test_no_nan_on_the_way(name):
    # Step by step: an operation that returns NaN raises, even where a later choice discards it.
    with jax.debug_nans(True):
        for case in (case for case in TABLE[name]() if case.edge):
            curve = [tuple(None if c is None else jnp.asarray(c) for c in v) for v in all_moving(case)]
            for row in series(case, curve):
                assert all(c is None or bool(jnp.isfinite(c).all()) for c in row[1:]), case.label
