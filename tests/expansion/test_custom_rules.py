"""Warnings for reverse rules that are not the derivative of their function, against JAX's gradient and closed forms."""

import warnings
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.ode import odeint

from taylornets.expansion import warn_of_other_slopes

RNG = np.random.default_rng(0)
START = [jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32)]
MOVE = [jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32)]
X = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)


def with_rule(function, reverse):
    """Returns a `custom_vjp` function of one array; the rule takes the input and the cotangent."""
    wrapped = jax.custom_vjp(function)
    wrapped.defvjp(lambda a: (function(a), a), lambda a, g: (reverse(a, g),))
    return wrapped


def scaled(slope):
    """Computes 2 sin a with `nondiff_argnums`; the rule is the derivative times `slope`."""

    @partial(jax.custom_vjp, nondiff_argnums=(1,))
    def sine(a, factor):
        return factor * jnp.sin(a)

    sine.defvjp(lambda a, f: (f * jnp.sin(a), a), lambda f, a, g: (slope * f * jnp.cos(a) * g,))
    return lambda a: sine(a, 2.0)


def filtered(factor):
    @eqx.filter_custom_vjp
    def tanh(a, name):
        assert name == "tanh"
        return jnp.tanh(a)

    tanh.def_fwd(lambda perturbed, a, name: (jnp.tanh(a), None))
    tanh.def_bwd(lambda residual, g, perturbed, a, name: factor * g * (1 - jnp.tanh(a) ** 2))
    return lambda a: tanh(a, "tanh")


def tanh_rule(a, g):
    return g * (1 - jnp.tanh(a) ** 2)


SAME = {
    "tanh": with_rule(jnp.tanh, tanh_rule),
    "nondiff_argnums": scaled(1.0),
    "filter_custom_vjp": filtered(1.0),
    "clipping that never acts": with_rule(lambda a: a, lambda _, g: jnp.clip(g, -1e6, 1e6)),
    "adjoint of odeint": lambda a: odeint(lambda y, t: jnp.sin(y), a, jnp.array([0.0, 1.0]))[1],
}


@pytest.mark.parametrize("name", SAME)
def test_a_rule_that_is_the_derivative(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_of_other_slopes(lambda leaves: SAME[name](X @ leaves[0]), START, MOVE)


OTHER = {
    "straight-through": (with_rule(lambda a: jnp.round(4 * a) / 4, lambda _, g: g), "100 %"),
    "nondiff_argnums": (scaled(0.5), "50 %"),
    "filter_custom_vjp": (filtered(0.75), "25 %"),
    "in a loop": (lambda a: jax.lax.scan(lambda c, _: (scaled(0.5)(c), None), a, length=1)[0], "50 %"),
    "clipped gradient": (with_rule(lambda a: a, lambda _, g: jnp.clip(g, 0.0, 0.0)), r"\d %"),  # no linear map
    "safe root": (with_rule(lambda a: jnp.sqrt(0 * a), lambda _, g: 0 * g), "one of them is not finite"),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_rule_that_is_not_the_derivative(name):
    function, said = OTHER[name]
    with pytest.warns(
        UserWarning, match=rf'jax.custom_vjp .*{said}.*custom_vjp="rule".*custom_vjp="function"'
    ) as found:
        assert warn_of_other_slopes(lambda leaves: {"out": function(X @ leaves[0]), "n": 3}, START, MOVE)
    assert len(found) == 1


def test_the_distance_is_that_of_the_gradients():
    """Half of the outputs pass through the step, where J v is X v by the rule and 0 by the function."""
    step = with_rule(lambda a: a.astype(jnp.int8).astype(a.dtype), lambda _, g: g)
    slopes = np.asarray(X @ MOVE[0])
    expected = 100 * np.linalg.norm(slopes[:, 0]) / np.linalg.norm(slopes)
    with pytest.warns(UserWarning, match=rf"by {expected:.3g} %"):
        warn_of_other_slopes(lambda leaves: ((X @ leaves[0])[:, 1], step(X @ leaves[0])[:, 0]), START, MOVE)


def test_nothing_is_computed_without_a_rule_or_for_traced_values(monkeypatch):
    monkeypatch.setattr("taylornets.expansion._custom._distance", lambda *_: pytest.fail("computed"))
    assert not warn_of_other_slopes(lambda leaves: jax.nn.relu(X @ leaves[0]), START, MOVE)  # a custom_jvp
    step = OTHER["straight-through"][0]
    assert not jax.jit(lambda move: warn_of_other_slopes(lambda leaves: step(X @ leaves[0]), START, move))(MOVE)
    assert not warn_of_other_slopes(lambda leaves: step(X), [], [])


def test_complex_and_half_precision():
    """Rounding in bfloat16 is not reported, and complex weights move in both parts."""
    half, move = ([a.astype(jnp.bfloat16) for a in leaves] for leaves in (START, MOVE))
    assert not warn_of_other_slopes(lambda leaves: SAME["tanh"](X.astype(jnp.bfloat16) @ leaves[0]), half, move)
    step = with_rule(lambda a: jnp.round(a), lambda _, g: g)
    weights = [START[0] + 1j * MOVE[0]]
    with pytest.warns(UserWarning, match="100 %"):
        warn_of_other_slopes(lambda leaves: step(jnp.imag(X @ leaves[0])), weights, [1j * MOVE[0]])
    kept = with_rule(lambda a: a, lambda _, g: jnp.clip(g, 0.0, 0.0))
    with pytest.warns(UserWarning, match=r"\d %"):
        warn_of_other_slopes(lambda leaves: kept(jnp.imag(X @ leaves[0])), weights, [1j * MOVE[0]])


def test_a_loop_without_reverse_mode_beside_a_rule():
    """The rule can still be used, one equation at a time."""
    step = OTHER["straight-through"][0]

    def model(leaves):
        return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] / 2), (0, step(X @ leaves[0])))[1]

    with pytest.warns(UserWarning, match="100 %"):
        warn_of_other_slopes(model, START, MOVE)
