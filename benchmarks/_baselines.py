"""The models that are compared on tables, each with the hyperparameters among which it selects on its training rows."""

import importlib
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

import taylornets as tn
from taylornets.tabular._baselines import families

OURS = ("Taylor", "Taylor, 1e-4")  # with the default penalty, which is selected, and with a fixed one
FOLDS = 3
LEAST_PROBABILITY = 1e-6  # of a class, in a log-likelihood: a forest's may be 0
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
_BANDWIDTHS, _REGULARIZATIONS = (3.0, 10.0, 30.0), (1e-4, 1e-2, 1.0)

Candidates = Sequence[tuple[str, Callable[[], Any]]]


class XRFM(BaseEstimator):
    """xRFM (Beaglehole et al.): of nine settings, the best on a fifth of the rows, which also select its iteration."""

    def __init__(self, classification: bool = True, random_state: int = 0):
        self.classification = classification
        self.random_state = random_state

    def fit(self, x: Any, y: Any) -> Any:
        """Trains on 80 % of the rows, with targets standardized for regression."""
        kept = y if self.classification and np.min(np.bincount(y)) > 1 else None
        x, held, y, wanted = train_test_split(x, y, test_size=0.2, random_state=self.random_state, stratify=kept)
        self.center_, self.spread_ = (0, 1) if self.classification else (y.mean(), y.std())
        best = math.inf
        for bandwidth in _BANDWIDTHS:
            for regularization in _REGULARIZATIONS:
                model = self._new(bandwidth, regularization)
                model.fit(x, self._targets(y), held, self._targets(wanted))
                loss = self._loss(model, held, wanted)
                if loss < best:
                    best, self.model_ = loss, model
                    self.setting_ = f"bandwidth {bandwidth:g}, regularization {regularization:g}"
        return self

    def _new(self, bandwidth: float, regularization: float) -> Any:
        settings = {
            "model": {"kernel": "l2", "bandwidth": bandwidth, "exponent": 1.0, "diag": False,
                      "bandwidth_mode": "constant"},
            "fit": {"reg": regularization, "iters": 5, "verbose": False, "early_stop_rfm": True,
                    "return_best_params": True, "get_agop_best_model": True},
        }  # fmt: skip
        kind = importlib.import_module("xrfm").xRFM
        return kind(rfm_params=settings, device="cpu", verbose=False, random_state=self.random_state)

    def _targets(self, y: Any) -> Any:
        return y.astype(np.int64) if self.classification else ((y - self.center_) / self.spread_).astype(np.float32)

    def _loss(self, model: Any, x: Any, y: Any) -> float:
        if self.classification:
            return -log_likelihood(model.predict_proba(x), y)
        return float(np.mean((model.predict(x)[:, 0] - self._targets(y)) ** 2))

    def predict(self, x: Any) -> Any:
        """Class numbers, or targets in their own scale."""
        found = self.model_.predict(x)
        return found if self.classification else found[:, 0] * self.spread_ + self.center_

    def predict_proba(self, x: Any) -> Any:
        """Probabilities of the classes."""
        return self.model_.predict_proba(x)


def log_likelihood(probabilities: Any, y: Any) -> float:
    """The mean logarithm of the probability of the true class."""
    return float(np.mean(np.log(np.maximum(probabilities[np.arange(len(y)), y], LEAST_PROBABILITY))))


def models(classification: bool, seed: int, quick: bool = False) -> dict[str, Candidates]:
    """The candidates of every model by name. Ours select the penalty themselves, or have a fixed one."""
    kind: Any = tn.TaylorClassifier if classification else tn.TaylorRegressor
    small: dict[str, Any] = {"width": 16, "max_iter": 20, "penalties": (1e-2, 1e-4)} if quick else {}
    plain = {name: value for name, value in small.items() if name != "penalties"}
    found: dict[str, Candidates] = {
        OURS[0]: [("", lambda: kind(random_state=seed, **small))],
        OURS[1]: [("", lambda: kind(penalty=1e-4, random_state=seed, **plain))],
    }
    for family in families("classification" if classification else "regression", seed):
        if family.name != "no inputs":
            found[family.name] = family.candidates
    if classification:
        found["logistic regression"] = [
            (f"C = {c:g}", lambda c=c: LogisticRegression(C=c, max_iter=1000)) for c in _STRENGTHS
        ]
    else:
        found["ridge regression"] = [(f"ridge {a:g}", lambda a=a: Ridge(alpha=a)) for a in _STRENGTHS]
    if has_xrfm() and not quick:
        found["xRFM"] = [("", lambda: XRFM(classification, seed))]
    return {name: candidates[:1] for name, candidates in found.items()} if quick else found


def has_xrfm() -> bool:
    """Whether xRFM, which needs PyTorch, can be imported."""
    try:
        importlib.import_module("xrfm")
    except ImportError:
        return False
    return True


def selected(candidates: Candidates, classification: bool, x: Any, y: Any) -> tuple[str, Any]:
    """The candidate with the best cross-validated score, trained on all rows.

    The score is the log-likelihood for models with probabilities, and accuracy or R² for the others.
    """
    best, chosen = -math.inf, candidates[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network that has not converged, a class with few rows
        if len(candidates) > 1:
            kind = StratifiedKFold if classification else KFold
            folds = list(kind(FOLDS, shuffle=True, random_state=0).split(x, y))
            for candidate in candidates:
                scores = [_score(candidate[1]().fit(x[a], y[a]), classification, x[b], y[b]) for a, b in folds]
                if np.mean(scores) > best:
                    best, chosen = float(np.mean(scores)), candidate
        return chosen[0], chosen[1]().fit(x, y)


def _score(model: Any, classification: bool, x: Any, y: Any) -> float:
    if not classification:
        return -float(np.mean((model.predict(x) - y) ** 2))
    if hasattr(model, "predict_proba"):
        return log_likelihood(model.predict_proba(x), y)
    return float(np.mean(model.predict(x) == y))
