"""Baselines: trained on the same preprocessed rows and split, with hyperparameters selected on the same validation rows."""

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
from taylornets.tabular._folds import Fold

KERNEL_ROWS = 4000  # maximum number of training rows for methods with quadratic cost
_RIDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_ALPHAS = (1.0, 1e-1, 1e-2, 1e-3)
_COSTS = (0.1, 1.0, 10.0, 100.0)
_DECAYS = (1e-4, 1e-2, 1.0)
_LEAVES = (1, 5)
_TREES = 300
_LEAF_NODES = (7, 31)
_ROUNDS = 100


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
    """

    name: str
    setting: str
    rows: int
    predictions: np.ndarray
    train: float
    validation: float
    fit_seconds: float
    seconds: float


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
) -> list[Result]:
    """Trains every candidate of every family and selects the best one on the validation rows, or by the mean over folds.

    Args:
        task: `"classification"` or `"regression"`.
        seed: random seed of forests, networks, and the subsample of rows for kernel machines.
        parts: inputs and targets for training, validation and test.
        score: function of targets and predictions; larger is better.
        tell: called as `tell(fraction, message)`.
        folds: places of the training rows that train and that are held out, instead of the validation rows.

    Returns:
        One result per family.
    """
    (x, y), (x_validation, y_validation), (x_test, _) = parts
    few = np.sort(np.random.default_rng(seed).permutation(len(x))[:KERNEL_ROWS])
    results: list[Result] = []
    every = families(task, seed)
    for index, family in enumerate(every):
        rows = few if family.square and len(few) < len(x) else np.arange(len(x))
        begin, best = time.perf_counter(), None
        for place, (setting, make) in enumerate(family.candidates):
            tell((index + place / len(family.candidates)) / len(every), f"{family.name}, {setting}")
            start = time.perf_counter()
            model = _fitted(make, x[rows], y[rows])
            taken = time.perf_counter() - start
            found = (
                score(y_validation, model.predict(x_validation))
                if folds is None
                else _held_score(make, x, y, folds, rows, score)
            )
            if best is None or found > best[0]:
                best = (found, setting, model, taken)
        assert best is not None
        found, setting, model, taken = best
        train = score(y[rows], model.predict(x[rows]))
        total = time.perf_counter() - begin
        results.append(Result(family.name, setting, len(rows), model.predict(x_test), train, found, taken, total))
    return results


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
        few = np.intersect1d(some, rows)
        found.append(score(y[held], _fitted(make, x[few], y[few]).predict(x[held])))
    return float(np.mean(found))
