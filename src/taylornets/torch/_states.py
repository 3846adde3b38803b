"""The two ends of a line as named tensors: reading modules and state dicts, comparing them, and rejecting unusable ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taylornets._checks import ArgumentError, choice, shown
from taylornets.torch._libraries import library

BUFFERS = ("move", "start", "end")
_MODULE = "a torch.nn.Module in evaluation mode"
_LISTED = 10  # names in a message
_QUANTIZED = ("Params4bit", "Int8Params", "QTensor", "AffineQuantizedTensor")


def listed(names: Sequence[str]) -> str:
    """Joins at most ten names."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def is_module(value: Any) -> bool:
    """Returns whether a value is a PyTorch module."""
    return isinstance(value, library("torch").nn.Module)


def checked_module(argument: str, module: Any) -> Any:
    """Returns a module in evaluation mode; raises for anything else, and for weights that cannot be evaluated.

    Args:
        argument: its name in messages.
        module: the module.
    """
    if not is_module(module):
        advice = "Pass the module itself; the other end may be a state dict."
        raise ArgumentError(argument, _MODULE, shown(module), advice)
    active = [name or type(module).__name__ for name, part in module.named_modules() if part.training]
    if active:
        got = f"one in training mode ({listed(active[:3])})"
        raise ArgumentError(
            argument, _MODULE, got, "Call .eval(): dropout and batch statistics are not a function of the weights."
        )
    refuse_unusable(argument, tensors(module))
    return module


def tensors(module: Any, duplicates: bool = False) -> dict[str, Any]:
    """Returns parameters and buffers by name; tied ones once, unless `duplicates`."""
    return dict(module.named_parameters(remove_duplicate=not duplicates)) | dict(
        module.named_buffers(remove_duplicate=not duplicates)
    )


def refuse_unusable(argument: str, state: Mapping[str, Any]) -> None:
    """Raises for tensors without values, and for quantized ones."""
    meta = [name for name, value in state.items() if getattr(value, "is_meta", False)]
    if meta:
        got = f"{len(meta)} meta tensors without values ({listed(meta[:3])})"
        raise ArgumentError(argument, "weights with values", got, "Load the checkpoint into the module first.")
    quantized = [
        name
        for name, value in state.items()
        if type(value).__name__ in _QUANTIZED or getattr(value, "is_quantized", False)
    ]
    if quantized:
        got = f"{len(quantized)} quantized ones ({listed(quantized[:3])})"
        advice = "Load the model without quantization, or evaluate it yourself for tn.regime_from_evaluations."
        raise ArgumentError(argument, "weights in floating point", got, advice)


@dataclass(frozen=True)
class Ends:
    """Both ends of the line.

    Attributes:
        module: the module that is evaluated; its own weights are not used.
        start: all tensors at `θ0`, floating ones in the precision of the computation.
        move: displacements of the tensors that move.
        moved_buffers: floating buffers among them.
        fixed: tensors that differ and stay, with the end whose value is used.
        low: dtypes below float32 in which the ends are stored.
    """

    module: Any
    start: dict[str, Any]
    move: dict[str, Any]
    moved_buffers: tuple[str, ...]
    fixed: dict[str, str]
    low: tuple[str, ...]

    def at(self, t: Any) -> dict[str, Any]:
        """Returns all tensors at `θ0 + tΔ`."""
        return {name: value + t * self.move[name] if name in self.move else value for name, value in self.start.items()}

    def only(self, names: set[str]) -> "Ends":
        """Returns a line along which only some tensors move; the others stay at the start."""
        move = {name: value for name, value in self.move.items() if name in names}
        return Ends(self.module, self.start, move, (), self.fixed, self.low)

    def displacement(self) -> dict[str, tuple[float, float]]:
        """`‖Δ‖` and `‖Δ‖/‖θ0‖` of every tensor that moves."""
        found: dict[str, tuple[float, float]] = {}
        for name, value in self.move.items():
            own, way = float(self.start[name].norm()), float(value.norm())
            found[name] = (way, way / own if own else float("inf") if way else 0.0)
        return found


def ends(first: Any, last: Any, buffers: str, dtype: Any) -> Ends:
    """Reads both ends.

    Args:
        first: a module, or a state dict if the other end is a module.
        last: a module or a state dict.
        buffers: floating buffers that differ: "move", "start" or "end".
        dtype: floating dtype of the computation.
    """
    choice("buffers", buffers, BUFFERS)
    if is_module(first):
        module = checked_module("module0", first)
    elif isinstance(first, Mapping) and is_module(last):
        module = checked_module("module1", last)
    else:
        got = f"a {type(first).__name__} and a {type(last).__name__}"
        raise ArgumentError("module0", "a torch.nn.Module at one of the two ends at least", got)
    if is_module(last):
        checked_module("module1", last)
    names = tensors(module)
    begin, end = _read("module0", first, module), _read("module1", last, module)
    _refuse_other(module, begin, end)
    parameters = dict(module.named_parameters())
    start: dict[str, Any] = {}
    move: dict[str, Any] = {}
    fixed: dict[str, str] = {}
    for name in names:
        a, b = begin[name].detach(), end[name].detach().to(begin[name].device)
        floating = a.is_floating_point()
        differs = not bool((a == b).all()) if a.shape == b.shape else True
        if floating:
            _refuse_nan("module0", name, a)
            _refuse_nan("module1", name, b)
            a, b = a.to(dtype), b.to(dtype)
        if differs and floating and (name in parameters or buffers == "move"):
            start[name], move[name] = a, b - a
        else:
            end_used = differs and floating and buffers == "end"
            start[name] = b if end_used else a
            if differs and not name.endswith("num_batches_tracked"):
                fixed[name] = "end" if end_used else "start"
    stored = {str(value.dtype) for state in (begin, end) for value in state.values() if value.is_floating_point()}
    low = tuple(sorted(stored & {"torch.bfloat16", "torch.float16"}))
    return Ends(module, start, move, tuple(name for name in move if name not in parameters), fixed, low)


def _read(argument: str, value: Any, module: Any) -> dict[str, Any]:
    """Tensors of an end under the names of the module; buffers that a state dict leaves out are those of the module."""
    if is_module(value):
        return tensors(value, duplicates=True)
    if not isinstance(value, Mapping) or not all(hasattr(leaf, "is_floating_point") for leaf in value.values()):
        raise ArgumentError(argument, "a torch.nn.Module or its state dict", shown(value))
    refuse_unusable(argument, value)
    own = tensors(module, duplicates=True)
    stored = set(module.state_dict())
    return {name: leaf for name, leaf in own.items() if name not in stored} | dict(value)


def _refuse_other(module: Any, begin: Mapping[str, Any], end: Mapping[str, Any]) -> None:
    names, every = tensors(module), tensors(module, duplicates=True)
    for argument, state in (("module0", begin), ("module1", end)):
        missing = [name for name in names if name not in state]
        extra = [name for name in state if name not in every]
        if missing or extra:
            parts = [f"without {listed(missing)}"] if missing else []
            parts += [f"with {listed(extra)}"] if extra else []
            advice = "Both ends must come from one architecture; merge LoRA adapters first."
            raise ArgumentError(argument, "the names of the module", "a state " + " and ".join(parts), advice)
    shapes = [
        f"{name} {tuple(begin[name].shape)}, {tuple(end[name].shape)}"
        for name in names
        if begin[name].shape != end[name].shape
    ]
    if shapes:
        raise ArgumentError("module1", "the shapes of module0", listed(shapes))
    by_value: dict[int, list[str]] = {}
    for name, value in every.items():
        by_value.setdefault(id(value), []).append(name)
    for tied in by_value.values():
        for argument, state in (("module0", begin), ("module1", end)):
            given = [name for name in tied if name in state]
            if any(not bool((state[name] == state[given[0]]).all()) for name in given[1:]):
                raise ArgumentError(argument, "equal values of tied weights", f"different ones at {listed(given)}")


def _refuse_nan(argument: str, name: str, value: Any) -> None:
    if not bool(value.isfinite().all()):
        count = int((~value.isfinite()).sum())
        raise ArgumentError(argument, "finite weights", f"{count} NaN or infinite of {value.numel()} in {name}")
