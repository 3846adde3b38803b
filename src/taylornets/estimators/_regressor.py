"""Regression with the Taylor models."""

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from taylornets import _checks, losses
from taylornets.estimators._data import TrainingData, center_and_spread
from taylornets.estimators._entry import check_rows
from taylornets.estimators._taylor import TaylorEstimator
from taylornets.models import Model


class TaylorRegressor(MultiOutputMixin, RegressorMixin, TaylorEstimator):
    """Regression with a Taylor model of a wide two-layer network, trained to a proof of how good the fit is.

    Minimizes `P(W) = Σ_i p_i ℓ(f^(k)(W; z_i), t_i) + λ ‖W‖_{2,2k}^p` over the displacement `W`. `z_i` are the inputs, columns
    standardized, a constant appended, scaled to the unit sphere; `t_i` the targets, each column centered and of variance 1;
    `p_i` the weights divided by their sum. Objective and certificate are those of this scaled, weighted problem.

    Args:
        order: `k`, the order of the Taylor term: 1 is the linearized (NTK) model, 2 the quadratic one.
        width: hidden units `m`, an even number.
        activation: a name of `taylornets.activations.names()`.
        penalty: `λ > 0`, or `"cv"`: chosen from `penalties` by cross-validation, each penalty starting from the solution of
            the one before. Folds share the scaling of all rows.
        power: `p ≥ 2k`; by default `2k`.
        model: in place of `order`: `"linear"`, `"quadratic"`, an integer, `"randomized"` (the network under random signs) or
            `"full"` (the network itself). Orders above 2 and `"full"` have no certificate.
        loss: a name of `taylornets.losses` for real targets: `"squared"` (`"auto"`), `"huber"`, or one that was registered.
        rank: copies of every unit, for orders ≥ 2; 2 or 3 close gaps that remain with several outputs.
        bias: size of the appended constant relative to the root mean square of an input's norm.
        scaling: `"sphere"` divides each row by its norm, `"ball"` all of them by the largest.
        penalties: what `"cv"` chooses from, from strong to weak; by default powers of ten from 1e-1 to 1e-9.
        folds: of the cross-validation.
        tol: relative gap at which training stops; without a certificate the scale-free gradient.
        max_iter: iterations of the final fit at most.
        chunk_size: examples handled at a time; by default chosen so that features take 256 MiB at most.
        warm_start: whether `fit` starts from the network and the displacement of the last one, where shapes agree.
        n_jobs: folds trained at a time; the result does not depend on it.
        random_state: of network, start and folds. Equal seeds give equal bits on one machine.
        verbose: whether a progress bar is shown.

    Attributes:
        certificate_: `primal`, `dual`, `gap`, `relative_gap`, `dual_vector` (one row per distinct row of the data, sorted), or
            `None`.
        objective_: `P` at the solution.
        displacement_: `W`, shape `(m, d + 1)`, or `(m, R, d + 1)`.
        n_iter_: iterations, those of the path to the chosen penalty included.
        penalty_: `λ`.
        status_: how training ended, a name of `taylornets.Status`.
        path_: penalties and their validation errors and risks, or `None`.

    Source: theory 3, 5; BL20.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> model = tn.TaylorRegressor(width=32, random_state=0).fit(x, x[:, 0] * x[:, 1])
        >>> bool(model.certificate_.relative_gap < 1e-3)
        True
    """

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

    def _learn_numbers(self, y: Any, weight: np.ndarray) -> None:
        del weight
        self.target_columns_ = np.ndim(y) == 2

    def _numbers(self, y: Any) -> np.ndarray:
        return numbers_of_targets(y)

    def _learn_targets(self, problem: TrainingData, model: Model) -> tuple[str, int]:
        del model
        self.target_offset_, self.target_scale_ = center_and_spread(problem.y, problem.weight)
        loss = "squared" if self.loss == "auto" else self.loss
        return _checks.choice("loss", loss, losses.names(classifies=False)), problem.y.shape[1]

    def _encode(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers - self.target_offset_) / self.target_scale_

    def _labels(self, encoded: np.ndarray) -> None:
        del encoded


def numbers_of_targets(y: Any) -> np.ndarray:
    """Targets of a regression as float64, shape `(n, outputs)`."""
    y = np.asarray(y, np.float64)
    return y if y.ndim == 2 else y[:, None]
