"""Bounds from rows that training did not use: hold-out, transfer to a refitted model, progressive validation (theory 13)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from scipy.special import bdtr, betaincinv

from taylornets import _checks
from taylornets.generalization._kl import relative_entropy
from taylornets.generalization._pac_bayes import check_delta
from taylornets.generalization._risk_certificate import percent

METHODS = ("bentkus", "betting")
_BISECTIONS = 60
_RATES = tuple(2.0 ** (e / 2) for e in range(-8, 9))  # of the martingale bound, each with its part of δ


@dataclass(frozen=True)
class HoldOut:
    """A bound on the error of a fixed classifier on new data.

    Attributes:
        bound: upper bound, valid with probability `1 - delta`.
        error: error, or mean loss, on the rows.
        rows: number of rows, or of groups of them.
        delta: failure probability `δ`.
        method: how the bound was computed, in words.
        unit: what is exchangeable and counted, `"row"` or `"group"`.
    """

    bound: float
    error: float
    rows: int
    delta: float
    method: str
    unit: str = "row"

    @property
    def sentence(self) -> str:
        """The statement in one sentence."""
        return (
            f"On new {'data' if self.unit == 'row' else f'{self.unit}s'} from the same source, the error is at most "
            f"{percent(self.bound)} "
            f"({100 * (1 - self.delta):g} % confidence)."
        )

    @property
    def basis(self) -> str:
        """What the statement rests on."""
        return (
            f"{self.method}, error {percent(self.error)} on {_checks.counted(self.rows, self.unit)}. "
            f"{self.unit.capitalize()}s are exchangeable, and neither training nor any choice used these {self.unit}s."
        )

    def __str__(self) -> str:
        return f"{self.sentence} [{self.basis}]"


def holdout(
    correct: ArrayLike | None = None, delta: float = 0.05, *, losses: ArrayLike | None = None, method: str = "bentkus"
) -> HoldOut:
    """Bounds the error of a fixed classifier from rows that training did not use: exactly, by Clopper and Pearson.

    With `k` errors on `n` rows, the bound is the quantile `1 - δ` of the beta distribution `B(k + 1, n - k)`, the largest error
    under which `k` or fewer errors have the probability `δ`. It is tighter than every PAC-Bayes bound at equal labeled rows: if
    rows can be spared, hold them out; if not, train on all of them and use `pac_bayes`.

    Args:
        correct: whether each prediction is correct, booleans of shape `(n,)`.
        delta: failure probability `δ`, between 0 and 1.
        losses: instead of `correct`, losses in `[0, 1]`, shape `(n,)`; clip others first, and state it.
        method: for losses, `"bentkus"` (Hoeffding and Bentkus) or `"betting"` (tighter where losses vary little).

    Returns:
        The bound; its `bound` is one-sided and upper.

    Raises:
        ArgumentError: for invalid arguments, or both or neither of `correct` and `losses`.

    Source: theory 13; Clopper & Pearson (1934); Bates et al. (2021), section 3.1; Waudby-Smith & Ramdas (2024), section 4.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> round(tn.generalization.holdout(np.ones(100, bool)).bound, 4)  # no error: 1 - 0.05^(1/100)
        0.0295
    """
    check_delta(delta)
    if (correct is None) == (losses is None):
        got = "both" if correct is not None else "neither"
        raise _checks.ArgumentError("correct", "either `correct` or `losses`", got)
    if losses is None:
        right = _booleans("correct", correct)
        wrong, n = int(np.sum(~right)), len(right)
        return HoldOut(clopper_pearson(wrong, n, delta), wrong / n, n, float(delta), "Clopper–Pearson")
    _checks.choice("method", method, METHODS)
    values = _checks.host(_checks.array("losses", losses, ("n",)), np.float64)
    if values.min() < 0 or values.max() > 1:
        bad = values[(values < 0) | (values > 1)][0]
        raise _checks.ArgumentError("losses", "numbers from 0 to 1", f"{bad:g}", "Clip or rescale them, and say so.")
    bound = _bentkus(values, delta) if method == "bentkus" else _betting(values, delta)
    name = "Hoeffding–Bentkus" if method == "bentkus" else "Betting"
    return HoldOut(bound, float(values.mean()), len(values), float(delta), name)


def transfer(held: HoldOut, agree: ArrayLike, delta: float = 0.05) -> HoldOut:
    """Transfers a hold-out bound to a model that was refitted on all rows, by their agreement on unlabeled rows.

    A prediction of the refitted model is wrong only if that of the held-out model is wrong or the two differ, so its error
    is at most the sum of both bounds, with probability `1 - δ_1 - δ_2`.

    Args:
        held: the bound of the model trained without the held-out rows.
        agree: whether both models agree on each unlabeled row, booleans of shape `(n,)`; the rows were used for neither model.
        delta: failure probability of the disagreement.

    Returns:
        The bound for the refitted model; its `delta` is the sum of both.

    Raises:
        ArgumentError: for invalid arguments, or failure probabilities that sum to 1 or more.

    Source: theory 13.

    Example:
        >>> import numpy as np, taylornets as tn
        >>> held = tn.generalization.holdout(np.ones(100, bool), 0.025)
        >>> found = tn.generalization.transfer(held, np.ones(1000, bool), 0.025)
        >>> round(found.bound, 4), found.delta
        (0.0399, 0.05)
    """
    check_delta(delta)
    if held.delta + delta >= 1:
        raise _checks.ArgumentError("delta", f"a probability below {1 - held.delta:g}", str(delta))
    same = _booleans("agree", agree)
    differ = int(np.sum(~same))
    bound = min(1.0, held.bound + clopper_pearson(differ, len(same), delta))
    unlabeled = _checks.counted(len(same), "unlabeled row")
    method = f"Refitted model: {held.method} for the held-out one, and disagreement on {unlabeled}"
    return HoldOut(bound, held.error, held.rows, held.delta + float(delta), method)


def progressive(correct: ArrayLike, delta: float = 0.05) -> HoldOut:
    """Bounds the mean error of a sequence of classifiers, each tested on the row after those that trained it.

    No row is lost to a hold-out set. The statement concerns the classifier that draws one of the sequence for each
    prediction. With `X_t` the error on row `t` and `p_t` its conditional probability, `Π exp(-λ X_t)/(1 - p_t (1 -
    e^{-λ}))` is a martingale, so

        (1/n) Σ p_t ≤ (1 - exp(-λ X̄ - ln(1/δ)/n))/(1 - e^{-λ}),

    here at the best of 17 values of `λ`, each with its part of `δ`.

    Args:
        correct: whether the prediction of row `t` by the classifier trained on the rows before it is correct, in order.
        delta: failure probability.

    Returns:
        The bound.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 13; Blum, Kalai & Langford (1999).

    Example:
        >>> import numpy as np, taylornets as tn
        >>> tn.generalization.progressive(np.ones(1000, bool)).bound < 0.01
        True
    """
    check_delta(delta)
    right = _booleans("correct", correct)
    n, error = len(right), float(np.mean(~right))
    spent = math.log(len(_RATES) / delta) / n
    bound = min(-math.expm1(-rate * error - spent) / -math.expm1(-rate) for rate in _RATES)
    return HoldOut(min(1.0, bound), error, n, float(delta), "Progressive validation")


def clopper_pearson(wrong: int, rows: int, delta: float) -> float:
    """Returns the exact upper bound on a binomial probability."""
    return 1.0 if wrong >= rows else float(betaincinv(wrong + 1, rows - wrong, 1 - delta))


def _booleans(argument: str, values: Any) -> np.ndarray:
    found = _checks.host(values)
    if found.dtype != bool or found.ndim != 1 or not len(found):
        advice = "For example `predictions == labels`."
        raise _checks.ArgumentError(argument, "booleans of shape (n,)", _checks.shown(values), advice)
    return found


def _bentkus(losses: np.ndarray, delta: float) -> float:
    """The largest risk `r` with `min(exp(-n kl(R̂ | r)), e P(Bin(n, r) ≤ ⌈n R̂⌉)) ≥ δ`."""
    n, mean = len(losses), float(losses.mean())
    count = math.ceil(float(losses.sum()) - 1e-9)

    def rejected(risk: float) -> bool:
        hoeffding = math.exp(-n * relative_entropy(mean, risk - mean))
        return min(hoeffding, math.e * float(bdtr(count, n, risk))) < delta

    return _first(rejected, mean)


def _betting(losses: np.ndarray, delta: float) -> float:
    """The smallest risk at which a bettor against `E X ≥ r` ever multiplies the capital by `1/δ`."""
    n = len(losses)
    steps = np.arange(1, n + 1)
    means = (0.5 + np.cumsum(losses)) / (1 + steps)
    variances = (0.25 + np.cumsum((losses - means) ** 2)) / (1 + steps)
    previous = np.concatenate([[0.25], variances[:-1]])
    stakes = np.minimum(1.0, np.sqrt(2 * math.log(1 / delta) / (n * previous)))

    def rejected(risk: float) -> bool:
        capital = np.cumsum(np.log(np.maximum(1 - stakes * (losses - risk), 1e-300)))
        return float(capital.max()) > math.log(1 / delta)

    return _first(rejected, 0.0)


def _first(rejected: Any, low: float) -> float:
    """Returns the end of the interval of risks that are not rejected, from above."""
    high = 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if rejected(middle) else (middle, high)
    return high
