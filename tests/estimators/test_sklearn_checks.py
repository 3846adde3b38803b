"""scikit-learn's own checks, on all four estimators in several configurations: each passes, none is expected to fail."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from taylornets.estimators import NTKClassifier, NTKRegressor, TaylorClassifier, TaylorRegressor

# Few units and few steps: what costs is the compiler, and equal shapes are compiled once.
SMALL: dict[str, Any] = {"width": 32, "max_iter": 40, "tol": 1e-2}
ESTIMATORS = [
    TaylorRegressor(**SMALL, scaling="ball"),
    TaylorRegressor(**SMALL, order=1, penalty="cv", penalties=(1e-2, 1e-4), folds=2),
    TaylorClassifier(**SMALL, penalty="cv", penalties=(1e-3, 1e-5), folds=2),
    TaylorClassifier(**SMALL, loss="squared"),
    NTKRegressor(),
    NTKRegressor(width=64, ridge="cv"),
    NTKClassifier(ridge="cv"),
    NTKClassifier(width=64),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_check(estimator: Any, check: Any):
    check(estimator)
