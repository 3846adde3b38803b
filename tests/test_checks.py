"""Messages of the entry checks name the argument, the need and what came."""

import jax.numpy as jnp
import pytest

from taylornets import _checks


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: _checks.integer("order", 1.5, 0), "order: expected an integer ≥ 0, got 1.5"),
        (lambda: _checks.integer("order", True, 0), "order: expected an integer ≥ 0, got True"),
        (lambda: _checks.integer("order", -1, 0, "Try 0."), "order: expected an integer ≥ 0, got -1. Try 0."),
        (lambda: _checks.positive("penalty", 0.0), "penalty: expected a finite number > 0, got 0.0"),
        (lambda: _checks.positive("penalty", float("nan")), "penalty: expected a finite number > 0, got nan"),
        (lambda: _checks.positive("penalty", "1"), "penalty: expected a number > 0, got '1'"),
        (lambda: _checks.choice("loss", "sqared", ["squared", "huber"]), "got 'sqared'. Did you mean 'squared'?"),
        (lambda: _checks.choice("loss", "zzz", ["squared"]), "loss: expected one of 'squared', got 'zzz'."),
        (
            lambda: _checks.array("x", [[1.0], [2.0, 3.0]], ("n", 2)),
            r"x: expected a real array of shape \(n, 2\), got a list",
        ),
        (
            lambda: _checks.array("x", jnp.ones(3) * 1j, ("n",)),
            r"x: expected a real array of shape \(n,\), got dtype complex",
        ),
        (lambda: _checks.array("x", jnp.ones((2, 3)), ("n", 2)), r"x: expected shape \(n, 2\), got shape \(2, 3\)"),
        (lambda: _checks.array("x", jnp.ones((0, 2)), ("n", 2)), "x: expected a non-empty array"),
        (lambda: _checks.array("x", jnp.array([1.0, jnp.nan]), ("n",)), "got 1 NaN or infinite of 2. Remove or impute"),
    ],
)
def test_messages(check, message):
    with pytest.raises(_checks.ArgumentError, match=message):
        check()


def test_accepted_values_pass_through():
    assert _checks.integer("order", jnp.asarray(3).item(), 0) == 3
    assert _checks.choice("loss", "huber", ["squared", "huber"]) == "huber"
    assert _checks.array("x", [[1, 2]], ("n", 2)).dtype == jnp.result_type(float)
    assert _checks.array("x", jnp.ones(2, jnp.bfloat16), ("n",)).dtype == jnp.bfloat16
