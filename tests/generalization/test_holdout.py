"""Hold-out bounds, progressive validation and conformal thresholds against binomial tails and enumeration (theory 13)."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

import taylornets as tn

G = tn.generalization


def labels(wrong, rows):
    return np.arange(rows) >= wrong


@pytest.mark.parametrize(("wrong", "rows"), [(0, 20), (3, 57), (56, 57)])
@pytest.mark.parametrize("delta", [0.05, 0.3])
def test_clopper_pearson_inverts_the_binomial_tail(wrong, rows, delta):
    found = G.holdout(labels(wrong, rows), delta)
    assert binom.cdf(wrong, rows, found.bound) == pytest.approx(delta, rel=1e-9)
    assert found.error == wrong / rows
    assert f"{100 * (1 - delta):g} % confidence" in str(found)


def test_all_wrong_bounds_nothing():
    assert G.holdout(labels(5, 5)).bound == 1


@pytest.mark.parametrize("risk", [0.02, 0.3, 0.7])
def test_coverage_is_exact_by_enumeration(risk):
    """The probability of a violation, summed over all counts: at most δ; without δ (the plain error), about one half."""
    probabilities = binom.pmf(np.arange(31), 30, risk)
    assert probabilities[[G.holdout(labels(k, 30), 0.1).bound < risk for k in range(31)]].sum() <= 0.1
    assert probabilities[[G.progressive(labels(k, 30), 0.1).bound < risk for k in range(31)]].sum() <= 0.1
    assert probabilities[[k / 30 < risk for k in range(31)]].sum() > 0.4


def test_bounded_losses_are_covered_by_enumeration():
    """Losses in {0, 1/2, 1} with known probabilities: all samples, by their counts for Bentkus and in order for betting."""
    values, weights = np.array([0.0, 0.5, 1.0]), np.array([0.5, 0.3, 0.2])
    for method, n in (("bentkus", 10), ("betting", 5)):
        missed = 0.0
        for sample in itertools.product(range(3), repeat=n) if method == "betting" else _counts(n):
            index = np.array(sample) if method == "betting" else np.repeat(range(3), sample)
            chance = weights[index].prod() * (1 if method == "betting" else _orders(sample))
            missed += chance * (G.holdout(losses=values[index], delta=0.2, method=method).bound < 0.35)
        assert missed <= 0.2
    steady = np.full(200, 0.3)
    assert G.holdout(losses=steady, method="betting").bound < G.holdout(losses=steady).bound < 0.4


def _counts(n):
    return [(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]


def _orders(counts):
    return math.factorial(sum(counts)) / math.prod(map(math.factorial, counts))


def test_refitted_model_pays_for_its_disagreement():
    held = G.holdout(labels(2, 100), 0.03)
    found = G.transfer(held, labels(5, 400), 0.02)
    assert found.bound == pytest.approx(held.bound + G.holdout(labels(5, 400), 0.02).bound)
    assert found.delta == pytest.approx(0.05)
    assert "400 unlabeled rows" in found.basis


def test_conformal_threshold_covers_exactly():
    """All positions of a new score among 9: coverage at level 0.8 is ⌈10 · 0.8⌉/10; that of the median is less."""
    scores = np.random.default_rng(0).permutation(10.0 + np.arange(10))
    covered = [scores[i] <= G.conformal(np.delete(scores, i), 0.8) for i in range(10)]
    assert np.mean(covered) == 0.8
    assert np.mean([scores[i] <= np.median(np.delete(scores, i)) for i in range(10)]) < 0.8
    assert G.conformal(scores, 0.95) == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: G.holdout(np.ones(3)),
            r"correct: expected booleans of shape \(n,\).*For example `predictions == labels`",
        ),
        (lambda: G.holdout(), r"correct: expected either `correct` or `losses`, got neither"),
        (
            lambda: G.holdout(labels(1, 3), losses=np.ones(3)),
            r"correct: expected either `correct` or `losses`, got both",
        ),
        (lambda: G.holdout(labels(1, 3), 1.5), r"delta: expected a probability below 1, got 1\.5"),
        (lambda: G.holdout(losses=np.array([0.5, 2.0])), r"losses: expected numbers from 0 to 1, got 2"),
        (lambda: G.holdout(losses=np.ones(2), method="hoeffding"), r"method: expected one of 'bentkus', 'betting'"),
        (lambda: G.holdout(losses=np.array([np.nan])), r"losses: expected finite numbers"),
        (
            lambda: G.transfer(G.holdout(labels(1, 3), 0.9), labels(1, 3), 0.2),
            r"delta: expected a probability below 0\.1",
        ),
        (lambda: G.progressive(np.zeros((2, 2), bool)), r"correct: expected booleans of shape \(n,\)"),
        (lambda: G.conformal(np.ones(3), 0.0), r"level: expected a finite number > 0"),
        (lambda: G.conformal(np.ones(3), 1.0), r"level: expected a probability below 1"),
    ],
)
def test_bad_input_is_rejected_in_a_sentence(call, message):
    with pytest.raises(tn.ArgumentError, match=message):
        call()
