"""Calls a module on its inputs and chooses one array of its outputs, one example per row."""

import contextlib
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from taylornets._checks import ArgumentError, integer, shown
from taylornets.torch._libraries import library

_PREFERRED = ("logits", "prediction_logits", "start_logits", "last_hidden_state", "image_embeds", "pooler_output")
_INPUTS = "a tensor, a tuple of tensors, or a dict of keyword arguments with tensors"
_WIDE = 2048  # outputs per position above which they are sketched
_SKETCH = 512  # dimensions of the sketch
_POSITIONS = 16


@dataclass(frozen=True)
class ModuleInputs:
    """Arguments of one call: positional and by keyword."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @classmethod
    def of(cls, given: Any, dtype: Any = None) -> "ModuleInputs":
        """Reads what the user passes; floating tensors take the precision of the computation, if given."""
        torch = library("torch")

        def cast(value: Any) -> Any:
            floating = dtype is not None and isinstance(value, torch.Tensor) and value.is_floating_point()
            return value.to(dtype) if floating else value

        if isinstance(given, torch.Tensor):
            found = cls((cast(given),), {})
        elif isinstance(given, Mapping):
            found = cls((), {str(name): cast(value) for name, value in given.items()})
        elif isinstance(given, tuple | list):
            found = cls(tuple(map(cast, given)), {})
        else:
            raise ArgumentError("inputs", _INPUTS, shown(given), "Convert arrays with torch.as_tensor.")
        every = (*found.args, *found.kwargs.values())
        lengths = {value.shape[0] for value in every if isinstance(value, torch.Tensor) and value.ndim}
        if not lengths:
            raise ArgumentError("inputs", _INPUTS, f"a {type(given).__name__} without a tensor")
        if len(lengths) != 1 or 0 in lengths:
            raise ArgumentError(
                "inputs", "tensors with one example per row", f"first axes of lengths {sorted(lengths)}"
            )
        for value in every:
            if isinstance(value, torch.Tensor) and value.is_floating_point() and not bool(value.isfinite().all()):
                count = int((~value.isfinite()).sum())
                raise ArgumentError("inputs", "finite numbers", f"{count} NaN or infinite of {value.numel()}")
        return found

    @property
    def rows(self) -> int:
        """Number of examples."""
        torch = library("torch")
        every = (*self.args, *self.kwargs.values())
        return next(value.shape[0] for value in every if isinstance(value, torch.Tensor) and value.ndim)

    def part(self, begin: int, end: int) -> "ModuleInputs":
        """Returns the examples from `begin` to `end`."""
        torch = library("torch")

        def cut(value: Any) -> Any:
            return value[begin:end] if isinstance(value, torch.Tensor) and value.ndim else value

        return ModuleInputs(tuple(map(cut, self.args)), {name: cut(value) for name, value in self.kwargs.items()})


@contextlib.contextmanager
def without_cache(module: Any) -> Generator[None, None, None]:
    """Switches the key-value cache of transformers off, which stores tensors between calls."""
    configs = [c for c in {id(part.config): part.config for part in module.modules() if hasattr(part, "config")}.values()
               if getattr(c, "use_cache", None) is True]  # fmt: skip
    try:
        for config in configs:
            config.use_cache = False
        yield
    finally:
        for config in configs:
            config.use_cache = True


def chosen(raw: Any, name: str | int | None) -> tuple[Any, str]:
    """Picks the outputs to study.

    Args:
        raw: what the module returned.
        name: a key or an index of it; None for the logits, or the first floating tensor.

    Returns:
        The tensor, and what it is called.
    """
    torch = library("torch")
    if isinstance(raw, torch.Tensor):
        if name is not None:
            raise ArgumentError("output", "None for a module that returns one tensor", repr(name))
        return raw, ""
    if isinstance(raw, Mapping):
        found: dict[Any, Any] = dict(raw)
    elif isinstance(raw, tuple | list):
        found = dict(enumerate(raw))
    else:
        raise ArgumentError("module0", "a module that returns tensors", f"a {type(raw).__name__}")
    floating = {
        key: value for key, value in found.items() if isinstance(value, torch.Tensor) and value.is_floating_point()
    }
    if name is not None and name not in floating:
        raise ArgumentError("output", f"one of {', '.join(map(repr, floating))}", repr(name))
    usable = [key for key, value in floating.items() if value.ndim]
    if not usable:
        raise ArgumentError(
            "module0", "a module that returns a floating tensor", f"a {type(raw).__name__} of {list(found)}"
        )
    key = name if name is not None else next((key for key in _PREFERRED if key in usable), usable[0])
    return floating[key], str(key)


class Reader:
    """Reduces outputs to what is studied: chosen tensor, positions of a sequence, and a sketch of a large vocabulary.

    Args:
        first: the outputs of the first example or examples, as the module returns them.
        inputs: all inputs.
        output: as in `regime`.
        labels: class indices to which a large last axis is reduced, or None.
        positions: largest number of positions of token-level outputs.
    """

    def __init__(self, first: Any, inputs: ModuleInputs, output: str | int | None, labels: Any, positions: int):
        torch = library("torch")
        tensor, name = chosen(first, output)
        self._output, self.notes, self.sketched = output, [f"output {name}"] if name else list[str](), False
        self._places = self._labels = self._matrix = None
        if tensor.ndim == 0 or tensor.is_complex():
            kind = "a number per batch" if tensor.ndim == 0 else "complex numbers"
            advice = "Return logits or predictions, one example per row; of several outputs, choose one by `output`."
            raise ArgumentError("module0", "real outputs with one example per row", kind, advice)
        integer("positions", positions, 1)
        if tensor.ndim == 3:
            self._places = _positions(tensor.shape[1], inputs, positions)
            if self._places.shape[1] < tensor.shape[1]:
                self.notes.append(f"{self._places.shape[1]} of {tensor.shape[1]} positions per example")
        width = tensor.shape[-1]
        if labels is not None:
            self._labels = torch.as_tensor(labels, dtype=torch.long, device=tensor.device).reshape(-1)
            if not len(self._labels) or int(self._labels.min()) < 0 or int(self._labels.max()) >= width:
                raise ArgumentError("labels", f"indices from 0 to {width - 1} of the outputs", shown(list(labels)[:8]))
            self.notes.append(f"logits of {len(self._labels)} labels out of {width}")
        elif tensor.ndim > 1 and width > _WIDE:
            generator = torch.Generator().manual_seed(0)
            signs = torch.randint(0, 2, (width, _SKETCH), generator=generator).to(tensor.dtype) * 2 - 1
            self._matrix = (signs / math.sqrt(_SKETCH)).to(tensor.device)
            self.sketched = True
            error = 100 * math.sqrt(2 / _SKETCH)
            self.notes.append(
                f"a seeded sketch of {_SKETCH} of {width} outputs (norms are right to about {error:.0f} % per position)"
            )

    def __call__(self, raw: Any, begin: int) -> Any:
        """Returns the reduced outputs of the examples from `begin` on."""
        tensor, _ = chosen(raw, self._output)
        if self._places is not None:
            places = self._places[begin : begin + tensor.shape[0]].to(tensor.device)
            tensor = tensor.gather(1, places[:, :, None].expand(-1, -1, tensor.shape[-1]))
        if self._labels is not None:
            tensor = tensor[..., self._labels]
        elif self._matrix is not None:
            tensor = tensor @ self._matrix
        return tensor

    def traced(self, raw: Any, environment: Any, rows: Any) -> Any:
        """Returns the reduced outputs in JAX: the rows of the batch are an array, and constants become arrays of torchax.

        Args:
            raw: outputs of the module under torchax.
            environment: of torchax.
            rows: index of every example of the batch, an array of JAX.
        """
        tensor, _ = chosen(raw, self._output)
        if self._places is not None:
            places = environment.t2j_copy(self._places)[rows]
            tensor = tensor.gather(1, environment.j2t_iso(places)[:, :, None].expand(-1, -1, tensor.shape[-1]))
        if self._labels is not None:
            return tensor[..., environment.j2t_iso(environment.t2j_copy(self._labels))]
        return tensor if self._matrix is None else tensor @ environment.j2t_iso(environment.t2j_copy(self._matrix))


def _positions(length: int, inputs: ModuleInputs, most: int) -> Any:
    """Evenly spaced positions of every example, among those that its attention mask shows; shape `(n, positions)`."""
    torch = library("torch")
    mask = inputs.kwargs.get("attention_mask")
    if mask is None or tuple(mask.shape) != (inputs.rows, length):
        mask = torch.ones(inputs.rows, length)
    count = min(most, max(1, int(mask.bool().sum(1).min())))
    spread = torch.linspace(0, 1, count, dtype=torch.float64)
    rows = []
    for row in mask.bool().cpu():
        seen = torch.nonzero(row)[:, 0]
        seen = seen if len(seen) else torch.arange(length)
        rows.append(seen[(spread * (len(seen) - 1)).round().long()])
    return torch.stack(rows)


def failure(error: Exception) -> str:
    """Formats an exception of the module as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def called(call: Callable[[], Any], what: str) -> Any:
    """Calls the module; an exception becomes a one-line message."""
    try:
        return call()
    except ArgumentError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        advice = (
            "Tensors that are attributes but not buffers keep their dtype: use register_buffer."
            if "dtype" in str(error)
            else ""
        )
        raise ArgumentError(what, "inputs that the module accepts", failure(error), advice) from error
