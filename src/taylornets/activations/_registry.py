"""The registry of activations."""

import inspect
from collections.abc import Callable
from typing import Any

from taylornets import _checks
from taylornets.activations._base import Activation
from taylornets.activations._custom import Custom

_factories: dict[str, Callable[[], Activation]] = {}
_parsers: dict[str, Callable[[str], Activation | None]] = {}


def register(name: str, factory: Callable[[], Activation]) -> None:
    """Registers an activation under a name, for `get`.

    Args:
        name: the name; `factory().name` should equal it.
        factory: called without arguments.

    Raises:
        ArgumentError: if another activation has the name.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> softsign = tn.activations.Custom(lambda t: t / (1 + jnp.abs(t)))
        >>> tn.activations.register("softsign", lambda: softsign)
        >>> tn.activations.get("softsign") == softsign
        True
    """
    if name in _factories:
        raise _checks.ArgumentError("name", "an unused name", repr(name))
    _factories[name] = factory


def register_pattern(pattern: str, parser: Callable[[str], Activation | None]) -> None:
    """Registers a parametric family of activations, for `get`.

    Args:
        pattern: the form of the names of members, for error messages.
        parser: returns the activation for a name, or None if the name does not belong to this family.
    """
    _parsers[pattern] = parser


def names() -> tuple[str, ...]:
    """Returns the names of all registered activations, sorted.

    Example:
        >>> import taylornets as tn
        >>> "cubic_relu" in tn.activations.names()
        True
    """
    return tuple(sorted(_factories))


def get(activation: Any) -> Activation:
    """Returns an activation by name, or converts a function to an activation.

    Args:
        activation: one of `names()`; or a member of a family, `"relu_power_P"` for `relu(t)^P/P!` and
            `"polynomial(c0, c1, ...)"`; or any smooth JAX function of a real scalar (see `Custom`); or an
            activation, which is returned unchanged.

    Returns:
        The activation.

    Raises:
        ArgumentError: for an unknown name, suggesting the closest one, or a value of another type.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> float(tn.activations.get(lambda t: jnp.sin(3 * t)).derivative(1)(0.0))
        3.0
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        for parser in _parsers.values():
            parsed = parser(activation)
            if parsed is not None:
                return parsed
        return _factories[_checks.choice("activation", activation, [*_factories, *_parsers])]()
    if callable(activation) and not inspect.isclass(activation):
        return Custom(activation)
    raise _checks.ArgumentError(
        "activation",
        "a name, an activation or a JAX function of a real scalar",
        repr(activation),
        "taylornets.activations.names() lists the names.",
    )
