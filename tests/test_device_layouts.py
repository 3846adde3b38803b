"""The layout of the features by kind of device, and the precision of products: programs as text, and equal results."""

# pyright: reportAttributeAccessIssue=false

import re
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets import _devices
from taylornets.certificates import certify_objective
from taylornets.optimizers import stationarity

MODELS = [1, 2, 3, tn.two_layer.Taylor(3), "randomized", "full", tn.randomization.SignedMoments(3)]


def data(n=700, d=5, m=40, dtype=jnp.float64, **options):
    keys = jax.random.split(jax.random.key(0), 3)
    net = tn.TwoLayerNetwork.init(keys[0], d, m, activation="tanh", dtype=dtype, **options)
    x = jax.random.normal(keys[1], (n, d), dtype)
    return net, 0.3 * jax.random.normal(keys[2], (m, d), dtype), x, x[:, 0] * x[:, 1]


def objective(net, x, y, layout, monkeypatch, **options):
    """The objective as on a device of this layout; small blocks, so that the cache layout has several."""
    with monkeypatch.context() as patch:
        patch.setattr(_devices, "layout", lambda *_: layout)
        patch.setattr(tn.two_layer._prepared, "_BLOCK_EXAMPLES", (32, 64))
        return tn.objective(net, x, y, penalty=1e-2, **options)


def lowered(function, *args):
    """The program of a function whose arrays are all arguments, before the compiler."""
    arrays, static = eqx.partition(args, eqx.is_array)
    return jax.jit(lambda arrays: function(*eqx.combine(arrays, static))).lower(arrays)


def products(program):
    """The precisions of all matrix products."""
    return re.findall(r"stablehlo\.dot_general.*?precision = \[(\w+), \w+\]", program.as_text())


def operations(program):
    """Multiplications of all matrix products."""
    found = 0
    for sides in re.findall(r"stablehlo\.dot_general.*: \((.*)\) ->", program.as_text()):
        (a, b), (c, d) = ([int(n) for n in re.findall(r"(\d+)x", side)] for side in sides.split(", "))
        shared = b if b in (c, d) else a
        found += a * b * c * d // shared
    return found


def largest_constant(program):
    """Elements of the largest array written into the program as data, splats excluded."""
    sizes = re.findall(r'stablehlo\.constant dense<(?:"|\[).*?> : tensor<((?:\d+x)+)', program.as_text())
    return max((np.prod([int(n) for n in size.split("x") if n]) for size in sizes), default=0)


@pytest.mark.usefixtures("x64")
class TestLayouts:
    @pytest.mark.parametrize("model", MODELS, ids=str)
    def test_same_numbers(self, model, monkeypatch):
        net, w, x, y = data()
        cache, whole = (objective(net, x, y, kind, monkeypatch, model=model) for kind in ("cache", "whole"))
        blocks = [risk.empirical.prepared.blocks.x.shape[0] for risk in (cache, whole)]
        assert blocks == [11, 1]
        for call in (
            lambda risk: risk.value_and_gradient(w),
            lambda risk: risk.hessian_vector_product(w, net.w0),
            lambda risk: risk.outputs(w),
            lambda risk: jax.grad(risk)(w),
        ):
            for a, b in zip(jax.tree.leaves(call(cache)), jax.tree.leaves(call(whole)), strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-14 * max(1, float(jnp.abs(a).max())))

    @pytest.mark.parametrize("model", [1, 2, "randomized", "full"], ids=str)
    def test_separate_products_of_paired_units(self, model, monkeypatch):
        net, w, x, y = data()
        whole = objective(net, x, y, "whole", monkeypatch, model=model)
        expected = whole.value_and_gradient(w), whole.hessian_vector_product(w, net.w0)
        monkeypatch.setattr(tn.two_layer._prepared, "_SEPARATE_BYTES", 0)
        jax.clear_caches()
        found = whole.value_and_gradient(w), whole.hessian_vector_product(w, net.w0)
        jax.clear_caches()
        for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-14 * max(1, float(jnp.abs(a).max())))

    def test_moment_matrices_in_groups_of_columns(self, monkeypatch):
        net, _, x, y = data()
        prepared = net.prepare(x, 2)
        expected = tn.two_layer.moment_matrices(prepared, y[:, None])
        monkeypatch.setattr(_devices, "block_limit", lambda *_, bytes_per_example: 4)
        np.testing.assert_allclose(tn.two_layer.moment_matrices(prepared, y[:, None]), expected, rtol=1e-12, atol=1e-13)

    def test_minibatches_keep_the_layout(self, monkeypatch):
        net, w, x, y = data()
        whole = objective(net, x, y, "whole", monkeypatch)
        part = jax.jit(lambda risk, key: risk.minibatch(key, 100)(w))(whole, jax.random.key(3))
        assert whole.minibatch(jax.random.key(3), 100).empirical.prepared.layout == "whole"
        np.testing.assert_allclose(part, whole.minibatch(jax.random.key(3), 100)(w), rtol=1e-12)


class TestPrograms:
    @pytest.mark.parametrize("model", MODELS, ids=str)
    def test_two_products_no_loop_no_constants(self, model, monkeypatch):
        net, w, x, y = data(dtype=jnp.float32)
        whole = objective(net, x, y, "whole", monkeypatch, model=model)
        program = lowered(lambda risk, w: risk.value_and_gradient(w), whole, w)
        whole_products = 2 * x.shape[0] * x.shape[1] * net.width
        assert operations(program) == whole_products // (
            2 if model == 1 else 1
        )  # order 1 needs the difference of pairs only
        assert "stablehlo.while" not in program.as_text()
        assert largest_constant(program) <= 64  # nodes of a rule, not features
        cache = lowered(
            lambda risk, w: risk.value_and_gradient(w), objective(net, x, y, "cache", monkeypatch, model=model), w
        )
        assert "stablehlo.while" in cache.as_text()
        assert largest_constant(cache) <= 64

    def test_the_counters_see_what_they_count(self):
        values = np.linspace(0, 1, 1000, dtype=np.float32)
        embedded = jax.jit(lambda v: v @ v + jnp.sum(jax.lax.iota(jnp.float32, 3) + jnp.array([1.0, 2.0, 4.0]))).lower(
            values
        )
        assert products(embedded) == ["DEFAULT"]
        text = '%c = stablehlo.constant dense<"0x00"> : tensor<20x50xf32>'
        assert largest_constant(SimpleNamespace(as_text=lambda: text)) == 1000

    def test_training_takes_features_as_arguments(self, monkeypatch):
        net, w, x, y = data(dtype=jnp.float32)
        whole = objective(net, x, y, "whole", monkeypatch)
        method = tn.optimizers.LBFGS()
        state = method.init(whole, w)
        assert largest_constant(lowered(lambda risk, state: method._segment(risk, state, 5), whole, state)) <= 64


class TestPrecision:
    @pytest.mark.parametrize("model", [1, 2, "randomized"])
    def test_certificates_at_the_highest(self, model, monkeypatch):
        net, w, x, y = data(dtype=jnp.float32)
        risk = objective(net, x, y, "whole", monkeypatch, model=model, power=8 if model != 1 else 2)
        with jax.default_matmul_precision("bfloat16"):
            certificate = products(lowered(certify_objective, risk, w))
            training = products(lowered(lambda risk, w: risk.value_and_gradient(w), risk, w))
        assert set(certificate) == {"HIGHEST"}
        assert set(training) == {"DEFAULT"}

    def test_suprema_and_moments_at_the_highest(self):
        net, _, x, y = data(dtype=jnp.float32)
        prepared = net.prepare(x, 3)
        with jax.default_matmul_precision("bfloat16"):
            for function in (
                tn.two_layer.moment_matrices,
                lambda p, q: tn.two_layer.unit_suprema(p, 1, q),
                lambda p, q: tn.two_layer.unit_suprema(p, 2, q),
                lambda p, q: tn.two_layer.unit_brackets(p, 3, q),
            ):
                assert set(products(lowered(function, prepared, y[:, None]))) == {"HIGHEST"}

    def test_features_and_stationarity_at_the_highest(self, monkeypatch):
        seen = []
        net, w, x, y = data(dtype=jnp.float32, n=50)
        risk = objective(net, x, y, "whole", monkeypatch)

        def watched(v):
            seen.append(jax.config.jax_default_matmul_precision)
            return risk(v)

        with jax.default_matmul_precision("bfloat16"):
            stationarity(watched, w, key=jax.random.key(0), tol=0.5)
            features = products(lowered(lambda net, x: net.prepare(x, 2), net, x))
        assert seen
        assert set(seen) == {"highest"}
        assert set(features) == {"HIGHEST"}

    def test_dual_below_the_optimum(self, monkeypatch):
        """Ridge regression has its optimum in closed form (in float64 by NumPy)."""
        net, w, x, y = data(n=200, dtype=jnp.float32)
        with jax.default_matmul_precision("bfloat16"):
            risk = objective(net, x, y, "whole", monkeypatch, model="linear", power=2)
            found = certify_objective(risk, w)
        u = np.asarray(x, float) @ np.asarray(net.w0, float).T
        slopes = (1 - np.tanh(u) ** 2) * np.asarray(net.a, float)[:, 0] / np.sqrt(net.width)
        kernel = slopes @ slopes.T * (np.asarray(x, float) @ np.asarray(x, float).T)
        optimum = 1e-2 * np.asarray(y, float) @ np.linalg.solve(kernel + 200 * 1e-2 * np.eye(200), np.asarray(y, float))
        assert 0 < float(found.dual) <= optimum <= float(found.primal)

    def test_half_precision_is_accumulated_in_float32(self):
        net, w, x, _ = data(n=20, d=4, m=20, dtype=jnp.bfloat16)
        ones = jnp.full((3, 4096), 1 / 4096, jnp.bfloat16)
        assert _devices.product(ones, ones.T).dtype == jnp.float32
        exact = np.asarray(ones, float) @ np.asarray(ones, float).T
        np.testing.assert_allclose(_devices.product(ones, ones.T), exact, rtol=1e-6)
        risk = tn.objective(net, x, x[:, 0], penalty=0.1)
        value, gradient = risk.value_and_gradient(w)
        assert (value.dtype, gradient.dtype, net(w, x).dtype) == (jnp.float32, jnp.float32, jnp.float32)
        assert jax.grad(risk)(w).dtype == jnp.bfloat16


class TestChoice:
    def test_by_platform(self, monkeypatch):
        assert _devices.layout(jnp.ones(2)) == "cache"
        statistics = {"bytes_limit": 2**36, "bytes_in_use": 2**34}
        device = type(
            "Accelerator", (), {"platform": "gpu", "id": 0, "process_index": 0, "memory_stats": lambda _: statistics}
        )()
        monkeypatch.setattr(_devices, "_devices", lambda _: {device})
        assert _devices.layout(jnp.ones(2)) == "whole"
        assert _devices.block_limit(jnp.ones(2), bytes_per_example=1024) == 2**35 // 16 // 1024

    def test_inside_jit_the_default_device_decides(self):
        net, w, x, _ = data(n=20, dtype=jnp.float32)
        found = []
        jax.jit(lambda x: found.append(net.prepare(x, 2).layout) or net.term(2, w, x))(x)
        assert found == ["cache"]

    def test_bad_layout(self):
        net, _, x, _ = data(n=5, dtype=jnp.float32)
        with pytest.raises(tn.ArgumentError, match=r"layout: expected one of 'cache', 'whole'.*got 'rows'"):
            net.prepare(x, 2, layout="rows")
