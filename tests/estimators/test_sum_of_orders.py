"""Estimators of sums of orders (theory 12)."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
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


def test_parts_of_a_prediction(fitted: tuple[Any, np.ndarray, np.ndarray]):
    """They add up to the prediction, and are the terms of the network at `V` and `W`, in units of the targets."""
    model, x, y = fitted
    linear, quadratic = model.predict(x, parts=True)
    np.testing.assert_allclose(linear + quadratic, model.predict(x), rtol=1e-10)
    scaled = model._scaled(x.astype(model.initial_weights_.dtype))
    with jax.enable_x64(scaled.dtype == np.float64):
        net = tn.TwoLayerNetwork(
            jnp.asarray(model.initial_weights_), jnp.asarray(model.signs_), tn.activations.get("gelu"), symmetric=True
        )
        terms = [np.asarray(net.term(k, w, scaled))[:, 0] for k, w in enumerate(model.displacement_, 1)]
    np.testing.assert_allclose(linear, terms[0] * model.target_scale_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(quadratic, terms[1] * model.target_scale_ + model.target_offset_, rtol=1e-4, atol=1e-5)
    two = tn.TaylorRegressor(order=(1, 2), width=8, penalty=1e-2, activation="gelu", random_state=0, tol=1e-2)
    parts = two.fit(x[:30], np.stack([y, -y], 1)[:30]).predict(x[:5], parts=True)
    assert [part.shape for part in parts] == [(5, 2), (5, 2)]
    with pytest.raises(tn.ArgumentError, match=r"interval: expected None with parts=True, got 0\.9"):
        model.predict(x, 0.9, parts=True)
    single = tn.TaylorRegressor(width=8, penalty=1e-2, random_state=0, tol=1e-2).fit(x[:30], y[:30])
    with pytest.raises(tn.ArgumentError, match="parts: expected False for a model that is not a sum"):
        single.predict(x, parts=True)


def test_path_with_pairs(fitted: tuple[Any, np.ndarray, np.ndarray]):
    model, x, y = fitted
    other = tn.TaylorRegressor(order=(1, 2), width=24, activation="gelu", random_state=0)
    *_, last = other.fit_path(x, y, [(1e-1, 1e-3), (1e-2, 1e-4)])
    assert last.penalty_ == (1e-2, 1e-4)
    np.testing.assert_allclose(last.predict(x), model.predict(x), atol=0.05)


def test_penalties_as_an_array(fitted: tuple[Any, np.ndarray, np.ndarray]):
    _, x, y = fitted
    shared: dict[str, Any] = {"order": (1, 2), "width": 8, "activation": "gelu", "random_state": 0, "tol": 1e-2}
    model = tn.TaylorRegressor(penalty=np.array([1e-2, 1e-4]), **shared).fit(x[:30], y[:30])
    assert model.penalty_ == (1e-2, 1e-4)
    same = tn.TaylorRegressor(penalty=(1e-2, 1e-4), **shared).fit(x[:30], y[:30])
    np.testing.assert_array_equal(model.predict(x), same.predict(x))


def test_bad_parameters(fitted: tuple[Any, np.ndarray, np.ndarray]):
    _, x, y = fitted
    cases = [
        (tn.TaylorRegressor(order=(1, 1)), "model: expected each order once"),
        (tn.TaylorRegressor(order=(1, 3), rank=2), r"rank: expected 'auto' or 1 for order=\(1, 3\), got 2"),
        (tn.TaylorRegressor(order=(1, 2, 3), penalty=(1.0, 2.0)), "penalty: expected a number or 3 numbers, got 2"),
        (tn.TaylorRegressor(order=(1, 3), penalty=(1.0, 0.0)), r"penalty\[1\]: expected a finite number > 0"),
        (tn.TaylorRegressor(order=(1, 3), power=4), "power: expected at least 6 for order 3, got 4"),
        (tn.TaylorRegressor(order=(1, 3), power=(4, 6)), r"power: expected a number or a pair \(2, p\), got \(4, 6\)"),
        (
            tn.TaylorRegressor(order=(1, 3), held_out="leave_one_out"),
            "held_out: expected a fraction of the rows except",
        ),
        (tn.TaylorRegressor(order=(2, 1)), "model: expected ascending orders, got"),
        (tn.TaylorRegressor(order=(1, 2), penalty="best"), "penalty: expected one of 'auto', 'cv'"),
        (tn.TaylorRegressor(order=(1, 2), penalty=(1.0, 2.0, 3.0)), "penalty: expected a number or a pair"),
        (tn.TaylorRegressor(order=(1, 2), loss="hubert"), "Did you mean 'huber'"),
        (tn.TaylorRegressor(order=(1, 2), rank=2), "rank: expected 'auto' for a sum"),
        (tn.TaylorRegressor(order=(1, 2), power=2), "power: expected at least 4"),
        (
            tn.TaylorClassifier(order=(1, 2), prior_rows=0.2),
            "prior_rows: expected None for a model that is not a single order",
        ),
    ]
    for estimator, message in cases:
        with pytest.raises(tn.ArgumentError, match=message):
            estimator.fit(x, y > 0 if isinstance(estimator, tn.TaylorClassifier) else y)


def test_certified_again(fitted: tuple[Any, np.ndarray, np.ndarray]):
    model, x, y = fitted
    again = model.certify(x, y)
    assert float(again.primal) == pytest.approx(float(model.certificate_.primal), rel=1e-4)
    assert float(again.dual) <= float(model.certificate_.primal)
    assert float(model.certify(x, -y).relative_gap) > 0.1  # other data have another optimum


def test_penalty_by_cross_validation(fitted: tuple[Any, np.ndarray, np.ndarray]):
    _, x, y = fitted
    model = tn.TaylorRegressor(
        order=(1, 2), width=24, penalty="cv", penalties=(1e2, 1e-4), folds=3, activation="gelu", random_state=0
    )
    model.fit(x[:60], y[:60])
    assert model.penalty_ == 1e-4
    assert model.path_ is not None
    assert [len(score) for score in model.path_["scores"]] == [2, 2]
    assert model.score(x[60:], y[60:]) > 0.8


@pytest.mark.parametrize("classes", [2, 3])
def test_classes(fitted: tuple[Any, np.ndarray, np.ndarray], classes: int):
    """Labels with a linear and an even part: the sum is better than either order, and its probabilities sum to 1."""
    _, x, y = fitted
    labels = np.digitize(y, np.quantile(y, np.arange(1, classes) / classes))
    shared = {"width": 24, "penalty": 1e-4, "activation": "gelu", "random_state": 0}
    model = tn.TaylorClassifier(order=(1, 2), **shared).fit(x, labels)
    assert model.status_ == "CERTIFIED"
    assert model.loss_ == ("logistic" if classes == 2 else "softmax")
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1, rtol=1e-6)
    even = tn.TaylorClassifier(order=2, **shared).fit(x, labels)
    assert model.score(x, labels) > even.score(x, labels)


@pytest.mark.parametrize("order", [(1, 3), (2, 3), (1, 2, 3)])
def test_other_sets_of_orders(fitted: tuple[Any, np.ndarray, np.ndarray], order: tuple[int, ...], tmp_path: Path):
    """Displacement, objective and parts are those of `tn.fit` on the scaled problem; there is no certificate, which is said."""
    _, x, y = fitted
    penalty = tuple({1: 1e-2, 2: 1e-4, 3: 1e-5}[k] for k in order)
    shared: dict[str, Any] = {
        "order": order,
        "width": 16,
        "activation": "gelu",
        "random_state": 0,
        "tol": 1e-5,
        "max_iter": 2000,
    }
    model = tn.TaylorRegressor(penalty=penalty, **shared).fit(x, y)
    assert (model.model_, model.status_, model.certificate_) == (order, "STATIONARY", None)
    assert model.penalty_ == penalty
    assert model.power_ == tuple(2.0 * k for k in order)
    assert [block.shape for block in model.displacement_] == [(16, 5)] * len(order)
    scaled = model._scaled(x)
    with jax.enable_x64(True):
        net = tn.TwoLayerNetwork(
            jnp.asarray(model.initial_weights_), jnp.asarray(model.signs_), tn.activations.get("gelu"), symmetric=True
        )
        target = (y - model.target_offset_) / model.target_scale_
        shape: dict[str, Any] = {"model": order, "penalty": penalty, "power": tuple(2.0 * k for k in order)}
        risk = tn.objective(net, scaled, target[:, None], **shape)
        assert float(risk(model.displacement_)) == pytest.approx(model.objective_, rel=1e-9)
        terms = [net.term(k, w, scaled)[:, 0] for k, w in zip(order, model.displacement_, strict=True)]
    parts = model.predict(x, parts=True)
    assert len(parts) == len(order)
    np.testing.assert_allclose(sum(parts), model.predict(x), rtol=1e-9)
    np.testing.assert_allclose(parts[0], np.asarray(terms[0]) * model.target_scale_, rtol=1e-7, atol=1e-9)
    assert "STATIONARY; no certificate: of the sums of orders, only (1, 2) has one" in repr(model)
    with pytest.raises(
        tn.ArgumentError, match=r"order: expected \(1, 2\), the only sum with a certificate, got \(\d, "
    ):
        model.certify(x, y)
    again = tn.load(tn.save(model, tmp_path / "sum.safetensors"))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    np.testing.assert_array_equal(again.predict(x, parts=True)[-1], parts[-1])


def test_other_sets_one_number_and_cross_validation(fitted: tuple[Any, np.ndarray, np.ndarray]):
    """One number is `λ` with `λ1 = 100 λ`. A strong penalty drives the cubic block to zero; the next one restarts it."""
    _, x, y = fitted
    shared: dict[str, Any] = {"order": (1, 3), "width": 16, "activation": "gelu", "random_state": 0}
    one = tn.TaylorRegressor(penalty=1e-5, **shared).fit(x, y)
    pair = tn.TaylorRegressor(penalty=(1e-3, 1e-5), **shared).fit(x, y)
    np.testing.assert_array_equal(one.predict(x), pair.predict(x))
    chosen = tn.TaylorRegressor(penalty="cv", penalties=(1e4, 1e-5), held_out=0.2, **shared).fit(x, y)
    assert chosen.penalty_ == 1e-5
    assert chosen.calibration_scores_ is not None
    assert np.linalg.norm(chosen.displacement_[1]) > 0.1 * np.linalg.norm(one.displacement_[1])
    *_, last = tn.TaylorRegressor(**shared).fit_path(x, y, [1e4, 1e-5])
    assert last.score(x, y) > 0.8
    assert np.linalg.norm(last.displacement_[1]) > 0.1 * np.linalg.norm(one.displacement_[1])


def test_other_sets_of_classes(fitted: tuple[Any, np.ndarray, np.ndarray]):
    """The sum has the model of order 1 as a special case, so that its objective at the same `λ1` is smaller."""
    _, x, y = fitted
    shared: dict[str, Any] = {"width": 16, "activation": "gelu", "random_state": 0}
    for classes in (2, 3):
        labels = np.digitize(y, np.quantile(y, np.arange(1, classes) / classes))
        model = tn.TaylorClassifier(order=(1, 2, 3), penalty=(1e-3, 1e-5, 1e-5), **shared).fit(x, labels)
        assert model.certificate_ is None
        assert model.objective_ < tn.TaylorClassifier(order=1, penalty=1e-3, **shared).fit(x, labels).objective_
        assert model.score(x, labels) > 0.9
        np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1, rtol=1e-6)
