"""Data outside memory: memory-mapped arrays and sources of blocks give the result of the same data in memory."""

import gc
import itertools
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets.two_layer._rows import HostRows

N, D, M, READ = 203, 3, 8, 50  # the last block is not full


class Source:
    """Blocks of unequal sizes, some larger and some smaller than those in which they are read."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.x, self.y, self.passes = x, y, 0

    def __iter__(self):
        self.passes += 1
        edges = [0, 1, 70, 130, len(self.x)]
        for begin, end in itertools.pairwise(edges):
            yield self.x[begin:end], self.y[begin:end]


def problem(loss: str = "squared", dtype: Any = np.float64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)).astype(dtype)
    y = (x[:, 0] * x[:, 1] + 0.3 * rng.normal(size=N)).astype(dtype)
    net = tn.TwoLayerNetwork.init(jax.random.key(0), D, M, activation="tanh", symmetric=loss == "squared", dtype=dtype)
    return net, x, np.sign(y) if loss == "logistic" else y


def outside(kind: str, x: np.ndarray, y: np.ndarray, folder: Path) -> tuple[Any, Any]:
    if kind == "source":
        return Source(x, y), None
    if kind == "list":
        return [(x[:100], y[:100]), (x[100:], y[100:])], None
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r"), y


def close(a: Any, b: Any, tolerance: float = 1e-10):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.max(np.abs(np.asarray(left) - np.asarray(right))) <= tolerance * max(
            float(np.max(np.abs(left))), 1e-3
        )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("kind", "loss"), [("mapped", "squared"), ("source", "logistic"), ("list", "squared")])
def test_values_and_certificates(kind: str, loss: str, tmp_path: Path):
    net, x, y = problem(loss)
    data = outside(kind, x, y, tmp_path)
    w = 0.3 * jax.random.normal(jax.random.key(1), (M, D))
    options: Any = {"loss": loss, "penalty": 1e-2}
    here, there = tn.objective(net, x, y, **options), tn.objective(net, *data, **options, chunk_size=READ)
    close(here.value_and_gradient(w), there.value_and_gradient(w))
    close(here.hessian_vector_product(w, w), there.hessian_vector_product(w, w))
    close(jax.grad(lambda v: jnp.sum(here.outputs(v) ** 2))(w), jax.grad(lambda v: jnp.sum(there.outputs(v) ** 2))(w))
    weight = np.arange(1.0, N + 1)
    options |= {"sample_weight": weight}
    one, two = tn.certify(net, w, x, y, **options), tn.certify(net, w, *data, **options, chunk_size=READ)
    close((one.primal, one.dual), (two.primal, two.dual))
    close(one.dual_vector, two.dual_vector, 1e-7)  # a multiple of the slopes, at the flat top of the dual function


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("kind", "model", "method", "loss"),
    [
        ("mapped", "quadratic", "dual_newton", "squared"),
        ("source", "quadratic", "dual_newton", "logistic"),
        ("source", "quadratic", "lbfgs", "squared"),
        ("mapped", "linear", "auto", "logistic"),
    ],
)
def test_training(kind: str, model: str, method: str, loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if kind == "source":  # the matrix-free branch, of large data
        monkeypatch.setattr("taylornets._fit._newton._DENSE_UNKNOWNS", 1)
    net, x, y = problem(loss)
    data = outside(kind, x, y, tmp_path)
    options: Any = {"loss": loss, "penalty": 1e-2, "model": model, "method": method, "tol": 1e-11, "throw": False}
    options |= {"max_steps": 40 if method == "lbfgs" else 1000, "rank": 1 if method == "lbfgs" else "auto"}
    here, there = tn.fit(net, x, y, **options), tn.fit(net, *data, **options, chunk_size=READ)
    assert here.certificate is not None
    assert there.certificate is not None
    close(here.objective, there.objective)
    close(here.certificate.dual, there.certificate.dual)
    close(there.predict(x), there.predict(data[0]))


@pytest.mark.usefixtures("x64")
def test_rows_keep_their_precision_in_other_threads():
    """Compiled programs read rows in threads of their own, in which `jax.enable_x64` of the caller has no effect."""
    _, x, y = problem()
    rows = HostRows.of(Source(x, y), D)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(rows.read, 0, N).result()
    assert np.array_equal(found, x)


def test_only_blocks_are_on_the_device(tmp_path: Path):
    net, x, y = problem(dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    gc.collect()
    for data, expected in ((x, True), (np.load(tmp_path / "x.npy", mmap_mode="r"), False)):
        risk = tn.objective(net, data, y, penalty=1e-2, chunk_size=READ)
        value = risk(0.1 * net.w0)
        shapes = [leaf.shape for leaf in jax.tree.leaves(risk) if leaf.shape[-1:] == (D,) and leaf.size >= N * D]
        assert bool(shapes) is expected
        assert np.isfinite(value)


def test_sources_are_freed():
    net, x, y = problem(dtype=np.float32)
    source = Source(x, y)
    reference = weakref.ref(source)
    risk = tn.objective(net, source, None, penalty=1e-2)
    risk(net.w0)
    assert source.passes == 2  # the validation, and one pass per evaluation
    del risk, source
    gc.collect()
    assert reference() is None


def test_predictions_are_written_block_by_block(tmp_path: Path):
    net, x, y = problem(dtype=np.float32)
    result = tn.fit(net, x, y, penalty=1e-2, method="lbfgs", rank=1, max_steps=2, throw=False)
    expected, blocks = np.asarray(result.predict(x)), (x[:100], x[100:])
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, (N, 1))
    assert result.predict(outside("mapped", x, y, tmp_path)[0], out=out) is out
    close(expected, out, 1e-5)
    close(expected, result.predict(iter(blocks)), 1e-5)  # one pass: an iterator suffices
    for wrong, message in (
        (np.zeros((N + 1, 1)), "out: expected an array of shape"),
        (np.zeros((9, 1)), "at least 100"),
    ):
        with pytest.raises(tn.ArgumentError, match=message):
            result.predict(iter(blocks), out=wrong)
    with pytest.raises(tn.ArgumentError, match="out: expected None for an array x"):
        result.predict(x, out=out)
    with pytest.raises(tn.ArgumentError, match="at least one block of rows, got none"):
        result.predict(iter(()))


def test_minibatches(tmp_path: Path):
    net, x, y = problem(dtype=np.float32)
    mapped = tn.objective(net, *outside("mapped", x, y, tmp_path), penalty=1e-2).minibatch(jax.random.key(0), 20)
    same = tn.objective(net, x, y, penalty=1e-2).minibatch(jax.random.key(0), 20)
    close(same(net.w0), mapped(net.w0), 1e-5)
    with pytest.raises(tn.ArgumentError, match="x: expected rows with random access for minibatches, got a source of"):
        tn.objective(net, Source(x, y), None, penalty=1e-2).minibatch(jax.random.key(0), 20)


BAD = {
    "generator": (
        lambda x, y: iter([(x, y)]),
        "x: expected blocks that can be iterated several times, got an iterator",
    ),
    "no blocks": (lambda x, y: Empty(), "x: expected at least one block of rows, got none"),
    "no pairs": (lambda x, y: Plain([x]), "x: expected blocks \\(x, y\\), got a block that is an array"),
    "columns": (lambda x, y: [(x[:, :2], y)], "x: expected blocks of shape \\(b, 3\\), got a block of shape"),
    "rows": (lambda x, y: [(x, y[1:])], "y: expected 203 targets for a block of 203 rows"),
    "shapes of y": (lambda x, y: [(x, y), (x, y[:, None])], "y: expected targets of one shape in all blocks"),
    "nan": (
        lambda x, y: [(x, y), (np.where(x > 2, np.nan, x), y)],
        "x: expected finite numbers, got \\d+ NaN or infinite",
    ),
    "text": (lambda x, y: [(x.astype(str), y)], "x: expected real numbers, got dtype"),
    "shrinks": (
        lambda x, y: Shrinking(x, y),
        "x: expected the same rows in every pass, got a pass that ended after 130",
    ),
}


class Plain:
    def __init__(self, blocks: list[Any]):
        self.blocks = blocks

    def __iter__(self):
        return iter(self.blocks)


class Empty(Plain):
    def __init__(self):
        super().__init__([])


class Shrinking(Source):
    def __iter__(self):
        for number, block in enumerate(super().__iter__()):
            if self.passes > 1 and number == 3:
                return
            yield block


@pytest.mark.parametrize("name", BAD)
def test_bad_sources(name: str):
    net, x, y = problem(dtype=np.float32)
    make, message = BAD[name]
    with pytest.raises(tn.ArgumentError, match=message):
        tn.certify(net, net.w0, make(x, y), None, penalty=1e-2)


def test_bad_mapped_arrays(tmp_path: Path):
    net, x, y = problem(dtype=np.float32)
    mapped, _ = outside("mapped", x, y, tmp_path)
    with pytest.raises(tn.ArgumentError, match="x: expected a memory-mapped array of shape \\(n, 3\\), got shape"):
        tn.objective(net, mapped[:, :2], y, penalty=1e-2)
    with pytest.raises(tn.ArgumentError, match="y: expected shape \\(203, 1\\), got shape"):
        tn.objective(net, mapped, y[1:], penalty=1e-2)
    with pytest.raises(tn.ArgumentError, match="y: expected None for a source of blocks, got an array"):
        tn.objective(net, Source(x, y), y, penalty=1e-2)
