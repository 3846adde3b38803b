"""Random signs against enumeration of all 2^m sign vectors."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.randomization import Signs, expected_loss, normal_error_bound

LOSSES = ("squared", "logistic", "softmax", "huber")


def draw(m=8, outputs=2, activation="cubic_relu", symmetric=True, dtype=jnp.float64, scale=0.7):
    keys = jax.random.split(jax.random.key(m), 3)
    net = tn.TwoLayerNetwork.init(keys[0], 3, m, outputs, activation, symmetric, dtype=dtype)
    return net, scale * jax.random.normal(keys[1], (m, 3), dtype), jax.random.normal(keys[2], (5, 3), dtype)


def targets(loss, outputs, n=5):
    generator = np.random.default_rng(0)
    if loss == "softmax":
        return jnp.asarray(generator.integers(outputs, size=n))
    real = jnp.asarray(generator.normal(size=(n, outputs)))
    return jnp.sign(real) if loss == "logistic" else real


def all_signs(net, w, x):
    draws = jnp.array(list(itertools.product((1, -1), repeat=net.width)), w.dtype)
    return jax.jit(jax.vmap(lambda s: net(s[:, None] * w, x)))(draws)


@pytest.mark.usefixtures("x64")
class TestMoments:
    @pytest.mark.parametrize("symmetric", [True, False])
    @pytest.mark.parametrize("activation", ["cubic_relu", "tanh", "exp"])
    def test_all_signs_summed(self, activation, symmetric):
        net, w, x = draw(8, 2, activation, symmetric)
        outputs = all_signs(net, w, x)
        np.testing.assert_allclose(Signs().mean(net, w, x), outputs.mean(0), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(Signs().variance(net, w, x), outputs.var(0), rtol=1e-11, atol=1e-13)

    def test_quadratic_term_is_untouched_and_odd_terms_vanish(self):
        net, w, x = draw(6, activation="sin")
        signs = [jnp.array(s)[:, None] for s in itertools.product((1.0, -1.0), repeat=6)]
        for s in signs:
            np.testing.assert_allclose(net.term(2, s * w, x), net.term(2, w, x), rtol=1e-12)
        for k in (1, 3):
            np.testing.assert_allclose(sum(net.term(k, s * w, x) for s in signs), 0, atol=1e-11)

    def test_samples_have_the_moments(self):
        """4,000 samples: mean within 5 standard errors, each of 10 numbers (false alarm 6e-6)."""
        net, w, x = draw(8)
        samples = jax.vmap(lambda key: Signs().sample(key, net, w, x))(jax.random.split(jax.random.key(0), 4000))
        error = jnp.sqrt(Signs().variance(net, w, x) / 4000)
        assert bool(jnp.all(jnp.abs(samples.mean(0) - Signs().mean(net, w, x)) <= 5 * error))

    def test_nodes_satisfy_the_moment_conditions(self):
        signs = Signs()
        assert float(signs.weights @ signs.nodes) == 0
        assert float(signs.weights @ signs.nodes**2) == 1

    def test_transformations(self):
        net, w, x = draw(8)
        for function in (Signs().mean, Signs().variance):
            np.testing.assert_allclose(jax.jit(function)(net, w, x), function(net, w, x), rtol=1e-12)
            batched = jax.vmap(lambda w, function=function: function(net, w, x))(jnp.stack([w, -w]))
            np.testing.assert_allclose(batched[0], batched[1], rtol=1e-10)
            gradient = jax.grad(lambda w, function=function: function(net, w, x).sum())(w)
            direction = jnp.cos(jnp.arange(24.0)).reshape(8, 3)
            step = 1e-5
            ends = [function(net, w + sign * step * direction, x).sum() for sign in (1, -1)]
            assert float(jnp.vdot(gradient, direction)) == pytest.approx(
                float(ends[0] - ends[1]) / (2 * step), rel=1e-6
            )


@pytest.mark.usefixtures("x64")
class TestExpectedLoss:
    @pytest.mark.parametrize("m", [2, 8, 14])
    @pytest.mark.parametrize("symmetric", [True, False])
    def test_exact_equals_enumeration(self, m, symmetric):
        net, w, x = draw(m, symmetric=symmetric)
        y = targets("squared", 2)
        exact = expected_loss("squared", Signs(), net, w, x, y, method="exact")
        enumerated = expected_loss("squared", Signs(), net, w, x, y, method="enumerate")
        assert float(exact) == pytest.approx(float(enumerated), rel=1e-12)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_enumeration_is_the_mean_over_all_signs(self, loss):
        net, w, x = draw(6)
        y = targets(loss, 2)
        value = tn.losses.get(loss)
        prepared = value.prepare_targets(y, 2, dtype=jnp.float64)
        direct = jnp.mean(jnp.stack([value.value(f, prepared) for f in all_signs(net, w, x)]))
        assert float(expected_loss(loss, Signs(), net, w, x, y, method="enumerate")) == pytest.approx(
            float(direct), rel=1e-12
        )

    @pytest.mark.parametrize("loss", ["squared", "logistic", "huber"])
    @pytest.mark.parametrize("m", [6, 10, 14])
    def test_normal_method_within_its_stated_error(self, loss, m):
        """The stated bound holds; 1e-4 is for the quadrature itself (Huber's second derivative jumps)."""
        net, w, x = draw(m, scale=1.0)
        y = targets(loss, 2)
        normal = expected_loss(loss, Signs(), net, w, x, y, method="normal")
        enumerated = expected_loss(loss, Signs(), net, w, x, y, method="enumerate")
        bound = float(jnp.mean(normal_error_bound(loss, net, w, x)))
        assert abs(float(normal - enumerated)) <= bound + (1e-4 if loss == "huber" else 1e-10)
        assert loss != "squared" or bound == 0

    def test_normal_error_is_a_real_one(self):
        """If few units contribute to the randomness, the error of the normal method exceeds rounding, as its bound predicts."""
        net, w, x = draw(2, 1, scale=1.5)
        y = targets("logistic", 1)
        normal, enumerated = (
            expected_loss("logistic", Signs(), net, w, x, y, method=m) for m in ("normal", "enumerate")
        )
        assert 1e-7 < abs(float(normal - enumerated)) <= float(jnp.mean(normal_error_bound("logistic", net, w, x)))

    @pytest.mark.parametrize("loss", LOSSES)
    def test_monte_carlo(self, loss):
        """4096 draws against enumeration, within 2 % (more than 5 standard errors at this spread)."""
        net, w, x = draw(10)
        y = targets(loss, 2)
        sampled = expected_loss(loss, Signs(), net, w, x, y, method="monte_carlo", key=jax.random.key(1))
        enumerated = expected_loss(loss, Signs(), net, w, x, y, method="enumerate")
        assert float(sampled) == pytest.approx(float(enumerated), rel=0.02)

    @pytest.mark.parametrize(
        ("loss", "m", "method"), [("squared", 30, "exact"), ("logistic", 8, "enumerate"), ("huber", 30, "normal")]
    )
    def test_automatic_choice(self, loss, m, method):
        net, w, x = draw(m)
        y = targets(loss, 2)
        auto, named = (expected_loss(loss, Signs(), net, w, x, y, method=name) for name in ("auto", method))
        assert float(auto) == float(named)

    def test_gradient_at_zero_displacement_is_finite(self):
        net, w, x = draw(30)
        y = targets("logistic", 2)
        gradient = jax.grad(lambda w: expected_loss("logistic", Signs(), net, w, x, y, method="normal"))(0 * w)
        assert bool(jnp.all(jnp.isfinite(gradient)))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"method": "exakt"}, "Did you mean 'exact'"),
            ({"loss": "logistic", "method": "exact"}, "method: expected 'normal', 'enumerate' or 'monte_carlo'"),
            ({"loss": "softmax", "method": "normal"}, "correlated under random signs"),
            ({"method": "enumerate", "m": 22}, r"2\^20 draws for 'enumerate'; 2 per unit, got 2\^22, width 22"),
            ({"loss": "softmax", "m": 22}, "key: expected a JAX random key"),
            ({"n": 4}, r"y: expected shape \(5, 2\), got shape \(4, 2\)"),
        ],
    )
    def test_errors(self, arguments, message):
        loss, m = arguments.get("loss", "squared"), arguments.get("m", 8)
        net, w, x = draw(m)
        y = targets(loss, 2, arguments.get("n", 5))
        with pytest.raises(tn.ArgumentError, match=message):
            expected_loss(loss, Signs(), net, w, x, y, method=arguments.get("method", "auto"))


def test_single_precision():
    net, w, x = draw(8, dtype=jnp.float32)
    outputs = all_signs(net, w, x)
    mean, variance = Signs().mean(net, w, x), Signs().variance(net, w, x)
    assert mean.dtype == variance.dtype == jnp.float32
    np.testing.assert_allclose(mean, outputs.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, outputs.var(0), rtol=1e-4, atol=1e-5)
