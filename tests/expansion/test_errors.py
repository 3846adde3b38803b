"""Every error message states the expected value and the value passed."""

import re

import jax
import jax.numpy as jnp
import pytest

import taylornets as tn
from taylornets._trees import Line
from taylornets.expansion import _memory

W = {"a": jnp.ones((2, 3)), "b": jnp.ones(3)}


def f(params, x=1.0):
    return params["a"] @ params["b"] * x


@pytest.mark.parametrize("degree", [-1, 1.5, "2", True, None])
def test_degree(degree):
    with pytest.raises(tn.ArgumentError, match=rf"degree: expected an integer ≥ 0, got {re.escape(repr(degree))}"):
        tn.taylor_expand(f, W, degree)


def test_mode():
    with pytest.raises(tn.ArgumentError, match=r"mode: expected one of .*Did you mean 'nested'"):
        tn.taylor_expand(f, W, 2, mode="nest")


def test_not_a_function():
    with pytest.raises(tn.ArgumentError, match=r"f: expected a function .*, got 3"):
        Line.through(3, W, None)


def test_structure():
    with pytest.raises(tn.ArgumentError, match=r"new_params: expected the leaf b of params, got a tree without it"):
        tn.taylor_expand(f, W, 2)({"a": W["a"], "c": W["b"]})


def test_shape():
    with pytest.raises(tn.ArgumentError, match=r"new_params at b: expected shape \(3,\).*, got shape \(4,\)"):
        tn.taylor_expand(f, W, 2)(W | {"b": jnp.ones(4)})


def test_dtype():
    with pytest.raises(tn.ArgumentError, match=r"at b: expected dtype float32.*, got dtype bfloat16"):
        tn.taylor_expand(f, W, 2)(W | {"b": jnp.ones(3, jnp.bfloat16)})


def test_new_leaf_that_is_not_an_array():
    with pytest.raises(tn.ArgumentError, match=r"at b: expected an array of shape \(3,\), got a str"):
        tn.taylor_expand(f, W, 2)(W | {"b": "weights"})


@pytest.mark.parametrize("where", ["params", "new_params"])
def test_nan(where):
    bad = W | {"b": jnp.array([0.0, jnp.nan, 1.0])}
    pair = (bad, W) if where == "params" else (W, bad)
    with pytest.raises(tn.ArgumentError, match=rf"{where}: expected no NaN.*1 NaN of 3 in the leaf at b"):
        tn.taylor_expand(f, pair[0], 2)(pair[1])


@pytest.mark.parametrize("mode", ["taylor", "nested"])
def test_outputs_that_are_not_arrays(mode):
    with pytest.raises(tn.ArgumentError, match=r"f: expected a model that returns arrays.*a str at \['note'\]"):
        tn.taylor_expand(lambda p: {"y": f(p), "note": "done"}, W, 2, mode=mode)(W)


@pytest.mark.parametrize("mode", ["taylor", "nested"])
def test_a_forgotten_return(mode):
    with pytest.raises(
        tn.ArgumentError, match=r"f: expected a model that returns arrays.*got None, which contains no array"
    ):
        tn.taylor_expand(lambda p: None, W, 2, mode=mode)(W)


def test_mask_that_does_not_fit():
    with pytest.raises(tn.ArgumentError, match=r"trainable: expected a tree of booleans that is a prefix"):
        tn.taylor_expand(f, W, 2, trainable={"a": True, "c": False})


def test_mask_of_numbers():
    with pytest.raises(tn.ArgumentError, match=r"trainable: expected booleans as leaves, got 1"):
        tn.taylor_expand(f, W, 2, trainable={"a": 1, "b": 0})


def test_an_order_too_high_for_memory(monkeypatch):
    monkeypatch.setattr(_memory, "memory_limit", lambda: 100_000)
    w, x = jnp.ones((50, 50)), jnp.ones((40, 50))

    def model(w, x):
        return jnp.tanh(jnp.tanh(x @ w) @ w)

    assert jax.eval_shape(tn.taylor_expand(model, w, 2), w, x).shape == (40, 50)
    with pytest.raises(
        tn.ArgumentError, match=r"degree: expected an order .* 0.0001 GB.*, got order 40, which requires about"
    ):
        tn.taylor_expand(model, w, 40)(w, x)


def test_memory_of_this_machine_is_known():
    assert _memory.memory_limit() > 2**28


def test_nested_reverse_through_custom_vjp_is_still_refused():
    @jax.custom_vjp
    def g(x):
        return x**3

    g.defvjp(lambda x: (x**3, x), lambda x, ct: (3 * x * x * ct,))
    assert float(tn.taylor_expand(g, jnp.array(1.0), 3)(jnp.array(2.0))) == pytest.approx(8.0)
    with pytest.raises(TypeError, match="custom_vjp"):
        tn.taylor_expand(g, jnp.array(1.0), 1, mode="nested")(jnp.array(2.0))
