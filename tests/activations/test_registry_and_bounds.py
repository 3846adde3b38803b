"""Names, equality, and bounds on derivatives."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.activations import Activation, Erf, PolynomialActivation, ReluPower, Tanh

NAMES = (*tn.activations.names(), "polynomial(1.0, -2.0, 0.5, 0.25)", "relu_power_7")


@pytest.mark.parametrize("name", NAMES)
def test_names_round_trip_and_equality_is_by_value(name: str):
    sigma = tn.activations.get(name)
    assert sigma.name == name
    assert sigma == tn.activations.get(name)
    assert hash(sigma) == hash(tn.activations.get(name))
    assert tn.activations.get(sigma) is sigma
    assert sum(sigma == tn.activations.get(other) for other in NAMES) == 1


def test_names_of_relu_powers():
    assert tn.activations.get("relu_power_3") == tn.activations.get("cubic_relu") == ReluPower(3)
    assert tn.activations.get("relu_power_1").name == "relu"
    assert tn.activations.get("relu_power_6")(2.0) == pytest.approx(2**6 / 720)


def test_functions_handed_out_are_the_same_every_time():
    assert Tanh().derivative(2) is Tanh().derivative(2)
    assert Erf().dual(1) is Erf().dual(1)


def test_static_field_of_a_module_does_not_recompile():
    class Module(eqx.Module):
        activation: Activation = eqx.field(static=True)
        scale: jax.Array

    traces: list[int] = []

    @eqx.filter_jit
    def apply(module: Module, t: jax.Array) -> jax.Array:
        traces.append(1)
        return module.activation(t * module.scale)

    for _ in range(2):
        apply(Module(tn.activations.get("relu_power_5"), jnp.ones(())), jnp.ones(3))
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("cubic_rleu", r"^activation: expected one of .*'cubic_relu'.*got 'cubic_rleu'\. Did you mean 'cubic_relu'\?"),
        ("polynomial", r"Did you mean 'polynomial\(c0, c1, \.\.\.\)'\?"),
        (
            "polynomial(1, x)",
            r"^activation: expected 'polynomial\(c0, c1, \.\.\.\)' with numbers, got 'polynomial\(1, x\)'",
        ),
        ("relu_power_0", r"^power: expected an integer ≥ 1, got 0"),
        (
            3,
            r"^activation: expected a name, an activation or a JAX function of a real scalar, got 3\. taylornets\.activations",
        ),
        (Tanh, r"^activation: expected a name, an activation or a JAX function"),
        (
            lambda t: (t, t),
            r"^activation: expected a JAX function of a real scalar that returns a real scalar, got one",
        ),
        (lambda t: jnp.ones(2) * t, r"got one that returned ShapeDtypeStruct\(shape=\(2,\)"),
        (math.tanh, r"got one that raised .*Write it with jax\.numpy"),
    ],
)
def test_bad_activations(bad: Any, message: str):
    with pytest.raises(tn.ArgumentError, match=message):
        tn.activations.get(bad)


@pytest.mark.parametrize("coefficients", [(), (1.0, math.nan)])
def test_bad_coefficients(coefficients: tuple[float, ...]):
    with pytest.raises(
        tn.ArgumentError, match=r"^coefficients: expected a sequence of at least one finite real number"
    ):
        PolynomialActivation(coefficients)


def test_trailing_zeros_do_not_make_another_polynomial():
    assert PolynomialActivation((1, 2, 0)) == PolynomialActivation((1.0, 2.0))


def test_a_taken_name_is_refused():
    with pytest.raises(tn.ArgumentError, match=r"^name: expected an unused name, got 'tanh'"):
        tn.activations.register("tanh", Erf)
    assert tn.activations.get("tanh") == Tanh()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_bound_is_above_and_close_to_the_supremum(name: str):
    sigma = tn.activations.get(name)
    # Not the points of the grid inside; the last two are the limits at infinity.
    t = np.concatenate([np.linspace(-9.123, 9.0, 30_011), [-40.0, 40.0]])
    suprema = np.abs(np.stack(jax.jit(lambda t: sigma.derivatives(t, tuple(range(9))))(t))).max(axis=1)
    for k, supremum in enumerate(suprema):
        bound = sigma.derivative_bound(k)
        if math.isfinite(bound):
            assert supremum <= bound <= max(supremum * (1 + 2e-4), 1e-300)
        elif sigma.smoothness is None:
            assert supremum > 8.0
        else:
            assert k != sigma.smoothness + 1


def test_bounds_known_in_closed_form():
    assert Tanh().derivative_bound(2) == pytest.approx(4 / (3 * math.sqrt(3)), rel=1e-6)
    assert tn.activations.get("sigmoid").derivative_bound(3) == pytest.approx(1 / 8, rel=1e-6)
    assert Erf().derivative_bound(2) == pytest.approx(2 * math.sqrt(2 / math.pi) * math.exp(-0.5), rel=1e-6)
    assert tn.activations.get("gelu").derivative_bound(2) == pytest.approx(2 / math.sqrt(2 * math.pi), rel=1e-6)
    assert PolynomialActivation((0, 1, 3)).derivative_bound(2) == 6.0
    assert PolynomialActivation((0, 1, 3)).derivative_bound(3) == 0.0


def test_a_bound_beyond_a_jump_serves_no_remainder():
    # relu² has the Lipschitz first derivative relu, and a second that jumps: no third-order remainder exists.
    assert [ReluPower(2).derivative_bound(k) for k in range(5)] == [math.inf, math.inf, 1.0, math.inf, math.inf]


@pytest.mark.parametrize("name", NAMES)
def test_traits(name: str):
    sigma = tn.activations.get(name)
    assert sigma.analytic == (sigma.strip > 0)
    assert (sigma.kinks == ()) == (sigma.smoothness is None)
    if sigma.smoothness is not None:
        left, right = (sigma.derivatives(jnp.asarray(end), tuple(range(9))) for end in (-1e-30, 1e-30))
        jumps = [abs(float(a - b)) > 0.5 for a, b in zip(left, right, strict=True)]
        assert jumps.index(True) == sigma.smoothness + 1


def test_smooth_strip_widths():
    assert tn.activations.get("tanh").strip == pytest.approx(math.pi / 2)
    assert tn.activations.get("sigmoid").strip == pytest.approx(math.pi)
    assert math.isinf(tn.activations.get("gelu").strip)
