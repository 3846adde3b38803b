"""scikit-learn's checks: all of them on the four estimators, and the affected ones on a second configuration."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from taylornets.estimators import NTKClassifier, NTKRegressor, TaylorClassifier, TaylorRegressor

# Few units and few steps: compilation dominates, and equal shapes are compiled once.
SMALL: dict[str, Any] = {"width": 32, "max_iter": 40, "tol": 1e-2}
ESTIMATORS = [
    TaylorRegressor(**SMALL, penalty=1e-4, scaling="ball"),
    TaylorClassifier(**SMALL, penalty="cv", penalties=(1e-3, 1e-5), folds=2),
    NTKRegressor(),
    NTKClassifier(ridge="cv"),
]
SECOND = [
    TaylorRegressor(**SMALL, order=1, penalty="cv", penalties=(1e-2, 1e-4), folds=2),
    TaylorClassifier(**SMALL, penalty=1e-4, loss="squared"),
    NTKRegressor(width=64, ridge="cv"),
    NTKClassifier(width=64),
]
# The other checks look at the parameters of the constructor, at validation, and at attributes: code that is shared.
DIFFERENT = (
    "sample_weight_equivalence", "fit2d_1sample", "fit2d_1feature", "classifiers_train", "classifiers_one_label",
    "regressors_train", "regressors_int", "regressor_multioutput", "methods_subset_invariance", "methods_sample_order",
    "estimators_pickle", "fit_idempotent", "dict_unchanged", "n_features_in_after",
)  # fmt: skip


def name_of(check: Any) -> str:
    return getattr(check, "func", check).__name__


def generated(original: Any) -> list[tuple[Any, Any]]:
    made: Any = estimator_checks_generator(original)
    return [(estimator, check) for estimator, check in made if any(part in name_of(check) for part in DIFFERENT)]


CASES = [(f"{type(e).__name__}-{name_of(check)}", e, check) for original in SECOND for e, check in generated(original)]
CHECKS = [pytest.param(estimator, check, id=name) for name, estimator, check in CASES]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_check(estimator: Any, check: Any):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_check_of_a_second_configuration(estimator: Any, check: Any):
    check(estimator)


def test_every_kind_of_check_was_found():
    found = {part for part in DIFFERENT for name, *_ in CASES if part in name}
    assert found == set(DIFFERENT)
