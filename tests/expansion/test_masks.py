"""Which leaves move: masks, integers, settings, static parts of modules."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn

pytestmark = pytest.mark.usefixtures("x64")
KEYS = jax.random.split(jax.random.key(5), 6)
SHAPES = ((3, 4), (4, 4), (4, 2))


def model(params, x):
    for w in params["layers"]:
        x = jnp.tanh(x @ w)
    return x * params["scale"]


def parameters():
    layers = [jax.random.normal(k, s) / 2 for k, s in zip(KEYS, SHAPES, strict=False)]
    return {"layers": layers, "scale": jnp.ones(2)}


MASKS = {
    "last layer": {"layers": [False, False, True], "scale": False},
    "prefix": {"layers": False, "scale": True},
    "first layer": {"layers": [True, False, False], "scale": False},
}


@pytest.mark.parametrize("mode", ["taylor", "nested"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_frozen_leaves_are_as_if_closed_over(mask, mode):
    params, x = parameters(), jax.random.normal(KEYS[4], (5, 3))
    new = jax.tree.map(lambda a: a + 0.3, params)
    flags = jax.tree.leaves(jax.tree.map(lambda m, sub: jax.tree.map(lambda _: m, sub), mask, params))
    leaves, structure = jax.tree.flatten(params)

    def closed(moving, x):
        rest = iter(moving)
        full = [next(rest) if m else leaf for m, leaf in zip(flags, leaves, strict=True)]
        return model(jax.tree.unflatten(structure, full), x)

    def chosen(tree):
        return [leaf for m, leaf in zip(flags, jax.tree.leaves(tree), strict=True) if m]

    masked = tn.taylor_terms(model, params, 3, trainable=mask, mode=mode)(new, x)
    reference = tn.taylor_terms(closed, chosen(params), 3, mode=mode)(chosen(new), x)
    for a, b in zip(masked, reference, strict=True):
        np.testing.assert_array_equal(a, b)


def test_freezing_costs_less():
    params, x = parameters(), jax.random.normal(KEYS[4], (50, 3))
    full = tn.cost(model, params, x, 4)
    last = tn.cost(model, params, x, 4, trainable=MASKS["last layer"])
    assert last.operations < 0.6 * full.operations
    assert last.bytes < full.bytes
    assert full.ratio == full.operations / full.model_operations


def test_integers_and_settings_stay():
    params = {"w": jnp.ones(3), "index": jnp.array(1), "flag": True, "rate": 0.5, "name": "a"}
    new = params | {"w": jnp.zeros(3), "index": jnp.array(2)}

    def f(params, x):
        assert params["rate"] == 0.5  # a Python number: still one inside of the expansion
        assert params["name"] == "a"
        return params["rate"] * params["w"][params["index"]] ** 2 * x

    np.testing.assert_allclose(tn.taylor_expand(f, params, 2)(new, 4.0), 0.0, atol=1e-15)
    assert [float(t) for t in tn.taylor_terms(f, params, 2)(new, 4.0)] == [2.0, -4.0, 2.0]


def test_a_python_number_that_differs_moves():
    expansion = tn.taylor_expand(lambda params: params["rate"] ** 2, {"rate": 3.0}, 2)
    assert float(expansion({"rate": 5.0})) == 25.0


def test_equinox_modules_keep_their_functions():
    net = eqx.nn.MLP(3, 1, 4, 1, activation=jax.nn.gelu, key=KEYS[0])
    new = jax.tree.map(lambda a: a + 0.1 if eqx.is_array(a) else a, net)
    x = jnp.arange(3.0)
    near = tn.taylor_expand(lambda net, x: net(x), net, 6)(new, x)
    np.testing.assert_allclose(near, new(x), rtol=1e-4)


def test_keyword_arguments_and_several_outputs():
    def f(w, x, *, power, train=False):
        return (x * w) ** power, {"train": jnp.array(train)}

    value, extra = tn.taylor_expand(f, jnp.array(2.0), 3)(jnp.array(3.0), 1.0, power=3, train=True)
    assert float(value) == pytest.approx(27.0)
    assert bool(extra["train"])


def test_python_control_flow_on_values_runs_by_nesting():
    def f(w):
        return w**2 if w > 0 else w

    assert float(tn.taylor_expand(f, jnp.array(2.0), 2)(jnp.array(3.0))) == pytest.approx(9.0)
    with pytest.raises(jax.errors.TracerBoolConversionError):
        tn.taylor_expand(f, jnp.array(2.0), 2, mode="taylor")(jnp.array(3.0))
