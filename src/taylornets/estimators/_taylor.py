"""What the Taylor estimators share: parameters, scaling, selection of the penalty, training, certificate."""

import abc
import warnings
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from taylornets import _checks, activations
from taylornets._fit import FitError, Status
from taylornets.certificates import Certificate, is_certifiable
from taylornets.estimators._data import Scaling, TrainingData, columns_for, filled, folds_of, merged
from taylornets.estimators._entry import check_new_rows, check_rows, precision_of
from taylornets.estimators._progress import Bar
from taylornets.estimators._solve import (
    Model,
    certified,
    held_out,
    history_of,
    start_of,
    stored,
    train,
    walk,
)
from taylornets.objectives import Objective

_NAMES = {"linear": 1, "quadratic": 2}
SCALINGS = ("sphere", "ball")
# Targets are scaled, so that risks are near 1 at w = 0, and one grid serves all data.
PENALTIES = tuple(10.0**-e for e in range(1, 10))


class TaylorEstimator(BaseEstimator, abc.ABC):
    """Base of the Taylor estimators; `TaylorRegressor` describes the parameters."""

    def __init__(
        self,
        *,
        order: Any = 2,
        width: Any = 256,
        activation: Any = "cubic_relu",
        penalty: Any = 1e-4,
        power: Any = None,
        model: Any = None,
        loss: Any = "auto",
        rank: Any = 1,
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

    @abc.abstractmethod
    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        """Checked inputs, targets and weights."""

    @abc.abstractmethod
    def _learn_numbers(self, y: Any, weight: np.ndarray) -> None:
        """Keeps what makes numbers of targets."""

    @abc.abstractmethod
    def _numbers(self, y: Any) -> np.ndarray:
        """Targets as numbers, shape `(n, c)`: class numbers in one column, or the targets of a regression."""

    @abc.abstractmethod
    def _learn_targets(self, problem: TrainingData, model: str | int) -> tuple[str, int]:
        """Keeps what encodes the numbers; gives the name of the loss and the number of outputs."""

    @abc.abstractmethod
    def _encode(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as the loss takes them, shape `(n, outputs)`, or class numbers `(n, 1)` for softmax."""

    @abc.abstractmethod
    def _labels(self, encoded: np.ndarray) -> np.ndarray | None:
        """Class numbers of encoded targets, or none for regression."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Trains, and proves how good the result is.

        Args:
            X: examples, shape `(n, d)`: an array or a frame of numbers.
            y: targets, shape `(n,)`, or `(n, outputs)` for several of a regression.
            sample_weight: weights ≥ 0, shape `(n,)`: 2 is the row twice, 0 a row that is absent.

        Returns:
            The estimator.

        Raises:
            ArgumentError: for parameters that do not fit.
            ValueError: for data that scikit-learn refuses.
            FitError: when the objective stops being finite.
        """
        model = self._settings()
        x, y, weight = self._rows(X, y, sample_weight)
        with precision_of(x.dtype):
            self._learn_numbers(y, weight)
            problem = merged(TrainingData(x, self._numbers(y), weight))
            loss, outputs = self._learn_targets(problem, model.model)
            self._fit(model._replace(loss=loss), problem._replace(y=self._encode(problem.y)), outputs)
        return self

    def certify(self, X: Any, y: Any, sample_weight: Any = None) -> Certificate:
        """The certificate of the fitted displacement as a solution of the problem of any data, scaled as in `fit`.

        Args:
            X: examples, shape `(n, d)`.
            y: targets, as in `fit`.
            sample_weight: weights, shape `(n,)`.

        Returns:
            On the training data the certificate of the fit; its dual vector has one row per distinct example, sorted.

        Raises:
            ArgumentError: for a model that has no certificate.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self)
        if not is_certifiable(self.model_):
            raise _checks.ArgumentError("model", "'linear', 'quadratic' or 'randomized'", repr(self.model_))
        x, y, weight = check_rows(self, X, y, sample_weight, reset=False, multi_output=True)
        dtype = self.displacement_.dtype
        with precision_of(dtype):
            problem = merged(TrainingData(x.astype(dtype), self._numbers(y), weight))
            problem = problem._replace(x=self._scaled(problem.x), y=self._encode(problem.y))
            net = self._model.network(self.initial_weights_, self.signs_)
            risk = self._model.objective(net, problem, self.penalty_)
            return certified(risk, self.displacement_, len(problem.x))

    def __repr__(self, N_CHAR_MAX: Any = 700) -> str:
        text = BaseEstimator.__repr__(self, N_CHAR_MAX)
        certificate = getattr(self, "certificate_", None)
        return text if certificate is None else f"{text}  # {certificate}"

    def _settings(self) -> Model:
        """The checked parameters, the loss to be filled in."""
        for name, least in (("width", 2), ("rank", 1), ("folds", 2), ("max_iter", 1), ("order", 1)):
            _checks.integer(name, getattr(self, name), least)
        if self.chunk_size is not None:
            _checks.integer("chunk_size", self.chunk_size, 1)
        if self.width % 2:
            raise _checks.ArgumentError("width", "an even number, since units come in pairs", str(self.width))
        _checks.positive("bias", self.bias)
        _checks.positive("tol", self.tol)
        _checks.choice("scaling", self.scaling, SCALINGS)
        if isinstance(self.penalty, str):
            _checks.choice("penalty", self.penalty, ("cv",))
        else:
            _checks.positive("penalty", self.penalty, "Or 'cv', which chooses it.")
        for penalty in self.penalties if self.penalties is not None else ():
            _checks.positive("penalties", penalty)
        if self.penalties is not None and np.any(np.diff(np.asarray(self.penalties, float)) >= 0):
            raise _checks.ArgumentError("penalties", "a path from strong to weak", repr(self.penalties))
        model = self.order if self.model is None else _NAMES.get(self.model, self.model)
        if isinstance(model, str):
            _checks.choice("model", model, (*_NAMES, "randomized", "full"))
        else:
            model = _checks.integer("model", model, 1)
        if self.rank > 1 and (isinstance(model, str) or model == 1):
            raise _checks.ArgumentError("rank", f"1 for model={model!r}", str(self.rank), "Copies serve orders ≥ 2.")
        order = Model(model, "", 0.0, "").order
        power = 2.0 * order if self.power is None else self.power
        _checks.positive("power", power)
        if power < 2 * order:
            raise _checks.ArgumentError("power", f"at least {2 * order} for order {order}", repr(power))
        return Model(model, "", float(power), activations.get(self.activation).name, self.chunk_size)

    def _fit(self, model: Model, problem: TrainingData, outputs: int) -> None:
        generator = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        scaling = Scaling.of(problem, self.scaling, self.bias)
        labels = self._labels(problem.y)
        problem = problem._replace(x=scaling(problem.x))
        dtype, inputs = problem.x.dtype, problem.x.shape[1]
        w0 = np.tile(generator.standard_normal((self.width // 2, inputs)), (2, 1)).astype(dtype)
        half = generator.choice([-1.0, 1.0], size=(self.width // 2, outputs))
        signs, w = (
            np.concatenate([half, -half]).astype(dtype),
            start_of(model, self.width, self.rank, inputs, generator),
        )
        previous = getattr(self, "displacement_", None) if self.warm_start else None
        if previous is not None and previous.shape == w.shape and self.signs_.shape == signs.shape:
            w0, signs, w = self.initial_weights_, self.signs_, previous
        net = model.network(w0.astype(dtype), signs.astype(dtype))
        risk = model.objective(net, problem, 1.0)
        start = jnp.asarray(filled(w, len(w), columns_for(inputs)), dtype)
        choosing = self.penalty == "cv"
        penalties = self._path() if choosing else (float(self.penalty),)
        rounds = len(penalties) * self.folds if choosing else 0
        with Bar(rounds + 1, bool(self.verbose)) as bar:
            scores = None
            if choosing:
                fold = folds_of(problem, self._fold_count(problem), generator, labels)
                scores = self._select(risk, problem, start, penalties, fold, labels, bar)
                best = min(range(len(penalties)), key=lambda i: tuple(scores[i]))
                penalties = penalties[: best + 1]
            result, steps = train(
                risk, model, start, penalties, self.tol, self.max_iter,
                lambda history: bar.advance(0, f"final fit, step {history.steps[-1]}"),
            )  # fmt: skip
        if result.status is Status.DIVERGED:
            raise FitError(result)
        if result.status is Status.MAX_STEPS:
            warnings.warn(
                f"{type(self).__name__} stopped at max_iter={self.max_iter} before tol={self.tol:g}: raise one of them. "
                "certificate_ says how far the result may be from the optimum.",
                ConvergenceWarning,
                stacklevel=3,
            )
        certificate = result.certificate
        self.initial_weights_, self.signs_ = w0.astype(dtype), signs.astype(dtype)
        self.displacement_ = np.asarray(result.w)[..., :inputs].copy()
        self.input_offset_, self.input_scale_, self.input_bias_, self.input_radius_ = scaling
        self.model_, self.loss_, self.power_, self.activation_ = model.model, model.loss, model.power, model.activation
        self.penalty_ = penalties[-1]
        self.path_ = None if scores is None else {"penalties": list(self._path()), "scores": scores}
        self.certificate_ = None if certificate is None else stored(certificate, len(problem.x))
        self.objective_ = result.objective
        self.n_iter_ = steps
        self.status_ = result.status.name
        self.history_ = history_of(result.history)

    def _path(self) -> tuple[float, ...]:
        if self.penalties is not None:
            return tuple(map(float, self.penalties))
        return PENALTIES

    def _fold_count(self, problem: TrainingData) -> int:
        if len(problem.x) < 2:
            raise _checks.ArgumentError("penalty", "a number, since n_samples=1 leaves nothing to choose by", "'cv'")
        return min(self.folds, len(problem.x))

    def _select(
        self,
        risk: Objective,
        problem: TrainingData,
        start: Any,
        penalties: Any,
        fold: np.ndarray,
        labels: Any,
        bar: Bar,
    ) -> list[list[float]]:
        """Errors and risks on the rows held out, averaged over the folds: one pair for each penalty."""
        rows, dtype = risk.prepared.examples, problem.x.dtype

        def run(held: Any) -> tuple[float, np.ndarray]:
            with precision_of(dtype):
                left = filled(np.where(fold == held, 0, problem.weight), rows)
                out = filled(np.where(fold == held, problem.weight, 0), rows)
                found: list[tuple[float, float]] = []
                for result in walk(risk.with_weights(left), start, penalties, self.max_iter):
                    found.append(held_out(risk, result, out, labels))
                    bar.advance(1, f"fold {held + 1}, penalty {penalties[len(found) - 1]:g}")
                return out.sum(), np.asarray(found)

        runs = cast(Any, Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(run)(i) for i in np.unique(fold)))
        scores = np.average([scores for _, scores in runs], axis=0, weights=[weight for weight, _ in runs])
        # A run that went astray has no score to be chosen by.
        return np.where(np.isfinite(scores), scores, 1e300).tolist()

    @property
    def _model(self) -> Model:
        return Model(self.model_, self.loss_, self.power_, self.activation_, self.chunk_size)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        scaling = Scaling(self.input_offset_, self.input_scale_, self.input_bias_, self.input_radius_)
        return scaling(x)

    def _outputs(self, X: Any) -> np.ndarray:
        """Outputs of the model in its own scale, shape `(n, outputs)`."""
        check_is_fitted(self)
        dtype = self.displacement_.dtype
        x = check_new_rows(self, X, dtype)
        with precision_of(dtype):
            net = self._model.network(self.initial_weights_, self.signs_)
            return self._model.outputs(net, self.displacement_, self._scaled(x))
