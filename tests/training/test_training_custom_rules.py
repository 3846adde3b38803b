"""Custom reverse rules, straight-through estimators, and models without a gradient."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_problems import assert_close, perceptron, sgd, taylorized

import taylornets as tn


@jax.custom_vjp
def straight_through(a):
    return jnp.round(4 * a) / 4


straight_through.defvjp(lambda a: (straight_through(a), None), lambda _, g: (g,))


def quantized(w, x):
    return x @ straight_through(w)


RATE, STEPS = 0.3, 4


def train_quantized(**settings):
    data = [(np.eye(3, dtype=np.float32), np.ones((3, 1), np.float32))] * STEPS
    return taylorized(
        quantized, jnp.full((3, 1), 2.0), data, orders=(1,), loss="squared", optimizer=optax.sgd(RATE), ntk_inputs=0,
        together=True, evaluate_every=1, **settings,
    )  # fmt: skip


def descent(outputs):
    """Losses of `w ← w − rate · 2/3 · (outputs(w) − 1)`, equal for all three weights."""
    w, losses = 2.0, []
    for _ in range(STEPS + 1):
        losses.append((outputs(w) - 1) ** 2)
        w -= RATE * 2 / 3 * (outputs(w) - 1)
    return losses


def test_a_straight_through_estimator_says_so_once():
    """The function is flat: its order-1 model is constant, while the network trained with the rule changes."""
    with pytest.warns(UserWarning, match=r'not the derivative.*custom_vjp="rule"') as caught:
        found = train_quantized()
    assert len(caught) == 1
    np.testing.assert_allclose(found.history.loss[1], 1.0)
    np.testing.assert_allclose(found.history.loss["full"], descent(lambda w: np.round(4 * w) / 4), rtol=1e-6)


def test_the_rule_trains_the_taylor_models_too():
    found = train_quantized(custom_vjp="rule")
    np.testing.assert_allclose(found.history.loss[1], descent(lambda w: w), rtol=1e-6)
    np.testing.assert_allclose(found.history.loss["full"], descent(lambda w: np.round(4 * w) / 4), rtol=1e-6)


@jax.custom_vjp
def reverse_only(a):
    return jnp.tanh(a)


reverse_only.defvjp(lambda a: (jnp.tanh(a), jnp.tanh(a)), lambda t, g: (g * (1 - t * t),))


def layers(activation):
    def f(params, x):
        hidden = activation(x @ params[0]["w"] + params[0]["b"])
        return hidden @ params[1]["w"] + params[1]["b"]

    return f


def test_models_with_reverse_mode_alone_are_trained():
    """Training and kernel equal those of the same model without the rule."""
    problem = perceptron(steps=3)

    def train(f, custom_vjp):
        return taylorized(
            f, problem.params, problem.batches, orders=(2,), loss="softmax", optimizer=sgd(), ntk_inputs=2, together=True,
            custom_vjp=custom_vjp,
        )  # fmt: skip

    expected = train(layers(jnp.tanh), "function")
    for custom_vjp in ("function", "rule"):
        found = train(layers(reverse_only), custom_vjp)
        for name in (2, "full"):
            assert_close(found.params[name], expected.params[name], 1e-5)
        np.testing.assert_allclose(found.history.ntk_drift, expected.history.ntk_drift, rtol=1e-3, atol=1e-7)
        assert not found.reasons


def newton(w, x):
    """Square roots, iterated to convergence."""
    a = 1 + (x @ w) ** 2
    return jax.lax.while_loop(lambda r: jnp.any(jnp.abs(r * r - a) > 1e-3), lambda r: (r + a / r) / 2, a)


def called_back(w, x):
    return jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct((len(x), 1), x.dtype), x @ w)


NO_GRADIENT = {
    "while": (newton, {"orders": ()}, "lax.while_loop", "jax.lax.scan, or use diffrax or optimistix"),
    "Taylor model of while": (
        newton,
        {"include_full": False},
        "lax.while_loop",
        "jax.lax.scan, or use diffrax or optimistix",
    ),
    "callback": (called_back, {"orders": ()}, "callbacks", "a reverse rule by jax.custom_vjp"),
    "nested": (
        lambda w, x: reverse_only(x @ w),
        {"mode": "nested"},
        "custom_lin|custom_vjp|fallback_linearize_rule",
        'Use mode="taylor"',
    ),
}


@pytest.mark.parametrize("which", NO_GRADIENT)
def test_a_model_without_a_gradient(which):
    """Rejected before any measurement."""
    f, settings, primitive, advice = NO_GRADIENT[which]
    x, seen = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32), []
    with pytest.raises(tn.ArgumentError) as caught:
        taylorized(
            f, jnp.ones((2, 1)), [(x, x[:, :1])], loss="squared", optimizer=optax.sgd(0.1), ntk_inputs=0,
            callbacks=[seen.append], **{"orders": (1,)} | settings,
        )  # fmt: skip
    assert re.match(rf"f: expected a model with a gradient, .*({primitive}).*{re.escape(advice)}", str(caught.value))
    assert not seen
