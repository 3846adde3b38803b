"""Nested programs and functions with custom rules, against nested derivatives or closed forms."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from jax.experimental.ode import odeint
from jax.sharding import PartitionSpec as P
from series_reference import V, W, agree, assert_terms, nested, no_batch_of_scan3, terms

from taylornets.series import RuleContext, evaluate_closed, make

pytestmark = pytest.mark.usefixtures("x64")


@partial(jax.custom_vjp, nondiff_argnums=(0, 2))
def powered(n, x, scale):
    return scale * x**n


powered.defvjp(lambda n, x, scale: (scale * x**n, x), lambda n, scale, x, ct: (scale * n * x ** (n - 1) * ct,))


@jax.custom_vjp
def pair(x, y):
    return x * jnp.sin(y), jnp.argmax(x)


def pair_forward(x, y):
    return pair(x, y), (x, y)


def pair_backward(kept, cts):
    x, y = kept
    return jnp.sin(y) * cts[0], x * jnp.cos(y) * cts[0]


pair.defvjp(pair_forward, pair_backward)


@eqx.filter_custom_vjp
def filtered(x, name):
    return x**3 if name == "cube" else x


@filtered.def_fwd
def filtered_forward(perturbed, x, name):
    return filtered(x, name), x


@filtered.def_bwd
def filtered_backward(kept, ct, perturbed, x, name):
    return 3 * kept**2 * ct


@nnx.custom_vjp
def module_rule(layer, x):
    return jnp.tanh(x * layer.scale[...])


def module_forward(layer, x):
    return module_rule(layer, x), (layer.scale[...], x)


def module_backward(kept, cts):
    scale, x = kept
    (updated, _), ct = cts  # of the module's state, and of the output
    slope = ct * (1 - jnp.tanh(scale * x) ** 2)
    gradient = jax.tree.map(lambda _: slope * x, updated)
    return gradient, slope * scale


module_rule.defvjp(module_forward, module_backward)


class Layer(nnx.Module):
    def __init__(self, scale):
        self.scale = nnx.Param(scale)


REVERSE = {
    "static arguments": (lambda w: powered(3, w, 2.0) * w, lambda w: 2 * w**4),
    "two operands and an integer": (lambda w: pair(w**2, w)[0], lambda w: w**2 * jnp.sin(w)),
    "one operand fixed": (lambda w: pair(W, w)[0], lambda w: W * jnp.sin(w)),
    "jit and vmap": (lambda w: jax.vmap(jax.jit(lambda u: powered(3, u, 2.0)))(w), lambda w: 2 * w**3),
    "scan": (
        lambda w: lax.scan(lambda c, x: (powered(2, c, 1.0) + x, c), w[0], w)[0],
        lambda w: ((w[0] ** 2 + w[0]) ** 2 + w[1]) ** 2 + w[2],
    ),
    "cond": (lambda w: lax.cond(w[0] > 0, lambda v: powered(3, v, 1.0), lambda v: v, w), lambda w: w**3),
    "checkpoint": (jax.checkpoint(lambda w: powered(3, w, 1.0)), lambda w: w**3),
    "equinox": (lambda w: filtered(w, "cube") * w, lambda w: w**4),
    "nnx": (lambda w: module_rule(Layer(w), w**2), lambda w: jnp.tanh(w**3)),
}


@pytest.mark.parametrize("name", REVERSE)
@pytest.mark.parametrize("mode", ["function", "rule"])
def test_reverse_rules(name, mode):
    f, plain = REVERSE[name]
    if getattr(jax.config, "jax_custom_vjp3", False) and name in ("equinox", "nnx"):
        pytest.skip("Equinox and Flax cannot call theirs with jax_custom_vjp3")
    # Flax hands the residuals of a module to its rule as constants: `jax.grad` of `jax.grad` misses their part too.
    order = 1 if (name, mode) == ("nnx", "rule") else 3
    assert_terms(jax.jit(lambda: terms(f, order, custom_vjp=mode))(), nested(plain, order))


@jax.custom_vjp
def rounded(x):
    return jnp.round(x)


rounded.defvjp(lambda x: (jnp.round(x), None), lambda _, ct: (ct,))


def test_a_straight_through_rule_is_the_derivative_on_request():
    def network(w):
        return rounded(4 * w) ** 2

    assert_terms(terms(network, 2), [[np.round(4 * W) ** 2], [0 * W], [0 * W]])
    # With the author's rule, round(4 (w + t v)) is round(4 w) + 4 t v.
    at = np.round(4 * W)
    assert_terms(terms(network, 2, custom_vjp="rule"), [[at**2], [8 * at * V], [16 * V**2]])


def test_a_reverse_rule_that_is_not_linear_is_refused():
    @jax.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (x, None), lambda _, ct: (jnp.clip(ct, -0.1, 0.1),))
    with pytest.raises(
        ValueError, match=r"custom_vjp: .* reverse rule that is linear in the cotangent, got a nonlinear rule"
    ):
        terms(clipped, 2, custom_vjp="rule")
    assert_terms(terms(clipped, 2), [[W], [V], [0 * W]])


def test_the_author_s_forward_rule_is_the_derivative():
    @partial(jax.custom_jvp, nondiff_argnums=(1,))
    def doubled(x, n):
        return x**n

    doubled.defjvp(lambda n, p, t: (doubled(*p, n), 2 * n * p[0] ** (n - 1) * t[0]))
    # y' = 2 n x^(n-1) x' with n = 2: the value x², the slope 4 x x'.
    assert_terms(terms(lambda w: doubled(w, 2), 3), [[W**2], [4 * W * V], [2 * V**2], [0 * W]])


def root(w):
    """The z with z³ + z = w, by Newton's iteration, differentiated implicitly."""

    def newton(f, z):
        def step(c):
            return c[0] + 1, c[1] - f(c[1]) / (3 * c[1] ** 2 + 1)

        return lax.while_loop(lambda c: c[0] < 30, step, (0, z))[1]

    return lax.custom_root(lambda z: z**3 + z - w, jnp.zeros_like(w), newton, lambda g, y: y / g(jnp.ones_like(y)))


def root_with_aux(w):
    def newton(f, z):
        for _ in range(30):
            z = z - f(z) / (3 * z**2 + 1)
        return z, jnp.array(30.0)

    solution, steps = lax.custom_root(
        lambda z: z**3 + z - w, jnp.zeros_like(w), newton, lambda g, y: y / g(jnp.ones_like(y)), has_aux=True
    )
    return solution * steps


def cardano(w):
    d = jnp.sqrt(w**2 / 4 + 1 / 27)
    return jnp.cbrt(w / 2 + d) + jnp.cbrt(w / 2 - d)


def test_roots():
    assert_terms(jax.jit(lambda: terms(root, 3))(), nested(cardano), 1e-9)
    assert_terms(jax.jit(lambda: terms(root_with_aux, 2))(), nested(lambda w: 30 * cardano(w), 2), 1e-9)


@no_batch_of_scan3
def test_a_batch_of_roots():
    assert_terms(jax.jit(lambda: terms(jax.vmap(root), 2))(), nested(cardano, 2), 1e-9)


def test_linear_solves_with_something_beside_the_solution():
    def solve(w):
        matrix = jnp.diag(2 + w) + 0.1 * jnp.outer(w, w)

        def by_hand(matvec, r):
            return jnp.linalg.solve(matrix, r), {"steps": jnp.array(7), "residual": jnp.sum(matvec(r) ** 2)}

        x, info = lax.custom_linear_solve(lambda z: matrix @ z, w**2, by_hand, by_hand, has_aux=True)
        return x * info["steps"]

    def plain(w):
        return 7 * jnp.linalg.solve(jnp.diag(2 + w) + 0.1 * jnp.outer(w, w), w**2)

    assert_terms(jax.jit(lambda: terms(solve))(), nested(plain))


def test_an_ordinary_differential_equation():
    # y' = −w y from 1 is exp(−w s); the steps that the solver chooses move with w, its error does too.
    def f(w):
        return odeint(lambda y, s: -w * y, jnp.ones(3), jnp.array([0.0, 1.0]), rtol=1e-11, atol=1e-11)[1]

    assert_terms(jax.jit(lambda: terms(f, 2))(), nested(lambda w: jnp.exp(-w), 2), 1e-7)


def test_loops_of_unknown_length():
    def f(w):
        return lax.while_loop(lambda c: jnp.abs(c[1]).max() < 3, lambda c: (c[0] + 1, c[1] * 1.7 + w**3), (0, w))[1]

    agree(f)
    agree(lambda w: jax.vmap(lambda u: f(u * w))(w))


def test_a_loop_that_raises_the_degree_each_time_ends_soon(monkeypatch):
    traced = []
    evaluate_shape = jax.eval_shape
    monkeypatch.setattr(jax, "eval_shape", lambda *args: traced.append(1) or evaluate_shape(*args))
    order = 40

    def f(w):
        return lax.fori_loop(0, 50, lambda _, c: c * w, jnp.ones(()))

    rows = terms(f, order, start=jnp.array(1.1), move=jnp.array(0.3))
    expected = np.polynomial.Polynomial([1.1, 0.3]) ** 50
    coefficients: Any = expected.coef
    np.testing.assert_allclose([float(r[0]) for r in rows], coefficients[: order + 1], rtol=1e-9)
    assert len(traced) < 12


MESH = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("i",))


def mapped(f, specs, out, check):
    return jax.shard_map(f, mesh=MESH, in_specs=specs, out_specs=out, check_vma=check)


def layer(w, x):
    return lax.psum(jnp.tanh(x * w).sum() * w, "i")


def loop(w, x):
    def step(c, a):
        return jnp.sin(c * w) + a, c.sum()

    return lax.scan(step, jnp.zeros_like(w) + x, x)


SHARDED = {
    "sum over devices": lambda check: lambda w: mapped(layer, (P(), P("i")), P(), check)(w, W),
    "sharded weights": lambda check: lambda w: mapped(lambda v: v**2 * W, P("i"), P("i"), check)(w),
    "loop": lambda check: lambda w: mapped(loop, (P("i"), P("i")), (P("i"), P("i")), check)(w, W),
    "all_gather": lambda check: (
        lambda w: mapped(lambda v: lax.all_gather(v, "i", tiled=True) ** 2, P("i"), P("i"), check)(w)
    ),
}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("name", SHARDED)
def test_shard_map(name, check):
    agree(SHARDED[name](check), 2)


def products(closed):
    """Counts the `mul` equations of a program and its nested programs."""
    count = 0
    for equation in closed.eqns:
        count += equation.primitive.name in ("mul", "dot_general")
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            count += products(inner) if hasattr(inner, "eqns") else 0
    return count


def products_of_series(f, order=6):
    closed = jax.make_jaxpr(f)(W)

    def run():
        operand = make([jnp.asarray(W), jnp.asarray(V), *[None] * (order - 1)])
        return evaluate_closed(RuleContext(order), closed, [operand])

    return products(jax.make_jaxpr(run)().jaxpr)


def with_own_batching(f):
    called = jax.custom_batching.custom_vmap(f)
    called.def_vmap(lambda size, batched, w: (jax.vmap(f)(w), batched[0]))
    return called


WRAPPED = {
    "shard_map": lambda f: mapped(f, P(), P(), True),
    "pmap": lambda f: lambda w: jax.pmap(f)(w[None])[0],
    "custom_vmap": with_own_batching,
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_body_costs_what_the_body_costs(name):
    def body(w):
        for _ in range(3):
            w = jnp.tanh(w * W)
        return w

    wrapped = WRAPPED[name](body)
    assert products_of_series(wrapped) == products_of_series(body)
    agree(wrapped, 2)


def test_cost_of_roots_is_polynomial_in_the_order():
    def root(w):
        return lax.custom_root(
            lambda y: y + 0.1 * jnp.sin(y) - w,
            w,
            lambda equation, y: lax.fori_loop(0, 50, lambda _, y: y - equation(y), y),
            lambda linear, right: right / linear(jnp.ones_like(right)),
        )

    orders = (4, 8)
    low, high = (products_of_series(root, order) for order in orders)
    assert high <= low * (orders[1] / orders[0]) ** 3  # 74 if the calls inside of the rule of JAX 0.12 had none
    agree(root, 3)


def test_pmap():
    agree(lambda w: jax.pmap(lambda v: lax.psum(jnp.exp(v) * v, "d"), "d")(w[None])[0], 2)


def test_diffrax():
    diffrax = pytest.importorskip("diffrax")
    if any(getattr(jax.config, option, False) for option in ("jax_custom_vjp3", "jax_custom_jvp3")):
        pytest.skip("Diffrax cannot differentiate its own solutions with JAX's coming custom rules")

    def solve(w, adjoint):
        term = diffrax.ODETerm(lambda s, y, rate: -rate * y)
        steps = diffrax.ConstantStepSize()
        return diffrax.diffeqsolve(
            term, diffrax.Tsit5(), 0.0, 1.0, 0.1, jnp.ones(3), w, stepsize_controller=steps, adjoint=adjoint
        ).ys[0]

    for adjoint in (diffrax.RecursiveCheckpointAdjoint(), diffrax.DirectAdjoint(), diffrax.BacksolveAdjoint()):
        ours = jax.jit(lambda adjoint=adjoint: terms(lambda w: solve(w, adjoint), 2))()
        assert_terms(ours, nested(lambda w: jnp.exp(-w), 2), 1e-6)
