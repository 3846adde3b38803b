"""Every benchmark runs at toy size and writes what the interface promises."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import __main__ as benchmarks
from benchmarks import _baselines, _bundled, tables
from scipy.stats import rankdata
from sklearn.metrics import log_loss

REPOSITORY = Path(__file__).parent.parent
# `solvers_digits` is `solvers` with other data.
NAMES = sorted(
    file.stem
    for file in (REPOSITORY / "benchmarks").glob("[!_]*.py")
    if "\ndef main(quick: bool)" in file.read_text() and file.stem != "solvers_digits"
)


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_writes_a_result(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert benchmarks.main([name, "--quick", "--here", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["benchmark"] == name
    assert result["quick"] is True
    assert {"date", "versions", "device", "processors"} <= set(result["environment"])
    assert result["title"]
    assert result["floors"]
    for table in result["tables"]:
        assert table["title"] in printed
        assert table["rows"]
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
    assert all({"target", "measured", "met", "why"} == set(item) for item in result["targets"])


def test_an_unknown_benchmark_is_named():
    command = [sys.executable, "-m", "benchmarks", "gradient", "--quick"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "no benchmark named gradient" in run.stderr


def test_ranks_and_intervals():
    scores = np.array([[0.9, 0.7, 0.9, 0.1], [0.2, 0.3, 0.1, 0.4]])
    np.testing.assert_array_equal(tables.ranks(scores), [rankdata(-row) for row in scores])
    mean, low, high = tables.mean_with_interval(np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 6.0]]))
    assert (low[0], mean[0], high[0]) == (1, 1, 1)
    assert (low[1], mean[1], high[1]) == (2, 4, 6)


def test_calibration_error_and_likelihood():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 40_000)
    correct = generator.uniform(size=40_000) < confidence
    assert tables.calibration_error(confidence, correct) < 0.01
    assert tables.calibration_error(np.full(100, 0.9), np.arange(100) < 50) == pytest.approx(0.4)  # too sure
    assert tables.calibration_error([1.0, 1.0], [1, 1]) == 0
    probabilities, y = generator.dirichlet(np.ones(3), 50), generator.integers(3, size=50)
    assert _baselines.log_likelihood(probabilities, y) == pytest.approx(-log_loss(y, probabilities, labels=[0, 1, 2]))


def test_held_out_rows_shape_no_feature():
    """Changed test rows leave the training features as they are; changed training rows do not."""
    table = _bundled.load("wine")
    folds = _bundled.folds(table)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(178))
    x, y, held, _ = _bundled.split(table, 0)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(y, table.y[folds[0][0]])
    assert held.shape == (len(folds[0][1]), 13)
    for rows, equal in ((folds[0][1], True), (folds[0][0][:9], False)):
        changed = table.x.copy()
        changed.iloc[rows] *= 2
        assert np.array_equal(_bundled.split(table._replace(x=changed), 0)[0], x) is equal
