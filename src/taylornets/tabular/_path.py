"""Training of the Taylor model: along a regularization path, then to a certificate at the selected penalty."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from taylornets import losses
from taylornets.estimators import PENALTIES, TaylorClassifier, TaylorRegressor, watched
from taylornets.records.progress import Tell
from taylornets.tabular._cross_validation import CrossValidated, walk
from taylornets.tabular._folds import Fold
from taylornets.tabular._metrics import Metric, check_metric, log_loss, outputs_of
from taylornets.tabular._selection import PenaltyStep, Selected, loose, part, select, spread_evenly
from taylornets.tabular._temperature import Temperature, temperature_of

_TOL = 1e-3  # relative gap of final training
_TOL_LARGE, _LARGE = 1e-2, 20_000  # and with more training rows than the second number
# Most iterations of final training, between these bounds: so many that the multiplications of the dual Newton method are
# limited to `_WORK`, some minutes. At the weakest penalties the gap closes slowly, and the score has long settled.
_WORK, _FEWEST_STEPS, _STEPS = 1e12, 80, 1000
# Beyond this many training rows, a step of the dual Newton method takes as long as twenty iterations of L-BFGS and more. Final
# training then stays with L-BFGS, the copies of the regularization path, and this many iterations; the certificate states
# the gap. With 70,000 rows, 22 Newton steps take 95 s and lower the gap from 72 to 17 %, 340 iterations 30 s, to 12 %.
_HUGE, _HUGE_STEPS = 50_000, 400
_PATH_SHARE = 0.6  # of a time limit, for the regularization path
_SELECTION = 0.8  # of the progress of training, with cross-validation
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
        cv: number of folds that select the penalty and give a score, or None for the validation rows.
        metric: name of the metric that selects the penalty, or None for the likelihood of the classes, or R².
    """

    order: int = 2
    width: int = 256
    penalty: float | None = None
    rank: int | None = None
    seed: int = 0
    time_limit: float | None = None
    cv: int | None = None
    metric: str | None = None


@dataclass(frozen=True)
class Learned:
    """A trained model with its regularization path.

    Args:
        model: the estimator.
        path: one step per penalty; empty if the penalty was given.
        fit_seconds: training time at the selected penalty, warm-started from the path.
        seconds: total training time.
        cv: scores of the folds, or None without cross-validation.
        temperature: scaling of the probabilities, stored with the model; None for regression.
        ended: why the path ended, see `Selected`; None if the penalty was given, or with cross-validation.
    """

    model: Any
    path: tuple[PenaltyStep, ...]
    fit_seconds: float
    seconds: float
    cv: CrossValidated | None = None
    temperature: Temperature | None = None
    ended: str | None = None


def new_model(task: str, settings: FitSettings, penalty: float) -> Any:
    """Creates an unfitted estimator."""
    kind = TaylorClassifier if task == "classification" else TaylorRegressor
    return kind(
        order=settings.order, width=settings.width, rank=_rank(settings), penalty=penalty, random_state=settings.seed,
        tol=_TOL, max_iter=_STEPS,
    )  # fmt: skip


def _rank(settings: FitSettings) -> Any:
    """The rank of the estimator."""
    return "auto" if settings.rank is None else settings.rank


def quietly(call: Callable[[], Any]) -> Any:
    """Fits without convergence warnings, since the report states how training ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call()


def learn(
    task: str, settings: FitSettings, train: tuple[Any, Any], validation: tuple[Any, Any], tell: Tell,
    folds: Sequence[Fold] | None = None,
) -> Learned:  # fmt: skip
    """Trains the model.

    Args:
        task: `"classification"` or `"regression"`.
        settings: settings of the model.
        train: training inputs and targets.
        validation: validation inputs and targets, for selecting the penalty; not used with folds.
        tell: called as `tell(fraction, message)`.
        folds: places of the training rows that train and that are held out, for cross-validation.

    Returns:
        The model, with `warm_start` disabled, so that another `fit` starts from scratch.
    """
    begin = time.perf_counter()
    limit = math.inf if settings.time_limit is None else settings.time_limit
    metric = check_metric(settings.metric, task)
    cv: CrossValidated | None = None
    ended: str | None = None
    if folds is not None:
        model, path, cv = _cross_validated(task, settings, train, folds, metric, tell)
    elif settings.penalty is None:
        found = _selected(task, settings, train, validation, metric, tell)
        model, path, ended = found.model, found.path, found.ended
    else:
        model, path = new_model(task, settings, settings.penalty), ()
    huge = len(train[1]) > _HUGE
    share = _SELECTION if folds is not None else part(len(train[1]), huge) if settings.penalty is None else 0.0
    tell(share, f"penalty {model.penalty:g}, final training{' with certificate' if settings.order < 3 else ''}")
    start, final = time.perf_counter(), _final(settings, *train[0].shape)
    model.set_params(warm_start=hasattr(model, "displacement_"), **final)
    with watched(_watcher(share, f"penalty {model.penalty:g}, final training", final, huge, tell)):
        quietly(lambda: _finish(model, train, begin + limit))
    model.set_params(warm_start=False)
    end = time.perf_counter()
    temperature = None if task == "regression" else _scaled(model, validation, cv, settings.seed)
    return Learned(model, path, end - start, end - begin, cv, temperature, ended)


def _step_work(width: int, rows: int, columns: int) -> float:
    """Multiplications of one dual Newton step, roughly: ten products with the Newton matrix, eigenvectors of every unit."""
    return width * columns * (20 * rows + 10 * columns**2)


def _final(settings: FitSettings, rows: int, columns: int) -> dict[str, Any]:
    """Parameters of the estimator for final training."""
    if rows > _HUGE:
        return loose(settings.rank) | {"max_iter": _HUGE_STEPS}
    steps = min(max(int(_WORK / _step_work(settings.width, rows, columns)), _FEWEST_STEPS), _STEPS)
    return {"rank": _rank(settings), "tol": _TOL_LARGE if rows > _LARGE else _TOL, "max_iter": steps}


def _selected(
    task: str, settings: FitSettings, train: Any, validation: Any, metric: Metric | None, tell: Tell
) -> Selected:
    """Selects the penalty on the validation rows."""
    limit = math.inf if settings.time_limit is None else _PATH_SHARE * settings.time_limit
    order = spread_evenly(train[1] if task == "classification" else None, len(train[1]), settings.seed)
    return quietly(
        lambda: select(
            new_model(task, settings, 1.0).set_params(**loose(settings.rank)), train, validation,
            lambda model, rows: _rank_key(task, model, rows, metric), order,
            lambda done, words: tell(part(len(train[1]), len(train[1]) > _HUGE) * done, words), limit,
        )
    )  # fmt: skip


def _cross_validated(
    task: str, settings: FitSettings, train: Any, folds: Sequence[Fold], metric: Metric | None, tell: Tell
) -> tuple[Any, tuple[PenaltyStep, ...], CrossValidated]:
    """Selects the penalty on the folds, and returns a model that was warm-started on all training rows."""
    penalties = PENALTIES if settings.penalty is None else (settings.penalty,)

    def new() -> Any:
        return new_model(task, settings, penalties[0]).set_params(**loose(settings.rank))

    def judge(model: Any, rows: Any) -> tuple[tuple[float, float], float, float]:
        key, score = _rank_key(task, model, rows, metric), model.score(*rows)
        return key, score, score if metric is None else metric.shown(key[0])

    limit = math.inf if settings.time_limit is None else _PATH_SHARE * settings.time_limit
    found = walk(new, train, folds, penalties, judge, lambda done, what: tell(_SELECTION * done, what), limit)
    means = found.keys.mean(axis=0)
    path = tuple(
        PenaltyStep(
            penalty,
            float(found.train[i]),
            float(found.held[i]),
            (float(means[i, 0]), float(means[i, 1])),
            len(train[1]),
        )
        for i, penalty in enumerate(found.penalties)
    )
    model = new()
    for _ in model.fit_path(*train, penalties[: found.best + 1]):
        pass
    model.set_params(penalty=penalties[found.best])
    return model, path if settings.penalty is None else (), found.result


def _scaled(model: Any, validation: Any, cv: CrossValidated | None, seed: int) -> Temperature:
    """Fits the temperature on held-out rows and stores it with the model."""
    x, y = validation
    held = (y, model.decision_function(x)) if len(y) else (y, np.zeros(0))
    held = cv.held if cv is not None and cv.held is not None else held
    found = temperature_of(held[0], held[1], model.classes_, not losses.get(model.loss_).separable, seed)
    model.temperature_ = found.value
    return found


def _watcher(share: float, words: str, final: dict[str, Any], huge: bool, tell: Tell) -> Callable[[Any], None]:
    """Follows final training: the gap falls about geometrically, from the first one to its tolerance; or the steps end it.

    Args:
        share: the progress at the beginning.
        words: the beginning of the messages.
        final: parameters of final training.
        huge: whether only the steps end it.
        tell: called as `tell(fraction, message)`.
    """
    tolerance, most = final["tol"], final["max_iter"]
    done = 0.0

    def checked(history: Any) -> None:
        nonlocal done
        gaps = [gap for gap in history.relative_gap if math.isfinite(gap) and gap > 0]
        if gaps:
            whole = math.log(max(gaps[0] / tolerance, math.e))
            closed = 0.0 if huge else math.log(gaps[0] / gaps[-1]) / whole
            done = min(max(closed, history.steps[-1] / most, done), 1.0)
            tell(share + (1 - share) * done, f"{words}: step {history.steps[-1]}, gap {gaps[-1]:.2g}")

    return checked


def _finish(model: Any, train: tuple[Any, Any], deadline: float) -> None:
    """Trains to the certificate; with a deadline, in rounds that continue from each other until it has passed."""
    if math.isinf(deadline):
        model.fit(*train)
        return
    rounds = model.max_iter // _ROUND
    model.set_params(max_iter=_ROUND)
    for _ in range(rounds):
        model.fit(*train)
        model.set_params(warm_start=True)
        if model.status_ != "MAX_STEPS" or time.perf_counter() > deadline:
            return


def _rank_key(task: str, model: Any, validation: tuple[Any, Any], metric: Metric | None) -> tuple[float, float]:
    """Returns the metric, with the likelihood or R² as tie-breaker; by default the likelihood, then the accuracy, or R²."""
    x, y = validation
    if metric is None:
        return (
            (model.score(x, y), 0.0)
            if task == "regression"
            else (-log_loss(y, outputs_of(model, x)), model.score(x, y))
        )
    found = outputs_of(model, x)
    value = metric(y, found)
    tie = model.score(x, y) if task == "regression" else -log_loss(y, found)
    return (value if math.isfinite(value) else -math.inf), tie
