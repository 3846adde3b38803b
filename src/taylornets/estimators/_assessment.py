"""Certificates of test error of the estimators: which rows train, which shape the features, which are counted (theory 13).

A bound on the test error holds only if nothing that the counted rows decide is left unpaid. Weights, penalty and stopping
time are free in a PAC-Bayes bound, but the scaling of the inputs shapes the features. With `prior_rows`, the scaling is
therefore fitted on these rows, which are not counted; they do train the weights. With `held_out`, rows are kept from
everything. With `held_out="leave_one_out"`, all rows train, and the model without a row, which one Newton step approximates
(theory 11), predicts it.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from sklearn.base import is_classifier
from sklearn.utils import check_random_state

from taylornets import _checks, certificates, generalization
from taylornets.estimators._data import filled
from taylornets.generalization import HoldOut, RiskCertificate

_LEAST_PRIOR, _LEAST_HELD = 10, 10
NO_ROWS = (
    "the scaling was fitted on all rows. Set `held_out=0.2` if rows can be spared, otherwise `prior_rows=0.1`, before "
    "`fit`."
)
WEIGHTED = "the sample weights differ, so rows do not count equally. Fit without `sample_weight`."
LEAVE_ONE_OUT = "leave_one_out"
WARM = "`warm_start=True` may carry over weights from held-out rows. Set `warm_start=False`."


class RowShares(NamedTuple):
    """The use of the rows.

    Attributes:
        kept: rows that train, indices or a slice.
        held: rows that training does not use; `None` if all are used.
        shaping: rows among those that train that shape the features; `None` for all of them.
        void: why no certificate is given, or an empty string.
    """

    kept: Any = slice(None)
    held: np.ndarray | None = None
    shaping: np.ndarray | None = None
    void: str = NO_ROWS

    @property
    def counted(self) -> np.ndarray | None:
        """The rows that a certificate of error counts."""
        if self.shaping is None:
            return self.held
        return np.delete(self.kept, self.shaping)


ALL_ROWS = RowShares()


class LeftOut(NamedTuple):
    """Training rows, each of which the models without it predict.

    Attributes:
        x: scaled inputs, shape `(n, d)`.
        y: encoded targets, shape `(n, outputs)`.
        residuals: absolute leave-one-out residuals, in the scale of `y`.
    """

    x: np.ndarray
    y: np.ndarray
    residuals: np.ndarray


def shares_of(estimator: Any, model: Any, weight: np.ndarray) -> RowShares:
    """Splits the rows as the parameters `held_out` and `prior_rows` of an estimator ask for.

    Raises:
        ArgumentError: for fractions outside (0, 1), both of them, or too few rows.
    """
    given = [name for name in ("held_out", "prior_rows") if getattr(estimator, name) is not None]
    if not given:
        return RowShares()
    if len(given) == 2:
        raise _checks.ArgumentError("prior_rows", "None with held_out", repr(estimator.prior_rows), "Use one of them.")
    (name,) = given
    if estimator.held_out == LEAVE_ONE_OUT:
        return _every_row(estimator, model, weight)
    if name == "prior_rows" and not is_classifier(estimator):
        advice = "Bounds on a classification error do not apply; use `held_out=0.2` for intervals."
        raise _checks.ArgumentError("prior_rows", "None for regression", repr(estimator.prior_rows), advice)
    if name == "prior_rows" and not isinstance(model, int):
        advice = "Use `order`, or `held_out=0.2` for other models."
        raise _checks.ArgumentError("prior_rows", "None for a model that is not a single order", repr(model), advice)
    fraction, least = getattr(estimator, name), _LEAST_HELD if name == "held_out" else _LEAST_PRIOR
    _checks.positive(name, fraction, "It is a fraction of the rows.")
    if not fraction < 1:
        raise _checks.ArgumentError(name, "a fraction below 1", str(fraction), "It is a fraction of the rows.")
    rows = np.flatnonzero(weight > 0)
    count = round(fraction * len(rows))
    if count < least or len(rows) - count < least:
        got = f"{count} of {len(rows)} rows"
        raise _checks.ArgumentError(name, f"at least {least} rows on both sides of the split", got)
    seed = check_random_state(estimator.random_state).randint(2**31)
    chosen = np.sort(np.random.default_rng((seed, 1)).choice(rows, count, replace=False))
    void = WEIGHTED if np.ptp(weight[rows]) > 0 else ""
    if name == "prior_rows":
        return RowShares(rows, None, np.searchsorted(rows, chosen), void)
    return RowShares(np.setdiff1d(rows, chosen), chosen, None, WARM if estimator.warm_start and not void else void)


def _every_row(estimator: Any, model: Any, weight: np.ndarray) -> RowShares:
    """All rows train, and each is predicted by the model of the others."""
    got, advice = repr(estimator.held_out), "Use a fraction, for example `held_out=0.2`."
    if is_classifier(estimator):
        raise _checks.ArgumentError("held_out", "a fraction of the rows for classification", got, advice)
    if model != 2 or estimator.representation is not None:
        raise _checks.ArgumentError("held_out", "a fraction of the rows except for order 2 on the inputs", got, advice)
    rows = np.flatnonzero(weight > 0)
    if np.ptp(weight[rows]) > 0:
        raise _checks.ArgumentError("held_out", "a fraction of the rows if sample weights differ", got, advice)
    return RowShares(rows, void="")


def leave_one_out(estimator: Any, rows: LeftOut, new: np.ndarray | None = None) -> np.ndarray:
    """Predicts each row, or `new` rows, by the models without one row; shape `(n, outputs)` or `(n2, n, outputs)`.

    Args:
        estimator: a fitted regressor of order 2.
        rows: its training rows.
        new: scaled rows.
    """
    settings = estimator._settings
    net = settings.network(estimator.initial_weights_, estimator.signs_)

    def padded(part: np.ndarray) -> Array:
        return jnp.asarray(filled(part, len(part), net.inputs))

    return np.asarray(
        certificates.leave_one_out(
            net, padded(estimator.displacement_), padded(rows.x), rows.y, loss=settings.loss, penalty=estimator.penalty_,
            power=settings.power, chunk_size=settings.chunk_size, new=None if new is None else padded(new),
        )
    )  # fmt: skip


def counted_certificate(net: Any, w: Any, scaled: np.ndarray, labels: np.ndarray, order: Any) -> RiskCertificate:
    """Certifies a single order from counted rows.

    Args:
        net: the network, with padded inputs.
        w: displacement.
        scaled: the counted rows, scaled.
        labels: ±1 for one output, class indices otherwise.
        order: the order.
    """
    x = filled(scaled, len(scaled), net.inputs)
    return generalization.pac_bayes(net, filled(w, len(w), net.inputs), x, labels, order=order)


def forget(estimator: Any) -> None:
    """Removes what an earlier fit said about new data."""
    estimator.calibration_scores_, estimator.counted_rows_, estimator._left_out = None, None, None
    estimator._error_bound, estimator._error_void = None, NO_ROWS


def stated(name: str, certificate: RiskCertificate | HoldOut | None, void: str) -> RiskCertificate | HoldOut:
    """Returns a certificate of error, or raises and says why there is none."""
    if certificate is None:
        raise AttributeError(f"{name} has no certificate of error: {void}")
    return certificate


def threshold(scores: np.ndarray | None, level: Any, argument: str) -> np.ndarray:
    """Returns the conformal threshold of each column of sorted scores.

    Raises:
        ArgumentError: for a level outside (0, 1), or without held-out rows.
    """
    generalization.check_level(level, argument)
    if scores is None:
        advice = "Set `held_out=0.2` before `fit`."
        raise _checks.ArgumentError(argument, "a model with held-out rows", "one fitted on all rows", advice)
    return np.array([generalization.conformal(column, level) for column in scores.T])
