"""The proximal dual Newton method and its parts, against brute force, finite differences and other solvers."""

from typing import Any

import cvxpy as cp
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets._fit._dual_newton import dual_newton
from taylornets._fit._lift import dual_point, evaluate, prox
from taylornets._fit._newton import _rotation as rotation_of  # pyright: ignore[reportPrivateUsage]
from taylornets._fit._newton import dense_operator, newton_direction, product
from taylornets._fit._refine import _below  # pyright: ignore[reportPrivateUsage]

pytestmark = pytest.mark.usefixtures("x64")


def problem(
    n: int = 40, d: int = 5, m: int = 16, outputs: int = 1, loss: str = "squared", symmetric: bool = True, seed: int = 0
) -> tuple[tn.TwoLayerNetwork, jax.Array, Any]:
    """A noisy product, or labels made from it."""
    keys = jax.random.split(jax.random.key(seed), 4)
    x = jax.random.normal(keys[0], (n, d))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y = d * x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(keys[1], (n,))
    net = tn.TwoLayerNetwork.init(keys[2], d, m, outputs=outputs, activation="tanh", symmetric=symmetric)
    if loss == "logistic":
        return net, x, jnp.where(y > 0, 1.0, -1.0)
    if loss == "softmax":
        return net, x, jnp.argmax(x[:, :outputs] ** 2, axis=1)
    return net, x, y if outputs == 1 else jnp.stack([y, *(x[:, i] ** 2 for i in range(outputs - 1))], axis=1)


def lift_of(risk: tn.Objective, scale: float = 0.3) -> tuple[jax.Array, jax.Array]:
    """Outputs and centers at which some units have several positive eigenvalues, and some none."""
    keys = jax.random.split(jax.random.key(7), 2)
    f = scale * jax.random.normal(keys[0], risk.targets().shape)
    copies = jax.random.normal(keys[1], (risk.net.width, 2, risk.net.inputs)) * risk.net.width**-0.25 * 0.2
    return f, jnp.einsum("rjd,rje->rde", copies, copies)


@pytest.mark.parametrize("power", [4, 5, 8])
def test_proximal_map_is_a_minimizer(power: float):
    """No random change of `Θ` within the cone lowers `⟨ν, A(Θ)⟩ + λ g^{p/4} + (ε/2) ‖Θ - Θ⁰‖²`."""
    net, x, y = problem()
    risk = tn.objective(net, x, y, penalty=1e-2, power=power)
    f, centers = lift_of(risk)
    point, epsilon = dual_point(risk, f), jnp.asarray(0.01)
    found = prox(risk, point.moments, centers, epsilon)
    assert 0 < int(jnp.sum(found.ranks)) < found.shifted.size

    def value(theta: jax.Array) -> float:
        traces = jnp.trace(theta, axis1=1, axis2=2)
        penalty = 1e-2 * jnp.sum(traces**2) ** (power / 4)
        return float(jnp.sum(point.moments * theta) + penalty + epsilon / 2 * jnp.sum((theta - centers) ** 2))

    least = value(found.theta)
    assert float(found.penalty + found.distance + jnp.sum(point.moments * found.theta)) == pytest.approx(
        least, rel=1e-10
    )
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            change = rng.normal(size=(*found.theta.shape[:2], 2)) * np.sqrt(size) * 0.1
            other = (1 - size) * found.theta + jnp.asarray(change @ change.swapaxes(1, 2))
            assert value(other) >= least


@pytest.mark.parametrize("power", [4, 8])
@pytest.mark.parametrize(("loss", "outputs"), [("squared", 1), ("logistic", 1), ("softmax", 3), ("squared", 2)])
def test_newton_operator_against_finite_differences(loss: str, outputs: int, power: float):
    """`𝒢 dν = -dA(Θ)/dν`; both forms of the operator, and the matrix is symmetric and positive semidefinite."""
    net, x, y = problem(loss=loss, outputs=outputs)
    risk = tn.objective(net, x, y, loss=loss, penalty=1e-2, power=power)
    f, centers = lift_of(risk)
    epsilon = jnp.asarray(0.01)
    state = evaluate(risk, dual_point(risk, f), centers, epsilon, 80)
    v = jax.random.normal(jax.random.key(3), f.shape) * 1e-6
    moved = product(risk, state, rotation_of(state), v)

    def lifted(nu: jax.Array) -> jax.Array:
        half = risk.moment_matrices(nu)
        theta = prox(risk, risk.net.both_halves(half, -half), centers, epsilon).theta
        values, vectors = jnp.linalg.eigh(theta)
        return risk.outputs(jnp.swapaxes(vectors * jnp.sqrt(jnp.maximum(values, 0))[:, None, :], 1, 2))

    expected = (lifted(state.point.nu - v) - lifted(state.point.nu + v)) / 2
    np.testing.assert_allclose(moved, expected, atol=1e-4 * float(jnp.max(jnp.abs(expected))))
    operator = dense_operator(risk, state)
    np.testing.assert_allclose(
        jnp.einsum("icjd,jd->ic", operator, v), moved, rtol=1e-9, atol=1e-12 * float(jnp.abs(moved).max())
    )
    square = operator.reshape(f.size, f.size)
    np.testing.assert_allclose(square, square.T, atol=1e-10 * float(jnp.abs(square).max()))
    assert float(jnp.linalg.eigvalsh(square)[0]) >= -1e-10 * float(jnp.abs(square).max())


@pytest.mark.parametrize(("loss", "outputs"), [("logistic", 1), ("softmax", 3), ("huber", 1)])
def test_conjugate_gradients_agree_with_the_factorization(loss: str, outputs: int, monkeypatch: pytest.MonkeyPatch):
    """The inner product `⟨u, H v⟩` is degenerate for softmax and Huber; the solution is that of the full system."""
    net, x, y = problem(loss=loss, outputs=outputs)
    risk = tn.objective(net, x, y, loss=loss, penalty=1e-2, power=4)
    f, centers = lift_of(risk, scale=2.0)
    state = evaluate(risk, dual_point(risk, f), centers, jnp.asarray(0.1), 80)
    exact = newton_direction(risk, state, 1e-12)
    monkeypatch.setattr("taylornets._fit._newton._DENSE_UNKNOWNS", 0)
    iterated = newton_direction(risk, state, 1e-12)
    assert int(iterated.products) > 0
    np.testing.assert_allclose(iterated.f, exact.f, atol=1e-8 * float(jnp.abs(exact.f).max()))
    assert float(iterated.decrement) == pytest.approx(float(exact.decrement), rel=1e-8)


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")  # at these tolerances; the values agree
@pytest.mark.parametrize(
    ("sizes", "loss", "outputs", "power", "strength"),
    [
        ((12, 2, 4), "squared", 1, 8, 1e-2),
        ((24, 4, 8), "logistic", 1, 6, 1e-2),
        ((24, 4, 8), "squared", 2, 4, 1e-2),
        ((40, 5, 12), "squared", 1, 4, 1e-4),
        ((60, 6, 16), "logistic", 1, 4, 1e-4),
    ],
)
def test_optimal_value_of_an_interior_point_solver(
    sizes: tuple[int, int, int], loss: str, outputs: int, power: float, strength: float
):
    """Clarabel on the lifted problem, with tightened tolerances."""
    n, d, m = sizes
    net, x, y = problem(n, d, m, outputs, loss)
    result = tn.fit(net, x, y, loss=loss, penalty=strength, power=power)
    assert result.status is tn.Status.CERTIFIED
    risk = tn.objective(net, x, y, loss=loss, penalty=strength, power=power)
    thetas = [cp.Variable((d, d), PSD=True) for _ in range(m)]
    slope = tn.activations.get("tanh").derivative(2)
    features = np.asarray(slope(net.w0 @ x.T)) / (2 * np.sqrt(m))
    points = np.asarray(x)
    columns = []
    for output in range(outputs):
        total: Any = 0
        for r, theta in enumerate(thetas):
            weights = float(net.a[r, output]) * features[r]
            total = total + cp.multiply(weights, cp.sum(cp.multiply(points @ theta, points), axis=1))
        columns.append(total)
    targets = np.asarray(risk.targets())
    if loss == "squared":
        data = sum(cp.sum_squares(column - targets[:, i]) for i, column in enumerate(columns))
    else:
        data = cp.sum(cp.logistic(cp.multiply(-targets[:, 0], columns[0])))
    norm = cp.norm(cp.hstack([cp.trace(theta) for theta in thetas]), 2)
    lifted = cp.Problem(cp.Minimize(data / len(points) + strength * cp.power(norm, power / 2)))
    lifted.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-9, tol_feas=1e-9)
    assert result.objective == pytest.approx(float(lifted.value), rel=1e-7)


def test_many_problems_close():
    """Weak and strong penalties, both kinds of power: every gap closes in few steps, without a rank or a random start."""
    steps = []
    for seed, (loss, power, strength) in enumerate(
        [("squared", 4, 1e-8), ("logistic", 4, 1e-6), ("squared", 8, 1e-9), ("logistic", 8, 1e-6), ("squared", 4, 1e-3)]
    ):
        net, x, y = problem(60, 6, 32, loss=loss, seed=seed)
        result = tn.fit(net, x, y, loss=loss, penalty=strength, power=power, method="dual_newton", max_steps=60)
        assert result.status is tn.Status.CERTIFIED
        assert result.certificate is not None
        certificate = tn.certify(
            net, result.w, x, y, loss=loss, penalty=strength, power=power, dual_vector=result.certificate.dual_vector
        )
        assert float(certificate.relative_gap) <= 1e-8
        assert result.steps <= 40
        steps.append(result.steps)
    assert np.median(steps) <= 25


@pytest.mark.parametrize("seed", range(5))
def test_every_start_ends_at_the_same_objective(seed: int):
    """Five problems at which rank one fails, and five starts each."""
    net, x, y = problem(60, 6, 32, seed=seed)
    arguments: dict[str, Any] = {"penalty": 1e-6, "power": 4}
    single = tn.fit(net, x, y, rank=1, method="lbfgs", **arguments)
    starts = [0.3 * jax.random.normal(jax.random.key(start), net.w0.shape) for start in range(5)]
    found = [tn.fit(net, x, y, w_init=start, **arguments).objective for start in starts]
    np.testing.assert_allclose(found, found[0], rtol=1e-8)
    assert single.status is tn.Status.RANK_LIMITS
    assert min(found) < single.objective * (1 - 1e-6)  # rank one does not suffice here


def test_first_order_methods_add_copies():
    """L-BFGS from rank one ends at the lifted optimum; with a fixed rank it does not."""
    net, x, y = problem(60, 6, 32)
    arguments: dict[str, Any] = {"penalty": 1e-6, "power": 4, "throw": False}
    exact = tn.fit(net, x, y, **arguments)
    grown = tn.fit(net, x, y, method="lbfgs", tol=1e-6, **arguments)
    assert grown.w.ndim == 3
    assert grown.objective == pytest.approx(exact.objective, rel=2e-6)
    assert grown.history.steps == sorted(grown.history.steps)
    assert grown.history.steps[-1] == grown.steps <= 5000


def test_the_method_that_leaves_saddles_adds_copies():
    net, x, y = problem(30, 4, 12)
    arguments: dict[str, Any] = {"penalty": 1e-4, "power": 4, "throw": False}
    exact = tn.fit(net, x, y, **arguments)
    single = tn.fit(net, x, y, method="negative_curvature", rank=1, tol=1e-6, **arguments)
    grown = tn.fit(net, x, y, method="negative_curvature", tol=1e-6, **arguments)
    assert exact.w.ndim == grown.w.ndim == 3
    assert single.w.ndim == 2
    assert exact.objective * (1 - 1e-8) <= grown.objective < single.objective
    assert grown.objective == pytest.approx(exact.objective, rel=1e-6)


def test_the_number_of_copies_is_the_least():
    """With one copy less, the optimum of that rank is worse than the certified one."""
    net, x, y = problem(60, 6, 32)
    exact = tn.fit(net, x, y, penalty=1e-6, power=4)
    less = tn.fit(net, x, y, penalty=1e-6, power=4, rank=exact.w.shape[1] - 1, throw=False)
    assert less.status is tn.Status.RANK_LIMITS
    assert less.objective > exact.objective * (1 + 1e-7)


def test_a_rank_limits_the_copies_and_keeps_the_dual_bound():
    net, x, y = problem(60, 6, 32)
    arguments: dict[str, Any] = {"penalty": 1e-6, "power": 4, "throw": False}
    exact = tn.fit(net, x, y, **arguments)
    single = tn.fit(net, x, y, method="dual_newton", rank=1, **arguments)
    assert exact.w.ndim == 3
    assert single.w.shape == net.w0.shape
    assert single.certificate is not None
    difference = (single.objective - exact.objective) / single.objective
    assert float(single.certificate.relative_gap) == pytest.approx(difference, rel=1e-3)


def test_rank_one_has_the_shape_of_the_weights():
    net, x, y = problem(60, 6, 32)
    assert tn.fit(net, x, y, penalty=1e-2, power=8).w.shape == net.w0.shape


@pytest.mark.parametrize("symmetric", [True, False])
def test_predictions_and_the_widened_network(symmetric: bool):
    net, x, y = problem(60, 6, 32, symmetric=symmetric)
    result = tn.fit(net, x, y, penalty=1e-6, power=4)
    assert result.w.ndim == 3
    wide, w = result.as_network()
    assert wide.width == 32 * result.w.shape[1]
    np.testing.assert_allclose(wide.term(2, w, x), net.term(2, result.w, x), atol=1e-12)
    expected = net.term(2, result.w, x) + net.term(0, net.w0, x)
    np.testing.assert_allclose(result.predict(x), expected, atol=1e-12)


@pytest.mark.parametrize("model", ["linear", "randomized", "full", 3])
def test_predictions_of_every_model(model: Any):
    net, x, y = problem()
    result = tn.fit(net, x, y, model=model, penalty=1e-2, tol=1e-2)
    risk = tn.objective(net, x, y, model=model, penalty=1e-2)
    np.testing.assert_allclose(result.predict(x), risk.mean_outputs(result.w), atol=1e-12)
    wide, w = result.as_network()
    assert wide.width == net.width
    assert w.shape == net.w0.shape


@pytest.mark.parametrize("power", [2, 5])
@pytest.mark.parametrize(("loss", "outputs"), [("squared", 2), ("logistic", 1), ("softmax", 3), ("huber", 1)])
def test_linear_model_is_a_ridge_problem(loss: str, outputs: int, power: float):
    net, x, y = problem(outputs=outputs, loss=loss, symmetric=False)
    result = tn.fit(net, x, y, model="linear", loss=loss, penalty=1e-3, power=power)
    assert result.status is tn.Status.CERTIFIED
    assert result.steps <= (1 if (loss, power) == ("squared", 2) else 20)
    gradient = jax.grad(tn.objective(net, x, y, model="linear", loss=loss, penalty=1e-3, power=power))(result.w)
    assert float(jnp.linalg.norm(gradient)) <= 1e-4 * float(result.objective)


def test_linear_model_beyond_the_dense_limit(monkeypatch: pytest.MonkeyPatch):
    net, x, y = problem(loss="logistic")
    exact = tn.fit(net, x, y, model="linear", loss="logistic", penalty=1e-4, power=3)
    monkeypatch.setattr("taylornets._fit._ridge._DENSE_UNKNOWNS", 0)
    jax.clear_caches()
    iterated = tn.fit(net, x, y, model="linear", loss="logistic", penalty=1e-4, power=3)
    assert iterated.objective == pytest.approx(exact.objective, rel=1e-8)


def test_large_problems_begin_with_first_order_steps(monkeypatch: pytest.MonkeyPatch):
    net, x, y = problem(60, 6, 32)
    exact = tn.fit(net, x, y, penalty=1e-6, power=4)
    monkeypatch.setattr("taylornets._fit._newton._DENSE_UNKNOWNS", 0)
    monkeypatch.setattr("taylornets._fit._train._MOST_DIRECT", 0)
    hybrid = tn.fit(net, x, y, penalty=1e-6, power=4)
    assert hybrid.status is tn.Status.CERTIFIED
    assert np.isfinite(hybrid.history.gradient_norm[0])
    assert np.isnan(hybrid.history.gradient_norm[-1])
    assert hybrid.objective == pytest.approx(exact.objective, rel=2e-8)


def test_first_order_steps_are_left_out_where_they_do_not_pay():
    net, x, y = problem(310, 3, 8)  # beyond the dense limit
    found = tn.fit(net, x, y, penalty=1e-2, power=4, tol=1e-3)
    assert found.status is tn.Status.CERTIFIED
    assert np.isnan(found.history.gradient_norm).all()


def test_path_is_warm_started():
    net, x, y = problem(60, 6, 32)
    penalties = np.geomspace(1e-2, 1e-8, 30).tolist()
    path = tn.fit_path(net, x, y, penalties, power=4, tol=1e-3)
    assert all(result.status is tn.Status.CERTIFIED for result in path)
    chosen = tn.fit(net, x, y, penalty=penalties[20], power=4, w_init=path[20].w)
    cold = tn.fit(net, x, y, penalty=penalties[20], power=4)
    assert chosen.objective == pytest.approx(cold.objective, rel=2e-8)
    assert sum(result.steps for result in path) <= 6 * cold.steps


def test_callback_and_limit_of_steps():
    net, x, y = problem(60, 6, 32)
    risk = tn.objective(net, x, y, penalty=1e-6, power=4)
    seen: list[int] = []
    result = dual_newton(risk, None, tol=1e-8, max_steps=3, on_check=lambda history: seen.append(history.steps[-1]))
    assert seen == [0, 1, 2, 3]
    assert result.status is tn.Status.MAX_STEPS
    assert result.certificate is not None
    assert result.objective == pytest.approx(float(risk(result.w)), rel=1e-12)


HARD: dict[str, dict[str, Any]] = {
    "one example": {"n": 1},
    "one input": {"d": 1},
    "two units": {"m": 2},
    "constant feature": {"x": lambda x: x.at[:, 0].set(0.3)},
    "collinear features": {"x": lambda x: x.at[:, 1].set(2 * x[:, 0])},
    "duplicated rows": {
        "x": lambda x: jnp.concatenate([x[:20], x[:20]]),
        "y": lambda y: jnp.concatenate([y[:20], y[:20]]),
    },
    "equal targets": {"y": lambda y: jnp.ones_like(y)},
    "zero targets": {"y": lambda y: jnp.zeros_like(y)},
    "extreme weights": {"weight": jnp.concatenate([jnp.full(10, 1e-12), jnp.ones(20), jnp.full(10, 1e12)])},
    "weights with zeros": {"weight": jnp.concatenate([jnp.zeros(10), jnp.ones(30)])},
    "units that are off": {"x": lambda x: -jnp.abs(x), "activation": "cubic_relu", "positive": True},
}
LOSSES: dict[str, Any] = {
    "squared": lambda y: y,
    "huber": lambda y: y,
    "logistic": lambda y: jnp.where(y > 0, 1.0, -1.0),
    "softmax": lambda y: (y > 0).astype(int),
}


def hard_problem(name: str, loss: str, dtype: Any) -> tuple[tn.TwoLayerNetwork, jax.Array, jax.Array]:
    change = HARD[name]
    net, x, y = (
        one_input() if "d" in change else problem(change.get("n", 40), change.get("d", 5), change.get("m", 16), seed=2)
    )
    x, y = change.get("x", lambda x: x)(x), change.get("y", lambda y: y)(y)
    if change.get("positive"):
        net = tn.TwoLayerNetwork(jnp.abs(net.w0), net.a, tn.activations.get(change["activation"]), True)
    if loss == "softmax":
        net = eqx.tree_at(lambda net: net.a, net, jnp.concatenate([net.a, -net.a], axis=1))
    net, x, y = jax.tree.map(lambda a: a.astype(dtype), (net, x, y))
    return net, x, LOSSES[loss](y)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(("loss", "strength", "power"), [
    ("squared", 1e-9, 4), ("squared", 1e-2, 4), ("squared", 1e-12, 8), ("huber", 1e-6, 4), ("logistic", 1e-6, 4),
    ("softmax", 1e-6, 4),
])  # fmt: skip
@pytest.mark.parametrize("name", HARD)
def test_hard_problems_end_with_a_certificate(name: str, loss: str, strength: float, power: int, dtype: Any):
    net, x, y = hard_problem(name, loss, dtype)
    weight = HARD[name].get("weight")
    result = tn.fit(net, x, y, loss=loss, penalty=strength, power=power, sample_weight=weight, throw=False)
    assert result.certificate is not None
    assert result.w.dtype == dtype
    assert np.isfinite(result.objective)
    assert float(result.certificate.relative_gap) >= -1e-12
    # One example at λ = 1e-12: an objective of about 1e-11, of which rounding in float64 leaves 2e-7.
    rounded = result.objective < 1e-9 and float(result.certificate.relative_gap) < 1e-6
    assert result.status is tn.Status.CERTIFIED or rounded, result


def test_weak_penalty_in_float32_reaches_the_optimum_of_float64():
    """The residual is a small difference, of which float32 has few digits; the run continues in float64."""
    net, x, y = problem(40, 5, 16, seed=2)
    optimum = tn.fit(net, x, y, penalty=1e-9, power=4).objective
    low = [jax.tree.map(lambda a: a.astype(jnp.float32), each) for each in (net, x, y)]
    result = tn.fit(low[0], low[1], low[2], penalty=1e-9, power=4)
    assert result.w.dtype == jnp.float32
    assert result.net is not None
    assert result.net.w0.dtype == jnp.float32
    assert result.objective == pytest.approx(optimum, rel=2e-4)
    assert result.certificate is not None
    assert float(result.certificate.dual) <= optimum
    path = tn.fit_path(low[0], low[1], low[2], [1e-5, 1e-7, 1e-9], power=4)
    assert path[-1].objective == pytest.approx(optimum, rel=2e-4)


def test_very_weak_penalty_on_a_grid_of_inputs():
    """Where the dual Newton method stalls, L-BFGS lowers the objective, and the dual bound is kept."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 3, size=(500, 4)).astype(float)
    days = rng.choice([1, 3, 7, 14, 28, 56, 90, 100, 180], size=500).astype(float)
    y = np.log1p(days) * levels[:, 0] + levels[:, 1] * (levels[:, 2] > 1) + 0.2 * rng.normal(size=500)
    x = np.c_[levels, days]
    x = np.c_[(x - x.mean(0)) / x.std(0), np.ones(500)]
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 6, 128)
    arguments: dict[str, Any] = {"penalty": 1e-9, "power": 4, "tol": 1e-3, "throw": False}
    result = tn.fit(net, x, (y - y.mean()) / y.std(), **arguments)
    other = tn.fit(net, x, (y - y.mean()) / y.std(), method="lbfgs", rank=4, max_steps=1000, **arguments)
    assert result.objective <= other.objective * 1.01
    assert result.certificate is not None
    assert float(result.certificate.relative_gap) < 0.5  # that of L-BFGS alone is .98
    assert result.status in (tn.Status.GAP_REMAINS, tn.Status.CERTIFIED)


@pytest.mark.parametrize("steps", [1, 2])
def test_result_is_not_worse_than_its_start(steps: int):
    net, x, y = problem(40, 5, 16, seed=2)
    start = tn.fit(net, x, y, penalty=1e-6, power=4).w
    risk = tn.objective(net, x, y, penalty=3e-7, power=4)
    result = tn.fit(net, x, y, penalty=3e-7, power=4, w_init=start, max_steps=steps, throw=False)
    assert result.objective <= float(risk(start)) * (1 + 1e-12)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_not_called_optimal_at_a_large_gap(dtype: Any):
    net, x, y = jax.tree.map(lambda a: a.astype(dtype), problem(40, 5, 16, seed=2))
    result = tn.fit(net, x, y, penalty=1e-3, power=4, throw=False)
    assert result.certificate is not None
    assert float(result.certificate.relative_gap) <= 0.1 or result.status is not tn.Status.CERTIFIED
    assert float(result.certificate.relative_gap) < 0.5


def test_overflow_is_called_divergence():
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 5, 16)
    net, x, y = jax.tree.map(lambda a: a.astype(jnp.float16), (net, *problem(40, 5, 16, seed=2)[1:]))
    result = tn.fit(net, 30000 * x, y, model="linear", penalty=1e-3, power=2, throw=False)
    assert result.status is tn.Status.DIVERGED


def one_input() -> tuple[tn.TwoLayerNetwork, jax.Array, jax.Array]:
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 1, 16, activation="tanh")
    x = jnp.linspace(-1, 1, 40)[:, None]
    return net, x, x[:, 0] ** 2


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("strength", [1e-6, 1e-10])
def test_separable_labels(strength: float, loss: str, dtype: Any):
    net, x, _ = problem(outputs=1 if loss == "logistic" else 3)
    low = jax.tree.map(lambda a: a.astype(dtype), (net, x))
    y = jnp.where(x[:, 0] ** 2 > x[:, 1] ** 2, 1.0, -1.0).astype(dtype)
    y = y if loss == "logistic" else jnp.argmax(x[:, :3] ** 2, axis=1)
    result = tn.fit(low[0], low[1], y, loss=loss, penalty=strength, power=4)
    assert result.status is tn.Status.CERTIFIED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "full", "method": "dual_newton"},
            "method: expected another method for this model, got 'dual_newton'",
        ),
        ({"model": "randomized", "method": "dual_newton"}, "method: expected another method for this model"),
        ({"model": 3, "method": "dual_newton"}, "method: expected another method for this model"),
        ({"rank": "all"}, "rank: expected 'auto' or an integer ≥ 1, got 'all'"),
        ({"rank": 0}, "rank: expected an integer ≥ 1, got 0"),
        ({"tol": 0.0}, "tol: expected"),
    ],
)
def test_errors(changes: dict[str, Any], message: str):
    net, x, y = problem()
    with pytest.raises(tn.ArgumentError, match=message):
        tn.fit(net, x, y, **{"penalty": 1e-2, **changes})


def test_bounds_of_rounded_weights_are_rounded_outward():
    assert float(_below(1 + 1e-9, jnp.dtype(jnp.float32))) == 1.0
    assert float(_below(1 - 1e-9, jnp.dtype(jnp.float32))) < 1.0
    assert float(-_below(-1 - 1e-9, jnp.dtype(jnp.float32))) > 1.0
