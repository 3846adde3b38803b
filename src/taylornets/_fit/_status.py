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
        "The objective cannot decrease further in this precision, and the gap of the certificate exceeds tol. Likely causes, "
        "in order: a fixed rank, if the optimum requires units of higher rank (use rank='auto'); float32 or less (enable "
        "float64, or raise tol); in float64, a penalty so weak that rounding limits the gap (raise the penalty or tol); for "
        "first-order methods, a poor initialization or a saddle (use method='auto')."
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
