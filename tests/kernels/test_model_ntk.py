"""The kernel of any model against its Jacobian, contracted."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.kernels import model_ntk

pytestmark = pytest.mark.usefixtures("x64")
RNG = np.random.default_rng(0)
PARAMS = {"w": RNG.normal(size=(3, 5)), "b": np.zeros(5), "v": RNG.normal(size=(5, 2))}  # NumPy's: double precision
X1, X2 = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3))


def model(params, x):
    return jnp.tanh(x @ params["w"] + params["b"]) @ params["v"]


def jacobian(f, params, x):
    """Rows are pairs of an example and an output."""
    leaves = jax.tree.leaves(jax.jacrev(lambda p: f(p, x).ravel())(params))
    return np.concatenate([np.reshape(leaf, (leaf.shape[0], -1)) for leaf in leaves], axis=1)


def contracted(f, params, x1, x2, outputs):
    product = jacobian(f, params, x1) @ jacobian(f, params, x2).T
    return product.reshape(len(x1), outputs, len(x2), outputs)


@pytest.mark.parametrize("batch_size", [None, 1, 4, 100])
@pytest.mark.parametrize("x2", [None, X2], ids=["itself", "others"])
def test_contracted_jacobians(x2, batch_size):
    found = model_ntk(model, PARAMS, X1, x2, batch_size=batch_size)
    np.testing.assert_allclose(
        found, contracted(model, PARAMS, X1, X1 if x2 is None else x2, 2), rtol=1e-12, atol=1e-13
    )


def test_symmetric_and_nonnegative():
    found = model_ntk(model, PARAMS, X1).reshape(8, 8)
    np.testing.assert_allclose(found, found.T, rtol=1e-12)
    assert np.linalg.eigvalsh(found).min() > -1e-12


def test_the_two_layer_network():
    net = tn.TwoLayerNetwork.init(jax.random.key(1), 3, 8, activation="softplus")
    found = model_ntk(lambda w, x: net(w, x), jnp.zeros((8, 3)), X1, X2)
    np.testing.assert_allclose(found[:, 0, :, 0], tn.kernels.ntk(net, X1, X2), rtol=1e-12)


@pytest.mark.parametrize("trainable", [{"w": True, "b": False, "v": False}, {"w": False, "b": True, "v": True}])
def test_parameters_that_count(trainable):
    moving, fixed = eqx.partition(PARAMS, trainable)
    expected = contracted(lambda p, x: model(eqx.combine(p, fixed), x), moving, X1, X2, 2)
    np.testing.assert_allclose(model_ntk(model, PARAMS, X1, X2, trainable=trainable), expected, rtol=1e-12, atol=1e-13)


def test_under_jit_and_outputs_of_other_shapes():
    found = jax.jit(lambda params: model_ntk(model, params, X1))(PARAMS)
    np.testing.assert_allclose(found, model_ntk(model, PARAMS, X1), rtol=1e-12)
    one = jax.jit(lambda x: model_ntk(lambda p, x: model(p, x)[:, 0], PARAMS, x))(X1)
    np.testing.assert_allclose(one, found[:, :1, :, :1], rtol=1e-12)
    places = model_ntk(lambda p, x: model(p, x).reshape(-1, 1, 2), PARAMS, X1)
    np.testing.assert_allclose(places, found, rtol=1e-12)


def test_parameters_that_are_settings_do_not_count():
    """A module with a number beside its weights, and inputs that are a tree."""

    class Net(eqx.Module):
        weight: jax.Array
        scale: float

        def __call__(self, x):
            return self.scale * x["a"] @ self.weight + x["b"]

    found = model_ntk(lambda net, x: net(x), Net(jnp.ones((3, 1)), 2.0), {"a": X1, "b": jnp.ones((4, 1))})
    np.testing.assert_allclose(found[:, 0, :, 0], 4 * X1 @ X1.T, rtol=1e-12)


def test_single_precision_stays():
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), PARAMS)
    found = model_ntk(model, params, X1.astype(np.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, contracted(model, PARAMS, X1, X1, 2), rtol=1e-4, atol=1e-5)


def test_refused():
    with pytest.raises(tn.ArgumentError, match=r"params: needed .* 1 NaN of 5 in the leaf at \['b'\]"):
        model_ntk(model, PARAMS | {"b": np.array([0, 0, np.nan, 0, 0])}, X1)
    with pytest.raises(tn.ArgumentError, match="trainable: needed a tree of booleans that is a prefix"):
        model_ntk(model, PARAMS, X1, trainable={"w": True})
