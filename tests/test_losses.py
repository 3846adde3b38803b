"""Losses: derivatives against automatic ones, conjugates against brute force, domains, targets."""

import ast
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import optimize

import taylornets as tn
from taylornets.losses import Huber, Logistic, Loss, Softmax, Squared

LOSSES = [*map(tn.losses.get, tn.losses.names()), Huber(delta=0.3)]
IDS = [*tn.losses.names(), "huber(0.3)"]
OUTPUTS = 3
Pairs = list[tuple[Any, Any]]
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def _targets(loss: Loss, n: int, dtype: str = "float64") -> jax.Array:
    rng = np.random.default_rng(3)
    if loss.classifies and loss.separable:
        return jnp.asarray(rng.choice([-1.0, 1.0], (n, OUTPUTS)), dtype)
    if loss.classifies:
        hard = np.eye(OUTPUTS)[rng.integers(0, OUTPUTS, n)]
        soft = rng.dirichlet(np.ones(OUTPUTS), n)
        return jnp.asarray(np.where(np.arange(n)[:, None] % 2, soft, hard), dtype)
    return jnp.asarray(rng.normal(size=(n, OUTPUTS)), dtype)


def _predictions(n: int, dtype: str = "float64", scale: float = 2.0) -> jax.Array:
    return jnp.asarray(scale * np.random.default_rng(4).normal(size=(n, OUTPUTS)), dtype)


def test_registry_names():
    assert {"squared", "logistic", "softmax", "huber"} <= set(tn.losses.names())
    for name in tn.losses.names():
        assert tn.losses.get(name).name == name
        assert tn.losses.get(name) == tn.losses.get(name)
        assert hash(tn.losses.get(name)) == hash(tn.losses.get(name))
    chosen = Huber(delta=2.0)
    assert tn.losses.get(chosen) is chosen
    assert Huber(delta=2) == Huber(delta=2.0) != Huber()
    with pytest.raises(
        tn.ArgumentError, match=r"^loss: expected one of .*'huber'.*got 'square'\. Did you mean 'squared'\?"
    ):
        tn.losses.get("square")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Huber(delta=2.0), r"^loss: expected an unused name, got 'huber'"),
        (Huber, r"^loss: expected an instance of taylornets\.losses\.Loss, got .*Pass an instance, such as Huber\(\)"),
        ("hinge", r"^loss: expected an instance of taylornets\.losses\.Loss, got 'hinge'"),
    ],
)
def test_registrations_that_are_refused(loss: Any, message: str):
    before = tn.losses.names()
    with pytest.raises(tn.ArgumentError, match=message):
        tn.losses.register(loss)
    assert tn.losses.names() == before


def test_names_with_a_trait():
    assert {"logistic", "softmax"} <= set(tn.losses.names(classifies=True))
    assert not {"logistic", "softmax"} & set(tn.losses.names(classifies=False))
    assert "squared" in tn.losses.names(quadratic=True, separable=True)
    assert tn.losses.names(quadratic=True, separable=False) == ()


def test_no_other_room_compares_the_name_of_a_loss():
    source = Path(tn.__file__).parent
    found = [
        f"{path.relative_to(source)}:{node.lineno}"
        for path in source.rglob("*.py")
        if path.parent.name != "losses"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        if {leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)} & set(tn.losses.names())
    ]
    assert found == []


@pytest.mark.usefixtures("x64")
def test_values_by_their_definitions():
    v, y = _predictions(6), _targets(Squared(), 6)
    np.testing.assert_allclose(Squared().value(v, y), np.sum((v - y) ** 2, axis=1), rtol=1e-14)
    r, y1 = np.abs(v - y), _targets(Logistic(), 6)
    np.testing.assert_allclose(
        Huber(0.7).value(v, y), np.where(r <= 0.7, r**2 / 2, 0.7 * r - 0.7**2 / 2).sum(axis=1), rtol=1e-14
    )
    np.testing.assert_allclose(Logistic().value(v, y1), np.log1p(np.exp(-y1 * v)).sum(axis=1), rtol=1e-14)
    y2 = _targets(Softmax(), 6)
    cross_entropy = -np.sum(y2 * np.log(np.exp(v) / np.exp(v).sum(axis=1, keepdims=True)), axis=1)
    np.testing.assert_allclose(Softmax().value(v, y2), cross_entropy, rtol=1e-13)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_derivative_and_hessian_product_match_automatic_ones(loss: Loss):
    v, y = _predictions(7), _targets(loss, 7)

    @jax.jit
    def evaluate(v: jax.Array, u: jax.Array):
        gradient = jax.grad(lambda v: jnp.sum(loss.value(v, y)))
        slopes, own = jax.jvp(lambda v: loss.derivative(v, y), (v,), (u,))
        return (slopes, gradient(v)), (loss.hessian_product(v, y, u), jax.jvp(gradient, (v,), (u,))[1], own)

    slopes, products = evaluate(v, v[::-1])
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(products[0], products[1], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(products[0], products[2], rtol=1e-10, atol=1e-13)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_curvature_lipschitz_and_fourth_derivative_bounds(loss: Loss):
    rng = np.random.default_rng(5)
    v = np.concatenate([2 * rng.normal(size=(200, OUTPUTS)), 0.2 * rng.normal(size=(200, OUTPUTS))])
    v[-50:] = [0.0, 0.0, -40.0]  # two equal probabilities of 1/2
    y = np.asarray(_targets(loss, len(v)))
    v[:100] -= 50.0 * y[:100]
    v[100:103] = 60.0 * np.eye(OUTPUTS)
    direction = rng.normal(size=v.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)

    @jax.jit
    def evaluate(v: jax.Array, y: jax.Array, direction: jax.Array):
        columns = [loss.hessian_product(v, y, jnp.broadcast_to(e, v.shape)) for e in jnp.eye(OUTPUTS)]

        def line(t: jax.Array) -> jax.Array:
            return loss.value(v + t * direction, y)

        for _ in range(4):
            line = functools.partial(_slope, line)
        return jnp.stack(columns, axis=2), loss.derivative(v, y), line(jnp.zeros(()))

    hessians, slopes, fourth = map(np.asarray, evaluate(jnp.asarray(v), jnp.asarray(y), jnp.asarray(direction)))
    largest = np.linalg.eigvalsh(hessians).max()
    assert 0.8 * loss.curvature_bound <= largest <= loss.curvature_bound * (1 + 1e-12)
    norm = np.linalg.norm(slopes, axis=1).max()
    assert norm <= loss.lipschitz(OUTPUTS) * (1 + 1e-12)
    assert np.abs(slopes).max() <= loss.output_lipschitz * (1 + 1e-12)
    if math.isfinite(loss.lipschitz(OUTPUTS)):
        assert norm >= 0.8 * loss.lipschitz(OUTPUTS)
    if math.isfinite(loss.fourth_derivative_bound):
        assert np.abs(fourth).max() <= loss.fourth_derivative_bound * (1 + 1e-12) + 1e-9


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_traits_are_those_of_the_hessian(loss: Loss):
    v, y = _predictions(50), _targets(loss, 50)
    columns = [loss.hessian_product(v, y, jnp.broadcast_to(e, v.shape)) for e in jnp.eye(OUTPUTS)]
    hessians = np.stack(columns, axis=2)
    diagonal = np.eye(OUTPUTS, dtype=bool)
    assert loss.separable == np.all(hessians[:, ~diagonal] == 0)
    assert loss.quadratic == np.all(hessians == loss.curvature_bound * diagonal)
    assert loss.classifies or not loss.probabilistic


def _slope(line: Callable[[jax.Array], jax.Array], t: jax.Array) -> jax.Array:
    return jax.jvp(line, (t,), (jnp.ones(()),))[1]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_conjugate_is_the_brute_force_supremum(loss: Loss):
    y = _targets(loss, 4)
    s = loss.project(_predictions(4, scale=0.6), y) * 0.9  # 0 is in the domain, so this is inside
    both = jax.jit(lambda v, y: (loss.value(v[None], y[None])[0], loss.derivative(v[None], y[None])[0]))
    for found, slope, target in zip(np.asarray(loss.conjugate(s, y)), np.asarray(s), np.asarray(y), strict=True):

        def negative(v: np.ndarray, slope: np.ndarray = slope, target: np.ndarray = target):
            value, derivative = map(np.asarray, both(v, target))
            return float(value - slope @ v), derivative - slope

        # The function is concave, so one start is enough.
        best = optimize.minimize(negative, np.zeros(OUTPUTS), jac=True, method="BFGS", options={"gtol": 1e-9})
        assert found == pytest.approx(-best.fun, abs=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_fenchel_young(loss: Loss, dtype: str):
    with jax.enable_x64(dtype == "float64"):
        v, y = _predictions(60, dtype, scale=4.0), _targets(loss, 60, dtype)

        @jax.jit
        def evaluate(v: jax.Array):
            slopes = loss.derivative(v, y)
            others = [jnp.roll(v, shift, axis=0) for shift in (0, 1, 7, 30)]
            conjugates = loss.conjugate(loss.project(slopes, y), y)
            return [(o, loss.value(o, y) + conjugates - jnp.sum(slopes * o, axis=1)) for o in others]

        # Equality at s = ℓ'(v), an inequality elsewhere; the terms of the sums are of the size of |v|².
        for shift, (other, gap) in enumerate(evaluate(v)):
            rounding = 200 * EPS[dtype] * (1 + np.abs(np.asarray(other)).sum(axis=1) ** 2)
            assert gap.dtype == dtype
            assert np.all(np.asarray(gap) >= -rounding)
            assert shift > 0 or np.all(np.asarray(gap) <= rounding)


def entropy(q: Any) -> Any:
    return q * mp.log(q) if q > 0 else mp.mpf(0)


def _softmax_conjugate(pairs: Pairs) -> Any:
    total = sum(a + b for a, b in pairs)
    return sum(entropy((a + b) / total) for a, b in pairs)


# The conjugates of pairs of slope and target, in arbitrary precision.
CONJUGATES: dict[str, Callable[[Pairs], Any]] = {
    "squared": lambda pairs: sum(a * a / 4 + a * b for a, b in pairs),
    "huber": lambda pairs: sum(a * a / 2 + a * b for a, b in pairs),
    "logistic": lambda pairs: sum(entropy(-a * b) + entropy(1 + a * b) for a, b in pairs),
    "softmax": _softmax_conjugate,
}


def _exact_conjugate(loss: Loss, s: np.ndarray, y: np.ndarray) -> Any:
    """The conjugate of floating-point numbers, in 50 digits."""
    with mp.workdps(50):
        return CONJUGATES[loss.name]([(mp.mpf(float(a)), mp.mpf(float(b))) for a, b in zip(s, y, strict=True)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_conjugate_is_never_below_the_exact_one_and_close(loss: Loss, dtype: str):
    assert loss.name in CONJUGATES, f"add {loss.name!r} to CONJUGATES"
    with jax.enable_x64(dtype == "float64"):
        y = _targets(loss, 50, dtype)
        both = jax.jit(lambda s: (loss.project(s, y), loss.conjugate(loss.project(s, y), y)))
        wide = jnp.asarray(10.0 ** np.random.default_rng(6).uniform(-22, 0.3, y.shape), dtype)
        away = jnp.where(y != 0, -jnp.sign(y), 1.0).astype(dtype)
        for start in (_predictions(50, dtype), wide * away):
            s, found = map(np.asarray, both(start))
            rows = np.asarray(s, np.float64), np.asarray(y, np.float64)
            for i, (slope, target) in enumerate(zip(*rows, strict=True)):
                exact = _exact_conjugate(loss, slope, target)
                assert mp.mpf(float(found[i])) >= exact
                size = 1 + abs(float(exact)) + np.sum(slope**2 + np.abs(slope * target))
                assert float(found[i] - exact) <= 40 * EPS[dtype] * size


def test_conjugates_at_the_edges_of_the_domain_are_exact():
    one = jnp.ones((1, 1))
    assert float(Logistic().conjugate(-one, one)[0]) == 0.0
    assert float(Logistic().conjugate(0 * one, one)[0]) == 0.0
    assert float(Logistic().conjugate(one, -one)[0]) == 0.0
    y = jnp.asarray([[0.0, 1.0, 0.0]])
    assert float(Softmax().conjugate(0 * y, y)[0]) == 0.0
    assert float(Softmax().conjugate(jnp.asarray([[1.0, -1.0, 0.0]]), y)[0]) == 0.0
    half = Softmax().conjugate(jnp.asarray([[0.5, -0.5, 0.0]]), y)
    assert float(half[0]) == pytest.approx(-math.log(2), rel=1e-5)
    assert float(Huber(0.5).conjugate(0.5 * one, 0 * one)[0]) == pytest.approx(0.125, rel=1e-5)
    assert float(Squared().conjugate(0 * one, one)[0]) == 0.0


@pytest.mark.parametrize(
    ("loss", "s", "y"),
    [
        (Logistic(), [[np.nextafter(np.float32(-1), np.float32(-2))]], [[1.0]]),
        (Logistic(), [[1e-30]], [[1.0]]),
        (Logistic(), [[-0.5, 0.5]], [[1.0, 1.0]]),
        (Huber(), [[np.nextafter(np.float32(1), np.float32(2))]], [[0.3]]),
        (Softmax(), [[-1e-20, 1e-20]], [[0.0, 1.0]]),
        (Softmax(), [[0.1, 0.0]], [[0.5, 0.5]]),
        (Softmax(), [[0.5, -0.501]], [[0.0, 1.0]]),
    ],
)
def test_conjugate_is_infinite_outside_and_finite_after_projection(loss: Loss, s: Any, y: Any):
    s, y = jnp.asarray(s, jnp.float32), jnp.asarray(y, jnp.float32)
    assert float(loss.conjugate(s, y)[0]) == math.inf
    projected = loss.project(s, y)
    assert math.isfinite(float(loss.conjugate(projected, y)[0]))
    assert float(jnp.max(jnp.abs(projected - s))) < 0.51


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_projection_keeps_the_domain_and_nan_stays_nan(loss: Loss):
    y = _targets(loss, 20, "float32")
    s = loss.derivative(_predictions(20, "float32"), y)
    evaluate = jax.jit(lambda s: (loss.project(s, y), loss.conjugate(loss.project(s, y), y), loss.value(s, y)))
    np.testing.assert_allclose(evaluate(s)[0], s, atol=3e-7)
    assert np.all(np.isfinite(evaluate(_predictions(20, "float32", 9.0))[1]))
    broken = jnp.asarray(np.where(np.arange(20)[:, None] == 3, np.nan, np.asarray(s)))
    for result in (*evaluate(broken), loss.conjugate(broken, y)):
        assert np.all(np.isnan(result[3]))


def test_projection_without_mass_returns_to_the_target():
    y = jnp.asarray([[0.0, 1.0]])
    np.testing.assert_array_equal(Softmax().project(jnp.asarray([[-3.0, -2.0]]), y), [[0.0, 0.0]])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_scale_range_ends_where_the_conjugate_becomes_infinite(loss: Loss):
    v = _predictions(9)
    y = _targets(loss, 9)
    s = loss.derivative(v, y)
    conjugate, scale_range = jax.jit(loss.conjugate), jax.jit(loss.scale_range)
    low, high = scale_range(s, y)
    assert float(low) == 0.0
    inside = 1e6 if math.isinf(float(high)) else float(high) * (1 - 1e-12)
    assert float(high) >= 1 - 1e-12
    assert np.all(np.isfinite(conjugate(inside * s, y)))
    if math.isfinite(float(high)):
        assert np.any(np.isinf(conjugate(float(high) * (1 + 1e-9) * s, y)))
    np.testing.assert_allclose(scale_range(2 * s, y)[1], high / 2, rtol=1e-12)


def test_scale_range_of_directions_that_leave_at_once_or_never():
    y = jnp.asarray([[1.0], [-1.0]])
    assert float(Logistic().scale_range(jnp.asarray([[-0.5], [-0.1]]), y)[1]) == 0.0
    assert math.isinf(float(Logistic().scale_range(jnp.zeros((2, 1)), y)[1]))
    assert float(Softmax().scale_range(jnp.asarray([[0.5, -0.4]]), jnp.asarray([[0.0, 1.0]]))[1]) == 0.0
    assert float(Softmax().scale_range(jnp.asarray([[-0.1, 0.1]]), jnp.asarray([[0.0, 1.0]]))[1]) == 0.0
    assert math.isinf(float(Huber().scale_range(jnp.zeros((2, 1)), y)[1]))


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_conjugate_has_a_finite_gradient_in_the_scale(loss: Loss):
    y = _targets(loss, 8, "float32")
    s = loss.project(loss.derivative(_predictions(8, "float32"), y), y)
    vertex = jnp.where(jnp.arange(8)[:, None] == 0, 0.0, s)  # 0 log 0 in the first example for hard targets
    slope = jax.jit(jax.grad(lambda t: jnp.sum(loss.conjugate(t * vertex, y))))(jnp.float32(0.5))
    assert math.isfinite(float(slope))


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_extreme_predictions_stay_finite_in_float32(loss: Loss):
    y = _targets(loss, 4, "float32")
    v = jnp.asarray([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [300.0, -300.0, 90.0], [0.0, 0.0, 0.0]], jnp.float32)

    @jax.jit
    def evaluate(v: jax.Array):
        gradient = jax.grad(lambda v: jnp.sum(loss.value(v, y)))(v)
        return loss.value(v, y), loss.derivative(v, y), loss.hessian_product(v, y, v), gradient

    for result in evaluate(v):
        assert result.dtype == jnp.float32
        assert np.all(np.isfinite(result))


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_methods_jit_and_vmap(loss: Loss):
    v, y = _predictions(6, "float32"), _targets(loss, 6, "float32")

    def evaluate(v: jax.Array, y: jax.Array):
        s = loss.derivative(v, y)
        return loss.value(v, y), s, loss.conjugate(s, y), loss.project(s, y)

    plain, compiled = evaluate(v, y), jax.jit(evaluate)(v, y)
    batched = jax.jit(jax.vmap(evaluate))(v.reshape(2, 3, OUTPUTS), y.reshape(2, 3, OUTPUTS))
    for one, two, three in zip(plain, compiled, batched, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(three.reshape(one.shape), one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", tn.losses.names(classifies=False))
def test_real_targets(name: str):
    loss = tn.losses.get(name)
    assert loss.prepare_targets([1, 2, 3], 1).tolist() == [[1.0], [2.0], [3.0]]
    assert loss.prepare_targets(np.ones((4, 2)), 2).shape == (4, 2)
    assert loss.prepare_targets(np.ones(4), 1, dtype=jnp.bfloat16).dtype == jnp.bfloat16
    assert loss.prepare_targets(jnp.ones(4, jnp.float16), 1).dtype == jnp.float16
    assert jax.jit(lambda y: loss.prepare_targets(y, 1))(jnp.ones(3)).shape == (3, 1)


@pytest.mark.parametrize(
    ("loss", "y", "outputs", "message"),
    [
        (
            "squared",
            [[1.0, 2.0]],
            3,
            r"^y: expected shape \(n, 3\), got shape \(1, 2\)\. The targets y are real numbers of",
        ),
        (
            "squared",
            [1.0, 2.0],
            2,
            r"^y: expected shape \(n, 2\), got shape \(2,\)\. The targets y are real numbers of shape",
        ),
        (
            "squared",
            [1.0, math.nan],
            1,
            r"^y: expected finite numbers, got 1 NaN or infinite of 2\. Remove or impute them",
        ),
        ("huber", [math.inf], 1, r"^y: expected finite numbers, got 1 NaN"),
        ("squared", [], 1, r"^y: expected a non-empty array of shape \(n,\), got shape \(0,\)"),
        ("squared", [1j], 1, r"^y: expected a real array of shape \(n,\), got dtype complex64"),
        ("squared", np.array(["a", "b"]), 1, r"^y: expected a real array of shape \(n,\), got a ndarray"),
        ("huber", [[1.0], [1.0, 2.0]], 2, r"^y: expected a real array of shape \(n, 2\), got a list"),
        (
            "logistic",
            [1.0, 2.0],
            1,
            r"^y: expected labels -1 and \+1, or 0 and 1.*got the label 2\. Map your two",
        ),
        (
            "logistic",
            [-1, 0, 1],
            1,
            r"^y: expected labels -1 and \+1, or 0 and 1.*got a mix of -1, 0 and \+1\. .*softmax",
        ),
        ("logistic", [1.0, math.nan], 1, r"^y: expected finite numbers"),
        (
            "softmax",
            [0, 1, 3],
            3,
            r"^y: expected labels from 0 to 2, got the label 3\. Pass labels 0 to 2",
        ),
        ("softmax", [0, -1], 3, r"^y: expected labels from 0 to 2, got the label -1"),
        (
            "softmax",
            [0.0, 1.0],
            3,
            r"^y: expected integer labels.*got dtype float\d+\. Convert them with y\.astype\(int\)",
        ),
        ("softmax", [0.0, math.nan], 3, r"^y: expected finite numbers"),
        ("softmax", ["cat", "dog"], 3, r"^y: expected"),
        ("softmax", np.zeros(0, int), 3, r"^y: expected a non-empty array"),
        ("softmax", [0, 0], 1, r"^outputs: expected at least 2 for the softmax loss, got 1\. .*loss='logistic'"),
        (
            "softmax",
            [[0.5, 0.6]],
            2,
            r"^y: expected rows of nonnegative probabilities that sum to 1, got a row that sums to 1\.1",
        ),
        ("softmax", [[1.5, -0.5]], 2, r"^y: expected rows of nonnegative probabilities.*got the entry -0\.5"),
        (
            "softmax",
            [[0], [1]],
            2,
            r"^y: expected shape \(n, 2\), got shape \(2, 1\)\. The targets y are class labels of shape",
        ),
        ("squared", [1.0], 0, r"^outputs: expected an integer ≥ 1, got 0"),
    ],
)
def test_targets_that_are_refused(loss: str, y: Any, outputs: int, message: str):
    with pytest.raises(tn.ArgumentError, match=message):
        tn.losses.get(loss).prepare_targets(y, outputs)


def test_label_targets():
    logistic, softmax = Logistic(), Softmax()
    assert logistic.prepare_targets(np.asarray([0, 1, 1]), 1).tolist() == [[-1.0], [1.0], [1.0]]
    assert logistic.prepare_targets(np.asarray([-1, 1]), 1).tolist() == [[-1.0], [1.0]]
    assert logistic.prepare_targets(np.asarray([True, False]), 1).tolist() == [[1.0], [-1.0]]
    assert logistic.prepare_targets(np.asarray([[0, 1], [1, 1]]), 2).tolist() == [[-1.0, 1.0], [1.0, 1.0]]
    assert softmax.prepare_targets(np.asarray([2, 0]), 3).tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert softmax.prepare_targets(np.asarray([True, False]), 2).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    rows = softmax.prepare_targets(np.asarray([[0.3333, 0.6666]]), 2)
    assert float(jnp.sum(rows)) == pytest.approx(1.0, abs=1e-6)
    assert softmax.prepare_targets(np.asarray([2, 0]), 3, dtype=jnp.bfloat16).dtype == jnp.bfloat16
    traced = jax.jit(lambda y: (softmax.prepare_targets(y, 3), logistic.prepare_targets(y, 1)))(jnp.asarray([1, 0]))
    assert traced[0].tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert traced[1].tolist() == [[1.0], [-1.0]]


@pytest.mark.parametrize("delta", [0.0, -1.0, math.inf])
def test_bad_threshold(delta: float):
    with pytest.raises(tn.ArgumentError, match=r"^delta: expected a finite number > 0"):
        Huber(delta=delta)
