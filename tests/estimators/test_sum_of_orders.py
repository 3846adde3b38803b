"""The estimator of the sum of orders 1 and 2 (theory 12)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import taylornets as tn


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(120, 4))
    y = x.sum(axis=1) + x[:, 0] * x[:, 1]
    model = tn.TaylorRegressor(order=(1, 2), width=24, penalty=1e-4, activation="gelu", random_state=0)
    return model.fit(x, y), x, y


def test_certified_and_saved(fitted: tuple[Any, np.ndarray, np.ndarray], tmp_path: Path):
    model, x, y = fitted
    v, w = model.displacement_
    assert v.shape == (24, 5)
    assert w.shape[0] == 24
    assert w.shape[-1] == 5
    assert float(model.certificate_.relative_gap) <= 1e-3
    assert model.status_ == "CERTIFIED"
    assert model.score(x, y) > 0.9
    again = tn.load(tn.save(model, tmp_path / "sum.safetensors"))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_path_with_pairs(fitted: tuple[Any, np.ndarray, np.ndarray]):
    model, x, y = fitted
    other = tn.TaylorRegressor(order=(1, 2), width=24, activation="gelu", random_state=0)
    *_, last = other.fit_path(x, y, [(1e-1, 1e-3), (1e-2, 1e-4)])
    assert last.penalty_ == (1e-2, 1e-4)
    np.testing.assert_allclose(last.predict(x), model.predict(x), atol=0.05)


def test_bad_parameters(fitted: tuple[Any, np.ndarray, np.ndarray]):
    model, x, y = fitted
    cases = [
        (tn.TaylorRegressor(order=(1, 1)), "model: expected each order once"),
        (tn.TaylorRegressor(order=(1, 2), penalty="cv"), "penalty: expected a number λ2 or a pair"),
        (tn.TaylorRegressor(order=(1, 2), penalty=(1.0, 2.0, 3.0)), "penalty: expected a number or a pair"),
        (tn.TaylorRegressor(order=(1, 2), loss="huber"), "order: expected a single order except for the squared loss"),
        (tn.TaylorRegressor(order=(1, 2), rank=2), "rank: expected 'auto' for a sum"),
        (tn.TaylorRegressor(order=(1, 2), power=2), "power: expected at least 4"),
        (
            tn.TaylorClassifier(order=(1, 2)),
            "order: expected a single order except for the squared loss, got a classifier",
        ),
    ]
    for estimator, message in cases:
        with pytest.raises(tn.ArgumentError, match=message):
            estimator.fit(x, y > 0 if isinstance(estimator, tn.TaylorClassifier) else y)
    with pytest.raises(tn.ArgumentError, match="model: expected"):
        model.certify(x, y)
