"""One rule for regression or classification: the same file is the same task for `fit` and `diagnose`, and in training."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from taylornets import ArgumentError
from taylornets._measures import guessed_task
from taylornets.datafiles import Reading, read
from taylornets.diagnosis._data import named
from taylornets.tabular._problem import pose
from taylornets.training import task_of

ROWS = 60
PLACES = np.arange(ROWS)
TARGETS: dict[str, tuple[Any, str]] = {
    "strings": (np.array(["red", "green", "blue"])[PLACES % 3], "classification"),
    "booleans": (PLACES % 2 == 0, "classification"),
    "two whole numbers": (PLACES % 2, "classification"),
    "signs": (np.where(PLACES % 2, 1.0, -1.0), "classification"),
    "ten whole numbers": (PLACES % 10, "classification"),
    "eleven whole numbers": (PLACES % 11, "regression"),
    "thirty whole numbers": (PLACES % 30, "regression"),
    "two fractions": (np.where(PLACES % 2, 0.5, 1.5), "regression"),
    "fractions": (np.sin(PLACES), "regression"),
}


def saved(folder: Path, y: Any) -> str:
    path = folder / "table.csv"
    inputs = np.random.default_rng(0).standard_normal((ROWS, 2))
    pd.DataFrame({"a": inputs[:, 0], "b": inputs[:, 1], "y": y}).to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("name", TARGETS)
def test_the_same_table_is_the_same_task_for_fit_and_diagnose(name: str, tmp_path: Path):
    y, task = TARGETS[name]
    source = saved(tmp_path, y)
    assert pose(read(source, Reading()), "y", "auto", 0).task == task
    kind = named(source, "y", "auto")["data"][1].dtype.kind
    assert {"f": "regression", "i": "classification"}[kind] == task


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_task_can_be_chosen_in_both(task: str, tmp_path: Path):
    for y in (PLACES % 10, PLACES % 15):
        source = saved(tmp_path, y)
        assert pose(read(source, Reading()), "y", task, 0).task == task
        assert named(source, "y", task)["data"][1].dtype.kind == ("i" if task == "classification" else "f")


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        ("strings", "regression", r"task: expected 'classification' for a string target, got 'regression'"),
        (
            "fractions",
            "classification",
            r"task: expected 'regression' for a non-integer target, got 'classification'",
        ),
    ],
)
def test_a_task_that_the_target_does_not_allow(target: str, task: str, message: str, tmp_path: Path):
    source = saved(tmp_path, TARGETS[target][0])
    with pytest.raises(ArgumentError, match=message):
        pose(read(source, Reading()), "y", task, 0)
    with pytest.raises(ArgumentError, match=message):
        named(source, "y", task)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.arange(1000), "classification"),  # token ids: their type says that they are labels
        (jnp.array([True, False]), "classification"),
        (np.array([[1.0], [2.0]]), "classification"),
        (np.array([0.0, 0.0]), "regression"),  # one value says nothing
        (np.array([0.0, 1.0, np.nan]), "regression"),
        (np.eye(3), "regression"),  # one number per example, or no labels
        (np.array([1.0 + 1.0j, 2.0]), "regression"),
        ({"a": np.array([0, 1])}, "regression"),
        (pd.Series(["a", "b"], dtype="category"), "classification"),
    ],
)
def test_arrays(y: Any, task: str):
    assert guessed_task(y) == task
    assert task_of(lambda outputs, y: outputs, "auto", y).classification == (task == "classification")


def test_a_named_loss_decides_before_the_targets():
    assert task_of("softmax", "auto", np.zeros((2, 3))).classification
    assert not task_of("squared", "auto", np.array([0, 1])).classification
    assert not task_of("softmax", "regression", np.array([0, 1])).classification
