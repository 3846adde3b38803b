"""Exponents of targets: published values, invariance, and brute force in Hermite coefficients (theory 17)."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import hermite_e
from scipy.special import lambertw
from scipy.stats import ortho_group

import taylornets as tn
from taylornets.targets._generative import explained
from taylornets.targets._tensors import expansion

targets = tn.targets

SINGLE = {  # formula: (information exponent, generative exponent)
    "z1**3": (1, 1), "he3(z1)": (3, 1), "z1**4": (2, 2), "he4(z1)": (4, 2), "relu(z1)": (1, 1), "cos(2*z1)": (2, 2),
    "z1**2*exp(-z1**2)": (4, 4), "he5(z1)": (5, 1), "sign(z1)": (1, 1), "abs(z1)": (2, 2),
}  # fmt: skip
LEAPS = {
    "z1*z2": 2, "z1 + z1*z2": 1, "z1 + z2 + z1*z2": 2, "z1*z2*z3": 3, "z1 + z1*z2*z3": 2, "z1 + z1*z2 + z1*z2*z3": 1,
    "he3(z1) + z2": 3, "z1*z2*z3*z4": 4, "z1**2 + z1*z2*z3*z4": 3,
}  # fmt: skip
# As sums of powers: directions, powers, coefficients, and the same function as a formula.
TEN = [
    ([[1, 0, 0]], (3,), [1], "z1**3"),
    ([[1, 0, 0], [1, 0, 0]], (3, 1), [1, -3], "he3(z1)"),
    ([[1, 1, 0], [1, -1, 0]], (2, 2), [0.25, -0.25], "z1*z2"),
    ([[2, 0, 0], [2, 0, 0]], (3, 1), [1, -3], "8*z1**3 - 6*z1"),
    ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], (2, 3, 4), [1, 0.5, 0.1], "z1**2 + 0.5*z2**3 + 0.1*z3**4"),
    ([[0.6, 0.8, 0], [0, 1, 0]], (5, 2), [0.2, 1], "0.2*(0.6*z1 + 0.8*z2)**5 + z2**2"),
    ([[1, 2, 0], [1, 2, 0]], (2, 2), [1, 1], "2*(z1 + 2*z2)**2"),
    ([[1, 1, 1]], (4,), [0.3], "0.3*(z1 + z2 + z3)**4"),
    ([[1, 0, 0], [0, 1, 0], [1, 1, 0]], (1, 1, 2), [1, -1, 1], "z1 - z2 + (z1 + z2)**2"),
    ([[1, 0, 0], [-1, 0, 0], [0, 0, 1]], (3, 3, 2), [1, 1, 1], "z3**2 + 0*z1"),
]


def brute_force(values: Any, highest: int) -> np.ndarray:
    """Energies of degrees 0..highest of a function of three Gaussians, from all its Hermite coefficients."""
    nodes, weights = hermite_e.hermegauss(12)
    grid = [np.array(list(itertools.product(axis, repeat=3))) for axis in (nodes, weights / math.sqrt(2 * math.pi))]
    weight, y = grid[1].prod(1), values(grid[0])
    energies = np.zeros(highest + 1)
    for alpha in itertools.product(range(highest + 1), repeat=3):
        if sum(alpha) <= highest:
            he = [hermite_e.hermeval(grid[0][:, i], [0] * q + [1]) for i, q in enumerate(alpha)]
            scale = math.prod(map(math.factorial, alpha))
            energies[sum(alpha)] += float(np.sum(weight * y * he[0] * he[1] * he[2])) ** 2 / scale
    return energies


@pytest.mark.parametrize("formula", SINGLE)
def test_single_index_targets(formula: str):
    target = targets.from_formula(formula, inputs=3)
    assert (targets.information_exponent(target), targets.generative_exponent(target)) == SINGLE[formula]
    assert targets.leap(target) == SINGLE[formula][0]


def test_shares_explained_by_the_labels_against_the_preimages():
    """`y = z² exp(-z²)`: with `t = z²`, both preimages of `y` are values of Lambert's function, and `E[He_2|y] = 0` exactly."""
    shares = explained(lambda g: g**2 * np.exp(-(g**2)), 4)
    y = np.linspace(0.01, 0.36, 9)
    t = np.stack([-lambertw(-y, branch).real for branch in (0, -1)])
    weight = np.exp(t / 2) / np.sqrt(t) / np.abs(1 - t)  # of a preimage: its density over |dy/dt|
    second, fourth = (np.sum(weight * h, 0) / np.sum(weight, 0) for h in (t - 1, t**2 - 6 * t + 3))
    assert np.abs(second).max() < 1e-12 < np.abs(fourth).min()
    for k, (share, error) in enumerate(shares, 1):
        assert error < 1e-20
        assert (share > 0.1) if k == 4 else (share <= error)


def test_shares_in_closed_form():
    """A sign says the half line of `g`: `E[g|y]² = 2/π`; the square says everything that is even."""
    (first, _), (second, _) = explained(np.sign, 2)
    assert first == pytest.approx(2 / math.pi, rel=1e-9)
    assert second < 1e-20
    (odd, _), (even, _) = explained(np.square, 2)
    assert odd < 1e-20
    assert even == pytest.approx(1, rel=1e-2)  # He_2 is a function of the square; the transform of y approximates it
    # A jump away from the borders of the panels: the error is said, and is below the tolerance.
    (share, error), *_ = explained(lambda g: np.sign(np.abs(g) - 0.7431), 2)
    assert share <= error < 1e-6


@pytest.mark.parametrize("formula", LEAPS)
def test_leaps(formula: str):
    assert targets.leap(targets.from_formula(formula, inputs=4)) == LEAPS[formula]


@pytest.mark.parametrize(("directions", "powers", "coefficients", "formula"), TEN)
def test_both_representations_against_brute_force(directions: Any, powers: Any, coefficients: Any, formula: str):
    powers_ = targets.Polynomial(jnp.array(directions, float), powers, jnp.array(coefficients, float))
    function = targets.from_formula(formula, inputs=3)
    with jax.enable_x64(True):
        truth = brute_force(lambda z: np.asarray(powers_(jnp.asarray(z)))[:, 0], 5)
    first = expansion(powers_)
    for terms in (first, expansion(function)):
        found = [terms.energy(k) if k <= terms.degree else 0.0 for k in range(6)]
        np.testing.assert_allclose(found, truth, rtol=1e-6, atol=1e-6 * truth.sum())
        assert abs(terms.variance / truth[1:].sum() - 1) < 1e-6
    assert targets.leap(powers_) == targets.leap(function)
    present = [k for k in range(1, 6) if truth[k] > 1e-8 * truth[1:].sum()]
    assert targets.information_exponent(powers_) == targets.information_exponent(function) == present[0]
    assert targets.degree_spectrum(powers_).degree == present[-1]


@pytest.mark.parametrize("formula", ["z1 + z2 + z1*z2", "z1 + z1*z2*z3", "z1*z2 + he3(z3)"])
def test_exponents_do_not_change_under_rotations(formula: str):
    plain = targets.from_formula(formula, inputs=3)
    rotation = ortho_group.rvs(5, random_state=0)[:3]
    directions = jnp.asarray(rotation[: len(plain.directions)])
    turned = targets.from_function(targets.formula(formula), directions)
    assert targets.leap(turned) == targets.leap(plain)
    np.testing.assert_allclose(targets.degree_spectrum(turned).shares, targets.degree_spectrum(plain).shares, atol=1e-6)


def test_other_representations_of_a_polynomial_have_the_same_leap():
    """`x_1 x_2 x_3` as a sum of four cubes, and in directions that are not orthogonal."""
    signs = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float)
    cubes = targets.Polynomial(jnp.asarray(signs), (3,) * 4, jnp.full(4, 1 / 24))
    x = jax.random.normal(jax.random.key(0), (5, 3))
    np.testing.assert_allclose(cubes(x)[:, 0], jnp.prod(x, axis=1), rtol=1e-4, atol=1e-6)
    oblique = targets.from_function(lambda a, b, c: a * (b - a) * c, jnp.array([[1.0, 0, 0], [1, 1, 0], [0, 0, 1]]))
    dependent = targets.from_function(lambda a, b: a * b, jnp.array([[1.0, 0], [1.0, 0]]))
    assert targets.leap(cubes) == targets.leap(oblique) == 3
    assert targets.leap(dependent) == 2
    assert targets.degree_spectrum(dependent).shares[1] == pytest.approx(1)


def test_a_target_of_full_rank():
    """The tensors of sums of powers are never formed: 30 directions, degree 4."""
    target = targets.Polynomial(jnp.eye(30), (4,) * 30, jnp.ones(30))
    assert (targets.information_exponent(target), targets.leap(target)) == (2, 2)
    assert targets.degree_spectrum(target).energies[3] == pytest.approx(30 * 24, rel=1e-5)


def test_tolerance_is_a_share_of_the_variance():
    target = targets.from_formula("he3(z1) + 0.01*z1", inputs=1)
    assert targets.information_exponent(target) == 1
    assert targets.information_exponent(target, tol=1e-4) == 3
    assert targets.degree_spectrum(target, tol=1e-4).exponent == 3


def test_the_norm_of_a_direction_matters():
    cube = lambda z: z**3 - 3 * z  # noqa: E731
    assert targets.information_exponent(targets.from_function(cube, jnp.array([1.0, 0]))) == 3
    assert targets.information_exponent(targets.from_function(cube, jnp.array([2.0, 0]))) == 1


def test_requirements_of_he4():
    table = targets.requirements(targets.from_formula("he4(z1)", inputs=12))
    assert [row.exponent for row in table.rows] == [4, 3, 2, 2, 3, 2, 1]
    assert "do not predict the models of `tn.fit`" in str(table)
    hidden = targets.requirements(targets.from_formula("z1**2*exp(-z1**2)", inputs=12))
    assert (hidden.generative_exponent, hidden.rows[-1].exponent) == (4, 2)
    several = targets.requirements(targets.from_formula("z1*z2*z3", inputs=3))
    assert (several.leap, several.generative_exponent, several.rows[4].exponent) == (3, None, 2)
    assert "Not a polynomial" in str(targets.requirements(targets.from_formula("relu(z1)", inputs=2)))


BAD = {
    "another function": (lambda: targets.leap(jnp.sin), "target: expected a target of `taylornets.targets`"),
    "constant": (lambda: targets.from_formula("1 + 0*z1", inputs=2), "phi: expected a non-constant function"),
    "constant polynomial": (
        lambda: targets.leap(targets.Polynomial(jnp.ones((2, 3)), (3, 3), jnp.array([1.0, -1]))),
        "target: expected a non-constant target",
    ),
    "several directions": (
        lambda: targets.generative_exponent(targets.from_formula("z1*z2", inputs=2)),
        "target: expected a single-index target, got one that depends on 2 directions",
    ),
    "five directions": (
        lambda: targets.from_function(lambda z: z[:, 0], jnp.eye(5)),
        "directions: expected at most 4 rows",
    ),
    "zero direction": (lambda: targets.from_function(jnp.sin, jnp.zeros(3)), "directions: expected nonzero directions"),
    "no function": (lambda: targets.from_function("z1", jnp.ones(3)), "phi: expected a function.*from_formula"),
    "arity": (lambda: targets.from_function(lambda a, b, c: a, jnp.eye(2)), "phi: expected a function of 2 arrays"),
    "shape": (
        lambda: targets.from_function(lambda a: jnp.outer(a, a)[:3], jnp.ones(2)),
        "phi: expected a function with real",
    ),
    "not finite": (lambda: targets.from_function(jnp.log, jnp.ones(2)), "phi: expected finite values at every node"),
    "quadrature": (
        lambda: targets.from_formula("sign(sin(9*z1 + z2*z3*z4))", inputs=4),
        "phi: expected a function that the quadrature resolves, got an estimated error of 0",
    ),
    "degree too high": (
        lambda: targets.from_formula("z1*z2*z3*z4", inputs=4, degree=12),
        "degree: expected at most 11",
    ),
    "tolerance": (lambda: targets.leap(targets.from_formula("z1", inputs=1), tol=2.0), "tol: expected a share"),
    "only above the degree": (
        lambda: targets.leap(targets.from_formula("he5(z1)", inputs=1, degree=3)),
        "target: expected a target with a term within its expansion",
    ),
    "generative above highest": (
        lambda: targets.generative_exponent(targets.from_formula("he4(z1)", inputs=1), highest=1),
        "target: expected a target with an exponent of at most 1",
    ),
    "syntax": (lambda: targets.from_formula("z1 +", inputs=1), "formula: expected a formula in z1, z2"),
    "caret": (lambda: targets.from_formula("z1 ^ 2", inputs=1), "Powers are written"),
    "call": (lambda: targets.from_formula("__import__('os').system('true')", inputs=1), "formula: expected a formula"),
    "name": (lambda: targets.from_formula("x1", inputs=1), "formula: expected a formula in z1"),
    "exponent": (lambda: targets.from_formula("z1**0.5", inputs=1), "formula: expected integer exponents from 0"),
    "five variables": (lambda: targets.from_formula("z1*z2*z3*z4*z5", inputs=5), "formula: expected 1 to 4 variables"),
    "no variable": (lambda: targets.from_formula("3", inputs=5), "formula: expected 1 to 4 variables, got 0"),
    "too long": (lambda: targets.from_formula("z1+" * 200 + "z1", inputs=5), "of at most 400 characters"),
    "beyond the inputs": (lambda: targets.from_formula("z3", inputs=2), "formula: expected variables z1 to z2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str):
    call, message = BAD[case]
    with pytest.raises(tn.ArgumentError, match=message):
        call()
