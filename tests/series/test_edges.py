"""Every rule over its primitive's parameters, against function values only; a rule without a case generator fails."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edge_case import ALL, GENERATED, Case
from edge_elementwise import ELEMENTWISE, UNARY
from edge_programs import PROGRAMS
from edge_structure import STRUCTURE
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from scipy.special import zeta

from chebyshev import TIMES, coefficients_from_values
from taylornets.series import RULES, RuleContext, coefficients, evaluate_closed, make
from taylornets.series._versions import kind

MESH = Mesh(np.array(jax.devices()[:1]), ("i",))
ORDER = 3  # orders up to 6 are compared on whole models
TABLE = {**ELEMENTWISE, **STRUCTURE, **PROGRAMS}
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
    """Returns the start and two coefficients for each operand; integers are constant."""
    generator = np.random.default_rng(7)
    drawn = [[direction(x, generator) for _ in range(2)] if moves(x) else [None, None] for x in case.operands]
    return [(x, *d) for x, d in zip(case.operands, drawn, strict=True)]


def some_moving(case: Case) -> list[Curve]:
    """Returns curves in each operand alone, and in all operands without a term of order 1."""
    curve = all_moving(case)
    moving = [i for i, v in enumerate(curve) if v[1] is not None]
    alone = [[v if i == j else (v[0], None, None) for j, v in enumerate(curve)] for i in moving]
    return [[(x, None, b) for x, _, b in curve], *(alone if len(moving) > 1 else [])]


def curves(cases: Sequence[Case]) -> list[tuple[Case, Curve]]:
    """Moves all operands in every case; the first cases also cover the other patterns, which are independent of parameters."""
    others = [(case, some_moving(case)) for case in cases]
    partly = [(case, rows[i]) for i, (case, rows) in enumerate(others) if i < len(rows)]
    return [*[(case, all_moving(case)) for case in cases], *partly]


def across(case: Case, function: Callable[..., Any]) -> Callable[..., Any]:
    """Maps the function over rows or devices, if the case requires it."""
    if case.across == "row":
        return jax.vmap(function, axis_name="i")
    if case.across == "device":
        return jax.shard_map(function, mesh=MESH, in_specs=PartitionSpec("i"), out_specs=PartitionSpec("i"))
    return function


def series(case: Case, curve: Curve) -> list[tuple[Any, ...]]:
    """Computes the coefficients of each output with the rules."""

    def flat(*operands: Any) -> list[Any]:
        return jax.tree.leaves(case.function(*operands))

    def run(values: Curve) -> list[tuple[Any, ...]]:
        operands = [make((*v, *[None] * (ORDER + 1 - len(v)))) for v in values]
        closed = jax.make_jaxpr(flat)(*[v[0] for v in values])
        return [coefficients(y, ORDER) for y in evaluate_closed(RuleContext(ORDER), closed, operands)]

    return across(case, run)(curve)


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
    return jax.tree.leaves(across(case, case.function)(*operands))


def compare(case: Case, ours: Sequence[Any], theirs: Sequence[np.ndarray], tolerance: float = 1e-8) -> None:
    with np.errstate(invalid="ignore"):
        scale = max([1.0, *(float(np.abs(c[np.isfinite(c)]).max(initial=0)) for c in theirs)])
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        got = np.zeros_like(b) if a is None else np.asarray(a, b.dtype)
        assert got.shape == b.shape, f"{case.label}: order {k} has shape {got.shape} instead of {b.shape}"
        np.testing.assert_allclose(got, b, atol=tolerance * scale, rtol=0, err_msg=f"{case.label}, order {k}")


# One program for several primitives: compilation is what takes time.
TOGETHER = [list(TABLE)[i : i + 4] for i in range(0, len(TABLE), 4)]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("names", TOGETHER, ids=" ".join)
def test_coefficients(names):
    chosen = [
        pair for name in names for pair in curves([replace(c, label=f"{name}: {c.label}") for c in TABLE[name]()])
    ]
    cases, given = zip(*chosen, strict=True)

    def program(given: Sequence[Curve], times: Any) -> Any:
        ours = [series(*pair) for pair in zip(cases, given, strict=True)]
        return ours, lax.map(lambda t: [values(*pair, t) for pair in zip(cases, given, strict=True)], times)

    ours, along = jax.jit(program)(given, TIMES)
    for case, rows, columns in zip(cases, ours, along, strict=True):
        for row, column in zip(rows, columns, strict=True):
            compare(case, row, coefficients_from_values(column, ORDER))


def primitives(jaxpr: Any) -> set[str]:
    """Returns the names of the operations, as rules have them, in a program and its nested programs."""
    found = {kind(equation) for equation in jaxpr.eqns}
    for equation in jaxpr.eqns:
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            found |= primitives(inner) if hasattr(inner, "eqns") else set()
    return found


def uses(name: str, case: Case) -> bool:
    if case.across == "row":  # `vmap` would replace the operation
        trace = jax.make_jaxpr(case.function, axis_env=[("i", 2)])(*[x[0] for x in case.operands])
    else:
        trace = jax.make_jaxpr(across(case, case.function))(*case.operands)
    return name in primitives(trace.jaxpr)


@pytest.mark.usefixtures("x64")
def test_every_rule_has_a_generator():
    expected = {
        name for name, rule in RULES.items() if rule.family in GENERATED and hasattr(lax, RECENT.get(name, "add"))
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
    cases = cases[:: max(1, len(cases) // 4)]
    for i, case in enumerate(cases if len(cases) > 2 else 3 * cases):
        curve = [
            tuple(None if c is None else cast(c, case.dtypes[i % len(case.dtypes)]) for c in v)
            for v in all_moving(case)
        ]
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            rows = jax.eval_shape(lambda curve, case=case: series(case, curve), curve)
            outs = jax.tree.leaves(jax.eval_shape(across(case, case.function), *[v[0] for v in curve]))
        for row, out in zip(rows, outs, strict=True):
            assert {(c.dtype, c.shape) for c in row if c is not None} == {(out.dtype, out.shape)}, case.label


SIMPLEST = [case for name in UNARY for case in islice(ELEMENTWISE[name](), 1) if case.dtypes == ALL]


@jax.jit
def simplest(given: Sequence[Curve]) -> Any:
    return [series(*pair) for pair in zip(SIMPLEST, given, strict=True)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    # Curves in half precision have the same coefficients as in single, up to rounding.
    given = [[tuple(None if c is None else cast(c, dtype) for c in v) for v in all_moving(case)] for case in SIMPLEST]
    single = jax.tree.map(lambda c: c.astype(np.float32), given)
    for case, outputs, others in zip(SIMPLEST, simplest(given), simplest(single), strict=True):
        for row, other in zip(outputs, others, strict=True):
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


def rows(function: Any, *operands: Any, order: int = ORDER) -> list[Any]:
    """Computes the coefficients of the first output; an operand is a tuple of coefficients or a constant."""
    starts = [jnp.asarray(x[0] if isinstance(x, tuple) else x) for x in operands]
    given = [
        make([*map(jnp.asarray, x), *[None] * (order + 1 - len(x))]) if isinstance(x, tuple) else start
        for x, start in zip(operands, starts, strict=True)
    ]
    closed = jax.make_jaxpr(lambda *x: jax.tree.leaves(function(*x)))(*starts)
    first = evaluate_closed(RuleContext(order), closed, given)[0]
    return [jnp.zeros_like(starts[0]) if c is None else c for c in coefficients(first, order)]


@pytest.mark.usefixtures("x64")
def test_powers_at_zero_agree_with_nested_derivatives_where_those_are_finite():
    exponents, move = np.array([0.5, 1.5, 2.5, 3.5, 2.0, 0.0]), np.full(6, 0.7)
    ours = rows(lambda x: lax.pow(x, jnp.asarray(exponents)), (np.zeros(6), move))

    def nested(k: int) -> Any:
        if k == 0:
            return lambda t: lax.pow(t * move, jnp.asarray(exponents))
        return lambda t: jax.jvp(nested(k - 1), (t,), (1.0,))[1] / k

    for k in range(ORDER + 1):
        reference = np.asarray(nested(k)(0.0))
        finite = np.isfinite(reference)
        assert finite[3], "the case has no finite derivative to compare"
        np.testing.assert_allclose(np.asarray(ours[k])[finite], reference[finite], rtol=1e-12)
    np.testing.assert_allclose([c[4] for c in ours], [0, 0, 0.49, 0], atol=1e-15)  # where nesting has 0 · ∞
    np.testing.assert_allclose([c[5] for c in ours], [1, 0, 0, 0])


@pytest.mark.usefixtures("x64")
def test_gradients_of_powers_at_zero():
    # d/dx of the coefficients of (x + t)^r at x = 0:  r (r−1) .. (r−k) / k! · x^(r−k−1).
    gradient = jax.jacobian(lambda x: jnp.stack(rows(lambda y: lax.pow(y, 2.0), (x, np.array(1.0)))))(0.0)
    np.testing.assert_allclose(gradient, [0, 2, 0, 0])
    # d/dr of x^r is x^r log x, and d/dr of the next coefficient r x^(r−1) is x^(r−1) (1 + r log x).
    by_exponent = jax.jacobian(
        lambda r: jnp.stack(rows(lambda y, r: lax.pow(y, r), (np.array(2.0), np.array(1.0)), r))
    )(1.5)
    expected = [2**1.5 * np.log(2), 2**0.5 * (1 + 1.5 * np.log(2))]
    np.testing.assert_allclose(by_exponent[:2], expected, rtol=1e-12)


def test_negative_powers_beyond_the_range_of_the_type():
    # x^8 is infinite here; x^-8 and all its coefficients are zero to the last digit.
    ours = rows(lambda x: lax.integer_pow(x, -8), (np.float32(1e6), np.float32(1.0)))
    assert [float(c) for c in ours] == [0.0] * (ORDER + 1)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float16", 1e-1)])
def test_gamma_functions_of_high_order(dtype, tolerance):
    # log Γ(2 + t) = (1 − γ) t + Σ_{k≥2} (−1)^k (ζ(k) − 1) t^k / k; 14! is no number of 32 bits, 9! none of half precision.
    ours = rows(lax.lgamma, (np.asarray(2, dtype), np.asarray(1, dtype)), order=14)
    for k in (2, 8, 14):
        np.testing.assert_allclose(float(ours[k]), (-1) ** k * zeta(k, 2) / k, rtol=tolerance)
        assert ours[k].dtype == dtype


@pytest.mark.usefixtures("x64")
def test_sums_of_exponentials_of_minus_infinity():
    start, move = np.array([-np.inf, -np.inf, 0.3, -np.inf, 0.8]), np.array([0.0, 0.2, 0.5, 0.0, -0.4])
    with jax.debug_nans(True):
        ours = rows(partial(lax.cumlogsumexp, axis=0), (start, move))
    assert np.isneginf(ours[0][:2]).all()
    for k in range(1, ORDER + 1):
        assert not np.asarray(ours[k][1:2]).any()
    finite = rows(partial(lax.cumlogsumexp, axis=0), (start[[2, 4]], move[[2, 4]]))
    for ours_k, finite_k in zip(ours, finite, strict=True):
        np.testing.assert_allclose(np.asarray(ours_k)[[2, 3, 4]], np.asarray(finite_k)[[0, 0, 1]], rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_a_place_that_several_extrema_share():
    # The operand and two updates attain the maximum of place 0; each moves it by a third.
    index = np.array([0, 0, 1])
    ours = rows(
        lambda x, u: x.at[index].max(u),
        (np.array([1.0, 0.0]), np.array([0.3, 9.0])),
        (np.array([1.0, 1.0, 2.0]), np.arange(3.0)),
    )
    np.testing.assert_allclose(ours[1], [(0.3 + 0 + 1) / 3, 2])


@pytest.mark.usefixtures("x64")
def test_degenerate_eigenvalues_move_as_in_jax():
    # JAX's derivative of an eigenvalue in the eigenvectors that the solver returns; that of the vectors does not exist.
    move = np.diag([0.3, -0.2])
    ours = rows(lambda a: lax.linalg.eigh(a)[1], (np.eye(2), move))
    np.testing.assert_allclose(ours[1], jax.jvp(lambda a: lax.linalg.eigh(a)[1], (jnp.eye(2),), (move,))[1])
    np.testing.assert_allclose(sorted(np.asarray(ours[1])), [-0.2, 0.3])
    assert np.isnan(ours[2]).all()
