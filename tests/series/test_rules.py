"""Compositions of rules, and the local fall-back, against nested derivatives; a control-flow rule without a sample fails."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edge_case import GENERATED
from jax import lax
from jax.scipy import special

import taylornets as tn
from taylornets.series import RULES

pytestmark = pytest.mark.usefixtures("x64")
ORDER = 3  # orders up to 6 are compared on whole models
ONE = jax.sharding.SingleDeviceSharding(jax.devices()[0])
W = np.array([[0.31, -0.72, 0.25], [0.83, 0.44, -0.57], [-0.15, 0.68, 0.92]])
V = np.array([[0.21, 0.35, -0.42], [-0.33, 0.18, 0.27], [0.45, -0.12, 0.38]])


def definite(w):
    return w @ w.T + jnp.diag(jnp.array([2.0, 4.0, 6.0]))


def scanned(w):
    def step(carry, a):
        return (jnp.tanh(carry[0] @ w + a), carry[1] + 1), carry[0].sum()

    (final, _), ys = lax.scan(step, (jnp.zeros(3), 0), w, reverse=True)
    return final, ys


@jax.custom_vjp
def cube(x):
    return x**3


cube.defvjp(lambda x: (x**3, x), lambda x, ct: (3 * x * x * ct,))


@jax.custom_jvp
def doubled_slope(x):
    return jnp.sin(x)


doubled_slope.defjvp(lambda p, t: (doubled_slope(*p), 2 * jnp.cos(p[0]) * t[0]))

SAMPLES = {
    "arithmetic": lambda w: (1 - w) * (w + w.T) / (2 + w) - w / 3 + (-w) / (3 + w**2),
    "integer powers": lambda w: w**5 + w**-2 + jnp.square(w) * w**3,
    "powers": lambda w: (1 + w**2) ** 1.7 + (w - w) ** 2.0 + (w - W) ** 3.0 + jnp.cbrt(2 + w),
    "moving exponent": lambda w: (1 + w**2) ** w + jnp.power(2.0, w),
    "exponentials": lambda w: jnp.exp(w) + jnp.exp2(w) + jnp.expm1(w) + jax.nn.sigmoid(w) + jnp.tanh(w),
    "logarithms": lambda w: jnp.log(3 + w) * jnp.log1p(w * w) + jnp.sqrt(1 + w * w) + lax.rsqrt(2 + w * w),
    "products of matrices": lambda w: jnp.einsum("ij,jk,kl->il", w, w, jnp.tanh(w)),
    "convolution": lambda w: lax.conv(jnp.tanh(w)[None, None], w[None, None, :2, :2], (1, 1), "SAME"),
    "shapes": lambda w: jnp.concatenate([w.T.reshape(9), jnp.pad(w[0], 2), w[::-1].ravel()[1:7:2]]) ** 2,
    "sums": lambda w: jnp.cumsum(w, 0) ** 2 + w.sum(1) + lax.reduce_window(w**2, 0.0, lax.add, (2, 1), (1, 1), "SAME"),
    "indexing": lambda w: w[jnp.array([0, 2, 2])] ** 2 + w.at[0].set(w[1] ** 2).at[jnp.array([1, 1])].add(w[:2]) * w,
    "conversions": lambda w: (w.astype(jnp.complex128).real * w + w.astype(jnp.int32)) * lax.optimization_barrier(w),
    "complex": lambda w: lax.complex(w, w.T).conj() * jnp.exp(1j * w) + jnp.abs(w + 1j * w.T),
    "Fourier": lambda w: jnp.fft.ifft(jnp.fft.fft(w) ** 2).real,
    "choices": lambda w: jnp.where(w > 0, w**2, jnp.sin(w)) + jnp.clip(w, -0.1, 0.5) * jnp.abs(w) + jnp.sign(w) * w,
    "a gradient inside": lambda w: jax.grad(lambda v: (v * v * jnp.sin(v)).sum())(w),
    "extrema": lambda w: jnp.maximum(w, w.T) * jnp.minimum(w, 0.3) + jnp.max(w, 1) * jnp.min(w, 0),
    "ties": lambda w: (jnp.maximum(w - w, 0.0 * w**2) + jax.nn.relu(w - W) + jnp.max(w - W, 1)) * w,
    "pooling": lambda w: lax.reduce_window(w**2, -jnp.inf, lax.max, (2, 2), (1, 1), "VALID") * w[:2, :2],
    "order": lambda w: (jnp.sort(w) * w, lax.sort((w[0], w[1] ** 2, jnp.arange(3)), num_keys=1)),
    "top k": lambda w: lax.top_k(w**2, 2),
    "calls": lambda w: jax.jit(lambda v: jnp.sin(v) @ v)(w),
    "loops of fixed length": lambda w: lax.fori_loop(0, 3, lambda _, c: jnp.tanh(c @ w), w),
    "while": lambda w: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.sin(c[1]) * w), (0, w)),
    "while for each row": lambda w: jax.vmap(
        lambda row: lax.while_loop(
            lambda c: jnp.abs(c[1]).max() < 3, lambda c: (c[0] + 1, c[1] * 1.7 + row**2), (0, row)
        )
    )(w),
    "scan": scanned,
    "scan of length zero": lambda w: jax.tree.map(
        lambda y: y.sum(0), lax.scan(lambda c, row: (c * row, row @ w), w[0], w[:0])
    ),
    "cond": lambda w: lax.cond(w[0, 0] > 0, lambda v: v * jnp.exp(v), lambda v: 1.0 * v, w),
    "checkpoint": lambda w: jax.checkpoint(lambda v: jnp.sin(v) @ v)(w),
    "custom derivative": doubled_slope,
    "log-add-exp": lambda w: jnp.logaddexp(w, w.T),
    "solve": lambda w: jnp.linalg.solve(definite(w), w),
    "solve with a fixed matrix": lambda w: jnp.linalg.solve(W + 3 * np.eye(3), w**2),
    "triangular": lambda w: jax.scipy.linalg.solve_triangular(w + 3 * jnp.eye(3), w, trans=1, lower=True),
    "triangular from the right": lambda w: lax.linalg.triangular_solve(
        w + 3 * jnp.eye(3), w, left_side=False, unit_diagonal=True
    ),
    "Cholesky": lambda w: jnp.linalg.cholesky(definite(w)),
    "QR": lambda w: tuple(jnp.linalg.qr(w + 2 * jnp.eye(3))),
    "complex QR": lambda w: jnp.abs(jnp.linalg.qr(w + 1j * w.T + 2 * jnp.eye(3))[1]),
    "eigenvectors": lambda w: tuple(jnp.linalg.eigh(definite(w))),
    "complex eigenvalues": lambda w: jnp.linalg.eigh(definite(w) + 0.1j * (w - w.T))[0],
    # Without a rule: the local fall-back.
    "Bessel": lambda w: special.i0e(w) + special.i1e(w) * jnp.arctan2(w, w.T + 3),
    "singular values": lambda w: jnp.linalg.svd(w + 2 * jnp.eye(3), compute_uv=False),
    "determinant": lambda w: jnp.linalg.det(w) * w.at[0].multiply(w[1]) + jax.scipy.linalg.lu(w + 3 * jnp.eye(3))[2],
    "incomplete beta": lambda w: special.betainc(1.2, 2.0, jax.nn.sigmoid(w)),
}
# Sampled in `test_control.py`, `test_effects.py` and `test_versions.py`.
ELSEWHERE = {"custom_root", "custom_vmap_call", "eval_jaxpr", "opt_remat", "root_linear_map", "scan3", "shard_map"}


def difference(ours, reference):
    largest = 0.0
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
        top = float(jnp.abs(b).max())
        largest = max(largest, float(jnp.abs(a - b).max()) / max(top, 1e-2))
    return largest


@pytest.mark.parametrize("name", SAMPLES)
def test_sample(name):
    f = SAMPLES[name]
    ours = jax.jit(tn.taylor_terms(f, W, ORDER, mode="taylor"))(W + V)
    reference = jax.jit(tn.taylor_terms(f, W, ORDER, mode="nested"))(W + V)
    assert difference(ours, reference) <= 1e-10


def test_body_of_a_reverse_rule_is_expanded():
    ours = tn.taylor_terms(cube, W, 3)(W + V)
    for a, b in zip(ours, (W**3, 3 * W**2 * V, 3 * W * V**2, V**3), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_every_rule_of_a_program_has_a_sample():
    seen = {row[0] for f in (*SAMPLES.values(), cube) for row in tn.explain(f, W).rows}
    # The others have a generator, in `test_edges.py`.
    programs = {name for name, rule in RULES.items() if rule.family not in {*GENERATED, "mutable array"}}
    assert programs - seen - ELSEWHERE == set()


def test_the_fall_back_is_reported():
    coverage = tn.explain(SAMPLES["Bessel"], W)
    assert coverage.fall_backs == ("bessel_i0e", "bessel_i1e")
    assert "bessel_i0e" in str(coverage)
    assert tn.explain(SAMPLES["arithmetic"], W).fall_backs == ()


def test_the_cost_along_a_curve_is_polynomial():
    def equations(order, f):
        return len(jax.make_jaxpr(tn.taylor_terms(f, W, order))(W + V).eqns)

    counts = [equations(order, lambda w: jnp.logaddexp(w, 1.0)) for order in (2, 4, 8)]
    assert counts[2] / counts[1] < 2**4 / 1.5  # nesting would multiply by 2^4
    assert counts[1] < counts[2]


def test_zeros_are_not_stored():
    zero = jnp.zeros(3)

    def products(f):
        program = jax.make_jaxpr(tn.taylor_terms(f, zero, 6))(zero)
        return sum(equation.primitive.name == "dot_general" for equation in program.eqns)

    assert products(lambda w: jnp.ones(3) @ w) == 2  # a line stays a line
    assert products(lambda w: w @ w) == 4  # (0,0), (0,1), (1,0), (1,1)
    assert products(lambda w: (w**2) @ jnp.ones(3)) == 1  # three coefficients, one matrix: stacked
