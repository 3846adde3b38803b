"""Brute force of the benchmark `beyond_radius`, against closed forms."""

import math

import numpy as np
import pytest
from benchmarks import _brute_force as brute
from benchmarks import beyond_radius


def line(g):
    """One example with one output, as a function of many t."""
    return lambda at: g(np.asarray(at, float))[:, None, None]


FUNCTIONS = {
    "exponential": (np.exp, [1 / math.factorial(k) for k in range(9)]),
    "pole at 0.7": (lambda t: 1 / (1 + (t / 0.7) ** 2), [(-1) ** (k // 2) / 0.7**k * (k % 2 == 0) for k in range(9)]),
}


@pytest.mark.parametrize("which", FUNCTIONS)
def test_terms_from_values(which):
    g, exact = FUNCTIONS[which]
    found, error = brute.terms(line(g), 8)
    np.testing.assert_allclose(found[:, 0, 0], exact, rtol=1e-4, atol=1e-6)
    assert abs(found[8, 0, 0] / exact[8] - 1) <= max(100 * error[8], 1e-7)


def test_the_map_from_values():
    """A pair at ±0.5 i: the mapped sum approaches the truth that the plain one leaves."""
    g = lambda t: (t + 0.2) / np.sqrt(1 + 4 * t**2)  # noqa: E731
    series, moved = brute.terms(line(g), 8)[0], np.reshape(g(1.0) - g(0.0), (1, 1))
    assert brute.explained(moved, series[1:].sum(axis=0)) < 0
    assert brute.explained(moved, brute.mapped(series, 8)) > 0.97


def test_pieces_and_since():
    rate = 9.0
    assert brute.pieces(line(lambda t: 1 + 3 * t), 1) == 1
    explains = [1 - ((math.expm1(rate / n) - rate / n) / math.expm1(rate / n)) ** 2 >= 0.9 for n in range(1, 17)]
    assert brute.pieces(line(lambda t: np.exp(rate * t)), 1) == 1 + explains.index(True)
    assert brute.since({0: [0.95, 0.99], 5: [0.2, 0.95], 10: [0.95, 0.96], 20: [math.nan] * 2}, 1) == 10
    assert brute.since({0: [0.95, 0.99], 5: [0.2, 0.95], 10: [0.5, 0.5]}, 2) is None


def test_what_differs_is_shown():
    """A wrong count of pieces, and a fraction that is off, appear in the last cell; equal ones do not."""
    parts = {"1": 0.5, "2": 0.5, "4": 0.5, "8": -2.0}
    said = {"plain": parts, "resummed": {"4": 0.9, "6": 0.9, "8": 0.9}, "midpoint": 0.9, "pieces": [3, 2], "since": [10, None],
            "limiting": None, "resummed_error": 0.0, "radius": 0.5, "kind": "a complex pair"}  # fmt: skip
    run = {"network": "GRU", "seed": 0, "said": said, "differs": beyond_radius.differences(said, said)}
    assert beyond_radius.row(run)[-2:] == ["10, never", "0e+00"]
    other = said | {"pieces": [3, 1], "plain": parts | {"8": -2.2}}
    run["differs"] = beyond_radius.differences(said, other)
    assert beyond_radius.row(run)[-1] == "9e-02; pieces: [3, 1]"
