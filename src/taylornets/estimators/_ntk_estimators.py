"""Kernel regression and classification with neural tangent kernels."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin

from taylornets.estimators._classifier import classes_of, numbers_of, signs_of
from taylornets.estimators._data import TrainingData, center_and_spread
from taylornets.estimators._entry import check_rows
from taylornets.estimators._ntk import NTKEstimator
from taylornets.estimators._regressor import numbers_of_targets
from taylornets.estimators._solve import decided


class NTKRegressor(MultiOutputMixin, RegressorMixin, NTKEstimator):
    """Ridge regression with the neural tangent kernel of a two-layer network, the exact solution of its linearized model.

    Minimizes `Σ_i p_i ‖f(z_i) - t_i‖² + λ ‖f‖²`; inputs `z`, targets `t` and weights `p` are scaled as in `TaylorRegressor`,
    to the sphere. Up to 8,192 distinct rows, one eigendecomposition serves all ridges; above that, conjugate gradients are
    used without storing the full Gram matrix.

    Args:
        width: hidden units `m`, an even number; `None` for the kernel of infinite width.
        activation: a name of `taylornets.activations.names()`.
        ridge: `λ > 0`, or `"cv"` to minimize the closed-form leave-one-out error over `ridges`.
        bias: the appended constant relative to the root mean square norm of the inputs.
        ridges: candidates for `"cv"`; by default half powers of ten from 1 to 1e-8.
        random_state: seed of the network of finite width.

    Attributes:
        certificate_: primal and dual value of the ridge problem, computed from the coefficients.
        objective_: the objective at the solution.
        coefficients_: `c` of `f(z) = K(z, train_inputs_) c`, shape `(n, outputs)`.
        ridge_: `λ`.
        n_iter_: number of conjugate gradient iterations; 1 for the eigendecomposition.

    Source: theory 9.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> round(tn.NTKRegressor(ridge="cv").fit(x, x[:, 0]).score(x, x[:, 0]), 2)
        1.0
    """

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predicts targets, and their posterior standard deviation if requested.

        The ridge solution is the posterior mean of a Gaussian process with the prior covariance `τ² K` and the noise variance
        `τ² λ/p_i`; `τ²` maximizes the likelihood. The deviation is that of the noise-free function; it requires a
        factorization of the `n × n` system in every call.

        Args:
            X: examples, shape `(n, d)`.
            return_std: whether to return the standard deviation as well.

        Returns:
            Predicted targets, shape `(n,)`, or `(n, outputs)` if the targets had two axes; with `return_std`, a pair of them
            and the standard deviations, in units of the targets and of the same shape.

        Raises:
            ArgumentError: for `return_std` after a fit of more than 8,192 distinct rows.

        Source: theory 9.

        Example:
            >>> import numpy as np, taylornets as tn
            >>> x = np.linspace(-1, 1, 21)[:, None]
            >>> model = tn.NTKRegressor().fit(x, x[:, 0] ** 2)
            >>> mean, deviation = model.predict(np.array([[0.0], [5.0]]), return_std=True)
            >>> bool(deviation[0] < deviation[1])  # far from the data
            True
        """
        found = self._outputs(X) * self.target_scale_ + self.target_offset_
        mean = found if self.target_columns_ else found[:, 0]
        if not return_std:
            return mean
        deviations = self._deviations(X) * self.target_scale_
        return mean, deviations if self.target_columns_ else deviations[:, 0]

    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        return check_rows(self, x, y, sample_weight, multi_output=True)

    def _numbers(self, y: Any, weight: np.ndarray) -> np.ndarray:
        del weight
        self.target_columns_ = np.ndim(y) == 2
        return numbers_of_targets(y)

    def _encode(self, problem: TrainingData) -> np.ndarray:
        self.target_offset_, self.target_scale_ = center_and_spread(problem.y, problem.weight)
        return (problem.y - self.target_offset_) / self.target_scale_

    def _errors(self, residuals: np.ndarray, y: np.ndarray) -> np.ndarray:
        del y
        return np.sum(residuals**2, axis=1)


class NTKClassifier(ClassifierMixin, NTKEstimator):
    """Classification by ridge regression on ±1 with the neural tangent kernel, one column per class.

    Parameters and attributes are those of `NTKRegressor`, plus `classes_`; `"cv"` minimizes the leave-one-out error rate, with
    ties broken by the squared error. The squared loss does not provide probabilities, so there is no `predict_proba`.
    `coefficients_` has shape `(n, 1)` for two classes and `(n, classes)` for more.

    Source: theory 9.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> tn.NTKClassifier(ridge="cv").fit(x, x[:, 0] > 0).decision_function(x).shape  # (n,)
        (60,)
    """

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predicts classes; with `return_std`, also the posterior standard deviation of the decision values.

        Args:
            X: examples, shape `(n, d)`.
            return_std: whether to return the standard deviation as well, see `NTKRegressor.predict`.

        Returns:
            Classes, shape `(n,)`; with `return_std`, a pair of them and the deviations, shaped like `decision_function(X)`.

        Raises:
            ArgumentError: for `return_std` after a fit of more than 8,192 distinct rows.
        """
        outputs = self._outputs(X)  # first: it checks that the estimator is fitted
        classes = self.classes_[decided(outputs)]
        if not return_std:
            return classes
        deviations = self._deviations(X)
        return classes, deviations[:, 0] if deviations.shape[1] == 1 else deviations

    def decision_function(self, X: Any) -> np.ndarray:
        """Decision values, shape `(n,)` for two classes (positive for the second), else `(n, classes)`; `X` is `(n, d)`."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        return check_rows(self, x, y, sample_weight)

    def _numbers(self, y: Any, weight: np.ndarray) -> np.ndarray:
        self.classes_ = classes_of(y, weight)
        return numbers_of(y, self.classes_)[:, None].astype(float)

    def _encode(self, problem: TrainingData) -> np.ndarray:
        return signs_of(problem.y[:, 0], len(self.classes_))

    def _errors(self, residuals: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (decided(y - residuals) != decided(y)).astype(float)
