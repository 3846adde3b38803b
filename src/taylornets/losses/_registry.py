"""Losses by name."""

from typing import Any

from taylornets import _checks
from taylornets.losses._base import Loss

_losses: dict[str, Loss] = {}


def register(loss: Any) -> None:
    """Makes a loss available under its name, wherever a loss is chosen by name.

    Args:
        loss: a `Loss`, the one that `get(loss.name)` returns from now on.

    Raises:
        ArgumentError: for something that is not a `Loss`, or if another loss has its name.

    Example:
        >>> import taylornets as tn
        >>> tn.losses.register(tn.losses.Huber(delta=2.0))
        Traceback (most recent call last):
        ...
        taylornets._checks.ArgumentError: loss: expected a name that is free, got 'huber'.
    """
    if not isinstance(loss, Loss):
        advice = "Pass an instance, such as Huber()." if isinstance(loss, type) else ""
        raise _checks.ArgumentError("loss", "an instance of taylornets.losses.Loss", repr(loss), advice)
    if loss.name in _losses:
        raise _checks.ArgumentError("loss", "a name that is free", repr(loss.name))
    _losses[loss.name] = loss


def names(**traits: bool) -> tuple[str, ...]:
    """The names of all registered losses, sorted.

    Args:
        **traits: attributes of `Loss` with the value that they must have, such as `separable=True`; by default none.

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
    """The loss of a name.

    Args:
        loss: one of `names()`, or a loss, which is returned as it is (`Huber(delta=0.5)`, say).

    Returns:
        The loss.

    Raises:
        ArgumentError: for an unknown name, with the nearest one.

    Example:
        >>> import taylornets as tn
        >>> tn.losses.get("logistic").curvature_bound
        0.25
    """
    return loss if isinstance(loss, Loss) else _losses[_checks.choice("loss", loss, _losses)]
