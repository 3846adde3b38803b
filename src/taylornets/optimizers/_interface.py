"""The interface between the training loop and its methods."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, PRNGKeyArray

from taylornets.optimizers._stationarity import Stationarity


class MethodOutcome(NamedTuple):
    """The outcome that a method reports for the state of a run.

    Attributes:
        stalled: whether the method can make no further progress.
        second_order: whether a second-order test found no negative curvature beyond the tolerance; `None` for methods without
            such a test, which stop at a small gradient.
        stationarity: the second-order test that ended the run, or `None`.
    """

    stalled: bool
    second_order: bool | None = None
    stationarity: Stationarity | None = None


@runtime_checkable
class Method(Protocol):
    """Protocol of optimization methods; `fit` accepts any object that implements it.

    `scales_inputs` states whether the method runs in coordinates in which the inputs are isotropic. States have the
    attributes `w`, `value` and `steps`.

    Example:
        >>> import taylornets as tn
        >>> isinstance(tn.optimizers.LBFGS(), tn.optimizers.Method)
        True
    """

    @property
    def scales_inputs(self) -> bool: ...
    def init(self, fun: Any, w: Array, key: PRNGKeyArray) -> Any:
        """Returns the state at the initial point."""
        ...

    def advance(self, fun: Any, state: Any, steps: int) -> Any:
        """Runs up to `steps` further steps; stops early if no progress is possible or values are not finite."""
        ...

    def outcome(self, state: Any) -> MethodOutcome:
        """Returns the outcome for a state."""
        ...
