"""No dual value exceeds any primal value: every pair of many dual vectors and many displacements is compared."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

import taylornets as tn
from taylornets.certificates._dual import _support, certify_objective, dual_bound, dual_candidate

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
    """Adam, an optimizer of another library: displacements that fit, so that primal and dual values come close."""
    adam = optax.adam(optax.cosine_decay_schedule(0.03, steps))

    def step(carry: Any, _: Any):
        w, state = carry
        updates, state = adam.update(jax.grad(fun)(w), state, w)
        return (w + updates, state), None

    return jax.lax.scan(step, (w, adam.init(w)), length=steps)[0][0]


def displacements(trained: Array, key: Array):
    """Random ones of all scales, the trained one, multiples of it and its neighbors."""
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


@pytest.mark.parametrize(
    ("activation", "symmetric", "power"),
    [("tanh", True, 8), ("tanh", False, 4), ("cubic_relu", True, 6), ("cubic_relu", False, 8), ("softplus", True, 6)],
)
def test_randomized_network(activation: str, symmetric: bool, power: int):
    """The bound holds for the exact randomized objective: 70 dual vectors against 1,000 displacements of all scales."""
    net, x, y = draw("squared", 1, symmetric, width=64, activation=activation)
    risk = tn.objective(net, x, y, model="randomized", penalty=STRENGTH, power=power)
    certify_objective(risk, 0.1 * net.w0)  # the bound on the activation's derivative is computed here, not under vmap
    keys = jax.random.split(jax.random.key(2), 4)
    trained = descend(risk, 0.3 * jax.random.normal(keys[0], (64, INPUTS)), 300)
    scales = jnp.logspace(-3, 2, 1000)[:, None, None]
    noise = jax.random.normal(keys[1], (1000, 64, INPUTS)) * scales
    stack = jnp.concatenate([displacements(trained, keys[2]), noise])
    dual, primal = compare(risk, [stack], dual_noise(keys[3], 1))
    assert bool(jnp.all(jnp.isfinite(primal)))
    assert not bool(jnp.any(jnp.isnan(dual)))
    assert float(jnp.max(dual)) <= float(jnp.min(primal))
    assert float(jnp.max(dual)) > 0


@pytest.mark.parametrize(("activation", "exponent"), [("tanh", 2.0), ("cubic_relu", 1.5)])
@pytest.mark.parametrize("power", [4, 5, 6, 8])
def test_support_of_the_randomized_bound(activation: str, exponent: float, power: int):
    """`sup C s + κ s^e - λ s^{p/2}` against a fine grid: never below it, and tight to 1e-6."""
    net, x, y = draw("squared", 1, True, activation=activation)
    risk = tn.objective(net, x, y, model="randomized", penalty=0.3, power=power)
    for total, remainder in [(0.7, 0.2), (1e-3, 0.1), (2.0, 1e-6), (0.0, 0.2), (0.5, 0.0)]:
        found = float(_support(risk, jnp.asarray(total), jnp.asarray(remainder), exponent))
        grid = np.linspace(0, 30, 3_000_001)
        best = np.max(total * grid + remainder * grid**exponent - 0.3 * grid ** (power / 2))
        assert best - 1e-12 <= found <= best * (1 + 1e-6) + 1e-9


def test_support_is_infinite_where_the_penalty_does_not_dominate():
    net, x, y = draw("squared", 1, True, activation="tanh")
    risk = tn.objective(net, x, y, model="randomized", penalty=0.3, power=4)
    assert float(_support(risk, jnp.asarray(1.0), jnp.asarray(0.4), 2.0)) == np.inf
