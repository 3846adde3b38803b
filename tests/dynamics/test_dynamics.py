"""Gradient descent on Taylor models against the recurrences of theory 15; eigenvalues against dense linear algebra."""

import math
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import taylornets as tn
from taylornets.dynamics._trajectory import outcome

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))
Y = RNG.normal(size=(5, 2))
START = {"w": RNG.normal(size=(3, 4)), "v": RNG.normal(size=(4, 2)), "n": 3}


def perceptron(params, x):
    return jnp.tanh(x @ params["w"]) @ params["v"]


def linear_net(params, x):
    """`m^{-1/2} Σ_r v_r ⟨u_r, x⟩`."""
    u, v = params
    return (x @ u.T) @ v / math.sqrt(len(v))


def descended(f, start, x, y, orders, rate, steps, **settings):
    return tn.dynamics.run(f, start, x, y, orders=orders, rate=rate, steps=steps, quantities=(), key=KEY, **settings)


# --- the recurrences -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [0.7, 2.3])
def test_order_one_of_any_model(c, x64):
    """e' = (I − ηK/n) e with the kernel of `model_ntk`; it diverges iff c > 2."""
    kernel = np.asarray(tn.kernels.model_ntk(perceptron, START, X)).reshape(10, 10) / 5
    rate = c / np.linalg.eigvalsh(kernel)[-1]
    found = descended(perceptron, START, X, Y, (1,), rate, 60, every=7)
    error, losses = (np.asarray(perceptron(START, X)) - Y).ravel(), []
    for _ in range(61):
        losses.append(error @ error / 10)
        error = error - rate * kernel @ error
    np.testing.assert_allclose(found.loss[1], np.array(losses)[found.step], rtol=1e-10)
    assert list(found.step) == [0, 7, 14, 21, 28, 35, 42, 49, 56, 60]
    system = tn.dynamics.predict(perceptron, START, X, Y, rate, 1)
    np.testing.assert_allclose(system.loss(60), losses, rtol=1e-10)
    assert system.limit == pytest.approx(found.limit, rel=1e-10)
    assert (found.phase[1], system.phase) == (("lazy", "lazy") if c < 2 else ("divergent", "divergent"))
    assert found.status[1] == ("converged" if c < 2 else "diverged")


@pytest.mark.parametrize("c", [1.0, 2.4])
def test_order_two_of_any_model_with_one_example(c, x64):
    x, y = X[:1], Y[:1, :1]

    def single(params, x):
        return perceptron(params, x)[:, :1]

    limit = tn.dynamics.predict(single, START, x, y, 1.0, 2).limit
    system = tn.dynamics.predict(single, START, x, y, c * limit / 2, 2)
    found = descended(single, START, x, y, (2,), c * limit / 2, 80)
    np.testing.assert_allclose(found.loss[2], system.loss(80), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("c", [1.5, 3.0, 3.9])
def test_zhus_map(c, x64):
    """Linear two-layer nets with one example: u' = (1−v+u+w)² u, v' = v − u(4−v) − 4w, w' = (1−v+u+w) w."""
    m, x, y = 20, np.array([[0.8, -0.6]]), 0.1
    start = (RNG.normal(size=(m, 2)), RNG.normal(size=m))
    b = 1 / m
    f0 = float(linear_net(start, x)[0])
    kappa = (float(np.sum((start[0] @ x[0]) ** 2)) + float(np.sum(start[1] ** 2))) / m
    rate = c / kappa
    e = f0 - y
    u, v, w, errors = b * rate**2 * e**2, rate * kappa, b * rate**2 * e * y, []
    for _ in range(101):
        errors.append(u)
        factor = 1 - v + u + w
        u, v, w = factor**2 * u, v - u * (4 - v) - 4 * w, factor * w
    found = descended(linear_net, start, x, np.array([y]), (2,), rate, 100)
    for name in (2, "full"):  # the network is its own order-2 model
        np.testing.assert_allclose(2 * found.loss[name] * b * rate**2, errors, rtol=1e-8, atol=1e-10)
    assert found.phase["full"] == ("lazy" if c < 2 else "catapult")
    assert found.status["full"] == "converged"


def test_a_linear_net_with_several_examples(x64):
    """The closed system in β = Uᵀv/√m, M = UᵀU/m, q = ‖v‖²/m."""
    m, y, rate = 10, Y[:, 0], 0.15
    u, v = RNG.normal(size=(m, 3)), RNG.normal(size=m)
    beta, big, q, losses = u.T @ v / math.sqrt(m), u.T @ u / m, v @ v / m, []
    for _ in range(41):
        e = X @ beta - y
        losses.append(e @ e / 10)
        a = X.T @ e / 5
        beta, big, q = (
            beta - rate * (big + q * np.eye(3)) @ a + rate**2 / m * a * (beta @ a),
            big - rate / m * (np.outer(beta, a) + np.outer(a, beta)) + rate**2 / m * q * np.outer(a, a),
            q - 2 * rate / m * beta @ a + rate**2 / m * a @ big @ a,
        )
    found = descended(linear_net, (u, v), X, y, (), rate, 40)
    np.testing.assert_allclose(found.loss["full"], losses, rtol=1e-10)


@pytest.mark.parametrize(("activation", "orders"), [("tanh", (1, 3)), ("cubic_relu", (2,))])
def test_every_order_of_a_two_layer_network(activation, orders, x64):
    net = tn.TwoLayerNetwork.init(KEY, 3, 12, outputs=2, activation=activation, symmetric=False)
    w = 0.1 * RNG.normal(size=(12, 3))
    rate = 0.6 * tn.dynamics.predict(net, w, X, Y, 1.0, 1).limit
    found = descended(net, w, X, Y, orders, rate, 40)
    for name in (*orders, "full"):
        system = tn.dynamics.predict(net, w, X, Y, rate, name)
        np.testing.assert_allclose(found.loss[name], system.loss(40), rtol=1e-9, atol=1e-10)
        assert system.limit == pytest.approx(found.limit, rel=1e-9)


def test_phases_of_the_linear_net(x64):
    """Theory 15: with one example and y = 0, every step size up to c = 4 converges, every one above diverges."""
    start = (RNG.normal(size=(30, 2)), RNG.normal(size=30))
    x, y = np.array([[0.6, 0.8]]), np.zeros(1)
    limit = tn.dynamics.predict(linear_net, start, x, y, 1.0, 2).limit
    rates = np.array([0.5, 1.9, 2.1, 3.0, 3.9, 4.1, 6.0]) * limit / 2
    found = tn.dynamics.stable_rates(linear_net, start, x, y, orders=(1, 2), rates=rates, steps=400, key=KEY)
    assert found.limit == pytest.approx(limit, rel=1e-9)
    assert found.outcome[1] == ("converges",) * 2 + ("diverges",) * 5
    assert found.outcome[2] == found.outcome["full"] == ("converges",) * 2 + ("catapult",) * 3 + ("diverges",) * 2
    assert (found.first_failure[1], found.last_success[2]) == (pytest.approx(rates[2]), pytest.approx(rates[4]))
    lines = str(found).splitlines()
    assert "··XXXXX" in lines[1]
    assert "··cccXX" in lines[2]


# --- sharpness -------------------------------------------------------------------------------------------------------


def loss_of(params, x, y):
    return jnp.sum((perceptron(params, x) - y) ** 2) / 10


def dense(name, center, params, x, y):
    """The Hessian of the loss of a model, from its definition."""
    leaves = [params["v"], params["w"]]
    flat, back = ravel_pytree(leaves)

    def loss(v):
        leaves = back(v)
        given = {"w": leaves[1], "v": leaves[0], "n": 3}
        f = perceptron if name == "full" else tn.taylor_expand(perceptron, center, name)
        return jnp.sum((f(given, x) - y) ** 2) / 10

    return np.asarray(jax.hessian(loss)(flat)), np.asarray(jax.grad(loss)(flat))


def test_sharpness_of_an_indefinite_hessian(x64):
    hessian, _ = dense("full", START, START, X, Y)
    values = np.linalg.eigvalsh(hessian)
    assert values[0] < 0 < values[-1]
    found = tn.dynamics.sharpness(loss_of, START, X, Y, key=KEY, vectors=2)
    assert found.values == pytest.approx(values[[-1, -2]], rel=1e-9)
    assert found.gap == pytest.approx(values[-1] - values[-2], rel=1e-6)
    assert (found.converged, found.products) == (True, 20)
    assert set(found.vector) == {"w", "v", "n"}
    norm = math.sqrt(sum(float(jnp.sum(found.vector[k] ** 2)) for k in ("w", "v")))
    assert norm == pytest.approx(1)


def test_sharpness_of_a_negative_definite_hessian(x64):
    """The largest eigenvalue, −1, not the largest absolute one; and there are fewer distinct ones than products."""
    found = tn.dynamics.sharpness(lambda w: -jnp.sum(w**2 * jnp.array([1.0, 1.0, 5.0])) / 2, jnp.ones(3), key=KEY)
    assert found.value == pytest.approx(-1)
    assert tn.dynamics.sharpness(lambda w: 3 * w**2, jnp.ones(()), key=KEY).value == pytest.approx(6)


def test_a_lanczos_run_that_is_too_short(x64):
    """Its residual says so, and bounds the distance to an eigenvalue."""
    scales = jnp.linspace(1, 2, 200)
    found = tn.dynamics.sharpness(lambda w: jnp.sum(scales * w**2) / 2, jnp.ones(200), key=KEY, products=3)
    assert not found.converged
    assert "not converged: raise products" in str(found)
    assert np.min(np.abs(np.asarray(scales) - found.value)) <= found.residual
    assert tn.dynamics.sharpness(lambda w: jnp.sum(scales * w**2) / 2, jnp.ones(200), key=KEY, products=120).converged


def test_a_hessian_that_is_not_finite(x64):
    found = tn.dynamics.sharpness(lambda w: jnp.sum(jnp.sqrt(w)), jnp.zeros(5), key=KEY)
    assert not found.converged
    assert str(found).endswith("; products with the Hessian are not finite")


def test_quantities_along_a_run(x64):
    """Everything at one step, against dense matrices and finite differences of the dense sharpness."""
    found = tn.dynamics.run(perceptron, START, X, Y, orders=(2,), rate=0.2, steps=6, every=6, start=2, key=KEY)
    assert list(found.step) == [2, 8]

    def descend(name, params, center, steps):
        for _ in range(steps):
            _, slope = dense(name, center, params, X, Y)
            slope = {"v": slope[:8].reshape(4, 2), "w": slope[8:].reshape(3, 4)}
            params = {k: leaf - 0.2 * slope[k] if k in slope else leaf for k, leaf in params.items()}
        return params

    center = descend("full", START, START, 2)
    network = descend("full", center, center, 6)
    for name in (2, "full"):
        end = descend(name, center, center, 6)
        hessian, slope = dense(name, center, end, X, Y)
        values = np.linalg.eigvalsh(hessian)
        assert found.hessian[name][-1] == pytest.approx(values[-1], rel=1e-7)
        assert found.gap[name][-1] == pytest.approx(values[-1] - values[-2], rel=1e-4)
        f = perceptron if name == "full" else tn.taylor_expand(perceptron, center, name)
        kernel = np.asarray(tn.kernels.model_ntk(f, end, X)).reshape(10, 10) / 5
        assert found.ntk[name][-1] == pytest.approx(np.linalg.eigvalsh(kernel)[-1], rel=1e-7)
        # S along the gradient, by central differences: −⟨∇L, ∇S⟩ is its derivative against the gradient.
        sharp = []
        for h in (1e-4, -1e-4):
            moved = end | {"v": end["v"] - h * slope[:8].reshape(4, 2), "w": end["w"] - h * slope[8:].reshape(3, 4)}
            sharp.append(np.linalg.eigvalsh(dense(name, center, moved, X, Y)[0])[-1])
        assert found.alpha[name][-1] == pytest.approx((sharp[0] - sharp[1]) / 2e-4, rel=1e-5, abs=1e-9)
        there, _ = dense(name, center, network, X, Y)
        full, _ = dense("full", center, network, X, Y)
        u = np.linalg.eigh(full)[1][:, -1]
        assert found.explained[name][-1] == pytest.approx(u @ there @ u / (u @ full @ u), rel=1e-6)
        assert found.cosine[name][-1] == pytest.approx(abs(np.linalg.eigh(there)[1][:, -1] @ u), rel=1e-6)
    # Around the checkpoint, order 2 has the sharpness of the network.
    assert found.hessian[2][0] == pytest.approx(found.hessian["full"][0], rel=1e-9)
    assert found.distance["full"][-1] == 0
    assert found.distance[2][-1] > 0
    assert "order 2" in str(found)


def test_single_precision():
    x, y, start = (jax.tree.map(lambda a: jnp.asarray(a, "float32"), t) for t in (X, Y, {k: START[k] for k in "wv"}))
    found = tn.dynamics.run(perceptron, start, x, y, orders=(), rate=0.2, steps=5, quantities=("hessian",), key=KEY)
    with jax.enable_x64(True):
        exact = tn.dynamics.run(perceptron, START, X, Y, orders=(), rate=0.2, steps=5, quantities=("hessian",), key=KEY)
    np.testing.assert_allclose(found.hessian["full"], exact.hessian["full"], rtol=1e-4)
    assert np.isnan(found.ntk["full"]).all()


OUTCOMES = {
    "converged": ([1.0, 0.5, 0.25, 0.1], ("converged", None, 1.0)),
    "catapult": ([1.0, 30.0, 0.1, 0.01, 0.001], ("converged", None, 30.0)),
    "hovering": ([1.0, 0.5, 0.2, 0.3], ("hovering", None, 1.0)),
    "overflow": ([1.0, 2.0, math.inf, math.nan], ("diverged", 2, 2.0)),
    "huge": ([1.0, 2.0e6, 0.1], ("diverged", 1, 2.0e6)),
    "beyond the largest number": ([1e-20, 1e300], ("diverged", 1, math.inf)),
    "slow": ([1.0, 0.9, 1.1, 1.2], ("diverged", 2, 1.2)),
    "solved": ([0.0, 0.0, 0.0], ("converged", None, 1.0)),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcomes(name):
    losses, expected = OUTCOMES[name]
    assert outcome(np.array(losses)) == expected


# --- the hook --------------------------------------------------------------------------------------------------------


def test_monitor_in_a_loop_and_in_training(x64):
    lines = []
    monitor = tn.dynamics.Monitor(
        loss_of, (X, Y), rate=lambda step: 0.1 * (1 + step), key=KEY, every=2, tell=lines.append
    )
    found = [monitor(step, START) for step in range(3)]
    assert found[1] is None
    value = np.linalg.eigvalsh(dense("full", START, START, X, Y)[0])[-1]
    assert monitor.history == [(0, pytest.approx(value), pytest.approx(0.05 * value)),
                               (2, pytest.approx(value), pytest.approx(0.15 * value))]  # fmt: skip
    assert lines[0].startswith("step 0: sharpness ")
    assert "of the limit 2/η = 20" in lines[0]
    watch = tn.dynamics.Monitor(loss_of, (X, Y), rate=0.1, key=KEY)
    start = {k: START[k] for k in "wv"}
    tn.taylorized_training(
        perceptron, start, [(X, Y)] * 4, orders=(), loss="squared", optimizer=optax.sgd(0.1),
        probe=tn.training.Probe(every=2, callbacks=[watch], ntk_inputs=0),
    )  # fmt: skip
    assert [step for step, *_ in watch.history] == [0, 2, 4]
    with pytest.raises(tn.ArgumentError, match=r"^params: expected the parameters after the step, got None"):
        watch(6)


class Tensor:
    """A stand-in for a tensor, which a training loop changes in place."""

    def __init__(self, value, floating=True):
        self.value, self.floating = np.array(value), floating
        self.dtype = self.value.dtype

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.value.astype(np.float32))

    def is_floating_point(self):
        return self.floating

    def __array__(self, dtype=None, copy=None):
        return self.value if dtype is None else self.value.astype(dtype)


def test_monitor_as_a_hook_of_a_trainer(x64):
    """The hook after a batch reads the parameters of the module; a step that is repeated is measured once."""
    tensors: dict[str, Any] = {
        "net.w": Tensor([1.0, 2.0]),
        "net.half": Tensor([1.0]),
        "net.count": Tensor([3], floating=False),
    }
    tensors["net.half"].dtype = "torch.bfloat16"
    module = SimpleNamespace(named_parameters=tensors.items)
    seen, trainer = [], SimpleNamespace(global_step=0)

    def quartic(params):
        seen.append({name: (leaf.dtype, leaf.shape) for name, leaf in params.items()})
        return jnp.sum(params["net.w"] ** 4) / 12

    monitor = tn.dynamics.Monitor(quartic, rate=0.5, every=2)
    for step in (1, 2, 2, 3, 4):  # gradients of step 2 are accumulated over two batches
        trainer.global_step = step
        monitor.on_train_batch_end(trainer, module, None, None, batch_idx=step)
        tensors["net.w"].value += 1.0 * (step == 2)  # in place, twice
    assert seen[0] == {"net.w": (jnp.float64, (2,)), "net.half": (jnp.bfloat16, (1,))}
    assert [(step, round(value, 6)) for step, value, _ in monitor.history] == [(2, 4.0), (4, 16.0)]  # the largest w²
    own = tn.dynamics.Monitor(lambda w: jnp.sum(w**4) / 12, rate=0.5, parameters=lambda module: module["state"])
    measured = own.on_train_batch_end(trainer, {"state": jnp.array([3.0])})
    assert measured is not None
    assert measured.value == pytest.approx(9)


@pytest.mark.parametrize("trainer", [SimpleNamespace(), SimpleNamespace(global_step=True), None])
def test_a_trainer_without_a_step(trainer):
    monitor = tn.dynamics.Monitor(loss_of)
    with pytest.raises(tn.ArgumentError, match=r"^trainer: expected an object with an integer global_step, got "):
        monitor.on_train_batch_end(trainer, None)


def test_a_module_without_parameters():
    monitor = tn.dynamics.Monitor(loss_of)
    with pytest.raises(tn.ArgumentError, match=r"^module: expected a PyTorch module, with named_parameters\(\), got .*\. "
                       r"Pass Monitor\(parameters=\.\.\.\)"):  # fmt: skip
        monitor.on_train_batch_end(SimpleNamespace(global_step=0), {"w": START})
    setattr(monitor, "parameters", 3)  # noqa: B010 - the type checker of the tests rejects it as an argument
    with pytest.raises(tn.ArgumentError, match=r"^parameters: expected a function of the module, or None, got 3"):
        monitor.__post_init__()


def test_a_monitor_of_a_hessian_that_is_not_finite(x64):
    lines = []
    for rate in (0.1, lambda _: 0.0):
        monitor = tn.dynamics.Monitor(lambda w: jnp.sum(jnp.sqrt(w)), rate=rate, tell=lines.append)
        monitor(0, jnp.zeros(3))
    assert lines == [
        "step 0: no sharpness, products with the Hessian are not finite; the limit 2/η = 20",
        "step 0: no sharpness, products with the Hessian are not finite; no limit, since η = 0",
    ]


def test_residuals_of_a_run_that_is_too_large(x64):
    """Eigenvalues spread evenly over 1 to 4: 24 products do not suffice. The printed text says so; an eigenvalue is within."""
    scales = jnp.sqrt(jnp.linspace(1.0, 4.0, 400))
    x, y = jnp.eye(400) * scales[:, None] * 20.0, jnp.ones(400)
    f = lambda w, x: x @ w  # noqa: E731
    settings = {"rate": 0.1, "steps": 1, "key": KEY}
    found = tn.dynamics.run(f, jnp.zeros(400), x, y, orders=(1,), quantities=("hessian", "ntk"), **settings)
    exact = np.linspace(1.0, 4.0, 400)
    for name in (1, "full"):
        for values, residuals in ((found.hessian, found.residual), (found.ntk, found.ntk_residual)):
            value, residual = values[name][-1], residuals[name][-1]
            assert residual > 1e-3
            assert np.min(np.abs(exact - value)) <= residual * value
    largest = 2 / found.limit
    assert np.min(np.abs(exact - largest)) <= found.limit_residual * largest
    lines = str(found).splitlines()
    assert "(not converged: relative residual 0.0" in lines[0]
    assert lines[-1].startswith("largest relative residuals of eigenvalues (Lanczos): S 0.0")
    assert lines[-1].count("not converged") == 2
    grid = tn.dynamics.stable_rates(f, jnp.zeros(400), x, y, orders=(), rates=[0.1], steps=2, key=KEY)
    assert grid.limit_residual > 1e-3
    assert "(not converged: relative residual 0.0" in str(grid)


def test_residuals_of_a_small_run(x64):
    found = tn.dynamics.run(perceptron, START, X, Y, orders=(2,), rate=0.2, steps=2, quantities=("ntk",), key=KEY)
    assert found.limit_residual < 1e-8
    assert np.all(found.ntk_residual[2] < 1e-8)
    assert "not converged" not in str(found)
    assert "relative residuals of eigenvalues (Lanczos): NTK " in str(found)


def test_a_warm_up_begins_at_zero(x64):
    lines = []
    rate = optax.warmup_constant_schedule(0.0, 0.2, 2)
    monitor = tn.dynamics.Monitor(lambda w: 3 * jnp.sum(w**2) / 2, rate=rate, tell=lines.append)
    for step in range(3):
        monitor(step, jnp.ones(2))
    assert lines == [
        "step 0: sharpness 3, no limit, since η = 0",
        "step 1: sharpness 3, 0.15 of the limit 2/η = 20",
        "step 2: sharpness 3, 0.30 of the limit 2/η = 10",
    ]
    assert [ratio for *_, ratio in monitor.history] == pytest.approx([0, 0.15, 0.3])


def test_a_kernel_that_is_zero(x64):
    """At a saddle of the outputs, f = x p q at 0, nothing limits the step size of order 1, and nothing moves."""
    f, start, x, y = lambda p, x: (x * p[0] * p[1])[:, 0], jnp.zeros(2), jnp.ones((3, 1)), jnp.ones(3)
    grid = tn.dynamics.stable_rates(f, start, x, y, orders=(1,), rates=[0.1, 50.0], steps=5, key=KEY)
    found = tn.dynamics.run(f, start, x, y, orders=(1,), rate=0.1, steps=5, key=KEY)
    assert grid.limit == found.limit == math.inf
    assert grid.outcome[1] == ("converges", "converges")
    assert found.phase == {1: "lazy", "full": "lazy"}
    system = tn.dynamics.predict(f, start, x, y, 0.1, 1)
    assert str(system).endswith(": lazy at step size 0.1 (stability limit of order 1 inf)")


# --- what is refused -------------------------------------------------------------------------------------------------

RUN = {
    "rate": ({"rate": 0.0}, "rate: expected a finite number > 0, got 0.0. The step size"),
    "steps": ({"steps": 0}, "steps: expected an integer ≥ 1, got 0"),
    "start": ({"start": -1}, "start: expected an integer ≥ 0, got -1"),
    "every": ({"every": 0}, "every: expected an integer ≥ 1, got 0"),
    "orders": ({"orders": (2, 2)}, r"orders: expected distinct orders, got \(2, 2\)"),
    "quantity": ({"quantities": ("hesian",)}, "quantities: expected one of .* Did you mean 'hessian'"),
    "word": ({"quantities": "ntk"}, "quantities: expected a list of names among hessian.*, got 'ntk'"),
    "targets": ({"y": Y[:4]}, r"y: expected targets of shape \(5, 2\), like the outputs, got shape \(4, 2\)"),
    "NaN": ({"y": Y * np.nan}, "y: expected finite targets, got 10 NaN or infinite of 10"),
    "complex": ({"params0": {"w": START["w"] * 1j, "v": START["v"]}, "f": lambda p, x: jnp.real(perceptron(p, x))},
                "params0: expected at least one leaf .* real floats, .* got complex leaves"),
    "diverged": ({"start": 50, "rate": 1e6, "f": lambda p, x: (x @ p["w"]) @ p["v"]},
                 "start: expected a step at which the network is finite, got 50, after it has diverged"),
}  # fmt: skip


@pytest.mark.parametrize("which", RUN)
def test_what_run_refuses(which, x64):
    changes, message = RUN[which]
    given = {
        "f": perceptron,
        "params0": START,
        "x": X,
        "y": Y,
        "rate": 0.1,
        "steps": 2,
        "key": KEY,
        "orders": (1,),
    } | changes
    arguments = [given.pop(name) for name in ("f", "params0", "x", "y")]
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        tn.dynamics.run(*arguments, **given)


def test_what_the_others_refuse(x64):
    with pytest.raises(
        tn.ArgumentError, match=r"^order: expected a case with a closed recurrence .* got order 3 of a function"
    ):
        tn.dynamics.predict(perceptron, START, X, Y, 0.1, 3)
    with pytest.raises(tn.ArgumentError, match=r"^order: expected an integer ≥ 1 or \"full\", got 'all'"):
        tn.dynamics.predict(perceptron, START, X, Y, 0.1, "all")
    for rates in ([], [0.1, 0.1], [0.0, 1.0]):
        with pytest.raises(tn.ArgumentError, match=r"^rates: expected distinct numbers > 0, got"):
            tn.dynamics.stable_rates(perceptron, START, X, Y, rates=rates, steps=2, key=KEY)
    with pytest.raises(
        tn.ArgumentError, match=r"^loss: expected a function that returns one real number, got shape \(5, 2\)"
    ):
        tn.dynamics.sharpness(lambda p: perceptron(p, X), START, key=KEY)
    with pytest.raises(tn.ArgumentError, match=r"^products: expected an integer ≥ 1, got 0"):
        tn.dynamics.sharpness(loss_of, START, X, Y, key=KEY, products=0)
    with pytest.raises(tn.ArgumentError, match=r"^rate: expected a finite number > 0, got -1"):
        tn.dynamics.Monitor(loss_of, rate=-1)
