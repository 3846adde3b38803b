"""Weights of the examples: 2 is the row twice, 0 is a row that is absent, in objective, fit and certificate."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn

N, D, WIDTH = 12, 3, 8
WEIGHT = np.array([2, 0, 1, 3, 1, 1, 0, 2, 1, 1, 1, 2])
LOSSES: dict[str, int] = {"squared": 2, "huber": 1, "logistic": 1, "softmax": 3}


def problem(loss: str, activation: str = "cubic_relu") -> tuple[tn.TwoLayerNetwork, Any, Any, Any]:
    outputs = LOSSES[loss]
    net = tn.TwoLayerNetwork.init(jax.random.key(0), D, WIDTH, outputs, activation)
    x = jax.random.normal(jax.random.key(1), (N, D))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y = np.random.default_rng(0).normal(size=(N, outputs))
    if loss in ("logistic", "softmax"):
        y = (np.argmax(y, axis=1) if outputs > 1 else y[:, 0] > 0).astype(int)
    w = 0.5 * jax.random.normal(jax.random.key(2), (WIDTH, D))
    return net, w, x, y


def options(model: str | int, loss: str) -> dict[str, Any]:
    return {
        "model": model,
        "loss": loss,
        "penalty": 1e-2,
        "power": 2 * {"quadratic": 2, "randomized": 2, 3: 3}.get(model, 1),
    }


def repeated(values: Any) -> Any:
    return np.repeat(np.asarray(values), WEIGHT, axis=0)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("model", "loss"),
    [
        *(("quadratic", loss) for loss in ("squared", "softmax")),
        *((model, "squared") for model in ("linear", "full")),
        ("randomized", "logistic"),
        (3, "huber"),
    ],
)
def test_objective_and_certificate_are_those_of_repeated_rows(model: str | int, loss: str):
    net, w, x, y = problem(loss)
    weighted = tn.objective(net, x, y, sample_weight=WEIGHT, **options(model, loss))
    rows = tn.objective(net, repeated(x), repeated(y), **options(model, loss))
    np.testing.assert_allclose(weighted(w), rows(w), rtol=1e-13)
    np.testing.assert_allclose(weighted.value_and_gradient(w)[1], rows.value_and_gradient(w)[1], atol=1e-13)
    chunked = tn.objective(net, x, y, sample_weight=WEIGHT, chunk_size=5, **options(model, loss))
    np.testing.assert_allclose(chunked(w), rows(w), rtol=1e-13)
    if model not in ("linear", "quadratic", "randomized"):
        return
    proof = tn.certify(net, w, x, y, sample_weight=WEIGHT, chunk_size=5, **options(model, loss))
    reference = tn.certify(net, w, repeated(x), repeated(y), **options(model, loss))
    assert proof.dual == pytest.approx(float(reference.dual), rel=1e-9)
    assert proof.dual_vector.shape == (N, net.outputs)
    assert not np.any(np.asarray(proof.dual_vector)[WEIGHT == 0])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("model", "loss", "activation"),
    [
        ("linear", "logistic", "tanh"),
        ("quadratic", "logistic", "cubic_relu"),
        ("randomized", "squared", "tanh"),
    ],
)
def test_weak_duality_for_any_weights(model: str, loss: str, activation: str):
    """`D(ν) ≤ P(W)` for displacements far apart, and any dual vector that is handed in."""
    net, w, x, y = problem(loss, activation)
    weight = np.random.default_rng(1).exponential(size=N) * (WEIGHT > 0)
    risk = tn.objective(net, x, y, sample_weight=weight, **options(model, loss))
    proofs = [tn.certify(net, scale * w, x, y, sample_weight=weight, **options(model, loss)) for scale in (0.1, 1, 3)]
    vector = jnp.asarray(np.random.default_rng(2).normal(size=(N, net.outputs)))  # not zero where the weight is
    proofs.append(tn.certify(net, w, x, y, sample_weight=weight, dual_vector=vector, **options(model, loss)))
    found = tn.fit(net, x, y, sample_weight=weight, tol=1e-2, throw=False, max_steps=200, **options(model, loss))
    least = min(float(risk(scale * w)) for scale in (0, 0.1, 1, 3))
    least = min(least, found.objective)
    assert all(np.isfinite(float(proof.dual)) for proof in proofs)
    # The randomized bound covers displacements whose objective is not above the one at hand.
    assert all(float(proof.dual) <= min(least, float(proof.primal)) for proof in proofs)
    assert found.certificate is not None
    assert found.certificate.dual <= least


@pytest.mark.usefixtures("x64")
def test_fit_of_weights_is_fit_of_repeated_rows():
    net, _, x, y = problem("squared")
    weighted = tn.fit(net, x, y, sample_weight=WEIGHT, penalty=1e-2, power=4, tol=1e-9)
    rows = tn.fit(net, repeated(x), repeated(y), penalty=1e-2, power=4, tol=1e-9)
    assert weighted.objective == pytest.approx(rows.objective, rel=1e-8)
    assert weighted.status is tn.Status.CERTIFIED


@pytest.mark.usefixtures("x64")
def test_constant_weights_change_nothing():
    net, w, x, y = problem("squared")
    plain = tn.objective(net, x, y, penalty=1e-2)
    weighted = tn.objective(net, x, y, penalty=1e-2, sample_weight=np.full(N, 7.0))
    np.testing.assert_allclose(weighted(w), plain(w), rtol=1e-15)
    np.testing.assert_array_equal(plain.weights(), np.full(N, 1 / N))
    np.testing.assert_allclose(plain.with_weights(WEIGHT).weights(), WEIGHT / WEIGHT.sum(), rtol=1e-15)


@pytest.mark.usefixtures("x64")
def test_minibatches_are_unbiased_under_weights():
    """Every example is equally often drawn: the mean over all `n` minibatches of one example, drawn by hand."""
    net, w, x, y = problem("squared")
    risk = tn.objective(net, x, y, penalty=1e-2, sample_weight=WEIGHT)
    draws = jax.vmap(lambda key: risk.minibatch(key, 6).risk(w))(jax.random.split(jax.random.key(3), 4000))
    # Six standard errors: false alarm 2e-9.
    assert abs(float(draws.mean() - risk.risk(w))) < 6 * float(draws.std()) / np.sqrt(4000)


@pytest.mark.usefixtures("x64")
def test_curvature_inequality_holds_under_weights():
    net, w, x, y = problem("squared")
    risk = tn.objective(net, x, y, penalty=1e-2, power=4, sample_weight=WEIGHT)
    found = tn.certificates.curvature_inequality(risk, w, 0.3 * net.w0)
    rows = tn.objective(net, repeated(x), repeated(y), penalty=1e-2, power=4)
    reference = tn.certificates.curvature_inequality(rows, w, 0.3 * net.w0)
    assert found.slack >= 0
    assert found.expected_curvature == pytest.approx(float(reference.expected_curvature), rel=1e-12)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(N - 1), r"sample_weight: expected shape \(12,\), got shape \(11,\)"),
        (np.zeros(N), "sample_weight: expected at least one positive weight, got only zeros"),
        (-np.ones(N), "sample_weight: expected weights ≥ 0, got the weight -1"),
        (np.full(N, np.nan), "sample_weight: expected finite numbers, got 12 NaN"),
    ],
)
def test_bad_weights_are_refused(weight: np.ndarray, message: str):
    net, _, x, y = problem("squared")
    with pytest.raises(tn.ArgumentError, match=message):
        tn.objective(net, x, y, penalty=1e-2, sample_weight=weight)
