"""The regularization path, and the single check of the data."""

import collections
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

import taylornets as tn
from taylornets import _checks
from taylornets._fit import regularization_path
from taylornets.estimators import TaylorRegressor


def problem(dtype: Any = jnp.float64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 4, 16, dtype=dtype)
    return net, jnp.asarray(x, dtype), jnp.asarray(4 * x[:, 0] * x[:, 1], dtype)


@pytest.mark.usefixtures("x64")
class TestPath:
    @pytest.mark.parametrize("model", ["quadratic", "linear", 3])
    def test_is_fits_that_start_from_each_other(self, model: str | int):
        """Results are equal bit for bit."""
        net, x, y = problem()
        options: dict[str, Any] = {"model": model, "power": 6, "tol": 1e-3, "throw": False, "max_steps": 200}
        path = tn.fit_path(net, x, y, (1e-2, 1e-3), **options)
        first = tn.fit(net, x, y, penalty=1e-2, **options)
        second = tn.fit(net, x, y, penalty=1e-3, w_init=first.w, **options)
        for found, expected in zip(path, (first, second), strict=True):
            np.testing.assert_array_equal(found.w, expected.w)
            assert found.objective == expected.objective
            assert found.status is expected.status

    def test_warm_starts_save_steps(self):
        net, x, y = problem()
        path = tn.fit_path(net, x, y, (1e-3, 9e-4), tol=1e-3)
        assert path[1].steps < path[0].steps
        assert all(result.status is tn.Status.CERTIFIED for result in path)

    def test_a_given_start_is_kept(self):
        net, x, y = problem()
        start = tn.fit(net, x, y, penalty=1e-3).w
        path = tn.fit_path(net, x, y, [1e-3], w_init=start, tol=1e-3)
        assert path[0].steps <= 20

    def test_failures_raise_unless_asked_not_to(self):
        net, x, y = problem()
        with pytest.raises(tn.FitError, match="max_steps was reached"):
            tn.fit_path(net, x, y, (1e-2, 1e-3), max_steps=2)
        path = tn.fit_path(net, x, y, (1e-2, 1e-3), max_steps=2, throw=False)
        assert [result.status for result in path] == [tn.Status.MAX_STEPS] * 2

    def test_a_collapsed_path_begins_anew(self):
        """A strong penalty pulls the quadratic model to the saddle at zero; the path then restarts from its initial point."""
        net, x, y = problem()
        risk, start = tn.objective(net, x, y, penalty=1.0), 0.3 * net.w0
        starts: list[Any] = []

        def solve(risk: tn.Objective, w: Any) -> Any:
            starts.append(w)
            result = tn.fit(net, x, y, penalty=1e-2, w_init=w, tol=0.1)
            return dataclasses.replace(result, w=1e-4 * start)

        for share, expected in ((1e-3, start), (0.0, 1e-4 * start)):
            starts.clear()
            assert len(list(regularization_path(risk, (1.0, 0.1), solve, start, restart_below=share))) == 2
            np.testing.assert_array_equal(starts[1], expected)

    def test_of_the_estimator_is_warm_started_fits(self):
        _, x, y = problem()
        options: dict[str, Any] = {"width": 16, "tol": 1e-2, "random_state": 0}
        path = TaylorRegressor(**options).fit_path(x, y, (1e-2, 1e-3))
        warm = TaylorRegressor(**options, warm_start=True)
        for penalty, found in zip((1e-2, 1e-3), path, strict=True):
            warm.set_params(penalty=penalty).fit(x, y)
            np.testing.assert_allclose(found.predict(x), warm.predict(x), rtol=1e-12)
            assert found.penalty_ == penalty
            assert found.certificate_.relative_gap <= 1e-2


@pytest.mark.parametrize(
    ("penalties", "message"),
    [((), "penalties: .* at least one number > 0, got none"), ((1e-2, -1.0), "penalties: .* a finite number > 0")],
)
def test_errors(penalties: tuple[float, ...], message: str):
    net, x, y = problem(jnp.float32)
    with pytest.raises(tn.ArgumentError, match=message):
        tn.fit_path(net, x, y, penalties)
    with pytest.raises(tn.ArgumentError, match=r"rank: .* 1 for model='full', got 2"):
        tn.fit_path(net, x, y, (1e-2,), model="full", rank=2)


@pytest.mark.parametrize("symmetric", [True, False])
def test_data_are_checked_once(symmetric: bool, monkeypatch: pytest.MonkeyPatch):
    """Each check copies its array to the host: one for `x`, one for `y`, one for the weights."""
    counts: collections.Counter[str] = collections.Counter()
    check = _checks.array

    def counted(argument: str, value: Any, *rest: Any) -> jax.Array:
        counts[argument] += not isinstance(value, Tracer)
        return check(argument, value, *rest)

    monkeypatch.setattr(_checks, "array", counted)
    _, x, y = problem(jnp.float32)
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 4, 16, symmetric=symmetric)
    options: dict[str, Any] = {"sample_weight": np.ones(40)}
    calls = {
        "fit": lambda: tn.fit(net, x, y, penalty=1e-2, tol=0.1, throw=False, **options),
        "fit_path": lambda: tn.fit_path(net, x, y, (1e-1, 1e-2), tol=0.1, throw=False, **options),
        "certify": lambda: tn.certify(net, 0.1 * net.w0, x, y, penalty=1e-2, **options),
        "objective": lambda: tn.objective(net, x, y, penalty=1e-2, **options)(net.w0),
    }
    for name, call in calls.items():
        counts.clear()
        call()
        assert {argument: counts[argument] for argument in ("x", "y", "sample_weight")} == {
            "x": 1, "y": 1, "sample_weight": 1,
        }, name  # fmt: skip
