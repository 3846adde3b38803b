"""The registry of losses."""

from typing import Any

from taylornets import _checks
from taylornets.losses._base import Loss

_losses: dict[str, Loss] = {}


def register(loss: Any) -> None:
    """Registers a loss under its name, for `get` and every function with a `loss` argument.

    Args:
        loss: the `Loss` to be returned by `get(loss.name)`.

    Raises:
        ArgumentError: if the argument is not a `Loss`, or if another loss has its name.

    Example:
        >>> import taylornets as tn
        >>> tn.losses.register(tn.losses.Huber(delta=2.0))
        Traceback (most recent call last):
        ...
        taylornets.ArgumentError: loss: expected an unused name, got 'huber'.
    """
    if not isinstance(loss, Loss):
        advice = "Pass an instance, such as Huber()." if isinstance(loss, type) else ""
        raise _checks.ArgumentError("loss", "an instance of taylornets.losses.Loss", repr(loss), advice)
    if loss.name in _losses:
        raise _checks.ArgumentError("loss", "an unused name", repr(loss.name))
    _losses[loss.name] = loss


def names(**traits: bool) -> tuple[str, ...]:
    """Returns the names of all registered losses, sorted.

    Args:
        **traits: required values of attributes of `Loss`, such as `separable=True`; by default no restriction.

    Returns:
        The names.

    Example:
        >>> import taylornets as tn
        >>> "huber" in tn.losses.names(), "huber" in tn.losses.names(classifies=True)
        (True, False)
    """
    found = (
        name for name, loss in _losses.items() if all(getattr(loss, trait) == value for trait, value in traits.items())
    )
    return tuple(sorted(found))


def get(loss: Any) -> Loss:
    """Returns a loss by name.

    Args:
        loss: one of `names()`, or a loss, which is returned unchanged (such as `Huber(delta=0.5)`).

    Returns:
        The loss.

    Raises:
        ArgumentError: for an unknown name, suggesting the closest one.

    Example:
        >>> import taylornets as tn
        >>> tn.losses.get("logistic").curvature_bound
        0.25
    """
    return loss if isinstance(loss, Loss) else _losses[_checks.choice("loss", loss, _losses)]
