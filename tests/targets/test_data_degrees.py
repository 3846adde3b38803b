"""The section on degrees in the report of `taylornets fit`."""

# pyright: reportIndexIssue=false

import re

import numpy as np
import pytest

from taylornets.tabular._degrees import degrees, uniformity


@pytest.fixture
def x() -> np.ndarray:
    """Correlated Gaussian features of different scales, one of them a copy."""
    g = np.random.default_rng(0).normal(size=(1500, 6))
    return np.concatenate([g * 2.0 ** np.arange(6), g[:, :1] + g[:, 1:2]], axis=1)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda g: g[:, 0], "Only degree 1 is significant"),
        (lambda g: g[:, 0] * g[:, 1], r"largest significant degree is 2. Order 1 .* d\^2 rows, and order 2 about d\^1"),
        (lambda g: np.random.default_rng(1).normal(size=len(g)), "No degree up to 3 is significant"),
    ],
)
def test_advice(x: np.ndarray, function, said: str):
    section = degrees(x, function(x[:, :6] / 2.0 ** np.arange(6)), "regression", 0)
    assert re.search(said, next(iter(section.paragraphs)))
    assert "advice, not a prediction" in tuple(section.paragraphs)[1]
    assert section.facts == {"rows": 1500, "independent features": 6}


def test_classes(x: np.ndarray):
    y = np.where(x[:, 0] > 0.3, "a", "b")
    rows = list(next(iter(degrees(x, y, "classification", 0).tables)).rows)
    assert [row[-1] for row in rows[:2]] == ["yes", "yes"]  # a step at 0.3 has parts of every degree
    assert rows[0][1] > 0.5


def test_uniform_directions_have_uniformity_one():
    g = np.random.default_rng(0).normal(size=(1000, 8))
    assert uniformity(g / np.linalg.norm(g, axis=1, keepdims=True)) == pytest.approx(1, abs=0.05)


def test_inputs_that_allow_no_estimate(x: np.ndarray):
    few = degrees(x[:20], x[:20, 0], "regression", 0)
    assert "20 rows of 6 independent features are too few" in next(iter(few.paragraphs))
    corners = np.eye(12)[np.random.default_rng(0).integers(12, size=600)]
    mixed = degrees(corners, np.arange(600.0), "regression", 0)
    assert "degrees would mix" in next(iter(mixed.paragraphs))
    assert not mixed.tables
