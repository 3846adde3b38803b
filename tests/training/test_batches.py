"""Minibatches: every example occurs once per epoch, and each batch depends only on its number."""

import jax
import numpy as np
import pytest

import taylornets as tn

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10)


def batches(steps=12, size=3, key=0):
    return tn.training.Batches(X, Y, batch_size=size, steps=steps, key=jax.random.key(key))


def test_every_example_once_an_epoch():
    data = tn.training.Batches(X, Y, batch_size=5, steps=6, key=jax.random.key(0))
    epochs = [np.concatenate([data[2 * epoch][1], data[2 * epoch + 1][1]]) for epoch in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in epochs}) == 3  # another order each time
    for x, y in data:
        np.testing.assert_array_equal(x, X[y])


def test_what_does_not_fill_a_batch_is_left_out():
    data = batches(steps=3)
    labels = np.concatenate([y for _, y in data])
    assert len(set(labels)) == 9


def test_a_batch_depends_on_its_number_alone():
    """Reverse access, random access, slices and concurrent iterators give the same batches."""
    expected = [y.tolist() for _, y in batches()]
    assert len(expected) == len(batches()) == 12
    data = batches()
    assert [data[i][1].tolist() for i in reversed(range(12))] == expected[::-1]
    for i in np.random.default_rng(0).permutation(12):
        assert data[int(i)][1].tolist() == expected[i]
    assert [a.tolist() for (_, a), _ in zip(data, data[5:], strict=False)] == expected[:7]
    assert [y.tolist() for _, y in data[10:2:-3]] == expected[10:2:-3]
    assert data[-1][1].tolist() == expected[-1]
    first, second = iter(data), iter(data)
    assert [(next(first)[1].tolist(), next(second)[1].tolist())[1] for _ in range(12)] == expected
    assert [y.tolist() for _, y in batches(steps=40)][:12] == expected
    assert [y.tolist() for _, y in batches(key=1)] != expected
    with pytest.raises(IndexError):
        data[12]


def test_trees_of_arrays():
    data = tn.training.Batches({"a": X, "b": Y}, (Y, -Y), batch_size=4, steps=2, key=jax.random.key(0))
    x, y = data[1]
    np.testing.assert_array_equal(x["a"], X[x["b"]])
    np.testing.assert_array_equal(y[0], x["b"])
    np.testing.assert_array_equal(y[1], -x["b"])
    assert x["a"].dtype == X.dtype


REFUSED = {
    "lengths": ({"y": Y[:-1]}, "y: expected 10 examples, as in x, got 9"),
    "lengths within x": ({"x": (X, Y[:-1])}, r"x: expected an array \(or a tree of them\) with one example per row, got"),
    "a number": ({"x": 3.0}, r"x: expected an array .* got shapes \(\)"),
    "no examples": ({"x": X[:0]}, r"x: expected an array .* got shapes \(0, 2\)"),
    "nothing": ({"x": ()}, r"x: expected an array .* got shapes none"),
    "too large": ({"batch_size": 11}, "batch_size: expected at most the 10 examples, got 11"),
    "no batch": ({"batch_size": 0}, "batch_size: expected an integer ≥ 1, got 0"),
    "no steps": ({"steps": 0}, "steps: expected an integer ≥ 1, got 0"),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
def test_refused(which):
    changes, message = REFUSED[which]
    settings = {"x": X, "y": Y, "batch_size": 2, "steps": 3} | changes
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        tn.training.Batches(settings.pop("x"), settings.pop("y"), **settings, key=jax.random.key(0))
