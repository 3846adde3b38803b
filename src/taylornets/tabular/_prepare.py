"""Preprocessing: a scikit-learn pipeline that is fitted on the training rows and saved with the model."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from taylornets import _checks
from taylornets.tabular._problem import TableProblem

MISSING = "(missing)"
MOST_CATEGORIES = 50  # per column; rarer categories are merged
_MOST_FEATURES = 10_000
_SINGLE = 4_000_000  # numbers, above which features are in single precision


def preparation(problem: TableProblem) -> ColumnTransformer:
    """Imputes missing numbers by the median with an indicator column, standardizes, and one-hot encodes categories."""
    numbers = Pipeline(
        [("impute", SimpleImputer(strategy="median", add_indicator=True)), ("standardize", StandardScaler())]
    )
    categories = Pipeline(
        [
            ("impute", SimpleImputer(strategy="constant", fill_value=MISSING)),
            (
                "one_hot",
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False
                ),
            ),
        ]
    )
    steps = [("numbers", numbers, problem.numbers), ("categories", categories, problem.categories)]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)


def prepared(problem: TableProblem) -> tuple[ColumnTransformer, np.ndarray]:
    """Fits the preprocessing on the training rows and transforms all rows, shape `(rows, features)`.

    Features are float64, or float32 if they are more than four million numbers.

    Raises:
        ArgumentError: for columns without values in the training rows, or too many categories.
    """
    train: Any = problem.inputs.iloc[problem.split.train]
    missing: Any = train.isna().to_numpy()
    for place, name in enumerate(train.columns):
        if np.all(missing[:, place]):
            advice = f"Exclude it with `drop=({name!r},)`."
            got = f"{name!r}, which is empty there"
            raise _checks.ArgumentError("data", "columns with values in the training rows", got, advice)
    inputs: Any = problem.inputs
    wide = sum(min(inputs[name].nunique() + 1, MOST_CATEGORIES) for name in problem.categories)
    if wide + 2 * len(problem.numbers) > _MOST_FEATURES:
        expected = f"at most {_MOST_FEATURES:,} features, one per numeric column and one per category"
        raise _checks.ArgumentError(
            "data", expected, f"{wide + 2 * len(problem.numbers):,}", "Exclude columns with `drop`."
        )
    steps = preparation(problem).fit(train)
    features: Any = steps.transform(problem.inputs)
    return steps, np.asarray(features, np.float32 if features.size > _SINGLE else np.float64)


def described(problem: TableProblem, steps: ColumnTransformer) -> list[tuple[str, str, int | None, int | None, str]]:
    """Describes each column: name, kind, missing values, distinct values, preprocessing."""
    rows: list[tuple[str, str, int | None, int | None, str]] = []
    encoder = steps.named_transformers_["categories"]["one_hot"] if problem.categories else None
    for name in problem.inputs.columns:
        column: Any = problem.inputs[name]
        missing = int(column.isna().sum())
        if name in problem.numbers:
            what = "standardized" + (", missing values imputed by the median and flagged" if missing else "")
            rows.append((name, "numbers", missing, int(column.nunique()), what))
        else:
            place = problem.categories.index(name)
            rare: Any = encoder.infrequent_categories_[place] if encoder is not None else None
            what = "one-hot encoded"
            what += f", missing values form the category {MISSING}" if missing else ""
            what += f", the {len(rare)} rarest are merged" if rare is not None else ""
            rows.append((name, "categories", missing, int(column.nunique()), what))
    return rows
