"""The public names of the contract: importable, documented, with examples that run; importing has no side effects."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from typing import Any

import jax
import pytest

import taylornets as tn

# Functions and classes whose docstring owes the shapes of arrays.
WITH_SHAPES = [
    tn.TwoLayerNetwork,
    tn.TwoLayerNetwork.term,
    tn.TwoLayerNetwork.taylor,
    tn.TwoLayerNetwork.prepare,
    tn.TwoLayerNetwork.__call__,
    tn.Certificate,
    tn.FitResult,
    tn.certify,
    tn.fit,
    tn.objective,
    tn.randomization.Signs.sample,
    tn.randomization.Signs.mean,
    tn.randomization.Signs.variance,
    tn.randomization.expected_loss,
    tn.generalization.rademacher,
    tn.generalization.suprema,
    tn.generalization.bound,
    tn.generalization.certificate,
    tn.generalization.operator_norm_ratio,
    tn.kernels.kernel_ridge,
    tn.kernels.kernel_ridge_cg,
    tn.expressivity.planted_weights,
    tn.kernels.model_ntk,
    tn.regime,
    tn.taylorized_training,
    tn.training.Batches,
    tn.TaylorRegressor,
    tn.TaylorRegressor.fit,
    tn.TaylorRegressor.predict,
    tn.TaylorRegressor.certify,
    tn.TaylorClassifier,
    tn.TaylorClassifier.predict_proba,
    tn.NTKRegressor,
    tn.NTKRegressor.fit,
    tn.NTKClassifier,
]
ESTIMATORS = [tn.TaylorRegressor, tn.TaylorClassifier, tn.NTKRegressor, tn.NTKClassifier]
WITH_EXAMPLE = [
    *ESTIMATORS,
    tn.TwoLayerNetwork,
    tn.certify,
    tn.fit,
    tn.objective,
    tn.randomization.Signs,
    tn.losses.get,
    tn.kernels.model_ntk,
    tn.regime,
    tn.taylorized_training,
    tn.training.Batches,
]
MODULES = [
    tn.activations,
    tn.expressivity,
    tn.generalization,
    tn.kernels,
    tn.losses,
    tn.optimizers,
    tn.randomization,
    tn.training,
]
DOCUMENTED = [
    *WITH_SHAPES,
    *MODULES,
    tn.ArgumentError,
    tn.FitError,
    tn.Objective,
    tn.Status,
    tn.activations.get,
    tn.losses.get,
]


def package_modules():
    return sorted(module.name for module in pkgutil.walk_packages(tn.__path__, "taylornets."))


@pytest.mark.parametrize("thing", DOCUMENTED, ids=lambda thing: thing.__name__)
def test_documented(thing: Any):
    assert len(inspect.getdoc(thing) or "") > 20


@pytest.mark.parametrize("thing", WITH_SHAPES, ids=lambda thing: thing.__qualname__)
def test_docstring_names_shapes(thing: Any):
    text = inspect.getdoc(thing) or ""
    assert "(n, " in text or "(m, " in text


@pytest.mark.parametrize("thing", WITH_EXAMPLE, ids=lambda thing: thing.__name__)
def test_docstring_has_an_example(thing: Any):
    assert ">>> " in (inspect.getdoc(thing) or "")


def test_names_of_the_contract():
    net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=4)
    assert net.w0.shape == (4, 3)
    assert net.a.shape == (4, 1)
    assert callable(net.activation.derivative(2))
    x, w = jax.numpy.ones((5, 3)), 0.1 * net.w0
    prepared = net.prepare(x, 3)
    for found in (net(w, x), net.term(2, w, x), net.taylor(3, w, x), prepared.term(1, w), prepared.full(w)):
        assert found.shape == (5, 1)
    sigma = tn.activations.get("tanh")
    assert sigma.derivative(3)(x).shape == (5, 3)
    assert isinstance(float(sigma.hermite_coefficient(1, 2)), float)
    assert sigma.dual(1)(x / 3).shape == (5, 3)
    signs = tn.randomization.Signs()
    assert signs.nodes.shape == signs.weights.shape
    assert {"squared", "logistic", "softmax", "huber"} <= set(tn.losses.names())
    for function, names in {
        tn.fit: ("model loss penalty power method w_init key rank tol max_steps throw", "quadratic", 8),
        tn.objective: ("model loss penalty power", "quadratic", 8),
        tn.certify: ("loss penalty power dual_vector", None, 8),
    }.items():
        parameters = inspect.signature(function).parameters
        wanted, model, power = names
        assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in wanted.split())
        assert parameters["power"].default == power
        assert parameters["loss"].default == "squared"
        if model is not None:
            assert parameters["model"].default == model
    assert inspect.signature(tn.fit).parameters["tol"].default == 1e-8
    assert inspect.signature(tn.fit).parameters["throw"].default is True


@pytest.mark.parametrize("name", ["taylornets", *package_modules()])
def test_examples_in_docstrings_run(name: str):
    """As a user with JAX's defaults would see them: single precision."""
    module = importlib.import_module(name)
    with jax.enable_x64(False):
        failures, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failures == 0


def test_importing_changes_nothing():
    """No JAX option is set, no backend is started, and nothing of the command line's libraries is loaded."""
    code = """
import sys, jax
before = dict(jax.config.values)
import taylornets
assert dict(jax.config.values) == before
assert not jax.config.jax_enable_x64
heavy = {"matplotlib", "sklearn", "typer", "rich", "jinja2", "cvxpy", "pandas", "polars", "distributed", "joblib"}
loaded = heavy & set(sys.modules)
assert not loaded, loaded
assert "TaylorRegressor" in dir(taylornets)
sys.modules["sklearn"] = None
try:
    taylornets.TaylorRegressor
except ImportError as error:
    assert "taylornets.TaylorRegressor needs scikit-learn" in str(error), error
    assert "pip install 'taylornets[sklearn]'" in str(error), error
else:
    raise AssertionError("loaded without scikit-learn")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
