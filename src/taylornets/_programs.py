"""Compiled programs: less optimization where compiling takes longer than running.

XLA compiles a program of this library for the CPU in 0.1 to 0.5 s, and runs it on a small problem in a millisecond or less.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from taylornets import _devices

P = ParamSpec("P")
T = TypeVar("T")

_ARRAYS = (jax.Array, np.ndarray, np.generic)
_ARRAY = object()  # the place of an array among the leaves of the arguments
# Numbers in all arguments together, up to which a program is compiled with little and with no optimization.
_SMALL, _TINY = 2**20, 2**17
# Fewer passes of LLVM, and XLA's older code generator: a third of the time of compilation. Without optimization it is a
# quarter; the program then takes up to twice as long, or three times if it is a loop.
_OPTIONS = {"xla_cpu_use_fusion_emitters": False}
_LEVEL = "xla_backend_optimization_level"


def program(function: Callable[P, T], least: int = 0) -> Callable[P, T]:
    """Decorates a function like `equinox.filter_jit`; small arguments on one CPU are compiled with less optimization.

    Within other compiled or transformed functions, the decorated function belongs to their program.

    Args:
        function: the function; arrays among its arguments are traced, all other leaves are constants of the program.
        least: the lowest level of optimization, 0 or 1.
    """
    whole = eqx.filter_jit(function)
    original: Any = function

    def called(arrays: list[Any], rest: tuple[Any, tuple[Any, ...]]) -> Any:
        tree, static = rest
        given = iter(arrays)
        args, kwargs = jax.tree.unflatten(tree, [next(given) if leaf is _ARRAY else leaf for leaf in static])
        return original(*args, **kwargs)

    called.__name__ = original.__name__

    @functools.cache
    def quick(level: int) -> Any:
        return jax.jit(called, static_argnums=1, compiler_options={_LEVEL: level, **_options()})

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        leaves, tree = jax.tree.flatten((args, kwargs))
        arrays = [leaf for leaf in leaves if isinstance(leaf, _ARRAYS)]
        size = sum(array.size for array in arrays)
        if size > _SMALL or not _on_one_cpu(arrays):
            return whole(*args, **kwargs)
        static = tuple(_ARRAY if isinstance(leaf, _ARRAYS) else leaf for leaf in leaves)
        return quick(max(least, int(size > _TINY)))(arrays, (tree, static))

    return run


loop = functools.partial(program, least=1)


def _on_one_cpu(arrays: list[Any]) -> bool:
    """Whether a program of these arrays is its own, not part of another one, and runs on one CPU."""
    if any(isinstance(array, Tracer) for array in arrays):
        return False
    found = _devices.devices(*arrays)
    return len(found) == 1 and found[0].platform == "cpu" and not isinstance(jnp.zeros(()), Tracer)


@functools.cache
def _options() -> dict[str, Any]:
    """The options that the installed XLA has."""
    return {name: value for name, value in _OPTIONS.items() if _has(name, value)}


def _has(name: str, value: Any) -> bool:
    try:
        jax.jit(lambda: 0, compiler_options={name: value})()
    except jax.errors.JaxRuntimeError:
        return False
    return True
