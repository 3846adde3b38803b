"""Terms of the two-layer network against definitions, exact identities and finite differences."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn

SMOOTH = ("tanh", "sin", "exp", "softplus", "cubic_relu")


def draw(seed, n=7, d=3, m=10, outputs=2, activation="tanh", symmetric=True, dtype=jnp.float64):
    keys = jax.random.split(jax.random.key(seed), 3)
    net = tn.TwoLayerNetwork.init(keys[0], d, m, outputs, activation, symmetric, dtype=dtype)
    w = jax.random.normal(keys[1], (m, d), dtype) / 3
    return net, w, jax.random.normal(keys[2], (n, d), dtype)


@pytest.mark.usefixtures("x64")
class TestTerms:
    @pytest.mark.parametrize("symmetric", [True, False])
    @pytest.mark.parametrize("activation", SMOOTH)
    @pytest.mark.parametrize("k", range(5))
    def test_formula_written_as_loops(self, k, activation, symmetric):
        net, w, x = draw(1, activation=activation, symmetric=symmetric)
        u, v = np.asarray(x @ net.w0.T), np.asarray(x @ w.T)
        derivative = np.asarray(net.activation.derivative(k)(jnp.asarray(u)))
        expected = np.zeros((7, 2))
        for i in range(7):
            for c in range(2):
                for r in range(10):
                    expected[i, c] += net.a[r, c] * derivative[i, r] * v[i, r] ** k
        expected /= math.sqrt(10) * math.factorial(k)
        np.testing.assert_allclose(net.term(k, w, x), expected, rtol=1e-12, atol=1e-13)

    @pytest.mark.parametrize("symmetric", [True, False])
    def test_derivative_along_a_line(self, symmetric):
        """`k! f^(k)(W)` is the k-th derivative of `t ↦ f(tW)` at 0, by nested forward differentiation."""
        net, w, x = draw(2, symmetric=symmetric)

        def line(t):
            return net.a.T @ jnp.tanh((net.w0 + t * w) @ x.T) / math.sqrt(net.width)

        for k in range(6):
            np.testing.assert_allclose(math.factorial(k) * net.term(k, w, x).T, line(0.0), rtol=1e-9, atol=1e-10)
            line = jax.jacfwd(line)

    def test_polynomial_activation_is_reproduced(self):
        """A polynomial of degree 4 has no term beyond order 4."""
        activation = tn.activations.PolynomialActivation((0.5, -1.0, 2.0, 0.25, -0.125))
        net, w, x = draw(3, activation=activation)
        np.testing.assert_allclose(net.taylor(4, w, x), net(w, x), rtol=1e-12)
        np.testing.assert_allclose(net.term(5, w, x), 0, atol=0)

    @pytest.mark.parametrize("k", range(5))
    def test_error_slope(self, k):
        """The error of the order-k model along a line is of order k + 1 in the step."""
        net, w, x = draw(4, activation="sin", symmetric=False)
        errors = [float(jnp.linalg.norm(net(t * w, x) - net.taylor(k, t * w, x))) for t in (0.2, 0.1)]
        assert math.log2(errors[0] / errors[1]) == pytest.approx(k + 1, abs=0.25)

    def test_symmetric_initialization_vanishes(self):
        net, w, x = draw(5)
        assert float(jnp.max(jnp.abs(net.term(0, w, x)))) == 0
        np.testing.assert_array_equal(net.w0[:5], net.w0[5:])
        np.testing.assert_array_equal(net.a[:5], -net.a[5:])

    def test_initial_weights_have_the_stated_variance(self):
        """The weights are standard normal over `B_x`: mean square within 5 standard errors (false alarm 1e-6)."""
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 50, 2000, symmetric=False, input_norm=2.5)
        assert float(jnp.mean(net.w0**2)) * 2.5**2 == pytest.approx(1, abs=5 * math.sqrt(2 / 1e5))
        assert set(np.unique(net.a)) == {-1.0, 1.0}

    def test_copies_of_a_unit_add_up(self):
        net, _, x = draw(6)
        w = jax.random.normal(jax.random.key(9), (10, 3, 3))
        for k in (1, 2, 3):
            total = sum(net.term(k, w[:, j], x) for j in range(3))
            np.testing.assert_allclose(net.term(k, w, x), total, rtol=1e-12)

    @pytest.mark.parametrize("chunk_size", [1, 3, 7, 100])
    def test_chunks_change_nothing(self, chunk_size):
        net, w, x = draw(7)
        plain, chunked = net.prepare(x, 3), net.prepare(x, 3, chunk_size)
        pairs = [(chunked.full(w), net(w, x))]
        for k in range(4):
            pairs += [(chunked.term(k, w), plain.term(k, w)), (chunked.taylor(k, w), net.taylor(k, w, x))]
        for found, expected in pairs:  # an output near zero is a difference of larger numbers
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * float(jnp.abs(expected).max()))

    def test_more_examples_than_a_block(self):
        """Padded blocks give the same outputs as single examples."""
        net, w, x = draw(8, n=1500, m=2000)
        prepared = net.prepare(x, 2)
        assert prepared.blocks.x.shape[0] > 1
        some = jnp.array([0, 511, 777, 1499])
        np.testing.assert_allclose(prepared.term(2, w)[some], net.term(2, w, x[some]), rtol=1e-10)
        np.testing.assert_array_equal(prepared.x, x)


@pytest.mark.usefixtures("x64")
class TestTransformations:
    def test_jit_and_vmap(self):
        net, w, x = draw(10)
        ws = jnp.stack([w, 2 * w, -w])
        batched = jax.vmap(lambda w: net.taylor(3, w, x))(ws)
        np.testing.assert_allclose(batched, jnp.stack([net.taylor(3, w, x) for w in ws]), rtol=1e-12)
        jitted = jax.jit(lambda net, w, x: net.prepare(x, (2,)).term(2, w))(net, w, x)
        np.testing.assert_allclose(jitted, net.term(2, w, x), rtol=1e-12)
        np.testing.assert_allclose(jax.jit(lambda w: net(w, x))(w), net(w, x), rtol=1e-12)

    @pytest.mark.parametrize("which", ["term", "taylor", "full"])
    def test_gradient_by_finite_differences(self, which):
        """Central differences with step ε^{1/3}: error of order ε^{2/3}."""
        net, w, x = draw(11)
        functions = {
            "term": lambda w: net.term(3, w, x),
            "taylor": lambda w: net.taylor(3, w, x),
            "full": lambda w: net(w, x),
        }
        outputs = functions[which]
        direction = jax.random.normal(jax.random.key(3), w.shape)
        step = 6e-6
        numeric = (outputs(w + step * direction) - outputs(w - step * direction)) / (2 * step)
        np.testing.assert_allclose(jax.jvp(outputs, (w,), (direction,))[1], numeric, rtol=1e-8, atol=1e-9)
        cotangent = jnp.ones_like(numeric)
        (pulled,) = jax.vjp(outputs, w)[1](cotangent)
        assert float(jnp.vdot(pulled, direction)) == pytest.approx(float(jnp.vdot(cotangent, numeric)), rel=1e-7)


def test_single_precision_stays_single():
    net, w, x = draw(12, dtype=jnp.float32)
    for value in (net(w, x), net.term(2, w, x), net.taylor(4, w, x)):
        assert value.dtype == jnp.float32
    u, v = np.asarray(x @ net.w0.T, np.float64), np.asarray(x @ w.T, np.float64)
    second = -2 * np.tanh(u) / np.cosh(u) ** 2
    exact = (second * v**2 / 2) @ np.asarray(net.a, np.float64) / math.sqrt(10)
    np.testing.assert_allclose(net.term(2, w, x), exact, rtol=2e-5, atol=1e-6)


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"width": 7}, "width: expected an even number.*got 7.*Use 8"),
            ({"width": 0}, "width: expected an integer ≥ 1, got 0"),
            ({"inputs": -1}, "inputs: expected an integer ≥ 1"),
            ({"activation": "cubic_rellu"}, "Did you mean 'cubic_relu'"),
            ({"input_norm": 0.0}, "input_norm: expected a finite number > 0"),
        ],
    )
    def test_init(self, change, message):
        arguments = {"inputs": 3, "width": 8} | change
        with pytest.raises(tn.ArgumentError, match=message):
            tn.TwoLayerNetwork.init(jax.random.key(0), **arguments)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda net, w, x: net.term(-1, w, x), "k: expected an integer ≥ 0, got -1"),
            (lambda net, w, x: net.taylor(-2, w, x), "k: expected an integer ≥ 0, got -2"),
            (lambda net, w, x: net(w.T, x), r"w: expected shape \(10, 3\), got shape \(3, 10\)"),
            (lambda net, w, x: net(w, x[0]), r"x: expected shape \(n, 3\), got shape \(3,\)"),
            (lambda net, w, x: net(w, x.at[2, 1].set(jnp.nan)), "x: expected finite numbers, got 1 NaN or infinite"),
            (lambda net, w, x: net(w.at[0, 0].set(jnp.inf), x), "w: expected finite numbers"),
            (lambda net, w, x: net(w, x[:0]), "x: expected a non-empty array"),
            (
                lambda net, w, x: net.prepare(x, 2).term(3, w),
                r"k: expected one of the prepared orders \(0, 1, 2\), got 3",
            ),
            (lambda net, w, x: net.prepare(x, 2, 0), "chunk_size: expected an integer ≥ 1"),
            (lambda net, w, x: net(jnp.stack([w, w], 1), x), r"w: expected shape \(10, 3\).*single terms"),
        ],
    )
    def test_calls(self, call, message):
        net, w, x = draw(13, dtype=jnp.float32)
        with pytest.raises(tn.ArgumentError, match=message):
            call(net, w, x)


@pytest.mark.parametrize("symmetric", [True, False])
def test_pairs_have_one_home(symmetric):
    net, w, _ = draw(0, symmetric=symmetric, dtype=jnp.float32)
    assert (net.pairs, net.halves) == ((5, 2) if symmetric else (10, 1))
    np.testing.assert_array_equal(net.both_halves(net.w0[: net.pairs]), net.w0)
    np.testing.assert_array_equal(net.both_halves(net.signs, -net.signs), net.a)
    np.testing.assert_array_equal(net.both_halves(w[: net.pairs], w[net.pairs :]), w)
