"""What each version of JAX calls what, and where it keeps the programs inside an equation: the only place that knows.

JAX moves its operations with programs inside (loops, checkpoints, custom rules) from primitives of their own to classes
behind a single primitive, `call_hi_primitive`. Both forms get the older name here, so a rule is written once. No rule
compares version numbers: what an equation holds tells its form.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax._src.core import trace_state_clean
from jax._src.state import discharge
from jax.extend import core
from jax.ref import AbstractRef

# The newest version that the tests have run with.
TESTED = "0.12"

HIGH = "call_hi_primitive"

# Classes behind `call_hi_primitive` and the primitives that they replace. The first four replace one each when the
# option `jax_scan3`, `jax_remat3`, `jax_custom_vjp3` or `jax_custom_jvp3` is set.
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
    """Whether a version of JAX is newer than any that the tests have run with; its third number does not count."""
    return _release(version) > _release(TESTED)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")[:2])


def warn_of_untested() -> None:
    """Says so where the installed JAX is newer than any that the tests have run with."""
    if is_untested(jax.__version__):
        major, minor = _release(TESTED)
        text = (
            f"taylornets is tested with JAX up to {TESTED}, and this is JAX {jax.__version__}. If a result or an error"
        )
        text += f" looks wrong, compare with an older one: pip install 'jax<{major}.{minor + 1}'"
        warnings.warn(text, UserWarning, stacklevel=2)


def is_tracing() -> bool:
    """Whether an enclosing transformation is under way, whose tracers a function may close over."""
    return not trace_state_clean()


def kind(equation: Any) -> str:
    """The name by which an equation's operation is known to the table of rules, whatever form JAX gives it."""
    name = equation.primitive.name
    return _kind_of_class(equation.params["_prim"]) if name == HIGH else name


def _kind_of_class(operation: Any) -> str:
    name = type(operation).__name__
    if name == "VmapOf":  # JAX 0.10: a batch of another one, with the derivative of that
        inner = _kind_of_class(operation.prim)
        return inner if inner in ("custom_vjp_call", "custom_jvp_call") else HIGH
    if name in _CLASSES:
        return _CLASSES[name]
    # Anybody can define one. Without a forward derivative it has at most a reverse rule.
    base = next(cls for cls in type(operation).__mro__ if cls.__name__ in ("HiPrim", "VJPHiPrimitive"))
    return "custom_vjp_call" if type(operation).jvp is base.jvp else HIGH


def parameters(equation: Any) -> dict[str, Any]:
    """The parameters of the equation, or of the class behind it."""
    return equation.params["_prim"].params if equation.primitive.name == HIGH else equation.params


def scan_sizes(params: dict[str, Any]) -> tuple[int, int]:
    """How many operands of a `scan` are constants and how many are carried."""
    if "ft_in" in params:  # JAX 0.11 and later: flat trees
        constants, carried, _ = params["ft_in"].unpack()
        return len(constants), len(carried)
    return params["num_consts"], params["num_carry"]


def manual_axes(params: dict[str, Any]) -> Any:
    """The axes of the mesh over which a `shard_map` runs."""
    return params["newly_manual_axes"] if "newly_manual_axes" in params else params["manual_axes"]


def body(equation: Any) -> Any:
    """The program that a call, a checkpoint or a function with a custom rule holds, closed; `None` if it holds none."""
    params = parameters(equation)
    return next((closed(params[name]) for name in ("jaxpr", "call_jaxpr") if name in params), None)


def expansion(equation: Any) -> Callable[..., list[Any]]:
    """What a class behind `call_hi_primitive` stands for: a function of the flat operands to the flat outputs."""
    operation = equation.params["_prim"]

    def expand(*flat: Any) -> list[Any]:
        return jax.tree_util.tree_leaves(operation.expand(*jax.tree_util.tree_unflatten(operation.in_tree, flat)))

    return expand


def closed(program: Any) -> Any:
    """The program with its constants; what comes without has none."""
    return program if getattr(program, "consts", None) is not None else core.ClosedJaxpr(program, ())


def is_reference(aval: Any) -> bool:
    """Whether a type is that of a mutable array."""
    return isinstance(aval, AbstractRef)


def without_state(program: Any) -> Any:
    """The same program with its mutable arrays turned into values, by JAX itself."""
    # JAX 0.10.0 has another function under the newer name.
    return getattr(discharge, "discharge_state2", discharge.discharge_state)(program)


def programs(equation: Any) -> Iterator[Any]:
    """The open programs inside an equation.

    Of a class behind `call_hi_primitive` whose program is a Python function alone, that function is traced.
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
            elif hasattr(item, "expand"):  # one operation inside another: a batch of it
                yield from _among(item.params.values())


def contains(program: Any, *names: str) -> bool:
    """Whether an equation of one of the given kinds occurs in a program or inside one of its equations."""
    return any(
        kind(equation) in names or any(contains(inner, *names) for inner in programs(equation))
        for equation in getattr(program, "jaxpr", program).eqns
    )
