"""The saddle-escaping methods: scale of their noise, escape from a saddle, claims of second-order stationarity."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import taylornets as tn
from taylornets.optimizers import LBFGS, FirstOrder, MethodOutcome, noisy_sgd, perturbed_gradient_descent


def data(n: int = 40, d: int = 5):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return jnp.asarray(x), jnp.asarray(d * x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=n))


def network(width: int = 24, **options):
    return tn.TwoLayerNetwork.init(jax.random.key(1), 5, width, **options)


class TestTransformations:
    def test_scale_of_the_perturbation(self):
        """Uniform in a ball of N dimensions: never longer than r, mean square r² N/(N + 2). 4 standard errors."""
        method = perturbed_gradient_descent(0.1, radius=0.3, threshold=0.0, interval=0, key=jax.random.key(0))
        zero = jnp.zeros(6)

        def step(state, _):
            update, state = method.update(zero, state)
            return state, jnp.sum(jnp.asarray(update) ** 2)

        _, squares = jax.lax.scan(step, method.init(zero), length=4001)
        squares = np.asarray(squares)
        squares = squares[squares > 0]  # every second step, as the interval says
        assert squares.size >= 2000
        assert squares.max() <= 0.09 * (1 + 1e-5)
        error = squares.std() / np.sqrt(squares.size)
        assert squares.mean() == pytest.approx(0.09 * 6 / 8, abs=4 * error)

    def test_perturbs_at_small_gradients_only_and_not_too_often(self):
        method = perturbed_gradient_descent(0.5, radius=0.3, threshold=0.1, interval=3, key=jax.random.key(0))
        state, jumps = method.init(jnp.zeros(2)), []
        for gradient in [1.0, 0.05, 0.05, 0.05, 0.05, 0.05, 1.0]:
            update, state = method.update(jnp.array([gradient, 0.0]), state)
            jumps.append(bool(jnp.any(update != jnp.array([-0.5 * gradient, 0.0]))))
        assert jumps == [False, True, False, False, False, True, False]

    def test_scale_of_the_noise(self):
        """A step adds noise of standard deviation η √variance to every coordinate, which decays as (1 + t)^{-decay/2}."""
        method = noisy_sgd(0.1, variance=0.04, decay=1.0, key=jax.random.key(0))
        gradient = jnp.full(20_000, 3.0)
        state = method.init(gradient)
        for t in range(3):
            update, state = method.update(gradient, state)
            assert float(jnp.mean(update)) == pytest.approx(-0.3, abs=4 * 0.02 / np.sqrt(20_000))
            assert float(jnp.std(update)) == pytest.approx(0.02 / np.sqrt(1 + t), rel=0.03)

    @pytest.mark.parametrize("which", ["perturbed", "noisy"])
    def test_compose_with_schedules_and_clipping(self, which):
        schedule = optax.linear_schedule(0.1, 0.0, 2)
        key = jax.random.key(0)
        inner = (
            perturbed_gradient_descent(schedule, radius=1e-9, threshold=0.0, key=key)
            if which == "perturbed"
            else noisy_sgd(schedule, variance=1e-18, key=key)
        )
        method = optax.chain(optax.clip_by_global_norm(1.0), inner)
        state, sizes = method.init(jnp.zeros(4)), []
        for _ in range(3):
            update, state = method.update(jnp.full(4, 10.0), state)
            sizes.append(float(jnp.linalg.norm(update)))
        assert sizes == pytest.approx([0.1, 0.05, 0.0], abs=1e-6)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda k: perturbed_gradient_descent(-1, radius=1, threshold=0, key=k), "learning_rate: expected"),
            (
                lambda k: perturbed_gradient_descent(1, radius=0, threshold=0, key=k),
                "radius: expected a finite number > 0",
            ),
            (lambda k: perturbed_gradient_descent(1, radius=1, threshold=-1, key=k), "threshold: expected"),
            (lambda k: perturbed_gradient_descent(1, radius=1, threshold=0, interval=-1, key=k), "interval: expected"),
            (lambda k: noisy_sgd(0.1, variance=0, key=k), "variance: expected"),
            (lambda k: noisy_sgd(0.1, variance=1, decay=-1, key=k), "decay: expected"),
            (lambda k: FirstOrder(optax.sgd(1), batch_size=0), "batch_size: expected an integer ≥ 1"),
            (lambda k: tn.optimizers.negative_curvature(max_products=0), "max_products: expected"),
            (lambda k: tn.optimizers.negative_curvature(curvature_tolerance=0), "curvature_tolerance: expected"),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(tn.ArgumentError, match=message):
            call(jax.random.key(0))


@pytest.mark.usefixtures("x64")
class TestFromZero:
    """`W = 0` is a strict saddle of the quadratic objective."""

    def fit(self, method, model="quadratic", **options):
        x, y = data()
        net = network()
        settings = {"tol": 1e-6, "throw": False, "w_init": 0 * net.w0} | options
        return tn.fit(net, x, y, model=model, penalty=1e-4, method=method, **settings), net

    def test_gradient_descent_stays(self):
        result, _ = self.fit("gradient_descent", rank=1)
        assert not bool(jnp.any(result.w))
        assert result.status is tn.Status.RANK_LIMITS

    def test_growing_copies_leave_the_saddle(self):
        """A new copy along the negative eigenvector of the dual matrix leaves `W = 0`, which no gradient does."""
        stays, _ = self.fit("gradient_descent", rank=1)
        result, _ = self.fit("gradient_descent")
        assert result.objective < 0.9 * stays.objective

    @pytest.mark.parametrize("method", ["perturbed_gradient_descent", "negative_curvature"])
    def test_others_reach_the_certified_optimum(self, method):
        result, _ = self.fit(method)
        assert result.status is tn.Status.CERTIFIED
        assert result.certificate is not None
        assert float(result.certificate.relative_gap) <= 1e-6

    def test_noisy_sgd_with_fresh_signs(self):
        """Close to the L-BFGS solution of the exact randomized risk, and reproducible for the same key."""
        first, net = self.fit("noisy_sgd", "randomized", max_steps=1000, key=jax.random.key(4))
        again, _ = self.fit("noisy_sgd", "randomized", max_steps=1000, key=jax.random.key(4))
        exact, _ = self.fit("lbfgs", "randomized", w_init=0.3 * net.w0)
        assert bool(jnp.all(first.w == again.w))
        assert exact.objective * (1 - 1e-9) <= first.objective <= 1.03 * exact.objective

    def test_a_degenerate_saddle_is_no_strict_one(self):
        """Order 3 at 0: the Hessian vanishes, and the method reports this instead of a minimum."""
        result, _ = self.fit("negative_curvature", 3)
        assert result.status is tn.Status.SECOND_ORDER
        assert result.stationarity is not None
        assert result.stationarity.min_eigenvalue == 0
        assert "Second-order test" in str(result)


@pytest.mark.usefixtures("x64")
def test_claims_of_second_order_stationarity_hold():
    """All points at which the method stops are stationary, and no smallest dense eigenvalue is below the claimed bound."""
    x, y = data()
    method = tn.optimizers.negative_curvature()
    net = network(12)
    risk = tn.objective(net, x, y, penalty=1e-6, power=4)
    hessian = jax.jit(jax.hessian(risk))
    for seed in range(4):
        w = 10.0 ** (seed - 2) * jax.random.normal(jax.random.key(seed), net.w0.shape)
        state = method.advance(risk, method.init(risk, w, jax.random.key(9)), 1000)
        assert method.outcome(state).stalled
        assert state.stationarity is not None
        values = np.linalg.eigvalsh(np.asarray(hessian(state.w)).reshape(w.size, w.size))
        assert values[0] >= state.stationarity.lower_bound - 1e-13 * values[-1]
        assert float(jnp.linalg.norm(risk.value_and_gradient(state.w)[1])) <= 1e-6


@pytest.mark.usefixtures("x64")
def test_negative_curvature_on_another_function():
    """Rosenbrock in two variables, and an initial point on the ridge of a double well."""
    method = tn.optimizers.negative_curvature()
    rosenbrock = jax.tree_util.Partial(lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2)
    state = method.advance(rosenbrock, method.init(rosenbrock, jnp.array([-1.2, 1.0]), jax.random.key(0)), 200)
    assert np.allclose(state.w, [1, 1], atol=1e-8)
    well = jax.tree_util.Partial(lambda w: (w[0] ** 2 - 1) ** 2 + w[1] ** 2)
    state = method.advance(well, method.init(well, jnp.array([0.0, 3.0]), jax.random.key(0)), 200)
    assert abs(float(state.w[0])) == pytest.approx(1, abs=1e-8)
    assert state.escapes == 1


@pytest.mark.usefixtures("x64")
def test_curvature_that_rounding_hides_is_not_called_second_order():
    """A saddle on top of 1e16: no move lowers the value by more than rounding, and the test has detected the saddle."""
    method = tn.optimizers.negative_curvature()
    hidden = jax.tree_util.Partial(lambda w: 1e16 + w[0] ** 2 - w[1] ** 2 + w[1] ** 4)
    state = method.advance(hidden, method.init(hidden, jnp.zeros(2), jax.random.key(0)), 50)
    assert method.outcome(state).stalled
    assert not state.second_order
    assert state.stationarity is not None
    assert state.stationarity.min_eigenvalue == pytest.approx(-2)


@dataclass(frozen=True)
class Reporting:
    """L-BFGS that reports the result of a second-order test, as a user-defined method may."""

    second_order: bool | None
    scales_inputs: bool = False

    def init(self, fun, w, key):
        return LBFGS().init(fun, w, key)

    def advance(self, fun, state, steps):
        return LBFGS().advance(fun, state, steps)

    def outcome(self, state):
        test = tn.stationarity(lambda w: jnp.sum(w**2), jnp.ones(3), key=jax.random.key(0))
        return MethodOutcome(LBFGS().outcome(state).stalled, self.second_order, test)


@pytest.mark.usefixtures("x64")
def test_a_run_ends_as_its_method_reports():
    """Without a second-order test, a small gradient ends the run; with one, its result or a stall ends it."""
    x, y = data()
    net = network()
    found = {
        report: tn.fit(net, x, y, model=3, penalty=1e-3, method=Reporting(report), tol=1e-2, throw=False)
        for report in (None, True, False)
    }
    assert found[None].status is tn.Status.STATIONARY
    assert found[True].status is tn.Status.SECOND_ORDER
    assert found[False].status is tn.Status.STATIONARY
    assert found[True].steps <= found[None].steps < found[False].steps
    test = found[True].stationarity
    assert test is not None
    assert test.min_eigenvalue == pytest.approx(2)


@pytest.mark.usefixtures("x64")
def test_a_rate_that_diverges_keeps_the_best_iterate():
    x, y = data()
    net = network()
    start = 0.3 * net.w0
    risk = tn.objective(net, x, y, penalty=1e-4)
    result = tn.fit(net, x, y, penalty=1e-4, method=FirstOrder(optax.sgd(1e4)), w_init=start, throw=False)
    assert result.status is tn.Status.DIVERGED
    assert "Lower the learning rate" in result.status.value
    assert result.objective == float(risk(result.w)) <= float(risk(start))
    growing = FirstOrder(optax.sgd(optax.piecewise_constant_schedule(0.5, {10: 1e6})))
    later = tn.fit(net, x, y, penalty=1e-4, method=growing, w_init=start, throw=False)
    assert later.status is tn.Status.DIVERGED
    assert later.objective < float(risk(start))
    with pytest.raises(tn.FitError, match="infinite or NaN"):
        tn.fit(net, x, y, penalty=1e-4, method=FirstOrder(optax.sgd(1e4)), w_init=start)


def test_single_precision():
    x, y = (part.astype(jnp.float32) for part in data())
    net = network(dtype="float32")
    result = tn.fit(net, x, y, penalty=1e-4, method="negative_curvature", w_init=0 * net.w0, tol=1e-2, throw=False)
    assert result.w.dtype == jnp.float32
    assert result.status is tn.Status.CERTIFIED
