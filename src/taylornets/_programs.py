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

# Numbers in all arguments together, up to which a program counts as small.
_SMALL = 2**20
_ARRAYS = (jax.Array, np.ndarray, np.generic)
_ARRAY = object()  # the place of an array among the leaves of the arguments
# Fewer passes of LLVM, and XLA's older code generator: a third of the time of compilation.
_OPTIONS = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}


def program(function: Callable[P, T]) -> Callable[P, T]:
    """Decorates a function like `equinox.filter_jit`; small arguments on one CPU are compiled with less optimization.

    Within other compiled or transformed functions, the decorated function belongs to their program.
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
    def quick() -> Any:
        return jax.jit(called, static_argnums=1, compiler_options=_options())

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        leaves, tree = jax.tree.flatten((args, kwargs))
        arrays = [leaf for leaf in leaves if isinstance(leaf, _ARRAYS)]
        if not _is_small(arrays):
            return whole(*args, **kwargs)
        static = tuple(_ARRAY if isinstance(leaf, _ARRAYS) else leaf for leaf in leaves)
        return quick()(arrays, (tree, static))

    return run


def _is_small(arrays: list[Any]) -> bool:
    """Whether a program of these arrays is its own, on one CPU, and small."""
    if any(isinstance(array, Tracer) for array in arrays) or sum(array.size for array in arrays) > _SMALL:
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
