"""Activations by name."""

import inspect
from collections.abc import Callable
from typing import Any

from taylornets import _checks
from taylornets.activations._base import Activation
from taylornets.activations._custom import Custom

_factories: dict[str, Callable[[], Activation]] = {}
_parsers: dict[str, Callable[[str], Activation | None]] = {}


def register(name: str, factory: Callable[[], Activation]) -> None:
    """Makes an activation available to `get` under a name.

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
        raise _checks.ArgumentError("name", "a name that is free", repr(name))
    _factories[name] = factory


def register_pattern(pattern: str, parser: Callable[[str], Activation | None]) -> None:
    """Makes a family of activations available to `get`.

    Args:
        pattern: how a user writes a member, for error messages.
        parser: the activation of a name, or None if the name is not of this family.
    """
    _parsers[pattern] = parser


def names() -> tuple[str, ...]:
    """The names of all registered activations, sorted.

    Example:
        >>> import taylornets as tn
        >>> "cubic_relu" in tn.activations.names()
        True
    """
    return tuple(sorted(_factories))


def get(activation: Any) -> Activation:
    """The activation of a name, or made of a function.

    Args:
        activation: one of `names()`; or a member of a family, `"relu_power_P"` for `relu(t)^P/P!` and
            `"polynomial(c0, c1, ...)"`; or any smooth JAX function of a real scalar (see `Custom`); or an
            activation, which is returned as it is.

    Returns:
        The activation.

    Raises:
        ArgumentError: for an unknown name, with the nearest one, or for something that is none of these.

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
        "Names are listed by taylornets.activations.names().",
    )
