"""Training of the Taylor model: along a regularization path, then to a certificate at the selected penalty."""

import copy
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from taylornets.estimators import PENALTIES, TaylorClassifier, TaylorRegressor
from taylornets.records.progress import Tell

_PATH = {"tol": 1e-2, "max_iter": 100}
_FINAL = {"tol": 1e-3, "max_iter": 1000}
_PATH_SHARE = 0.6  # of a time limit, for the regularization path
_ROUND = 50  # iterations between two looks at the clock


@dataclass(frozen=True)
class FitSettings:
    """Settings of the model.

    Args:
        order: order of the Taylor model.
        width: number of hidden units.
        penalty: `λ`, or None to select it on the validation rows.
        rank: copies of each hidden unit, or None for as many as the optimum requires.
        seed: random seed of the split, the network and the initialization.
        time_limit: seconds for training, or None. The regularization path ends early, and final training stops with the best
            weights so far and their certificate.
    """

    order: int = 2
    width: int = 256
    penalty: float | None = None
    rank: int | None = None
    seed: int = 0
    time_limit: float | None = None


@dataclass(frozen=True)
class PenaltyStep:
    """One penalty of the regularization path.

    Args:
        penalty: `λ`.
        train: score on the training rows.
        validation: score on the validation rows.
        rank_key: selection criterion; larger is better.
    """

    penalty: float
    train: float
    validation: float
    rank_key: tuple[float, float]


@dataclass(frozen=True)
class Learned:
    """A trained model with its regularization path.

    Args:
        model: the estimator.
        path: one step per penalty; empty if the penalty was given.
        fit_seconds: training time at the selected penalty, warm-started from the path.
        seconds: total training time.
    """

    model: Any
    path: tuple[PenaltyStep, ...]
    fit_seconds: float
    seconds: float


def new_model(task: str, settings: FitSettings, penalty: float) -> Any:
    """Creates an unfitted estimator."""
    kind = TaylorClassifier if task == "classification" else TaylorRegressor
    rank = "auto" if settings.rank is None else settings.rank
    return kind(
        order=settings.order, width=settings.width, rank=rank, penalty=penalty, random_state=settings.seed,
        **_FINAL,
    )  # fmt: skip


def quietly(call: Callable[[], Any]) -> Any:
    """Fits without convergence warnings, since the report states how training ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call()


def learn(task: str, settings: FitSettings, train: tuple[Any, Any], validation: tuple[Any, Any], tell: Tell) -> Learned:
    """Trains the model.

    Args:
        task: `"classification"` or `"regression"`.
        settings: settings of the model.
        train: training inputs and targets.
        validation: validation inputs and targets, for selecting the penalty.
        tell: called as `tell(fraction, message)`.

    Returns:
        The model, with `warm_start` disabled, so that another `fit` starts from scratch.
    """
    begin = time.perf_counter()
    limit = math.inf if settings.time_limit is None else settings.time_limit
    path: list[PenaltyStep] = []
    best: Any = None
    model = new_model(task, settings, settings.penalty or PENALTIES[0])
    if settings.penalty is None:
        fitted = model.set_params(**_PATH).fit_path(*train, PENALTIES)
        for index, penalty in enumerate(PENALTIES):
            tell(0.8 * index / len(PENALTIES), f"penalty {penalty:g}")
            next(fitted)
            step = PenaltyStep(
                penalty, model.score(*train), model.score(*validation), _rank_key(task, model, validation)
            )
            if best is None or step.rank_key > max(other.rank_key for other in path):
                best = copy.deepcopy(model.set_params(penalty=penalty))
            path.append(step)
            if time.perf_counter() - begin > _PATH_SHARE * limit:
                break
        model = best.set_params(warm_start=True, **_FINAL)
    tell(0.8, f"penalty {model.penalty:g}, final training with certificate")
    start = time.perf_counter()
    quietly(lambda: _finish(model, train, begin + limit))
    model.set_params(warm_start=False)
    end = time.perf_counter()
    return Learned(model, tuple(path), end - start, end - begin)


def _finish(model: Any, train: tuple[Any, Any], deadline: float) -> None:
    """Trains to the certificate; with a deadline, in rounds that continue from each other until it has passed."""
    if math.isinf(deadline):
        model.fit(*train)
        return
    model.set_params(max_iter=_ROUND)
    rounds = _FINAL["max_iter"] // _ROUND
    for _ in range(int(rounds)):
        model.fit(*train)
        model.set_params(warm_start=True)
        if model.status_ != "MAX_STEPS" or time.perf_counter() > deadline:
            return


def _rank_key(task: str, model: Any, validation: tuple[Any, Any]) -> tuple[float, float]:
    """Returns the likelihood with accuracy as tie-breaker, or R² for regression."""
    x, y = validation
    if task == "regression":
        return model.score(x, y), 0.0
    known = np.isin(y, model.classes_)  # a class of later rows may be absent from training
    places = np.minimum(np.searchsorted(model.classes_, y), len(model.classes_) - 1)
    probabilities = np.where(known, model.predict_proba(x)[np.arange(len(y)), places], 0.0)
    return float(np.mean(np.log(np.maximum(probabilities, 1e-300)))), model.score(x, y)
