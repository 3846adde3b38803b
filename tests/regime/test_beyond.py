"""Resummation, singularities, midpoint, pieces and layer groups, against closed forms and brute force."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets._regime._summation import resummed, singularities

RNG = np.random.default_rng(0)
ONE = np.ones((2, 1))
ZERO, UNIT = np.array(0.0), np.array(1.0)


def along(f, **settings):
    """The regime of `f(t) x` from t = 0 to 1 for two equal examples."""
    return tn.regime(lambda w, x: f(w) * x, ZERO, UNIT, ONE, ntk_inputs=0, **settings)


# --- the resummation -------------------------------------------------------------------------------------------------

# Series that converge at t = 1: the plain sums are kept.
INSIDE = {
    "exponential": jnp.exp,
    "pole at 2": lambda t: 1 / (1 - t / 2),
    "pole at 1.1": lambda t: 1 / (1 - t / 1.1),
    "pole at -1.5": lambda t: 1 / (1 + t / 1.5),
    "pair at 1.6": lambda t: (t + 0.3) / (1 + (t / 1.6) ** 2),
    "logarithm": lambda t: jnp.log(1 + t / 3),
    "linear": lambda t: 3 * t,
    "quadratic": lambda t: 0.1 * t + t**2,
    "square alone": lambda t: t**2,
    "cubic": lambda t: 0.1 * t + t**2 - 3 * t**3,
}


@pytest.mark.parametrize("which", INSIDE)
def test_never_worse_than_the_plain_sum_inside_the_radius(which, x64):
    found = along(INSIDE[which], max_order=8)
    for k in (4, 6, 8):
        assert found.resummed[k] >= found.explained[k - 1] - 0.01, k


@pytest.mark.parametrize("which", ["linear", "quadratic", "square alone", "cubic"])
def test_a_series_that_ends(which, x64):
    found = along(INSIDE[which])
    assert found.resummed == pytest.approx(dict.fromkeys((4, 6, 8), 1.0), abs=1e-12)
    assert found.resummed_error == pytest.approx(0, abs=1e-12)
    assert found.singularities is not None
    assert found.singularities.radius == (math.inf, math.inf)
    assert found.singularities.kind == "none: the series ends"
    assert "radius of convergence ∞ (median over inputs; none: the series ends)" in str(found)


def test_weights_by_substitution(x64):
    """The map is substituted into `t, t², …` by numpy's polynomials; here, from a pair at ±i/2, nothing converges."""
    t = np.array([0.0, 1.0, 0.4, -4.0, -1.5, 16.0, 6.0, -64.0, -23.0])  # terms of a function with this pair
    terms = t[:, None, None] * np.ones((1, 3, 2))
    rho = min((1 / abs(t[k])) ** (1 / (k - 1)) for k in (6, 7, 8))
    a = rho / 2
    w = math.sqrt(a**2 + 1) - a
    assert 2 * a * w / (1 - w**2) == pytest.approx(1)
    line = np.polynomial.Polynomial([2 * a * (k % 2) for k in range(9)])
    mapped = sum((t[k] * line**k for k in range(1, 9)), np.polynomial.Polynomial([0.0]))
    expected = sum(c * w**k for k, c in enumerate(mapped.coef[:9]))
    found = resummed(terms, 8, singularities(terms, 1e-16))
    np.testing.assert_allclose(found, np.full((3, 2), expected), rtol=1e-12)


@pytest.mark.parametrize("distance", [0.3, 0.5, 0.8])
def test_beyond_a_complex_pair(distance, x64):
    """(t + 1)/√(1 + (t/ρ)²), the shape of a normalization: the plain sums explode, the mapped ones approach the truth."""
    found = along(lambda t: (t + 0.2) / jnp.sqrt(1 + (t / distance) ** 2), max_order=8)
    assert found.explained[7] < 0.2
    assert min(found.resummed[6], found.resummed[8]) > 0.97
    assert found.verdict.startswith("order ")
    assert found.singularities is not None
    assert found.singularities.kind == "a complex pair"
    assert found.singularities.median == pytest.approx(distance, rel=0.4)  # a branch point of exponent −1/2


def test_thirty_networks(x64):
    """Ten perceptrons with normalization, moved by three distances: never worse than the plain sum where that converges."""

    def f(p, x):
        h = x @ p[0]
        h = (h - h.mean(1, keepdims=True)) / jnp.sqrt(h.var(1, keepdims=True) + 0.1)
        return jnp.tanh(h) @ p[1]

    x = np.random.default_rng(0).normal(size=(8, 5))
    terms = jax.jit(lambda a, b: tn.taylor_terms(f, a, 8)(b, x))
    inside = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        start, move = ([rng.normal(size=s) / 2 for s in ((5, 12), (12, 2))] for _ in range(2))
        for size in (0.2, 0.5, 2.0):
            end = [a + size * b for a, b in zip(start, move, strict=True)]
            found = np.stack(terms(start, end))
            moved = np.asarray(f(end, x) - f(start, x))
            nearest = singularities(found, 1e-16)
            for k in (4, 6, 8):
                plain, mapped = (
                    1 - np.sum((moved - s) ** 2) / np.sum(moved**2)
                    for s in (found[1 : k + 1].sum(0), resummed(found, k, nearest))
                )
                # The rule of theory 14: the last two terms together below 5 % of the sum.
                if np.linalg.norm(found[7]) + np.linalg.norm(found[8]) < 0.05 * np.linalg.norm(moved):
                    inside += k == 8
                    assert mapped >= plain - 0.01, (seed, size, k)
                else:  # up to 0.07 is lost at order 4
                    assert mapped >= plain - 0.1, (seed, size, k)
    assert 5 <= inside <= 28


def test_random_series_inside_the_radius():
    """A pair of poles at radius 1.05 to 2, plus an entire function: at most 1 % of the sums are worse than the plain ones."""
    rng, worse, powers = np.random.default_rng(1), [], np.arange(9)[:, None, None]
    factorials = np.array([math.factorial(k) for k in range(9)])[:, None, None]
    for _ in range(400):
        pole = rng.uniform(1.05, 2) * np.exp(1j * rng.uniform(0, np.pi))
        a = rng.normal(size=(10, 5)) + 1j * rng.normal(size=(10, 5))
        b, r = rng.normal(size=(10, 5)), rng.uniform(-1.5, 1.5, size=(10, 5))
        terms = 2 * np.real(a * pole ** (-1.0 * powers)) + b * r**powers / factorials
        moved = 2 * np.real(a / (1 - 1 / pole)) + b * np.exp(r) - terms[0]
        nearest = singularities(terms, 1e-16)
        for k in (4, 6, 8):
            plain, mapped = (np.sum((moved - s) ** 2) for s in (terms[1 : k + 1].sum(0), resummed(terms, k, nearest)))
            worse.append((mapped - plain) / np.sum(moved**2))
    assert np.mean(np.array(worse) > 0.01) < 0.01
    assert max(worse) < 0.12


GROWING = [
    [-1.319, 1.774, 7.935, -2.895, 2.235, -3.798, -0.437], [2.854, -0.953, -2.384, -3.512, -3.119, 5.895, 1.499],
    [-11.575, -7.934, -18.303, -17.694, -13.213, -9.106, -0.181], [-34.446, -28.295, -34.028, -38.473, -25.271, -29.79, 29.243],
    [-7.342, -29.761, -25.069, -35.562, -17.934, -28.686, 136.683],
    [-6.994, -43.779, -57.567, -47.957, -23.344, -13.486, 238.867],
    [-70.331, -47.873, -108.078, 3.906, -33.255, 8.721, 292.616], [-43.23, 8.758, -40.045, 256.024, 12.639, 43.933, 222.926],
]  # fmt: skip


def test_terms_that_grow():
    """An example of a transformer across its transition: the fitted radius is 1.05, but the last term is 35 times the first."""
    moved = np.array([-12.219, -11.559, -11.138, -13.517, -12.119, -12.415, 11.6])
    terms = np.array([[0.0] * 7, *GROWING])[:, None]
    nearest = singularities(terms, 1e-16)
    assert nearest.radius[0] > 1.05
    for k in (6, 8):
        plain, mapped = (np.sum((moved - s) ** 2) for s in (terms[1 : k + 1].sum(0)[0], resummed(terms, k, nearest)[0]))
        assert mapped < 0.02 * plain


# --- singularities ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("center", "kind"), [(2.0, "ahead on the line"), (-0.5, "behind the start")])
def test_a_pole_on_the_line(center, kind, x64):
    found = along(lambda t: 1 / (center - t)).singularities
    assert found is not None
    assert found.radius == pytest.approx((abs(center),) * 2, rel=1e-9)
    assert (found.kind, found.error) == (kind, pytest.approx((0, 0), abs=1e-9))


def test_a_pair_of_poles(x64):
    """1/(1 + z²) from z = −1/3: poles at distance √10/3, at an angle of atan 3 ahead."""
    found = along(lambda t: 1 / (1 + (t - 1 / 3) ** 2)).singularities
    assert found is not None
    assert found.radius == pytest.approx((math.sqrt(10) / 3,) * 2, rel=1e-9)
    assert found.angle == pytest.approx((math.atan(3),) * 2, rel=1e-9)
    assert found.kind == "a complex pair"


def test_an_example_that_does_not_move(x64):
    x = np.array([[1.0], [0.0]])
    found = tn.regime(lambda w, x: x / (0.7 - w * 1j).real + jnp.sin(3 * w) * x, ZERO, UNIT, x, ntk_inputs=0)
    assert found.singularities is not None
    assert found.singularities.radius[1] == math.inf
    assert all(map(math.isfinite, found.resummed.values()))


def test_terms_that_are_not_finite_above_order_four(x64):
    """w + |w|^4.5 at 0: order 5 is not finite; order 4 stays. Orders 2 to 4 vanish, but the series does not end."""
    found = along(lambda t: t + jnp.abs(t) ** 4.5, max_order=4)
    assert found.resummed[4] == pytest.approx(found.explained[3], abs=1e-12)
    assert math.isnan(found.resummed[6])
    assert math.isnan(found.resummed[8])
    assert found.reasons["resummed"] == found.reasons["singularities"] == "order 5 is not finite at the initialization"
    assert math.isnan(found.resummed_error)  # order 4 equals order 3, which says nothing about |w|^4.5
    assert not found.verdict.startswith("order 4, resummed")
    assert found.singularities is None
    assert "resummation, radius of convergence: order 5 is not finite" in str(found)
    high = along(lambda t: t + jnp.abs(t) ** 8.5, max_order=10)
    assert high.resummed == pytest.approx(dict.fromkeys((4, 6, 8), high.explained[7]))
    assert high.singularities is None
    low = along(lambda t: t + jnp.abs(t) ** 2.5, max_order=1)
    assert low.resummed == {}
    assert low.reasons["resummed"] == "order 3 is not finite at the initialization"


@pytest.mark.parametrize("resum", [4, 6, 8])
@pytest.mark.parametrize("f", [lambda t: jnp.sin(4 * t), lambda t: jnp.tanh(3 * t), jnp.cosh, jnp.exp])
def test_the_error_of_the_resummation_compares_different_sums(f, resum, x64):
    """The even terms of odd functions vanish, so that order 4 equals order 3: order 2 is compared too."""
    found = along(f, resum=resum)
    sums = {}
    for order in (resum - 2, resum - 1, resum):
        terms = np.stack(tn.taylor_terms(lambda w, x: f(w) * x, ZERO, resum)(UNIT, ONE))
        sums[order] = resummed(terms, order, singularities(terms, 1e-16))
    moved = np.linalg.norm(float(f(1.0) - f(0.0)) * ONE)
    expected = max((np.linalg.norm(sums[resum] - sums[k]) / moved) ** 2 for k in (resum - 2, resum - 1))
    assert found.resummed_error == pytest.approx(expected, rel=1e-6)
    assert found.resummed_error > 0
    if resum == 4:
        assert "resummed" not in found.verdict


JUMPS = {
    "jump": (lambda t: jnp.where(t > 0.5, 1.0, 0.0), 1.0),
    "line and jump": (lambda t: t + jnp.where(t > 0.5, 1.0, 0.0), 0.25),
    "sum of ReLU": (lambda t: t + jnp.maximum(t - 0.5, 0), 1 / 9),
    "high power": (lambda t: t + jnp.abs(t) ** 8.5, 0.25),
}


@pytest.mark.parametrize("which", JUMPS)
def test_a_series_that_seems_to_end(which, x64):
    """All terms at 0 from order 2 on vanish, but the function is no polynomial: the sum differs from the output change."""
    f, missed = JUMPS[which]
    found = along(f)
    assert found.singularities is not None
    assert all(map(math.isnan, found.singularities.radius))
    assert found.singularities.kind.startswith("unknown: the last terms vanish, but")
    assert found.resummed_error == pytest.approx(missed)
    assert "∞" not in str(found)
    assert "radius of convergence – (median over inputs; unknown: the last terms vanish" in str(found)


@pytest.mark.parametrize("which", ["linear", "quadratic", "square alone", "cubic"])
def test_a_polynomial_in_single_precision(which):
    found = tn.regime(
        lambda w, x: INSIDE[which](w) * x + 100, jnp.zeros(()), jnp.ones(()), jnp.ones((2, 1)), ntk_inputs=0
    )
    assert found.singularities is not None
    assert found.singularities.radius == (math.inf, math.inf)
    assert found.resummed_error < 1e-4


# --- midpoint and pieces ---------------------------------------------------------------------------------------------


def test_midpoint(x64):
    """Exact for a quadratic; for e^t, the tangent is √e."""
    assert along(lambda t: 0.1 * t + t**2).midpoint == pytest.approx(1)
    moved = math.e - 1
    assert along(jnp.exp).midpoint == pytest.approx(1 - (1 - math.exp(0.5) / moved) ** 2, rel=1e-12)


@pytest.mark.parametrize("rate", [0.5, 3.0, 9.0, 30.0])
def test_pieces_of_an_exponential(rate, x64):
    """On every piece of length h, order k explains 1 − ((e^rh − Σ_{j≤k} (rh)^j/j!)/(e^rh − 1))²."""

    def explains(count, order):
        u = rate / count
        return 1 - ((math.exp(u) - sum(u**j / math.factorial(j) for j in range(order + 1))) / math.expm1(u)) ** 2 >= 0.9

    expected = {k: next((n for n in range(1, 17) if explains(n, k)), None) for k in (1, 2)}
    assert along(lambda t: jnp.exp(rate * t), max_order=2).pieces == expected


def test_pieces_by_brute_force(x64):
    """A wave: all pieces of all numbers are examined with derivatives in closed form."""

    def explains(i, n, order):
        a, h = 7 * i / n, 7 / n
        moved = np.sin(a + h) - np.sin(a)
        model = h * np.cos(a) - (order == 2) * h**2 * np.sin(a) / 2
        return 1 - ((moved - model) / moved) ** 2 >= 0.9

    expected = {k: next((n for n in range(1, 17) if all(explains(i, n, k) for i in range(n))), None) for k in (1, 2)}
    assert along(lambda t: jnp.sin(7 * t)).pieces == expected


# --- groups ----------------------------------------------------------------------------------------------------------


def test_groups_against_second_derivatives(x64):
    start = {"a": {"w": RNG.normal(size=(3, 4))}, "b": [RNG.normal(size=4), RNG.normal(size=4)]}
    end = jax.tree.map(lambda leaf: leaf + 0.3 * RNG.normal(size=leaf.shape), start)
    x = RNG.normal(size=(5, 3))

    def f(p, x):
        return jnp.tanh(x @ p["a"]["w"] + p["b"][1]) @ p["b"][0]

    found = tn.regime(f, start, end, x, groups="blocks", ntk_inputs=0)
    assert found.groups is not None
    assert found.groups.names == ("a", "b.0", "b.1")
    assert np.sum(found.groups.interactions) == pytest.approx(found.share[1], rel=1e-10)

    def outputs(s):
        leaves = zip(jax.tree.leaves(start), jax.tree.leaves(end), s, strict=True)
        return f(jax.tree.unflatten(jax.tree.structure(start), [a + t * (b - a) for a, b, t in leaves]), x)

    moved = outputs(jnp.ones(3)) - outputs(jnp.zeros(3))
    second = jnp.einsum("nab,n->ab", jax.hessian(outputs)(jnp.zeros(3)), moved) / 2 / jnp.sum(moved**2)
    np.testing.assert_allclose(found.groups.interactions, second, rtol=1e-9, atol=1e-12)
    merged = tn.regime(f, start, end, x, groups=lambda name: name[0], ntk_inputs=0, resum=None)
    assert merged.groups is not None
    assert merged.groups.names == ("a", "b")


def test_the_group_that_limits_the_radius(x64):
    """Two poles, each in a parameter of its own: without the nearer one, the radius is that of the other."""

    def f(p, x):
        return (1 / (0.6 - p["norm"]) + 1 / (3 - p["head"])) * x

    found = tn.regime(
        f, {"norm": ZERO, "head": ZERO}, {"norm": np.array(0.9), "head": UNIT}, ONE, groups="blocks", ntk_inputs=0
    )  # fmt: skip
    groups = found.groups
    assert groups is not None
    by_name = dict(zip(groups.names, zip(groups.only, groups.without, strict=True), strict=True))
    assert by_name["norm"] == pytest.approx((2 / 3, 3), rel=1e-9)
    assert by_name["head"] == pytest.approx((3, 2 / 3), rel=1e-9)
    assert groups.limiting == "norm"
    assert found.verdict.endswith("norm limits the radius of convergence")
    assert "norm: 0.667 if it moves alone, 3 if all others move" in str(found)


REFUSED = {
    "resum": ({"resum": 5}, "resum: expected 4, 6, 8 or None, got 5"),
    "groups": ({"groups": "layers"}, "groups: expected \"blocks\" or a function of the name of a leaf, got 'layers'"),
    "no name": ({"groups": len}, "groups: expected a function that returns the name of a group, got 6 for params"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_is_refused(which):
    settings, message = REFUSED[which]
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        along(jnp.exp, **settings)


def test_too_many_groups():
    start = [jnp.zeros(1) for _ in range(65)]
    with pytest.raises(tn.ArgumentError, match=r"^groups: expected at most 64 groups, got 65"):
        tn.regime(lambda p, x: x * sum(p), start, start, ONE, groups="blocks")


def test_memory_leaves_out_the_resummation():
    ends = jnp.zeros(()), jnp.ones(()), jnp.ones((200, 1))
    found = tn.regime(lambda w, x: jnp.exp(w * x), *ends, max_order=1, max_bytes=5000, ntk_inputs=0)
    assert found.resummed == {}
    assert found.reasons["resummed"].startswith("the series needs more memory: order 8, which")
    nested = tn.regime(lambda w, x: jnp.exp(w * x), *ends, mode="nested", max_order=2, ntk_inputs=0)
    assert "nested" in nested.reasons["resummed"]


def test_radii_of_groups_are_unknown_where_units_switch():
    """The terms of ReLU units end, but their sum is not the output change: no radius can be concluded from them."""
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (20, 3))
    start = {"layer0": jax.random.normal(keys[1], (3, 16)), "layer1": jax.random.normal(keys[2], (16, 1))}
    end = jax.tree.map(lambda leaf: leaf + 2 * jax.random.normal(keys[3], leaf.shape), start)

    def f(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return jax.nn.relu(x @ params["layer0"]) @ params["layer1"]

    found = tn.regime(f, start, end, x, groups="blocks")
    assert found.groups is not None
    assert np.isnan(found.groups.only[0])  # only layer0 moves: its units switch
    assert np.isinf(found.groups.only[1])  # only layer1 moves: linear
