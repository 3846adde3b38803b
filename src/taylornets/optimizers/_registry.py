"""Methods by name."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import PRNGKeyArray

from taylornets import _checks
from taylornets.optimizers._interface import Method

# Takes the objective, a JAX random key and the largest number of steps.
MethodFactory: TypeAlias = Callable[[Any, PRNGKeyArray, int], Method]

METHODS: dict[str, MethodFactory] = {}


def register(name: str, factory: MethodFactory) -> None:
    """Makes an optimization method available to `taylornets.fit` under a name.

    Args:
        name: the name.
        factory: called as `factory(objective, key, max_steps)`; returns the method with settings that suit the objective.

    Raises:
        ArgumentError: if another method has the name.

    Example:
        >>> import taylornets as tn
        >>> tn.optimizers.register("lbfgs", lambda objective, key, max_steps: tn.optimizers.LBFGS())
        Traceback (most recent call last):
        ...
        taylornets.ArgumentError: name: expected an unused name, got 'lbfgs'.
    """
    if name in METHODS:
        raise _checks.ArgumentError("name", "an unused name", repr(name))
    METHODS[name] = factory
