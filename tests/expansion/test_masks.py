"""Moving and fixed leaves: masks, integers, settings, static parts of modules."""

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
    new = params | {"w": jnp.zeros(3)}

    def f(params, x):
        assert params["rate"] == 0.5  # a Python number: still one inside of the expansion
        assert params["name"] == "a"
        return params["rate"] * params["w"][params["index"]] ** 2 * x

    np.testing.assert_allclose(tn.taylor_expand(f, params, 2)(new, 4.0), 0.0, atol=1e-15)
    assert [float(t) for t in tn.taylor_terms(f, params, 2)(new, 4.0)] == [2.0, -4.0, 2.0]


SETTINGS = {
    "mask": (jnp.array([True, True, True]), jnp.array([True, False, True])),
    "int8 weights": (jnp.array([3, -2, 7], jnp.int8), jnp.array([1, 2, 7], jnp.int8)),
    "NumPy scalar": (np.float64(2.0), np.float64(3.0)),
    "Python number": (2.0, 3.0),
    "step counter": (np.array(4), np.array(5)),
    "random key": (jax.random.key(0), jax.random.key(1)),
    "name": ("one", "three"),
}
VALUE = {
    "mask": lambda s: s.sum(), "int8 weights": lambda s: s.sum(), "random key": lambda s: jax.random.normal(s),
    "name": len,
}  # fmt: skip


@pytest.mark.parametrize("which", SETTINGS)
def test_a_setting_that_differs_is_never_ignored(which):
    """`f = s w²` along `w = 1 + t`: `s (1 + 2 t + t²)`, with the `s` of one end."""
    first, second = SETTINGS[which]
    value = VALUE.get(which, float)

    def f(params):
        return value(params["s"]) * params["w"] ** 2

    start, end = {"s": first, "w": jnp.ones(())}, {"s": second, "w": jnp.full((), 2.0)}
    with pytest.raises(tn.ArgumentError, match=r'new_params: .* a different value at s\. Pass fixed="start"'):
        tn.taylor_terms(f, start, 2)(end)
    for fixed, s in (("start", first), ("end", second)):
        terms = tn.taylor_terms(f, start, 2, fixed=fixed)(end)
        np.testing.assert_allclose(terms, float(value(s)) * np.array([1, 2, 1]), rtol=1e-12)
    same = tn.taylor_terms(f, start, 2)(end | {"s": first})
    np.testing.assert_allclose(same, float(value(first)) * np.array([1, 2, 1]), rtol=1e-12)


def test_frozen_leaves_are_those_of_either_end():
    start, end = {"s": jnp.full((), 2.0), "w": jnp.ones(())}, {"s": jnp.full((), 3.0), "w": jnp.full((), 2.0)}
    for fixed, s in ((None, 2.0), ("start", 2.0), ("end", 3.0)):
        mask = {"s": False, "w": True}
        found = tn.taylor_terms(lambda p: p["s"] * p["w"], start, 1, trainable=mask, fixed=fixed)(end)
        np.testing.assert_allclose(found, [s, s], rtol=1e-12)


def test_functions_that_are_built_twice_are_the_same():
    def build(scale):
        return {"w": jnp.full((), scale), "activation": lambda t: jnp.sin(t)}

    terms = tn.taylor_terms(lambda p: p["activation"](p["w"]), build(1.0), 1)(build(2.0))
    np.testing.assert_allclose(terms, [np.sin(1.0), np.cos(1.0)], rtol=1e-12)
    with pytest.raises(tn.ArgumentError, match="a different value at activation"):
        tn.taylor_terms(lambda p: p["activation"](p["w"]), build(1.0), 1)(build(2.0) | {"activation": jnp.cos})


def test_settings_that_are_traced_are_those_of_the_start():
    start, end = {"i": jnp.array(0), "w": jnp.ones(2)}, {"i": jnp.array(1), "w": jnp.array([2.0, 3.0])}
    terms = jax.jit(tn.taylor_terms(lambda p: p["w"][p["i"]], start, 1))(end)
    np.testing.assert_allclose(terms, [1.0, 1.0])


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
