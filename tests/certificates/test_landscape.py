"""The curvature inequality against all sign vectors, and the resulting bounds."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.certificates import curvature_inequality, landscape

pytestmark = pytest.mark.usefixtures("x64")


def problem(loss: str = "squared", outputs: int = 2, power: float = 8, symmetric: bool = False):
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(15, 3)))
    y = jnp.asarray(rng.normal(size=(15, outputs)))
    y = {"logistic": jnp.sign(y), "softmax": jnp.argmax(y, axis=1)}.get(loss, y)
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 6, outputs, symmetric=symmetric)
    return net, x, y, tn.objective(net, x, y, loss=loss, penalty=0.01, power=power)


@pytest.mark.parametrize(("loss", "outputs"), [("squared", 2), ("logistic", 1), ("softmax", 3)])
@pytest.mark.parametrize("power", [4, 6])
def test_expected_curvature_is_the_mean_over_all_signs(loss, outputs, power):
    """All 2^6 sign vectors with the Hessian from automatic differentiation, and the inequality itself."""
    risk = problem(loss, outputs, power, symmetric=outputs == 1)[3]
    w, comparator = 0.5 * jax.random.normal(jax.random.key(3), (2, 6, 3))
    hessian = jax.hessian(risk)(w)
    signs = jnp.asarray(list(itertools.product((1.0, -1.0), repeat=6)))[:, :, None] * comparator
    curvatures = jnp.einsum("srd,rdqe,sqe->s", signs, hessian, signs)
    found = curvature_inequality(risk, w, comparator)
    assert float(found.expected_curvature) == pytest.approx(float(jnp.mean(curvatures)), rel=1e-11)
    assert float(found.slack) >= 0
    # Twice the convexity of the loss: ℓ(f*) - ℓ(f) - ⟨ℓ', f* - f⟩.
    outputs_here, outputs_there = risk.outputs(w), risk.outputs(comparator)
    difference = outputs_there - outputs_here
    slopes = risk.loss.derivative(outputs_here, risk.targets())
    convexity = risk.risk(comparator) - risk.risk(w) - jnp.sum(slopes * difference) / 15
    assert float(found.slack) == pytest.approx(2 * float(convexity), rel=1e-8)


@pytest.mark.parametrize("power", [4, 8])
def test_bound_covers_every_comparator(power):
    """No displacement (in the ball) improves on `w` by more than the bound."""
    net, x, y, risk = problem(outputs=1, power=power)
    w = 0.3 * jax.random.normal(jax.random.key(5), (6, 3))
    options = {"key": jax.random.key(0), "penalty": 0.01, "power": power}
    everywhere = landscape(net, w, x, y, **options)
    ball = landscape(net, w, x, y, radius=0.5, **options)
    assert float(ball.excess_bound) <= float(everywhere.excess_bound)
    best = tn.fit(net, x, y, penalty=0.01, power=power, tol=1e-3, throw=False).w
    random = jax.random.normal(jax.random.key(6), (500, 6, 3)) * jnp.logspace(-2, 0.5, 500)[:, None, None]
    points = jnp.concatenate([random, best[None]])
    values = jax.vmap(risk)(points)
    inside = jnp.sum(jnp.sum(points**2, axis=2) ** 2, axis=1) ** 0.25 <= 0.5
    assert float(risk(w) - jnp.min(values)) <= float(everywhere.excess_bound)
    assert float(risk(w) - jnp.min(jnp.where(inside, values, jnp.inf))) <= float(ball.excess_bound)
    assert "dual certificate" in str(everywhere)


def test_loss_curvature_falls_with_the_width():
    """O(1/m) for bounded ‖W‖_{2,4}: sixteen times the width gives a sixteenth, within a third; means of 20 draws."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    means = []
    for width in (64, 1024):
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 4, width)
        risk = tn.objective(net, x, x[:, 0] * x[:, 1], penalty=1e-6)
        draws = width**-0.25 * jax.random.normal(jax.random.key(1), (20, width, 4))
        means.append(np.mean([float(curvature_inequality(risk, w, w).loss_curvature) for w in draws]))
    assert means[0] / means[1] == pytest.approx(16, rel=1 / 3)


def test_errors():
    net, x, y, _ = problem(outputs=1)
    with pytest.raises(tn.ArgumentError, match="radius: expected a finite number > 0"):
        landscape(net, net.w0, x, y, key=jax.random.key(0), penalty=0.01, radius=0.0)
    with pytest.raises(tn.ArgumentError, match="w: expected shape"):
        landscape(net, net.w0[:, None], x, y, key=jax.random.key(0), penalty=0.01)
    linear = tn.objective(net, x, y, model="linear", penalty=0.01)
    with pytest.raises(tn.ArgumentError, match="risk: expected the objective of the quadratic model"):
        curvature_inequality(linear, net.w0, net.w0)
