"""Symmetrized models, row signs and stencils on a model of several layers, against its Taylor terms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.randomization import row_signs, stencil, symmetrized

pytestmark = pytest.mark.usefixtures("x64")


def model(params, x):
    return jnp.tanh(jnp.sin(x @ params["first"].T) @ params["second"].T)


def problem():
    keys = jax.random.split(jax.random.key(0), 5)
    start = {"first": jax.random.normal(keys[0], (3, 2)), "second": jax.random.normal(keys[1], (1, 3))}
    end = {
        name: leaf + 0.1 * jax.random.normal(key, leaf.shape)
        for (name, leaf), key in zip(start.items(), keys[2:4], strict=True)
    }
    return start, end, jax.random.normal(keys[4], (4, 2))


def test_symmetrized_has_the_even_orders():
    start, end, x = problem()
    terms = tn.taylor_terms(model, start, 6)(end, x)
    found = symmetrized(model, start)(end, x)
    np.testing.assert_allclose(found, sum(terms[::2]), atol=1e-6)
    assert float(jnp.abs(found - sum(terms[::2])).max()) < 1e-3 * float(jnp.abs(terms[2]).max())


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_stencil_isolates_an_order(order):
    """The error falls as `h²` until rounding, which grows as `h^-k`, takes over."""
    start, end, x = problem()
    exact = tn.taylor_terms(model, start, order)(end, x)[order]
    errors = [float(jnp.abs(stencil(model, start, order, step=h)(end, x) - exact).max()) for h in (0.4, 0.2)]
    assert 1.7 <= np.log2(errors[0] / errors[1]) <= 2.3
    calls = []
    stencil(lambda p, x: calls.append(0) or model(p, x), start, order)(end, x)
    assert len(calls) == order + 1


def test_row_signs_in_the_mean():
    """All signs of three rows: the mean is the even part in the displacement of `first`; other leaves are unaffected."""
    start, end, x = problem()
    only = {"first": True, "second": False}
    drawn = jax.vmap(lambda key: row_signs(model, start, matrices=only)(key, end, x))(
        jax.random.split(jax.random.key(0), 400)
    )
    signs = [jnp.array(s)[:, None] for s in itertools.product((1.0, -1.0), repeat=3)]
    every = jnp.stack(
        [
            model({"first": start["first"] + s * (end["first"] - start["first"]), "second": end["second"]}, x)
            for s in signs
        ]
    )
    distance = jnp.abs(drawn[:, None] - every[None]).max(axis=(2, 3))
    assert float(distance.min(axis=1).max()) < 1e-14  # every draw is one of the eight
    assert len(set(np.argmin(distance, axis=1).tolist())) == 8


def test_bad_input_is_refused():
    start, end, x = problem()
    with pytest.raises(tn.ArgumentError, match="order: expected an integer ≥ 1, got 0"):
        stencil(model, start, 0)
    with pytest.raises(tn.ArgumentError, match="step: expected"):
        stencil(model, start, 2, step=0.0)
    with pytest.raises(tn.ArgumentError, match="axis: expected an axis of the leaf"):
        row_signs(model, start, axis=2)
    with pytest.raises(tn.ArgumentError, match="matrices: expected booleans as leaves"):
        row_signs(model, start, matrices=1.0)
    with pytest.raises(tn.ArgumentError, match="new_params"):
        symmetrized(model, start)({"first": end["first"]}, x)
