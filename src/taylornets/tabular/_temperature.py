"""Temperature scaling: one number that divides the outputs of a classifier, fitted on rows that training did not use."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax, logsumexp

from taylornets._checks import counted

_PARTS, _LEAST_ROWS = 5, 20
_RANGE = (np.log(0.05), np.log(20.0))


@dataclass(frozen=True)
class Temperature:
    """A temperature, and what it does on held-out rows.

    Args:
        value: the divisor of the outputs; 1 if scaling does not lower the held-out log loss.
        before: log loss of the held-out rows without scaling.
        after: log loss with a temperature that was fitted on other held-out rows (cross-fitted).
        rows: number of held-out rows.
    """

    value: float
    before: float
    after: float
    rows: int

    @property
    def _lowered(self) -> str:
        """How far the log loss falls, with enough digits to see it."""
        before, after = f"{self.before:.4f}", f"{self.after:.4f}"
        return f"from {before} to {after}" if before != after else f"by less than 0.0001 from {before}"

    @property
    def _shown(self) -> str:
        """The temperature; never rounded to 1, which would change nothing."""
        shown = f"{self.value:.3g}"
        return shown if shown != "1" else "slightly above 1" if self.value > 1 else "slightly below 1"

    @property
    def sentence(self) -> str:
        """States whether the probabilities are scaled, and why."""
        held = f"the log loss of the {counted(self.rows, 'held-out row')}"
        if self.rows < _LEAST_ROWS:
            few = f"{counted(self.rows, 'held-out row')} {'is' if self.rows == 1 else 'are'} too few for temperature scaling"
            return f"The probabilities are not scaled: {few}."
        if self.value == 1:
            return (
                f"The probabilities are not scaled: temperature scaling, which was tried, does not lower {held} "
                f"({self.after:.4f} instead of {self.before:.4f})."
            )
        kind = "less" if self.value > 1 else "more"
        return (
            f"The probabilities were scaled with the temperature {self._shown}, which makes them {kind} confident and "
            f"lowers {held} {self._lowered} (cross-fitted). Predicted classes do not change."
        )


def log_probabilities(decision: np.ndarray, temperature: float, softmax: bool) -> np.ndarray:
    """Logarithms of the class probabilities, shape `(n, classes)`, as `TaylorClassifier.predict_proba` defines them.

    Args:
        decision: decision values, shape `(n,)` for two classes, else `(n, classes)`.
        temperature: divisor of the values.
        softmax: whether several classes form a softmax; otherwise logistic functions are normalized.
    """
    scaled = decision / temperature
    if scaled.ndim == 1:
        return np.stack([log_expit(-scaled), log_expit(scaled)], axis=1)
    if softmax:
        return np.asarray(log_softmax(scaled, axis=1))
    found = log_expit(scaled)
    return found - logsumexp(found, axis=1, keepdims=True)


def temperature_of(y: np.ndarray, decision: np.ndarray, classes: Any, softmax: bool, seed: int) -> Temperature:
    """Fits a temperature by maximum likelihood, and keeps it only if it helps on rows that did not fit it.

    The held-out rows are divided into five parts; each part is scored with the temperature of the other four. If the mean log
    loss is lower than without scaling, the temperature of all rows is used.

    Args:
        y: classes of held-out rows.
        decision: decision values; see `log_probabilities`.
        classes: the classes of the columns, sorted.
        softmax: see `log_probabilities`.
        seed: random seed of the parts.

    Returns:
        The temperature.

    Source: Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks" (2017), section 4.2.
    """
    known = np.isin(y, classes)
    places, values = np.searchsorted(classes, y[known]), decision[known]
    rows = np.arange(len(places))

    def losses(some: np.ndarray, temperature: float) -> np.ndarray:
        return -log_probabilities(values[some], temperature, softmax)[np.arange(len(some)), places[some]]

    def fitted(some: np.ndarray) -> float:
        found: Any = minimize_scalar(lambda t: np.mean(losses(some, float(np.exp(t)))), bounds=_RANGE, method="bounded")
        return float(np.exp(found.x))

    if len(rows) < _LEAST_ROWS:
        loss = float(np.mean(losses(rows, 1.0))) if len(rows) else float("nan")
        return Temperature(1.0, loss, loss, len(rows))
    part = np.random.default_rng(seed).permutation(len(rows)) % _PARTS
    scaled = np.concatenate([losses(rows[part == p], fitted(rows[part != p])) for p in range(_PARTS)])
    before, after = float(np.mean(losses(rows, 1.0))), float(np.mean(scaled))
    return Temperature(fitted(rows) if after < before else 1.0, before, after, len(rows))
