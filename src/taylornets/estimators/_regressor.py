"""Regression with the Taylor models."""

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from taylornets import _checks
from taylornets.estimators._data import center_and_spread
from taylornets.estimators._taylor import TaylorEstimator, check_rows


class TaylorRegressor(MultiOutputMixin, RegressorMixin, TaylorEstimator):
    """TODO."""

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets.

        Args:
            X: examples, shape `(n, d)`.

        Returns:
            Predictions, shape `(n,)`, or `(n, outputs)` where the targets had two axes.
        """
        found = self._outputs(X) * self.target_scale_ + self.target_offset_
        return found if self.target_columns_ else found[:, 0]

    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        return check_rows(self, x, y, sample_weight, multi_output=True)

    def _learn_targets(self, y: Any, weight: np.ndarray, model: str | int) -> tuple[str, int]:
        del model
        loss = _checks.choice("loss", "squared" if self.loss == "auto" else self.loss, ("huber", "squared"))
        y = np.asarray(y, np.float64)
        self.target_columns_ = y.ndim == 2
        y = y if self.target_columns_ else y[:, None]
        self.target_offset_, self.target_scale_ = center_and_spread(y[weight > 0], weight[weight > 0])
        return loss, y.shape[1]

    def _encode(self, y: Any) -> np.ndarray:
        y = np.asarray(y, np.float64)
        return ((y if y.ndim == 2 else y[:, None]) - self.target_offset_) / self.target_scale_

    def _labels(self, encoded: np.ndarray) -> None:
        del encoded
