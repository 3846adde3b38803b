"""The evaluator on networks with known Taylor terms, and on parameter pairs whose regime the theory predicts."""

import dataclasses
import math
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import taylornets as tn
from taylornets._regime import RegimeEvaluator, RegimeSettings
from taylornets._regime._groups import LayerGroups

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
START = {"w": RNG.normal(size=(3, 4)), "v": RNG.normal(size=(4, 2))}
END = {name: leaf + 0.3 * RNG.normal(size=leaf.shape) for name, leaf in START.items()}


def perceptron(params, x):
    return jnp.tanh(x @ params["w"]) @ params["v"]


def expected(terms, movement):
    """Contributions, errors, explained fractions and norms, computed directly from the terms."""
    square, sums = np.sum(movement**2), np.cumsum(terms, axis=0)
    errors = [np.linalg.norm(movement - s) / math.sqrt(square) for s in sums]
    return {
        "share": [np.sum(t * movement) / square for t in terms],
        "error": errors,
        "explained": [1 - e**2 for e in errors],
        "term": [np.linalg.norm(t) / math.sqrt(square) for t in terms],
    }


def assert_numbers(found, terms, movement, tolerance=1e-12):
    numbers = expected(terms, movement)
    for name, values in numbers.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=tolerance, atol=tolerance, err_msg=name)
    assert found.remainder == pytest.approx(1 - sum(numbers["share"]), abs=tolerance)
    assert found.movement == pytest.approx(math.sqrt(np.sum(movement**2) / len(movement)), rel=tolerance)
    assert found.odd == pytest.approx(1 - found.even, abs=1e-15)


def test_linear_in_its_parameters(x64):
    found = tn.regime(lambda w, x: jnp.sin(x) @ w + 1, START["w"], END["w"], X)
    change = np.sin(X) @ (END["w"] - START["w"])
    assert_numbers(found, [change, *[0 * change] * 3], change)
    assert found.verdict == "lazy: order 1 explains 100 % of the output change"
    assert found.order == 1
    assert found.radius == (4.0,) * 4
    assert found.odd == pytest.approx(1, abs=1e-12)
    assert found.ntk_drift == pytest.approx(0, abs=1e-15)
    assert found.agreement == (1.0,) * 4


def squares(w, x):
    """`Σ_r a_r ⟨w_r, x⟩²` with alternating signs."""
    return ((x @ w) ** 2) @ jnp.array([1.0, -1.0, 1.0, 1.0])


def test_a_sum_of_squares(x64):
    """`(u + v)² = u² + 2uv + v²`."""
    found = tn.regime(squares, START["w"], END["w"], X, max_order=3)
    u, v, a = X @ START["w"], X @ (END["w"] - START["w"]), np.array([1.0, -1.0, 1.0, 1.0])
    first, second = (2 * u * v) @ a, v**2 @ a
    assert_numbers(found, [first, second, 0 * second], first + second)
    assert found.even == pytest.approx(found.share[1], rel=1e-12)
    assert found.radius[1:] == (4.0, 4.0)


def test_a_product_of_two_matrices(x64):
    """`x (W + dW)(V + dV)`: first order `x dW V + x W dV`, second `x dW dV`; with one trainable leaf, no second order."""

    def f(params, x):
        return x @ params["w"] @ params["v"]

    w, v = START["w"], START["v"]
    dw, dv = END["w"] - w, END["v"] - v
    terms = [X @ dw @ v + X @ w @ dv, X @ dw @ dv]
    assert_numbers(tn.regime(f, START, END, X, max_order=2), terms, sum(terms))
    found = tn.regime(f, START, END, X, max_order=2, trainable={"w": True, "v": False})
    assert_numbers(found, [X @ dw @ v, 0 * terms[1]], X @ dw @ v)
    assert set(found.displacement) == {"w"}


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_polynomials(degree, x64):
    """`(u + v)^p = Σ_k C(p, k) u^(p-k) v^k`: no contribution above the degree."""
    found = tn.regime(lambda w, x: (x @ w) ** degree, START["w"], END["w"], X, max_order=5, ntk_inputs=0)
    u, v = X @ START["w"], X @ (END["w"] - START["w"])
    terms = [math.comb(degree, k) * u ** max(degree - k, 0) * v**k for k in range(1, 6)]
    assert_numbers(found, terms, (u + v) ** degree - u**degree, 1e-11)
    assert found.radius[degree - 1 :] == (4.0,) * (6 - degree)
    assert all(radius < 4 for radius in found.radius[: degree - 1])
    assert math.isnan(found.ntk_drift)
    assert sum(found.share) == pytest.approx(1, abs=1e-11)


def test_odd_and_even_parts(x64):
    """The parity split is checked against the mirror image, not the terms; the drift against the two kernels."""
    found = tn.regime(perceptron, START, END, X, ntk_inputs=4)
    mirror = jax.tree.map(lambda a, b: 2 * a - b, START, END)
    start, plus, minus = (np.asarray(perceptron(p, X)) for p in (START, END, mirror))
    moved = plus - start
    for part, value in ((found.odd, (plus - minus) / 2), (found.even, (plus + minus) / 2 - start)):
        assert part == pytest.approx(np.sum(value * moved) / np.sum(moved**2), rel=1e-12)
    terms = tn.taylor_terms(perceptron, START, 4)(END, X)
    assert_numbers(found, [np.asarray(t) for t in terms[1:]], moved)
    first, last = (np.asarray(tn.kernels.model_ntk(perceptron, p, X[:4])) for p in (START, END))
    cosine = np.sum(first * last) / np.linalg.norm(first) / np.linalg.norm(last)
    assert found.ntk_drift == pytest.approx(1 - cosine, rel=1e-9)
    for name, leaf in START.items():
        way = np.linalg.norm(END[name] - leaf)
        assert found.displacement[name] == pytest.approx((way, way / np.linalg.norm(leaf)), rel=1e-12)


def test_radius_of_the_exponential(x64):
    """Of `exp(t)` from 0: the error of order k, `(e^t − Σ_{j≤k} t^j/j!)/(e^t − 1)`, crosses the tolerance once."""
    found = tn.regime(lambda w, x: jnp.exp(w * x), np.array(0.0), np.array(1.0), np.ones(1), tolerance=0.1)

    def excess(t, k):
        return (math.exp(t) - sum(t**j / math.factorial(j) for j in range(k + 1))) / math.expm1(t) - 0.1

    crossings = [float(brentq(lambda t, k=k: excess(t, k), 1e-3, 6)) for k in range(1, 5)]  # pyright: ignore[reportArgumentType]
    assert found.radius == pytest.approx(crossings, rel=2e-3)
    assert found.displacement["params"] == (1.0, math.inf)


@pytest.mark.parametrize("tolerance", [0.01, 0.3])
def test_radius_by_a_fine_grid(tolerance, x64):
    end = jax.tree.map(lambda a, b: a + 3 * (b - a), START, END)
    found = tn.regime(perceptron, START, end, X, max_order=3, tolerance=tolerance, ntk_inputs=0)
    terms = np.stack(tn.taylor_terms(perceptron, START, 3)(end, X))
    grid = np.arange(0.0005, 4, 0.0005)
    along = np.asarray(
        jax.lax.map(lambda t: perceptron(jax.tree.map(lambda a, b: a + t * (b - a), START, end), X), jnp.asarray(grid))
    )
    for k in (1, 2, 3):
        model = np.einsum("tk,knc->tnc", grid[:, None] ** np.arange(k + 1), terms[: k + 1])
        errors = np.linalg.norm(along - model, axis=(1, 2)) / np.linalg.norm(along - terms[0], axis=(1, 2))
        assert found.radius[k - 1] == pytest.approx(grid[np.argmax(errors > tolerance)], rel=0.02)


def test_agreement_of_classes(x64):
    def f(params, x):
        return perceptron(params, x) - perceptron(START, x)  # else nearly all classes would be those of the start

    x = RNG.normal(size=(200, 3))
    end = jax.tree.map(lambda a, b: a + 3 * (b - a), START, END)
    found = tn.regime(f, START, end, x, max_order=3, ntk_inputs=0)
    last = np.asarray(f(end, x)).argmax(1)
    shares = [np.mean(np.asarray(tn.taylor_expand(f, START, k)(end, x)).argmax(1) == last) for k in (1, 2, 3)]
    assert found.agreement == pytest.approx(shares)
    assert shares[0] < 1
    one = tn.regime(lambda p, x: f(p, x)[:, 0], START, end, x, max_order=1, ntk_inputs=0)
    signs = [np.asarray(g(end, x))[:, 0] > 0 for g in (tn.linearize(f, START), f)]
    assert one.agreement == pytest.approx([np.mean(signs[0] == signs[1])])
    assert tn.regime(f, START, end, x, max_order=1, task="regression", ntk_inputs=0).agreement == ()


def test_checkpoints_batches_and_the_start(x64):
    """One evaluator for several end points; batched probe inputs give the same result; the initialization does not change."""
    evaluator = RegimeEvaluator(perceptron, START, X, RegimeSettings())
    found = [evaluator(end) for end in (START, END)]
    assert found[0].verdict == "no output change: the outputs equal those at initialization"
    assert all(map(math.isnan, (*found[0].share, *found[0].radius, found[0].odd)))
    assert found[0].displacement["w"] == (0.0, 0.0)
    assert found[0].order is None
    parts = tn.regime(perceptron, START, END, X, batch_size=4, resum=None)
    for field in dataclasses.fields(parts):
        if field.name not in (
            "displacement",
            "agreement",
            "fixed",
            "reasons",
            "resummed",
            "pieces",
            "singularities",
            "groups",
            "computed",
            "by_group",
        ):
            np.testing.assert_allclose(
                getattr(parts, field.name), getattr(found[1], field.name), rtol=1e-11, atol=1e-13
            )
    assert (parts.agreement, parts.fixed, parts.reasons) == (found[1].agreement, {}, {})
    # Parameters that are a list themselves, and one array.
    as_list = tn.regime(lambda p, x: jnp.tanh(x @ p[0]) @ p[1], [START["w"], START["v"]], [END["w"], END["v"]], X)
    assert as_list.share == pytest.approx(found[1].share, rel=1e-12)


SERIES = {
    "trees": (perceptron, START, [START, END], 2),
    "lists": (lambda p, x: jnp.tanh(x @ p[0]) @ p[1], [START["w"], START["v"]], [[END["w"], END["v"]]] * 3, 3),
    "one array": (lambda w, x: x @ w, START["w"], [END["w"]], 1),
}


@pytest.mark.parametrize("which", SERIES)
def test_a_list_of_ends_is_refused(which):
    f, start, ends, count = SERIES[which]
    message = (
        f"^params1: expected one tree like params0, got a list of {count} trees. For a sequence .* use tn.regime_path.$"
    )
    with pytest.raises(tn.ArgumentError, match=message):
        tn.regime(f, start, ends, X)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_other_precisions(kind):
    """Many inputs, whose rounding errors add up, and outputs that are large compared with their change."""
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3000, 3)), kind)
    start, end = ({name: jnp.asarray(leaf, kind) for name, leaf in tree.items()} for tree in (START, END))
    assert tn.regime(perceptron, start, start, x).verdict.startswith("no output change")
    found = tn.regime(perceptron, start, end, x)
    with jax.enable_x64(True):
        exact = tn.regime(perceptron, *(jax.tree.map(lambda a: np.asarray(a, float), t) for t in (start, end, x)))
    tolerance = 1e-4 if kind == "float32" else 0.1
    np.testing.assert_allclose(found.share, exact.share, atol=tolerance)
    np.testing.assert_allclose(found.error, exact.error, atol=tolerance)
    if kind == "float32":
        small = jax.tree.map(lambda a, b: a + 1e-4 * (b - a), start, end)
        assert tn.regime(perceptron, start, small, x).verdict.startswith("lazy: order 1 explains")
        assert tn.regime(perceptron, start, small, x).radius[0] > 1


def test_an_equinox_module(x64):
    class Net(eqx.Module):
        linear: eqx.nn.Linear
        dropout: eqx.nn.Dropout
        name: str = eqx.field(static=True)

        def __call__(self, x):
            return jnp.exp(self.dropout(self.linear(x), inference=True))

    net = Net(eqx.nn.Linear(3, 2, key=jax.random.key(0)), eqx.nn.Dropout(0.5), "net")
    end = eqx.tree_at(lambda n: n.linear.weight, net, net.linear.weight + 0.2)
    found = tn.regime(lambda n, x: jax.vmap(n)(x), net, end, X)
    by_hand = tn.regime(
        lambda w, x: jnp.exp(x @ w.T + net.linear.bias), net.linear.weight, end.linear.weight, X
    )  # fmt: skip
    assert found.share == pytest.approx(by_hand.share, rel=1e-12)
    assert found.radius == pytest.approx(by_hand.radius, rel=1e-9)
    assert set(found.displacement) == {"linear.weight", "linear.bias"}
    assert found.displacement["linear.bias"] == (0.0, 0.0)


def test_randomization_leaves_the_lazy_regime(x64):
    """Theory 2 and 4: the two-layer network, trained on the randomized risk with sampled signs, is quadratic."""
    keys = jax.random.split(jax.random.key(0), 3)
    net = tn.TwoLayerNetwork.init(keys[0], inputs=4, width=512, activation="cubic_relu")
    x = jax.random.normal(keys[1], (40, 4))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    fitted = tn.fit(
        net, x, 10 * x[:, 0] * x[:, 1], model="randomized", penalty=1e-6, key=keys[2], max_steps=60, throw=False
    )
    signs = jax.random.rademacher(keys[2], (512, 1), x.dtype)
    evaluator = RegimeEvaluator(net, jnp.zeros_like(fitted.w), x, RegimeSettings(max_order=3))
    found, lazy = evaluator(signs * fitted.w), evaluator(1e-3 * fitted.w)
    assert found.verdict.startswith("quadratic: orders up to 2 explain")
    assert found.order == 2
    assert found.share[1] > 0.8
    assert lazy.verdict.startswith("lazy")


def trained(width, coherent):
    """The remainder of order 1 after gradient descent on the network of theory 1, with weights in antisymmetric pairs."""
    d = 3
    keys = jax.random.split(jax.random.key(width), 2)
    w0 = jax.random.normal(keys[0], (width // 2, d))
    x = jnp.asarray(X[:, :d]) / np.linalg.norm(X, axis=1, keepdims=True)
    start = {"plus": w0, "minus": w0}

    def f(params, x):
        plus, minus = (jax.nn.softplus(x @ params[name].T).sum(1) for name in ("plus", "minus"))
        return (plus - minus) / math.sqrt(width)

    def step(_, params):
        gradient = jax.grad(lambda p: jnp.mean((f(p, x) - 2.0) ** 2))(params)
        rate = {"plus": 0.5, "minus": 0.0 if coherent else 0.5}
        return jax.tree.map(lambda a, g, r: a - r * g, params, gradient, rate)

    end = jax.jit(lambda p: jax.lax.fori_loop(0, 10, step, p))(start)
    mask = {"plus": True, "minus": not coherent}
    return 1 - tn.regime(f, start, end, x, max_order=1, ntk_inputs=0, trainable=mask).share[0]


@pytest.mark.parametrize(("coherent", "slope"), [(True, -0.5), (False, -1.0)])
def test_wide_networks_are_lazy(coherent, slope, x64):
    """The remainder of order 1 decreases with the width `m` at the rate of the first nonvanishing order.

    Gradient descent moves the units by `v_r = ⟨w_r, x⟩ = a_r O(m^{-1/2})`, so that `f^(1) = m^{-1/2} Σ_r a_r σ'(u_r) v_r`
    is a sum of `m` terms of one sign, O(1). Where only units with `a_r = +1` move, so is
    `f^(2) = m^{-1/2} Σ_r σ''(u_r)/2 v_r² = O(m^{-1/2} m m^{-1}) = O(m^{-1/2})`. In a pair with the same weights and opposite
    signs, the two move by opposite `v_r`: `a_r v_r²` cancels, as every even order does, and what is left is
    `f^(3) = m^{-1/2} Σ_r a_r σ'''(u_r)/6 v_r³ = O(m^{-1/2} m m^{-3/2}) = O(m^{-1})`.
    """
    widths = [2**6, 2**8, 2**10, 2**12]
    left = [abs(trained(width, coherent)) for width in widths]
    assert np.polyfit(np.log(widths), np.log(left), 1)[0] == pytest.approx(slope, abs=0.1)
    assert left[-1] < 0.1


def numbers(*explained, error=None, threshold=0.9):
    """A regime with the given explained fractions."""
    count = len(explained)
    return tn.Regime(
        max_order=count, movement=1.0, share=explained, remainder=0.0,
        error=error or tuple(math.sqrt(max(1 - e, 0.0)) for e in explained), explained=explained,
        term=explained, odd=0.5, even=0.5, radius=(0.5,) * (count - 1) + (4.0,), radius_limit=4.0,
        agreement=(), ntk_drift=0.01, displacement={}, threshold=threshold, tolerance=0.1,
    )  # fmt: skip


def beyond(**changes):
    """A regime that no plain order explains, but other descriptions do."""
    given = {
        "resummed": {4: 0.8, 6: 0.95, 8: 0.96},
        "resummed_error": 0.01,
        "midpoint": 0.97,
        "pieces": {1: 5, 2: 2},
    } | changes
    return dataclasses.replace(numbers(0.4, 0.3, -8.0, error=(0.77, 0.84, 3.0)), **given)


GROUPS = LayerGroups(("in", "norm"), (4.0, 0.6), (0.6, 4.0), 0.5, ((0.1, 0.0), (0.0, 0.1)))

VERDICTS = {
    "lazy: order 1 explains 95 % of the output change": numbers(0.95, 0.99),
    "lazy: order 1 explains 100 % of the output change": numbers(1.0, 1.0),
    "lazy: order 1 explains 99.99 % of the output change": numbers(0.999999, 1.0),
    "lazy: order 1 explains 99.5 % of the output change": numbers(0.995, 1.0),
    "lazy: order 1 explains 60 % of the output change": numbers(0.6, 0.99, threshold=0.55),
    "quadratic: orders up to 2 explain 95 % of the output change, order 1 50 %": numbers(0.5, 0.95, 0.96),
    "quadratic: orders up to 2 explain 95 % of the output change, order 1 is off by 2 times the output change": numbers(
        -3.0, 0.95, error=(2.0, 0.2)
    ),
    "cubic: orders up to 3 explain 91 % of the output change, orders up to 2 80 %": numbers(0.5, 0.8, 0.91, 0.92),
    "quartic: orders up to 4 explain 91 % of the output change, orders up to 3 80 %": numbers(0.1, 0.2, 0.8, 0.91),
    "order 5: orders up to 5 explain 91 % of the output change, orders up to 4 80 %": numbers(0.1, 0.2, 0.3, 0.8, 0.91),
    "orders up to 2 explain 89 % of the output change, less than the 90 % required": numbers(0.5, 0.89),
    "orders up to 2 explain 60 % of the output change, less than the 90 % required; "
    "no order up to 3 explains more (orders up to 3 40 %)": numbers(0.5, 0.6, 0.4),
    "no order up to 2 explains the output change: orders up to 2 are off by 3 times the output change": numbers(
        -1.0, -8.0, error=(1.4, 3.0)
    ),
    "order 1 explains 20 % of the output change, less than the 90 % required": numbers(0.2),
    "lazy: order 1 explains 95 % of the output change; the series does not converge, "
    "orders up to 3 are off by 2 times the output change": numbers(0.95, 0.97, -3.0, error=(0.2, 0.1, 2.0)),
    "order 1 explains 50 % of the output change, less than the 90 % required; "
    "no order up to 2 explains more (orders up to 2 are not finite)": numbers(0.5, -math.inf, error=(0.7, math.inf)),
    "order 6, resummed, explains 95 % of the output change; not a Taylor model of order ≤ 3 from its initialization "
    "(orders up to 3 are off by 3 times the output change; best: order 1 explains 40 % of the output change); "
    "2 quadratic pieces; norm limits the radius of convergence": beyond(groups=GROUPS),
    "quadratic on each of 2 equal pieces of the line from the initialization; not a Taylor model of order ≤ 3 from its "
    "initialization (orders up to 3 are off by 3 times the output change; best: order 1 explains 40 % of the output change); "
    "the tangent at the middle of the line explains 97 % of the output change": beyond(resummed_error=0.06),
    "the tangent at the middle of the line explains 97 % of the output change; not a Taylor model of order ≤ 3 from its "
    "initialization (orders up to 3 are off by 3 times the output change; best: order 1 explains 40 % of the output "
    "change)": beyond(resummed={}, pieces={1: None, 2: None}),
}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_verdict(verdict):
    assert VERDICTS[verdict].verdict == verdict
    assert str(VERDICTS[verdict]).startswith(verdict + "\n")


NEAR = [side * size for side in (-1, 1) for size in (1e-13, 1e-9, 1e-6, 1e-4, 0.0024, 0.0049, 0.02)]


def sides(text, threshold):
    """For every percentage of a text but the threshold itself, whether it reaches the threshold."""
    text = re.sub(r"the \S+ % required|at least \S+ % explained|(odd|even) orders \S+ %", "", text)
    found = [False for _ in re.findall(r"just under|less than|<", text)]
    text = re.sub(r"(just under|less than|<) \S+ %", "", text)
    return found + [float(shown) >= 100 * threshold - 1e-9 for shown in re.findall(r"([\d.]+) %", text)]


@pytest.mark.parametrize("threshold", [0.9, 0.5, 0.904, 0.95, 0.99, 0.995, 0.9995, 1 / 3, 0.29, 0.003])
@pytest.mark.parametrize("apart", [0.0, *NEAR])
def test_rounding_never_contradicts_the_verdict(threshold, apart):
    """All fractions are equal and near the threshold: every percentage is on the same side of the threshold."""
    part = min(max(threshold + apart, 1e-6), 1.0)
    plain = dataclasses.replace(numbers(part, part, threshold=threshold), share=(math.nan,) * 2)
    for found in (
        plain,
        dataclasses.replace(plain, resummed={4: part}, resummed_error=0.0, midpoint=part, pieces={1: 3}),
    ):
        shown = sides(str(found), threshold)
        assert len(shown) >= 3
        assert set(shown) == {part >= threshold}, str(found)
        assert (found.order == 1) == (part >= threshold)


@pytest.mark.parametrize("low", [0.8976, 0.8951, 0.89999, 0.9 - 1e-12])
def test_figures_on_both_sides_of_the_threshold(low):
    """What is below is never shown as 90 %, in any part of the sentence."""
    under = "just under 90 % of the output change"
    found = dataclasses.replace(numbers(0.5, low, 0.2), resummed={4: 0.902}, resummed_error=0.0)
    assert found.verdict == (
        "order 4, resummed, explains 90 % of the output change; not a Taylor model of order ≤ 3 from its initialization "
        f"(orders up to 3 explain 20 % of the output change; best: orders up to 2 explain {under})"
    )
    assert numbers(
        0.5, low, 0.902
    ).verdict == "cubic: orders up to 3 explain 90 % of the output change, orders up to 2 " + (
        under.removesuffix(" of the output change")
    )
    assert numbers(0.902, 0.95, low).verdict == (
        f"lazy: order 1 explains 90 % of the output change; the series does not converge, orders up to 3 explain {under}"
    )
    last = dataclasses.replace(numbers(0.5, 0.2, low), pieces={1: 2})
    assert last.verdict.endswith(f"from its initialization (orders up to 3 explain {under})")
    some = dataclasses.replace(numbers(0.5, low, math.nan), term_error=(0.1, 0.1, 1.0))
    assert some.verdict.startswith("undetermined: orders up to 2 explain ")
    assert sides(some.verdict, 0.9) == [False]


def test_table():
    lines = str(numbers(0.5, 0.95)).splitlines()
    assert lines[1].split() == ["order", "share", "explained", "error", "radius", "agreement"]
    assert lines[2].split() == ["1", "50.0", "%", "50.0", "%", "0.707", "0.5", "–"]
    assert lines[3].split() == ["2", "95.0", "%", "95.0", "%", "0.224", "≥", "4", "–"]
    assert lines[4] == "odd orders 50.0 %, even orders 50.0 %, NTK drift 0.01"
    assert "verdict: at least 90 % explained" in lines[5]


def test_an_end_that_is_not_finite():
    """Finite parameters whose outputs overflow."""
    found = tn.regime(lambda w, x: jnp.exp(w * x), jnp.ones(()), jnp.array(200.0), jnp.ones(3), ntk_inputs=0)
    assert found.verdict.startswith("not finite")
    assert found.order is None


BAD_END = {
    "missing": ({"w": END["w"]}, "params1: expected the leaf v of params0, got a tree without it"),
    "more": (END | {"z": END["v"]}, "params1: expected no leaves besides those of params0, got the leaf z"),
    "shape": (END | {"v": END["w"]}, r"params1 at v: expected shape \(4, 2\) as in params0, got shape \(3, 4\)"),
    "a word": (END | {"v": "v"}, r"params1 at v: expected an array of shape \(4, 2\), got a str"),
    "type": (END | {"v": END["v"].astype(np.float16)}, "params1 at v: expected dtype float64 as in params0, got dtype float16"),
    "NaN": (END | {"v": np.full((4, 2), np.nan)}, "params1: expected finite .* got 8 NaN or infinite of 8 in the leaf at v"),
    "infinite": (END | {"v": np.full((4, 2), np.inf)}, "params1: expected finite .* got 8 NaN or infinite of 8 in the leaf"),
    "empty": ([], "params1: expected the leaf v of params0, got a tree without it"),
}  # fmt: skip


@pytest.mark.parametrize("which", BAD_END)
def test_an_end_that_does_not_fit(which, x64):
    end, message = BAD_END[which]
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        tn.regime(perceptron, START, end, X, ntk_inputs=0)


def test_containers_that_differ(x64):
    with pytest.raises(
        tn.ArgumentError, match="params1: expected the containers of params0, got other containers with the same"
    ):
        tn.regime(lambda p, x: x @ p[0], (START["w"], START["v"]), [END["w"], END["v"]], X, ntk_inputs=0)


REFUSED = {
    "NaN": ({"params0": START | {"v": np.full((4, 2), np.nan)}}, r"params0: expected .* 8 NaN .*of 8 in the leaf at .*v"),
    "infinite": ({"params0": START | {"v": np.full((4, 2), np.inf)}}, "params0: expected finite .* 8 NaN or infinite of 8"),
    "two outputs": ({"f": lambda p, x: (x, x)}, r"f: expected a model that returns one real array .* got a tuple of 2 arrays"),
    "labels": ({"f": lambda p, x: perceptron(p, x).argmax(1)}, "f: expected .* got dtype int.*Return the logits"),
    "one example": ({"f": lambda p, x: perceptron(p, x).sum()}, r"f: expected .* got shape \(\). For a model of one example"),
    "x": ({"x": 3.0}, r"x: expected an array \(or a tree of them\) with one example per row, got shapes"),
    "lengths": ({"x": (X, X[1:])}, r"x: expected an array \(or a tree of them\) .* got shapes \(6, 3\), \(5, 3\)"),
    "order": ({"max_order": 0}, "max_order: expected an integer ≥ 1, got 0"),
    "threshold 0": ({"threshold": 0.0}, "threshold: expected a finite number > 0, got 0.0"),
    "threshold 1": ({"threshold": 1.0}, "threshold: expected a number between 0 and 1, got 1.0"),
    "tolerance": ({"tolerance": 2.0}, "tolerance: expected a number between 0 and 1, got 2.0"),
    "task": ({"task": "class"}, "task: expected one of .* Did you mean 'classification'"),
    "mode": ({"mode": "nest"}, "mode: expected one of .* Did you mean 'nested'"),
    "ntk_inputs": ({"ntk_inputs": -1}, "ntk_inputs: expected an integer ≥ 0, got -1"),
    "batch_size": ({"batch_size": 0}, "batch_size: expected an integer ≥ 1, got 0"),
    "trainable": ({"trainable": {"w": True}}, "trainable: expected a tree of booleans that is a prefix"),
    "all frozen": ({"trainable": False}, "params0: expected at least one trainable leaf, an array of floats, got none. Check"),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
def test_refused(which, x64):
    changes, message = REFUSED[which]
    settings = {"f": perceptron, "params0": START, "params1": END, "x": X} | changes
    arguments = [settings.pop(name) for name in ("f", "params0", "params1", "x")]
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        tn.regime(*arguments, **settings)
