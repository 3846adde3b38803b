"""Adding an activation takes one file: these tests add `additions/cos.py` to the package and look it up by name."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_registry_and_bounds

import taylornets as tn
from additions import added


@pytest.fixture(scope="module", autouse=True)
def cos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with added(tn.activations, "_factories", "cos", tmp_path_factory.mktemp("activations")):
        yield
    assert "cos" not in tn.activations.names()


@pytest.mark.usefixtures("x64")
def test_generic_tests_of_activations():
    test_registry_and_bounds.test_traits("cos")
    test_registry_and_bounds.test_bound_is_above_and_close_to_the_supremum("cos")


@pytest.mark.usefixtures("x64")
def test_derivatives_and_dual():
    sigma, t = tn.activations.get("cos"), jnp.linspace(-3, 3, 7)
    assert sigma == tn.activations.get("cos")
    np.testing.assert_allclose(sigma(t), np.cos(t), rtol=1e-14)
    np.testing.assert_allclose(sigma.derivative(3)(t), np.sin(t), rtol=1e-14)
    series = sum(
        sigma.hermite_coefficient(1, q) ** 2 * 0.5**q / float(jnp.prod(jnp.arange(1.0, q + 1))) for q in range(20)
    )
    assert float(sigma.dual(1)(0.5)) == pytest.approx(series, rel=1e-14)


@pytest.mark.usefixtures("x64")
def test_network():
    net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8, activation="cos")
    x, w = jax.random.normal(jax.random.key(1), (5, 3)), 0.1 * net.w0
    np.testing.assert_allclose(net.taylor(12, w, x), net(w, x), atol=1e-8)
