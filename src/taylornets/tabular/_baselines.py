"""Baselines: trained on the same preprocessed rows and split, with hyperparameters selected on the same validation rows.

With more than 2,000 training rows, the baselines together have a budget of seconds. A family whose search would exceed its
share selects its hyperparameters on fewer rows, and may be trained on fewer; `taylornets.tabular._budget` predicts the times.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR

from taylornets.estimators import NTKClassifier, NTKRegressor
from taylornets.records.progress import Tell
from taylornets.tabular._budget import Plan, planned
from taylornets.tabular._folds import Fold
from taylornets.tabular._selection import spread_evenly

KERNEL_ROWS = 4000  # maximum number of training rows for methods with quadratic cost
_RIDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_ALPHAS = (1.0, 1e-1, 1e-2, 1e-3)
_COSTS = (0.1, 1.0, 10.0, 100.0)
_DECAYS = (1e-4, 1e-2, 1.0)
_LEAVES = (1, 5)
_TREES = 300
_LEAF_NODES = (7, 31)
_ROUNDS = 100
_JUDGED = 10_000  # validation rows that score a candidate
_BLOCK = 4096  # rows predicted at a time, since kernels take memory for all pairs


class KernelRidgeClassifier(ClassifierMixin, BaseEstimator):
    """One-vs-rest kernel ridge classifier with ±1 targets."""

    def __init__(self, alpha: float = 1.0, gamma: float | None = None):
        self.alpha = alpha
        self.gamma = gamma

    def fit(self, X: Any, y: Any) -> Any:
        """Fits one regression per class, `X` of shape `(n, d)`, `y` of shape `(n,)`."""
        self.classes_ = np.unique(y)
        signs = 2.0 * (np.asarray(y)[:, None] == self.classes_) - 1
        kernel: Any = KernelRidge
        self.model_ = kernel(kernel="rbf", alpha=self.alpha, gamma=self.gamma).fit(X, signs)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicts the class with the largest output, shape `(n,)`."""
        return self.classes_[np.argmax(self.model_.predict(X), axis=1)]


class ScaledRegressor(BaseEstimator):
    """A regressor with standardized targets, as scikit-learn's kernel machines and networks expect."""

    def __init__(self, model: Any = None):
        self.model = model

    def fit(self, X: Any, y: Any) -> Any:
        """Fits the model, `X` of shape `(n, d)`, `y` of shape `(n,)`."""
        self.center_, self.spread_ = float(np.mean(y)), float(np.std(y)) or 1.0
        self.model.fit(X, (y - self.center_) / self.spread_)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicts on the original scale of the targets, shape `(n,)`."""
        return self.model.predict(X) * self.spread_ + self.center_


@dataclass(frozen=True)
class Family:
    """One baseline with its candidate hyperparameters.

    Args:
        name: name in the report.
        candidates: pairs of a description and a function that creates the estimator.
        square: whether its time or memory is quadratic in the number of rows.
    """

    name: str
    candidates: Sequence[tuple[str, Callable[[], Any]]]
    square: bool = False


@dataclass(frozen=True)
class Result:
    """The result of one baseline.

    Args:
        name: name of the model.
        setting: selected hyperparameters.
        rows: number of training rows.
        predictions: predictions for the test rows.
        train: score on the training rows.
        validation: score on the validation rows.
        fit_seconds: training time of the selected candidate.
        seconds: time for all candidates.
        searched: number of training rows that selected the hyperparameters.
        available: number of training rows for both, but for the budget.
    """

    name: str
    setting: str
    rows: int
    predictions: np.ndarray
    train: float
    validation: float
    fit_seconds: float
    seconds: float
    searched: int = 0
    available: int = 0


def families(task: str, seed: int) -> tuple[Family, ...]:
    """The baselines in the order of the report; the last one ignores the inputs."""
    several = task == "classification"
    ntk: Any = NTKClassifier if several else NTKRegressor
    kernel: Any = (
        KernelRidgeClassifier if several else lambda alpha: ScaledRegressor(KernelRidge(kernel="rbf", alpha=alpha))
    )
    svm: Any = SVC if several else lambda C: ScaledRegressor(SVR(C=C))
    forest: Any = RandomForestClassifier if several else RandomForestRegressor
    boosting: Any = HistGradientBoostingClassifier if several else HistGradientBoostingRegressor
    dummy: Any = DummyClassifier if several else DummyRegressor

    def mlp(decay: float) -> Any:
        options: dict[str, Any] = {"alpha": decay, "max_iter": 500, "random_state": seed, "hidden_layer_sizes": (100,)}
        return MLPClassifier(**options) if several else ScaledRegressor(MLPRegressor(**options))

    return (
        Family("NTK ridge", [(f"ridge {r:g}", lambda r=r: ntk(ridge=r)) for r in _RIDGES], True),
        Family("kernel ridge", [(f"RBF, ridge {a:g}", lambda a=a: kernel(alpha=a)) for a in _ALPHAS], True),
        Family("SVM", [(f"RBF, C = {c:g}", lambda c=c: svm(C=c)) for c in _COSTS], True),
        Family(
            "random forest",
            [
                (
                    f"{_TREES} trees, {leaf} per leaf",
                    lambda n=leaf: forest(_TREES, min_samples_leaf=n, random_state=seed),
                )
                for leaf in _LEAVES
            ],
        ),
        Family(
            "gradient boosting",
            [
                (
                    f"{_ROUNDS} rounds, {nodes} leaves",
                    # Early stopping would split off rows of its own, which fails for a class with a single row.
                    lambda n=nodes: boosting(
                        max_iter=_ROUNDS, max_leaf_nodes=n, early_stopping=False, random_state=seed
                    ),
                )
                for nodes in _LEAF_NODES
            ],
        ),
        Family("MLP", [(f"100 units, decay {d:g}", lambda d=d: mlp(d)) for d in _DECAYS]),
        Family("no inputs", [("most frequent class" if several else "mean", dummy)]),
    )


def compare(
    task: str,
    seed: int,
    parts: tuple[tuple[Any, Any], tuple[Any, Any], tuple[Any, Any]],
    score: Callable[[Any, Any], float],
    tell: Tell,
    folds: Sequence[Fold] | None = None,
    seconds: float = math.inf,
) -> list[Result]:
    """Trains every candidate of every family and selects the best one on the validation rows, or by the mean over folds.

    Args:
        task: `"classification"` or `"regression"`.
        seed: random seed of forests, networks, and the subsample of rows for kernel machines.
        parts: inputs and targets for training, validation and test.
        score: function of targets and predictions; larger is better.
        tell: called as `tell(fraction, message)`.
        folds: places of the training rows that train and that are held out, instead of the validation rows.
        seconds: budget; time that a family leaves is divided among the later ones.

    Returns:
        One result per family.
    """
    (x, y), (x_validation, y_validation), test = parts
    order = spread_evenly(y if task == "classification" else None, len(y), seed)
    judged = (x_validation[:_JUDGED], y_validation[:_JUDGED])
    results: list[Result] = []
    every, end = families(task, seed), time.perf_counter() + seconds
    for index, family in enumerate(every):
        own = order[: KERNEL_ROWS if family.square else len(y)]
        share = (end - time.perf_counter()) / (len(every) - index)

        def said(place: int, words: str, index: int = index, family: Family = family) -> None:
            tell((index + place / len(family.candidates)) / len(every), f"{family.name}, {words}")

        began = time.perf_counter()
        plan = _plan(family, (x, y), own, (share, len(test[1]), 1 if folds is None else 1 + len(folds)), said)
        found = _searched(family, (x, y), own, plan, score, (judged, folds), said)
        results.append(_result(family, (x, y), (own, plan), score, (test[0], found, began)))
    return results


def _plan(
    family: Family, data: tuple[Any, Any], order: np.ndarray, limits: tuple[float, int, int],
    said: Callable[[int, str], None],
) -> Plan:  # fmt: skip
    """Measures the first and the last candidate on few rows, and returns how many rows the search and training may have."""
    x, y = data

    def timed(rows: int) -> tuple[float, float]:
        some, spent = order[:rows], np.zeros(2)
        ends = dict((family.candidates[0], family.candidates[-1]))
        for setting, make in ends.items():
            said(0, f"{setting}, {rows:,} rows")
            start = time.perf_counter()
            model = _fitted(make, x[some], y[some])
            fitted = time.perf_counter()
            model.predict(x[some])
            spent += (fitted - start, time.perf_counter() - fitted)
        return float(spent[0]) / len(ends), float(spent[1]) / len(ends)

    seconds, tests, fits = limits
    return planned(len(order), timed, seconds, fits * len(family.candidates), tests, family.square)


def _searched(
    family: Family, data: tuple[Any, Any], order: np.ndarray, plan: Plan, score: Callable[[Any, Any], float],
    judges: tuple[tuple[Any, Any], Sequence[Fold] | None], said: Callable[[int, str], None],
) -> tuple[float, str, Callable[[], Any], Any, float]:  # fmt: skip
    """Returns the best candidate: its score, setting, constructor, the fitted model, and its time."""
    (x, y), rows, best = data, np.sort(order[: plan.searched]), None
    (x_judged, y_judged), folds = judges
    for place, (setting, make) in enumerate(family.candidates):
        said(place, setting)
        start = time.perf_counter()
        model = _fitted(make, x[rows], y[rows])
        taken = time.perf_counter() - start
        found = (
            score(y_judged, predicted(model, x_judged))
            if folds is None
            else _held_score(make, x, y, folds, rows, score)
        )
        if best is None or found > best[0]:
            best = (found, setting, make, model, taken)
    assert best is not None
    return best


def _result(
    family: Family, data: tuple[Any, Any], rows: tuple[np.ndarray, Plan], score: Callable[[Any, Any], float],
    found: tuple[Any, tuple[float, str, Callable[[], Any], Any, float], float],
) -> Result:  # fmt: skip
    """Trains the selected candidate on more rows, if the search had fewer, and predicts the test rows."""
    (x, y), (order, plan), (x_test, (held, setting, make, model, taken), began) = data, rows, found
    own = np.sort(order[: plan.trained])
    if plan.trained > plan.searched:
        start = time.perf_counter()
        model = _fitted(make, x[own], y[own])
        taken = time.perf_counter() - start
    some = own[:: -(-len(own) // _JUDGED)]
    train, tested = score(y[some], predicted(model, x[some])), predicted(model, x_test)
    total = time.perf_counter() - began
    return Result(family.name, setting, plan.trained, tested, train, held, taken, total, plan.searched, len(order))


def predicted(model: Any, x: Any) -> np.ndarray:
    """Predicts in blocks of rows."""
    return np.concatenate([model.predict(x[start : start + _BLOCK]) for start in range(0, len(x), _BLOCK)])


def _fitted(make: Callable[[], Any], x: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make().fit(x, y)


def _held_score(
    make: Callable[[], Any], x: Any, y: Any, folds: Sequence[Fold], rows: np.ndarray, score: Callable[[Any, Any], float]
) -> float:
    """The mean score of a candidate on held-out folds, trained on those of the rows that are not held out."""
    found: list[float] = []
    for some, held in folds:
        few, judged = np.intersect1d(some, rows), held[:_JUDGED]
        found.append(score(y[judged], predicted(_fitted(make, x[few], y[few]), x[judged])))
    return float(np.mean(found))
