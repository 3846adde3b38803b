"""Large tables: selection on a part of the rows, budgets of the baselines and the learning curve, intervals of many rows."""

import math
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from taylornets.datafiles import from_frame
from taylornets.estimators import PENALTIES
from taylornets.tabular import _baselines, _curve, _path, _selection
from taylornets.tabular._baselines import Family, compare, predicted
from taylornets.tabular._budget import Plan, planned
from taylornets.tabular._path import FitSettings, learn
from taylornets.tabular._problem import pose
from taylornets.tabular._scores import difference, interval, r_squared
from taylornets.tabular._selection import levels, part, select, spread_evenly
from taylornets.tabular._wording import cut

RANDOM = np.random.default_rng(0)


class Scripted:
    """An estimator whose score depends on its penalty and the number of its rows."""

    def __init__(self, best: Any, seen: list[tuple[float, int]]):
        self.best, self.seen, self.penalty, self.rows = best, seen, math.nan, 0

    def __deepcopy__(self, memo: Any) -> "Scripted":
        other = Scripted(self.best, self.seen)
        other.penalty, other.rows = self.penalty, self.rows
        return other

    def set_params(self, penalty: float | None = None, warm_start: bool = False) -> "Scripted":
        self.penalty = self.penalty if penalty is None else penalty
        return self

    def fit(self, x: Any, y: Any) -> "Scripted":
        self.rows = len(y)
        self.seen.append((self.penalty, self.rows))
        return self

    def fit_path(self, x: Any, y: Any, penalties: Any) -> Any:
        for penalty in penalties:
            yield self.set_params(penalty).fit(x, y)

    def score(self, x: Any, y: Any) -> float:
        return -abs(math.log10(self.penalty / self.best(self.rows)))


def chosen(best: Any, rows: int, limit: float = math.inf) -> tuple[Any, list[tuple[float, int]]]:
    """Runs the selection on scripted scores; returns it, and the penalties and rows of all fits."""
    seen: list[tuple[float, int]] = []
    data = np.zeros((rows, 1)), np.zeros(rows)
    told: list[float] = []
    found = select(
        Scripted(best, seen), data, data, lambda model, rows: (model.score(*rows), 0.0), np.arange(rows),
        lambda fraction, words: told.append(fraction), limit,
    )  # fmt: skip
    assert told == sorted(told)
    assert 0 <= told[0] <= told[-1] <= 1
    return found, seen


def test_the_path_ends_after_two_worse_penalties():
    found, seen = chosen(lambda rows: 1e-4, 300)
    assert seen == [(penalty, 300) for penalty in PENALTIES[:6]]
    assert (found.model.penalty, found.ended) == (1e-4, "worse")
    found, seen = chosen(lambda rows: PENALTIES[0], 300)  # control: the mean is best, which ends nothing
    assert (len(seen), found.ended, found.model.penalty) == (len(PENALTIES), "whole", PENALTIES[0])
    found, seen = chosen(lambda rows: 1e-4, 300, limit=0.0)
    assert (len(seen), found.ended) == (1, "limit")


def test_more_rows_move_the_penalty():
    """The best penalty falls as 1/rows: more rows weaken it by a step each, and the path on few rows is not repeated."""
    found, seen = chosen(lambda rows: 4 * 10.0 ** -math.ceil(math.log10(rows)), 400_000)
    assert [rows for _, rows in seen if rows > 4000] == [24_000] * 3 + [144_000] * 3
    assert found.model.rows == 144_000
    assert found.model.penalty == pytest.approx(1e-5)
    same, seen = chosen(lambda rows: 1e-4, 400_000)  # control: a fixed best penalty costs one comparison for each level
    assert [rows for _, rows in seen if rows > 4000] == [24_000] * 2 + [144_000] * 2
    assert same.model.penalty == 1e-4


@pytest.mark.parametrize("rows", [20, 4000, 48_000, 10**6])
def test_levels(rows: int):
    sizes = levels(rows)
    assert sizes[0] == min(rows, 4000)
    assert all(2 * size <= rows for size in sizes[1:])
    assert 0 < part(rows, steps=False) < part(rows, steps=True) < 1


def test_every_prefix_has_every_class_and_its_share():
    labels = np.repeat(["a", "b", "c"], [900, 95, 5])
    order = spread_evenly(labels, len(labels), 0)
    assert sorted(order) == [*range(1000)]
    assert set(labels[order[:3]]) == {"a", "b", "c"}
    assert np.sum(labels[order[:200]] == "b") == pytest.approx(19, abs=2)


def test_few_rows_select_and_all_rows_train(monkeypatch: pytest.MonkeyPatch):
    """The score is that of the whole path, and the certificate is that of all rows."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(600, 3))
    y = x[:, 0] * x[:, 1] + 0.3 * generator.normal(size=600)
    data = (x[:400], y[:400]), (x[400:], y[400:]), lambda fraction, words: None
    whole = learn("regression", FitSettings(width=16), *data)
    monkeypatch.setattr(_selection, "SELECTING_ROWS", 100)
    some = learn("regression", FitSettings(width=16), *data)
    assert {step.rows for step in whole.path} == {400}
    assert {step.rows for step in some.path} == {100}
    assert len(some.model.certificate_.dual_vector) == 400
    assert float(some.model.certificate_.relative_gap) <= 1e-3
    assert some.model.score(*data[1]) == pytest.approx(whole.model.score(*data[1]), abs=0.05)


def test_plans_follow_the_measured_times():
    times = {500: (1.0, 0.0)}
    assert planned(2000, lambda rows: (1e9, 1e9), 1.0, 5, 10, False) == Plan(2000, 2000)  # small: nothing is measured
    assert planned(10_000, times.__getitem__, math.inf, 2, 10, False) == Plan(10_000, 10_000)
    assert planned(10_000, times.__getitem__, 2 * 20**1.1, 2, 10, False) == Plan(10_000, 10_000)
    found = planned(10_000, times.__getitem__, 20.0, 2, 10, False)
    assert 500 < found.searched < found.trained < 10_000
    spent = 2 * (found.searched / 500) ** 1.1 + (found.trained / 500) ** 1.1
    assert 10.0 <= spent <= 20.0
    square = planned(4000, times.__getitem__, 20.0, 2, 10, True)
    assert square.trained < found.trained
    assert planned(10_000, times.__getitem__, 1e-9, 2, 10, False) == Plan(500, 500)
    many = planned(4000, lambda rows: (0.001, 1.0), 20.0, 2, 10**6, True)  # test rows are predicted, too
    assert many.trained < square.trained


class Mean:
    """A baseline without cost, which remembers the numbers of its rows."""

    sizes: ClassVar[list[int]] = []

    def fit(self, x: Any, y: Any) -> "Mean":
        self.sizes.append(len(y))
        return self

    def predict(self, x: Any) -> np.ndarray:
        return np.zeros(len(x))


def test_a_baseline_over_its_budget_is_cut_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_baselines, "families", lambda task, seed: (Family("zero", [("a", Mean), ("b", Mean)]),))
    x, y = RANDOM.normal(size=(3000, 1)), RANDOM.normal(size=3000)
    parts = (x, y), (x[:9], y[:9]), (x[:5000], y[:5000])
    Mean.sizes.clear()
    (whole,) = compare("regression", 0, parts, r_squared, lambda fraction, words: None)
    assert (whole.rows, whole.searched, Mean.sizes) == (3000, 3000, [3000, 3000])
    assert cut([whole]) == []
    (found,) = compare("regression", 0, parts, r_squared, lambda fraction, words: None, seconds=0.0)
    assert (found.rows, found.searched, found.available) == (500, 500, 3000)
    (words,) = cut([found])
    assert "zero (search on 500 rows, trained on 500)" in words
    assert len(found.predictions) == 3000


@pytest.mark.parametrize("limit", [None, 60.0])
def test_final_training_of_huge_tables_has_few_steps_and_a_certificate(
    limit: float | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_path, "_HUGE", 100)
    monkeypatch.setattr(_path, "_HUGE_STEPS", 50)
    x = RANDOM.normal(size=(200, 3)).astype(np.float32)
    rows = x, x[:, 0] * x[:, 1] + 0.1 * RANDOM.normal(size=200)
    told: list[float] = []
    steps: dict[float, int] = {}

    def tell(fraction: float, words: str) -> None:
        told.append(fraction)
        if "final training: step" in words:
            steps[fraction] = int(words.split("step ")[1].split(",", maxsplit=1)[0])

    settings = FitSettings(width=16, penalty=None, time_limit=limit)
    found = learn("regression", settings, rows, (x[:50], rows[1][:50]), tell)
    assert found.model.displacement_.shape == (16, found.model.n_features_in_ + 1)  # one copy of each unit
    assert found.model.n_iter_ <= 50
    assert 0 <= found.model.certificate_.relative_gap <= 1
    assert told == sorted(told)
    share = part(200, steps=True)  # the progress of final training is that of its steps, whatever the gap
    assert list(steps) == pytest.approx([share + (1 - share) * step / 50 for step in steps.values()])
    usual = _path._final(settings, 100, 4)
    assert (usual["rank"], usual["max_iter"]) == ("auto", 1000)  # the negative control


def test_final_training_has_fewer_steps_where_a_step_costs_more():
    settings = FitSettings(width=256)
    steps = [
        _path._final(settings, rows, columns)["max_iter"] for rows, columns in ((1000, 20), (9000, 50), (9000, 250))
    ]
    assert steps[0] == 1000
    assert 80 < steps[1] < 1000
    assert steps[2] == 80


def test_predictions_in_blocks_are_those_of_all_rows():
    x = RANDOM.normal(size=(9000, 1))

    class Own:
        def predict(self, x: Any) -> np.ndarray:
            return x[:, 0]

    np.testing.assert_array_equal(predicted(Own(), x), x[:, 0])


def test_a_curve_without_time_has_its_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_curve, "SMALL", 10)
    x = RANDOM.normal(size=(80, 2))
    parts = (x, x[:, 0]), (x, x[:, 0]), (x, x[:, 0])
    settings = FitSettings(width=8, penalty=1e-2)
    learned = learn("regression", settings, *parts[:2], lambda fraction, words: None)
    problem = pose(from_frame(pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0]})), "y", "regression", 0)
    given = (problem, settings, learned, "ridge 0.1", parts, lambda fraction, words: None)
    assert _curve.learning_curve(*given, seconds=0.0)[0] == [10, 80]
    sizes, curves = _curve.learning_curve(*given)
    assert sizes == [10, 20, 40, 80]
    assert all(len(values) == 4 for values in curves.values())


def test_the_difference_of_accuracies_is_that_of_resampled_rows():
    """Drawing the counts has the law of drawing rows: the interval is that of a direct bootstrap."""
    y = RANDOM.integers(2, size=300)
    first, second = (np.where(RANDOM.random(300) < p, y, 1 - y) for p in (0.9, 0.8))
    rows = RANDOM.integers(300, size=(4000, 300))
    direct = np.quantile(((first == y) * 1.0 - (second == y))[rows].mean(axis=1), [0.025, 0.975])
    np.testing.assert_allclose(difference("classification", y, first, second, 0), direct, atol=0.012)


@pytest.mark.parametrize("rows", [400, 20_000])
def test_the_interval_of_r_squared_is_that_of_its_standard_error(rows: int):
    """Large samples: the delta method, with the variance of `e² - (1 - R²) (y - ȳ)²` over that of the target."""
    y = RANDOM.normal(size=rows)
    predictions = y + 0.5 * RANDOM.normal(size=rows)
    score = r_squared(y, predictions)
    influence = (y - predictions) ** 2 - (1 - score) * (y - y.mean()) ** 2
    error = np.std(influence) / np.var(y) / rows**0.5
    low, high = interval("regression", y, predictions, 0)
    np.testing.assert_allclose([low, high], [score - 1.96 * error, score + 1.96 * error], atol=0.4 * error)
