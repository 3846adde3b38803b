"""The sum of the linear and the quadratic term: elimination, certificate and parts (theory 12)."""

# pyright: reportOptionalMemberAccess=false

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn

pytestmark = pytest.mark.usefixtures("x64")


def problem(d: int = 6, n: int = 80, m: int = 24, activation: str = "gelu", outputs: int = 1, **options: Any) -> Any:
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (n, d))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y = jnp.stack([jnp.sqrt(d) * x[:, c] + d * x[:, c] * x[:, c + 1] for c in range(outputs)], axis=1)
    y = y + 0.1 * jax.random.normal(keys[1], y.shape)
    return tn.TwoLayerNetwork.init(keys[2], d, m, outputs, activation=activation, **options), x, y


def objective_of_sum(net: Any, x: Any, y: Any, w: Any, penalty: Any, power: float, weight: Any = None) -> float:
    """From the definitions, without the library's objective."""
    v, quadratic = w
    f = net.term(1, v, x) + net.term(2, quadratic, x) + net.term(0, 0 * net.w0, x)
    p = np.full(len(x), 1 / len(x)) if weight is None else np.asarray(weight) / np.sum(weight)
    traces = jnp.sum(quadratic.reshape(net.width, -1) ** 2, axis=1)
    first, second = penalty[0] * jnp.sum(v**2), penalty[1] * jnp.sum(traces**2) ** (power / 4)
    return float(jnp.sum(p * jnp.sum((f - y) ** 2, axis=1)) + first + second)


def dual_of_sum(net: Any, x: Any, y: Any, nu: Any, penalty: Any, power: float) -> float:
    """`D(ν)` of theory 12 from its definition: conjugates, `‖Σ ν_i φ_i‖²/(4 λ1)`, and eigenvalues of all moment matrices."""
    n = len(x)
    conjugate = float(jnp.sum((n * nu) ** 2 / 4 + n * nu * (y - net.term(0, 0 * net.w0, x)))) / n
    _, pull = jax.vjp(lambda v: net.term(1, v, x), jnp.zeros_like(net.w0))
    linear = float(jnp.sum(pull(nu)[0] ** 2)) / (4 * penalty[0])
    second = net.activation.derivative(2)(x @ net.w0.T) / (2 * net.width**0.5)
    tau = []
    for r in range(net.width):
        coefficient = second[:, r] * jnp.sum(nu * net.a[r], axis=1)
        tau.append(max(float(-np.linalg.eigvalsh(np.asarray((x * coefficient[:, None]).T @ x))[0]), 0.0))
    total = float(np.linalg.norm(tau))
    if power == 4:
        return -conjugate - linear - total**2 / (4 * penalty[1])
    return -conjugate - linear - 0.75 * total * (total / (4 * penalty[1])) ** (1 / 3)


@pytest.mark.parametrize(("power", "outputs", "symmetric"), [(4, 1, True), (8, 2, False)])
def test_certificate_against_the_definitions(power: int, outputs: int, symmetric: bool):
    net, x, y = problem(outputs=outputs, symmetric=symmetric)
    penalty = (1e-3, 1e-5)
    result = tn.fit(net, x, y, model="linear+quadratic", penalty=penalty, power=power)
    assert result.status.name == "CERTIFIED"
    assert float(result.certificate.relative_gap) <= 1e-8
    primal = objective_of_sum(net, x, y, result.w, penalty, power)
    assert result.objective == pytest.approx(primal, rel=1e-12)
    bound = dual_of_sum(net, x, y, result.certificate.dual_vector, penalty, power)
    assert float(result.certificate.dual) == pytest.approx(bound, rel=1e-9)
    assert float(result.certificate.dual) <= bound  # lowered for rounding
    # No displacement near the solution is better.
    for scale in (1e-3, 1e-1):
        noise = [part + scale * jax.random.normal(jax.random.key(3), part.shape) for part in result.w]
        assert objective_of_sum(net, x, y, noise, penalty, power) > primal


def test_both_blocks_are_better_than_either():
    net, x, y = problem()
    both = tn.fit(net, x, y, model=(1, 2), penalty=1e-5, power=(2, 4))
    alone = tn.fit(net, x, y, model="linear", penalty=1e-3, power=2), tn.fit(net, x, y, penalty=1e-5, power=4)
    assert both.objective < min(result.objective for result in alone)
    linear, quadratic = both.predict(x, parts=True)
    np.testing.assert_allclose(linear + quadratic, both.predict(x), rtol=1e-12)
    np.testing.assert_allclose(linear, net.term(1, both.w[0], x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(both.predict(-x, parts=True)[1], quadratic, atol=1e-12)  # σ'' of GELU is even
    with pytest.raises(tn.ArgumentError, match="parts: expected a sum of orders"):
        alone[0].predict(x, parts=True)
    with pytest.raises(tn.ArgumentError, match="self: expected a result of a single order"):
        both.as_network()


def test_penalties_and_powers_as_arrays():
    net, x, y = problem(n=20)
    shared: dict[str, Any] = {"model": (1, 2), "tol": 1e-4}
    pair = tn.fit(net, x, y, penalty=(1e-2, 1e-4), power=(2, 4), **shared)
    for kind in (np.array, jnp.array):
        assert tn.fit(net, x, y, penalty=kind([1e-2, 1e-4]), power=kind([2, 4]), **shared).objective == pair.objective
    (first,) = tn.fit_path(net, x, y, [np.array([1e-2, 1e-4])], power=4, **shared)
    assert first.objective == pair.objective


def test_weights_are_repetitions():
    net, x, y = problem()
    weight = np.ones(80)
    weight[:5], weight[5:10] = 2, 0  # as many rows as before, so that both compile once
    rows = np.repeat(np.arange(80), weight.astype(int))
    weighted = tn.fit(net, x, y, model="linear+quadratic", penalty=1e-4, power=4, sample_weight=weight)
    repeated = tn.fit(net, x[rows], y[rows], model="linear+quadratic", penalty=1e-4, power=4)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-7)
    assert weighted.objective == pytest.approx(
        objective_of_sum(net, x, y, weighted.w, (1e-2, 1e-4), 4, weight), rel=1e-10
    )


def test_a_kernel_as_the_linear_block():
    net, x, y = problem()
    own = tn.fit(net, x, y, model="linear+quadratic", penalty=1e-5, power=4)
    gram = tn.kernels.ntk(net, x)
    given = tn.fit(net, x, y, model="linear+quadratic", penalty=1e-5, power=4, linear_kernel=gram)
    assert given.objective == pytest.approx(own.objective, rel=1e-7)
    assert given.w[0].shape == (80, 1)
    new = x[:7] * 0.9
    cross = tn.kernels.ntk(net, new, x)
    np.testing.assert_allclose(given.predict(new, linear_kernel=cross), own.predict(new), atol=2e-3)
    with pytest.raises(tn.ArgumentError, match="linear_kernel: expected the kernel that the fit used, got None"):
        given.predict(new)
    with pytest.raises(tn.ArgumentError, match="linear_kernel: expected None for the network's own linear block"):
        own.predict(new, linear_kernel=cross)


LOSSES: dict[str, tuple[int, bool]] = {"logistic": (1, True), "huber": (2, False), "softmax": (3, True)}


def labels(y: Any, loss: str) -> Any:
    """The targets of `problem` in the form of a loss."""
    return {"logistic": jnp.where(y > 0, 1.0, -1.0), "softmax": jnp.argmax(y, axis=1)}.get(loss, y)


def value_of(loss: str, f: Any, y: Any) -> Any:
    """Mean losses, from the definitions."""
    if loss == "logistic":
        return jnp.mean(jnp.sum(jnp.log1p(jnp.exp(-y * f)), axis=1))
    if loss == "softmax":
        return jnp.mean(jax.nn.logsumexp(f, axis=1) - f[jnp.arange(len(y)), y])
    size = jnp.abs(f - y)
    return jnp.mean(jnp.sum(jnp.where(size <= 1, size**2 / 2, size - 0.5), axis=1))


@pytest.mark.parametrize(("loss", "rows"), [("logistic", 60), ("logistic", 310), ("huber", 60), ("softmax", 60)])
def test_other_losses(loss: str, rows: int):
    """A gap of 1e-8, a value from the definitions that is stationary in both blocks, and `certify` of the pair agrees."""
    outputs, symmetric = LOSSES[loss]
    net, x, y = problem(n=rows, m=16, outputs=outputs, symmetric=symmetric)
    y, (first, second) = labels(y, loss), (1e-3, 1e-5)
    result = tn.fit(net, x, y, model="linear+quadratic", loss=loss, penalty=(first, second), power=4)
    assert result.status.name == "CERTIFIED"

    def definition(v: Any, w: Any) -> Any:
        f = net.term(1, v, x) + net.term(2, w, x) + net.term(0, 0 * net.w0, x)
        squares = jnp.sum(w.reshape(net.width, -1) ** 2, axis=1)
        return value_of(loss, f, y) + first * jnp.sum(v**2) + second * jnp.sum(squares**2)

    assert result.objective == pytest.approx(float(definition(*result.w)), rel=1e-12)
    noise = [0.1 * jax.random.normal(jax.random.key(5), part.shape) for part in result.w]
    slopes, elsewhere = (jax.grad(definition, (0, 1))(*point) for point in (result.w, noise))
    for slope, other in zip(slopes, elsewhere, strict=True):
        assert float(jnp.linalg.norm(slope)) <= 1e-3 * float(jnp.linalg.norm(other))
    again = tn.certify(
        net, result.w, x, y, model=(1, 2), loss=loss, penalty=(first, second), power=4,
        dual_vector=result.certificate.dual_vector,
    )  # fmt: skip
    assert float(again.primal) == pytest.approx(result.objective, rel=1e-12)
    assert float(again.relative_gap) <= 1e-8
    # The dual value is a lower bound for every pair, and another dual vector certifies less.
    assert float(again.dual) <= min(float(definition(*noise)), float(definition(0 * result.w[0], result.w[1])))
    worse = tn.certify(net, result.w, x, y, model=(1, 2), loss=loss, penalty=(first, second), power=4,
                       dual_vector=result.certificate.dual_vector[::-1])  # fmt: skip
    assert float(worse.relative_gap) > 1e-3


def test_a_weak_quadratic_block_leaves_logistic_ridge_regression():
    """Where the quadratic block is too expensive, the sum is the linear model."""
    net, x, y = problem(n=50)
    signs = labels(y, "logistic")
    both = tn.fit(net, x, signs, model=(1, 2), loss="logistic", penalty=(1e-3, 1e6), power=4)
    alone = tn.fit(net, x, signs, model="linear", loss="logistic", penalty=1e-3, power=2)
    assert both.objective == pytest.approx(alone.objective, rel=1e-6)


def test_more_examples_than_fit_a_dense_newton_matrix():
    net, x, y = problem(n=310)
    path = tn.fit_path(net, x, y, (1e-4, 1e-5), model="linear+quadratic", power=4)
    for penalty, result in zip((1e-4, 1e-5), path, strict=True):
        assert float(result.certificate.relative_gap) <= 1e-8
        assert result.objective == pytest.approx(
            objective_of_sum(net, x, y, result.w, (100 * penalty, penalty), 4), rel=1e-10
        )


def test_single_precision():
    with jax.enable_x64(False):
        net, x, y = problem(n=40)
        result = tn.fit(net, x, y, model="linear+quadratic", penalty=1e-3, power=4)
        assert result.w[0].dtype == jnp.float32
        assert -1e-5 < float(result.certificate.relative_gap) < 1e-2


NET, X, Y = problem(n=20)
BAD = {
    "order twice": ({"model": (1, 1, 2)}, r"model: expected each order once, got \(1, 1, 2\)"),
    "descending": ({"model": (2, 1)}, r"model: expected ascending orders, got \(2, 1\)\. Penalties, powers and disp"),
    "one order": ({"model": (2,)}, r"model: expected at least two orders, got \(2,\)"),
    "penalties": ({"penalty": (1.0, 1.0, 1.0)}, "penalty: expected a number or a pair, got 3 numbers"),
    "array of penalties": ({"penalty": np.ones(3)}, "penalty: expected a number or a pair, got 3 numbers"),
    "no linear penalty": ({"penalty": (0.0, 1.0)}, r"penalty\[0\]: expected a finite number > 0, got 0"),
    "power": ({"power": (3, 4)}, r"power: expected a number or a pair \(2, p\)"),
    "loss": ({"loss": "hubert"}, "loss: expected one of .*got 'hubert'. Did you mean 'huber'"),
    "method": ({"method": "lbfgs"}, "method: expected 'auto' or 'dual_newton'.*stalls far from the optimum"),
    "no pair to certify": ({"certify": X}, r"w: expected a pair \(V, W\) for model='linear[+]quadratic'"),
    "rank": ({"rank": 1}, "rank: expected 'auto' for model='linear[+]quadratic'"),
    "kernel shape": ({"linear_kernel": np.eye(3)}, "linear_kernel: expected shape"),
    "kernel not symmetric": (
        {"linear_kernel": np.triu(np.ones((20, 20)))},
        "linear_kernel: expected a symmetric matrix",
    ),
    "kernel indefinite": ({"linear_kernel": -np.eye(20)}, "linear_kernel: expected a positive semidefinite matrix"),
    "kernel of one order": (
        {"model": "quadratic", "linear_kernel": np.eye(20)},
        "linear_kernel: expected None except for",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str):
    options, message = dict(BAD[case][0]), BAD[case][1]
    shared: dict[str, Any] = {"model": "linear+quadratic", "penalty": 1.0, "power": 4}
    before = [options.pop("certify")] if "certify" in options else []
    call: Any = tn.certify if before else tn.fit
    with pytest.raises(tn.ArgumentError, match=message):
        call(NET, *before, X, Y, **(shared | options))
