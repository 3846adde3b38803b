"""Leave-one-out predictions against models that are trained again."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("loss", "power", "penalty"), [("squared", 8, 1e-5), ("logistic", 8, 1e-5), ("squared", 4, 1e-3)]
)
def test_against_refitted_models(loss: str, power: float, penalty: float):
    """The objective without one term is that of the other examples, divided by `n/(n - 1)`, as is the penalty."""
    n = 60
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (n, 5))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y: Any = 5 * x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(keys[1], (n,))
    y = jnp.sign(y) if loss == "logistic" else y
    net = tn.TwoLayerNetwork.init(keys[2], 5, 16, activation="tanh")
    options: dict[str, Any] = {"loss": loss, "power": power}
    result = tn.fit(net, x, y, penalty=penalty, **options)
    approximate = np.asarray(tn.certificates.leave_one_out(net, result.w, x, y, penalty=penalty, **options))
    trained = np.asarray(result.predict(x))
    chosen, exact = range(0, n, 5), []
    for i in chosen:
        weight = jnp.ones(n).at[i].set(0.0)
        other = tn.fit(net, x, y, penalty=penalty * n / (n - 1), sample_weight=weight, w_init=result.w, **options)
        exact.append(np.asarray(other.predict(x[i : i + 1]))[0])
    moved, expected = (approximate - trained)[::5], np.array(exact) - trained[::5]
    assert np.linalg.norm(moved - expected) <= 0.25 * np.linalg.norm(expected)
    assert np.linalg.norm(expected) >= 0.05 * np.linalg.norm(trained)  # removal matters here


def test_errors():
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 8)
    x = jnp.eye(3)
    with pytest.raises(tn.ArgumentError, match="w: expected"):
        tn.certificates.leave_one_out(net, jnp.zeros((8, 2)), x, x[:, 0], penalty=1e-2)
    with pytest.raises(tn.ArgumentError, match="penalty: expected"):
        tn.certificates.leave_one_out(net, net.w0, x, x[:, 0], penalty=-1.0)
