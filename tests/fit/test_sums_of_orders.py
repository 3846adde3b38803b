"""Sums of any orders: elimination of the linear block, stationarity from the definitions, parts; the objective of a sum."""

# pyright: reportOptionalMemberAccess=false

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.objectives import ReducedObjective, blocks_objective, gram_of

pytestmark = pytest.mark.usefixtures("x64")

PENALTIES = {1: 1e-2, 2: 1e-4, 3: 1e-5}
POWERS = {1: 2, 2: 4, 3: 8}


def problem(n: int = 40, outputs: int = 1, **options: Any) -> Any:
    """A dense linear part, a product of two and a product of three coordinates, with noise."""
    keys, d = jax.random.split(jax.random.key(0), 3), 5
    x = jax.random.normal(keys[0], (n, d))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    z = d**0.5 * x
    y = jnp.stack([z.sum(1) / d**0.5 + z[:, c] * z[:, 1 + c] + z[:, c] * z[:, 2] * z[:, 3] for c in range(outputs)], 1)
    net = tn.TwoLayerNetwork.init(keys[2], d, 16, outputs, activation="gelu", **options)
    return net, x, y + 0.1 * jax.random.normal(keys[1], y.shape)


def numbers(orders: tuple[int, ...]) -> dict[str, Any]:
    return {"penalty": tuple(PENALTIES[k] for k in orders), "power": tuple(POWERS[k] for k in orders)}


def value_of(
    net: Any, x: Any, y: Any, w: Any, orders: tuple[int, ...], weight: Any = None, loss: str = "squared"
) -> Any:
    """From the definitions, without the library's objective."""
    f = net.term(0, 0 * net.w0, x) + sum(net.term(k, block, x) for k, block in zip(orders, w, strict=True))
    p = jnp.full(len(x), 1 / len(x)) if weight is None else weight / jnp.sum(weight)
    values = jnp.sum((f - y) ** 2, 1) if loss == "squared" else jnp.sum(jnp.log1p(jnp.exp(-y * f)), 1)
    norms = [jnp.sum(jnp.sum(block**2, 1) ** k) for k, block in zip(orders, w, strict=True)]
    return p @ values + sum(PENALTIES[k] * s ** (POWERS[k] / (2 * k)) for k, s in zip(orders, norms, strict=True))


@pytest.mark.parametrize(("outputs", "symmetric"), [(1, True), (2, False)])
@pytest.mark.parametrize("orders", [(1, 3), (2, 3), (1, 2, 3)])
def test_stationary_from_the_definitions(orders: tuple[int, ...], outputs: int, symmetric: bool):
    net, x, y = problem(outputs=outputs, symmetric=symmetric)
    result = tn.fit(net, x, y, model=orders, tol=1e-6, **numbers(orders))
    assert result.status is tn.Status.STATIONARY
    assert "no certificate of global optimality" in str(result)
    assert (result.certificate, result.orders) == (None, orders)
    assert [block.shape for block in result.w] == [net.w0.shape] * len(orders)
    value, slopes = jax.value_and_grad(lambda w: value_of(net, x, y, w, orders))(result.w)
    assert result.objective == pytest.approx(float(value), rel=1e-12)
    assert result.objective < 0.9 * float(value_of(net, x, y, [0 * net.w0] * len(orders), orders))
    size = max(float(jnp.linalg.norm(block)) for block in result.w)
    for k, slope in zip(orders, slopes, strict=True):
        assert float(jnp.linalg.norm(slope)) * size <= (1e-12 if k == 1 else 1e-5) * result.objective
    parts = result.predict(x, parts=True)
    assert len(parts) == len(orders)
    np.testing.assert_allclose(sum(parts), result.predict(x), rtol=1e-12)
    np.testing.assert_allclose(parts[0], net.term(orders[0], result.w[0], x), rtol=1e-9, atol=1e-12)


def test_each_order_helps():
    """The target has parts of degrees 1, 2 and 3: at equal penalties, a larger set has a smaller optimum."""
    net, x, y = problem()
    pair = tn.fit(net, x, y, model=(1, 2), **numbers((1, 2))).objective
    triple = tn.fit(net, x, y, model=(1, 2, 3), tol=1e-5, **numbers((1, 2, 3))).objective
    other = tn.fit(net, x, y, model=(1, 3), tol=1e-5, **numbers((1, 3))).objective
    assert triple < min(pair, other)


@pytest.mark.parametrize("weighted", [False, True])
def test_elimination_is_the_minimum_over_the_linear_block(weighted: bool):
    """Against ridge regression on the explicit features of the linear term, at a fixed cubic block."""
    net, x, y = problem(outputs=2)
    weight = jnp.arange(40.0) % 3 if weighted else jnp.ones(40)  # some are 0
    whole = blocks_objective(net, x, y, (1, 3), loss="squared", sample_weight=weight, **numbers((1, 3)))
    reduced = ReducedObjective.of(whole, gram_of(net, x, None, y.dtype))
    w = 0.3 * jax.random.normal(jax.random.key(5), net.w0.shape)
    features = jax.jacobian(lambda v: net.term(1, v, x))(net.w0).reshape(80, -1)
    rows = jnp.repeat(jnp.sqrt(weight / weight.sum()), 2)
    residual = (y - net.term(3, w, x)).reshape(-1)
    stacked = jnp.concatenate([rows[:, None] * features, PENALTIES[1] ** 0.5 * jnp.eye(features.shape[1])])
    wanted = jnp.concatenate([rows * residual, jnp.zeros(features.shape[1])])
    v = jnp.linalg.lstsq(stacked, wanted)[0].reshape(net.w0.shape)
    np.testing.assert_allclose(reduced.linear_block(reduced.dual_vector(w[None])), v, rtol=1e-6, atol=1e-9)
    assert float(reduced(w[None])) == pytest.approx(float(value_of(net, x, y, (v, w), (1, 3), weight)), rel=1e-10)
    slope = jax.grad(lambda w: value_of(net, x, y, (v, w), (1, 3), weight))(w)
    np.testing.assert_allclose(reduced.value_and_gradient(w[None])[1][0], slope, rtol=1e-6, atol=1e-9)


def test_the_reduced_path_agrees_with_the_certified_one():
    """For orders 1 and 2 the eliminated objective has the same minimum; its value is above the certified bound."""
    net, x, y = problem()
    strong: dict[str, Any] = {"penalty": (1e-2, 1e-3), "power": (2, 4)}  # the optimum has rank one
    certified = tn.fit(net, x, y, model=(1, 2), **strong)
    whole = blocks_objective(net, x, y, (1, 2), loss="squared", **strong)
    reduced = ReducedObjective.of(whole, gram_of(net, x, None, y.dtype))
    v, w = certified.w
    assert w.shape == net.w0.shape
    assert float(reduced(w[None])) == pytest.approx(certified.objective, rel=1e-9)
    np.testing.assert_allclose(reduced.linear_block(reduced.dual_vector(w[None])), v, atol=1e-5)
    other = reduced.start(jax.random.key(1))
    assert float(reduced(other)) >= float(certified.certificate.dual)


def test_a_kernel_and_weights():
    net, x, y = problem()
    own = tn.fit(net, x, y, model=(1, 3), tol=1e-6, **numbers((1, 3)))
    gram = tn.kernels.ntk(net, x)
    given = tn.fit(net, x, y, model=(1, 3), tol=1e-6, linear_kernel=gram, **numbers((1, 3)))
    assert given.w[0].shape == (40, 1)
    assert given.objective == pytest.approx(own.objective, rel=1e-9)
    new = 0.9 * x[:7]
    np.testing.assert_allclose(
        given.predict(new, linear_kernel=tn.kernels.ntk(net, new, x)), own.predict(new), atol=1e-4
    )
    weight = np.ones(40)
    weight[:5], weight[5:10] = 2, 0
    rows = np.repeat(np.arange(40), weight.astype(int))
    weighted = tn.fit(net, x, y, model=(1, 3), tol=1e-6, sample_weight=weight, **numbers((1, 3)))
    repeated = tn.fit(net, x[rows], y[rows], model=(1, 3), tol=1e-6, **numbers((1, 3)))
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-7)


SQUARED: Any = type(tn.losses.get("squared"))


@dataclasses.dataclass(frozen=True)
class Quadratic(SQUARED):
    """`ℓ(v, y) = (v - 2y)²/2 + 3`: neither the curvature, the minimum nor its place is that of the squared loss."""

    @property
    def name(self) -> str:
        return "quadratic_elsewhere"

    @property
    def curvature_bound(self) -> float:
        return 1.0

    def value(self, v: Any, y: Any) -> Any:
        return jnp.sum((v - 2 * y) ** 2 / 2 + 3, axis=1)

    def derivative(self, v: Any, y: Any) -> Any:
        return v - 2 * y

    def hessian_product(self, v: Any, y: Any, u: Any) -> Any:
        return u


@dataclasses.dataclass(frozen=True)
class Flat(Quadratic):
    """No quadratic loss by its attributes: nothing is eliminated."""

    quadratic: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "not_quadratic"


def test_the_linear_block_is_eliminated_for_every_quadratic_loss():
    """The half of the squared loss at `2y`, plus 3 per output: at half the penalty, the same optimum."""
    net, x, y = problem(outputs=2)
    weight = np.arange(40.0) % 3
    strong, options = numbers((1, 3)), {"model": (1, 3), "tol": 1e-9, "sample_weight": weight}
    half: Any = {"penalty": tuple(value / 2 for value in strong["penalty"]), "power": strong["power"]}
    squared = tn.fit(net, x, 2 * y, **options, **strong)
    other = tn.fit(net, x, y, loss=Quadratic(), **options, **half)
    assert other.objective == pytest.approx(squared.objective / 2 + 6, rel=1e-12)
    for block, expected in zip(other.w, squared.w, strict=True):
        np.testing.assert_allclose(block, expected, rtol=1e-4, atol=1e-6)
    risk = tn.objective(net, x, y, model=(1, 3), loss=Quadratic(), sample_weight=weight, **half)
    slopes = risk.value_and_gradient(other.w)[1]
    assert float(jnp.linalg.norm(slopes[0])) < 1e-12  # eliminated, thus exact
    single, x1, y1 = problem()
    gram = tn.kernels.ntk(single, x1)
    given = tn.fit(single, x1, y1, loss=Quadratic(), model=(1, 3), linear_kernel=gram, tol=1e-6, **half)
    own = tn.fit(single, x1, y1, loss=Quadratic(), model=(1, 3), tol=1e-6, **half)
    assert given.objective == pytest.approx(own.objective, rel=1e-9)
    with pytest.raises(tn.ArgumentError, match="linear_kernel: expected None except for a quadratic loss and orders"):
        tn.fit(single, x1, y1, loss=Flat(), model=(1, 3), linear_kernel=gram, **half)


def test_other_losses_methods_paths_and_starts():
    net, x, y = problem()
    signs = jnp.where(y > 0, 1.0, -1.0)
    result = tn.fit(net, x, signs, model=(1, 3), loss="logistic", tol=1e-4, **numbers((1, 3)))
    value = value_of(net, x, signs, result.w, (1, 3), loss="logistic")
    assert result.objective == pytest.approx(float(value), rel=1e-12)
    assert result.status is tn.Status.STATIONARY
    second = tn.fit(net, x, y, model=(1, 3), tol=1e-6, method="negative_curvature", **numbers((1, 3)))
    assert second.status is tn.Status.SECOND_ORDER
    options: dict[str, Any] = {"model": (1, 3), "tol": 1e-6, "power": (2, 8)}
    first, last = tn.fit_path(net, x, y, [(1e-1, 1e-4), numbers((1, 3))["penalty"]], **options)
    assert first.objective > last.objective
    again = tn.fit(net, x, y, w_init=last.w, penalty=numbers((1, 3))["penalty"], **options)
    assert again.objective <= last.objective * (1 + 1e-12)
    assert again.steps <= last.steps


def test_one_number_for_all_orders():
    net, x, y = problem()
    one = tn.fit(net, x, y, model=(1, 2, 3), penalty=1e-4, power=8, tol=1e-3)
    three = tn.fit(net, x, y, model=(1, 2, 3), penalty=(1e-2, 1e-4, 1e-4), power=(2, 8, 8), tol=1e-3)
    assert one.objective == three.objective


def test_single_precision():
    with jax.enable_x64(False):
        net, x, y = problem()
        result = tn.fit(net, x, y, model=(1, 3), **numbers((1, 3)))
        assert result.w[0].dtype == jnp.float32
        assert not result.status.is_failure


@pytest.mark.parametrize("orders", [(1, 2), (1, 3), (1, 2, 3)])
def test_the_objective_of_a_sum_takes_what_fit_returns(orders: tuple[int, ...]):
    net, x, y = problem(symmetric=False)
    result = tn.fit(net, x, y, model=orders, tol=1e-6, **numbers(orders))
    risk = tn.objective(net, x, y, model=orders, **numbers(orders))
    assert float(risk(result.w)) == pytest.approx(result.objective, rel=1e-10)
    w = tuple(0.3 * jax.random.normal(jax.random.key(k), net.w0.shape) for k in orders)
    truth, slopes = jax.value_and_grad(lambda w: value_of(net, x, y, w, orders))(w)
    value, gradient = risk.value_and_gradient(w)
    assert float(value) == pytest.approx(float(truth), rel=1e-12)
    for other in (gradient, jax.jit(jax.grad(risk))(w), jax.grad(risk)(jnp.stack(w))):
        for slope, expected in zip(other, slopes, strict=True):
            np.testing.assert_allclose(slope, expected, rtol=1e-9, atol=1e-12)


def test_the_objective_of_a_sum_by_name():
    net, x, y = problem()
    named, numbered = (tn.objective(net, x, y, model=m, penalty=1e-4, power=4) for m in ("linear+quadratic", (1, 2)))
    w = jnp.stack([net.w0, net.w0])
    assert float(named(w)) == float(numbered(w))
    assert tn.stationarity(named, 0 * w, key=jax.random.key(0)).min_eigenvalue < 0  # W = 0 is a saddle
    pair = tn.fit(net, x, y, model=(1, 2), penalty=1e-6, power=4).w  # more than one copy of a unit
    assert pair[1].ndim == 3
    assert float(named(pair)) > 0


def test_a_fit_with_a_kernel_is_certified_again():
    net, x, y = problem()
    gram = tn.kernels.infinite_width_ntk("gelu", x)
    result = tn.fit(net, x, y, model=(1, 2), linear_kernel=gram, **numbers((1, 2)))
    shared: dict[str, Any] = {"model": (1, 2), "linear_kernel": gram, **numbers((1, 2))}
    again = tn.certify(net, result.w, x, y, dual_vector=result.certificate.dual_vector, **shared)
    assert float(again.primal) == pytest.approx(result.objective, rel=1e-12)
    assert float(again.relative_gap) <= 1e-8
    elsewhere = tn.certify(net, (0 * result.w[0], result.w[1]), x, y, **shared)
    assert float(elsewhere.dual) <= result.objective < float(elsewhere.primal)
    with pytest.raises(tn.ArgumentError, match=r"w\[0\]: expected shape \(16, 5\)"):
        tn.certify(net, result.w, x, y, model=(1, 2), **numbers((1, 2)))
    with pytest.raises(tn.ArgumentError, match=r"linear_kernel: expected None except for model='linear[+]quadratic'"):
        tn.certify(net, net.w0, x, y, penalty=1.0, linear_kernel=gram)


NET, X, Y = problem(n=20)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "descending": ({"model": (3, 1)}, r"model: expected ascending orders, got \(3, 1\)"),
    "order zero": ({"model": (0, 3)}, "model: expected an integer ≥ 1, got 0"),
    "penalties": ({"penalty": (1.0, 1.0, 1.0)}, r"penalty: expected a number or a pair, got 3.*\(λ1, λ3\)"),
    "three penalties": ({"model": (1, 2, 3), "penalty": (1.0, 1.0)}, "penalty: expected a number or 3 numbers, got 2"),
    "no penalty": ({"penalty": (1.0, 0.0)}, r"penalty\[1\]: expected a finite number > 0"),
    "linear power": ({"power": (4, 8)}, r"power: expected a number or a pair \(2, p\), got \(4, 8\)"),
    "powers": ({"model": (2, 3), "power": (4, 6, 8)}, r"power: expected a number or a pair \(p, p\), got \(4, 6, 8\)"),
    "low power": ({"power": 4}, "power: expected a finite number ≥ 6 for a model of order 3"),
    "method": ({"method": "dual_newton"}, r"method: expected 'auto', 'lbfgs' or 'negative_curvature' for model=\(1, 3\)"),
    "rank": ({"rank": 2}, r"rank: expected 'auto' or 1 for model=\(1, 3\), got 2. Use a wider network"),
    "kernel of another loss": ({"loss": "huber", "linear_kernel": np.eye(20)}, "linear_kernel: expected None except for a q"),
    "kernel without order 1": ({"model": (2, 3), "linear_kernel": np.eye(20)}, "linear_kernel: expected None except for a q"),
    "start": ({"w_init": NET.w0}, r"w: expected a tuple of 2 displacements, for the orders \(1, 3\)"),
    "copies": ({"w_init": (NET.w0, jnp.stack([NET.w0] * 2, 1))}, r"w_init: expected blocks of shape \(m, d\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str):
    options, message = BAD[case]
    with pytest.raises(tn.ArgumentError, match=message):
        tn.fit(NET, X, Y, **({"model": (1, 3), "penalty": 1.0} | options))


def test_sums_of_other_orders_have_no_certificate():
    with pytest.raises(
        tn.ArgumentError, match=r"model: expected \(1, 2\), the only sum with a certificate, got \(1, 3\)"
    ):
        tn.certify(NET, (NET.w0, NET.w0), X, Y, model=(1, 3), penalty=1.0)


def test_max_steps_is_a_failure():
    with pytest.raises(tn.FitError, match="max_steps was reached"):
        tn.fit(NET, X, Y, model=(1, 3), penalty=1e-4, max_steps=2)
