"""A loss is one file: `additions/log_cosh.py`, put into the room for these tests, serves all that takes a loss by name."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import taylornets as tn
import test_losses
from additions import added


@pytest.fixture(scope="module", autouse=True)
def log_cosh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with (
        added(tn.losses, "_losses", "log_cosh", tmp_path_factory.mktemp("losses")),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setitem(test_losses.CONJUGATES, "log_cosh", conjugate)
        yield
    assert "log_cosh" not in tn.losses.names()


def conjugate(pairs: test_losses.Pairs) -> Any:
    return sum((test_losses.entropy(1 + s) + test_losses.entropy(1 - s)) / 2 + s * y for s, y in pairs)


def marks(function: Any) -> list[pytest.Mark]:
    return list(getattr(function, "pytestmark", ()))


CHECKS: list[Callable[..., None]] = [
    function
    for function in vars(test_losses).values()
    if any(mark.name == "parametrize" and mark.args[1] is test_losses.LOSSES for mark in marks(function))
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_generic_tests_of_losses(check: Callable[..., None]):
    arguments: list[dict[str, str]] = [{}]
    for mark in marks(check):
        if mark.args[0] == "dtype":
            arguments = [{"dtype": dtype} for dtype in mark.args[1]]
    with jax.enable_x64(any(mark.args == ("x64",) for mark in marks(check))):
        for given in arguments:
            check(loss=tn.losses.get("log_cosh"), **given)


def problem() -> tuple[tn.TwoLayerNetwork, jax.Array, jax.Array]:
    x = jax.random.normal(jax.random.key(0), (30, 3))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return tn.TwoLayerNetwork.init(jax.random.key(1), inputs=3, width=32), x, 3 * x[:, 0] * x[:, 1]


@pytest.mark.usefixtures("x64")
def test_training_is_certified():
    net, x, y = problem()
    result = tn.fit(net, x, y, loss="log_cosh", penalty=1e-2, tol=1e-6)
    assert result.status is tn.Status.CERTIFIED
    proof = tn.certify(net, result.w, x, y, loss="log_cosh", penalty=1e-2)
    assert 0 <= float(proof.relative_gap) <= 1e-6
    risk = tn.objective(net, x, y, loss="log_cosh", penalty=1e-2)
    expected = jnp.mean(jnp.log(jnp.cosh(net.term(2, result.w, x) - y[:, None])))
    assert float(risk.risk(result.w)) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.usefixtures("x64")
def test_expected_loss_under_random_signs():
    """A loss that is a sum over the outputs has the normal limit, within the stated error of all signs summed."""
    _, x, y = problem()
    net = tn.TwoLayerNetwork.init(jax.random.key(1), inputs=3, width=10)
    arguments: Any = ("log_cosh", tn.randomization.Signs(), net, 0.3 * net.w0, x, y)
    exact, normal = (float(tn.randomization.expected_loss(*arguments, method=name)) for name in ("enumerate", "normal"))
    bound = float(jnp.mean(tn.randomization.normal_error_bound("log_cosh", net, 0.3 * net.w0, x)))
    assert abs(exact - normal) <= bound
    with pytest.raises(tn.ArgumentError, match=r"one of .*'log_cosh'.* for a deterministic"):
        tn.randomization.example_expectation(tn.losses.get("softmax"), tn.randomization.Signs())


def test_regression():
    x, y = map(np.asarray, problem()[1:])
    model = tn.TaylorRegressor(width=16, loss="log_cosh", penalty=1e-3, random_state=0).fit(x, y)
    assert model.certificate_.relative_gap < 1e-3
    assert model.score(x, y) > 0.5


def test_classification_by_its_sign():
    _, x, y = problem()
    model = tn.TaylorClassifier(width=16, loss="log_cosh", penalty=1e-3, random_state=0).fit(x, np.asarray(y > 0))
    assert model.score(x, np.asarray(y > 0)) > 0.8
    assert not hasattr(model, "predict_proba")


def test_training_of_a_real_network_and_its_regime():
    _, x, y = problem()
    keys = jax.random.split(jax.random.key(2))
    start = {"first": jax.random.normal(keys[0], (3, 16)), "last": jax.random.normal(keys[1], (16, 1)) / 4}

    def f(params: Any, x: Any) -> Any:
        return jnp.tanh(x @ params["first"]) @ params["last"]

    batches = tn.training.Batches(x, y, batch_size=10, steps=20, key=jax.random.key(3))
    found = tn.taylorized_training(f, start, batches, orders=(1,), loss="log_cosh", optimizer=optax.sgd(0.1))
    trained = found.params["full"]
    with jax.default_matmul_precision("highest"):
        before, after = (float(jnp.mean(jnp.log(jnp.cosh(f(params, x)[:, 0] - y)))) for params in (start, trained))
    assert after < before
    assert tn.regime(f, start, trained, x).explained[0] > 0.5
