"""Bytes, operations and rounding of programs, counted by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from taylornets.expansion._memory import refuse_too_large
from taylornets.series import contains, live_bytes, memory_limit, operations, precision, programs

X = jax.ShapeDtypeStruct((40, 50), jnp.float32)
W = jax.ShapeDtypeStruct((50, 50), jnp.float32)
ARGUMENTS = 4 * (40 * 50 + 50 * 50)
ARRAY = 4 * 40 * 50


def program(f, *args):
    return jax.make_jaxpr(f)(*args).jaxpr


def test_what_a_product_returns_is_stored():
    jaxpr = program(lambda x, w: x @ w, X, W)
    assert live_bytes(jaxpr) == ARGUMENTS + ARRAY
    assert live_bytes(jaxpr, 5) == ARGUMENTS + 5 * ARRAY


def test_a_layer_is_needed_until_the_next_one_is_there():
    jaxpr = program(lambda x, w: jnp.tanh(jnp.tanh(x @ w) @ w) @ w, X, W)
    assert live_bytes(jaxpr) == ARGUMENTS + 2 * ARRAY  # activations take the place of what they are computed from


def test_a_result_that_is_read_later_stays():
    def residual(x, w):
        h = x @ w
        return h + jnp.sin(h @ w) @ w

    assert live_bytes(program(residual, X, W)) == ARGUMENTS + 3 * ARRAY


@pytest.mark.parametrize("wrapped", [lambda f: f, jax.jit, lambda f: jax.checkpoint(jax.jit(f))])
def test_what_a_compiler_fuses_is_not_stored(wrapped):
    n, d = 300, 50
    points = jax.ShapeDtypeStruct((n, d), jnp.float32)

    def kernel(c, x):
        return jnp.exp(-((x[:, None] - c[None]) ** 2).sum(-1)) @ jnp.ones((n, 1), x.dtype)

    counted = live_bytes(program(wrapped(kernel), points, points), 3)
    # Two arguments, three coefficients of the kernel matrix (and a few columns beside them), never (n, n, d).
    matrices = 4 * (2 * n * d + 3 * n * n)
    assert matrices <= counted <= matrices + 6 * 4 * n


def test_the_count_is_below_what_the_compiler_takes():
    def f(x, w):
        for _ in range(4):
            x = jnp.tanh(x @ w) + x
        return (x[:, None] - w[None, :40]).sum(-1) @ x

    shapes = X, W
    stats = jax.jit(f).lower(*shapes).compile().memory_analysis()
    assert stats is not None
    taken = stats.temp_size_in_bytes + stats.argument_size_in_bytes + stats.output_size_in_bytes
    assert live_bytes(program(f, *shapes)) <= 1.1 * taken


def test_loops_count_one_iteration():
    def f(x, w):
        return lax.fori_loop(0, 10, lambda _, c: jnp.tanh(c @ w), x)

    assert live_bytes(program(f, X, W)) == ARGUMENTS + 2 * ARRAY + 4  # the carry, the next one, the counter
    assert operations(program(f, X, W)) == 10 * (2 * 40 * 50 * 50 + 40 * 50 + 1)


def test_integers_have_one_coefficient():
    counts = program(lambda x: jnp.sort(jnp.argmax(x, 1)), X)
    assert live_bytes(counts, 100) < 4 * 40 * 50 + 2 * 8 * 40 + 1


def test_nothing_is_counted_for_what_nobody_reads():
    def f(x, w):
        _ = x @ w @ w
        return x @ w

    assert live_bytes(program(f, X, W)) == ARGUMENTS + ARRAY


def test_refusal_and_what_overrides_it():
    jaxpr = program(lambda x, w: jnp.tanh(x @ w), X, W)
    refuse_too_large(jaxpr, 2, ARGUMENTS + 3 * ARRAY)
    with pytest.raises(
        ValueError, match=r"degree: .* order 40, which requires about .* pass max_bytes=\.\.\. to override"
    ):
        refuse_too_large(jaxpr, 40, ARGUMENTS + 3 * ARRAY)
    refuse_too_large(jaxpr, 40, math.inf)


def test_memory_of_this_machine_is_known():
    assert memory_limit() > 2**28


def half(x, w):
    return (x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)).astype(jnp.float32)


@pytest.mark.parametrize(
    ("f", "bits"),
    [
        (lambda x, w: x @ w, 23),
        (half, 7),
        (lambda x, w: jax.jit(half)(x, w) + x, 7),
        (lambda x, w: lax.cond(x[0, 0] > 0, half, lambda x, w: x @ w, x, w), 7),
        (lambda x, w: lax.scan(lambda c, _: (half(c, w), None), x, length=2)[0], 7),
        (lambda x, w: jnp.sin(x.astype(jnp.float16)).astype(jnp.float32), 10),
        (lambda x, w: jnp.cos(x.astype(jnp.float8_e4m3fn).astype(jnp.float32)), 3),
        (lambda x, w: lax.reduce_precision(x, 8, 5), 5),
        (lambda x, w: jnp.argmax(x, 1), math.inf),
        (lambda x, w: lax.complex(x, x), 23),
    ],
)
def test_rounding_of_the_computation(f, bits):
    closed = jax.make_jaxpr(f)(X, W)
    assert precision(closed) == precision(closed.jaxpr) == 2.0**-bits


@jax.custom_vjp
def doubled(x):
    return 2 * x


doubled.defvjp(lambda x: (2 * x, None), lambda _, g: (2 * g,))


def test_programs_inside_programs_are_searched():
    inside = jax.make_jaxpr(lambda x: lax.scan(lambda c, _: (jax.jit(doubled)(c), None), x, length=2)[0])(X)
    assert contains(inside, "custom_vjp_call")
    assert contains(inside, "while", "scan")
    assert not contains(inside, "while", "tanh")


def test_programs_of_a_root_are_seen():
    # From JAX 0.11 on, `custom_root` is a class behind another primitive.
    def f(w):
        return lax.custom_root(
            lambda z: jnp.tanh(z @ w) - z,
            jnp.ones(50),
            lambda g, z: lax.fori_loop(0, 7, lambda _, y: y + g(y), z),
            lambda g, y: jnp.linalg.solve(jax.jacobian(g)(y), y),
        )

    closed = jax.make_jaxpr(f)(W)
    (root,) = [e for e in closed.jaxpr.eqns if list(programs(e))]
    assert contains(closed, "scan", "dot_general")
    assert operations(closed.jaxpr) >= 7 * 2 * 50 * 50
    assert any(contains(inner, "scan") for inner in programs(root))
    assert np.isfinite(precision(closed))
