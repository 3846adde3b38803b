"""The estimators on tables: 5x2 cross-validation compared with scikit-learn's models, and 100,000 rows in little memory.

Every model selects its settings within the training half; all models use the same halves. Nothing was tuned on test halves.
"""

import json
import math
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

import taylornets as tn
from benchmarks import _measure

CLASSIFICATION = ("digits", "breast_cancer", "wine", "iris")
REGRESSION = ("diabetes", "linnerud")
OURS = ("Taylor", "NTK, infinite width", "NTK, width 256")
_LIMIT = 3.0  # GiB


class KernelRidgeClassifier(ClassifierMixin, BaseEstimator):
    """Kernel ridge on one column of ±1 per class."""

    def __init__(self, alpha: float = 1.0, gamma: float | None = None):
        self.alpha = alpha
        self.gamma = gamma

    def fit(self, x: Any, y: Any) -> Any:
        """Fits the columns."""
        self.classes_ = np.unique(y)
        signs = 2.0 * (np.asarray(y)[:, None] == self.classes_) - 1
        self.model_ = KernelRidge(kernel="rbf", alpha=self.alpha, gamma=self.gamma).fit(x, signs)
        return self

    def predict(self, x: Any) -> Any:
        """The class with the largest output."""
        return self.classes_[np.argmax(self.model_.predict(x), axis=1)]


def _grid(model: Any, values: dict[str, Any]) -> Any:
    step = type(model).__name__.lower()
    pipeline = make_pipeline(StandardScaler(), model)
    return GridSearchCV(pipeline, {f"{step}__{name}": value for name, value in values.items()}, cv=3)


def models(task: str, seed: int, quick: bool) -> dict[str, Callable[[], Any]]:
    """Models by name, including two of our four estimators for each task."""
    small: dict[str, Any] = {"width": 16, "max_iter": 20} if quick else {}
    kernel = {"alpha": [1e-3, 1e-2, 1e-1, 1.0], "gamma": [None, 0.01, 0.1]}
    costs = {"C": [0.1, 1, 10, 100]}
    if task == "classification":
        return {
            "Taylor": lambda: tn.TaylorClassifier(penalty="cv", random_state=seed, **small),
            "NTK, infinite width": lambda: tn.NTKClassifier(ridge="cv"),
            "NTK, width 256": lambda: tn.NTKClassifier(ridge="cv", width=256, random_state=seed),
            "kernel ridge": lambda: _grid(KernelRidgeClassifier(), kernel),
            "SVM": lambda: _grid(SVC(), costs),
            "random forest": lambda: RandomForestClassifier(300, random_state=seed),
            "MLP": lambda: make_pipeline(StandardScaler(), MLPClassifier(max_iter=500, random_state=seed)),
            "logistic": lambda: make_pipeline(
                StandardScaler(), LogisticRegressionCV(Cs=10, l1_ratios=(0,), use_legacy_attributes=False, cv=3)
            ),
        }
    return {
        "Taylor": lambda: tn.TaylorRegressor(penalty="cv", random_state=seed, **small),
        "NTK, infinite width": lambda: tn.NTKRegressor(ridge="cv"),
        "NTK, width 256": lambda: tn.NTKRegressor(ridge="cv", width=256, random_state=seed),
        "kernel ridge": lambda: _grid(KernelRidge(kernel="rbf"), kernel),
        "SVM": lambda: MultiOutputRegressor(_grid(SVR(), costs)),
        "random forest": lambda: RandomForestRegressor(300, random_state=seed),
        "MLP": lambda: make_pipeline(StandardScaler(), MLPRegressor(max_iter=500, random_state=seed)),
        "ridge": lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
    }


def compare(name: str, quick: bool) -> dict[str, Any]:
    """5x2 cross-validation on one set: accuracy or R² of every model, seconds per fit, gap."""
    task = "classification" if name in CLASSIFICATION else "regression"
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    y = y if y.ndim == 2 or task == "classification" else y[:, None]
    if quick:
        x, y = x[::3], y[::3]
    scores: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    gaps: list[float] = []
    splitter = StratifiedKFold if task == "classification" else KFold
    for repetition in range(1 if quick else 5):
        for train, test in splitter(2, shuffle=True, random_state=repetition).split(x, y):
            for model, make in models(task, repetition, quick).items():
                started = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = make().fit(x[train], y[train])
                seconds.setdefault(model, []).append(time.perf_counter() - started)
                scores.setdefault(model, []).append(float(found.score(x[test], y[test])))
                if model == "Taylor":
                    gaps.append(float(found.certificate_.relative_gap))
    rows = [
        [name, model, float(np.mean(scores[model])), float(np.std(scores[model], ddof=1)),
         float(np.median(seconds[model])), max(gaps) if model == "Taylor" else None]
        for model in scores
    ]  # fmt: skip
    best = max(rows, key=lambda row: row[2])
    taylor = rows[0]
    return {"rows": rows, "best": best[1], "within": bool(taylor[2] >= best[2] - best[3]), "task": task}


def large(rows: int, columns: int, width: int, steps: int) -> dict[str, Any]:
    """A fit on many rows in this process; the peak memory of the process in GiB."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, columns)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + x[:, 2] + 0.1 * generator.standard_normal(rows)
    test, wanted = x[-rows // 10 :], y[-rows // 10 :]
    model = tn.TaylorRegressor(width=width, penalty=1e-5, tol=1e-2, max_iter=steps, random_state=0)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x[: -rows // 10], y[: -rows // 10])
    elapsed = time.perf_counter() - started
    score = float(model.score(test, wanted))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": elapsed, "peak": peak, "certificate": str(model.certificate_), "steps": model.n_iter_,
        "status": model.status_, "score": score, "gap": float(model.certificate_.relative_gap),
    }  # fmt: skip


def in_a_process(sizes: tuple[int, int, int, int]) -> dict[str, Any]:
    """`large` in a separate process, so that the peak memory is that of the fit."""
    code = f"import json; from benchmarks import estimators; print(json.dumps(estimators.large{sizes}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def kernel_ridge_seconds(rows: int) -> tuple[float, float]:
    """Seconds of kernel ridge on `rows` rows, measured on at most 4,000 rows and extrapolated as n³, and GiB of its matrix."""
    measured = min(rows, 4000)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((measured, 50))
    started = time.perf_counter()
    KernelRidge(kernel="rbf", alpha=1e-2).fit(x, x[:, 0])
    return (time.perf_counter() - started) * (rows / measured) ** 3, rows**2 * 8 / 2**30


def main(quick: bool) -> dict[str, Any]:
    """See the module's docstring."""
    found = {name: compare(name, quick) for name in (("iris",) if quick else CLASSIFICATION + REGRESSION)}
    sizes = (2000, 10, 32, 5) if quick else (111_112, 50, 1024, 200)
    big = large(*sizes) if quick else in_a_process(sizes)
    rows = math.ceil(0.9 * sizes[0])
    seconds, matrix = kernel_ridge_seconds(rows)
    near = [name for name, result in found.items() if result["within"] and result["task"] == "classification"]
    lost = [name for name, result in found.items() if result["best"] != "Taylor"]
    return {
        "title": "Estimators on tables",
        "tables": [
            {
                "title": "5x2 cross-validation, accuracy or R²; every model selects its settings on the training half",
                "columns": ["set", "model", "mean", "std", "fit s", "largest relative gap"],
                "rows": [row for result in found.values() for row in result["rows"]],
            },
            {
                "title": f"{rows} rows x {sizes[1]} columns",
                "columns": ["model", "seconds", "GiB", "R²", "relative gap"],
                "rows": [
                    [f"TaylorRegressor(width={sizes[2]})", big["seconds"], big["peak"], big["score"], big["gap"]],
                    ["kernel ridge, extrapolated as n² and n³", seconds, matrix, None, None],
                ],
            },
        ],
        "floors": [
            "A fit takes three matrix products per step over all rows and units; kernel ridge stores n² numbers at once.",
            "Linnerud has 20 rows, and no model does better than the mean of the targets.",
        ],
        "targets": [
            _measure.target(
                "TaylorClassifier at its defaults with 'cv' within one standard deviation of the best on ≥ 3 sets",
                f"{len(near)}: {', '.join(near)}; another model is best on {', '.join(lost)}", len(near) >= 3,
            ),
            _measure.target("100,000 rows under 3 GiB", f"{big['peak']:.2f} GiB", big["peak"] < _LIMIT),
        ],
        "large": big,
    }  # fmt: skip
