"""The regime from evaluations alone: against Taylor mode in JAX, closed forms, and functions that have no series."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import config

import taylornets as tn
from taylornets._regime import Values, coefficients
from taylornets._regime._curve import Curve

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 6))
START = {"w": RNG.normal(size=(6, 16)) / 2, "v": RNG.normal(size=(16, 3)) / 4}
MOVE = {"w": 0.2 * RNG.normal(size=(6, 16)), "v": 0.2 * RNG.normal(size=(16, 3))}


def mlp(activation, dtype=np.float64):
    def f(params, x):
        return activation(x @ params["w"]) @ params["v"]

    def at(t):
        params = {name: (START[name] + t * MOVE[name]).astype(dtype) for name in START}
        return np.asarray(f(params, X.astype(dtype)))

    return f, at


def norm(z):
    return (z - z.mean(1, keepdims=True)) / jnp.sqrt(z.var(1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("activation", [jnp.tanh, jax.nn.softplus, jax.nn.silu, norm])
@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float64, 3e-7), (np.float32, 3e-2)])
def test_agrees_with_taylor_mode(activation, dtype, accuracy):
    with jax.enable_x64(True):
        f, at = mlp(activation, dtype)
        end = {name: START[name] + MOVE[name] for name in START}
        exact = tn.regime(f, START, end, X, ntk_inputs=0)
        found = tn.regime_from_evaluations(at)
    assert np.allclose(found.share, exact.share, rtol=0, atol=accuracy * max(exact.term))
    assert np.allclose(found.error, exact.error, rtol=0, atol=accuracy * max(exact.term))
    assert np.allclose(found.radius, exact.radius, rtol=max(accuracy, 1e-4))
    assert found.agreement == exact.agreement
    assert math.isclose(found.odd, exact.odd, abs_tol=10 * accuracy)
    assert found.verdict == exact.verdict
    assert found.evaluations <= 131
    assert max(found.term_error) <= 0.05


@pytest.mark.parametrize("activation", [jnp.tanh, jnp.sin, lambda z: jnp.tanh(4 * z), norm])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_estimate_is_never_below_the_error(activation, dtype):
    with jax.enable_x64(True):
        f, at = mlp(activation, dtype)
        terms = np.asarray(tn.taylor_terms(f, START, 4)({name: START[name] + MOVE[name] for name in START}, X))
        values = Values(at)
        found = coefficients(values, 4)
    for k, estimate in enumerate(found.error, 1):
        size = max(np.linalg.norm(terms[k]), 0.1 * np.linalg.norm(values.last - values.first))
        assert np.linalg.norm(found.terms[k] - terms[k]) <= estimate * size


def test_closed_form():
    """`1/(1 − t/2)` has the terms `2^−k`, and order k leaves `2^−k` of the change 1."""
    found = tn.regime_from_evaluations(lambda t: np.full((3, 1), 1 / (1 - t / 8)), task="regression")
    assert np.allclose(found.term, [7 * 8.0**-k for k in range(1, 5)], rtol=1e-6)
    assert np.allclose(found.error, [8.0**-k for k in range(1, 5)], rtol=1e-6)
    assert found.agreement == ()
    assert math.isnan(found.ntk_drift)
    assert found.displacement == {}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_linear_outputs_are_lazy(dtype):
    """Terms that are zero have no relative error of their own; they must not spoil the verdict."""
    found = tn.regime_from_evaluations(lambda t: (X @ (START["w"] + t * MOVE["w"])).astype(dtype))
    assert found.verdict.startswith("lazy: order 1 explains 100")


def test_a_kink_is_detected():
    """The negative control: kinks all along the line leave no orders from 2 on, and no verdict of them."""
    weights, x = RNG.normal(size=(100, 6)), RNG.normal(size=(40, 6))
    out, move = RNG.normal(size=(100, 1)), RNG.normal(size=(100, 6))
    found = tn.regime_from_evaluations(lambda t: np.maximum(x @ (weights + t * move).T, 0) @ out)
    assert found.term_error[1] > 0.05
    assert math.isnan(found.explained[1])
    assert found.verdict.startswith("undetermined: order 1 ")
    assert found.verdict.endswith("and orders 2 to 4 have no reliable value")
    assert "cannot be determined from evaluations" in found.reasons["term"]
    assert "ReLU" in str(found)


def test_no_change_and_rounding():
    same = tn.regime_from_evaluations(lambda t: X)
    assert same.verdict.startswith("no output change")
    assert same.evaluations == 3


def test_beyond_the_end_is_optional():
    def limited(t):
        if t > 1:
            raise ValueError("outside")
        return np.exp(t * X)

    found = tn.regime_from_evaluations(limited)
    assert found.radius_limit == 1
    assert "ValueError" in found.reasons["radius_limit"]


def test_resumes_from_a_folder(tmp_path):
    calls, seen = [], []

    def at(t):
        calls.append(t)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return np.exp(t * X)

    with pytest.raises(KeyboardInterrupt):
        tn.regime_from_evaluations(at, folder=tmp_path)
    found = tn.regime_from_evaluations(at, folder=tmp_path, progress=seen.append)
    assert seen == list(range(1, found.evaluations + 1))
    assert found.share == tn.regime_from_evaluations(lambda t: np.exp(t * X)).share
    other = tn.regime_from_evaluations(lambda t: np.exp(2 * t * X), folder=tmp_path)  # another line: nothing is reused
    assert other.share == tn.regime_from_evaluations(lambda t: np.exp(2 * t * X)).share
    (damaged,) = list(tmp_path.glob("line-*/0x1.0000000000000p-1.npy"))[:1]
    damaged.write_bytes(b"\x93NUMPY")
    again = tn.regime_from_evaluations(lambda t: np.exp(t * X), folder=tmp_path)
    assert again.share == found.share


def nan_row(t):
    return np.where(np.arange(12)[:, None] == 3, np.nan, X)


BAD = {
    "no function": (
        X,
        {},
        r"^outputs: expected a function of t that returns one real array .*, got a ndarray\. Pass lambda t",
    ),
    "tuple": (lambda t: (X, X), {}, r"^outputs: expected a function of t .*, got a tuple of 2\. Return the logits"),
    "none": (lambda t: None, {}, r"^outputs: expected a function of t .*, got None"),
    "integers": (
        lambda t: np.arange(3),
        {},
        r"^outputs: expected a function of t .*, got dtype int64, shape \(3,\)\.$",
    ),
    "nan": (
        nan_row,
        {},
        r"^outputs: expected finite outputs at t = 0, got NaN or infinity at t = 0 for 1 of 12 .*\(row 3\)",
    ),
    "random": (
        lambda t: X + RNG.normal(size=X.shape),
        {},
        r"expected a deterministic function of t, .*Is dropout active\?",
    ),
    "shape": (
        lambda t: X[: 12 - (t == 1)],
        {},
        r"^outputs: expected outputs of one shape for every t, got shape \(11, 6\)",
    ),
    "order": (lambda t: X, {"max_order": 0}, r"^max_order: expected an integer ≥ 1, got 0\.$"),
    "high order": (lambda t: X, {"max_order": 9}, r"^max_order: expected an order from 1 to 8, got 9\. Higher orders"),
    "threshold": (lambda t: X, {"threshold": 2.0}, r"^threshold: expected a number between 0 and 1, got 2\.0"),
    "task": (lambda t: X, {"task": "ranking"}, r"^task: expected one of"),
}


@pytest.fixture
def unchecked():
    """Users run without the type checker."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, unchecked):
    outputs, settings, words = BAD[name]
    with pytest.raises(tn.ArgumentError, match=words):
        tn.regime_from_evaluations(outputs, **settings)


# --- lines that no order explains ------------------------------------------------------------------------------------


def residual(seed, size):
    """A residual network with LayerNorm, whose series diverges for large displacements, and its outputs along the line."""
    rng = np.random.default_rng(seed)
    shapes = {"a": (6, 16), "w": (16, 16), "v": (16, 16), "o": (16, 3)}
    start = {name: rng.normal(size=shape) / math.sqrt(shape[0]) for name, shape in shapes.items()}
    end = {name: start[name] + size * rng.normal(size=s) / math.sqrt(s[0]) for name, s in shapes.items()}

    def f(params, x):
        h = x @ params["a"]
        return norm(h + jnp.tanh(norm(h) @ params["w"]) @ params["v"]) @ params["o"]

    compiled = jax.jit(f)

    def at(t):
        with jax.enable_x64(True):
            return np.asarray(compiled({name: start[name] + t * (end[name] - start[name]) for name in start}, X))

    return f, start, end, at


@pytest.mark.parametrize(("seed", "size"), [(0, 0.3), (1, 1.0), (2, 2.0)])
def test_descriptions_beyond_the_radius_agree_with_taylor_mode(seed, size):
    f, start, end, at = residual(seed, size)
    with jax.enable_x64(True):
        exact = tn.regime(f, start, end, X, ntk_inputs=0)
    found = tn.regime_from_evaluations(at)
    assert exact.singularities is not None
    assert found.singularities is not None
    assert math.isclose(found.midpoint, exact.midpoint, abs_tol=2e-3)
    assert found.pieces == exact.pieces
    assert found.resummed.keys() == {4, 6, 8}
    for k, part in found.resummed.items():
        assert math.isclose(part, exact.resummed[k], abs_tol=0.01)
    assert found.resummed_error >= exact.resummed_error - 0.01
    assert math.isclose(found.singularities.median, exact.singularities.median, rel_tol=0.02)
    assert found.verdict == exact.verdict
    assert found.evaluations <= 250


@pytest.mark.parametrize("degree", [16, 32, 64])
@pytest.mark.parametrize("t", [0.0, 1 / 16, 0.5, 14 / 15])
def test_the_estimate_of_derivatives_within_the_line_is_never_below_the_error(degree, t):
    """On `1/(1 + ((t − a)/b)²)`, from poles far from the line to poles that no degree resolves."""
    for a, b in [(0.3, 1.0), (0.0, 0.2), (0.9, 0.05), (0.5, 0.01)]:
        curve = Curve.through(lambda s, a=a, b=b: np.array([[1 / (1 + ((s - a) / b) ** 2)]]), degree, 2e-16, 0.0)
        z = (t - a) / b
        q = 1 / (1 + z * z)
        exact = [q, -2 * z * q**2 / b, (4 * z * z * q - 1) * q**2 / b**2]
        for found, true, error in zip(curve.local(t), exact, curve.error(t), strict=True):
            assert abs(found[0, 0] - true) <= error + 1e-12 * abs(true)


def test_what_kinks_hide_is_nan_with_a_reason():
    weights, x = RNG.normal(size=(100, 6)), RNG.normal(size=(40, 6))
    out, move = RNG.normal(size=(100, 1)), RNG.normal(size=(100, 6))
    found = tn.regime_from_evaluations(lambda t: np.maximum(x @ (weights + t * move).T, 0) @ out)
    assert math.isnan(found.midpoint)
    assert found.pieces == {}
    assert "derivatives within the line cannot be determined from evaluations" in found.reasons["midpoint"]
    assert found.resummed == {}


def test_without_resummation_nothing_more_is_evaluated():
    _, _, _, at = residual(1, 1.0)
    found = tn.regime_from_evaluations(at, resum=None)
    assert found.resummed == {}
    assert found.pieces == {}
    assert math.isnan(found.midpoint)
    assert found.evaluations < tn.regime_from_evaluations(at).evaluations
