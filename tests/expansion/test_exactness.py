"""Exact identities of Taylor polynomials, without a reference implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn

pytestmark = pytest.mark.usefixtures("x64")


def weights(seed, *shape):
    return 0.5 * jax.random.normal(jax.random.key(seed), shape)


POLYNOMIALS = {
    1: lambda w, x: x @ w,
    2: lambda w, x: (x @ w) @ w.T - w[0, 0] ** 2,
    3: lambda w, x: (x @ w) ** 3,
    4: lambda w, x: jnp.einsum("ij,jk,kl,lm->im", w, w, w, w).sum() + jnp.prod(w[0]),
    5: lambda w, x: (x @ w**2) ** 2 * w[0, 0],
    6: lambda w, x: (x @ (w @ w)) ** 3,
}


@pytest.mark.parametrize("degree", POLYNOMIALS)
@pytest.mark.parametrize("extra", [0, 2])
def test_polynomials_are_reproduced(degree, extra):
    f, w, new, x = POLYNOMIALS[degree], weights(1, 3, 3), 5 * weights(2, 3, 3), weights(3, 2, 3)
    expected = f(new, x)
    got = tn.taylor_expand(f, w, degree + extra)(new, x)
    assert jnp.abs(got - expected).max() <= 1e-12 * jnp.abs(expected).max()


@pytest.mark.parametrize("order", range(7))
def test_error_slope_is_order_plus_one(order):
    w, v, x = weights(1, 3, 3), weights(2, 3, 3), weights(3, 2, 3)

    def f(w, x):
        return jnp.tanh(jax.nn.softmax(x @ w) @ w)

    expansion = jax.jit(tn.taylor_expand(f, w, order))
    # Steps large enough for the error to stay above rounding at each order.
    steps = np.array([0.02, 0.04]) if order < 4 else np.array([0.1, 0.2])
    errors = [float(jnp.abs(expansion(w + s * v, x) - f(w + s * v, x)).max()) for s in steps]
    assert np.log2(errors[1] / errors[0]) == pytest.approx(order + 1, abs=0.35)


@pytest.mark.parametrize("mode", ["auto", "taylor", "nested"])
def test_terms_sum_to_the_expansion(mode):
    w, new, x = weights(1, 3, 3), weights(2, 3, 3), weights(3, 2, 3)

    def f(w, x):
        return {"a": jnp.tanh(x @ w), "b": (jnp.argmax(w), w > 0)}

    terms = tn.taylor_terms(f, w, 4, mode=mode)(new, x)
    total = tn.taylor_expand(f, w, 4, mode=mode)(new, x)
    np.testing.assert_array_equal(sum(t["a"] for t in terms), total["a"])
    np.testing.assert_array_equal(total["b"][0], jnp.argmax(w))
    np.testing.assert_array_equal(total["b"][1], w > 0)
    assert not any(jnp.any(t["b"][1]) for t in terms[1:])


def test_orders_zero_and_one():
    w, new, x = weights(1, 3, 3), weights(2, 3, 3), weights(3, 2, 3)

    def f(w, x):
        return jnp.sin(x @ w)

    np.testing.assert_array_equal(tn.taylor_expand(f, w, 0)(new, x), f(w, x))
    np.testing.assert_allclose(
        tn.linearize(f, w)(new, x), f(w, x) + jax.jvp(lambda w: f(w, x), (w,), (new - w,))[1], rtol=1e-14
    )


def test_a_displacement_of_zero_leaves_the_model():
    w, x = weights(1, 3, 3), weights(3, 2, 3)
    terms = tn.taylor_terms(lambda w, x: jnp.exp(x @ w), w, 3)(w, x)
    np.testing.assert_array_equal(terms[0], jnp.exp(x @ w))
    assert not any(jnp.any(t) for t in terms[1:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(dtype):
    w = weights(1, 3, 3).astype(dtype)
    for term in tn.taylor_terms(lambda w: jnp.tanh(w) / (2 + jnp.log1p(w**2)), w, 3)(w + w):
        assert term.dtype == dtype


def test_gradient_grows_linearly_in_the_order():
    """Counts operations in the program: each order adds the same number of matrix products."""
    w = [weights(i, 64, 64) for i in range(3)]
    x = weights(9, 128, 64)

    def f(w, x):
        for v in w:
            x = jnp.tanh(x @ v)
        return x

    def products(order):
        program = jax.make_jaxpr(jax.grad(lambda new: tn.taylor_expand(f, w, order)(new, x).sum()))(w)
        return sum(equation.primitive.name == "dot_general" for equation in program.eqns)

    counts = [products(order) for order in range(2, 7)]
    # Each order adds 5 products a layer; the data of the first layer is fixed, which saves it those of the cotangents.
    assert len(set(np.diff(counts))) == 1
    assert counts[0] <= 2 * 5 * 3
    assert np.diff(counts)[0] <= 5 * 3
