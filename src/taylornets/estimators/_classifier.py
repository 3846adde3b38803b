"""Classification with the Taylor models."""

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from taylornets import _checks, losses
from taylornets.estimators._assessment import RowShares, counted_certificate, stated, threshold
from taylornets.estimators._data import TrainingData
from taylornets.estimators._entry import check_rows
from taylornets.estimators._solve import decided, takes_class_numbers
from taylornets.estimators._taylor import TaylorEstimator
from taylornets.generalization import HoldOut, RiskCertificate, holdout
from taylornets.models import Model


def classes_of(y: Any, weight: np.ndarray) -> np.ndarray:
    """Returns the classes that occur in rows with positive weight."""
    check_classification_targets(y)
    classes = np.unique(y[weight > 0])
    if len(classes) < 2:
        raise _checks.ArgumentError("y", "at least two classes", f"1 class, {classes.tolist()[0]!r}")
    return classes


def numbers_of(y: Any, classes: np.ndarray) -> np.ndarray:
    """Converts labels to class indices; invalid labels, allowed in rows of weight 0, map to the first class."""
    places = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    return np.where(classes[places] == y, places, 0)


def signs_of(numbers: np.ndarray, classes: int) -> np.ndarray:
    """Encodes two classes as one column of ±1, and more classes as one column of ±1 per class (one-vs-rest)."""
    if classes == 2:
        return 2.0 * numbers[:, None] - 1
    return 2.0 * (numbers[:, None] == np.arange(classes)) - 1


def _has_probabilities(estimator: Any) -> bool:
    names = losses.names(probabilistic=True)
    if estimator.loss in ("auto", *names):
        return True
    raise AttributeError(
        f"loss={estimator.loss!r} does not provide probabilities; use {' or '.join(map(repr, names))}."
    )


class TaylorClassifier(ClassifierMixin, TaylorEstimator):
    """Classification with a Taylor model of a wide two-layer network, trained with a certificate of global optimality.

    Parameters and attributes are those of `TaylorRegressor`, except for the loss and `classes_`. Validation uses the error
    rate, with ties broken by the risk. A class that occurs only in rows of weight 0 is ignored.

    Args:
        held_out: fraction of the rows that training does not use, drawn at random. They give `certificate_of_error_` (a
            hold-out bound, the tightest) and the sets of `predict_set`.
        prior_rows: fraction of the rows on which the scaling is fitted. All rows train; `certificate_of_error_` is a PAC-Bayes
            bound that counts the others. For rows that cannot be spared.
        loss: `"auto"` selects `"logistic"` for two classes and `"softmax"` for more (for the randomized network, whose
            expected softmax has no closed form, one-vs-rest `"logistic"`). Losses for real targets, such as `"squared"` and
            `"huber"`, fit ±1 and do not provide probabilities.

    Attributes:
        certificate_of_error_: with `held_out` or `prior_rows`, a bound on the error on new data (95 % confidence), its
            `sentence` and `basis`. Otherwise the scaling depends on all rows, and the attribute raises an error that says so.
        counted_rows_: indices of the rows that it counts, or `None`.
        calibration_scores_: `1 - p(y)` of the held-out rows, sorted, or `None`.
        temperature_: divisor of the outputs in `predict_proba`; 1, or set by `taylornets fit` (temperature scaling).

    Source: theory 3, 5, 13.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> model = tn.TaylorClassifier(width=32, penalty=1e-4, random_state=0).fit(x, x[:, 0] * x[:, 1] > 0)
        >>> model.predict_proba(x).shape  # (n, classes)
        (60, 2)
        >>> model = tn.TaylorClassifier(width=32, penalty=1e-4, random_state=0, held_out=0.3).fit(x, x[:, 0] > 0)
        >>> model.certificate_of_error_.rows
        18
    """

    def predict(self, X: Any) -> np.ndarray:
        """Predicted classes, shape `(n,)`; `X` has shape `(n, d)`."""
        outputs = self._outputs(X)
        return self.classes_[decided(outputs)]

    def decision_function(self, X: Any) -> np.ndarray:
        """Decision values of the model; larger values favor the class.

        Args:
            X: examples, shape `(n, d)`.

        Returns:
            Shape `(n,)` for two classes, positive for the second class; otherwise `(n, classes)`.
        """
        outputs = self._outputs(X)
        if len(self.classes_) > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities: the softmax of the outputs, or their logistic function, normalized to sum to 1.

        The outputs are divided by `temperature_`.

        Args:
            X: examples, shape `(n, d)`.

        Returns:
            Shape `(n, classes)`; each row sums to 1.
        """
        outputs = self._outputs(X).astype(np.float64) / getattr(self, "temperature_", 1.0)  # absent before version 0.2
        if takes_class_numbers(self.loss_):
            return softmax(outputs, axis=1)
        probabilities = expit(outputs)
        if len(self.classes_) == 2:
            return np.concatenate([expit(-outputs), probabilities], axis=1)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict_set(self, X: Any, level: float = 0.9) -> np.ndarray:
        """Conformal sets of classes; requires `held_out` and a loss with probabilities.

        The class of a new row is in its set with probability `level` or more, over the held-out rows and the new row together.

        Args:
            X: examples, shape `(n, d)`.
            level: coverage, between 0 and 1.

        Returns:
            Whether each class is in the set, shape `(n, classes)`.

        Raises:
            ArgumentError: for an invalid level, or a model fitted without held-out rows.
        """
        check_is_fitted(self)
        return 1 - self.predict_proba(X) <= threshold(self.calibration_scores_, level, "level")[0]

    @property
    def certificate_of_error_(self) -> RiskCertificate | HoldOut:
        """The bound on the error on new data; raises `AttributeError` with the reason if there is none."""
        check_is_fitted(self)
        return stated(type(self).__name__, self._error_bound, self._error_void)

    def _assess(self, shares: RowShares, x: Any, y: Any) -> None:
        self._error_void, self.counted_rows_ = shares.void, shares.counted
        if shares.held is not None:
            new, labels = x[shares.held], y[shares.held]
            if losses.get(self.loss_).probabilistic:
                own = self.predict_proba(new)[np.arange(len(new)), numbers_of(labels, self.classes_)]
                known = np.isin(labels, self.classes_)
                self.calibration_scores_ = np.sort(np.where(known, 1 - own, np.inf))[:, None]
            if not shares.void:
                self._error_bound = holdout(self.predict(new) == labels)
        elif self.counted_rows_ is not None and not shares.void:
            net = self._settings.network(self.initial_weights_, self.signs_)
            numbers = numbers_of(y[self.counted_rows_], self.classes_)
            labels = signs_of(numbers, 2)[:, 0] if self.signs_.shape[1] == 1 else numbers
            scaled = self._scaled(x[self.counted_rows_])
            self._error_bound = counted_certificate(net, self.displacement_, scaled, labels, self.model_)

    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        return check_rows(self, x, y, sample_weight)

    def _learn_numbers(self, y: Any, weight: np.ndarray) -> None:
        _checks.choice("loss", self.loss, ("auto", *losses.names()))
        self.classes_ = classes_of(y, weight)

    def _numbers(self, y: Any) -> np.ndarray:
        return numbers_of(y, self.classes_)[:, None].astype(float)

    def _learn_targets(self, problem: TrainingData, model: Model) -> tuple[str, int]:
        del problem
        several = len(self.classes_) > 2
        automatic = "softmax" if several and model.randomization is None else "logistic"
        self.loss_ = automatic if self.loss == "auto" else self.loss
        self.temperature_ = 1.0
        return self.loss_, len(self.classes_) if several or takes_class_numbers(self.loss_) else 1

    def _encode(self, numbers: np.ndarray) -> np.ndarray:
        return numbers if takes_class_numbers(self.loss_) else signs_of(numbers[:, 0], len(self.classes_))

    def _labels(self, encoded: np.ndarray) -> np.ndarray:
        return encoded[:, 0].astype(int) if takes_class_numbers(self.loss_) else decided(encoded)
