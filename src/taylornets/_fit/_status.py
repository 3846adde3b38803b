"""The outcomes of a training run."""

import enum


class Status(enum.Enum):
    """The outcome of a run; the value is its description.

    Example:
        >>> import taylornets as tn
        >>> tn.Status.MAX_STEPS.is_failure, tn.Status.CERTIFIED.is_failure
        (True, False)
    """

    CERTIFIED = (
        "The relative gap of the certificate is at most tol: the displacement is globally optimal to this accuracy."
    )
    STATIONARY = (
        "The gradient is zero to within tol. This model has no certificate of global optimality, and the point may be a "
        "saddle: check it with taylornets.stationarity, or use method='negative_curvature' to escape saddles."
    )
    SECOND_ORDER = (
        "The gradient vanishes and the Hessian has no negative eigenvalue beyond the tolerance (see stationarity), so the "
        "point is not a strict saddle. This model has no certificate of global optimality."
    )
    GAP_REMAINS = (
        "The method makes no further progress, and the gap of the certificate exceeds tol. The penalty is so weak for these "
        "data that rounding or small steps limit the gap. Raise the penalty or tol, or scale the targets down; after a "
        "first-order method, use method='auto'."
    )
    RANK_LIMITS = (
        "The objective cannot decrease further at this rank, and the gap of the certificate exceeds tol: the optimum has "
        "more copies of some unit, or the run ended at a local minimum or saddle, which exist at a fixed rank only. Use "
        "rank='auto' and method='auto'."
    )
    PRECISION_LIMITS = (
        "The objective cannot decrease further in this precision, and the gap of the certificate exceeds tol: rounding of "
        "the data and the displacement to float32 or less limits the gap. Enable float64, or raise tol or the penalty."
    )
    COUPLING_ERROR = (
        "The objective cannot decrease further in this precision. The remaining gap is the coupling error: the certificate "
        "bounds the randomized network through its quadratic term, and the difference decreases as m^{-1/2}. Use a wider "
        "network for a smaller gap."
    )
    STALLED = (
        "The objective cannot decrease further in this precision, and the gradient exceeds tol. Enable float64 or raise "
        "tol."
    )
    MAX_STEPS = (
        "max_steps was reached before tol. Raise max_steps, raise tol, or pass the solution of a larger penalty as "
        "w_init."
    )
    DIVERGED = (
        "The objective became infinite or NaN; the best displacement found before is returned. Lower the learning rate or "
        "scale the data down."
    )

    @property
    def is_failure(self) -> bool:
        """Whether `fit` raises an error for this status unless `throw=False`."""
        return self in (Status.MAX_STEPS, Status.DIVERGED)
