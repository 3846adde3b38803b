"""Cells of a learning problem: data, training and errors."""

import jax
import numpy as np
import pytest

import taylornets as tn
from taylornets import learning
from taylornets.learning import Cell, _learn, draw, run_cell

pytestmark = pytest.mark.usefixtures("x64")
SMALL = {"d": 4, "n": 60, "seed": 1, "validation": 50, "test": 200, "width": 32, "padded": 64}


def test_draws_are_nested_and_depend_on_their_cell_alone():
    cell = Cell(**SMALL)
    x, y = draw(cell, "train", 300)
    np.testing.assert_array_equal(draw(cell, "train", 60)[0], x[:60])
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(y, x[:, 0] * x[:, 1])
    other_model = Cell(**SMALL | {"model": "ntk", "n": 30})
    np.testing.assert_array_equal(draw(other_model, "train", 60)[0], x[:60])
    assert not np.allclose(draw(Cell(**SMALL | {"seed": 2}), "train", 60)[0], x[:60])
    assert not np.allclose(draw(cell, "test", 60)[0], x[:60])
    assert Cell.from_name(cell.name) == cell


@pytest.mark.parametrize("inputs", sorted(learning.INPUTS))
def test_inputs_have_the_spectrum_of_their_name(inputs):
    """Second moments of 20,000 points; Gaussian points have root mean square norm 1, the others norm exactly 1."""
    x, _ = draw(Cell(**SMALL | {"inputs": inputs, "decay": 1.0, "model": "quadratic"}), "train", 20_000)
    moments = np.diag(x.T @ x / len(x))
    assert moments.sum() == pytest.approx(1, abs=0.02)
    if inputs == "anisotropic":
        assert np.all(np.diff(moments) < -0.02)
        assert tn.generalization.operator_norm_ratio(x) > 0.6
    else:
        np.testing.assert_allclose(moments, 0.25, atol=0.02)


@pytest.mark.parametrize("target", sorted(learning.TARGETS))
def test_targets_are_orthogonal_to_lower_degrees_under_a_gaussian(target):
    """The product, He_2, He_3 and the triple product, at `√d` times Gaussian inputs: uncorrelated with 1 and each `x_j`."""
    function, directions = learning.TARGETS[target]
    x = np.random.default_rng(0).normal(size=(200_000, 4)) / 2
    y = function(x)
    y = y / np.sqrt(np.mean(y**2))
    assert directions <= 4
    assert abs(y.mean()) < 0.02
    np.testing.assert_allclose(y @ x / len(x) * 2, 0, atol=0.02)


def test_formulas_are_targets_too():
    """`z_j = √d x_j`: the same draw for a name and for its formula, and no other names."""
    named, written = Cell(**SMALL | {"target": "hermite3"}), Cell(**SMALL | {"target": "z1**3 - 3*z1"})
    (x, y), (x2, y2) = draw(named, "train", 60), draw(written, "train", 60)
    np.testing.assert_array_equal(x, x2)
    np.testing.assert_allclose(y, y2, rtol=1e-5, atol=1e-5)
    assert y2.dtype == np.float32
    assert Cell.from_name(written.name) == written
    with pytest.raises(tn.ArgumentError, match=r"d: expected at least 5 for 'z5', got 4"):
        Cell(**SMALL | {"target": "z5"})
    with pytest.raises(tn.ArgumentError, match=r"target: expected one of .*'hermite3'.* Did you mean 'hermite3'"):
        Cell(**SMALL | {"target": "hermit3"})
    with pytest.raises(tn.ArgumentError, match=r"target: expected a formula in z1, z2"):
        Cell(**SMALL | {"target": "x1*x2"})


# The quadratic model is trained below; "full" and "linear" differ in a name that `tn.objective` is tested for.
@pytest.mark.parametrize("model", ["ntk", "finite_ntk", "linear", "randomized"])
def test_every_model_learns(model):
    """Beats the mean predictor on a target that even the linear model of width 32 can express."""
    found = run_cell(Cell(**SMALL | {"model": model, "target": "square"}))
    assert 0 < found["error"] < 0.7
    assert found["penalty"] in Cell(**SMALL | {"model": model}).penalties
    assert (found["sign_variance"] is not None) == (model == "randomized")
    assert 0.5 <= found["m_op"] < 0.75


@pytest.mark.parametrize(
    ("limits", "error"), [({}, 1e-3), ({"_DECOMPOSED": 0}, 2e-2), ({"_DECOMPOSED": 0, "_STORED": 0}, 2e-2)]
)
def test_kernel_cells_equal_plain_ridge_regression(limits, error, monkeypatch):
    """Against NumPy's solve on the unpadded arrays; the better of two ridges is selected.

    By the decomposition, by CG on the stored Gram matrix, by CG without it (which stop at a residual of 1e-4).
    """
    for name, value in limits.items():
        monkeypatch.setattr(_learn, name, value)
    cell = Cell(**SMALL | {"model": "ntk", "penalties": (1e-2, 1e-4), "noise": 0.0})
    (x, y), (xv, yv), (xt, yt) = draw(cell, "train", 60), draw(cell, "validation", 50), draw(cell, "test", 200)
    scale = np.sqrt(np.mean(yt.astype(float) ** 2))
    results = []
    gram, new = (
        np.asarray(tn.kernels.infinite_width_ntk("cubic_relu", a, x), float) for a in (x, np.concatenate([xv, xt]))
    )
    for ridge in cell.penalties:
        values = new @ np.linalg.solve(gram + 60 * ridge * np.eye(60), y / scale)
        results.append((np.mean((values[:50] - yv / scale) ** 2), np.mean((values[50:] - yt / scale) ** 2)))
    expected = min(results)[1] / np.var(yt / scale)
    assert run_cell(cell)["error"] == pytest.approx(expected, rel=error)


@pytest.mark.parametrize(
    ("n", "rows"), [(60, 256), (1024, 1024), (1025, 1536), (8192, 11712), (8193, 8256), (46_080, 46_080)]
)
def test_rows_are_filled_up_to_few_sizes(n, rows):
    assert _learn._padded_rows(n) == rows


def test_padding_changes_nothing_but_rounding():
    """Padding with zero rows of weight zero gives the same minimum, to the tolerance of training."""
    errors = [run_cell(Cell(**SMALL | {"padded": rows, "penalties": (1e-3,)}))["error"] for rows in (64, 0)]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)
    assert errors[0] < 1


def test_path_is_warm_started():
    cell = Cell(**SMALL)
    x, y = draw(cell, "train", 60)
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 4, 32, dtype=np.float32)
    risk = learning.padded_objective(net, x, y, model="quadratic", power=4, padded=64)
    steps = list(learning.penalty_path(risk, (1e-3, 9e-4), key=jax.random.key(1)))
    assert [step.penalty for step in steps] == [1e-3, 9e-4]
    assert steps[1].steps < steps[0].steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d": 1}, "d: expected at least 2 for 'product', got 1"),
        ({"n": 0}, "n: expected an integer ≥ 1, got 0"),
        ({"width": 31}, "width: expected an even number"),
        ({"model": "ntk", "inputs": "gaussian"}, "inputs: expected inputs on a sphere .* Use model = 'finite_ntk'"),
        ({"model": "ntq"}, "model: .* Did you mean 'ntk'"),
        ({"target": "cube"}, "target: expected one of"),
        ({"decay": -1}, "decay: expected a number ≥ 0, got -1"),
        ({"noise": True}, "noise: expected a number ≥ 0, got True"),
        ({"penalties": (1e-3, 1e-2)}, r"penalties: expected a decreasing path of penalties, got \[0.001, 0.01\]"),
        ({"penalties": (-1.0,)}, "penalties: expected a finite number > 0"),
        ({"activation": "rule"}, "relu"),
    ],
)
def test_wrong_cells_are_refused(changes, message):
    with pytest.raises(tn.ArgumentError, match=message):
        Cell(**SMALL | changes)
