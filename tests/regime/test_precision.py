"""The rounding level is inferred from the computation: results match float32, or are NaN with a reason."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 8)).astype("float32")
START = {"w": RNG.normal(size=(8, 32)).astype("float32") / 3, "v": RNG.normal(size=(32, 2)).astype("float32") / 8}


def moved(size, start=START):
    """An end point in a random direction that is the same for every size, scaled by the size."""
    noise = np.random.default_rng(1)
    return {name: leaf + (size * noise.normal(size=leaf.shape)).astype("float32") for name, leaf in start.items()}


def inside(kind):
    """A network that multiplies in a dtype other than that of its parameters."""
    if kind.startswith("float8"):  # products in bytes need not exist: a quantizer does

        def rounded(a):
            return a.astype(kind).astype("float32")

        return lambda p, x: rounded(jnp.tanh(rounded(x) @ rounded(p["w"]))) @ rounded(p["v"])
    return lambda p, x: jnp.tanh(x.astype(kind) @ p["w"].astype(kind)) @ p["v"].astype(kind)


def pairs(f):
    """The difference of two copies: the initial outputs are zero, and the rounding error is that of the canceling terms."""

    def difference(p, x):
        first, second = (f({name: leaf[i] for name, leaf in p.items()}, x) for i in range(2))
        return first - second

    return difference


@pytest.mark.parametrize("size", [0.02, 0.2])
@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float8_e4m3fn"])
def test_radii_in_mixed_precision(kind, size):
    exact, found = (tn.regime(inside(k), START, moved(size), X, max_order=2, ntk_inputs=0) for k in ("float32", kind))
    known = [(a, b) for a, b in zip(exact.radius, found.radius, strict=True) if not math.isnan(b)]
    assert all(b == pytest.approx(a, rel=0.1) for a, b in known)
    assert len(known) == 2 or "rounding" in found.reasons["radius"]
    assert kind.startswith("float8") or known
    assert found.order == exact.order or "explained" in found.reasons


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_radii_of_outputs_that_cancel(kind):
    start = {name: np.stack([leaf, leaf]) for name, leaf in START.items()}
    call = start, moved(0.05, start), X
    exact, found = (tn.regime(pairs(inside(k)), *call, max_order=2, ntk_inputs=0) for k in ("float32", kind))
    for a, b in zip(exact.radius, found.radius, strict=True):
        assert math.isnan(b) or b == pytest.approx(a, rel=0.1)


def test_a_movement_within_rounding():
    """Changes far below the spacing of bfloat16 are not explained, and all ratios are NaN."""
    found = tn.regime(inside("bfloat16"), START, moved(1e-4), X, ntk_inputs=0)
    assert found.verdict.startswith("no output change beyond rounding: the outputs differ from those at initialization")
    assert 0 < found.movement < 0.01
    assert all(map(math.isnan, (*found.error, *found.radius)))
    single = tn.regime(inside("float32"), START, moved(1e-4), X, ntk_inputs=0)
    assert single.verdict.startswith("lazy")
    assert single.radius[0] == 4


def test_rounding_that_hides_the_verdict():
    """Float32 computation inside a float64 model, which the dtypes of parameters and outputs do not reveal."""
    with jax.enable_x64(True):
        start, end, x = (jax.tree.map(lambda a: np.asarray(a, float), tree) for tree in (START, moved(1e-8), X))
        found, exact = (
            tn.regime(lambda p, x, k=k: inside(k)(p, x).astype(float), start, end, x, ntk_inputs=0, max_order=2)
            for k in ("float32", "float64")
        )
    assert exact.verdict.startswith("lazy: order 1 explains")
    assert exact.reasons == {}
    assert found.order is None
    assert found.verdict.startswith("no output change beyond rounding") or found.verdict.endswith(
        "the unexplained part may be due to rounding alone"
    )
    assert not any(radius == 0 for radius in found.radius)


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16", "complex64"])
def test_jax_s_strict_options(kind):
    """No implicit promotion of dtypes or ranks, and no intermediate NaN."""
    start, end = ({"w": jnp.asarray(tree["w"], kind), "b": jnp.ones(32, kind)} for tree in (START, moved(0.1)))
    x = jnp.asarray(X[:5], kind)

    def f(p, x):
        h = x @ p["w"] + p["b"][None]
        return jnp.real(h * jnp.conj(h)) if kind == "complex64" else jnp.tanh(h)

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        found = tn.regime(f, start, end, x, max_order=2, ntk_inputs=1)
    assert found.error[1] < 0.2
    assert math.isfinite(found.ntk_drift)


def test_complex_weights(x64):
    """A complex weight is equivalent to two real ones: same terms, radii, displacement and kernels (theory 10)."""
    start, end = (RNG.normal(size=(8, 2)) + 1j * RNG.normal(size=(8, 2)) for _ in range(2))
    end = start + 0.3 * end
    complex_ = tn.regime(lambda w, x: jnp.tanh(jnp.abs(x @ w) ** 2 / 8), start, end, X)

    def f(w, x):
        return jnp.tanh(((x @ w["re"]) ** 2 + (x @ w["im"]) ** 2) / 8)

    ends = [{"re": w.real, "im": w.imag} for w in (start, end)]
    real = tn.regime(f, ends[0], ends[1], X)
    for name in ("movement", "share", "error", "radius", "even", "agreement", "ntk_drift"):
        assert getattr(complex_, name) == pytest.approx(getattr(real, name), rel=1e-8), name
    assert real.ntk_drift > 0.01
    both = [np.array(real.displacement[part]) for part in ("re", "im")]
    assert complex_.displacement["params"][0] == pytest.approx(math.hypot(both[0][0], both[1][0]))
