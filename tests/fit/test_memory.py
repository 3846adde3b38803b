"""The memory of a device that is exhausted during training: smaller blocks, the same result, said once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import taylornets as tn
from taylornets._fit import _train
from taylornets.estimators import _solve


def problem() -> tuple[tn.TwoLayerNetwork, jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (300, 4))
    return tn.TwoLayerNetwork.init(keys[2], 4, 16), x, x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(keys[1], (300,))


def limited(solve: Callable[..., Any], rows: int) -> Callable[..., Any]:
    """A method that needs more memory than there is for blocks of more than `rows` examples."""

    def run(risk: tn.Objective, *args: Any, **kwargs: Any) -> Any:
        if risk.features.blocks.x.shape[1] > rows:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes.")
        return solve(risk, *args, **kwargs)

    return run


def test_fit_continues_in_smaller_blocks(monkeypatch: pytest.MonkeyPatch, x64: None):
    net, x, y = problem()
    expected = tn.fit(net, x, y, penalty=1e-3, power=4)
    monkeypatch.setattr(_train, "dual_newton", limited(_train.dual_newton, 80))
    with pytest.warns(RuntimeWarning, match="exhausted with blocks of 300 examples. .* blocks of 75 ") as said:
        found = tn.fit(net, x, y, penalty=1e-3, power=4)
    assert len(said) == 1
    np.testing.assert_allclose(found.objective, expected.objective, rtol=1e-8)


def test_path_says_it_once(monkeypatch: pytest.MonkeyPatch, x64: None):
    net, x, y = problem()
    penalties = [1e-1, 1e-2, 1e-3]
    expected = tn.fit_path(net, x, y, penalties, power=4)
    monkeypatch.setattr(_train, "dual_newton", limited(_train.dual_newton, 80))
    with pytest.warns(RuntimeWarning, match="exhausted") as said:
        found = tn.fit_path(net, x, y, penalties, power=4)
    assert len(said) == 1
    np.testing.assert_allclose([one.objective for one in found], [one.objective for one in expected], rtol=1e-8)


def test_estimator(monkeypatch: pytest.MonkeyPatch):
    _, x, y = problem()
    model = tn.TaylorRegressor(width=16, penalty=1e-3, random_state=0)
    expected = model.fit(np.asarray(x), np.asarray(y)).predict(np.asarray(x))
    monkeypatch.setattr(_solve, "close_gap", limited(_solve.close_gap, 80))
    with pytest.warns(RuntimeWarning, match="exhausted"):
        found = model.fit(np.asarray(x), np.asarray(y)).predict(np.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("message", ["RESOURCE_EXHAUSTED: Out of memory", "INTERNAL: a defect"])
@pytest.mark.filterwarnings("ignore")
def test_other_errors_and_the_smallest_blocks_raise(monkeypatch: pytest.MonkeyPatch, message: str):
    net, x, y = problem()

    def fails(risk: tn.Objective, *args: Any, **kwargs: Any) -> None:
        raise jax.errors.JaxRuntimeError(message)

    monkeypatch.setattr(_train, "dual_newton", fails)
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        tn.fit(net, x, y, penalty=1e-3, power=4)
