"""Compares terms with closed forms for programs affected by one of JAX's upcoming defaults, and prints the result.

`python coming_defaults.py OPTION` with the option set in the environment; `test_versions` runs it.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from series_reference import V, W, nested, terms

from taylornets.series import contains


def scanned(w):
    last, ys = lax.scan(lambda c, x: (jnp.tanh(c * w + x), c.sum() * x), jnp.ones(3), w, reverse=False)
    return last, ys


def scanned_by_hand(w):
    c, ys = jnp.ones(3), []
    for i in range(3):
        c, y = jnp.tanh(c * w + w[i]), c.sum() * w[i]
        ys.append(y)
    return c, jnp.stack(ys)


def nested_loops(w):
    def outer(c, x):
        return lax.fori_loop(0, 2, lambda _, d: d * w + x, c), None

    return lax.scan(outer, w, w)[0]


def nested_loops_by_hand(w):
    c = w
    for i in range(3):
        for _ in range(2):
            c = c * w + w[i]
    return c


def rematerialized(w):
    inner = jax.checkpoint(lambda v: jnp.sin(checkpoint_name(v * w, "product")) * v)
    return inner(w**2)


def rematerialized_with_a_policy(w):
    policy = jax.checkpoint_policies.save_only_these_names("product")
    return jax.checkpoint(lambda v: jnp.sin(checkpoint_name(v * w, "product")) * v, policy=policy)(w**2)


@jax.custom_vjp
def cube(x, y):
    return x**3 * y


cube.defvjp(lambda x, y: (x**3 * y, (x, y)), lambda res, ct: (3 * res[0] ** 2 * res[1] * ct, res[0] ** 3 * ct))


@jax.custom_jvp
def slope_of_two(x):
    return jnp.sin(x)


slope_of_two.defjvp(lambda p, t: (slope_of_two(*p), 2 * jnp.cos(p[0]) * t[0]))


def sine_terms(w, v):
    """y' = 2 cos(x) x', by hand to order 3: the value comes from the body, the derivative from the author's rule."""
    cosines = (np.cos(w), -np.sin(w) * v, -np.cos(w) * v**2 / 2)
    return [[np.sin(w)]] + [[2 * cosines[k - 1] * v / k] for k in range(1, 4)]


PROGRAMS = {
    "jax_scan3": ((scanned, scanned_by_hand), (nested_loops, nested_loops_by_hand)),
    "jax_remat3": (
        (rematerialized, lambda w: jnp.sin(w**3) * w**2),
        (rematerialized_with_a_policy, lambda w: jnp.sin(w**3) * w**2),
        (
            lambda w: jax.vmap(jax.checkpoint(lambda u: jnp.sin(u * w) * u))(w),
            lambda w: jnp.sin(w[:, None] * w) * w[:, None],
        ),
    ),
    "jax_custom_vjp3": (
        (lambda w: cube(w, jnp.sin(w)), lambda w: w**3 * jnp.sin(w)),
        (lambda w: jax.jit(cube)(w, 2.0) * w, lambda w: 2 * w**4),
        (lambda w: jax.vmap(cube)(w, w**2), lambda w: w**5),
    ),
    "jax_custom_jvp3": (),
}


def check(name, ours, expected):
    for k, (mine, theirs) in enumerate(zip(ours, expected, strict=True)):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, err_msg=f"{name} at order {k}")
    sys.stdout.write(f"right: {name}\n")


def main(option):
    assert getattr(jax.config, option)
    for f, by_hand in PROGRAMS[option]:
        check(f.__name__, jax.jit(lambda f=f: terms(f))(), nested(by_hand))
        check(f.__name__ + ", not compiled", terms(f), nested(by_hand))
    if option == "jax_custom_vjp3":
        program = jax.make_jaxpr(lambda w: jax.jit(cube)(w, w))(W)
        assert contains(program, "custom_vjp_call")
        check("rule", terms(lambda w: cube(w, w**2), custom_vjp="rule"), nested(lambda w: w**5))
    if option == "jax_custom_jvp3":
        check("custom_jvp", terms(slope_of_two), sine_terms(W, V))
        check("custom_jvp, batched", terms(jax.vmap(slope_of_two)), sine_terms(W, V))


if __name__ == "__main__":
    main(sys.argv[1])
