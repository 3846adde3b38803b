"""Losses by name."""

from typing import Any

from taylornets import _checks
from taylornets.losses._base import Loss
from taylornets.losses._classification import Logistic, Softmax
from taylornets.losses._regression import Huber, Squared

_losses: dict[str, type[Loss]] = {"squared": Squared, "logistic": Logistic, "softmax": Softmax, "huber": Huber}


def names() -> tuple[str, ...]:
    """The names of all losses, sorted.

    Example:
        >>> import taylornets as tn
        >>> tn.losses.names()
        ('huber', 'logistic', 'softmax', 'squared')
    """
    return tuple(sorted(_losses))


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
    return loss if isinstance(loss, Loss) else _losses[_checks.choice("loss", loss, _losses)]()
