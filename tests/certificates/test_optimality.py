"""Certificates against independent solvers: CVXPY on the lifted problem, the closed form of ridge regression."""

from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.certificates import certify_objective


def draw(n: int, d: int, m: int, outputs: int = 1, seed: int = 0, symmetric: bool = True, dtype: Any = jnp.float64):
    """The noisy product of theory 5."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = d * x[:, :outputs] * np.roll(x, -1, axis=1)[:, :outputs] + 0.1 * rng.normal(size=(n, outputs))
    net = tn.TwoLayerNetwork.init(jax.random.key(seed), d, m, outputs, symmetric=symmetric, dtype=dtype)
    return net, jnp.asarray(x, dtype), jnp.asarray(y, dtype)


def lifted_optimum(net: tn.TwoLayerNetwork, x: Any, y: Any, loss: str, strength: float, power: int):
    """The minimum over moment matrices `Θ_r ⪰ 0`, built from the definition and solved by Clarabel."""
    x, a, w0 = (np.asarray(array) for array in (x, net.a, net.w0))
    n, d = x.shape
    second = np.maximum(x @ w0.T, 0)  # σ'' of the cubic ReLU
    moments: list[Any] = [cp.Variable((d, d), PSD=True) for _ in range(net.width)]
    pairs = (x[:, :, None] * x[:, None, :]).reshape(n, -1)
    units = cp.vstack([pairs @ cp.vec(theta, order="C") for theta in moments])
    weights = second.T / (2 * np.sqrt(net.width))
    outputs = cp.vstack([a[:, c] @ cp.multiply(weights, units) for c in range(a.shape[1])]).T
    y = np.asarray(y)
    if loss == "squared":
        risk = cp.sum_squares(outputs - y)
    elif loss == "huber":
        risk = cp.sum(cp.huber(outputs - y, 1)) / 2
    elif loss == "logistic":
        risk = cp.sum(cp.logistic(-cp.multiply(y, outputs)))
    else:
        risk = cp.sum(cp.log_sum_exp(outputs, axis=1)) - cp.sum(cp.multiply(np.eye(a.shape[1])[y], outputs))
    traces = cp.hstack([cp.trace(theta) for theta in moments])
    problem = cp.Problem(cp.Minimize(risk / n + strength * cp.power(cp.norm(traces, 2), power // 2)))
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == cp.OPTIMAL
    return float(np.asarray(problem.value))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("loss", "power", "outputs"),
    [("squared", 8, 1), ("squared", 4, 1), ("logistic", 8, 1), ("softmax", 4, 3), ("huber", 4, 1)],
)
def test_lifted_problem(loss: str, power: int, outputs: int):
    """Clarabel's optimum lies between the dual and the primal value of `fit`."""
    net, x, y = draw(20, 3, 8, outputs)
    y = {"logistic": jnp.sign(y), "softmax": jnp.argmax(y, axis=1)}.get(loss, y)
    result = tn.fit(net, x, y, loss=loss, penalty=1e-3, power=power, rank=3, throw=False)
    optimum = lifted_optimum(net, x, y, loss, 1e-3, power)
    assert result.certificate is not None
    assert float(result.certificate.dual) <= optimum * (1 + 1e-5)
    assert float(result.certificate.primal) >= optimum * (1 - 1e-5)
    assert float(result.certificate.relative_gap) <= 1e-5


def ridge(net: tn.TwoLayerNetwork, x: Any, y: Any, strength: float):
    """The closed form: displacement and optimum of the linear model with `p = 2`."""
    x, y, w0, a = (np.asarray(array) for array in (x, y, net.w0, net.a))
    slopes = np.maximum(x @ w0.T, 0) ** 2 / 2  # σ' of the cubic ReLU
    features = np.einsum("ir,r,id->ird", slopes, a[:, 0], x).reshape(len(x), -1) / np.sqrt(net.width)
    gram = features.T @ features / len(x) + strength * np.eye(features.shape[1])
    w = np.linalg.solve(gram, features.T @ y[:, 0] / len(x))
    return w.reshape(w0.shape), np.mean((features @ w - y[:, 0]) ** 2) + strength * w @ w


@pytest.mark.usefixtures("x64")
class TestLinearModel:
    @pytest.mark.parametrize("strength", [1e-4, 1e-2, 10.0])
    def test_certificate_at_the_ridge_solution(self, strength: float):
        net, x, y = draw(40, 4, 16)
        w, optimum = ridge(net, x, y, strength)
        certificate = tn.certify(net, jnp.asarray(w), x, y, model="linear", penalty=strength, power=2)
        assert float(certificate.primal) == pytest.approx(optimum, rel=1e-12)
        assert float(certificate.dual) == pytest.approx(optimum, rel=1e-10)
        assert float(certificate.dual) <= optimum

    def test_fit_reaches_it(self):
        net, x, y = draw(40, 4, 16)
        w, optimum = ridge(net, x, y, 1e-3)
        result = tn.fit(net, x, y, model="linear", penalty=1e-3, power=2)
        assert result.status is tn.Status.CERTIFIED
        assert result.objective == pytest.approx(optimum, rel=1e-8)
        np.testing.assert_allclose(result.w, w, atol=1e-3 * float(np.max(np.abs(w))))

    @pytest.mark.parametrize("power", [2, 3, 6])
    @pytest.mark.parametrize("strength", [1e-4, 1.0])
    def test_no_displacement_beats_the_dual(self, power: int, strength: float):
        """The ridge solution for many strengths, scaled, is a path through the optimum of every power."""
        net, x, y = draw(40, 4, 16)
        risk = tn.objective(net, x, y, model="linear", penalty=strength, power=power)
        path = np.stack([ridge(net, x, y, s)[0] for s in np.logspace(-6, 3, 60)])
        primal = jax.vmap(risk)(jnp.asarray(path))
        dual = jax.vmap(lambda w: certify_objective(risk, w).dual)(jnp.asarray(path))
        assert float(jnp.max(dual)) <= float(jnp.min(primal))
        assert float(jnp.max(dual)) >= 0.95 * float(jnp.min(primal))

    def test_copies_are_refused(self):
        """Copies of a linear unit are equivalent to one unit under a weaker penalty, for which the bound does not hold."""
        net, x, y = draw(40, 4, 16)
        with pytest.raises(tn.ArgumentError, match=r"w: expected shape \(m, d\)"):
            tn.certify(net, jnp.ones((16, 2, 4)), x, y, model="linear", penalty=1e-3, power=2)


@pytest.mark.usefixtures("x64")
def test_dual_vector_of_higher_rank_proves_more():
    """Theory 5, m = 32, λ = 1e-6, p = 4: a rank-one solution is closer to the optimum than its own slopes certify."""
    net, x, y = draw(60, 6, 32)
    arguments: dict[str, Any] = {"penalty": 1e-6, "power": 4}
    single = tn.fit(net, x, y, rank=1, **arguments, throw=False)
    double = tn.fit(net, x, y, rank=2, **arguments, throw=False)
    assert single.certificate is not None
    assert double.certificate is not None
    tighter = tn.certify(net, single.w, x, y, dual_vector=double.certificate.dual_vector, **arguments)
    assert float(double.certificate.relative_gap) <= 1e-5
    assert float(tighter.dual) <= float(double.certificate.primal) <= float(single.certificate.primal)
    assert float(tighter.gap) <= float(single.certificate.gap)
    assert float(tighter.gap) < 0.2 * float(single.certificate.gap)


@pytest.mark.usefixtures("x64")
def test_a_wrong_displacement_has_a_large_and_true_gap():
    net, x, y = draw(40, 4, 16)
    best = tn.fit(net, x, y, penalty=1e-3).objective
    for seed, scale in enumerate((1e-2, 1.0, 30.0)):
        w = scale * jax.random.normal(jax.random.key(seed), (16, 4))
        certificate = tn.certify(net, w, x, y, penalty=1e-3)
        assert float(certificate.primal) == pytest.approx(float(tn.objective(net, x, y, penalty=1e-3)(w)), rel=1e-12)
        assert float(certificate.gap) >= float(certificate.primal) - best > 0.05 * best
        assert float(certificate.relative_gap) == pytest.approx(float(certificate.gap / certificate.primal), rel=1e-12)
        assert "of the global minimum" in str(certificate)


def test_single_precision():
    """The float32 bound is below the optimum known in float64, and close to it."""
    net, x, y = draw(40, 4, 16, dtype=jnp.float32)
    result = tn.fit(net, x, y, penalty=1e-3, throw=False)
    assert result.certificate is not None
    assert result.w.dtype == result.certificate.dual.dtype == jnp.float32
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(array), jnp.float64) for array in (net.w0, net.a, x, y, result.w)]
        double = tn.TwoLayerNetwork(wide[0], wide[1], net.activation, True)
        reference = tn.fit(double, wide[2], wide[3], penalty=1e-3).objective
        primal = float(tn.objective(double, wide[2], wide[3], penalty=1e-3)(wide[4]))
    assert float(result.certificate.dual) <= reference * (1 - 1e-8)  # what the reference is certified to
    assert primal >= reference * (1 - 1e-8)
    assert float(result.certificate.relative_gap) <= 2e-3


@pytest.mark.usefixtures("x64")
def test_gap_of_the_randomized_network_falls_with_the_width():
    gaps = []
    for width in (64, 1024):
        net, x, y = draw(60, 6, width)
        result = tn.fit(net, x, y, model="randomized", penalty=1e-3, tol=1e-6, max_steps=400, throw=False)
        assert result.certificate is not None
        gaps.append(float(result.certificate.relative_gap))
    assert 0 <= gaps[1] < 0.8 * gaps[0]


@pytest.mark.usefixtures("x64")
def test_jit_and_vmap():
    net, x, y = draw(40, 4, 16)
    ws = jax.random.normal(jax.random.key(3), (3, 16, 4))
    expected = [tn.certify(net, w, x, y, penalty=1e-3) for w in ws]
    risk = tn.objective(net, x, y, penalty=1e-3)
    mapped = jax.vmap(lambda w: certify_objective(risk, w))(ws)
    jitted = jax.jit(lambda net, w, x, y, strength: tn.certify(net, w, x, y, penalty=strength))
    for index, one in enumerate(expected):
        assert float(mapped.dual[index]) == pytest.approx(float(one.dual), rel=1e-10)
        assert float(mapped.primal[index]) == pytest.approx(float(one.primal), rel=1e-12)
        found = jitted(net, ws[index], x, y, 1e-3)
        assert float(found.dual) == pytest.approx(float(one.dual), rel=1e-10)
        np.testing.assert_allclose(found.dual_vector, one.dual_vector, rtol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("symmetric", [True, False])
def test_chunks(symmetric: bool):
    net, x, y = draw(40, 4, 16, symmetric=symmetric)
    whole = tn.certify(net, 0.3 * net.w0, x, y, penalty=1e-3)
    parts = tn.certify(net, 0.3 * net.w0, x, y, penalty=1e-3, chunk_size=7)
    assert float(parts.dual) == pytest.approx(float(whole.dual), rel=1e-10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": jnp.ones((15, 4))}, r"w: expected shape \(16, 4\), got shape \(15, 4\)"),
        ({"w": jnp.full((16, 4), jnp.nan)}, "w: expected finite numbers, got 64 NaN or infinite"),
        ({"x": jnp.ones((40, 3))}, r"x: expected shape \(n, 4\), got shape \(40, 3\)"),
        ({"y": jnp.ones((39, 1))}, r"y: expected shape \(40, 1\), got shape \(39, 1\)"),
        ({"loss": "logistic"}, "y: expected labels"),
        ({"model": "full"}, "model: expected one of 'linear', 'quadratic', 'randomized', got 'full'"),
        ({"power": 3}, "power: expected a finite number ≥ 4"),
        ({"penalty": 0.0}, "penalty: expected a finite number > 0"),
        ({"dual_vector": jnp.ones((40, 2))}, r"dual_vector: expected shape \(40, 1\), got shape \(40, 2\)"),
        ({"model": "randomized", "w": jnp.ones((16, 2, 4))}, r"w: expected shape \(16, 4\)"),
    ],
)
def test_errors(change: dict[str, Any], message: str):
    net, x, y = draw(40, 4, 16, dtype=jnp.float32)
    arguments = {"net": net, "w": jnp.ones((16, 4)), "x": x, "y": y, "penalty": 1e-3} | change
    with pytest.raises(tn.ArgumentError, match=message):
        tn.certify(**arguments)


def test_an_activation_without_bounded_derivatives_is_refused():
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 8, activation="exp")
    with pytest.raises(
        tn.ArgumentError, match=r"model: expected an activation with a bounded third or fourth derivative.* got exp"
    ):
        tn.certify(net, 0.1 * net.w0, jnp.ones((5, 3)), jnp.ones(5), model="randomized", penalty=1.0)
