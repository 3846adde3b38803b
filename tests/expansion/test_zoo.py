"""Models written with common libraries, against a polynomial fit of their values along the line."""

import equinox as eqx
import equinox.internal as eqxi
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
import pytest
from flax import nnx
from jax.experimental import checkify

from chebyshev import terms_from_values
from taylornets import explain, taylor_terms

ORDERS = {"equilibrium_by_optimistix": 2}  # the others to order 4
ZOO = {}


def entry(build):
    ZOO[build.__name__] = build
    return build


def draw(seed, *shape, scale=0.5):
    return jnp.asarray(scale * np.random.default_rng(seed).standard_normal(shape))


@entry
def state_space_with_selection():  # Mamba: the transition depends on the input; a parallel scan
    def one(p, u):
        step = jax.nn.softplus(u @ p["step"])
        decay = jnp.exp(-step[..., None] * jnp.exp(p["decay"]))
        drive = (step * u)[..., None] * (u @ p["into"])[:, None]
        _, state = jax.lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (decay, drive))
        return jnp.einsum("tdn,tn->td", state, u @ p["out"]) * jax.nn.silu(u @ p["gate"])

    p = {
        "step": draw(0, 2, 2),
        "decay": draw(1, 2, 3),
        "into": draw(2, 2, 3),
        "out": draw(3, 2, 3),
        "gate": draw(4, 2, 2),
    }
    return (lambda p, x: jax.vmap(one, (None, 0))(p, x)), p, draw(5, 2, 5, 2, scale=1)


@entry
def experts_chosen_by_top_k():
    def f(p, x):
        chosen, at = jax.lax.top_k(x @ p["router"], 2)
        hidden = jnp.einsum("nd,edh->neh", x, p["experts"])
        rows = jnp.take_along_axis(jax.nn.gelu(hidden), at[..., None], axis=1)
        return jnp.einsum("nk,nkh->nh", jax.nn.softmax(chosen), rows)

    return f, {"router": draw(0, 3, 4, scale=2), "experts": draw(1, 4, 3, 3)}, draw(2, 4, 3, scale=1)


@entry
def optimal_transport_by_sinkhorn():
    def f(p, x):
        costs = ((x[:, :, None] - p["points"]) ** 2).sum(-1) / jax.nn.softplus(p["temperature"])

        def sweep(v, _):
            u = -jax.nn.logsumexp(v[:, None] - costs, axis=2)
            return -jax.nn.logsumexp(u[:, :, None] - costs, axis=1), u

        v, u = jax.lax.scan(sweep, jnp.zeros(costs.shape[::2]), None, length=6)
        return (jnp.exp(u[-1][:, :, None] + v[:, None] - costs) * costs).sum((1, 2))

    return f, {"points": draw(0, 3, 2), "temperature": jnp.array(1.0)}, draw(1, 2, 4, 2)


@entry
def connectionist_temporal_classification():
    labels, padding = jnp.array([[1, 2, 2], [2, 1, 0]]), jnp.array([[0.0, 0, 0], [0, 0, 1]])

    def f(p, x):
        return optax.ctc_loss(x @ p, jnp.zeros(x.shape[:2]), labels, padding)

    return f, draw(0, 3, 3), draw(1, 2, 5, 3, scale=1)


@entry
def graph_attention_by_segments():
    source, target = jnp.array([0, 1, 2, 0, 2, 3]), jnp.array([1, 2, 0, 3, 1, 0])

    def f(p, x):
        h = jnp.tanh(x @ p["in"])
        score = (h[source] * (h @ p["pair"])[target]).sum(-1)
        weight = jnp.exp(score - jax.ops.segment_max(score, target, 4)[target])
        total = jax.ops.segment_sum(weight, target, 4)[target]
        return jax.ops.segment_sum((weight / total)[:, None] * h[source], target, 4)

    return f, {"in": draw(0, 3, 3), "pair": draw(1, 3, 3)}, draw(2, 4, 3, scale=1)


@entry
def residual_of_a_differential_equation():  # derivatives in the inputs inside the model
    def f(p, z):
        def u(z):
            return jnp.tanh(z @ p["in"]) @ p["out"]

        return jax.vmap(lambda z: jax.hessian(u)(z)[1, 1] * p["nu"] ** 2 - u(z) * jax.grad(u)(z)[0])(z)

    return f, {"in": draw(0, 2, 4), "out": draw(1, 4), "nu": jnp.array(0.7)}, draw(2, 3, 2)


@entry
def adaptation_in_an_inner_loop():
    support = jnp.linspace(-1, 1, 5)[:, None]

    def net(w, x):
        return jnp.tanh(x @ w["in"]) @ w["out"]

    def f(p, x):
        def loss(w):
            return ((net(w, support) - jnp.sin(support)) ** 2).mean()

        adapted = jax.tree.map(lambda w, g: w - jax.nn.softplus(p["rate"]) * g, p["net"], jax.grad(loss)(p["net"]))
        return net(adapted, x)

    return f, {"net": {"in": draw(0, 1, 4), "out": draw(1, 4, 1)}, "rate": jnp.array(-1.0)}, draw(2, 3, 1)


@entry
def gaussian_process_evidence():
    def f(p, x):
        gram = jnp.exp(p["height"] - ((x[:, None] - x[None]) ** 2 * jnp.exp(p["scale"])).sum(-1))
        root = jnp.linalg.cholesky(gram + (0.1 + jnp.exp(p["noise"])) * jnp.eye(len(x)))
        y = jax.scipy.linalg.solve_triangular(root, jnp.sin(x.sum(-1)), lower=True)
        return y @ y / 2 + jnp.log(jnp.diagonal(root)).sum()

    return f, {"height": jnp.array(0.1), "scale": draw(0, 2), "noise": jnp.array(-1.0)}, draw(1, 4, 2)


@entry
def equilibrium_by_optimistix():
    def f(p, x):
        def rest(u):
            solver = optimistix.Newton(1e-12, 1e-12)
            return optimistix.root_find(lambda z, a: z - jnp.tanh(a @ z + u), solver, jnp.zeros(2), args=p).value

        return jnp.stack([rest(u) for u in x])

    return f, draw(0, 2, 2, scale=0.3), draw(1, 2, 2)


@entry
def batch_statistics_and_a_named_axis_in_equinox():
    def build(key):
        norm = eqx.nn.BatchNorm(3, "batch", mode="batch")
        return eqx.nn.Sequential([eqx.nn.Linear(2, 3, key=key), norm, eqx.nn.Lambda(jax.nn.softplus)])

    layers, state = eqx.nn.make_with_state(build)(jax.random.key(0))

    def f(layers, x):
        return jax.vmap(layers, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)[0]

    return f, layers, draw(1, 5, 2, scale=1)


@entry
def checkpointed_loop_and_own_rules_in_equinox():
    @eqx.filter_custom_jvp
    def sine(x, *, gain):
        return gain * jnp.sin(x)

    @sine.def_jvp
    def sine_jvp(primals, tangents, *, gain):
        return sine(primals[0], gain=gain), gain * jnp.cos(primals[0]) * tangents[0]

    def f(w, x):
        def body(carry):
            return eqx.error_if(carry[0] + 0.3 * sine(w @ carry[0], gain=2.0), carry[1] > 9, "too long"), carry[1] + 1

        return eqxi.while_loop(lambda c: c[1] < 4, body, (x, 0), kind="checkpointed", max_steps=8)[0]

    return f, draw(0, 3, 3), draw(1, 3)


@entry
def layers_in_a_scan_in_linen():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return x + nn.Dense(3, param_dtype=float)(nn.silu(nn.LayerNorm(param_dtype=float)(x))), None

    class Stack(nn.Module):
        @nn.compact
        def __call__(self, x):
            block = nn.scan(nn.remat(Block), variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
            return block()(x, None)[0]

    x = draw(0, 3, 3, scale=1)
    return Stack().apply, Stack().init(jax.random.key(0), x), x


@entry
def attention_with_dropout_in_nnx():
    made = {"param_dtype": float, "rngs": nnx.Rngs(0)}
    attention = nnx.MultiHeadAttention(2, 4, decode=False, dropout_rate=0.3, **made)
    graph, params, rest = nnx.split(attention, nnx.Param, ...)

    def f(params, x):
        return nnx.merge(graph, params, rest, copy=True)(x, deterministic=False, rngs=nnx.Rngs(1))

    return f, params, draw(0, 2, 3, 4, scale=1)


@entry
def spectrum_with_complex_weights():
    def f(p, x):
        return jnp.abs(jnp.fft.ifft2(jnp.fft.fft2(x) * p["filter"])) ** 2 @ p["out"]

    return f, {"filter": draw(0, 3, 4) + 1j * draw(1, 3, 4), "out": draw(2, 4, 1)}, draw(3, 2, 3, 4, scale=1)


@entry
def inverse_hyperbolic_cosine_left_of_the_imaginary_axis():
    # JAX's own derivative, 1/√(z² − 1), has the wrong sign there; the right one is 1/(√(z − 1) √(z + 1)).
    return (lambda w, x: jnp.arccosh(w * x).imag), jnp.array([-2 + 1.5j, 2 - 1j, -0.5 - 2j]), jnp.array(1.5)


@pytest.mark.parametrize("name", ZOO)
def test_terms_are_those_of_the_values(x64, name):
    f, params, x = ZOO[name]()
    order = ORDERS.get(name, 4)
    start, rest = eqx.partition(params, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(start)
    end = structure.unflatten(leaf + draw(i + 7, *leaf.shape, scale=0.1) for i, leaf in enumerate(leaves))

    def model(moving):
        return f(eqx.combine(moving, rest), x)

    ours = jax.jit(lambda end: taylor_terms(f, params, order, mode="taylor")(eqx.combine(end, rest), x))(end)
    (reference,) = terms_from_values(model, start, end, order)
    for k, (term, true) in enumerate(zip(ours, reference, strict=True)):
        assert np.abs(true).max() > 1e-9  # something moves in every order
        np.testing.assert_allclose(term, true, rtol=0, atol=1e-12 + 10.0 ** (2 * k - 14), err_msg=f"order {k}")


def test_errors_numbered_at_each_trace_do_not_make_a_model_impure():
    def checked(w, x):
        h = x @ w
        checkify.check(jnp.isfinite(h).all(), "not finite")
        return h**2

    def f(w, x):
        return checkify.checkify(checked)(w, x)[1]

    terms = taylor_terms(f, jnp.ones((2, 1)), 2)(2 * jnp.ones((2, 1)), jnp.eye(2))
    np.testing.assert_allclose(np.ravel(terms), [1, 1, 2, 2, 1, 1])  # (1 + t)²


def test_function_applied_in_place_is_not_taken_for_linear():
    with pytest.raises(NotImplementedError, match="scatter_apply"):  # JAX has no derivative of it
        taylor_terms(lambda w, x: (w * x).at[1].apply(jnp.sin), jnp.ones(3), 1)(2 * jnp.ones(3), 1.0)


def test_explain_looks_into_the_modules_of_every_library(x64):
    for name in (
        "batch_statistics_and_a_named_axis_in_equinox",
        "layers_in_a_scan_in_linen",
        "attention_with_dropout_in_nnx",
    ):
        assert "dot_general" in str(explain(*ZOO[name]()))
