"""Base of the Taylor estimators: parameters, scaling, selection of the penalty, training, certificate."""

import abc
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from taylornets import losses
from taylornets._fit import FitError, FitResult, Status
from taylornets.certificates import Certificate
from taylornets.estimators._assessment import ALL_ROWS, RowShares, forget, shares_of
from taylornets.estimators._data import Scaling, TrainingData, columns_for, filled, folds_of, merged
from taylornets.estimators._entry import check_new_rows, check_rows, precision_of
from taylornets.estimators._parameters import path_of, remark, require_certificate, settings_of
from taylornets.estimators._progress import Bar
from taylornets.estimators._representation import fit_representation, represented
from taylornets.estimators._selection import fold_count, select
from taylornets.estimators._solve import (
    TaylorSettings,
    Training,
    certified,
    certified_path,
    continues,
    history_of,
    stored,
    train,
)
from taylornets.models import Model
from taylornets.objectives import plain


class TaylorEstimator(BaseEstimator, abc.ABC):
    """Base class of the Taylor estimators; see `TaylorRegressor` for the parameters."""

    def __init__(
        self,
        *,
        order: Any = 2,
        width: Any = 256,
        activation: Any = "cubic_relu",
        penalty: Any = "auto",
        power: Any = None,
        model: Any = None,
        loss: Any = "auto",
        rank: Any = "auto",
        bias: Any = 1.0,
        scaling: Any = "sphere",
        penalties: Any = None,
        folds: Any = 3,
        tol: Any = 1e-3,
        max_iter: Any = 500,
        chunk_size: Any = None,
        warm_start: Any = False,
        n_jobs: Any = None,
        random_state: Any = None,
        verbose: Any = False,
        held_out: Any = None,
        prior_rows: Any = None,
        representation: Any = None,
    ):
        self.order = order
        self.width = width
        self.activation = activation
        self.penalty = penalty
        self.power = power
        self.model = model
        self.loss = loss
        self.rank = rank
        self.bias = bias
        self.scaling = scaling
        self.penalties = penalties
        self.folds = folds
        self.tol = tol
        self.max_iter = max_iter
        self.chunk_size = chunk_size
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.held_out = held_out
        self.prior_rows = prior_rows
        self.representation = representation

    @abc.abstractmethod
    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        """Returns checked inputs, targets and weights."""

    @abc.abstractmethod
    def _learn_numbers(self, y: Any, weight: np.ndarray) -> None:
        """Stores the encoding of targets as numbers."""

    @abc.abstractmethod
    def _numbers(self, y: Any) -> np.ndarray:
        """Returns numeric targets, shape `(n, c)`: class indices in one column, or regression targets."""

    @abc.abstractmethod
    def _learn_targets(self, problem: TrainingData, model: Model) -> tuple[str, int]:
        """Stores the encoding for the loss; returns the name of the loss and the number of outputs."""

    @abc.abstractmethod
    def _encode(self, numbers: np.ndarray) -> np.ndarray:
        """Encodes numeric targets for the loss, shape `(n, outputs)`, or class indices `(n, 1)` for softmax."""

    @abc.abstractmethod
    def _labels(self, encoded: np.ndarray) -> np.ndarray | None:
        """Returns the class indices of encoded targets; empty for regression."""

    @abc.abstractmethod
    def _assess(self, shares: RowShares, x: Any, y: Any) -> None:
        """Stores what the held-out or counted rows say about new data."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Trains the model and certifies its optimality gap.

        Args:
            X: examples, shape `(n, d)`, an array or a numeric data frame.
            y: targets, shape `(n,)`, or `(n, outputs)` for multi-output regression.
            sample_weight: weights ≥ 0, shape `(n,)`; a weight of 2 repeats the row, a weight of 0 removes it.

        Returns:
            The estimator.

        Raises:
            ArgumentError: for invalid parameters.
            ValueError: for data that scikit-learn rejects.
            FitError: if the objective becomes non-finite.
        """
        settings = settings_of(self)
        x, y, weight = self._rows(X, y, sample_weight)
        shares = shares_of(self, settings.model, weight)
        with precision_of(x.dtype):
            training = self._begin(settings, x, y, weight, shares)
            choosing = isinstance(self.penalty, str)
            penalties = path_of(self) if choosing else (self.penalty,)
            scores = None
            with Bar((len(penalties) * self.folds if choosing else 0) + 1, bool(self.verbose)) as bar:
                if choosing:
                    order = -1 if losses.get(training.settings.loss).probabilistic else 1  # likelihood first
                    scores = self._scores(training, penalties, bar, order)
                    best = min(range(len(scores)), key=lambda i: scores[i][::order])
                    penalties = penalties[: best + 1]
                result, steps = train(
                    training, penalties, rank=self.rank, tol=self.tol, max_iter=self.max_iter,
                    on_check=bar.checked,
                )  # fmt: skip
            self._keep(training, result, penalties[-1], steps)
            self._assess(shares, x, y)
        if scores is not None:
            self.path_ = {"penalties": list(path_of(self))[: len(scores)], "scores": scores}
        if result.status is Status.MAX_STEPS:
            bound = "" if self.certificate_ is None else " certificate_ bounds the gap to the global optimum."
            warnings.warn(
                f"{type(self).__name__} stopped at max_iter={self.max_iter} before tol={self.tol:g}; raise one of them."
                + bound,
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def fit_path(self, X: Any, y: Any, penalties: Sequence[Any], sample_weight: Any = None) -> Iterator[Any]:
        """Fits a regularization path with warm starts; `penalties` replaces the parameter `penalty`.

        Args:
            X: examples, shape `(n, d)`.
            y: targets, as in `fit`.
            penalties: strengths in decreasing order; for a sum of orders, numbers or tuples as in `penalty`.
            sample_weight: weights, shape `(n,)`.

        Yields:
            The estimator itself, fitted at each penalty.

        Raises:
            ArgumentError: for invalid parameters.
            FitError: if the objective becomes non-finite.
        """
        settings = settings_of(self)
        x, y, weight = self._rows(X, y, sample_weight)
        with precision_of(x.dtype):
            training = self._begin(settings, x, y, weight)
        results = certified_path(training, penalties, self.rank, self.tol, self.max_iter)
        for penalty in penalties:
            # Entered at every step, so that the caller's precision applies between steps.
            with precision_of(x.dtype):
                result = next(results)
                self._keep(training, result, penalty, result.steps)
            yield self

    def certify(self, X: Any, y: Any, sample_weight: Any = None) -> Certificate:
        """Certifies the fitted displacement on the problem of any data set, scaled as in `fit`.

        Args:
            X: examples, shape `(n, d)`.
            y: targets, as in `fit`.
            sample_weight: weights, shape `(n,)`.

        Returns:
            The certificate; on the training data, that of the fit. Its dual vector has one row per distinct example, sorted.

        Raises:
            ArgumentError: for a model without a certificate.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self)
        require_certificate(self.model_)
        x, y, weight = check_rows(self, X, y, sample_weight, reset=False, multi_output=True)
        dtype = self.initial_weights_.dtype
        with precision_of(dtype):
            problem = merged(TrainingData(x.astype(dtype), self._numbers(y), weight))
            problem = problem._replace(x=self._scaled(problem.x), y=self._encode(problem.y))
            net = self._settings.network(self.initial_weights_, self.signs_)
            risk = self._settings.objective(net, problem, self.penalty_)
            return certified(risk, self.displacement_, len(problem.x))

    def __repr__(self, N_CHAR_MAX: Any = 700) -> str:
        text = BaseEstimator.__repr__(self, N_CHAR_MAX)
        return text + remark(self)

    def _begin(
        self, settings: TaylorSettings, x: Any, y: Any, weight: np.ndarray, shares: RowShares = ALL_ROWS
    ) -> Training:
        """Scales the data, draws the network and the initial displacement, and prepares the objective."""
        x, y, weight = (part[shares.kept] for part in (x, y, weight))
        self._learn_numbers(y, weight)
        numbers = self._numbers(y)
        problem = merged(TrainingData(x, numbers, weight))
        loss, outputs = self._learn_targets(problem, settings.meaning)
        settings, problem = settings._replace(loss=loss), problem._replace(y=self._encode(problem.y))
        generator = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        some = shares.shaping
        shaping = problem if some is None else TrainingData(x[some], numbers[some], weight[some])
        scaling = Scaling.of(shaping, self.scaling, self.bias)
        fitted = fit_representation(self.representation, scaling(shaping.x), shaping.y, generator)
        problem = problem._replace(x=represented(fitted, scaling(problem.x)))
        dtype, inputs = problem.x.dtype, problem.x.shape[1]
        w0 = np.tile(generator.standard_normal((self.width // 2, inputs)), (2, 1)).astype(dtype)
        half = generator.choice([-1.0, 1.0], size=(self.width // 2, outputs))
        signs = np.concatenate([half, -half]).astype(dtype)
        shape = (self.width, inputs) if self.rank in {1, "auto"} else (self.width, self.rank, inputs)
        w: Any = settings.host_start(generator, shape)
        previous: Any = getattr(self, "displacement_", None) if self.warm_start else None
        if continues(previous, w, self.rank) and self.signs_.shape == signs.shape:
            w0, signs, w = self.initial_weights_.astype(dtype), self.signs_.astype(dtype), previous
        risk = settings.objective(settings.network(w0, signs), problem, 1.0)
        start = jnp.asarray(filled(w, len(w), columns_for(inputs)), dtype)
        return Training(settings, problem, scaling, fitted, w0, signs, risk, start, generator)

    def _keep(self, training: Training, result: FitResult, penalty: Any, steps: int) -> None:
        """Returns the attributes of a fitted estimator."""
        if result.status is Status.DIVERGED:
            raise FitError(result)
        settings, problem = training.settings, training.problem
        self.initial_weights_, self.signs_ = training.w0, training.signs
        blocks = result.w if isinstance(result.w, tuple) else (result.w,)
        cut: Any = tuple(np.asarray(block)[..., : problem.x.shape[1]].copy() for block in blocks)
        self.displacement_ = cut if len(cut) > 1 else cut[0]
        self.input_offset_, self.input_scale_, self.input_bias_, self.input_radius_ = training.scaling
        self.representation_ = training.representation
        self.model_, self.loss_, self.power_, self.activation_ = settings[:4]
        self.penalty_ = plain(penalty)
        self.path_ = None
        self.certificate_ = None if result.certificate is None else stored(result.certificate, len(problem.x))
        self.objective_ = result.objective
        self.n_iter_ = steps
        self.status_ = result.status.name
        self.history_ = history_of(result.history)
        forget(self)

    def _scores(self, training: Training, penalties: tuple[float, ...], bar: Bar, order: int) -> list[list[float]]:
        """Returns cross-validated errors and risks, one pair per penalty."""
        problem, labels = training.problem, self._labels(training.problem.y)
        return select(training.risk, problem, training.start, penalties, labels,
                      fold=folds_of(problem, fold_count(self.folds, len(problem.x)), training.generator, labels),
                      max_iter=self.max_iter, n_jobs=self.n_jobs, bar=bar, order=order)  # fmt: skip

    @property
    def _settings(self) -> TaylorSettings:
        return TaylorSettings(self.model_, self.loss_, self.power_, self.activation_, self.chunk_size)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        scaling = Scaling(self.input_offset_, self.input_scale_, self.input_bias_, self.input_radius_)
        return represented(getattr(self, "representation_", None), scaling(x))  # absent from models of version 0.1

    def _outputs(self, X: Any) -> np.ndarray:
        """Returns the outputs of the model in its own scale, shape `(n, outputs)`."""
        return np.sum(self._parts(X), axis=0)

    def _parts(self, X: Any) -> list[np.ndarray]:
        """Returns the outputs of each order of a sum, otherwise of the model."""
        check_is_fitted(self)
        x = check_new_rows(self, X, self.initial_weights_.dtype)
        with precision_of(x.dtype):
            net = self._settings.network(self.initial_weights_, self.signs_)
            return self._settings.parts(net, self.displacement_, self._scaled(x))
