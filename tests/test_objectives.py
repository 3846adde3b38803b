"""Penalized risks against their definition, finite differences and each other."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.randomization import SampledSigns
from taylornets.two_layer import Taylor

MODELS = ("linear", "quadratic", "randomized", "full", 3, Taylor(4))


def draw(outputs=2, n=30, m=12, symmetric=True, dtype=jnp.float64, activation="softplus"):
    keys = jax.random.split(jax.random.key(4), 4)
    net = tn.TwoLayerNetwork.init(keys[0], 3, m, outputs, activation, symmetric, dtype=dtype)
    x = jax.random.normal(keys[1], (n, 3), dtype)
    y = jax.random.normal(keys[2], (n, outputs), dtype)
    return net, x, y, jax.random.normal(keys[3], (m, 3), dtype) / 2


def predictions(net, x, w, model):
    start = net.term(0, w, x)
    if isinstance(model, Taylor):
        return net.taylor(4, w, x)
    return {"full": lambda: net(w, x), "linear": lambda: start + net.term(1, w, x)}.get(
        model, lambda: start + net.term(2 if model == "quadratic" else model, w, x)
    )()


@pytest.mark.usefixtures("x64")
class TestValue:
    @pytest.mark.parametrize("symmetric", [True, False])
    @pytest.mark.parametrize("model", MODELS)
    def test_definition(self, model, symmetric):
        net, x, y, w = draw(symmetric=symmetric)
        order = {"quadratic": 2, "randomized": 2, 3: 3}.get(model, 1)
        norm = jnp.sum(jnp.sum(w**2, 1) ** order) ** (1 / (2 * order))
        if model == "randomized":
            risk = tn.randomization.expected_loss("squared", tn.randomization.Signs(), net, w, x, y, "enumerate")
        else:
            risk = jnp.mean(jnp.sum((predictions(net, x, w, model) - y) ** 2, axis=1))
        found = tn.objective(net, x, y, model=model, penalty=1e-2, power=7)(w)
        assert float(found) == pytest.approx(float(risk + 1e-2 * norm**7), rel=1e-12)

    @pytest.mark.parametrize("loss", ["squared", "logistic", "softmax", "huber"])
    @pytest.mark.parametrize("chunk_size", [None, 1, 7])
    def test_losses_and_chunks(self, loss, chunk_size):
        net, x, y, w = draw()
        y = jnp.arange(30) % 2 if loss == "softmax" else jnp.sign(y)
        loss = tn.losses.get(loss)
        expected = jnp.mean(loss.value(net.term(2, w, x), loss.prepare_targets(y, 2, dtype=jnp.float64)))
        risk = tn.objective(net, x, y, loss=loss, penalty=1e-3, chunk_size=chunk_size)
        assert float(risk.risk(w)) == pytest.approx(float(expected), rel=1e-12)
        whole = tn.objective(net, x, y, loss=loss, penalty=1e-3)
        np.testing.assert_allclose(
            risk.value_and_gradient(w)[1], whole.value_and_gradient(w)[1], rtol=1e-10, atol=1e-15
        )

    def test_many_blocks(self):
        """3,000 examples take several blocks, the last one padded."""
        net, x, y, w = draw(n=3000, m=500)
        found = tn.objective(net, x, y, penalty=1e-3).risk(w)
        expected = jnp.mean(jnp.sum((net.term(2, w, x) - y) ** 2, axis=1))
        assert float(found) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.usefixtures("x64")
class TestDerivatives:
    @pytest.mark.parametrize("outputs", [1, 3])
    @pytest.mark.parametrize("model", MODELS)
    def test_gradient_and_hessian_by_finite_differences(self, model, outputs):
        """Central differences with step ε^{1/3}; the Hessian-vector product from differences of gradients."""
        net, x, y, w = draw(outputs)
        risk = tn.objective(net, x, y, model=model, penalty=1e-2, power=8)
        direction = jnp.cos(jnp.arange(w.size)).reshape(w.shape)
        step = 6e-6
        ends = [risk.value_and_gradient(w + sign * step * direction) for sign in (1, -1)]
        value, gradient = risk.value_and_gradient(w)
        assert float(value) == pytest.approx(float(risk(w)), rel=1e-13)
        np.testing.assert_allclose(jax.grad(risk)(w), gradient, rtol=1e-12)
        slope = float(ends[0][0] - ends[1][0]) / (2 * step)
        assert float(jnp.vdot(gradient, direction)) == pytest.approx(slope, rel=1e-7)
        numeric = (ends[0][1] - ends[1][1]) / (2 * step)
        np.testing.assert_allclose(risk.hessian_vector_product(w, direction), numeric, rtol=1e-6, atol=1e-8)

    def test_hessians_of_all_transformations_agree(self):
        net, x, y, w = draw(m=4)
        risk = tn.objective(net, x, y, penalty=1e-2)
        flat = lambda v: risk(v.reshape(w.shape))  # noqa: E731
        forward_reverse = jax.hessian(flat)(w.ravel())
        reverse_reverse = jax.jacrev(jax.grad(flat))(w.ravel())
        columns = jnp.stack([risk.hessian_vector_product(w, e.reshape(w.shape)).ravel() for e in jnp.eye(w.size)])
        np.testing.assert_allclose(reverse_reverse, forward_reverse, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(columns, forward_reverse, rtol=1e-9, atol=1e-12)

    def test_derivatives_in_data_weights_and_penalty(self):
        """What is not the displacement is differentiated too: against finite differences in a common scale of each."""
        net, x, y, w = draw()

        def value(scales):
            sx, sy, sw, penalty = scales
            scaled = tn.TwoLayerNetwork(sw * net.w0, net.a, net.activation, net.symmetric)
            return tn.objective(scaled, sx * x, sy * y, penalty=penalty)(w)

        at = jnp.array([1.0, 1.0, 1.0, 0.01])
        gradient = jax.grad(value)(at)
        for index in range(4):
            step = 1e-6 * jnp.eye(4)[index]
            numeric = float(value(at + step) - value(at - step)) / 2e-6
            assert float(gradient[index]) == pytest.approx(numeric, rel=1e-6)

    @pytest.mark.parametrize("model", ["quadratic", "randomized", 3])
    def test_zero_is_a_stationary_point(self, model):
        net, x, y, w = draw()
        gradient = jax.grad(tn.objective(net, x, y, model=model, penalty=1e-2))(0 * w)
        np.testing.assert_allclose(gradient, 0, atol=1e-16)

    def test_jit_and_vmap(self):
        net, x, y, w = draw()
        risk = tn.objective(net, x, y, penalty=1e-2)
        stacked = jnp.stack([w, -w, 2 * w])
        np.testing.assert_allclose(jax.vmap(risk)(stacked), [risk(v) for v in stacked], rtol=1e-12)
        np.testing.assert_allclose(
            jax.vmap(jax.grad(risk))(stacked), jnp.stack([jax.grad(risk)(v) for v in stacked]), rtol=1e-11
        )
        np.testing.assert_allclose(jax.jit(lambda w: risk(w))(w), risk(w), rtol=1e-13)


def test_single_precision():
    net, x, y, w = draw(dtype=jnp.float32)
    for model in ("quadratic", "randomized", "full"):
        risk = tn.objective(net, x, y, model=model, penalty=1e-2)
        value, gradient = risk.value_and_gradient(w)
        assert value.dtype == gradient.dtype == risk(w).dtype == jnp.float32
        with jax.enable_x64(True):
            wide = [jnp.asarray(np.asarray(a), jnp.float64) for a in (net.w0, net.a, x, y, w)]
            double = tn.TwoLayerNetwork(wide[0], wide[1], net.activation, True)
            reference, slope = tn.objective(double, wide[2], wide[3], model=model, penalty=1e-2).value_and_gradient(
                wide[4]
            )
        assert float(value) == pytest.approx(float(reference), rel=1e-5)
        np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-5 * float(jnp.max(jnp.abs(gradient))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "quadratik"}, "Did you mean 'quadratic'"),
        ({"model": 0}, "model: expected an integer ≥ 1, got 0"),
        ({"loss": "squarred"}, "Did you mean 'squared'"),
        ({"penalty": 0.0}, "penalty: expected a finite number > 0, got 0.0"),
        ({"penalty": -1.0}, "penalty: expected a finite number > 0"),
        ({"power": 3}, "power: expected .* 4"),
        ({"model": 3, "power": 5}, "power: expected .* 6"),
        ({"loss": "logistic"}, "y: expected labels"),
        ({"loss": "softmax", "model": "randomized", "labels": True}, "correlated under random signs"),
        ({"rows": 29}, r"y: expected shape \(30, 2\), got shape \(29, 2\)"),
    ],
)
def test_errors(change, message):
    net, x, y, _ = draw(dtype=jnp.float32)
    change = dict(change)
    if change.pop("labels", False):
        y = jnp.arange(30) % 2
    y = y[: change.pop("rows", 30)]
    with pytest.raises(tn.ArgumentError, match=message):
        tn.objective(net, x, y, **({"penalty": 1e-2} | change))  # pyright: ignore[reportCallIssue, reportArgumentType]


@pytest.mark.usefixtures("x64")
class TestDraws:
    """Minibatches and fresh signs: unbiased, and what they say they are."""

    def test_minibatches_average_to_the_whole(self):
        """All pairs of 5 examples are equally likely: the mean over many draws, within 4 standard errors."""
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 4, symmetric=False)
        x, y = jax.random.normal(jax.random.key(1), (5, 3)), jnp.arange(5.0)
        w = 0.3 * net.w0
        for chunk_size in (None, 2):
            risk = tn.objective(net, x, y, penalty=0.1, chunk_size=chunk_size)
            values = jax.vmap(lambda key, risk=risk: risk.minibatch(key, 2)(w))(
                jax.random.split(jax.random.key(2), 2000)
            )
            pairs = [
                float(tn.objective(net, x[jnp.array(p)], y[jnp.array(p)], penalty=0.1)(w))
                for p in ([0, 1], [0, 2], [3, 4])
            ]
            found = np.unique(np.round(np.asarray(values), 9))
            assert found.size == 10
            assert all(np.min(np.abs(found - pair)) < 1e-8 for pair in pairs)
            error = float(jnp.std(values)) / np.sqrt(2000)
            assert float(jnp.mean(values)) == pytest.approx(float(risk(w)), abs=4 * error)
        assert float(risk.minibatch(jax.random.key(0), 5)(w)) == pytest.approx(float(risk(w)), rel=1e-12)

    def test_fresh_signs_average_to_the_randomized_risk(self):
        """All 2^4 sign vectors appear and each gives the network at `s w`; the mean within 4 standard errors."""
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 4)
        x, y = jax.random.normal(jax.random.key(1), (5, 3)), jnp.arange(5.0)
        w = net.w0
        risk = tn.objective(net, x, y, model="randomized", penalty=0.1)
        values = jax.vmap(lambda key: risk.with_signs(key)(w))(jax.random.split(jax.random.key(2), 4000))
        error = float(jnp.std(values)) / np.sqrt(4000)
        assert float(jnp.mean(values)) == pytest.approx(float(risk(w)), abs=4 * error)
        drawn = risk.with_signs(jax.random.key(3))
        assert isinstance(drawn.model.response, SampledSigns)
        signed = drawn.model.response.signs[:, None] * w
        assert set(np.asarray(drawn.model.response.signs)) <= {-1.0, 1.0}
        assert jnp.allclose(drawn.outputs(w), net(signed, x), rtol=1e-12)
        assert drawn(w) - drawn.risk(w) == pytest.approx(float(risk(w) - risk.risk(w)), rel=1e-10)

    def test_softmax_has_a_sampled_risk(self):
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 4, outputs=3)
        x, labels = jax.random.normal(jax.random.key(1), (5, 3)), jnp.array([0, 1, 2, 0, 1])
        risk = tn.objective(net, x, labels, model="sampled", loss="softmax", penalty=0.1, key=jax.random.key(4))
        assert float(risk(net.w0)) != float(risk.with_signs(jax.random.key(5))(net.w0))

    @pytest.mark.parametrize("model", ["quadratic", "randomized", "sampled", "full", 3])
    @pytest.mark.parametrize("power", [6.5, 8])
    def test_hessian_products(self, model, power):
        """Against automatic differentiation of the whole; at 0 they are finite for every power."""
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 6)
        x, y = jax.random.normal(jax.random.key(1), (9, 3)), jnp.arange(9.0)
        risk = tn.objective(net, x, y, model=model, penalty=0.1, power=power)
        w, direction = 0.5 * jax.random.normal(jax.random.key(2), (2, 6, 3))
        expected = jax.jvp(jax.grad(risk), (w,), (direction,))[1]
        assert jnp.allclose(risk.hessian_vector_product(w, direction), expected, rtol=1e-9, atol=1e-11)
        assert bool(jnp.all(jnp.isfinite(risk.hessian_vector_product(0 * w, direction))))

    def test_errors(self):
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 4)
        x = jax.random.normal(jax.random.key(1), (5, 3))
        risk = tn.objective(net, x, x[:, 0], penalty=0.1)
        with pytest.raises(tn.ArgumentError, match="size: expected at most the number of examples, 5, got 6"):
            risk.minibatch(jax.random.key(0), 6)
        with pytest.raises(tn.ArgumentError, match="size: expected an integer ≥ 1, got 0"):
            risk.minibatch(jax.random.key(0), 0)
        with pytest.raises(tn.ArgumentError, match="model: expected 'randomized', 'sampled' or a randomization"):
            risk.with_signs(jax.random.key(0))


@pytest.mark.usefixtures("x64")
def test_another_penalty_on_the_same_features():
    net, x, y, w = draw()
    changed, new = (
        tn.objective(net, x, y, penalty=1.0).with_penalty(1e-2),
        tn.objective(net, x, y, penalty=1e-2),
    )
    assert float(changed(w)) == float(new(w))
    np.testing.assert_array_equal(changed.value_and_gradient(w)[1], new.value_and_gradient(w)[1])
    with pytest.raises(tn.ArgumentError, match=r"penalty: .* a finite number > 0"):
        changed.with_penalty(0.0)


INSIDE = {"empirical", "prepared", "pointwise", "examples"}


def test_nobody_opens_an_objective():
    """What an objective is made of is its room's own: others ask its methods."""
    root = Path(tn.__file__).parent
    opened = [
        f"{path.relative_to(root)}:{node.lineno} {ast.unparse(node)}"
        for path in root.rglob("*.py")
        if path.parent.name != "objectives"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in INSIDE
        if ast.unparse(node.value).split(".")[-1] in {"risk", "objective", "fun"}
    ]
    assert opened == []
