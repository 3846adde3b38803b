"""Classification with the Taylor models."""

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from taylornets import _checks, losses
from taylornets.estimators._data import TrainingData
from taylornets.estimators._entry import check_rows
from taylornets.estimators._solve import decided, takes_class_numbers
from taylornets.estimators._taylor import TaylorEstimator
from taylornets.models import Model


def classes_of(y: Any, weight: np.ndarray) -> np.ndarray:
    """Returns the classes that occur in rows with positive weight."""
    check_classification_targets(y)
    classes = np.unique(y[weight > 0])
    if len(classes) < 2:
        raise _checks.ArgumentError("y", "at least two classes", f"1 class, {classes[0]!r}")
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
        loss: `"auto"` selects `"logistic"` for two classes and `"softmax"` for more (for the randomized network, whose
            expected softmax has no closed form, one-vs-rest `"logistic"`). Losses for real targets, such as `"squared"` and
            `"huber"`, fit ±1 and do not provide probabilities.

    Source: theory 3, 5.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> model = tn.TaylorClassifier(width=32, random_state=0).fit(x, x[:, 0] * x[:, 1] > 0)
        >>> model.predict_proba(x).shape  # (n, classes)
        (60, 2)
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

        Args:
            X: examples, shape `(n, d)`.

        Returns:
            Shape `(n, classes)`; each row sums to 1.
        """
        outputs = self._outputs(X).astype(np.float64)
        if takes_class_numbers(self.loss_):
            return softmax(outputs, axis=1)
        probabilities = expit(outputs)
        if len(self.classes_) == 2:
            return np.concatenate([expit(-outputs), probabilities], axis=1)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

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
        return self.loss_, len(self.classes_) if several or takes_class_numbers(self.loss_) else 1

    def _encode(self, numbers: np.ndarray) -> np.ndarray:
        return numbers if takes_class_numbers(self.loss_) else signs_of(numbers[:, 0], len(self.classes_))

    def _labels(self, encoded: np.ndarray) -> np.ndarray:
        return encoded[:, 0].astype(int) if takes_class_numbers(self.loss_) else decided(encoded)
