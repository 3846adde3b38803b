"""Properties of the estimators beyond scikit-learn's checks: weights, frames, outputs, probabilities, certificates."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import taylornets as tn
from taylornets.estimators._data import TrainingData, columns_for, merged, rows_for

SMALL: dict[str, Any] = {"width": 32, "penalty": 1e-3, "max_iter": 300, "tol": 1e-2, "random_state": 0}
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(90, 4))
Y = X[:, 0] * X[:, 1] + X[:, 2]
TWO = np.stack([Y, X[:, 3]], axis=1)
LABELS = np.digitize(Y, [-0.7, 0.7])
ALL = {
    "taylor regressor": (tn.TaylorRegressor(**SMALL), Y),
    "taylor classifier": (tn.TaylorClassifier(**SMALL), LABELS),
    "ntk regressor": (tn.NTKRegressor(), Y),
    "ntk classifier": (tn.NTKClassifier(width=32, random_state=0), LABELS),
}


def fresh(name: str) -> tuple[Any, np.ndarray]:
    model, y = ALL[name]
    return type(model)(**model.get_params()), y


@pytest.mark.parametrize("name", ALL)
def test_weights_seeds_copies_and_frames(name: str, tmp_path: Any):
    model, y = fresh(name)
    model.fit(X, y)
    expected = model.predict(X)
    # The same seed gives the same bits.
    again = fresh(name)[0].fit(X, y)
    np.testing.assert_array_equal(again.predict(X), expected)
    assert again.objective_ == model.objective_
    assert again.certificate_.dual == model.certificate_.dual
    # So do pickle and joblib, which need no double precision around them.
    joblib.dump(model, tmp_path / "model")
    for copy in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model")):
        np.testing.assert_array_equal(copy.predict(X), expected)
        assert copy.certificate_.gap == model.certificate_.gap
    # A weight of 2 is the row twice, one of 0 a row that is absent, in any order: to the last bit.
    weight = np.arange(90) % 3
    rows = np.random.default_rng(1).permutation(np.repeat(np.arange(90), weight))
    weighted, repeated = fresh(name)[0].fit(X, y, sample_weight=weight), fresh(name)[0].fit(X[rows], y[rows])
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))
    assert weighted.certificate_.gap == repeated.certificate_.gap
    # Frames carry names, and predict what arrays do.
    columns = list("abcd")
    for frame in (pd.DataFrame(X, columns=columns), pl.DataFrame(X, schema=columns)):
        named = fresh(name)[0].fit(frame, y)
        assert list(named.feature_names_in_) == columns
        np.testing.assert_array_equal(named.predict(frame), expected)
    with pytest.raises(ValueError, match="feature names"):
        named.predict(pd.DataFrame(X, columns=list("dcba")))
    assert "of the global minimum" in repr(model)
    assert "global" not in repr(fresh(name)[0])


@pytest.mark.parametrize("model", [tn.TaylorRegressor(**SMALL), tn.NTKRegressor(ridge="cv")])
def test_several_targets(model: Any):
    found = model.fit(X, TWO).predict(X)
    assert found.shape == (90, 2)
    assert model.score(X, TWO) > 0.5
    assert model.fit(X, TWO[:, :1]).predict(X).shape == (90, 1)


def test_probabilities():
    three = tn.TaylorClassifier(**SMALL).fit(X, LABELS)
    probabilities = three.predict_proba(X)
    assert probabilities.shape == (90, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert np.all((probabilities > 0) & (probabilities < 1))
    np.testing.assert_array_equal(three.classes_[np.argmax(probabilities, axis=1)], three.predict(X))
    # The mean probability of a class is near its share.
    np.testing.assert_allclose(probabilities.mean(axis=0), np.bincount(LABELS) / 90, atol=0.1)
    names = np.array(["no", "yes"])[(Y > 0).astype(int)]
    two = tn.TaylorClassifier(**SMALL).fit(X, names)
    assert set(two.predict(X)) == {"no", "yes"}
    assert two.predict_proba(X).shape == (90, 2)
    np.testing.assert_array_equal(two.decision_function(X) > 0, two.predict(X) == "yes")
    assert not hasattr(tn.TaylorClassifier(loss="squared"), "predict_proba")
    assert not hasattr(tn.NTKClassifier(), "predict_proba")


def test_randomized_classifier_of_several_classes():
    model = tn.TaylorClassifier(**SMALL | {"max_iter": 30, "tol": 0.5}, model="randomized").fit(X, LABELS)
    assert model.loss_ == "logistic"
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-12)
    assert 0 <= model.certificate_.dual <= model.certificate_.primal


def test_warm_start_goes_on():
    model = tn.TaylorRegressor(**SMALL, warm_start=True).fit(X, Y)
    steps = model.n_iter_
    weights = model.initial_weights_
    model.fit(X, Y)
    assert model.n_iter_ <= steps
    np.testing.assert_array_equal(model.initial_weights_, weights)
    assert model.set_params(width=16).fit(X, Y).displacement_.shape == (16, 5)


def test_order_3_and_full_have_no_certificate():
    for options in ({"order": 3}, {"model": "full"}):
        model = tn.TaylorRegressor(**SMALL | {"max_iter": 300, "tol": 0.1}, **options).fit(X, Y)
        assert model.certificate_ is None
        assert np.isfinite(model.objective_)
        with pytest.raises(tn.ArgumentError, match="model: expected 'linear', 'quadratic' or 'randomized'"):
            model.certify(X, Y)


@pytest.mark.parametrize("weight", [None, np.arange(90) % 4])
@pytest.mark.usefixtures("x64")
def test_certificate_is_that_of_certify_on_the_scaled_problem(weight: Any):
    model = tn.TaylorRegressor(**SMALL).fit(X, Y, sample_weight=weight)
    p = np.ones(90) if weight is None else weight.astype(float)
    mean, center = np.average(X, axis=0, weights=p), np.average(Y, weights=p)
    z = (X - mean) / np.sqrt(np.average((X - mean) ** 2, axis=0, weights=p))
    z = np.concatenate([z, np.full((90, 1), 2.0)], axis=1)  # √d = 2
    z = jnp.asarray(z / np.linalg.norm(z, axis=1, keepdims=True))
    t = (Y - center) / np.sqrt(np.average((Y - center) ** 2, weights=p))
    net = tn.TwoLayerNetwork(
        jnp.asarray(model.initial_weights_), jnp.asarray(model.signs_), tn.activations.get("cubic_relu"), True
    )
    w = jnp.asarray(model.displacement_)
    proof = tn.certify(net, w, z, t, penalty=model.penalty_, power=model.power_, sample_weight=p)
    assert model.objective_ == pytest.approx(float(proof.primal), rel=1e-12)
    # The bound of an earlier iterate may be better than that of the last one, never worse.
    assert float(proof.dual) * (1 - 1e-9) <= model.certificate_.dual <= model.objective_
    assert model.certify(X, Y, sample_weight=weight).dual == pytest.approx(float(proof.dual), rel=1e-9)
    prediction = np.asarray(net.term(2, w, z))[:, 0] * model.target_scale_ + model.target_offset_
    np.testing.assert_allclose(model.predict(X), prediction, rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_kernel_ridge_is_its_closed_form():
    ridge = 1e-2
    model = tn.NTKRegressor(ridge=ridge).fit(X, Y)
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    z = np.concatenate([z, np.full((90, 1), 2.0)], axis=1)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    gram = np.asarray(tn.kernels.infinite_width_ntk("cubic_relu", z))
    coefficients = np.linalg.solve(gram + 90 * ridge * np.eye(90), (Y - Y.mean()) / Y.std())
    np.testing.assert_allclose(model.predict(X), gram @ coefficients * Y.std() + Y.mean(), rtol=1e-9)
    assert 0 <= model.certificate_.relative_gap < 1e-10


def test_kernel_ridge_by_iteration_agrees(monkeypatch: pytest.MonkeyPatch):
    direct = tn.NTKRegressor(ridge=1e-2).fit(X, Y)
    monkeypatch.setattr("taylornets.estimators._ntk._DECOMPOSED", 50)
    iterated = tn.NTKRegressor(ridge=1e-2).fit(X, Y)
    np.testing.assert_allclose(iterated.predict(X), direct.predict(X), atol=1e-5)
    assert 0 <= iterated.certificate_.relative_gap < 1e-6
    with pytest.raises(tn.ArgumentError, match="ridge: expected a number for more than 50 distinct rows, got 'cv'"):
        tn.NTKRegressor(ridge="cv").fit(X, Y)


def test_the_penalty_is_selected_by_default():
    options: dict[str, Any] = SMALL | {"penalties": (1e-1, 1e-3), "folds": 2}
    chosen = tn.TaylorClassifier(**(options | {"penalty": "cv"})).fit(X, LABELS)
    del options["penalty"]
    plain: Any = tn.TaylorClassifier(**options).fit(X, LABELS)
    assert plain.path_ == chosen.path_
    np.testing.assert_array_equal(plain.predict_proba(X), chosen.predict_proba(X))
    risks = [risk for _, risk in plain.path_["scores"]]
    assert plain.penalty_ == (1e-1, 1e-3)[int(np.argmin(risks))]


def test_chunks_and_jobs_change_nothing():
    options: dict[str, Any] = SMALL | {"penalty": "cv", "penalties": (1e-1, 1e-2), "folds": 2}
    plain = tn.TaylorRegressor(**options).fit(X, Y)
    threads = tn.TaylorRegressor(**options, n_jobs=2).fit(X, Y)
    np.testing.assert_array_equal(plain.predict(X), threads.predict(X))
    assert plain.path_ == threads.path_
    chunked = tn.TaylorRegressor(**SMALL, chunk_size=50).fit(X, Y)
    assert chunked.objective_ == pytest.approx(tn.TaylorRegressor(**SMALL).fit(X, Y).objective_, rel=1e-2)


def test_progress_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]):
    tn.TaylorRegressor(**SMALL).fit(X, Y)
    assert capsys.readouterr() == ("", "")
    tn.TaylorRegressor(**SMALL, verbose=True).fit(X, Y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "final fit" in err


def test_too_few_iterations_warn():
    with pytest.warns(ConvergenceWarning, match="stopped at max_iter=2 before tol=1e-08"):
        tn.TaylorRegressor(**SMALL | {"max_iter": 2, "tol": 1e-8}).fit(X, Y)


def test_user_options_of_jax_stay():
    before = dict(jax.config.values)
    tn.NTKRegressor().fit(X.astype(np.float32), Y)
    assert tn.NTKRegressor().fit(X.astype(np.float32), Y).coefficients_.dtype == np.float32
    assert dict(jax.config.values) == before


def test_rows_are_merged_and_sizes_are_few():
    found = merged(
        TrainingData(np.array([[1.0], [0.0], [1.0], [-0.0]]), np.zeros((4, 1)), np.array([1.0, 2.0, 3.0, 4.0]))
    )
    np.testing.assert_array_equal(found.x[:, 0], [0, 1])
    np.testing.assert_array_equal(found.weight, [6, 4])
    assert [rows_for(n) for n in (1, 257, 5000)] == [256, 512, 5120]
    assert [columns_for(n) for n in (1, 17, 65)] == [16, 32, 80]


ERRORS: list[tuple[type, dict[str, Any], str]] = [
    (tn.TaylorRegressor, {"width": 3}, "width: expected an even number"),
    (tn.TaylorRegressor, {"width": 0}, "width: expected an integer ≥ 2, got 0"),
    (tn.TaylorRegressor, {"order": 0}, "order: expected an integer ≥ 1, got 0"),
    (tn.TaylorRegressor, {"model": "cubic"}, "model: expected one of"),
    (tn.TaylorRegressor, {"penalty": "aic"}, "penalty: expected one of 'auto', 'cv'"),
    (tn.TaylorRegressor, {"penalty": -1.0}, "penalty: expected a finite number > 0, got -1.0. Or use 'cv'"),
    (tn.TaylorRegressor, {"penalties": (1e-3, 1e-2)}, "penalties: expected a decreasing path of penalties"),
    (tn.TaylorRegressor, {"penalties": (0.0,)}, "penalties: expected a finite number > 0"),
    (tn.TaylorRegressor, {"power": 3}, "power: expected at least 4 for order 2, got 3"),
    (tn.TaylorRegressor, {"rank": 2, "order": 1}, "rank: expected 1 for model=1, got 2"),
    (tn.TaylorRegressor, {"bias": 0}, "bias: expected a finite number > 0"),
    (tn.TaylorRegressor, {"scaling": "cube"}, "scaling: expected one of 'ball', 'sphere'"),
    (tn.TaylorRegressor, {"folds": 1}, "folds: expected an integer ≥ 2"),
    (tn.TaylorRegressor, {"tol": 0}, "tol: expected a finite number > 0"),
    (tn.TaylorRegressor, {"max_iter": 0}, "max_iter: expected an integer ≥ 1"),
    (tn.TaylorRegressor, {"chunk_size": 0}, "chunk_size: expected an integer ≥ 1"),
    (tn.TaylorRegressor, {"loss": "logistic"}, "loss: expected one of .*'huber'.*'squared'"),
    (tn.TaylorRegressor, {"activation": "tanhh"}, "tanh"),
    (tn.TaylorClassifier, {"loss": "hinge"}, "loss: expected one of"),
    (tn.NTKRegressor, {"width": 5}, "width: expected an even number"),
    (tn.NTKRegressor, {"ridge": 0}, "ridge: expected a finite number > 0, got 0. Or use 'cv'"),
    (tn.NTKRegressor, {"ridge": "gcv"}, "ridge: expected one of 'cv'"),
    (tn.NTKRegressor, {"ridges": (-1.0,), "ridge": "cv"}, "ridges: expected a finite number > 0"),
    (tn.NTKClassifier, {"bias": -1}, "bias: expected a finite number > 0"),
]


@pytest.mark.parametrize(("kind", "options", "message"), ERRORS)
def test_bad_parameters_are_named(kind: Any, options: dict[str, Any], message: str):
    with pytest.raises(tn.ArgumentError, match=message):
        kind(**options).fit(X, LABELS)


def test_bad_data_are_named():
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        tn.TaylorRegressor(**SMALL).fit(X, Y, sample_weight=np.zeros(90))
    with pytest.raises(tn.ArgumentError, match="y: expected at least two classes, got 1 class"):
        tn.NTKClassifier().fit(X, np.ones(90, int))
    for model in (tn.TaylorRegressor(**SMALL | {"penalty": "cv"}), tn.NTKRegressor(ridge="cv")):
        with pytest.raises(tn.ArgumentError, match="n_samples=1 does not allow cross-validation"):
            model.fit(X[:1], Y[:1])


@pytest.mark.usefixtures("x64")
def test_in_a_pipeline():
    assert make_pipeline(StandardScaler(), tn.NTKClassifier()).fit(X, LABELS).score(X, LABELS) > 0.8
