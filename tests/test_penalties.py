"""Penalties: definitions, derivatives at zero and away from it, conjugates against brute force."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import taylornets as tn
from taylornets.penalties import GroupPenalty, group_norm

CASES = [(1, 2), (1, 2.5), (1, 3), (1, 4), (2, 4), (2, 4.5), (2, 6), (2, 8), (3, 6), (3, 7), (3, 12)]
SHAPES = [(5, 3), (4, 2, 3)]


def _weights(shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(shape: tuple[int, ...]):
    w = _weights(shape).at[1].set(0.0)

    @jax.jit
    def evaluate(w: jax.Array):
        penalties = [GroupPenalty(*case) for case in CASES]
        norms = [group_norm(w, penalty.order) for penalty in penalties]
        closed = [penalty.value_and_gradient(w, 0.7) for penalty in penalties]
        return norms, closed, [jax.value_and_grad(penalty.value)(w, 0.7) for penalty in penalties]

    lengths = np.linalg.norm(np.asarray(w).reshape(len(w), -1), axis=1)
    for case, norm, closed, automatic in zip(CASES, *evaluate(w), strict=True):
        order, power = case
        expected = np.sum(lengths ** (2 * order)) ** (1 / (2 * order))
        np.testing.assert_allclose(norm, expected, rtol=1e-13, err_msg=str(case))
        np.testing.assert_allclose(closed[0], 0.7 * expected**power, rtol=1e-12, err_msg=str(case))
        np.testing.assert_allclose(automatic[0], closed[0], rtol=1e-13, err_msg=str(case))
        np.testing.assert_allclose(automatic[1], closed[1], rtol=1e-12, atol=1e-14, err_msg=str(case))
        # Euler: the penalty is homogeneous of degree p.
        np.testing.assert_allclose(np.sum(np.asarray(closed[1] * w)), power * closed[0], rtol=1e-12, err_msg=str(case))


def test_frobenius_norm_is_order_one():
    w = _weights((5, 3)).astype(jnp.float32)
    assert float(group_norm(w, 1)) == pytest.approx(float(jnp.linalg.norm(w)), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivatives_at_zero_exist(dtype: str):
    @jax.jit
    def evaluate(w: jax.Array):
        return [
            (
                jax.grad(penalty.value)(w, 0.5),
                penalty.value_and_gradient(w, 0.5)[1],
                jax.grad(lambda w, order=penalty.order: group_norm(w, order))(w),
                group_norm(w, penalty.order),
                jax.hessian(penalty.value)(w, 0.5),
            )
            for penalty in (GroupPenalty(*case) for case in CASES)
        ]

    with jax.enable_x64(dtype == "float64"):
        for case, (*zeros, hessian) in zip(CASES, evaluate(jnp.zeros((2, 3), dtype)), strict=True):
            for zero in zeros:
                assert zero.dtype == dtype
                np.testing.assert_array_equal(zero, 0.0, err_msg=str(case))
            expected = np.eye(6) if case[1] == 2 else np.zeros((6, 6))
            np.testing.assert_array_equal(hessian.reshape(6, 6), expected, err_msg=str(case))


def test_tiny_weights_give_no_nan_in_float32():
    @jax.jit
    def evaluate(w: jax.Array):
        penalties = [GroupPenalty(*case) for case in CASES]
        return [(q.value(w, 1.0), q.value_and_gradient(w, 1.0), jax.hessian(q.value)(w, 1.0)) for q in penalties]

    for scale in (1e-5, 1e-10, 1e-19, 1e-23, 1e-38):
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(evaluate(jnp.full((2, 2), scale, "float32"))))


def test_norm_neither_underflows_nor_overflows_in_float32():
    w = jnp.asarray([[3.0, 4.0], [0.0, 0.0]], jnp.float32)
    for scale in (1e-30, 1e30):
        assert float(group_norm(scale * w, 4)) == pytest.approx(5 * scale, rel=1e-6)


@pytest.mark.usefixtures("x64")
def test_conjugate_is_the_brute_force_supremum():
    levels = (0.0, 0.03, 1.0, 7.0)
    cases = [case for case in CASES if case[1] > 2]

    @jax.jit
    def evaluate(c: jax.Array, strength: float):
        penalties = [GroupPenalty(*case) for case in cases]
        return [jnp.stack([q.conjugate(c[i], strength) for i in range(len(levels))]) for q in penalties]

    for strength in (1e-3, 0.5):
        for (_, power), found in zip(cases, evaluate(jnp.asarray(levels), strength), strict=True):
            for c, value in zip(levels, np.asarray(found), strict=True):
                assert value == pytest.approx(_brute_force(c, power, strength), rel=1e-9, abs=1e-12)


def _brute_force(c: float, power: float, strength: float) -> float:
    """`sup_s sC - λ s^{p/2}`, over `log s`."""

    def negative(logarithm: float) -> float:
        return strength * math.exp(logarithm * power / 2) - math.exp(logarithm) * c

    best: Any = optimize.minimize_scalar(negative, bounds=(-40, 40), method="bounded", options={"xatol": 1e-12})
    return -best.fun


@pytest.mark.usefixtures("x64")
def test_conjugates_printed_in_the_theory():
    c, strength = 1.7, 0.2
    assert float(GroupPenalty(2, 4).conjugate(c, strength)) == pytest.approx(c**2 / (4 * strength), rel=1e-14)
    assert float(GroupPenalty(2, 8).conjugate(c, strength)) == pytest.approx(0.75 * c * (c / (4 * strength)) ** (1 / 3))
    ridge = GroupPenalty(1, 2)
    assert float(ridge.conjugate(0.2, 0.2)) == 0.0
    assert float(ridge.conjugate(0.2000001, 0.2)) == math.inf


@pytest.mark.usefixtures("x64")
def test_duality_between_units():
    # Σ_r c_r ‖w_r‖² ≤ λ ‖W‖^p + R*(c) for all W, with equality for some W.
    strength, c, w = 0.4, np.array([0.5, 1.3, -0.7, 0.9]), _weights((4, 3))
    scales = np.array([0.1, 0.5, 1.0, 2.0])
    squares = np.sum(np.asarray(w) ** 2, axis=1)

    @jax.jit
    def evaluate(w: jax.Array):
        penalties = [GroupPenalty(*case) for case in CASES]
        values = [jnp.stack([penalty.value(scale * w, strength) for scale in scales]) for penalty in penalties]
        return values, [(q.conjugate(jnp.asarray(c), strength), q.dual_norm(jnp.asarray(c))) for q in penalties]

    for (order, power), values, (bound, norm) in zip(CASES, *evaluate(w), strict=True):
        assert np.all(scales**2 * (c @ squares) <= np.asarray(values) + float(bound) + 1e-12)
        if order == 1:
            assert float(norm) == 1.3
            continue
        direction = np.maximum(c, 0) ** (1 / (order - 1))  # t_r that attains the dual norm, up to scale
        attained = c @ direction / np.sum(direction**order) ** (1 / order)
        assert float(norm) == pytest.approx(attained, rel=1e-12)
        t = np.exp(np.linspace(-6, 6, 40_001))
        assert float(bound) == pytest.approx(np.max(t * attained - strength * t ** (power / 2)), rel=1e-6)


def test_gradient_of_the_conjugate_at_zero_is_zero():
    @jax.jit
    def evaluate(c: jax.Array):
        return [jax.grad(GroupPenalty(*case).conjugate)(c, 0.5) for case in CASES]

    for c in (jnp.zeros((), "float32"), jnp.zeros(3, "float32")):
        for gradient in evaluate(c):
            assert gradient.dtype == jnp.float32
            np.testing.assert_array_equal(gradient, 0.0)


def test_nan_is_not_hidden():
    @jax.jit
    def evaluate(w: jax.Array):
        penalties = [GroupPenalty(*case) for case in CASES]
        return [(q.value(w, 1.0), q.conjugate(w[0, 0], 1.0), group_norm(w, q.order)) for q in penalties]

    assert np.all(np.isnan(evaluate(jnp.asarray([[jnp.nan, 1.0]]))))


def test_strength_may_be_traced():
    w = jnp.ones((2, 2))
    value = jax.jit(lambda strength: GroupPenalty(2, 8).value(w, strength))(0.25)
    assert float(value) == pytest.approx(0.25 * 64)


@pytest.mark.parametrize(
    ("order", "power", "message"),
    [
        (2, 3, r"^power: expected a finite number ≥ 4 for a model of order 2, got 3\. .*use power=4 or more"),
        (3, 5.9, r"^power: expected a finite number ≥ 6 for a model of order 3"),
        (1, math.inf, r"^power: expected a finite number > 0"),
        (1, math.nan, r"^power: expected a finite number > 0"),
        (0, 4, r"^order: expected an integer ≥ 1, got 0"),
    ],
)
def test_bad_penalties(order: int, power: float, message: str):
    with pytest.raises(tn.ArgumentError, match=message):
        GroupPenalty(order, power)


@pytest.mark.parametrize("strength", [0.0, -1.0, math.nan])
def test_bad_strength(strength: float):
    penalty = GroupPenalty()
    for call in (penalty.value, penalty.value_and_gradient, penalty.conjugate):
        with pytest.raises(tn.ArgumentError, match=r"^penalty: expected a finite number > 0, got .*λ must be positive"):
            call(jnp.ones((2, 2)) if call != penalty.conjugate else jnp.ones(2), strength)


def test_group_norm_refuses_a_bad_order():
    with pytest.raises(tn.ArgumentError, match=r"^order: expected an integer ≥ 1"):
        group_norm(jnp.ones((2, 2)), 0)
