"""The outputs of a PyTorch module along the line between two states, batch by batch, in one precision."""

from collections.abc import Callable
from typing import Any

import numpy as np

from taylornets.torch import _native
from taylornets.torch._libraries import library
from taylornets.torch._outputs import ModuleInputs, Reader, called, without_cache
from taylornets.torch._states import Ends


class TorchLine:
    """Evaluates a module at `θ0 + tΔ`.

    Args:
        ends: both ends.
        inputs: all inputs.
        batch_size: examples per call, or None for all at once.
        reader: reduces the outputs.
        double: whether the computation is in float64 throughout.
    """

    def __init__(self, ends: Ends, inputs: ModuleInputs, batch_size: int | None, reader: Reader, double: bool):
        self.ends, self.inputs, self.reader, self.double, self.batch_size = ends, inputs, reader, double, batch_size
        step = inputs.rows if batch_size is None else batch_size
        self._parts = [(begin, inputs.part(begin, begin + step)) for begin in range(0, inputs.rows, step)]

    def only(self, names: set[str]) -> "TorchLine":
        """Returns the line along which only some tensors move."""
        return self._with(self.ends.only(names), self.inputs)

    def first(self, examples: int) -> "TorchLine":
        """Returns the line with the first examples only."""
        return self._with(self.ends, self.inputs.part(0, examples))

    def _with(self, ends: Ends, inputs: ModuleInputs) -> "TorchLine":
        return TorchLine(ends, inputs, self.batch_size, self.reader, self.double)

    def call(self, state: dict[str, Any], begin: int, part: ModuleInputs) -> Any:
        """Returns the reduced outputs of one batch for given weights."""
        torch = library("torch")
        raw = torch.func.functional_call(self.ends.module, state, part.args, part.kwargs)
        return self.reader(raw, begin)

    def _each(self, computed: Callable[[int, ModuleInputs], Any]) -> list[Any]:
        with without_cache(self.ends.module):
            return [computed(begin, part) for begin, part in self._parts]

    def at(self, t: float) -> np.ndarray:
        """Returns the outputs at t as NumPy arrays."""
        torch = library("torch")
        with torch.no_grad():
            return self.state_outputs(self.ends.at(t))

    def state_outputs(self, state: dict[str, Any]) -> np.ndarray:
        """Returns the outputs for given weights."""
        with library("torch").no_grad(), _native.elementary(derivatives=False, double=self.double):
            rows = self._each(
                lambda begin, part: called(lambda: self.call(state, begin, part), "inputs").detach().cpu().numpy()
            )
        return np.concatenate(rows)

    def local(self, t: float) -> np.ndarray:
        """Returns the terms of orders 0 to 2 in `s` at `t + s`."""
        return self.terms(2, t)

    def terms(self, max_order: int, center: float = 0.0) -> np.ndarray:
        """Returns the Taylor terms of orders 0 to `max_order` at a point of the line, in float64 on the host."""
        any_value = next(iter(self.ends.start.values()))
        dtype = next(value.dtype for value in self.ends.move.values())

        def one(begin: int, part: ModuleInputs) -> list[np.ndarray]:
            parts = _native.terms(
                lambda s: self.call(self.ends.at(center + s), begin, part), max_order, dtype, any_value.device
            )
            return [part.detach().cpu().numpy() for part in parts]

        # Gradients stay enabled: without them, some operations (silu) take paths that have no nested derivatives.
        with _native.elementary(derivatives=True, double=self.double):
            found = self._each(one)
        return np.stack(
            [np.concatenate([np.asarray(rows[k], np.float64) for rows in found]) for k in range(max_order + 1)]
        )
