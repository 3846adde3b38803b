"""The stages of training of large problems: the start, the rule that ends the first stage, and predictions along a path."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets._fit import _train
from taylornets._fit._result import FitHistory
from taylornets._fit._start import spectral_start
from taylornets._fit._trail import Trail


def problem(loss: str, outputs: int = 1) -> tuple[tn.TwoLayerNetwork, jax.Array, Any, tn.Objective]:
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (200, 6))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    net = tn.TwoLayerNetwork.init(keys[1], 6, 32, outputs=outputs)
    y: Any = 6 * x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(keys[2], (200,))
    if loss == "logistic":
        y = jnp.sign(y)
    if loss == "softmax":
        y = jnp.argmax(x[:, :outputs] ** 2, axis=1)
    return net, x, y, tn.objective(net, x, y, loss=loss, penalty=1e-6)


def history(*pairs: tuple[int, float]) -> FitHistory:
    found = FitHistory()
    for steps, gap in pairs:
        found.add_bounds(steps, 1.0, gap, float(steps))
    return found


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("loss", "outputs"), [("squared", 1), ("logistic", 1), ("softmax", 3)])
def test_the_start_is_a_step_in_the_lift(loss: str, outputs: int):
    _, _, _, risk = problem(loss, outputs)
    key = jax.random.key(1)
    random, start = risk.start(key, 2), spectral_start(risk, key, 2)
    change = start - random
    assert float(risk(start)) < 0.9 * float(risk(random))
    # Its copies are eigenvectors of the gradient at zero, and the scale is the best power of √2.
    nu = risk.loss.derivative(risk.initial_outputs(), risk.targets()) * risk.weights()[:, None]
    half = risk.moment_matrices(nu)
    moments = jnp.concatenate([half, -half])
    image = jnp.einsum("rde,rke->rkd", moments, change)
    values = jnp.sum(image * change, axis=-1) / jnp.maximum(jnp.sum(change**2, axis=-1), 1e-300)
    np.testing.assert_allclose(image, values[..., None] * change, atol=1e-12)
    assert float(jnp.max(values)) <= 1e-12
    scales = [float(risk(scale * change)) for scale in np.geomspace(0.05, 20, 60)]
    assert float(risk(change)) - min(scales) < 0.25 * (float(risk(random)) - min(scales))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("chunk_size", [None, 60])
def test_the_start_of_rows_on_the_host(chunk_size: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    net, x, y, risk = problem("squared")
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(_train, "_MOST_DIRECT", 0)
    outside = tn.objective(net, mapped, y, penalty=1e-6, chunk_size=chunk_size)
    key = jax.random.key(1)
    np.testing.assert_allclose(spectral_start(outside, key, 2), spectral_start(risk, key, 2), atol=1e-10)
    found = tn.fit(net, mapped, y, penalty=1e-6, tol=1e-6, chunk_size=chunk_size)
    assert found.status is tn.Status.CERTIFIED


def test_the_first_stage_ends_where_its_gap_no_longer_halves():
    falling = [(steps, 1e5 / steps**4) for steps in (10, 20, 40, 60)]
    assert not _train._slow(history(*falling))
    assert _train._slow(history(*falling, (80, 0.99 * falling[-1][1])))
    # A warm start hardly lowers its gap in the first steps, and a step of the dual Newton method is much more expensive.
    assert not _train._slow(history((10, 0.99), (12, 0.99), (20, 0.95)))
    assert _train._slow(history((10, 9e-4)))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("model", [2, "linear+quadratic"])
def test_extrapolated_outputs_save_steps_of_a_path(loss: str, model: Any, monkeypatch: pytest.MonkeyPatch):
    net, x, y, _ = problem(loss)
    penalties = np.geomspace(1e-2, 1e-6, 12).tolist()

    def path() -> tuple[int, list[float]]:
        found = tn.fit_path(net, x, y, penalties, tol=1e-4, loss=loss, model=model)
        assert all(result.status is tn.Status.CERTIFIED for result in found)
        return sum(result.steps for result in found), [result.objective for result in found]

    steps, objectives = path()
    monkeypatch.setattr(Trail, "at", lambda *_: None)
    before, expected = path()
    np.testing.assert_allclose(objectives, expected, rtol=1e-4)
    assert steps < before


def test_extrapolation_is_linear_in_the_logarithm():
    trail = Trail()
    trail.add(1e-1, jnp.asarray([1.0]))
    assert trail.at(1e-2) is None
    trail.add(1e-2, jnp.asarray([3.0]))
    assert trail.at(1e-4) == pytest.approx(7.0)
    assert trail.at(10**-2.5) == pytest.approx(4.0)
    pairs = Trail()
    for penalty in ((1e-1, 1.0), (1e-1, 1e-1)):
        pairs.add(penalty, jnp.asarray([penalty[1]]))
    assert pairs.at((1e-1, 1e-2)) == pytest.approx(-0.8)
