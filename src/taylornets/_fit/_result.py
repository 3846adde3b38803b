"""The result of a training run and its statuses."""

import enum
from dataclasses import dataclass, field

import jax.numpy as jnp
from jaxtyping import Array

from taylornets.certificates import Certificate
from taylornets.optimizers import Stationarity


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
        "in order: the optimum requires units of higher rank (use rank=2, then 3); the precision is float32 (enable "
        "float64); a poor initialization or a saddle (use another key, or method='negative_curvature' to escape saddles)."
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


@dataclass(frozen=True)
class FitHistory:
    """The trajectory of a run, one list entry per check.

    Attributes:
        steps: iterations completed.
        objective: penalized objective.
        gradient_norm: Euclidean norm of its gradient.
        scaled_gradient: the scale-free gradient `‖∇P‖ max(‖w‖, m^{1/2 - 1/(2k)}/B_x) / P`.
        relative_gap: relative gap of the certificate; empty for models without a certificate.
        seconds: wall-clock time since the run began, including compilation.
    """

    steps: list[int] = field(default_factory=list)
    objective: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    scaled_gradient: list[float] = field(default_factory=list)
    relative_gap: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(
        self,
        steps: int,
        value: Array,
        gradient: Array,
        size: Array,
        certificate: Certificate | None,
        seconds: float,
    ) -> None:
        """Appends a check; `size` is the length scale of the scale-free gradient."""
        norm = float(jnp.linalg.norm(gradient))
        self.steps.append(steps)
        self.objective.append(float(value))
        self.gradient_norm.append(norm)
        self.scaled_gradient.append(norm * float(size) / abs(float(value)))
        self.seconds.append(seconds)
        if certificate is not None:
            self.relative_gap.append(float(certificate.relative_gap))


@dataclass(frozen=True)
class FitResult:
    """A trained displacement.

    Attributes:
        w: displacement, shape `(m, d)`, or `(m, R, d)` for `rank=R > 1`.
        objective: penalized objective at `w`.
        certificate: certified bound on the optimality gap of `w`; `None` for models without a certificate.
        status: the outcome; `status.value` describes it in a sentence.
        steps: iterations completed.
        history: the trajectory of the run.
        stationarity: the second-order test that ended the run (`"negative_curvature"` only), otherwise `None`.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jnp.eye(3)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> found = tn.fit(net, x, y, penalty=0.01)
        >>> found.status.is_failure, found.w.shape, bool(found.certificate.relative_gap < 1e-4)
        (False, (8, 3), True)
    """

    w: Array
    objective: float
    certificate: Certificate | None
    status: Status
    steps: int
    history: FitHistory
    stationarity: Stationarity | None = None

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.steps} steps, objective {self.objective:.9g}. {self.status.value}"]
            + ([f"Certificate: {self.certificate}."] if self.certificate is not None else [])
            + ([f"Second-order test: {self.stationarity}."] if self.stationarity is not None else [])
        )


class FitError(RuntimeError):
    """Raised when a run fails; `result` holds the best displacement. With `throw=False`, it is returned instead.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jnp.eye(3)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> try:
        ...     tn.fit(net, x, y, penalty=0.01, max_steps=1)
        ... except tn.FitError as error:
        ...     print(error.result.status.name, error.result.steps)
        MAX_STEPS 1
    """

    def __init__(self, result: FitResult):
        self.result = result
        super().__init__(f"{result}\nPass throw=False to return this result instead of raising.")
