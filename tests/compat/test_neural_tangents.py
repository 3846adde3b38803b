"""Code written for `neural_tangents` runs after its import is changed."""

import jax
import jax.numpy as jnp
import numpy as np

from taylornets.compat import neural_tangents as nt


def test_the_calls_of_the_archived_package():
    key = jax.random.key(0)
    params = [(jax.random.normal(key, (3, 4)), jnp.zeros(4)), (jax.random.normal(key, (4, 1)), jnp.zeros(1))]

    def apply_fn(params, x, rng=None):
        (w, b), (v, c) = params
        return jax.nn.relu(x @ w + b) @ v + c + (0.0 if rng is None else rng)

    x = jnp.ones((2, 3))
    new_params = jax.tree.map(lambda a: a + 0.01, params)
    f_lin = nt.linearize(apply_fn, params)
    f_tayl = jax.jit(nt.taylor_expand(apply_fn, params, 2))
    tangent = jax.jvp(lambda p: apply_fn(p, x), (params,), (jax.tree.map(jnp.subtract, new_params, params),))
    np.testing.assert_allclose(f_lin(new_params, x), sum(tangent), rtol=1e-6)
    np.testing.assert_allclose(f_tayl(new_params, x), apply_fn(new_params, x), rtol=1e-6)
    np.testing.assert_allclose(f_lin(new_params, x, rng=1.0), f_lin(new_params, x) + 1, rtol=1e-6)
