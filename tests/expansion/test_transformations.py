"""`vmap`, `grad` and `grad` of `grad` of every registered model's expansion.

An expansion of order K is a polynomial of degree K in the new parameters. Along any line, its values at K + 1 points determine
its first and second derivatives exactly, so the reference requires no automatic differentiation.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from expansion_models import REGISTRY, built, direction

import taylornets as tn

NODES = np.array([-1.0, -0.4, 0.4, 1.0])
# Order 3 where compiling three derivatives of it takes seconds; order 2 elsewhere.
CUBIC = ("mlp_relu", "mlp_gelu", "mlp_tanh", "embedding_lookup", "branches", "rematerialized")


def scalar(tree):
    """Computes a fixed real functional of the floating-point leaves."""
    total = 0.0
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            weights = jnp.cos(jnp.arange(leaf.size, dtype=jnp.float64)).reshape(leaf.shape)
            total += jnp.sum(weights * (leaf.real + 2 * leaf.imag if jnp.iscomplexobj(leaf) else leaf))
    return total


def along(name, order):
    """Returns a functional of the expansion along a line in parameter space, a polynomial of degree `order`, and the data."""
    f, params, new, x = built(name)
    moving, fixed = eqx.partition(new, eqx.is_inexact_array)
    way = jax.tree.map(lambda a, b: b - a, moving, eqx.filter(direction(moving, 0.2), eqx.is_inexact_array))
    expansion = tn.taylor_expand(f, params, order)

    def value(s, x):
        point = jax.tree.map(lambda a, b: a + s.astype(a.dtype) * b, moving, way)
        return scalar(expansion(eqx.combine(point, fixed), x))

    return value, x


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["mlp_gelu", "layer_norm_and_rms_norm_in_equinox", "gru_by_scan_in_equinox"])
def test_vmap_and_grad_at_order_six(name):
    value, x = along(name, 6)
    nodes = np.cos(np.pi * (np.arange(7) + 0.5) / 7)
    both = jax.jit(jax.vmap(jax.value_and_grad(value), (0, None)))
    values, slopes = map(np.asarray, both(jnp.asarray(nodes), x))
    expected = np.polynomial.Polynomial.fit(nodes, values, 6).deriv()(nodes)
    assert np.abs(slopes - expected).max() <= 1e-10 * np.abs(values).max()
    assert np.abs(slopes).max() > 0


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", [n for n, entry in REGISTRY.items() if entry.tolerance <= 1e-10])
def test_vmap_grad_and_grad_of_grad(name):
    order = 3 if name in CUBIC else 2
    value, x = along(name, order)

    def slope(s, x):
        if not REGISTRY[name].reverse:
            return jax.jvp(lambda s: value(s, x), (s,), (jnp.ones_like(s),))[1]
        return jax.grad(value)(s, x)

    def curvature(s, x):
        if not REGISTRY[name].reverse:
            return jax.jvp(lambda s: slope(s, x), (s,), (jnp.ones_like(s),))[1]
        return jax.grad(slope)(s, x)

    @jax.jit
    def everything(nodes, x):
        at = nodes[0]
        return jax.vmap(value, (0, None))(nodes, x), value(at, x), slope(at, x), curvature(at, x)

    values, *rest = everything(jnp.asarray(NODES), x)
    single, first, second = map(float, rest)
    assert single == pytest.approx(float(values[0]), rel=1e-12)
    polynomial = np.polynomial.Polynomial.fit(NODES, np.asarray(values), order)
    scale = float(np.abs(np.asarray(values)).max())
    assert first == pytest.approx(float(polynomial.deriv()(NODES[0])), rel=1e-10, abs=1e-10 * scale)
    assert second == pytest.approx(float(polynomial.deriv(2)(NODES[0])), rel=1e-10, abs=1e-10 * scale)
    assert abs(first) > 0


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", [n for n, entry in REGISTRY.items() if entry.tolerance > 1e-10])
def test_mixed_precision_is_transformed_like_nested_derivatives(name):
    # Rounding to few bits is no polynomial, so these are compared with the reference under the same transformations.
    f, params, new, x = built(name)

    def everything(mode):
        expansion = tn.taylor_expand(f, params, 3, mode=mode)

        def value(point, x):
            return scalar(expansion(point, x))

        def slope(point, x):
            return scalar(jax.grad(value)(point, x))

        def run(point, x):
            points = jnp.stack([point, params, 2 * point - params])
            return jax.vmap(value, (0, None))(points, x), jax.grad(value)(point, x), jax.grad(slope)(point, x)

        return jax.jit(run)(new, x)

    for ours, reference in zip(everything("taylor"), everything("nested"), strict=True):
        assert ours.dtype == reference.dtype
        assert jnp.abs(ours - reference).max() <= REGISTRY[name].tolerance * jnp.abs(reference).max()
        assert jnp.abs(reference).max() > 0
