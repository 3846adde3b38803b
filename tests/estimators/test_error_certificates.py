"""Certificates of error, conformal intervals and sets of the estimators (theory 13)."""

import numpy as np
import pytest

import taylornets as tn

SMALL = {"width": 16, "penalty": 1e-4, "random_state": 0, "max_iter": 300, "tol": 1e-2}


def rows(n, seed=0, noise=0.0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3))
    flipped = generator.random(n) < noise
    return x, np.where((x[:, 0] + 0.5 > 0) ^ flipped, "yes", "no")


def test_held_out_rows_give_a_clopper_pearson_bound(tmp_path):
    x, y = rows(300, noise=0.1)
    model = tn.TaylorClassifier(**SMALL, held_out=0.4).fit(x, y)
    found = model.certificate_of_error_
    assert (found.rows, found.method) == (120, "Clopper–Pearson")
    assert found.bound == tn.generalization.holdout(np.arange(120) >= round(120 * found.error)).bound
    fresh = rows(20_000, seed=1, noise=0.1)
    assert 1 - model.score(*fresh) <= found.bound
    again = tn.load(tn.save(model, tmp_path / "model.safetensors"))
    assert again.certificate_of_error_ == found
    assert str(found).startswith("On new data from the same source, the error is at most")


@pytest.mark.parametrize("classes", [2, 3])
def test_prior_rows_shape_the_features_and_are_not_counted(classes):
    x, y = rows(200)
    y = y if classes == 2 else np.digitize(x[:, 0], [-0.4, 0.4])
    model = tn.TaylorClassifier(order=1, **SMALL, prior_rows=0.1).fit(x, y)
    found = model.certificate_of_error_
    assert (found.rows, found.classes) == (180, classes)
    assert 0 <= found.empirical < found.gibbs
    # The scaling is that of the 20 other rows, and changes with no counted row.
    own = np.setdiff1d(np.arange(200), model.counted_rows_)
    np.testing.assert_allclose(model.input_offset_, x[own].mean(axis=0))
    np.testing.assert_allclose(model.input_scale_, x[own].std(axis=0))


def test_without_rows_to_count_the_reason_is_given():
    x, y = rows(60)
    model = tn.TaylorClassifier(**SMALL).fit(x, y)
    with pytest.raises(
        AttributeError, match=r"the scaling was fitted on all rows\. Set `held_out=0\.2` if rows can be spared"
    ):
        _ = model.certificate_of_error_
    weighted = tn.TaylorClassifier(**SMALL, held_out=0.3).fit(x, y, 1.0 + np.arange(60))
    with pytest.raises(AttributeError, match=r"the sample weights differ, so rows do not count equally"):
        _ = weighted.certificate_of_error_
    warm = tn.TaylorClassifier(**SMALL, held_out=0.3, warm_start=True).fit(x, y)
    with pytest.raises(AttributeError, match=r"`warm_start=True` may carry over weights from held-out rows"):
        _ = warm.certificate_of_error_
    equal = tn.TaylorClassifier(**SMALL, held_out=0.3).fit(x, y, np.r_[np.zeros(10), 2 * np.ones(50)])
    assert equal.certificate_of_error_.rows == 15


def test_intervals_cover_new_targets():
    """Coverage given the held-out rows is a beta variable; at 400 rows and level 0.9 its standard deviation is 0.015."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(5800, 2))
    y = x[:, 0] + generator.normal(size=5800) ** 2
    model = tn.TaylorRegressor(**SMALL, held_out=0.5).fit(x[:800], y[:800])
    predictions, ends = model.predict(x[800:], interval=0.9)
    assert ends.shape == (5000, 2)
    covered = np.mean((ends[:, 0] <= y[800:]) & (y[800:] <= ends[:, 1]))
    assert 0.84 <= covered <= 0.96
    np.testing.assert_array_equal(predictions, model.predict(x[800:]))
    np.testing.assert_allclose(ends.mean(axis=1), predictions)
    half = np.std(y[800:] - predictions)
    assert np.mean(np.abs(y[800:] - predictions) <= 1e-3 * half) < 0.8  # narrower intervals do not cover
    few = tn.TaylorRegressor(**SMALL, held_out=0.5).fit(x[:20], np.stack([y[:20], -y[:20]], axis=1))
    assert few.predict(x[:3], interval=0.95)[1].shape == (3, 2, 2)
    assert np.all(np.isinf(few.predict(x[:3], interval=0.95)[1]))


def test_sets_cover_new_classes():
    x, y = rows(4600, noise=0.2)
    model = tn.TaylorClassifier(**SMALL, held_out=0.5).fit(x[:600], y[:600])
    sets = model.predict_set(x[600:], 0.9)
    covered = np.mean(sets[np.arange(4000), np.searchsorted(model.classes_, y[600:])])
    assert 0.84 <= covered <= 0.97
    assert sets.sum(axis=1).mean() > 1.1  # a single class covers 80 %


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"held_out": 1.0}, r"held_out: expected a fraction below 1, got 1\.0"),
        ({"held_out": 0}, r"held_out: expected a finite number > 0, got 0"),
        ({"held_out": 0.1}, r"held_out: expected at least 10 rows on both sides of the split, got 6 of 60 rows"),
        ({"held_out": 0.3, "prior_rows": 0.3}, r"prior_rows: expected None with held_out"),
        (
            {"prior_rows": 0.3, "model": "full"},
            r"prior_rows: expected None for a model that is not a single order, got 'full'",
        ),
    ],
)
def test_invalid_shares_are_rejected(options, message):
    with pytest.raises(tn.ArgumentError, match=message):
        tn.TaylorClassifier(**SMALL, **options).fit(*rows(60))


def test_regression_has_intervals_and_no_certificate_of_error():
    x, _ = rows(60)
    with pytest.raises(tn.ArgumentError, match=r"prior_rows: expected None for regression"):
        tn.TaylorRegressor(**SMALL, prior_rows=0.5).fit(x, x[:, 0])
    model = tn.TaylorRegressor(order=1, **SMALL).fit(x, x[:, 0])
    with pytest.raises(
        tn.ArgumentError, match=r"interval: expected a model with held-out rows, got one fitted on all rows"
    ):
        model.predict(x, interval=0.9)
    with pytest.raises(tn.ArgumentError, match=r"level: expected a probability below 1"):
        tn.TaylorClassifier(**SMALL, held_out=0.5).fit(*rows(60)).predict_set(x, 1.0)


@pytest.mark.parametrize("outputs", [1, 2])
def test_leave_one_out_intervals_cover_new_targets_with_every_row_in_training(outputs, tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2080, 5))
    y = x[:, 0] * x[:, 1] + generator.normal(size=2080)
    y = y if outputs == 1 else np.stack([y, 10 - 5 * y], axis=1)
    options = SMALL | {"penalty": 1e-6, "tol": 1e-4}
    model = tn.TaylorRegressor(**options, held_out="leave_one_out").fit(x[:80], y[:80])
    predictions, ends = model.predict(x[80:], interval=0.9)
    assert ends.shape == (*y[80:].shape, 2)
    covered = np.mean((ends[..., 0] <= y[80:]) & (y[80:] <= ends[..., 1]))
    assert 0.84 <= covered <= 0.96
    residuals = np.sort(np.abs(y[:80] - model.predict(x[:80])), axis=0)[72]  # training residuals do not cover
    assert np.mean(np.abs(y[80:] - predictions) <= residuals) < 0.84
    again = tn.load(tn.save(model, tmp_path / "model.safetensors"))
    np.testing.assert_allclose(again.predict(x[80:90], interval=0.9)[1], ends[:10], rtol=1e-6)
    assert np.all(np.isinf(model.predict(x[:3], interval=0.99)[1]))


@pytest.mark.parametrize(
    ("kind", "options", "weight", "message"),
    [
        (tn.TaylorClassifier, {}, None, "a fraction of the rows for classification"),
        (tn.TaylorRegressor, {"order": 1}, None, "a fraction of the rows except for order 2"),
        (tn.TaylorRegressor, {}, np.arange(1.0, 61), "a fraction of the rows if sample weights differ"),
    ],
)
def test_leave_one_out_is_for_regression_of_order_2(kind, options, weight, message):
    x, y = rows(60)
    y = y if kind is tn.TaylorClassifier else x[:, 0]
    with pytest.raises(tn.ArgumentError, match=message):
        kind(**SMALL, **options, held_out="leave_one_out").fit(x, y, weight)
