"""Computes the terms of a series with the interpreter, and with nested `jax.jvp` as a reference."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from taylornets.series import RuleContext, coefficients, evaluate_closed, make

W = np.array([0.31, -0.72, 0.25])
V = np.array([0.21, 0.35, -0.42])

# What JAX itself cannot do once its option `jax_scan3` is on.
no_batch_of_scan3 = pytest.mark.skipif(
    getattr(jax.config, "jax_scan3", False), reason="JAX cannot batch or reverse a scan with jax_scan3"
)


def terms(f, order=3, *, start=W, move=V, **context):
    """Returns a list of output leaves for every order: d^k/dt^k f(start + t move) / k! at t = 0."""
    closed = jax.make_jaxpr(f)(start)
    operands = [make([jnp.asarray(start), jnp.asarray(move), *[None] * (order - 1)])]
    outs = [coefficients(v, order) for v in evaluate_closed(RuleContext(order, **context), closed, operands)]
    return [[jnp.zeros_like(row[0]) if row[k] is None else row[k] for row in outs] for k in range(order + 1)]


def nested(f, order=3, *, start=W, move=V):
    """Returns the same terms by repeated differentiation."""

    def leaves(w):
        return [y for y in map(jnp.asarray, jax.tree.leaves(f(w))) if jnp.issubdtype(y.dtype, jnp.inexact)]

    def derivative(g):
        return lambda w: jax.jvp(g, (w,), (jnp.asarray(move),))[1]

    rows, g = [], leaves
    for k in range(order + 1):
        rows.append([y / math.factorial(k) for y in g(jnp.asarray(start))])
        g = derivative(g)
    return rows


def assert_terms(ours, reference, tolerance=1e-10):
    assert len(ours) == len(reference)
    for k, (mine, theirs) in enumerate(zip(ours, reference, strict=True)):
        moving = [y for y in mine if jnp.issubdtype(y.dtype, jnp.inexact)]
        assert len(moving) == len(theirs)
        for a, b in zip(moving, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"order {k}")


def agree(f, order=3, *, by_hand=None, **context):
    """Asserts that both agree under `jit`; returns the terms. `by_hand` is the same function, written explicitly."""
    ours = jax.jit(lambda: terms(f, order, **context))()
    assert_terms(ours, jax.jit(lambda: nested(by_hand or f, order))())
    assert any(np.abs(np.asarray(y)).max() > 0 for y in ours[order])
    return ours
