"""The PAC-Bayes certificate of test error, in numbers and in words."""

from dataclasses import dataclass

import numpy as np

from taylornets import _checks

_PERCENT = 100.0


@dataclass(frozen=True)
class RiskCertificate:
    """A bound on the error of a classifier on new data, from labeled rows it may have been trained on.

    `gibbs` and `deterministic` are two statements; each holds with probability `1 - delta` by itself.

    Attributes:
        gibbs: bound on the error of the randomized (Gibbs) classifier, which draws its weights around the trained ones for
            every prediction.
        deterministic: bound on the error of the classifier itself.
        kl: divergence of the posterior from the prior, in nats, at the scale of `gibbs`.
        empirical: error of the Gibbs classifier on the counted rows at this scale.
        train_error: error of the classifier itself on the counted rows, ties counted as errors.
        rows: number of counted rows `n`.
        delta: failure probability `δ`.
        scale: `μ`, the norm of the posterior mean in standard deviations of the noise; it is chosen freely.
        threshold: `θ` that attains `deterministic`.
        classes: number of classes.
        bound: `"kl"` or `"catoni"`.
        candidates: number of models among which the counted rows chose; paid by `ln(candidates)`.
        prior_rows: indices of the rows that trained the prior, which are not counted; `None` without an informed prior.
        seed: seed of the split into prior and counted rows; `None` if the first rows or given rows were taken.
        notes: observations on the data that weaken or void the statement.
    """

    gibbs: float
    deterministic: float
    kl: float
    empirical: float
    train_error: float
    rows: int
    delta: float
    scale: float
    threshold: float
    classes: int
    bound: str
    candidates: int = 1
    prior_rows: np.ndarray | None = None
    seed: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def chance(self) -> float:
        """The error of random guessing, `1 - 1/C`."""
        return 1 - 1 / self.classes

    @property
    def vacuous(self) -> bool:
        """Whether neither bound is better than random guessing."""
        return min(self.gibbs, self.deterministic) >= self.chance

    @property
    def sentence(self) -> str:
        """The statement in one sentence."""
        sure = f"{_PERCENT * (1 - self.delta):g} % confidence"
        if self.deterministic < self.chance:
            return f"On new data from the same source, the error is at most {percent(self.deterministic)} ({sure})."
        if self.gibbs < self.chance:
            return (
                f"On new data from the same source, the error of the randomized classifier is at most {percent(self.gibbs)} "
                f"({sure}); the bound for the classifier itself, {percent(self.deterministic)}, is no better than guessing."
            )
        return f"Vacuous: the bound on the error, {percent(self.gibbs)}, is no better than guessing ({percent(self.chance)})."

    @property
    def basis(self) -> str:
        """What the statement rests on."""
        if self.prior_rows is None:
            rows = (
                f"the {_checks.counted(self.rows, 'row')} {'was' if self.rows == 1 else 'were'} counted, and the prior "
            )
            rows += "was fixed before any of them was seen"
        else:
            drawn = "" if self.seed is None else f", drawn with seed {self.seed},"
            rows = (
                f"{_checks.counted(len(self.prior_rows), 'row')}{drawn} trained the prior, and the other {self.rows:,} "
            )
            rows += "was counted" if self.rows == 1 else "were counted"
        paid = f"; the choice among {self.candidates} candidates is paid for" if self.candidates > 1 else ""
        return (
            f"Rows are exchangeable; {rows}{paid}. Whatever shapes the features (scaling, columns, order, width, activation) "
            "does not depend on the counted rows."
        )

    def __str__(self) -> str:
        parts = (
            f"Gibbs {self.gibbs:.3f}, deterministic {self.deterministic:.3f}; KL {self.kl:.1f} nats at scale {self.scale:.3g}, "
            f"empirical Gibbs error {self.empirical:.3f}, training error {self.train_error:.3f}, n = {self.rows:,}, "
            f"delta {self.delta:g}"
        )
        return " ".join([f"{self.sentence} [{parts}]", *self.notes])


def percent(value: float) -> str:
    """Formats a bound in percent, rounded up, so that the statement stays true."""
    digits = 0 if value >= 0.1 else 1
    scaled = np.ceil(_PERCENT * value * 10**digits * (1 - 1e-12)) / 10**digits
    return f"{min(max(scaled, 0.0), _PERCENT) + 0.0:.{digits}f} %"
