"""The NTK operator against products of explicit Jacobians."""

# pyright: reportOptionalMemberAccess=false, reportCallIssue=false, reportArgumentType=false

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.kernels import NTK, _blocks, _ways

pytestmark = pytest.mark.usefixtures("x64")
RNG = np.random.default_rng(0)
X1, X2 = RNG.normal(size=(11, 6, 2)), RNG.normal(size=(5, 6, 2))


def dense(params, x):
    """More outputs than parameters of the first layer: a pass is cheaper than a contraction."""
    return jnp.tanh(x.reshape(x.shape[0], -1) @ params["w"]) @ params["v"]


def convolution(params, x):
    """Shared weights: a contraction is cheaper."""
    h = jax.lax.conv_general_dilated(x, params["k"], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
    return jnp.tanh(h).mean(1) @ params["v"]


def normalized(params, x):
    """Batch normalization in training mode: the examples depend on each other."""
    h = x.reshape(x.shape[0], -1) @ params["w"]
    return jnp.tanh((h - h.mean(0)) / jnp.sqrt(h.var(0) + 1e-3)) @ params["v"]


DENSE = {"w": RNG.normal(size=(12, 7)), "v": RNG.normal(size=(7, 9))}
MODELS = {
    "dense": (dense, DENSE),
    "convolution": (convolution, {"k": RNG.normal(size=(3, 2, 5)), "v": RNG.normal(size=(5, 4))}),
    "normalized": (normalized, DENSE),
}


def jacobian(f, params, x):
    leaves = jax.tree.leaves(jax.jacrev(lambda p: f(p, x).ravel())(params))
    return np.concatenate([np.reshape(leaf, (leaf.shape[0], -1)) for leaf in leaves], axis=1)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "_SMALL", 0)
    monkeypatch.setattr(_blocks, "_ROWS", (1, 30))


@pytest.mark.parametrize("name", MODELS)
def test_everything_against_explicit_jacobians(name):
    f, params = MODELS[name]
    op = NTK(f, params, X1)
    j = jacobian(f, params, X1)
    kernel, c = j @ j.T, len(j) // 11
    close = {"rtol": 0, "atol": 1e-12 * kernel.max()}
    v = RNG.normal(size=(len(j), 3))
    np.testing.assert_allclose(op.gram().reshape(kernel.shape), kernel, **close)
    np.testing.assert_allclose(op @ v, kernel @ v, rtol=0, atol=1e-11 * kernel.max())
    np.testing.assert_allclose(op @ v[:, 0], kernel @ v[:, 0], rtol=0, atol=1e-11 * kernel.max())
    np.testing.assert_allclose(op.diagonal(), np.diag(kernel), **close)
    np.testing.assert_allclose(op.trace(), np.trace(kernel), rtol=1e-12)
    np.testing.assert_allclose(op.eigenvalues(3), np.linalg.eigvalsh(kernel)[::-1][:3], rtol=1e-10)
    assert (op.shape, op.gram().shape) == ((11 * c, 11 * c), (11, c, 11, c))
    if name != "normalized":  # the other batch has statistics of its own, and other parameters than in one large batch
        expected = (jacobian(f, params, X2) @ j.T).reshape(5, c, 11, c)
        np.testing.assert_allclose(op.cross(X2), expected, **close)
        np.testing.assert_allclose(op.cross(X1), op.gram(), **close)


def test_the_cheaper_way_is_chosen():
    ways = {name: NTK(f, params, X1)._blocks() for name, (f, params) in MODELS.items()}
    assert ways["normalized"] is None
    assert ways["convolution"].way.name == "contraction"
    wide = {"w": RNG.normal(size=(12, 60)), "v": RNG.normal(size=(60, 9))}
    assert NTK(dense, wide, X1)._blocks().way.name == "columns"


def test_passes_equal_contractions(monkeypatch):
    wide = {"w": RNG.normal(size=(12, 60)), "v": RNG.normal(size=(60, 9))}
    by_passes, others = NTK(dense, wide, X1), NTK(dense, wide, X1)
    monkeypatch.setattr(_ways, "_PASS", 1e9)
    assert others._blocks().way.name == "contraction"
    np.testing.assert_allclose(by_passes.gram(), others.gram(), rtol=0, atol=1e-12 * float(others.gram().max()))
    np.testing.assert_allclose(by_passes.cross(X2), others.cross(X2), rtol=0, atol=1e-12 * float(others.gram().max()))


@pytest.mark.parametrize("outputs", [1, 3])
def test_closed_form_of_two_layer_networks(outputs):
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 6, 10, outputs, "tanh")
    w, x = RNG.normal(size=(10, 6)), X1[:, :, 0]
    op, j = NTK(net, w, x), jacobian(net, w, x)
    assert op._blocks().way.name == "closed form"
    np.testing.assert_allclose(op.gram().reshape(len(j), -1), j @ j.T, rtol=0, atol=1e-13 * (j @ j.T).max())
    np.testing.assert_allclose(op.diagonal(), (j**2).sum(1), rtol=1e-12)


def test_lanczos():
    params = {"w": RNG.normal(size=(12, 7)), "v": RNG.normal(size=(7, 9))}
    op = NTK(dense, params, X1)
    j = jacobian(dense, params, X1)
    assert op.shape[0] > 64
    np.testing.assert_allclose(op.eigenvalues(4), np.linalg.eigvalsh(j @ j.T)[::-1][:4], rtol=1e-10)


class TestFiles:
    def test_an_interrupted_kernel_continues(self, tmp_path):
        f, params = MODELS["dense"]
        path, seen = tmp_path / "kernel.npy", []

        class StoppedError(Exception):
            pass

        def stop(done):
            seen.append(done)
            if len(seen) == 2:
                raise StoppedError

        with pytest.raises(StoppedError):
            NTK(f, params, X1).gram(out=path, progress=stop)
        assert json.loads((tmp_path / "kernel.npy.rows").read_text())["done"] == 2
        again = []
        found = NTK(f, params, X1).gram(out=path, progress=again.append)
        assert 0 < seen[0] < seen[1] < again[0] < again[-1] == 1
        assert len(seen) + len(again) == len(range(0, 11, NTK(f, params, X1)._blocks().size))
        np.testing.assert_allclose(found, NTK(f, params, X1).gram(), rtol=1e-12)
        assert not (tmp_path / "kernel.npy.rows").exists()

    def test_of_another_model(self, tmp_path):
        f, params = MODELS["dense"]
        path = tmp_path / "kernel.npy"

        def stop(_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            NTK(f, params, X1).gram(out=path, progress=stop)
        other = {"w": params["w"] + 1, "v": params["v"]}
        with pytest.raises(tn.ArgumentError, match=r"out: expected an interrupted computation of this kernel.*Delete"):
            NTK(f, other, X1).gram(out=path)
        with pytest.raises(tn.ArgumentError, match=r"out: expected an interrupted kernel of shape"):
            NTK(f, params, X2).gram(out=path)


def test_memory_before_anything_is_computed(monkeypatch):
    calls = []
    monkeypatch.setattr(_blocks.Blocks, "of", calls.append)
    found = NTK(lambda w, x: x @ w, jnp.ones((12, 3)), X1.reshape(11, 12)).memory()
    assert (found.gram, found.jacobian) == (33**2 * 8, 33 * 36 * 8)
    assert found.block <= 2 * 33 * 36 * 8 + 33**2 * 8
    assert not calls


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda op: op @ np.ones(7), r"v: expected shape"),
        (lambda op: op.eigenvalues(0), r"k: expected an integer ≥ 1"),
        (lambda op: op.eigenvalues(100), r"k: expected at most the number of rows, 99, got 100"),
        (lambda op: op.cross({"a": X2}), r"x2: expected"),
        (lambda op: op.gram(out="kernel.bin"), r"out: expected a path that ends in '.npy', got 'kernel.bin'"),
        (
            lambda op: NTK(dense, DENSE, X1, trainable={"w": False, "v": False}),
            r"params: expected a leaf that may move",
        ),
        (
            lambda op: NTK(dense, DENSE, X1, max_bytes=100).gram(),
            r"x: expected a kernel of shape \(11, 9, 11, 9\) that fits",
        ),
        (lambda op: NTK(dense, DENSE, X1, batch_size=0), r"batch_size: expected an integer ≥ 1"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(tn.ArgumentError, match=match):
        call(NTK(dense, DENSE, X1))


def test_nan_in_the_outputs():
    with pytest.raises(tn.ArgumentError, match=r"x: expected finite|NaN"):
        NTK(dense, DENSE, np.where(np.arange(11)[:, None, None] == 3, np.nan, X1)).gram()


def test_kernel_ridge_takes_an_operator():
    f, params = MODELS["convolution"]
    op, y = NTK(f, params, X1), RNG.normal(size=(11, 4))
    found = tn.kernels.kernel_ridge(op, y)
    expected = tn.kernels.kernel_ridge(op.gram().reshape(44, 44), y.reshape(44, 1))
    np.testing.assert_allclose(found.coefficients(0.1), expected.coefficients(0.1), rtol=1e-10)
    with pytest.raises(tn.ArgumentError, match=r"y: expected shape \(11, 4\)"):
        tn.kernels.kernel_ridge(op, y[:, :2])
