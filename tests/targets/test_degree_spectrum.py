"""The degree spectrum from examples, against all pairs, exact expectations and known spectra (theory 17)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_gegenbauer

import taylornets as tn
from taylornets.targets._sampled import harmonics

degree_spectrum = tn.targets.degree_spectrum


def sphere(seed: int, n: int, d: int) -> jax.Array:
    x = jax.random.normal(jax.random.key(seed), (n, d))
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def test_against_all_pairs_with_scipy():
    x, d = sphere(0, 70, 6), 6
    y = np.asarray(x[:, 0] ** 2 + x[:, 1], float)
    t = np.asarray(x, float) @ np.asarray(x, float).T
    n, c = len(y), y - y.mean()
    found = degree_spectrum(x, y, degrees=3, block=32)
    for k in (1, 2, 3):
        p = eval_gegenbauer(k, d / 2 - 1, t) / eval_gegenbauer(k, d / 2 - 1, 1.0)
        total = c @ p @ c - np.sum(c**2)
        expected = harmonics(d, k) * total / (n * (n - 1) * (1 - 2 / n + 2 / n**2))
        assert found.energies[k - 1] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert found.noise is not None
    assert found.noise[1] == pytest.approx(np.sqrt(2 * 20) / n)


def test_unbiased_with_the_centering():
    """400 draws of 12 rows with a large mean: the z-score of each mean energy is below 4 (probability 6e-5 each)."""
    d, runs = 3, 400
    x = sphere(1, 12 * runs, d).reshape(runs, 12, d)
    y = 5 + jnp.sqrt(3) * x[..., 0] + jnp.sqrt(15) * x[..., 0] * x[..., 1]  # energies 1 and 1
    found = np.array(
        [degree_spectrum(*pair, degrees=3, permutations=59, resamples=0).energies for pair in zip(x, y, strict=True)]
    )
    score = (found.mean(0) - np.array([1, 1, 0])) / (found.std(0) / np.sqrt(runs))
    assert np.all(np.abs(score) < 4), score


@pytest.mark.parametrize(("power", "present"), [(1, (1,)), (2, (2,)), (3, (1, 3))])
def test_degrees_of_powers(power: int, present: tuple[int, ...]):
    x = sphere(2, 1500, 8)
    found = degree_spectrum(x, x[:, 0] ** power, degrees=3)
    assert tuple(k for k, there in zip(found.degrees, found.significant, strict=True) if there) == present
    assert (found.exponent, found.degree) == (present[0], present[-1])
    assert found.intervals is not None
    truth = degree_spectrum(tn.targets.from_formula(f"z1**{power}", inputs=8)).shares[:3]
    for share, (low, high) in zip(truth, found.intervals, strict=True):
        assert low - 0.1 < share < high + 0.1  # Gaussian and sphere differ by 1/d
    assert "*" in str(found)


def test_noise_is_significant_at_the_stated_rate():
    """40 samples of pure noise at level 0.05: more than 7 significant ones have probability 0.001."""
    x, noise = sphere(3, 60, 5), jax.random.normal(jax.random.key(4), (40, 60))
    found = [degree_spectrum(x, y, degrees=2, permutations=99, resamples=0, level=0.05).exponent for y in noise]
    assert sum(k is not None for k in found) <= 7


def test_outputs_add_up_and_scale_does_not_matter():
    x = sphere(5, 200, 5)
    y = jnp.stack([x[:, 0], x[:, 1] * x[:, 2]], axis=1)
    both = degree_spectrum(3 * x, y, degrees=2)
    parts = [degree_spectrum(x, y[:, i], degrees=2) for i in range(2)]
    np.testing.assert_allclose(both.energies, np.sum([part.energies for part in parts], axis=0), rtol=1e-3, atol=1e-6)
    assert both.exponent == 1


@pytest.mark.parametrize("double", [False, True])
def test_both_precisions(double: bool):
    with jax.enable_x64(double):
        x = sphere(6, 300, 5)
        assert degree_spectrum(x, x[:, 0], degrees=2).exponent == 1


def test_few_rows_are_said():
    x = sphere(7, 20, 30)
    found = degree_spectrum(x, x[:, 0], degrees=3)
    assert found.unresolved == (2, 3)  # √N_2 = 21.6
    assert "fewer rows than √N_k" in str(found)


X = sphere(8, 30, 4)
BAD = {
    "off the sphere": (
        (jnp.array(X).at[3].mul(2.0), X[:, 0]),
        {},
        "x: expected rows of equal nonzero norms.*Whiten the inputs",
    ),
    "constant": ((X, jnp.ones(30)), {}, "y: expected values that vary, got a constant"),
    "few": ((X[:3], X[:3, 0]), {}, "x: expected at least 4 rows"),
    "one column": ((X[:, :1], X[:, 0]), {}, "x: expected at least 4 rows and 2 columns"),
    "lengths": ((X, X[:5, 0]), {}, "y: expected shape"),
    "permutations": ((X, X[:, 0]), {"permutations": 19}, "permutations: expected at least 79, got 19"),
    "degrees": ((X, X[:, 0]), {"degrees": 0}, "degrees: expected an integer ≥ 1"),
    "target and y": ((tn.targets.from_formula("z1", inputs=4), X[:, 0]), {}, "y: expected no values for a target"),
    "function": ((jnp.sin,), {}, "target: expected a target of `taylornets.targets`"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str):
    arguments, options, message = BAD[case]
    with pytest.raises(tn.ArgumentError, match=message):
        degree_spectrum(*arguments, **options)
