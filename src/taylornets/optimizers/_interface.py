"""What the training loop asks of a method."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, PRNGKeyArray

from taylornets.optimizers._stationarity import Stationarity


class MethodOutcome(NamedTuple):
    """What a method reports about the state of a run.

    Attributes:
        stalled: whether the method can gain nothing more.
        second_order: whether a second-order test found no negative curvature beyond the tolerance; `None` for methods without
            such a test, which a small gradient ends.
        stationarity: the second-order test that ended the run, or `None`.
    """

    stalled: bool
    second_order: bool | None = None
    stationarity: Stationarity | None = None


@runtime_checkable
class Method(Protocol):
    """One object per optimization method; `fit` runs any of them.

    `scales_inputs` says whether the method is to work in coordinates in which the inputs have even spread. States have the
    attributes `w`, `value` and `steps`.

    Example:
        >>> import taylornets as tn
        >>> isinstance(tn.optimizers.LBFGS(), tn.optimizers.Method)
        True
    """

    @property
    def scales_inputs(self) -> bool: ...
    def init(self, fun: Any, w: Array, key: PRNGKeyArray) -> Any:
        """The state at a start."""
        ...

    def advance(self, fun: Any, state: Any, steps: int) -> Any:
        """Runs up to `steps` further steps; ends early where nothing more can be gained or numbers are not finite."""
        ...

    def outcome(self, state: Any) -> MethodOutcome:
        """What the method reports about a state."""
        ...
