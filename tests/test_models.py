"""The registry of models: what names mean, and a model that a single file of its own adds everywhere."""

import importlib.util
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets import models
from taylornets.randomization import RootsOfUnity, SignedMoments, Signs
from taylornets.two_layer import Full, Taylor, Term

FILE = '''
"""The Taylor model of order 2, constant and linear term included."""

from taylornets import models
from taylornets.two_layer import Taylor

models.register(models.Model("up to two", (2,), Taylor(2)))
'''


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module of a user who adds a model; the registry forgets it after the test."""
    monkeypatch.setattr(models, "_models", dict(models._models))
    path = tmp_path / "up_to_two.py"
    path.write_text(FILE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("up_to_two", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def problem(m: int = 16, symmetric: bool = True):
    keys = jax.random.split(jax.random.key(0), 3)
    net = tn.TwoLayerNetwork.init(keys[0], 3, m, symmetric=symmetric)
    x = jax.random.normal(keys[1], (30, 3))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return net, x, x[:, 0] * x[:, 1], jax.random.normal(keys[2], (m, 3)) / 2


@pytest.mark.usefixtures("x64")
class TestOneFile:
    def test_objective(self, added: ModuleType):
        net, x, y, w = problem()
        expected = jnp.mean((net.taylor(2, w, x)[:, 0] - y) ** 2) + 1e-3 * jnp.sum(jnp.sum(w**2, axis=1) ** 2)
        assert float(tn.objective(net, x, y, model="up to two", penalty=1e-3, power=4)(w)) == pytest.approx(
            float(expected), rel=1e-12
        )

    def test_fit_and_path(self, added: ModuleType):
        net, x, y, _ = problem()
        result = tn.fit(net, x, y, model="up to two", penalty=1e-3, power=4, tol=1e-4)
        assert result.status is tn.Status.STATIONARY
        assert result.certificate is None
        path = tn.fit_path(net, x, y, (1e-2, 1e-3), model="up to two", power=4, tol=1e-4)
        assert path[1].objective == pytest.approx(result.objective, rel=0.05)

    def test_certify_says_why_not(self, added: ModuleType):
        net, x, y, w = problem()
        with pytest.raises(
            tn.ArgumentError, match=r"model: .* one of 'linear', 'quadratic', 'randomized', got 'up to two'"
        ):
            tn.certify(net, w, x, y, model="up to two", penalty=1e-3)
        with pytest.raises(tn.ArgumentError, match=r"model: .* a model with a certificate, got 'up to two'"):
            tn.certificates.certify_objective(tn.objective(net, x, y, model="up to two", penalty=1e-3), w)

    def test_estimator(self, added: ModuleType):
        _, x, y, _ = problem()
        options = {"width": 16, "penalty": 1e-3, "tol": 0.1, "random_state": 0}
        model = tn.TaylorRegressor(model="up to two", **options).fit(x, y)
        assert model.certificate_ is None
        assert model.model_ == "up to two"
        assert model.score(x, y) > 0.3
        with pytest.raises(tn.ArgumentError, match=r"model: .* 'linear', 'quadratic' or 'randomized', got 'up to two'"):
            model.certify(x, y)


def test_an_unknown_model_is_named_with_the_nearest():
    assert "up to two" not in models.names()
    with pytest.raises(tn.ArgumentError, match="Did you mean 'quadratic'"):
        models.get("quadratik")


def test_names_orders_and_randomizations_mean_the_same():
    assert models.get("linear") == models.get(1)
    assert models.get("quadratic") == models.get(2)
    assert models.get("randomized") == models.get(Signs())
    assert models.get(models.get("full")) == models.get("full")
    assert models.get(Term(2)).orders == (1,)  # a response is penalized with k = 1


@pytest.mark.parametrize(
    ("model", "orders", "certifiable", "zero", "copies"),
    [
        ("linear", (1,), True, True, False),
        ("quadratic", (2,), True, False, True),
        ("randomized", (2,), True, False, False),
        ("sampled", (2,), False, False, False),
        ("full", (1,), False, True, False),
        (3, (3,), False, False, True),
        (SignedMoments(3), (3,), False, False, False),
        (RootsOfUnity(2), (2,), False, False, False),
        (Taylor(4), (1,), False, False, False),
        (Full(), (1,), False, False, False),
    ],
)
def test_what_models_mean(model: object, orders: tuple[int, ...], certifiable: bool, zero: bool, copies: bool):
    found = models.get(model)
    assert (found.orders, found.certifiable, found.starts_at_zero, found.copies) == (orders, certifiable, zero, copies)


@pytest.mark.parametrize(("order", "norm"), [(2, 0.3), (3, 0.09 ** (1 / 3)), (4, 0.09**0.25)])
def test_starts_have_units_of_the_size_they_promise(order: int, norm: float):
    """Root mean squares over 4,096 units in 50 dimensions: within 1 %, more than 6 standard errors."""
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 50, 4096, input_norm=2.0)
    model = models.get(order)
    found = jnp.sqrt(jnp.mean(jnp.sum(model.start(net, jax.random.key(1)) ** 2, axis=1)))
    assert float(found) == pytest.approx(norm * 4096 ** (-1 / (2 * order)) / 2, rel=0.01)
    host = model.host_start(np.random.default_rng(0), (4096, 2, 25))
    assert np.sqrt(np.mean(np.sum(host**2, axis=(1, 2)))) == pytest.approx(0.3 * 4096 ** (-1 / (2 * order)), rel=0.01)


@pytest.mark.parametrize("model", ["linear", "full"])
def test_convex_models_and_networks_start_at_zero(model: str):
    net = problem()[0]
    assert not np.any(models.get(model).start(net, jax.random.key(0), 2))
    assert not np.any(models.get(model).host_start(np.random.default_rng(0), (16, 3)))
