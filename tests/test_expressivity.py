"""Planted weights against the target itself, the formula of their norm, and what an activation can express."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn

pytestmark = pytest.mark.usefixtures("x64")
SHIFTED_SINE = tn.activations.get(lambda t: jnp.sin(t + 0.7))


def sphere(n, d, radius=1.0):
    x = jax.random.normal(jax.random.key(0), (n, d))
    return radius * x / jnp.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize(("order", "power"), [(1, 3), (2, 2), (2, 4), (2, 5), (3, 3), (3, 5), (4, 6)])
def test_error_falls_and_norm_meets_the_formula(order, power):
    """Error below 5 m^{-1/2} of its own scale at two widths; the norm within 10 % at 2^15."""
    target = tn.targets.Polynomial(jnp.array([[0.6, 0.8, 0.0, 0.0, 0.0]]), (power,), jnp.ones(1))
    x = sphere(200, 5)
    errors = []
    for width in (2**11, 2**15):
        net = tn.TwoLayerNetwork.init(jax.random.key(width), 5, width, activation=SHIFTED_SINE)
        w = tn.expressivity.planted_weights(net, target, order)
        errors.append(float(jnp.sqrt(jnp.mean((net.term(order, w, x) - target(x)) ** 2))))
    assert errors[1] < 0.6 * errors[0]
    q = power - order
    c = SHIFTED_SINE.hermite_coefficient(order, q)
    predicted = 2 * float(np.prod(np.arange(1, order + 1))) ** 2 * float(np.prod(np.arange(1, q + 1))) / c**2
    predicted *= 0.5 if order % 2 else 1
    assert float(jnp.sum(jnp.sum(w**2, 1) ** order)) == pytest.approx(predicted, rel=0.1)


def test_several_directions_and_input_norm():
    """The product of two coordinates as a difference of squares, on a sphere of radius 2."""
    target = tn.targets.Polynomial(jnp.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]), (2, 2), jnp.array([0.25, -0.25]))
    x = sphere(100, 3, 2.0)
    np.testing.assert_allclose(target(x)[:, 0], x[:, 0] * x[:, 1], atol=1e-14)
    net = tn.TwoLayerNetwork.init(jax.random.key(1), 3, 2**16, input_norm=2.0)
    w = tn.expressivity.planted_weights(net, target)
    error = jnp.sqrt(jnp.mean((net.term(2, w, x) - target(x)) ** 2) / jnp.mean(target(x) ** 2))
    assert float(error) < 0.05


def test_norms_of_several_directions_and_a_radius():
    """Powers 2 and 4 with different sizes: at width 2^15 within 5 % of the formula (about 4 standard errors)."""
    target = tn.targets.Polynomial(jnp.array([[1.0, 0.0, 0.5], [0.0, -2.0, 0.0]]), (2, 4), jnp.array([0.7, 0.1]))
    net = tn.TwoLayerNetwork.init(jax.random.key(3), 3, 2**15, input_norm=1.5)
    w = tn.expressivity.planted_weights(net, target)
    found = float(jnp.sum(jnp.sum(w**2, 1) ** 2))
    assert found == pytest.approx(tn.expressivity.planted_norm("cubic_relu", target, 2, 1.5), rel=0.05)


@pytest.mark.parametrize("activation", ["cubic_relu", "tanh", "erf"])
def test_table_says_what_planting_does(activation):
    """Every entry of the table: planting succeeds and costs the norm of the formula, or is refused."""
    found = tn.expressivity.table(activation, orders=(1, 2), largest=5)
    for row in found.rows:
        square = tn.targets.Polynomial(jnp.ones((1, 1)), (row.power,), jnp.ones(1))
        if row.expressible:
            assert tn.expressivity.planted_norm(activation, square, row.order) == pytest.approx(row.norm)
            assert row.power in found.powers(row.order)
        else:
            with pytest.raises(tn.ArgumentError, match=r"target\.powers: .* lists the supported powers"):
                tn.expressivity.planted_norm(activation, square, row.order)


def test_table_of_cubic_relu_is_the_theory_s():
    """`k = 2`: `q = 0, 1` and even `q`."""
    found = tn.expressivity.table("cubic_relu", orders=(2,), largest=9)
    assert found.powers(2) == (2, 3, 4, 6, 8)
    assert str(found).splitlines()[0] == "cubic_relu: ‖W‖^(2k) for ⟨β, x⟩^p"


def test_tails_against_quadrature():
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    for row in tn.expressivity.table("exp", orders=(1,), largest=7).rows:
        q = row.power - 1
        values = np.polynomial.hermite_e.hermeval(nodes, [0] * q + [1])
        fourth, second = (weights @ values**power / weights.sum() for power in (4, 2))
        assert row.tail == pytest.approx(fourth / second**2, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plant(power=5), "powers p with .* for cubic_relu, got 5"),
        (lambda: plant(power=1), "order: expected at most the smallest power of the target, 1, got 2"),
        (lambda: plant(symmetric=False), "net: expected symmetric initialization and one output"),
        (lambda: plant(order=0), "order: expected an integer ≥ 1, got 0"),
        (lambda: tn.expressivity.table("tanh", orders=(0,)), "orders: expected an integer ≥ 1, got 0"),
        (lambda: tn.expressivity.table("tanh", orders=(3,), largest=2), "largest: expected an integer ≥ 3, got 2"),
        (lambda: tn.expressivity.table("tahn"), "tahn"),
        (lambda: tn.targets.Polynomial(jnp.ones((2, 3)), (2,), jnp.ones(2)), "powers: expected 2 powers"),
        (
            lambda: tn.targets.Polynomial(jnp.zeros((1, 3)), (2,), jnp.ones(1)),
            "directions: expected nonzero directions",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(tn.ArgumentError, match=message):
        make()


def plant(power=2, symmetric=True, order=2):
    net = tn.TwoLayerNetwork.init(jax.random.key(1), 3, 8, symmetric=symmetric)
    return tn.expressivity.planted_weights(net, tn.targets.Polynomial(jnp.ones((1, 3)), (power,), jnp.ones(1)), order)
