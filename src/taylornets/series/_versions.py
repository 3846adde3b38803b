"""Differences between JAX versions, in one place: names of primitives, and the location of nested programs.

JAX is replacing its primitives with nested programs (loops, checkpoints, custom rules) by classes behind a single primitive,
`call_hi_primitive`. This module maps both forms to the older name, so that each rule is written once. The form is inferred
from the equation itself, not from version numbers.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax._src.core import trace_state_clean
from jax._src.state import discharge
from jax.extend import core
from jax.ref import AbstractRef

# The newest tested version.
TESTED = "0.12"

HIGH = "call_hi_primitive"

# Classes behind `call_hi_primitive` and the primitives that they replace. Each of the first four is enabled by the
# option `jax_scan3`, `jax_remat3`, `jax_custom_vjp3` or `jax_custom_jvp3`, respectively.
_CLASSES = {
    "Scan3": "scan3",
    "RematTraced": "remat2",
    "CustomVJPTraced": "custom_vjp_call",
    "CustomJVPTraced": "custom_jvp_call",
    "CheckpointName": "name",
    "CheckpointNameFwd": "name",
    "CustomRoot": "custom_root",
    "_RootLinearMap": "root_linear_map",
    "OptRemat": "opt_remat",
}


def is_untested(version: str) -> bool:
    """Returns whether a JAX version is newer than the newest tested one, ignoring the patch number."""
    return _release(version) > _release(TESTED)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")[:2])


def warn_of_untested() -> None:
    """Warns if the installed JAX is newer than the newest tested version."""
    if is_untested(jax.__version__):
        major, minor = _release(TESTED)
        text = f"taylornets is tested with JAX up to {TESTED}, but JAX {jax.__version__} is installed. If any result or error"
        text += f" looks wrong, compare with an older version: pip install 'jax<{major}.{minor + 1}'"
        warnings.warn(text, UserWarning, stacklevel=2)


def is_tracing() -> bool:
    """Returns whether an enclosing transformation is active, whose tracers a function may close over."""
    return not trace_state_clean()


def kind(equation: Any) -> str:
    """Returns the name of an equation's operation in the table of rules, independent of the JAX version."""
    name = equation.primitive.name
    return _kind_of_class(equation.params["_prim"]) if name == HIGH else name


def _kind_of_class(operation: Any) -> str:
    name = type(operation).__name__
    if name == "VmapOf":  # JAX 0.10: a batched operation, with the derivative of the original one
        inner = _kind_of_class(operation.prim)
        return inner if inner in ("custom_vjp_call", "custom_jvp_call") else HIGH
    if name in _CLASSES:
        return _CLASSES[name]
    # A user-defined class. Without a forward derivative it has at most a reverse rule.
    base = next(cls for cls in type(operation).__mro__ if cls.__name__ in ("HiPrim", "VJPHiPrimitive"))
    return "custom_vjp_call" if type(operation).jvp is base.jvp else HIGH


def parameters(equation: Any) -> dict[str, Any]:
    """Returns the parameters of the equation, or of the class behind it."""
    return equation.params["_prim"].params if equation.primitive.name == HIGH else equation.params


def scan_sizes(params: dict[str, Any]) -> tuple[int, int]:
    """Returns the numbers of constant and of carried operands of a `scan`."""
    if "ft_in" in params:  # JAX 0.11 and later: flat trees
        constants, carried, _ = params["ft_in"].unpack()
        return len(constants), len(carried)
    return params["num_consts"], params["num_carry"]


def manual_axes(params: dict[str, Any]) -> Any:
    """Returns the mesh axes of a `shard_map`."""
    return params["newly_manual_axes"] if "newly_manual_axes" in params else params["manual_axes"]


def body(equation: Any) -> Any:
    """Returns the closed program inside a call, a checkpoint or a function with a custom rule; `None` without one."""
    params = parameters(equation)
    return next((closed(params[name]) for name in ("jaxpr", "call_jaxpr", "call") if name in params), None)


def expansion(equation: Any) -> Callable[..., list[Any]]:
    """Returns the expansion of a class behind `call_hi_primitive`: a function from flat operands to flat outputs."""
    operation = equation.params["_prim"]

    def expand(*flat: Any) -> list[Any]:
        return jax.tree_util.tree_leaves(operation.expand(*jax.tree_util.tree_unflatten(operation.in_tree, flat)))

    return expand


def closed(program: Any) -> Any:
    """Returns the program in closed form; an open program has no constants."""
    return program if getattr(program, "consts", None) is not None else core.ClosedJaxpr(program, ())


def is_reference(aval: Any) -> bool:
    """Returns whether a type is that of a mutable array."""
    return isinstance(aval, AbstractRef)


def without_state(program: Any) -> Any:
    """Returns the same program with its mutable arrays converted to values, by JAX's own discharge."""
    # In JAX 0.10.0 the newer name refers to a different function.
    return getattr(discharge, "discharge_state2", discharge.discharge_state)(program)


def programs(equation: Any) -> Iterator[Any]:
    """Iterates over the open programs inside an equation.

    If a class behind `call_hi_primitive` stores its program only as a Python function, the function is traced.
    """
    if equation.primitive.name != HIGH:
        yield from _among(equation.params.values())
        return
    found = list(_among(equation.params["_prim"].params.values()))
    if not found and not any(is_reference(v.aval) for v in equation.invars):
        shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars]
        found = [jax.make_jaxpr(expansion(equation))(*shapes).jaxpr]
    yield from found


def _among(values: Any) -> Iterator[Any]:
    for value in values:
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)  # closed programs, traced functions
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield inner
            elif hasattr(item, "expand"):  # a batched operation
                yield from _among(item.params.values())


def contains(program: Any, *names: str) -> bool:
    """Returns whether an equation of one of the given kinds occurs in a program or its nested programs."""
    return any(
        kind(equation) in names or any(contains(inner, *names) for inner in programs(equation))
        for equation in getattr(program, "jaxpr", program).eqns
    )
