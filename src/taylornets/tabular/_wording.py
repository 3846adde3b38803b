"""Plain-language descriptions of the certificate and the comparison, for readers without the theory."""

from typing import Any

FINISHED, NEARLY = 0.01, 0.1  # relative gaps below which training counts as optimal or nearly optimal


def share(value: float) -> str:
    """Formats a fraction in percent, with two significant digits."""
    percent = 100 * value
    if percent >= 10:
        return f"{percent:.0f} %"
    return f"{percent:.2g} %" if percent >= 1e-3 else "less than 0.001 %"


def ends(low: float, high: float, digits: int = 3) -> str:
    """Formats an interval in brackets, with true minus signs."""
    return f"[{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def verdict(certificate: Any) -> str:
    """Summarizes the certificate in one sentence."""
    if certificate is None:
        return "This model has no certificate: its distance to the best objective is unknown."
    gap = float(certificate.relative_gap)
    if gap <= FINISHED:
        return (
            f"Training is certified as optimal: no other weights of this network can lower the objective by more than "
            f"{share(gap)}."
        )
    if gap <= NEARLY:
        return f"Training is certified as nearly optimal: no other weights can lower the objective by more than {share(gap)}."
    return f"The certificate leaves a gap: other weights may lower the objective by up to {share(min(gap, 1.0))}."


def certificate_paragraphs(certificate: Any, rows: int, status: str) -> list[str]:
    """Explains the certificate, the recommended action, and its limits."""
    if certificate is None:
        return [
            "Certificates are available for models of order 1 and 2. For order 3 and higher, no practical lower bound on the "
            "objective is known. The scores on this page are not affected."
        ]
    primal, dual, gap = float(certificate.primal), float(certificate.dual), float(certificate.relative_gap)
    said = (
        f"Training minimizes the objective: the loss on the {rows:,} training rows plus a penalty on large weights. It "
        f"reached {primal:.6g}. The certificate is a lower bound, {dual:.6g}, on the objective over all weights of this "
        "network. The bound is computed from the dual problem and is valid regardless of how the weights were found."
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
    score = "accuracy" if task == "classification" else "R²"
    measure = f"{abs(lead) * 100:.1f} points of {score}" if task == "classification" else f"{abs(lead):.3f} of {score}"
    relation = "tied with" if lead == 0 else f"{measure} {'ahead of' if lead > 0 else 'behind'}"
    chance = (
        f"On {rows:,} test rows, this difference is not significant"
        if apart[0] <= 0 <= apart[1]
        else f"On {rows:,} test rows, this difference is significant"
    )
    points = f"{ends(100 * apart[0], 100 * apart[1], 1)} points" if task == "classification" else ends(*apart)
    return (
        f"{names[ours]} ranks {place} of {len(names)}, {relation} the best baseline, {names[best]}. {chance} "
        f"(95 % interval of the difference: {points})."
    )
