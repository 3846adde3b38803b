"""Fixed leaves: if they differ between the end points, the evaluator reports it and uses the requested value."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets._regime import RegimeEvaluator, RegimeSettings

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3))
W = RNG.normal(size=(3, 2))
MOVED = W + 0.1 * RNG.normal(size=(3, 2))
KEYS = [jax.random.key(0), jax.random.key(1)]

# What differs, and how the model uses it.
SETTINGS = {
    "mask": (np.ones((3, 2), bool), np.eye(3, 2, dtype=bool), lambda s, w, x: x @ (w * s)),
    "int8 weights": (np.full((2, 2), 64, "int8"), np.full((2, 2), 32, "int8"), lambda s, w, x: x @ w @ (s / 127)),
    "temperature": (1.0, 2.0, lambda s, w, x: x @ w / s),
    "step counter": (jnp.array(1), jnp.array(10), lambda s, w, x: x @ w / jnp.sqrt(s)),
    "random key": (*KEYS, lambda s, w, x: x @ w * jax.random.uniform(s, (2,))),
    "raw random key": (*map(jax.random.key_data, KEYS), lambda s, w, x: x @ w * jax.random.uniform(s, (2,))),
    "NumPy scalar": (np.float32(1), np.float32(3), lambda s, w, x: x @ w * s),
    "Python number that is branched on": (0, 1, lambda s, w, x: x @ w if s else jnp.tanh(x @ w)),
    "name": ("tanh", "sin", lambda s, w, x: getattr(jnp, s)(x @ w)),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_setting_that_differs(kind, x64):
    """The output change is measured with the same value at both end points, and the result reports that value."""
    first, last, f = SETTINGS[kind]

    def model(params, x):
        return f(params["s"], params["w"], x)

    ends = {"s": first, "w": W}, {"s": last, "w": MOVED}
    with pytest.raises(
        tn.ArgumentError, match=r'params1: .*params0 .*a different value at s\. Pass fixed="start" .*"end"'
    ):
        tn.regime(model, *ends, X, ntk_inputs=0)
    for fixed, value in (("start", first), ("end", last)):
        found = tn.regime(model, *ends, X, max_order=1, ntk_inputs=0, fixed=fixed)
        moved = np.asarray(f(value, MOVED, X) - f(value, W, X))
        assert found.movement == pytest.approx(math.sqrt(np.sum(moved**2) / len(X)), rel=1e-10)
        assert found.fixed == {"s": fixed}
        assert set(found.displacement) == {"w"}


def test_everything_uses_the_same_setting(x64):
    """Terms, kernel, radius and parity equal those of a model with the value hard-coded, separately for each end point."""

    def model(params, x):
        return jnp.tanh(params["s"] * (x @ params["w"]))

    ends = [{"s": s, "w": w} for s, w in ((2.0, MOVED), (1.0, MOVED))]
    evaluator = RegimeEvaluator(model, {"s": 1.0, "w": W}, X, RegimeSettings(max_order=2), fixed="end")
    for end in ends:
        one = evaluator(end)
        by_hand = tn.regime(lambda w, x, s=end["s"]: jnp.tanh(s * (x @ w)), W, MOVED, X, max_order=2)
        for name in ("share", "error", "radius", "even", "ntk_drift"):
            assert getattr(one, name) == pytest.approx(getattr(by_hand, name), rel=1e-9), name
        assert one.fixed == ({} if end["s"] == 1 else {"s": "end"})


def test_frozen_leaves_that_differ_are_stated(x64):
    ends = {"a": {"w": W, "b": np.zeros(2)}, "n": 3}, {"a": {"w": MOVED, "b": np.ones(2)}, "n": 3}
    mask = {"a": {"w": True, "b": False}, "n": True}
    found = tn.regime(lambda p, x: x @ p["a"]["w"] + p["a"]["b"], *ends, X, max_order=1, ntk_inputs=0, trainable=mask)
    assert found.movement == pytest.approx(math.sqrt(np.sum((X @ (MOVED - W)) ** 2) / 4), rel=1e-10)
    assert found.fixed == {"a.b": "start"}
    assert str(found).splitlines()[-1] == "fixed at the initialization: a.b"


def test_a_module_that_is_built_twice(x64):
    """Two copies of a lambda, a string and None do not count as differences."""

    class Net(eqx.Module):
        w: jax.Array
        act: object
        name: str = "net"
        nothing: object = None

    def build(w):
        return Net(jnp.asarray(w), lambda a: jnp.tanh(a))

    found = tn.regime(lambda net, x: net.act(x @ net.w), build(W), build(MOVED), X, max_order=1, ntk_inputs=0)
    assert found.verdict.startswith("lazy")
    assert found.fixed == {}


def test_refused(x64):
    def call(params1, fixed):
        tn.regime(
            lambda p, x: p["s"] * (x @ p["w"]), {"s": 1.0, "w": W}, params1, X, ntk_inputs=0, max_order=1, fixed=fixed
        )

    with pytest.raises(tn.ArgumentError, match=r"^fixed: expected one of 'end', 'start', got 'first'\."):
        call({"s": 1.0, "w": MOVED}, "first")
    with pytest.raises(tn.ArgumentError, match=r"^params1: .*a different value at s\."):
        call({"s": 2.0, "w": MOVED}, None)
