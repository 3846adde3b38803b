"""The NTK of any model against the product of explicit Jacobians."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.ode import odeint

import taylornets as tn
from taylornets.kernels import model_ntk

pytestmark = pytest.mark.usefixtures("x64")
RNG = np.random.default_rng(0)
PARAMS = {"w": RNG.normal(size=(3, 5)), "b": np.zeros(5), "v": RNG.normal(size=(5, 2))}  # NumPy's: double precision
X1, X2 = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3))


def model(params, x):
    return jnp.tanh(x @ params["w"] + params["b"]) @ params["v"]


def jacobian(f, params, x):
    """Returns the Jacobian; rows are pairs of an example and an output."""
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
    """A module with a number alongside its weights, and inputs that are a tree."""

    class Net(eqx.Module):
        weight: jax.Array
        scale: float

        def __call__(self, x):
            return self.scale * x["a"] @ self.weight + x["b"]

    found = model_ntk(lambda net, x: net(x), Net(jnp.ones((3, 1)), 2.0), {"a": X1, "b": jnp.ones((4, 1))})
    np.testing.assert_allclose(found[:, 0, :, 0], 4 * X1 @ X1.T, rtol=1e-12)


def tanh_twice(w, x):
    """Applies a loop with a traced number of steps, which supports only forward mode."""
    last = jax.lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, jnp.tanh(s[1] @ w)), (0, x))
    return last[1][:, :2]


def with_rule(function, reverse):
    wrapped = jax.custom_vjp(function)
    wrapped.defvjp(lambda a: (function(a), a), lambda a, g: (reverse(a, g),))
    return wrapped


straight = with_rule(lambda a: jnp.sin(a), lambda _, g: g)  # the function's slope is cos, the rule's 1
SQUARE = RNG.normal(size=(3, 3))


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("x2", [None, X2], ids=["itself", "others"])
def test_a_model_without_reverse_mode(x2, batch_size):
    """One forward pass per parameter, against the same loop unrolled."""

    def unrolled(w, x):
        return jnp.tanh(jnp.tanh(x @ w) @ w)[:, :2]

    found = model_ntk(tanh_twice, SQUARE, X1, x2, batch_size=batch_size)
    np.testing.assert_allclose(found, model_ntk(unrolled, SQUARE, X1, x2), rtol=1e-12, atol=1e-13)


def test_many_parameters_without_reverse_mode(monkeypatch):
    monkeypatch.setattr("taylornets.kernels._gram._PASSES", 8)
    said = (
        r"f: expected a model with a reverse mode.*got 9 parameters.*primitive while.*lax.scan.*trainable; max_bytes="
    )
    with pytest.raises(tn.ArgumentError, match=said):
        model_ntk(tanh_twice, SQUARE, X1)
    assert model_ntk(tanh_twice, SQUARE, X1, max_bytes=np.inf).shape == (4, 2, 4, 2)


@pytest.mark.parametrize("x2", [None, X2], ids=["itself", "others"])
def test_custom_vjp(x2):
    """Both factors use the author's rule by default, and the derivative of the function on request."""
    others = X1 if x2 is None else x2
    rule = model_ntk(lambda w, x: straight(x @ w), PARAMS["w"], X1, x2)
    linear = np.einsum("ni,mi,ab->namb", X1, others, np.eye(5))
    np.testing.assert_allclose(rule, linear, rtol=1e-12, atol=1e-13)
    function = model_ntk(lambda w, x: straight(x @ w), PARAMS["w"], X1, x2, custom_vjp="function")
    slopes, more = np.cos(X1 @ PARAMS["w"]), np.cos(others @ PARAMS["w"])
    np.testing.assert_allclose(function, linear * slopes[:, :, None, None] * more, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("custom_vjp", ["rule", "function"])
def test_custom_vjp_in_a_model_without_reverse_mode(custom_vjp):
    slope = with_rule(jnp.cos, lambda a, g: -jnp.sin(a) * g)
    plain = model_ntk(lambda w, x: tanh_twice(w, jnp.cos(x @ w)), SQUARE, X1)
    found = model_ntk(lambda w, x: tanh_twice(w, slope(x @ w)), SQUARE, X1, custom_vjp=custom_vjp)
    np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-13)


def test_an_adjoint_with_a_rule_of_its_own():
    """y' = w y, so y(1) = x exp w is its own derivative; the reverse rule calls a function with a custom rule."""

    def flow(w, x):
        return odeint(lambda y, t, w: w * y, x, jnp.array([0.0, 1.0]), w)[1]

    x = X1[:, 0]
    found = model_ntk(flow, jnp.array(0.5), x)[:, 0, :, 0]
    np.testing.assert_allclose(found, np.exp(1.0) * np.outer(x, x), rtol=1e-6)


def halved_and_doubled(_, g):
    """Returns the cotangent itself, by a loop that cannot be transposed."""
    return jax.lax.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, 2 * (s[1] / 2)), (0, g))[1]


@pytest.mark.parametrize("x2", [None, X2], ids=["itself", "others"])
def test_a_reverse_pass_that_runs_once(x2):
    """Full Jacobians, for real and complex parameters."""
    once = with_rule(lambda a: a, halved_and_doubled)
    weights = {"w": PARAMS["w"], "z": SQUARE + 1j * SQUARE.T}

    def model(params, x):
        return (jnp.abs(x @ params["z"]) @ params["w"])[:, :1]

    found = model_ntk(lambda p, x: once(model(p, x)), weights, X1, x2)
    np.testing.assert_allclose(found, model_ntk(model, weights, X1, x2), rtol=1e-12, atol=1e-13)
    said = "x1: expected a Jacobian that fits into memory .*run only once.*got about .* GB, more than .*trainable.*max_bytes"
    with pytest.raises(tn.ArgumentError, match=said):
        model_ntk(lambda p, x: once(model(p, x)), weights, X1, x2, max_bytes=1_000)


def test_rules_that_are_no_derivatives():
    """Terms that a rule adds to the gradient (a penalty) are ignored; a nonlinear rule raises."""
    penalty = with_rule(lambda a: a, lambda a, g: g + 0.1 * a)
    found = model_ntk(lambda w, x: penalty(x @ w), PARAMS["w"], X1)
    np.testing.assert_allclose(found, model_ntk(lambda w, x: x @ w, PARAMS["w"], X1), rtol=1e-12, atol=1e-13)
    clipped = with_rule(lambda a: a, lambda _, g: jnp.clip(g, -1, 1))
    said = (
        'custom_vjp: expected a reverse rule that is linear in the cotangent.*clip or round.*Pass custom_vjp="function"'
    )
    with pytest.raises(tn.ArgumentError, match=said):
        model_ntk(lambda w, x: clipped(x @ w), PARAMS["w"], X1)
    function = model_ntk(lambda w, x: clipped(x @ w), PARAMS["w"], X1, custom_vjp="function")
    np.testing.assert_allclose(function, found, rtol=1e-12, atol=1e-13)


COMPLEX = {
    "holomorphic inside": lambda p, x: jnp.real(jnp.sin(x @ p["z"]) @ p["w"]),
    "not holomorphic": lambda p, x: jnp.abs(x @ p["z"]) ** 2 @ p["w"] + jnp.imag(x @ (p["z"] * jnp.conj(p["z"].T)))[:, :2],
    "a loop without reverse mode": lambda p, x: tanh_twice(jnp.imag(p["z"]), x) + jnp.real(x @ p["z"])[:, :2] @ p["w"][:2],
}  # fmt: skip


@pytest.mark.parametrize("x2", [None, X2], ids=["itself", "others"])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_parameters_are_two_real_ones(name, x2):
    params = {"w": RNG.normal(size=(3, 2)), "re": SQUARE, "im": RNG.normal(size=(3, 3))}

    def with_real(p, x):
        return COMPLEX[name]({"w": p["w"], "z": p["re"] + 1j * p["im"]}, x)

    found = model_ntk(COMPLEX[name], {"w": params["w"], "z": params["re"] + 1j * params["im"]}, X1, x2)
    np.testing.assert_allclose(found, model_ntk(with_real, params, X1, x2), rtol=1e-12, atol=1e-13)


def test_a_sum_kept_in_a_mutable_array():
    def kept(w, x):
        total = jax.new_ref(jnp.zeros((len(x), 1)))
        for column in range(3):
            total[...] += x[:, column : column + 1] * w[column]
        return total[...]

    np.testing.assert_allclose(model_ntk(kept, jnp.ones((3, 1)), X1)[:, 0, :, 0], X1 @ X1.T, rtol=1e-12)


def test_python_that_branches_on_parameters():
    found = model_ntk(lambda w, x: x @ w if w.sum() > 0 else -x @ w, jnp.ones((3, 1)), X1)
    np.testing.assert_allclose(found[:, 0, :, 0], X1 @ X1.T, rtol=1e-12)


def test_its_own_gradient():
    """K = 4 (w x)² x² for (w x)², so dK/dw = 8 w x⁴."""
    slope = jax.grad(lambda w: model_ntk(lambda w, x: (w * x) ** 2, w, jnp.array([2.0])).sum())(jnp.array(3.0))
    np.testing.assert_allclose(slope, 8 * 3 * 2**4, rtol=1e-12)


def test_inputs_that_the_model_consumes():
    def pops(w, batch):
        batch.pop("labels")
        return batch["x"] @ w

    batch = {"x": X1, "labels": np.ones(4)}
    np.testing.assert_allclose(model_ntk(pops, jnp.ones((3, 1)), batch)[:, 0, :, 0], X1 @ X1.T, rtol=1e-12)
    assert set(batch) == {"x", "labels"}


def test_single_precision_stays():
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), PARAMS)
    found = model_ntk(model, params, X1.astype(np.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, contracted(model, PARAMS, X1, X1, 2), rtol=1e-4, atol=1e-5)


def test_strict_options():
    """All three algorithms with half-precision weights and in single precision, under JAX's strict options."""
    once = with_rule(lambda a: a, halved_and_doubled)

    def unrolled(w, x):
        return jnp.tanh(jnp.tanh(x @ w) @ w)[:, :2]

    with (
        jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"), jax.debug_nans(True), jax.enable_x64(False),
    ):  # fmt: skip
        w, x = jnp.asarray(SQUARE, jnp.bfloat16), jnp.asarray(X1, jnp.bfloat16)
        found = [model_ntk(f, w, x) for f in (unrolled, tanh_twice, lambda w, x: once(unrolled(w, x)))]
        assert all(k.dtype == jnp.bfloat16 for k in found)
        first, *rest = (np.asarray(k, np.float32) for k in found)
    for other in rest:
        assert np.linalg.norm(other - first) <= 0.03 * np.linalg.norm(first)


def test_refused():
    with pytest.raises(tn.ArgumentError, match=r"params: expected .* 1 NaN of 5 in the leaf at b"):
        model_ntk(model, PARAMS | {"b": np.array([0, 0, np.nan, 0, 0])}, X1)
    with pytest.raises(tn.ArgumentError, match="trainable: expected a tree of booleans that is a prefix"):
        model_ntk(model, PARAMS, X1, trainable={"w": True})
    with pytest.raises(tn.ArgumentError, match=r"params: expected a leaf that may move.*got none.*trainable"):
        model_ntk(model, PARAMS, X1, trainable=False)
    with pytest.raises(tn.ArgumentError, match="batch_size: expected an integer ≥ 1"):
        model_ntk(model, PARAMS, X1, batch_size=0)
    with pytest.raises(tn.ArgumentError, match="custom_vjp: expected one of 'function', 'rule'"):
        model_ntk(model, PARAMS, X1, custom_vjp="rules")
    with pytest.raises(tn.ArgumentError, match=r"x2: expected an array .* with one example per row"):
        model_ntk(model, PARAMS, X1, X2[:0])
    with pytest.raises(tn.ArgumentError, match="x2: expected the leaf a of x1, got a tree without it"):
        model_ntk(lambda p, x: model(p, x["a"]), PARAMS, {"a": X1}, {"b": X2})
    with pytest.raises(
        tn.ArgumentError, match=r"x2: expected outputs whose shape ends in \(3,\) as for x1, got shape \(3, 2\)"
    ):
        model_ntk(lambda w, x: w * x, jnp.ones(()), X1, X2[:, :2])
    with pytest.raises(
        tn.ArgumentError, match="x2: expected inputs without NaN, got 1 NaN of 9, and 2 NaN in the outputs"
    ):
        model_ntk(model, PARAMS, X1, np.where(np.arange(9).reshape(3, 3) == 4, np.nan, X2))


@pytest.mark.parametrize(
    ("f", "x", "shape"),
    [
        (
            lambda w, x: jnp.tanh(w[0] * x + w[1]),
            jax.ShapeDtypeStruct((8, 256, 256), jnp.float32),
            "8, 65536, 8, 65536",
        ),
        (lambda w, x: x @ w, jax.ShapeDtypeStruct((300_000, 2), jnp.float32), "300000, 1, 300000, 1"),
    ],
    ids=["dense outputs", "many rows"],
)
def test_sizes_are_asked_for(f, x, shape):
    """The check allocates nothing and runs under a trace, where only shapes are known."""
    said = rf"x1: expected a kernel of shape \({shape}\).*got about .* GB, more than .*fewer examples.*trainable.*max_bytes="
    with pytest.raises(tn.ArgumentError, match=said) as caught:
        jax.eval_shape(lambda x: model_ntk(f, jnp.ones(2), x, max_bytes=1e11), x)
    assert len(str(caught.value)) <= 600
    whole = jax.eval_shape(lambda x: model_ntk(f, jnp.ones(2), x, max_bytes=np.inf), x).shape
    assert str(whole) == f"({shape})"
