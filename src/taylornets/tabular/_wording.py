"""The certificate, and how the models compare, in words for who has not read the theory."""

from typing import Any

FINISHED, NEARLY = 0.01, 0.1  # relative gaps below which training counts as finished, or as nearly so


def share(value: float) -> str:
    """A share in percent, with two digits that matter."""
    percent = 100 * value
    if percent >= 10:
        return f"{percent:.0f} %"
    return f"{percent:.2g} %" if percent >= 1e-3 else "less than 0.001 %"


def ends(low: float, high: float, digits: int = 3) -> str:
    """An interval in brackets, with true minus signs."""
    return f"[{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def verdict(certificate: Any) -> str:
    """The certificate in one sentence."""
    if certificate is None:
        return "There is no certificate for this model: how far training got from the best fit is not known."
    gap = float(certificate.relative_gap)
    if gap <= FINISHED:
        return (
            f"The training is finished, provably: no other weights of this network would lower the objective by more "
            f"than {share(gap)}."
        )
    if gap <= NEARLY:
        return f"The training is nearly finished: no other weights would lower the objective by more than {share(gap)}."
    return f"The certificate leaves room: other weights could lower the objective by {share(min(gap, 1.0))} at most."


def certificate_paragraphs(certificate: Any, rows: int, status: str) -> list[str]:
    """What the certificate says, what to do about it, and what it does not say."""
    if certificate is None:
        return [
            "Models of order 3 and more have no certificate: nobody knows how to bound what other weights could reach. "
            "The scores on this page are measured all the same. Orders 1 and 2 come with a proof."
        ]
    primal, dual, gap = float(certificate.primal), float(certificate.dual), float(certificate.relative_gap)
    said = (
        f"Training looks for weights that make one number small, the objective: how badly the model fits the {rows:,} "
        f"training rows, plus a price for large weights. It stopped at {primal:.6g}. The certificate is a second number, "
        f"{dual:.6g}, below which no weights of this network can bring the objective, whoever looks for them and however "
        f"long. It is computed from another problem (the dual), so one need not trust the training to trust it."
    )
    if gap <= FINISHED:
        advice = (
            f"Between the two lie {share(gap)} of the objective. So there is nothing to gain from longer training, another "
            "optimizer or another random start. If the predictions are not good enough, change what is trained "
            "(order, width, penalty) or the data, not the training."
        )
    else:
        cause = "Training ran out of steps. " if status == "MAX_STEPS" else ""
        advice = (
            f"Between the two lie {share(min(gap, 1.0))} of the objective. {cause}Either better weights exist, or the bound "
            "is not sharp here; the certificate cannot tell which. Rank 2 gives every unit a second copy, which closes "
            "most such gaps; a larger penalty or width helps too."
        )
    unsaid = (
        "What it does not say: how well the model predicts rows that it has not seen (the test score says that), "
        "whether this kind of model or this penalty suits the data, and whether the inputs cause the target. It is a "
        "statement on the fit to the training rows, and about those it leaves no doubt."
    )
    return [said, advice, unsaid]


def ranking(names: list[str], scores: list[float], ours: int, apart: tuple[float, float], task: str, rows: int) -> str:
    """Where our model stands among the others, and whether that could be chance.

    Args:
        names: of the models.
        scores: on the test rows, as many.
        ours: index of our model.
        apart: interval of our score minus that of the best other one.
        task: `"classification"` or `"regression"`.
        rows: for testing.
    """
    others = [i for i in range(len(names)) if i != ours]
    best = max(others, key=lambda i: scores[i])
    place = 1 + sum(scores[i] > scores[ours] for i in others)
    lead = scores[ours] - scores[best]
    score = "accuracy" if task == "classification" else "R²"
    measure = f"{abs(lead) * 100:.1f} points of {score}" if task == "classification" else f"{abs(lead):.3f} of {score}"
    relation = "level with" if lead == 0 else f"{measure} {'ahead of' if lead > 0 else 'behind'}"
    chance = (
        f"On {rows:,} test rows such a difference can be chance"
        if apart[0] <= 0 <= apart[1]
        else f"On {rows:,} test rows chance alone does not explain it"
    )
    points = f"{ends(100 * apart[0], 100 * apart[1], 1)} points" if task == "classification" else ends(*apart)
    return (
        f"{names[ours]} is number {place} of {len(names)}, {relation} the best other one, {names[best]}. {chance} "
        f"(95 % interval of the difference: {points})."
    )
