"""Plain-language descriptions of the certificate and the comparison, for readers without the theory."""

import math
from collections.abc import Sequence
from typing import Any

from taylornets._checks import counted
from taylornets._measures import percent_of
from taylornets.tabular._budget import COMPARING, budget

FINISHED, NEARLY = 0.01, 0.1  # relative gaps below which training counts as optimal or nearly optimal


def share(value: float) -> str:
    """Formats a fraction in percent, with two significant digits."""
    percent = 100 * value
    if not math.isfinite(percent):
        return "an unknown fraction"
    if percent <= 0:
        return "−" + share(-value) if percent <= -1e-3 else "0 %"
    if percent < 1e-3:
        return "less than 0.001 %"
    if percent >= 10:
        if 99.5 <= percent < 100:  # 100 % is the whole
            return f"{math.floor(100 * percent) / 100:g} %"
        return f"{percent:.0f} %" if percent < 1e6 else f"{percent:.2g} %"
    return f"{percent:.2g} %"


def rows_of(count: Any, what: str = "") -> str:
    """Formats a number of rows: `1 test row`, `1,204 test rows`."""
    return counted(count, f"{what} row".strip())


def score_sentence(task: str, score: float, rows: int, repeated: int = 0) -> str:
    """States the score on the test rows, and how many of them equal a training row.

    Args:
        task: `"classification"` or `"regression"`.
        score: accuracy or R².
        rows: number of test rows.
        repeated: number of test rows that equal a training row.
    """
    held = f"On {rows_of(rows, 'held-out test')}"
    if repeated:
        each = (
            "which equals"
            if repeated == rows == 1
            else "all of which equal"
            if repeated == rows
            else (f"{repeated:,} of which {'equals' if repeated == 1 else 'equal'}")
        )
        held += f", {each} a training row in all columns,"
    else:
        held += ","
    if not math.isfinite(score):
        return f"{held} its score is undefined, since the target does not vary there."
    if task == "classification":
        return f"{held} its accuracy is {percent_of(score)}."
    if score < 0:
        return f"{held} the mean of the target predicts better (R² is {_signed(score)})."
    percent = round(100 * score)
    if percent == 0:
        return f"{held} the model predicts no better than the mean of the target (R² is {_signed(score)})."
    if percent == 100 and score < 1:
        return f"{held} it explains {math.floor(1000 * score) / 10:.1f} % of the target's variance."
    return f"{held} it explains {percent} % of the target's variance."


def _signed(value: float) -> str:
    """R² with two significant digits, and in words where those would be hidden by zeros."""
    if abs(value) < 1e-3:
        return "0" if value == 0 else "above −0.001" if value < 0 else "below 0.001"
    return quantity(value, 2)


def quantity(value: float, digits: int = 3) -> str:
    """Formats a number with a few significant digits, without rounding those before the decimal point.

    Example:
        >>> quantity(2013.4), quantity(-0.01234), quantity(6.02e23)
        ('2,013', '−0.0123', '6.02 × 10^23')
    """
    if not math.isfinite(value):
        return "undefined"
    shown = f"{value:.{digits}g}"
    if 10**digits <= abs(value) + 0.5 and abs(value) < 1e6:
        shown = f"{value:,.0f}"
    elif "e" in shown:
        mantissa, exponent = shown.split("e")
        shown = f"{mantissa} × 10^{int(exponent)}"
    return "0" if value == 0 else shown.replace("-", "−")


def ends(low: float, high: float, digits: int = 3) -> str:
    """Formats an interval in brackets, with true minus signs."""
    if not math.isfinite(low) or not math.isfinite(high):
        return "[undefined]"
    return f"[{signed(low, digits)}, {signed(high, digits)}]"


def at_most(gap: float) -> str:
    """Formats an upper bound: `at most 2 %`, or `less than 0.001 %`."""
    if not math.isfinite(gap):
        return "unknown"
    return "less than 0.001 %" if 100 * gap < 1e-3 else f"at most {_up(min(gap, 1.0))}"


def _up(value: float) -> str:
    """Formats a bound in percent with two or three significant digits, rounded up, so that the statement stays true."""
    percent = 100 * value
    step = 10.0 ** math.floor(math.log10(percent))
    step /= 100 if percent / step < 2 else 10
    return f"{math.ceil(percent / step * (1 - 1e-12)) * step:.3g} %"


def signed(value: float, digits: int = 3) -> str:
    """Formats a score with a true minus sign; `undefined` for NaN and infinity."""
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−") if math.isfinite(value) else "undefined"


def more_than(gap: float) -> str:
    """`more than 2 %`, or `0.001 % or more` for a gap that rounds to nothing."""
    if not math.isfinite(gap):
        return "an unknown fraction"
    return "0.001 % or more" if 100 * gap < 1e-3 else f"more than {_up(min(gap, 1.0))}"


def verdict(certificate: Any) -> str:
    """Summarizes the certificate in one sentence."""
    if certificate is None:
        return "This model has no certificate: its distance to the best objective is unknown."
    gap = float(certificate.relative_gap)
    if gap <= FINISHED:
        best = "Training is certified as optimal: no other weights of this network can lower the objective by"
        return f"{best} {more_than(gap)}."
    if gap <= NEARLY:
        return f"Training is certified as nearly optimal: no other weights can lower the objective by {more_than(gap)}."
    if not math.isfinite(gap):
        return "The certificate is not finite: it gives no bound for other weights."
    return f"The certificate leaves a gap: other weights may lower the objective by up to {_up(min(gap, 1.0))}."


def certificate_paragraphs(certificate: Any, rows: int, status: str) -> list[str]:
    """Explains the certificate, the recommended action, and its limits."""
    if certificate is None:
        return [
            "Certificates are available for models of order 1 and 2. For order 3 and higher, no practical lower bound on the "
            "objective is known. The scores on this page are not affected."
        ]
    primal, dual, gap = float(certificate.primal), float(certificate.dual), float(certificate.relative_gap)
    said = (
        f"Training minimizes the objective: the loss on the {rows_of(rows, 'training')} plus a penalty on large weights. It "
        f"reached {quantity(primal, 6)}. The certificate is a lower bound, {quantity(dual, 6)}, on the objective over all "
        "weights of this network. The bound is computed from the dual problem and is valid regardless of how the weights "
        "were found."
    )
    if gap <= FINISHED:
        advice = (
            f"The gap is {share(gap)} of the objective. Longer training, another optimizer or another initialization would "
            "therefore not improve the fit noticeably. If the predictions are not good enough, change the model (order, "
            "width, penalty) or the data."
        )
    else:
        cause = "Training reached the maximum number of steps. " if status == "MAX_STEPS" else ""
        advice = (
            f"The gap is {share(min(gap, 1.0))} of the objective. {cause}Either better weights exist, or the bound is not "
            "tight; the certificate does not distinguish the two cases. Rank 2, which gives each unit a second copy, "
            "closes most such gaps; a larger penalty or width also helps."
        )
    unsaid = (
        "The certificate concerns the fit to the training rows only. It does not state how well the model predicts new "
        "rows (see the test score), whether this model or this penalty suits the data, or whether the inputs cause the "
        "target."
    )
    return [said, advice, unsaid]


def ranking(names: list[str], scores: list[float], ours: int, apart: tuple[float, float], task: str, rows: int) -> str:
    """Describes the rank of our model among all models, and whether the difference is significant.

    Args:
        names: names of the models.
        scores: their scores on the test rows.
        ours: index of our model.
        apart: interval of the difference between our score and that of the best baseline.
        task: `"classification"` or `"regression"`.
        rows: number of test rows.
    """
    others = [i for i in range(len(names)) if i != ours]
    best = max(others, key=lambda i: scores[i])
    place = 1 + sum(scores[i] > scores[ours] for i in others)
    lead = scores[ours] - scores[best]
    if not math.isfinite(lead):
        return f"On {rows_of(rows, 'test')}, a score is undefined, so the models are not ranked."
    equal = sum(scores[i] == scores[best] for i in others)
    score = "accuracy" if task == "classification" else "R²"
    unit = "points of " if task == "classification" else "of "
    digits = 1 if task == "classification" else 3
    measure = f"{abs(lead) * (100 if digits == 1 else 1):,.{digits}f} {unit}{score}"
    if float(f"{abs(lead) * (100 if digits == 1 else 1):.{digits}f}") == 0:
        measure = f"less than {10**-digits:g} {unit}{score}"
    relation = "tied with" if lead == 0 else f"{measure} {'ahead of' if lead > 0 else 'behind'}"
    chance = (
        f"On {rows_of(rows, 'test')}, this difference is not significant"
        if apart[0] <= 0 <= apart[1]
        else f"On {rows_of(rows, 'test')}, this difference is significant"
    )
    points = f"{ends(100 * apart[0], 100 * apart[1], 1)} points" if task == "classification" else ends(*apart)
    return (
        f"{names[ours]} ranks {place} of {len(names)}, {relation} {_best(names[best], equal)}. {chance} "
        f"(95 % interval of the difference: {points})."
    )


def _best(name: str, equal: int) -> str:
    """Names the best baseline, or says how many are equally good."""
    return (
        f"the best baseline, {name}"
        if equal == 1
        else f"the {equal} best baselines, {name} and {equal - 1} with the same score"
    )


def cut(baselines: Sequence[Any]) -> list[str]:
    """States which baselines were cut, since a full search would have taken longer than the model itself; empty for none.

    Args:
        baselines: the results, with `name`, `rows`, `searched` and `available`.
    """
    listed = [
        f"{result.name} (search on {result.searched:,} rows, trained on {result.rows:,})"
        for result in baselines
        if min(result.searched, result.rows) < result.available
    ]
    if not listed:
        return []
    return [
        "All baselines share a time budget, a fraction of the model's training time but at least "
        f"{budget(0.0, COMPARING):g} seconds. The following would have exceeded their part of it and were given fewer "
        f"rows: {', '.join(listed)}. With all rows, their scores may be higher."
    ]
