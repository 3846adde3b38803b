"""Predictive standard deviations of the kernel estimators against scikit-learn's Gaussian process and plain NumPy."""

# pyright: reportIncompatibleMethodOverride=false

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel

import taylornets as tn
from taylornets.estimators import _ntk

RNG = np.random.default_rng(0)
X, NEW = RNG.normal(size=(40, 3)), RNG.normal(size=(7, 3))
Y = X[:, 0] * X[:, 1] + 0.1 * RNG.normal(size=40)


class Given(Kernel):
    """A kernel function without hyperparameters, as scikit-learn takes it."""

    def __init__(self, function):
        self.function = function

    def __call__(self, X, Y=None, eval_gradient=False):
        return self.function(X, X if Y is None else Y)

    def diag(self, X):
        return np.diag(self.function(X, X))

    def is_stationary(self):
        return False


def gaussian_process(model, scale):
    """Scikit-learn's process with the same kernel and noise; inputs are scaled already."""
    kernel = Given(lambda a, b: scale * np.asarray(tn.kernels.infinite_width_ntk("cubic_relu", a, b), float))
    return GaussianProcessRegressor(kernel, alpha=scale * model.ridge_ / model.weights_, optimizer=None)


def test_scikit_learn():
    model = tn.NTKRegressor(ridge=1e-3).fit(X, Y)
    mean, deviation = model.predict(NEW, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(NEW))
    train, scaling = model.train_inputs_, _ntk.Scaling(model.input_offset_, model.input_scale_, model.input_bias_, 0.0)
    kernel = np.asarray(tn.kernels.infinite_width_ntk("cubic_relu", train), float)
    targets = (kernel @ model.coefficients_ + model.ridge_ * 40 * model.coefficients_)[:, 0]  # in the order of the rows
    np.testing.assert_allclose(np.sort(targets), np.sort((Y - model.target_offset_) / model.target_scale_), atol=1e-3)
    scale = targets @ np.linalg.solve(kernel + model.ridge_ * 40 * np.eye(40), targets) / 40
    process = gaussian_process(model, scale).fit(train, targets)
    expected_mean, expected = process.predict(scaling(NEW), return_std=True)
    np.testing.assert_allclose(mean, expected_mean * model.target_scale_ + model.target_offset_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(deviation, expected * model.target_scale_, rtol=2e-2)


def test_smaller_at_the_data_than_far_from_it():
    model = tn.NTKRegressor(ridge=1e-4).fit(X, Y)
    assert model.predict(X, return_std=True)[1].mean() < 0.7 * model.predict(4 * NEW, return_std=True)[1].mean()


def test_shapes():
    two = tn.NTKRegressor(width=20, random_state=0).fit(X, np.stack([Y, -Y], 1))
    mean, deviation = two.predict(NEW, return_std=True)
    assert mean.shape == deviation.shape == (7, 2)
    np.testing.assert_allclose(deviation[:, 0], deviation[:, 1], rtol=1e-4)
    classes, deviation = tn.NTKClassifier().fit(X, Y > 0).predict(NEW, return_std=True)
    assert (classes.shape, deviation.shape) == ((7,), (7,))
    assert tn.NTKClassifier().fit(X, np.digitize(Y, [-0.3, 0.3])).predict(NEW, return_std=True)[1].shape == (7, 3)


def test_saved_models(tmp_path):
    model = tn.NTKRegressor().fit(X, Y, sample_weight=RNG.uniform(0.5, 2, 40))
    again = tn.load(tn.save(model, tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(again.predict(NEW, return_std=True)[1], model.predict(NEW, return_std=True)[1])


def test_too_many_rows(monkeypatch):
    model = tn.NTKRegressor().fit(X, Y)
    monkeypatch.setattr(_ntk, "_DECOMPOSED", 10)
    with pytest.raises(
        tn.ArgumentError, match=r"return_std: expected False for more than 10 distinct rows, got True after"
    ):
        model.predict(NEW, return_std=True)
