"""Training: certified optimality on random problems, statuses and their messages, errors."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.certificates import certify_objective
from taylornets.optimizers import LBFGS


def draw(
    n: int = 60,
    d: int = 6,
    m: int = 64,
    outputs: int = 1,
    seed: int = 0,
    symmetric: bool = True,
    dtype: Any = jnp.float64,
    activation: str = "cubic_relu",
):
    """Noisy products of neighboring coordinates on the unit sphere."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = d * x[:, :outputs] * np.roll(x, -1, axis=1)[:, :outputs] + 0.1 * rng.normal(size=(n, outputs))
    net = tn.TwoLayerNetwork.init(jax.random.key(seed), d, m, outputs, activation, symmetric, dtype=dtype)
    return net, jnp.asarray(x, dtype), jnp.asarray(y, dtype)


def small(**changes: Any):
    sizes: dict[str, Any] = {"n": 40, "d": 4, "m": 16}
    return draw(**(sizes | changes))


def gap(result: tn.FitResult):
    assert result.certificate is not None
    return float(result.certificate.relative_gap)


@pytest.mark.usefixtures("x64")
class TestProvedOptimality:
    """With the defaults of `fit`."""

    @pytest.mark.parametrize(
        ("strength", "seed"),
        [(strength, seed) for seed in (0, 1, 2) for strength in (1e-6, 1e-5, 1e-4, 1e-3)],
    )
    def test_squared_power_eight(self, strength: float, seed: int):
        net, x, y = draw(seed=seed)
        result = tn.fit(net, x, y, penalty=strength)
        assert result.status is tn.Status.CERTIFIED
        assert gap(result) <= 1e-8

    def test_the_best_lower_bound_so_far_is_kept(self):
        """L-BFGS at a weak penalty: dual vectors of later iterates may be worse (by 2e-5 here), the certified gap is not."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((1000, 10))
        y = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * np.sin(2 * x[:, 3]) + 0.4 * rng.standard_normal(1000)
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 10, 16)
        settings: dict[str, Any] = {"penalty": 1e-9, "method": "lbfgs", "rank": 1, "tol": 1e-8, "throw": False}
        result = tn.fit(net, x / 4, y[:, None], max_steps=150, **settings)
        assert np.max(np.diff(result.history.relative_gap)) <= 0
        assert result.certificate is not None
        risk = tn.objective(net, x / 4, y[:, None], penalty=1e-9)
        again = certify_objective(risk, result.w, jnp.asarray(result.certificate.dual_vector))
        assert math.isclose(float(again.dual), float(result.certificate.dual), rel_tol=1e-12)

    def test_local_minimum_is_left(self):
        """An initialization that ends in a local minimum, and restarts that do not; a given `w_init` is not restarted."""
        net, x, y = draw(seed=0)
        start = 0.3 * 64**-0.25 * jax.random.normal(jax.random.key(0), net.w0.shape) / net.inputs**0.5
        options: dict[str, Any] = {"penalty": 1e-6, "method": "lbfgs", "rank": 1}
        stuck = tn.fit(net, x, y, w_init=start, **options)
        assert stuck.status is tn.Status.RANK_LIMITS
        freed = tn.fit(net, x, y, key=jax.random.key(0), **options)
        assert gap(freed) <= 1e-8
        assert freed.objective < stuck.objective

    @pytest.mark.parametrize("strength", [1e-6, 1e-3])
    def test_squared_power_four_of_rank_two(self, strength: float):
        for seed in range(2):
            net, x, y = draw(seed=seed)
            assert gap(tn.fit(net, x, y, penalty=strength, power=4, rank=2, throw=False)) <= 1e-5

    @pytest.mark.parametrize("strength", [1e-6, 1e-3])
    def test_logistic(self, strength: float):
        net, x, y = draw(seed=1)
        assert gap(tn.fit(net, x, jnp.sign(y), loss="logistic", penalty=strength, throw=False)) <= 1e-6

    @pytest.mark.parametrize("loss", ["squared", "softmax"])
    def test_three_outputs(self, loss: str):
        net, x, y = draw(outputs=3)
        y = jnp.argmax(y, axis=1) if loss == "softmax" else y
        assert gap(tn.fit(net, x, y, loss=loss, penalty=1e-4, rank=2, throw=False)) <= 1e-5

    def test_independent_initialization(self):
        """The initial outputs are not zero: they enter the objective and the dual."""
        net, x, y = small(symmetric=False)
        assert float(jnp.max(jnp.abs(net(0 * net.w0, x)))) > 0.1
        result = tn.fit(net, x, y, penalty=1e-3)
        assert gap(result) <= 1e-8
        expected = jnp.mean((net.term(0, result.w, x) + net.term(2, result.w, x) - y) ** 2)
        expected += 1e-3 * jnp.sum(jnp.sum(result.w**2, axis=1) ** 2) ** 2
        assert result.objective == pytest.approx(float(expected), rel=1e-12)

    def test_rank_one_stays_where_units_need_rank_two(self):
        """Theory 5: at small width and penalty, the moment matrices of the lifted optimum have rank above one."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(60, 6))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        y = jnp.asarray(6 * x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=60))
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 6, 32)
        single = tn.fit(net, jnp.asarray(x), y, penalty=1e-6, method="lbfgs", rank=1)
        assert single.status is tn.Status.RANK_LIMITS
        assert "rank='auto'" in single.status.value
        assert 1e-5 < gap(single) < 1e-1
        double = tn.fit(net, jnp.asarray(x), y, penalty=1e-6, rank=2)
        assert double.w.shape == (32, 2, 6)
        assert gap(double) <= 1e-8
        assert double.objective < single.objective


@pytest.mark.usefixtures("x64")
class TestModels:
    @pytest.mark.parametrize(
        ("model", "status"),
        [
            ("linear", tn.Status.CERTIFIED),
            ("full", tn.Status.STATIONARY),
            (3, tn.Status.STATIONARY),
            ("randomized", tn.Status.COUPLING_ERROR),
        ],
    )
    def test_statuses_and_gradients(self, model: str | int, status: tn.Status):
        """Without a certificate the gradient is the criterion; the gap of the randomized network is limited by the width."""
        net, x, y = small()
        tol = 1e-4 if status is tn.Status.STATIONARY else 1e-8
        result = tn.fit(net, x, y, model=model, penalty=1e-3, tol=tol)
        assert result.status is status
        assert (result.certificate is None) == (model in ("full", 3))
        gradient = jax.grad(tn.objective(net, x, y, model=model, penalty=1e-3))(result.w)
        assert float(jnp.linalg.norm(gradient) * jnp.linalg.norm(result.w)) <= 1e-3 * result.objective
        assert result.status.value in str(result)
        assert not result.status.is_failure

    def test_order_two_is_the_quadratic_model(self):
        net, x, y = small()
        by_name, by_order = (tn.fit(net, x, y, model=model, penalty=1e-3) for model in ("quadratic", 2))
        np.testing.assert_array_equal(by_name.w, by_order.w)
        assert by_order.status is tn.Status.CERTIFIED


@pytest.mark.usefixtures("x64")
class TestRuns:
    def test_history_and_determinism(self):
        net, x, y = small()
        first, second = (tn.fit(net, x, y, penalty=1e-4) for _ in range(2))
        np.testing.assert_array_equal(first.w, second.w)
        assert first.objective == second.objective
        history = first.history
        assert history.steps == second.history.steps
        assert history.objective == second.history.objective
        count = len(history.steps)
        lists = (history.objective, history.gradient_norm, history.relative_gap, history.seconds)
        assert [len(values) for values in lists] == [count] * 4
        assert history.steps == sorted(history.steps)
        assert history.seconds == sorted(history.seconds)
        assert all(b <= a for a, b in itertools.pairwise(history.objective))
        assert history.steps[-1] == first.steps
        assert history.relative_gap[-1] == gap(first) <= 1e-8

    def test_every_start_reaches_the_same_objective(self):
        net, x, y = draw()
        found = [tn.fit(net, x, y, penalty=1e-4, key=jax.random.key(seed)).objective for seed in range(4)]
        np.testing.assert_allclose(found, found[0], rtol=2e-8)

    def test_zero_is_a_saddle_of_the_quadratic_model(self):
        net, x, y = small()
        result = tn.fit(net, x, y, penalty=1e-3, w_init=jnp.zeros((16, 4)), method="lbfgs", rank=1)
        assert result.status is tn.Status.RANK_LIMITS
        assert "method='auto'" in result.status.value
        np.testing.assert_array_equal(result.w, 0)
        assert gap(result) > 0.01

    def test_a_solution_as_a_start_is_kept(self):
        net, x, y = small()
        solution = tn.fit(net, x, y, penalty=1e-3)
        again = tn.fit(net, x, y, penalty=1e-3, w_init=solution.w)
        assert again.objective <= solution.objective * (1 + 1e-12)

    def test_max_steps(self):
        net, x, y = small()
        with pytest.raises(tn.FitError, match=r"max_steps was reached before tol(.|\n)*Pass throw=False") as caught:
            tn.fit(net, x, y, penalty=1e-3, max_steps=3)
        result = tn.fit(net, x, y, penalty=1e-3, max_steps=3, throw=False)
        assert result.status is caught.value.result.status is tn.Status.MAX_STEPS
        assert result.steps == 3
        np.testing.assert_array_equal(caught.value.result.w, result.w)
        assert result.objective == float(tn.objective(net, x, y, penalty=1e-3)(result.w))

    def test_an_overflow_keeps_a_finite_displacement(self):
        net, x, y = small(activation="exp")
        w = jnp.full((16, 4), 2e3)
        arguments: dict[str, Any] = {"model": "full", "penalty": 1e-3, "power": 2, "w_init": w}
        result = tn.fit(net, x, y, **arguments, throw=False)
        assert result.status is tn.Status.DIVERGED
        assert bool(jnp.all(jnp.isfinite(result.w)))
        with pytest.raises(tn.FitError, match="objective became infinite or NaN"):
            tn.fit(net, x, y, **arguments)

    @pytest.mark.parametrize("chunk_size", [7, 40])
    def test_chunks(self, chunk_size: int):
        net, x, y = small()
        whole, parts = tn.fit(net, x, y, penalty=1e-3), tn.fit(net, x, y, penalty=1e-3, chunk_size=chunk_size)
        assert parts.objective == pytest.approx(whole.objective, rel=1e-8)
        assert parts.status is tn.Status.CERTIFIED

    def test_a_method_object(self):
        net, x, y = small()
        result = tn.fit(net, x, y, penalty=1e-3, method=LBFGS(memory=5))
        assert result.status is tn.Status.CERTIFIED


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("options", [{}, {"model": "linear", "power": 2}, {"model": (1, 2)}, {"method": "lbfgs"}])
def test_targets_that_are_zero(options: dict[str, Any]):
    """Both bounds are 0, and so is the relative gap between them."""
    net, x, y = small()
    w_init = jnp.zeros_like(net.w0) if "method" in options else None  # else the objective is small, but not 0
    result = tn.fit(net, x, 0 * y, penalty=1e-3, w_init=w_init, **options)
    assert (result.objective, gap(result)) == (0, 0)
    assert result.status is tn.Status.CERTIFIED
    assert "nan" not in str(result)
    assert np.isfinite(result.history.relative_gap).all()


def test_single_precision():
    net, x, y = small(dtype=jnp.float32)
    result = tn.fit(net, x, y, penalty=1e-3, tol=1e-2)
    assert result.w.dtype == jnp.float32
    assert result.status is tn.Status.CERTIFIED
    assert result.certificate is not None
    assert result.certificate.dual_vector.dtype == jnp.float32
    assert tn.fit(net, x, y, penalty=1e-3).status is tn.Status.CERTIFIED  # the default tolerance allows for rounding
    strict = tn.fit(net, x, y, penalty=1e-3, tol=1e-8)
    assert strict.status is tn.Status.PRECISION_LIMITS
    assert "Enable float64" in strict.status.value
    assert strict.objective <= result.objective * (1 + 1e-6)


NAN = jnp.full((40, 4), jnp.nan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "lbgfs"}, "method: expected one of .*'lbfgs', .*, got 'lbgfs'. Did you mean 'lbfgs'"),
        ({"model": "quadratc"}, "model: .* Did you mean 'quadratic'"),
        ({"loss": "hubber"}, "loss: .* Did you mean 'huber'"),
        ({"rank": 2, "model": "full"}, "rank: expected 1 for model='full', got 2. Only"),
        ({"rank": 2, "model": "randomized"}, "rank: expected 1 for model='randomized', got 2"),
        ({"rank": 2, "model": "linear"}, "rank: expected 1 for model='linear', got 2"),
        ({"rank": 0}, "rank: expected an integer ≥ 1, got 0"),
        ({"tol": 0.0}, "tol: expected a finite number > 0, got 0.0"),
        ({"tol": -1e-3}, "tol: expected a finite number > 0"),
        ({"max_steps": 0}, "max_steps: expected an integer ≥ 1, got 0"),
        ({"w_init": jnp.ones((4, 16))}, r"w: expected shape \(16, 4\), got shape \(4, 16\)"),
        ({"w_init": jnp.full((16, 4), jnp.inf)}, "w: expected finite numbers, got 64 NaN or infinite"),
        ({"power": 3}, "power: expected a finite number ≥ 4"),
        ({"model": 3, "power": 4}, "power: expected a finite number ≥ 6"),
        ({"penalty": 0.0}, "penalty: expected a finite number > 0, got 0.0"),
        ({"penalty": -1.0}, "penalty: expected a finite number > 0"),
        ({"x": NAN}, "x: expected finite numbers, got 160 NaN or infinite of 160. Remove or impute them"),
        ({"x": jnp.zeros((0, 4)), "y": jnp.zeros((0, 1))}, "expected a non-empty array"),
        ({"x": jnp.ones((40, 5))}, r"x: expected shape \(n, 4\), got shape \(40, 5\)"),
        ({"y": NAN[:, :1]}, "y: expected finite numbers"),
        ({"y": jnp.full((40, 1), jnp.inf)}, "y: expected finite numbers"),
        ({"y": jnp.ones((40, 2))}, "y: expected shape"),
        ({"loss": "logistic"}, "y: expected labels -1 and"),
        ({"loss": "softmax", "y": jnp.zeros(40, int)}, "outputs: expected at least 2 for the softmax loss"),
    ],
)
def test_errors(change: dict[str, Any], message: str):
    net, x, y = small(dtype=jnp.float32)
    with pytest.raises(tn.ArgumentError, match=message):
        tn.fit(**({"net": net, "x": x, "y": y, "penalty": 1e-3} | change))
