"""Missing values never suppress the verdict; if no verdict is possible, one sentence explains why."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets._regime import RegimeEvaluator, RegimeSettings

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
W = RNG.normal(size=(3, 2))
MOVED = W + 0.1 * RNG.normal(size=(3, 2))


def perceptron(w, x):
    return jnp.tanh(x @ w)


# --- orders that are not finite --------------------------------------------------------------------------------------


def test_a_derivative_that_does_not_exist(x64):
    """|w x| for w from 0 to 1: rows 0, 2 and 5, where x is not 0, change by |x| and have no derivative at 0."""
    x = np.array([1.0, 0.0, -2.0, 0.0, 0.0, 3.0])[:, None]
    found = tn.regime(lambda w, x: jnp.sqrt((w * x) ** 2), np.array(0.0), np.array(1.0), x[[0, 2, 5]], ntk_inputs=0)
    assert found.movement == pytest.approx(math.sqrt(14 / 3))
    assert found.verdict == (
        "no Taylor series: order 1 is not finite at the initialization for 3 of 3 inputs (rows 0, 1, 2), and the outputs have "
        "changed by 2.16"
    )
    assert found.order is None
    assert all(map(math.isnan, (*found.error, *found.share, *found.radius)))
    assert found.even == pytest.approx(1)  # by values alone, of which there is no lack
    one = tn.regime(lambda w, x: jnp.sqrt(w**2 + x), np.array(0.0), np.array(1.0), np.abs(x), ntk_inputs=0, max_order=1)
    assert "for 3 of 6 inputs (rows 1, 3, 4), " in one.verdict


def test_lower_orders_stay_valid(x64):
    """w x + |w|^2.5 at w = 0: order 1 is w x, order 2 is zero, order 3 is not finite."""
    x = np.array([[1.0], [2.0]])
    found = tn.regime(lambda w, x: w * x + jnp.abs(w) ** 2.5, np.array(0.0), np.array(0.09), x, ntk_inputs=0)
    moved = 0.09 * x + 0.09**2.5
    errors = [np.linalg.norm(moved - 0.09 * x) / np.linalg.norm(moved)] * 2
    assert found.error[:2] == pytest.approx(errors)
    assert all(map(math.isnan, (*found.error[2:], *found.radius[2:], *found.agreement[2:])))
    assert found.verdict.startswith("lazy: order 1 explains")
    assert found.reasons == {"term": "order 3 is not finite at the initialization for 2 of 2 inputs (rows 0, 1)"}
    assert str(found).endswith("\norders: " + found.reasons["term"])


# --- inputs and outputs ----------------------------------------------------------------------------------------------

REFUSED = {
    "NaN in x": (perceptron, W, np.where(np.eye(6, 3) > 0, np.nan, X), r"x: expected inputs without NaN, got 3 NaN of 18"),
    "NaN in a leaf of x": (lambda w, x: perceptron(w, x["a"]), W, {"a": np.full((6, 3), np.nan)}, r"x: .* 18 NaN of 18 at a"),
    "NaN at the initialization": (lambda w, x: jnp.log(x @ w), W, X, r"f: expected .*without NaN in its outputs at"),
    "infinite": (lambda w, x: (x @ w).at[:, 0].set(-jnp.inf), W, X, r"f: expected finite outputs .* 6 infinite of 12\. Drop"),
    "transposed": (lambda w, x: (x @ w).T, W, X[:2], r"f: expected .* one row per example, got shape \(2, 2\) for 2 examples"),
    "complex": (lambda w, x: 1j * (x @ w), W, X, r"f: expected a model that returns one real array .* got dtype complex128"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(kind, x64):
    f, start, x, message = REFUSED[kind]
    with pytest.raises(tn.ArgumentError, match="^" + message):
        tn.regime(f, start, MOVED, x, ntk_inputs=0, max_order=1)


# --- outside of the ends ---------------------------------------------------------------------------------------------


def places(model):
    """The values of a scalar parameter at which the regime from 1 to 2 evaluates the model, in order."""
    seen = []

    def f(w, x):
        jax.debug.callback(lambda w: seen.append(float(w)), w)
        return model(w, x)

    found = tn.regime(f, np.array(1.0), np.array(2.0), X, max_order=1, ntk_inputs=0)
    jax.effects_barrier()
    return found, np.array(seen)


def test_points_between_the_ends_come_first(x64):
    _, seen = places(lambda w, x: jnp.tanh(w * x))
    outside = (seen < 1 - 1e-12) | (seen > 2)
    first = np.flatnonzero(outside)[0]
    assert set(seen[:first]) >= {1.0, 2.0}
    assert seen[first] == 0.0  # the mirror image of the end
    assert np.sum(seen[:first] > 1) > 30
    assert seen.max() == 5.0


def halving(w, x):
    """w x, computed by a loop that runs until the remainder is negligible."""
    state = jax.lax.while_loop(lambda s: jnp.abs(s[1]) > 1e-12, lambda s: (s[0] + s[1] / 2, s[1] / 2), (0 * w, w))
    return state[0] * x


def test_a_loop_is_not_looked_at_outside(x64):
    found, seen = places(halving)
    assert (seen.min(), seen.max()) == (1.0, 2.0)
    assert found.verdict == "lazy: order 1 explains 100 % of the output change"
    assert (found.radius, found.radius_limit) == ((1.0,), 1.0)
    assert math.isnan(found.odd)
    assert math.isnan(found.even)
    assert set(found.reasons) == {"odd", "even", "radius_limit"}
    assert "while loop" in found.reasons["odd"]
    lines = str(found).splitlines()
    assert lines[1].split()[-3:-1] != ["≥", "4"]
    assert "odd orders –, even orders –, NTK drift –" in lines
    assert lines[-1].startswith(
        "odd orders, even orders, radius beyond the end point: not evaluated outside the segment"
    )


def test_outside_of_where_the_model_is_defined(x64):
    """log(1 + t (c - 1)) is undefined at the mirror image for c = 5/2, and at t = 3.36 for c = 2/3."""
    far = tn.regime(lambda w, x: jnp.log(w * x), np.array(1.0), np.array(2.5), np.ones(2), ntk_inputs=0, max_order=1)
    assert math.isnan(far.even)
    assert (
        far.reasons["even"] == far.reasons["odd"] == "the outputs at the mirror image of the end point are not finite"
    )
    assert far.radius[0] > 0
    near = np.array(2 / 3)
    with jax.debug_nans(True):
        found = tn.regime(lambda w, x: jnp.log(w * x), np.array(1.0), near, np.ones(2), ntk_inputs=0, max_order=1)
    assert found.radius_limit == pytest.approx(4 * 2 ** (-1 / 2))
    assert set(found.reasons) == {"radius_limit"}
    assert "nan" in found.reasons["radius_limit"]
    assert not math.isnan(found.even)


# --- the kernel ------------------------------------------------------------------------------------------------------


def test_a_kernel_by_forward_mode_alone(x64):
    """A loop has no reverse mode; its kernel equals that of the same function without a loop, which does not drift."""
    found = tn.regime(halving, np.array(1.0), np.array(2.0), X, max_order=1)
    assert found.ntk_drift == pytest.approx(0, abs=1e-12)


def test_a_drift_that_cannot_be_had():
    def f(w, x):
        return halving(jnp.mean(w), x)

    found = tn.regime(
        f, np.ones(200_000, "float32"), np.full(200_000, 1.1, "float32"), np.ones((2, 1), "float32"), max_order=1
    )
    assert found.verdict.startswith("lazy")
    assert math.isnan(found.ntk_drift)
    assert "reverse mode" in found.reasons["ntk_drift"]
    assert str(found).splitlines()[-1] == "NTK drift: " + found.reasons["ntk_drift"]


def test_kernels_of_many_outputs():
    """Skipped by default; an explicit request raises an error that names the argument."""

    def pixelwise(w, x):
        return jnp.tanh(w[0] * x + w[1])

    call = (
        pixelwise,
        np.array([1.0, 0.0], "float32"),
        np.array([1.1, 0.1], "float32"),
        np.ones((3, 20, 600), "float32"),
    )
    found = tn.regime(*call, max_order=1)
    assert (
        found.reasons["ntk_drift"] == "skipped by default for 12,000 outputs per input (set ntk_inputs to compute it)"
    )
    with pytest.raises(
        tn.ArgumentError, match=r"^ntk_inputs: expected .*got 2 of 12,000 outputs each, a kernel of 5.76e\+08"
    ):
        tn.regime(*call, max_order=1, ntk_inputs=2, max_bytes=1e9)


def test_memory_of_the_series():
    start, end, x = (a.astype("float32") for a in (W, MOVED, X))
    with pytest.raises(tn.ArgumentError, match=r"^max_order: expected an order whose .*GB.*max_bytes=float\('inf'\)"):
        tn.regime(perceptron, start, end, x, max_order=2, ntk_inputs=0, max_bytes=10)
    assert tn.regime(perceptron, start, end, x, max_order=2, ntk_inputs=0, max_bytes=math.inf).order == 1


# --- reverse rules ---------------------------------------------------------------------------------------------------


@jax.custom_vjp
def doubled(a):
    """The function a² with the reverse rule of 2 a²."""
    return a**2


doubled.defvjp(lambda a: (a**2, a), lambda a, g: (4 * a * g,))


def test_a_rule_that_is_another_derivative(x64):
    """The function gives (w + v)² = w² + 2 w v + v²; the rule gives 4 w v + 2 v². One warning covers all end points."""
    start, ends = np.array(1.0), [np.array(1.0), np.array(1.5), np.array(1.6)]
    evaluator = RegimeEvaluator(lambda w, x: doubled(w) * x, start, X, RegimeSettings(max_order=2))
    with pytest.warns(UserWarning, match="custom_vjp") as caught:
        found = [evaluator(end) for end in ends]
    assert len(caught) == 1
    assert found[1].share == pytest.approx((1 / 1.25, 0.25 / 1.25))
    rule = tn.regime(lambda w, x: doubled(w) * x, start, ends[1], X, max_order=2, custom_vjp="rule")
    assert rule.share == pytest.approx((2 / 1.25, 0.5 / 1.25))
