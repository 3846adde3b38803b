"""The hierarchical representation, against Monte Carlo, exact spans and brute force (theory 16)."""

# pyright: reportOptionalMemberAccess=false

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.learners._covariance import activation_parity, check_moments, closed_form

hierarchical = tn.learners.hierarchical


def sphere(seed: int, n: int, d: int) -> jax.Array:
    x = jax.random.normal(jax.random.key(seed), (n, d))
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def unit(x: jax.Array) -> jax.Array:
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def key(seed: int = 0) -> Any:
    return jax.random.key(seed)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["gaussian", "sphere"])
@pytest.mark.parametrize("name", ["square", "relu", "relu_power_2", "cubic_relu"])
def test_closed_covariance_against_monte_carlo(kind: str, name: str):
    """200,000 rows in dimension 6: relative error below 3 %, and 8 % for moments of order 6."""
    generator, d = np.random.default_rng(0), 6
    v = generator.normal(size=(9, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    x = generator.normal(size=(200_000, d))
    if kind == "sphere":
        x *= np.sqrt(d) / np.linalg.norm(x, axis=1, keepdims=True)
    s = tn.activations.get(name)
    g = np.asarray(s(jnp.asarray(x @ v.T)))
    found = closed_form(kind, s, v, np.zeros(9))
    assert np.linalg.norm(found - g.T @ g / len(g)) < (0.08 if "cubic" in name else 0.03) * np.linalg.norm(found)


@pytest.mark.parametrize("kind", ["gaussian", "sphere"])
@pytest.mark.parametrize(("n", "d"), [(3, 4), (8, 2), (8, 40), (60, 5), (500, 30)])
def test_rows_of_the_stated_distribution_pass(kind: str, n: int, d: int):
    """200 draws each; the two tests of moments have a false alarm rate of about 1e-6."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        x = generator.normal(size=(n, d))
        scale = np.sqrt(d) / (
            np.linalg.norm(x, axis=1, keepdims=True) if kind == "sphere" else np.sqrt(np.mean(x**2) * d)
        )
        check_moments(kind, scale * x)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("covariance", ["empirical", "sphere"])
def test_square_spans_the_quadratic_forms(covariance: str, double: bool):
    """Rank K = d(d+1)/2 of D = 2K, mean squared norm 1, and every quadratic form is linear in h."""
    with jax.enable_x64(double):
        x = 7.0 * sphere(0, 500, 5)  # any scale
        h = hierarchical(key(), x, width=30, covariance=covariance)
        assert (h.outputs, h.dropped, h.parity) == (15, 15, "even")
        z = h(x)
        assert z.dtype == x.dtype
        assert float(jnp.mean(jnp.sum(z**2, 1))) == pytest.approx(1, abs=1e-4 if covariance == "empirical" else 0.1)
        wanted = x[:, 0] * x[:, 1] + 0.3 * x[:, 2] ** 2
        rest = wanted - z @ jnp.linalg.lstsq(z, wanted)[0]
        assert float(jnp.linalg.norm(rest) / jnp.linalg.norm(wanted)) < 1e-3 if not double else 1e-10
        np.testing.assert_allclose(h(-x), z, rtol=1e-4, atol=1e-5)


def test_empirical_covariance_is_whitened():
    x = sphere(1, 400, 4)
    h = hierarchical(key(), x, width=25)
    z = h(x)
    np.testing.assert_allclose(z.T @ z / len(z), jnp.eye(h.outputs) / h.outputs, atol=2e-5)
    more = hierarchical(key(), x[:40], width=25, unlabeled=x[40:])
    np.testing.assert_allclose(more(x) @ more(x).T, z @ z.T, atol=1e-3)  # the same rows, the same kernel


def test_relu_keeps_degrees_up_to_two():
    h = hierarchical(key(), sphere(2, 3000, 4), width=100, activation="relu", covariance="sphere")
    assert (h.outputs, h.parity) == (14, None)  # d(d+3)/2
    assert hierarchical(key(), sphere(2, 300, 4), width=100, activation="relu", keep=7).outputs == 7


def test_parities():
    names = {"square": "even", "sin": "odd", "relu": None, "polynomial(0, 1, 0, 1)": "odd"}
    assert {name: activation_parity(tn.activations.get(name)) for name in names} == names
    assert hierarchical(key(), sphere(0, 200, 4), width=20, bias=1.0).parity is None


def test_wrong_parity_is_said_before_training():
    x = sphere(3, 1000, 6)
    h = hierarchical(key(), x, width=42)
    he3, he4 = (tn.targets.from_formula(f"he{k}(z1)", inputs=6) for k in (3, 4))
    said = h.wrong_parity(he3)
    assert said is not None
    assert "a share of 1 of its variance" in said
    assert "Use a bias" in said
    assert h.wrong_parity(he4) is None
    assert h.wrong_parity(x, x[:, 0]) is not None
    assert h.wrong_parity(x, x[:, 0] * x[:, 1]) is None
    assert hierarchical(key(), x, width=42, bias=1.0).wrong_parity(he3) is None
    assert "express even functions only" in str(h)


@pytest.mark.usefixtures("x64")
def test_degree_four_is_learned_and_an_odd_target_is_not():
    """Fit, certificate, complexity and prediction on h; d = 6, He_4, and He_3 as control: its error is at least 1."""
    x, test = sphere(4, 300, 6), sphere(5, 1000, 6)
    h = hierarchical(key(), x, width=42, covariance="sphere")
    errors: list[float] = []
    for k in (4, 3):
        f = tn.targets.from_formula(f"he{k}(z1)", inputs=6)
        y, truth = f(jnp.sqrt(6) * x)[:, 0], f(jnp.sqrt(6) * test)[:, 0]
        result = tn.fit(h.network(key(1)), h(x), y / jnp.std(y), penalty=1e-6, power=4, tol=1e-3)
        nu = result.certificate.dual_vector
        certificate = tn.certify(
            h.network(key(1)), result.w, h(x), y / jnp.std(y), penalty=1e-6, power=4, dual_vector=nu
        )
        assert float(certificate.relative_gap) < 1e-3
        guess = result.predict(h(test))[:, 0]
        errors.append(float(jnp.mean((guess - truth / jnp.std(y)) ** 2) / jnp.var(truth / jnp.std(y))))
    assert errors[0] < 0.02
    assert errors[1] > 0.95
    found = tn.generalization.rademacher(h.network(key(1)), h(x), order=2, radius=1.0, draws=3, key=key(2))
    assert float(found.mean) > 0


def test_estimators_take_the_representation(tmp_path: Any):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 4))
    y = x[:, 0] ** 2 * x[:, 1] ** 2
    plain = tn.NTKRegressor().fit(x[:300], y[:300])
    model = tn.TaylorRegressor(width=32, penalty=1e-5, random_state=0, representation="hierarchical").fit(
        x[:300], y[:300]
    )
    assert model.activation_ == tn.activations.get("polynomial(0, 0, 0.5)").name
    assert model.displacement_.shape == (32, 15)  # of the 4 columns and the constant
    assert model.score(x[300:], y[300:]) > plain.score(x[300:], y[300:]) + 0.3
    assert float(model.certificate_.relative_gap) < 1e-3
    assert abs(float(model.certify(x[:300], y[:300]).primal) / model.objective_ - 1) < 1e-6
    again = tn.load(tn.save(model, tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    labels = tn.TaylorClassifier(width=32, penalty=1e-4, representation="hierarchical", random_state=0).fit(x, y > 0.3)
    assert labels.score(x, y > 0.3) > 0.9


def test_the_estimator_says_few_rows_and_wrong_parity():
    """With the default constant odd targets are learned, and nothing is said; with a small one they are not."""
    x = np.random.default_rng(0).normal(size=(400, 4))
    shared: dict[str, Any] = {"width": 32, "penalty": 1e-6, "random_state": 0, "representation": "hierarchical"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learned = tn.TaylorRegressor(**shared).fit(x[:300], x[:300, 0])
        tn.TaylorRegressor(**shared, bias=0.1).fit(x[:300], x[:300, 0] * x[:300, 1])  # even
        tn.TaylorRegressor(**shared, bias=0.1).fit(x[:300], np.ones(300))
    with pytest.warns(
        UserWarning, match=r"constant is too small to express odd targets. The target has an odd part.*bias=1"
    ):
        not_learned = tn.TaylorRegressor(**shared, bias=0.1).fit(x[:300], x[:300, 0])
    assert learned.score(x[300:], x[300:, 0]) > 0.9
    assert not_learned.score(x[300:], x[300:, 0]) < 0.6
    with pytest.warns(UserWarning, match="keeps 10 of 15 directions, a third of the number of rows, 30. Use more rows"):
        few = tn.TaylorRegressor(**shared).fit(x[:30], x[:30, 0] * x[:30, 1])
    assert few.displacement_.shape[-1] == 10


X = sphere(6, 60, 4)
NORMAL = jax.random.normal(jax.random.key(7), (400, 4))
BAD: dict[str, tuple[Any, str]] = {
    "K > D": (lambda: hierarchical(key(), X, width=20, keep=21), "keep: expected at most 20, the number of features, got 21"),
    "K > rank": (lambda: hierarchical(key(), X, width=20, keep=11), "keep: expected at most 10, got 11, for a covariance"),
    "keep": (lambda: hierarchical(key(), X, width=20, keep="all"), "keep: expected one of 'auto'"),
    "off the sphere": (
        lambda: hierarchical(key(), X.at[0].mul(2), width=20, covariance="sphere"),
        "x: expected rows of equal norms for covariance='sphere'.*Use covariance='empirical'",
    ),
    "not Gaussian": (
        lambda: hierarchical(key(), X * jnp.exp(3 * X[:, :1]), width=20, covariance="gaussian"),
        "x: expected rows of a normal distribution.*Use covariance='empirical'",
    ),
    "anisotropic": (
        lambda: hierarchical(key(), NORMAL * jnp.array([3.0, 1, 1, 1]), width=20, covariance="gaussian"),
        "x: expected isotropic rows of mean 0 for covariance='gaussian', got a mean of 0.* to [23].*Use covariance='empirical'",
    ),
    "anisotropic on the sphere": (
        lambda: hierarchical(key(), unit(NORMAL * jnp.array([3.0, 1, 1, 1])), width=20, covariance="sphere"),
        "x: expected isotropic rows of mean 0 for covariance='sphere', got a mean of 0",
    ),
    "shifted": (
        lambda: hierarchical(key(), NORMAL + 0.5, width=20, covariance="gaussian"),
        "x: expected isotropic rows of mean 0 for covariance='gaussian', got a mean of 0.4",
    ),
    "equal rows": (
        lambda: hierarchical(key(), jnp.tile(X[:1], (60, 1)), width=20, covariance="sphere"),
        "x: expected isotropic rows of mean 0 for covariance='sphere', got a mean of 1",
    ),
    "bias in closed form": (
        lambda: hierarchical(key(), X, width=20, covariance="sphere", bias=1.0),
        "covariance: expected 'empirical' for features with a bias",
    ),
    "not homogeneous": (
        lambda: hierarchical(key(), X, width=20, covariance="sphere", activation="tanh"),
        "covariance: expected 'empirical' for an activation that is not homogeneous",
    ),
    "covariance": (lambda: hierarchical(key(), X, width=20, covariance="spheer"), "Did you mean 'sphere'"),
    "unlabeled": (
        lambda: hierarchical(key(), X, width=20, covariance="sphere", unlabeled=X),
        "unlabeled: expected None for covariance='sphere'",
    ),
    "unlabeled shape": (lambda: hierarchical(key(), X, width=20, unlabeled=X[:, :2]), "unlabeled: expected shape"),
    "zeros": (lambda: hierarchical(key(), 0 * X, width=20), "x: expected nonzero rows"),
    "bias": (lambda: hierarchical(key(), X, width=20, bias=-1.0), "bias: expected a number ≥ 0"),
    "width": (lambda: hierarchical(key(), X, width=0), "width: expected an integer ≥ 1"),
    "columns": (lambda: hierarchical(key(), X, width=20)(X[:, :3]), "x: expected shape"),
    "estimator": (
        lambda: tn.TaylorRegressor(representation="hierarchy").fit(X, X[:, 0]),
        "representation: expected one of 'hierarchical'",
    ),
    "many columns": (
        lambda: tn.TaylorRegressor(representation="hierarchical").fit(np.ones((5, 70)), np.arange(5.0)),
        "representation: expected None for more than 62 columns",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str):
    call, message = BAD[case]
    with pytest.raises(tn.ArgumentError, match=message):
        call()


def test_few_rows_are_said():
    with pytest.warns(UserWarning, match="30 features is estimated from 12 rows and has rank 12"):
        h = hierarchical(key(), sphere(0, 12, 5), width=30)
    assert h.dropped == 18
    assert "dimension 12 from 30 features" in str(h)
    assert "18 directions dropped, singular or undetermined from only 12 rows (empirical covariance)" in str(h)
    assert "30 features square, 15 singular directions dropped (empirical" in str(
        hierarchical(key(), sphere(0, 100, 5), width=30)
    )
    cut = hierarchical(key(), sphere(0, 100, 5), width=30, keep=10)
    assert "15 singular directions dropped, 5 of small variance cut (empirical" in str(cut)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hierarchical(key(), sphere(0, 12, 5), width=30, covariance="gaussian")
