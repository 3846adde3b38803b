"""Programs covered by public test suites for Taylor expansions and higher derivatives, against function values only.

The kinds of programs follow the tests of `neural_tangents` and `jax.experimental.jet`; functions and numbers are our own.
The reference is a Chebyshev fit along the line, independent of JAX's derivatives.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edge_case import apart, between
from jax import lax
from jax.scipy import linalg, special

import taylornets as tn
from chebyshev import TIMES, coefficients_from_values

pytestmark = pytest.mark.usefixtures("x64")
ORDER = 3
W = between(-0.9, 0.9, (3, 3), 1)
MASK = np.array([[True, False, True], [True, True, True], [False, True, True]])
ROWS = np.array([0, 2, 2])
IMAGES = between(-1, 1, (2, 4, 4, 2), 5)
KERNEL = between(-0.5, 0.5, (2, 2, 2, 3), 6)


def convolutional(w):
    dims = ("NHWC", "HWIO", "NHWC")
    x = lax.conv_general_dilated(IMAGES * w[0, 0], KERNEL * w[1, 1], (1, 1), "SAME", dimension_numbers=dims)
    x = lax.reduce_window(jnp.tanh(x), 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    return x.reshape(2, -1)[:, :3] @ w


def normalized(w):
    """Applies batch normalization and layer normalization."""
    x = jnp.sin(w) * 2 + W
    batch = (x - x.mean(0)) / jnp.sqrt(x.var(0) + 0.5)
    centered = batch - batch.mean(1, keepdims=True)
    return centered * lax.rsqrt(jnp.mean(jnp.square(centered), 1, keepdims=True) + 0.5) * w[0] + w[1]


def attention(w):
    scores = jnp.where(MASK, (W @ w) @ (W + w).T / jnp.sqrt(3.0), -jnp.inf)
    return jax.nn.softmax(scores, axis=-1) @ (W @ w)


def double_where(w):
    """Computes the square root of a number that may be 0, with the usual double-where guard."""
    distance = jnp.square(w + 2).at[0, 1].set(0.0)
    positive = distance > 1e-3
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, distance, 1.0)), 0.0)


def recurrent(w):
    """Runs a loop whose weights are constants of its body; the initial carry is constant and includes a counter."""

    def step(carry, x):
        hidden, count = carry
        hidden = jnp.tanh(hidden @ w + x)
        return (hidden, count + 1), (hidden.sum(), count)

    (hidden, count), (sums, counts) = lax.scan(step, (jnp.zeros(3), 0), jnp.asarray(W))
    return hidden * count, sums * counts


def gated(w):
    """Runs a gated recurrent cell on several rows in reverse order."""

    def step(carry, x):
        cell, hidden = carry
        i, f, o = jnp.split(jax.nn.sigmoid(jnp.concatenate([x @ w, hidden @ w, x * hidden])), 3)
        cell = f * cell + i * jnp.tanh(x + hidden @ w.T)
        return (cell, o * jnp.tanh(cell)), cell

    return jax.vmap(lambda scale: lax.scan(step, (w[0], w[1]), scale * W, reverse=True))(jnp.array([0.5, 1.0]))


def newton(w):
    """Computes a square root by a loop that runs until convergence; the matrix is a constant of the body."""

    def step(state):
        count, x = state
        return count + 1, 0.5 * (x + (2 + w * w) / x)

    return lax.while_loop(lambda state: state[0] < 7, step, (0, jnp.ones_like(w)))[1]


def mixed(w):
    """Mixes integers, booleans and weakly typed numbers with moving values."""
    state = {"w": w, "steps": jnp.arange(3), "mask": jnp.asarray(MASK), "rate": 0.5, "weak": jnp.asarray(1.5)}
    state = jax.jit(lambda s: {**s, "steps": s["steps"] + 1, "w": s["w"] * s["rate"]})(state)
    return jnp.where(state["mask"], state["w"] ** 2, 0) * state["steps"] + state["weak"] * w


def eigenvalue_sums(w):
    values, vectors = jnp.linalg.eigh(w + w.T + np.diag([0.0, 5.0, 9.0]))
    return values, (vectors * jnp.exp(-values)) @ vectors.T


GROUPS = {
    "integer powers": {str(n): lambda w, n=n: (w + 2) ** n if n < 0 else w**n for n in range(-4, 11)},
    "powers at zero": {
        "integers": lambda w: (w - W) ** 0 + (w - W) ** 3,
        "numbers": lambda w: (w - W) ** 0.0 + (w - W) ** 1.0 + jnp.float_power(w - W, 2.0),
        "arrays": lambda w: jnp.power(w - W, np.arange(9.0).reshape(3, 3)),
        "arrays of integers": lambda w: jnp.power(w - W, np.arange(9).reshape(3, 3)),
    },
    "elementary": {
        "expit": lambda w: special.expit(w) + special.logit(0.5 + 0.1 * w),
        "logaddexp": lambda w: jnp.logaddexp(w, w.T) + jnp.logaddexp2(2 * w, 0.3) + jnp.logaddexp(w, -jnp.inf),
        "erf": lambda w: special.erf(w) + special.erfinv(0.3 * w) + special.ndtri(0.5 + 0.1 * w) + special.ndtr(w),
        "gamma": lambda w: special.digamma(2 + w) + special.gammaln(2 + w) + special.polygamma(2, 3 + w),
        "incomplete": lambda w: special.gammainc(2.5, 3 + w) + special.betainc(1.5, 2.0, 0.5 + 0.1 * w),
        "logarithms": lambda w: jnp.log2(3 + w) + jnp.log10(3 + w) + special.xlogy(w, 2 + w) + special.xlog1py(w, 0.5 * w),
        "angles": lambda w: jnp.arctan2(w, 1.5 + w.T) + jnp.hypot(w, 2.0) + jnp.angle(2 + 1j * w) + jnp.deg2rad(w),
        "sinc": lambda w: jnp.sinc(0.3 * w) + jnp.heaviside(w, 0.5) * w + jnp.fmod(w, 2.5) + jnp.trunc(w),
        "polynomials": lambda w: jnp.polyval(jnp.array([0.5, -1.0, 2.0]), w) + jnp.polyval(w[0], w),
        "nan_to_num": lambda w: jnp.nan_to_num(w) ** 2 + jnp.abs(w) * jnp.sign(w) + jnp.copysign(w, 1.0),
    },
    "activations": {
        f.__name__: f
        for f in (
            jax.nn.gelu, jax.nn.silu, jax.nn.elu, jax.nn.selu, jax.nn.celu, jax.nn.softplus, jax.nn.mish,
            jax.nn.log_sigmoid, jax.nn.relu, jax.nn.leaky_relu, jax.nn.hard_tanh, jax.nn.squareplus,
        )
    },
    "statistics": {
        "softmax": lambda w: jax.nn.softmax(w, 1) + jax.nn.log_softmax(w, 0) + jax.nn.standardize(w + W),
        "logsumexp": lambda w: special.logsumexp(w, 1, b=MASK) + special.logsumexp(w, 0, where=MASK) + special.logsumexp(w),
        "masked": lambda w: special.logsumexp(jnp.where(MASK, w, -jnp.inf), 1) + jnp.max(w, 1, where=MASK, initial=-9.0),
        "normalized": normalized,
        "moments": lambda w: jnp.std(w, 0) + jnp.var(w, 1, ddof=1) + jnp.linalg.norm(w) + jnp.median(w),
        "products": lambda w: jnp.prod(w, 1) + jnp.prod(w.at[0, 0].set(0.0), where=MASK, axis=0) + jnp.cumprod(w, 1)[0],
        "cumulative": lambda w: jnp.cumsum(w, 0) * lax.cumlogsumexp(w) + lax.cummax(w, reverse=True),
        "double where": double_where,
        "average": lambda w: jnp.average(w, 0, weights=jnp.exp(w)) + jnp.clip(w, -0.55, w.T + 2)[0],
    },
    "layers": {
        "convolutional": convolutional,
        "max-pooling": lambda w: lax.reduce_window(
            apart((4, 4)) + jnp.pad(w, ((0, 1), (0, 1))) * 0.1, -jnp.inf, lax.max, (2, 2), (2, 2), "VALID"
        ) @ w[:2],
        "attention": attention,
        "batched": lambda w: jax.vmap(lambda v, u: jnp.tanh(v @ w) * u.sum())(w, w.T),
        "embedding": lambda w: jax.nn.one_hot(ROWS, 3, dtype=w.dtype) @ w + jnp.take(w, ROWS, 0) ** 2,
        "mixture": lambda w: jax.ops.segment_sum(w * w, jnp.array([0, 1, 0]), 2) @ w,
        "depthwise": lambda w: lax.conv_general_dilated(
            jnp.sin(w)[None, None, 0].repeat(2, 1), w[:2, None, :2], (1,), ((-1, 3),), (2,), (2,), feature_group_count=2
        ),
    },
    "indices": {
        "gather": lambda w: w[ROWS, ::-1] * w[:, ROWS] + jnp.take_along_axis(w, jnp.argsort(W, 1), 1),
        "scatter": lambda w: w.at[ROWS].add(w**2).at[0, 1].set(w[2, 2] ** 2).at[1].multiply(w[0], unique_indices=True),
        "extremes": lambda w: w.at[jnp.array([0, 1])].max(w.T[:2] * 1.3).at[2].min(w[0] * 2),
        "sort": lambda w: jnp.sort(w, 0) * jnp.sort(w.ravel())[:3] + lax.top_k(jnp.exp(w), 3)[0] + jnp.flip(w),
        "dynamic": lambda w: lax.dynamic_slice(w, (1, 0), (2, 2)) @ lax.dynamic_update_slice(w, w[:1] ** 2, (2, 0))[:2, :2],
        "joined": lambda w: jnp.stack([w, w * w]) * jnp.tile(w, (2, 1, 1)) + jnp.roll(w, 1, 0) * jnp.repeat(w[:1], 3, 0),
        "padded": lambda w: jnp.pad(w, 1, mode="reflect")[:3, :3] * jnp.pad(w, 1, mode="edge")[2:, 2:] + jnp.rot90(w),
        "unstacked": lambda w: sum(jnp.unstack(w**3)) + jnp.asarray(sum(jnp.split(w, 3, 1)))[:, 0] + jnp.trace(w),
        "choices": lambda w: jnp.select([MASK, W > 0], [w**2, jnp.sin(w)], w)
        + jnp.choose(np.eye(3, dtype=int), [w, w * w], mode="clip"),
        "piecewise": lambda w: jnp.interp(0.2 * w, jnp.array([-1.0, 0.0, 1.0]) * 3, jnp.sin(w[0])) + jnp.triu(w) @ w,
    },
    "linear algebra": {
        "Fourier": lambda w: jnp.fft.irfft(jnp.fft.rfft(w) ** 2, 3) + jnp.fft.fft2(w).real + jnp.fft.fftshift(w),
        "solve": lambda w: jnp.linalg.solve(w + 4 * jnp.eye(3), w) + jnp.linalg.inv(w + 4 * jnp.eye(3)),
        "triangular": lambda w: linalg.solve_triangular(w + 4 * jnp.eye(3), w, lower=True, trans=1),
        "determinant": lambda w: jnp.linalg.det(w + 3 * jnp.eye(3)) + jnp.linalg.slogdet(w + 3 * jnp.eye(3))[1],
        "Cholesky": lambda w: linalg.cho_solve(linalg.cho_factor(w @ w.T + 5 * jnp.eye(3)), w),
        "exponential": lambda w: linalg.expm(0.3 * w) @ jnp.kron(w[:1, :1], w),
        "eigenvalues": eigenvalue_sums,
        "singular values": lambda w: jnp.linalg.svd(w + np.diag([1.0, 4.0, 9.0]), compute_uv=False),
        "einsum": lambda w: jnp.einsum("ij,jk,li->kl", w, W, w) + jnp.tensordot(w, w, ((0,), (1,))) + jnp.cross(w, W),
        "complex": lambda w: jnp.abs(jnp.exp(1j * w) @ (w + 2j)) + jnp.real(jnp.conj(w + 1j) * jnp.sign(w + 1j)),
    },
    "programs": {
        "recurrent": recurrent,
        "gated": gated,
        "newton": newton,
        "mixed": mixed,
        "branches": lambda w: lax.switch(2, [jnp.sin, jnp.cos, lambda v: v @ w], w)
        + lax.cond(w[0, 0] < 9, jnp.exp, jnp.sin, w),
        "map": lambda w: lax.map(lambda row: row * jnp.sin(row @ w), w) + lax.fori_loop(0, 3, lambda i, c: c * w + i, w),
        "scan over nothing": lambda w: lax.associative_scan(jnp.add, w) + lax.scan(lambda c, _: (c * w, None), w, None, 3)[0],
        "checkpoint": lambda w: jax.checkpoint(lambda v: jnp.tanh(v @ w))(w) + jax.grad(lambda v: jnp.sum(jnp.sin(v) ** 3))(w),
    },
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_terms(group):
    functions = GROUPS[group]
    step = between(-0.25, 0.25, W.shape, 2)

    def model(w):
        return {name: f(w) for name, f in functions.items()}

    terms = jax.jit(tn.taylor_terms(model, W, ORDER, mode="taylor"))(W + step)
    along = jax.jit(lambda times: lax.map(lambda t: model(W + t * step), times))(TIMES)
    for name in functions:
        for i, values in enumerate(jax.tree.leaves(along[name])):
            expected = coefficients_from_values(values, ORDER)
            scale = max(1.0, *(float(np.abs(c).max()) for c in expected))
            for k, (term, other) in enumerate(zip(terms, expected, strict=True)):
                got = jax.tree.leaves(term[name])[i]
                np.testing.assert_allclose(got, other, atol=1e-8 * scale, rtol=0, err_msg=f"{name}, order {k}")
