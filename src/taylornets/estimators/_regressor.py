"""Regression with the Taylor models."""

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from taylornets import _checks, generalization, losses
from taylornets.estimators._assessment import LEAVE_ONE_OUT, LeftOut, RowShares, leave_one_out, threshold
from taylornets.estimators._data import TrainingData, center_and_spread
from taylornets.estimators._entry import check_new_rows, check_rows, precision_of
from taylornets.estimators._taylor import TaylorEstimator
from taylornets.models import Model

_PREDICTED = 1000  # rows predicted at a time by all models without one row


class TaylorRegressor(MultiOutputMixin, RegressorMixin, TaylorEstimator):
    """Regression with a Taylor model of a wide two-layer network, trained with a certificate of global optimality.

    Minimizes `P(W) = Σ_i p_i ℓ(f^(k)(W; z_i), t_i) + λ ‖W‖_{2,2k}^p` over the displacement `W`. The inputs `z_i` have
    standardized columns and an appended constant, and are scaled to the unit sphere; each column of the targets `t_i` is
    standardized; `p_i` are the weights divided by their sum. Objective and certificate refer to this scaled, weighted problem.

    Args:
        order: `k`, the order of the Taylor term: 1 is the linearized (NTK) model, 2 the quadratic model. `(1, 2)` is their sum,
            each with its own displacement and penalty (theory 12). Other ascending sets of orders, such as `(1, 3)` or
            `(1, 2, 3)`, have no certificate.
        width: hidden units `m`, an even number.
        activation: a name of `taylornets.activations.names()`.
        penalty: `"auto"` or `"cv"` selects `λ` from `penalties` by cross-validation with warm starts (classifiers by
            likelihood); the scaling of all rows is shared by the folds. A number `λ > 0` fixes it, at a small part of the
            cost. For a sum of orders, one number for each order, or `λ` for all orders above 1 with `λ1 = 100 λ`.
        power: `p ≥ 2k`; by default `2k`. For a sum, one for each order, or a number for all orders above 1.
        model: overrides `order`: `"linear"`, `"quadratic"`, an integer, `"randomized"` (the network under random signs) or
            `"full"` (the network itself). Orders above 2 and `"full"` have no certificate.
        loss: a name of `taylornets.losses` for real targets: `"squared"` (`"auto"`), `"huber"`, or a registered loss.
        rank: `"auto"` finds the number of copies of each unit that the optimum of order 2 requires; a number fixes it, for
            orders ≥ 2.
        bias: the appended constant relative to the root mean square norm of the inputs.
        scaling: `"sphere"` divides each row by its own norm, `"ball"` divides all rows by the largest norm.
        penalties: candidates for the selection, in decreasing order; by default powers of ten from 1e-1 to 1e-9.
        folds: number of cross-validation folds.
        tol: relative gap at which training stops; for models without a certificate, the scale-free gradient.
        max_iter: maximum number of iterations of the final fit.
        chunk_size: examples processed at a time; by default chosen to limit the features to 256 MiB.
        warm_start: whether `fit` reuses the network and the displacement of the previous fit if the shapes agree.
        n_jobs: number of folds trained in parallel; the result does not depend on it.
        random_state: seed of network, initialization and folds. Equal seeds give bitwise equal results on one machine.
        verbose: whether a progress bar is shown.
        held_out: fraction of the rows that training does not use, drawn at random; they calibrate the intervals of `predict`.
            `"leave_one_out"` (regression, order 2) trains on all rows and calibrates with the residuals of models without one
            row each, approximated by one Newton step; it keeps the rows, and needs memory of order `n²`.
        prior_rows: for `TaylorClassifier`: fraction of the rows on which the scaling is fitted; see `certificate_of_error_`.
        representation: `"hierarchical"` trains on whitened random quadratic features of the scaled inputs instead of on the
            inputs (`taylornets.learners`, theory 16), with the activation `t²/2` unless another is given; of the `K` directions
            of the covariance at most a third of the number of rows is kept. It pays for targets of degree 4 and
            higher.

    Attributes:
        certificate_: `primal`, `dual`, `gap`, `relative_gap`, `dual_vector` (one row per distinct row of the data, sorted), or
            `None`.
        objective_: `P` at the solution.
        displacement_: `W`, shape `(m, d + 1)`, or `(m, R, d + 1)`; of a sum, one for each order.
        n_iter_: number of iterations, including the path to the selected penalty.
        penalty_: `λ`.
        status_: outcome of training, a name of `taylornets.Status`.
        path_: penalties with validation errors and risks, or `None`.
        calibration_scores_: sorted absolute residuals of the held-out rows, or of all rows with `"leave_one_out"`, shape
            `(n, outputs)`, or `None`.

    Source: theory 3, 5; Bai & Lee (2020).

    Example:
        >>> import numpy as np, taylornets as tn
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> model = tn.TaylorRegressor(width=32, penalty=1e-4, random_state=0).fit(x, x[:, 0] * x[:, 1])
        >>> bool(model.certificate_.relative_gap < 1e-3)
        True
    """

    def predict(self, X: Any, interval: float | None = None, *, parts: bool = False) -> Any:
        """Predicted targets, and conformal intervals around them.

        Args:
            X: examples, shape `(n, d)`.
            interval: coverage `1 - α` of an interval, for example 0.9; requires `held_out`. A new target lies in its interval
                with this probability or more, over the held-out rows and the new row together, whatever the model (split
                conformal). With `"leave_one_out"`, the guarantee is `1 - 2α` and the usual coverage about `1 - α` (jackknife+).
            parts: for a sum of orders, whether to return the tuple of its parts, in units of the targets, instead of their sum;
                the mean of the targets is added to the last.

        Returns:
            Predictions, shape `(n,)`, or `(n, outputs)` if the targets had two axes. With `interval`, a pair of these and the
            intervals, shape `(n, 2)` or `(n, outputs, 2)`; infinite if there are too few rows.

        Raises:
            ArgumentError: for `parts` of a model that is not a sum, or with `interval`.
        """
        if parts:
            return self._predicted_parts(X, interval)
        found = self._outputs(X) * self.target_scale_ + self.target_offset_
        found = found if self.target_columns_ else found[:, 0]
        if interval is None:
            return found
        if getattr(self, "_left_out", None) is not None:  # absent from models of version 0.1
            ends = self._jackknife(LeftOut(*self._left_out), X, interval)
            return found, ends if self.target_columns_ else ends[:, 0]
        width = threshold(self.calibration_scores_, interval, "interval")
        width = width if self.target_columns_ else width[0]
        return found, np.stack([found - width, found + width], axis=-1)

    def _predicted_parts(self, x: Any, interval: float | None) -> tuple[np.ndarray, ...]:
        found = self._parts(x)
        if len(found) < 2:
            raise _checks.ArgumentError("parts", "False for a model that is not a sum of orders", "True")
        if interval is not None:
            raise _checks.ArgumentError(
                "interval", "None with parts=True", _checks.shown(interval), "Call predict twice."
            )
        *others, last = (part * self.target_scale_ for part in found)
        each = (*others, last + self.target_offset_)
        return each if self.target_columns_ else tuple(part[:, 0] for part in each)

    def _assess(self, shares: RowShares, x: Any, y: Any) -> None:
        if self.held_out == LEAVE_ONE_OUT:
            rows, targets = self._scaled(x[shares.kept]), self._encode(self._numbers(y[shares.kept]))
            rows, targets = rows.astype(self.initial_weights_.dtype), targets.astype(self.initial_weights_.dtype)
            kept = LeftOut(rows, targets, targets)
            self._left_out = kept._replace(residuals=np.abs(targets - leave_one_out(self, kept)))
            self.calibration_scores_ = np.sort(self._left_out.residuals * self.target_scale_, axis=0)
        elif shares.held is not None:
            off = numbers_of_targets(y)[shares.held] - numbers_of_targets(self.predict(x[shares.held]))
            self.calibration_scores_ = np.sort(np.abs(off), axis=0)

    def _jackknife(self, rows: LeftOut, new: Any, level: float) -> np.ndarray:
        """Returns the ends of the intervals, shape `(n2, outputs, 2)`."""
        generalization.check_level(level, "interval")
        dtype = self.initial_weights_.dtype
        found = []
        with precision_of(dtype):
            scaled = self._scaled(check_new_rows(self, new, dtype)).astype(dtype)
            for start in range(0, len(scaled), _PREDICTED):
                each = leave_one_out(self, rows, scaled[start : start + _PREDICTED])
                columns = zip(np.moveaxis(each, -1, 0), rows.residuals.T, strict=True)
                found.append(np.stack([generalization.jackknife_plus(*column, level) for column in columns], axis=1))
        ends = np.concatenate(found)
        return ends * self.target_scale_[:, None] + self.target_offset_[:, None]

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
    """Converts regression targets to float64, shape `(n, outputs)`."""
    y = np.asarray(y, np.float64)
    return y if y.ndim == 2 else y[:, None]
