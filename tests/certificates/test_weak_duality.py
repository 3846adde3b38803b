"""No dual value exceeds any primal value, for all pairs of many dual vectors and many displacements."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jaxtyping import Array

import taylornets as tn
from taylornets.certificates._dual import certify_objective, dual_bound, dual_candidate
from taylornets.certificates._randomized import (
    _even_remainder,
    _odd_remainder,
    _table,
    _unit_suprema,
    _variances,
    randomized_bound,
)

pytestmark = pytest.mark.usefixtures("x64")

EXAMPLES, INPUTS, WIDTH, STRENGTH = 40, 4, 16, 1e-3
# Every loss with one and three outputs (softmax: three), both initializations, and each of three powers; the powers go
# around so that every loss meets all of them.
CASES = [
    (loss, outputs, symmetric, (4, 5, 8)[(index + shift) % 3])
    for shift, loss in enumerate(("squared", "logistic", "huber"))
    for index, (outputs, symmetric) in enumerate([(1, True), (1, False), (3, True), (3, False)])
] + [("softmax", 3, True, 4), ("softmax", 3, False, 5), ("softmax", 3, True, 8)]
SCALES = np.logspace(-3, 2, 40)


def draw(loss: str, outputs: int, symmetric: bool, *, width: int = WIDTH, activation: str = "cubic_relu"):
    """A noisy product on the unit sphere; its signs for the logistic loss, its largest output for softmax."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(EXAMPLES, INPUTS))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = INPUTS * x[:, :outputs] * x[:, [1]] + 0.3 * rng.normal(size=(EXAMPLES, outputs))
    y = {"logistic": np.sign(y), "softmax": np.argmax(y, axis=1)}.get(loss, y)
    net = tn.TwoLayerNetwork.init(jax.random.key(0), INPUTS, width, outputs, activation, symmetric)
    return net, jnp.asarray(x), jnp.asarray(y)


@eqx.filter_jit
def descend(fun: Any, w: Array, steps: int = 1000):
    """Displacements trained by Adam (optax), so that primal and dual values are close."""
    adam = optax.adam(optax.cosine_decay_schedule(0.03, steps))

    def step(carry: Any, _: Any):
        w, state = carry
        updates, state = adam.update(jax.grad(fun)(w), state, w)
        return (w + updates, state), None

    return jax.lax.scan(step, (w, adam.init(w)), length=steps)[0][0]


def displacements(trained: Array, key: Array):
    """Random displacements of all scales, the trained one, its multiples and its neighbors."""
    keys = jax.random.split(key, 2)
    noise = jax.random.normal(keys[0], (SCALES.size, *trained.shape)) * SCALES.reshape(-1, *(1,) * trained.ndim)
    multiples = trained * jnp.linspace(0, 2, 41).reshape(-1, *(1,) * trained.ndim)
    near = trained + 1e-2 * jax.random.normal(keys[1], (20, *trained.shape))
    return jnp.concatenate([noise, trained[None], multiples, near])


@eqx.filter_jit
def compare(risk: tn.Objective, stacks: list[Array], noise: Array):
    """Dual values of all vectors (noise, and slopes at displacements) and primal values of all displacements."""
    slopes = jax.vmap(lambda w: dual_candidate(risk, w))(stacks[0][::3])
    duals = jax.vmap(lambda v: dual_bound(risk, v)[0])(jnp.concatenate([noise, slopes]))
    return duals, jnp.concatenate([jax.vmap(risk)(stack) for stack in stacks])


def dual_noise(key: Array, outputs: int):
    return jax.random.normal(key, (30, EXAMPLES, outputs)) * jnp.logspace(-4, 1, 30)[:, None, None]


@pytest.mark.parametrize(("loss", "outputs", "symmetric", "power"), CASES)
def test_no_primal_value_lies_below_a_dual_value(loss: str, outputs: int, symmetric: bool, power: int):
    """Over 10,000 pairs in each case; ranks 1 and 2 together."""
    net, x, y = draw(loss, outputs, symmetric)
    risk = tn.objective(net, x, y, loss=loss, penalty=STRENGTH, power=power)
    keys = jax.random.split(jax.random.key(1), 4)
    trained = descend(risk, 0.3 * jax.random.normal(keys[0], (WIDTH, 2, INPUTS)))
    stacks = [displacements(trained, keys[1]), displacements(trained[:, 0], keys[2])]
    dual, primal = compare(risk, stacks, dual_noise(keys[3], outputs))
    assert dual.size * primal.size >= 10_000
    assert bool(jnp.all(jnp.isfinite(dual)))
    assert bool(jnp.all(jnp.isfinite(primal)))
    assert float(jnp.max(dual)) <= float(jnp.min(primal))
    # Not vacuous: where the displacement was trained, the best pair is close.
    assert float(jnp.max(dual)) >= 0.99 * float(jnp.min(primal))


@eqx.filter_jit
def randomized_duals(risk: tn.Objective, points: Array, noise: Array):
    """Lower bounds on the objective of each point, from its slopes and from noise, and all objectives."""
    values = lax.map(risk, points, batch_size=100)
    slopes = jax.vmap(lambda w: dual_candidate(risk, w))(points[SCALES.size : SCALES.size + 61 : 4])
    ceilings = jnp.concatenate([values[SCALES.size : SCALES.size + 61 : 4], jnp.resize(values, noise.shape[0])])
    bound = jax.vmap(lambda v, value: randomized_bound(risk, v, value)[0])
    return bound(jnp.concatenate([slopes, noise]), ceilings), values


@pytest.mark.parametrize(
    ("activation", "symmetric", "power", "loss"),
    [
        ("tanh", True, 8, "squared"),
        ("cubic_relu", False, 6, "squared"),
        ("cubic_relu", True, 8, "logistic"),
        ("softplus", False, 4, "squared"),
    ],
)
def test_randomized_network(activation: str, symmetric: bool, power: int, loss: str):
    """No displacement of any scale has an exact randomized objective below a bound: 30,000 pairs in each case."""
    net, x, y = draw(loss, 1, symmetric, width=64, activation=activation)
    risk = tn.objective(net, x, y, model="randomized", loss=loss, penalty=STRENGTH, power=power)
    certify_objective(risk, 0.1 * net.w0)  # the bound on the activation's derivative is computed here, not under vmap
    keys = jax.random.split(jax.random.key(2), 4)
    trained = descend(risk, 0.3 * jax.random.normal(keys[0], (64, INPUTS)), 300)
    scales = jnp.logspace(-3, 2, 1000)[:, None, None]
    noise = jax.random.normal(keys[1], (1000, 64, INPUTS)) * scales
    points = jnp.concatenate([displacements(trained, keys[2]), noise])
    dual, primal = randomized_duals(risk, points, dual_noise(keys[3], 1)[::2])
    assert dual.size * primal.size >= 30_000
    assert bool(jnp.all(jnp.isfinite(primal)))
    assert bool(jnp.all(jnp.isfinite(dual)))
    assert float(jnp.max(dual)) <= float(jnp.min(primal))
    assert float(jnp.max(dual)) > 0


def test_randomized_certificate_is_sharp():
    """Cubic ReLU at width 64: the trained network is certified to 2 %."""
    net, x, y = draw("squared", 1, True, width=64)
    risk = tn.objective(net, x, y, model="randomized", penalty=STRENGTH)
    trained = descend(risk, 0.3 * jax.random.normal(jax.random.key(3), (64, INPUTS)))
    assert float(certify_objective(risk, trained).relative_gap) <= 0.02


@pytest.mark.parametrize("u", [-0.7, 0.4, 1.5])
def test_even_remainder_and_variance_of_cubic_relu(u: float):
    """`e - σ(u) - σ''(u) v²/2 = (|v| - |u|)_+³/12` and `o² ≥ σ'(u)² v²`, which the bound uses directly."""
    sigma = tn.activations.get("cubic_relu")
    v = jnp.linspace(-4, 4, 1001)
    even, odd = (sigma(u + v) + sigma(u - v)) / 2, (sigma(u + v) - sigma(u - v)) / 2
    remainder = even - sigma(u) - sigma.derivative(2)(u) * v**2 / 2
    expected = jnp.maximum(jnp.abs(v) - abs(u), 0) ** 3 / 12
    assert jnp.allclose(remainder, expected, rtol=0, atol=1e-13)
    assert bool(jnp.all(odd**2 >= (sigma.derivative(1)(u) * v) ** 2 - 1e-13))


@pytest.mark.parametrize("activation", ["cubic_relu", "tanh"])
def test_unit_suprema_lie_above_a_fine_grid(activation: str):
    """`sup [ψ(t) - μ t²]` from the coarse grid's chords against 4,000 points: never below, and within 5 % where it matters."""
    net, x, y = draw("squared", 1, True, width=64, activation=activation)
    risk = tn.objective(net, x, y, model="randomized", penalty=STRENGTH)
    w = 0.3 * jax.random.normal(jax.random.key(3), (64, INPUTS))
    vector = dual_candidate(risk, w)
    coarse, _ = _table(risk, vector, risk(w))
    t = jnp.linspace(0, coarse.t[-1], 4001)[1:]
    moments, variances, odd = risk.moment_matrices(vector), _variances(risk), _odd_remainder(risk)
    signed = jnp.concatenate([-moments, moments])
    doubled = jnp.concatenate([variances, variances])

    def forms(t: Array) -> Array:
        """Both bounds on the variance; cubic ReLU uses only the first, whose remainder is zero."""
        even = _even_remainder(risk, vector, t)
        return jnp.stack([signed + even - doubled + (0 if odd is None else t * odd), signed + even])

    psi = lax.map(lambda t: t * jnp.linalg.eigvalsh(forms(t))[..., -1], t, batch_size=50)
    psi = jnp.moveaxis(psi, 0, -1)[: coarse.psi.shape[0]]
    assert bool(jnp.any(coarse.psi[..., 1] > 0))
    for mu in (1e-3, 1e-2, 1e-1):
        found = _unit_suprema(coarse, jnp.asarray(mu))
        best = jnp.min(jnp.maximum(jnp.max(psi - mu * t**2, axis=-1), 0), axis=0)
        assert bool(jnp.all(found >= best * (1 - 1e-12)))
        assert float(jnp.sum(found)) <= 1.05 * float(jnp.sum(best))
