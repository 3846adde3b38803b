"""`tn.torch.regime`: the regime of a PyTorch module, by the first exact method (theory 14)."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import taylornets._regime as regimes
from taylornets._checks import ArgumentError, choice, integer
from taylornets._regime import Regime, RegimeSettings, Terms, Values
from taylornets.torch import _check, _jax
from taylornets.torch._groups import groups_of
from taylornets.torch._libraries import library
from taylornets.torch._line import TorchLine
from taylornets.torch._native import NotDifferentiableError, elementary
from taylornets.torch._outputs import ModuleInputs, Reader, called, failure, without_cache
from taylornets.torch._states import Ends, checked_module, ends, listed

METHODS = ("auto", "native", "jax", "evaluations")
PRECISIONS = ("float64", "float32")
_COMPARED = 2  # examples on which nested derivatives are compared with evaluations


def regime(
    module0: Any,
    module1: Any,
    inputs: Any,
    *,
    max_order: int = 4,
    threshold: float = 0.9,
    tolerance: float = 0.1,
    task: str = "auto",
    resum: int | None = 8,
    method: str = "auto",
    output: str | int | None = None,
    labels: Any = None,
    positions: int = 16,
    buffers: str = "move",
    groups: str | Mapping[str, str] | None = None,
    batch_size: int | None = None,
    precision: str = "float64",
    folder: Path | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Regime:
    """Determines which Taylor order explains the change of a PyTorch module between two states, such as by fine-tuning.

    The terms `f_k` of the outputs are taken along the straight line of the weights from `θ0` to `θ1`, in float64 whatever the
    dtype of the module. Three methods compute them; "auto" takes the first that is exact for the module, and `computed` of
    the result says which one it was, and why not another:

    - "native": nested forward-mode derivatives in PyTorch, with elementary versions of the functions that PyTorch
      differentiates wrongly from order two on (layer_norm, instance_norm) or not at all (fused attention, glu). They are
      compared with evaluations on two examples; a difference is an error that names the module.
    - "jax": the module as a JAX function (`from_module`) and `tn.regime`.
    - "evaluations": `tn.regime_from_evaluations`, for what neither can differentiate.

    Args:
        module0: a `torch.nn.Module` in evaluation mode with the weights `θ0`, or a state dict if `module1` is a module.
        module1: the same with the weights `θ1`. A PEFT model over a `module0` without adapter is merged: its line is
            `W0 + t B A`. Two states of one PEFT model are compared in its own parameters.
        inputs: one batch of probe inputs: a tensor, a tuple of tensors, or a dict of keyword arguments, first axes of length
            n.
        max_order: as in `tn.regime`.
        threshold: as in `tn.regime`.
        tolerance: as in `tn.regime`.
        task: as in `tn.regime`.
        resum: the highest order, 4, 6 or 8, of the resummation, as in `tn.regime`. None leaves out what describes a line that
            no order explains: resummation, the tangent at the middle and pieces. By evaluations they need up to 110 calls of
            the module, most of them only where no order up to `max_order` suffices; modules with kinks (ReLU) need
            derivatives at up to 40 points of the line.
        method: "auto", "native", "jax" or "evaluations".
        output: key or index of the output to study if the module returns several; the logits by default.
        labels: class indices whose logits are studied, for large vocabularies. By default more than 2048 outputs are
            projected onto a seeded random sketch, which keeps norms to about 6 %.
        positions: largest number of positions of token-level outputs, spaced evenly over those that the attention mask shows.
        buffers: floating buffers that differ (running statistics): "move" along the line like parameters, or stay at the
            "start" or the "end". Integer buffers never move.
        groups: also moves one group of tensors at a time: "kind" (embeddings, attention, MLP, norms, head), "block" (by
            depth), or a dict of regular expressions by name. The results are in `by_group` of the result.
        batch_size: examples per call of the module; all by default.
        precision: "float64", or "float32" for modules or devices without it; the orders are then less accurate.
        folder: as in `tn.regime_from_evaluations`.
        progress: as in `tn.regime_from_evaluations`.

    Returns:
        A `Regime`. Values that the method does not give are NaN or empty, with a reason.

    Raises:
        ArgumentError: for a module in training mode, states with other names or shapes (named, ten at most), weights that
            are NaN, quantized or on the meta device, inputs that the module does not accept, outputs that are not real with
            one example per row or not deterministic, and methods that are wrong or impossible for the module.
        ImportError: without PyTorch (`pip install 'taylornets[torch]'`).

    Source: theory 14.

    Example:
        >>> import taylornets as tn
        >>> found = tn.torch.regime(before, after, batch, groups="kind")  # doctest: +SKIP
        >>> print(found.verdict)  # doctest: +SKIP
        lazy: order 1 explains 97 % of the output change
    """
    torch = library("torch")
    choice("method", method, METHODS)
    choice("precision", precision, PRECISIONS)
    if batch_size is not None:
        integer("batch_size", batch_size, 1)
    settings = RegimeSettings(max_order, threshold, tolerance, task, resum=resum)
    dtype = getattr(torch, precision)
    both = ends(*comparable(module0, module1), buffers, dtype)
    given = ModuleInputs.of(inputs, dtype)
    line = opened(both, given, batch_size, output, labels, positions)
    if line.reader.sketched and task == "auto":
        settings = dataclasses.replace(settings, task="regression")  # a sketch has no classes
    how = MethodOfLine(settings, method, Path(folder) if folder is not None else None, progress)
    found = how(line)
    if groups is None:
        return found
    how = dataclasses.replace(how, settings=dataclasses.replace(settings, resum=None))
    parts = {name: how(line.only(names)) for name, names in groups_of(both.module, both.move, groups).items()}
    return dataclasses.replace(found, by_group=parts)


def check(module0: Any, module1: Any, inputs: Any) -> None:
    """Raises where `regime` would before its first evaluation along the line; evaluates one example.

    Args:
        module0: as in `regime`.
        module1: as in `regime`.
        inputs: as in `regime`.
    """
    dtype = library("torch").float64
    opened(ends(*comparable(module0, module1), "move", dtype), ModuleInputs.of(inputs, dtype), None, None, None, 1)


def comparable(first: Any, last: Any) -> tuple[Any, Any]:
    """Merges the adapter of a PEFT model if the other end is a module without it; two states of one PEFT model stay."""
    adapted = [hasattr(end, "merge_and_unload") and hasattr(end, "peft_config") for end in (first, last)]
    modules = [hasattr(end, "named_parameters") for end in (first, last)]
    if all(modules) and adapted[0] != adapted[1]:
        return tuple(
            _merged(end) if with_adapter else end for end, with_adapter in zip((first, last), adapted, strict=True)
        )
    return first, last


def _merged(module: Any) -> Any:
    checked_module("module1", module)
    return copy.deepcopy(module).merge_and_unload().eval()


def opened(
    both: Ends, inputs: ModuleInputs, batch_size: int | None, output: Any, labels: Any, positions: int
) -> TorchLine:
    """Builds the line, with the outputs chosen by a call on the first example."""
    torch = library("torch")
    few = inputs.part(0, 1)

    def first() -> Any:
        with torch.no_grad(), without_cache(both.module):
            return torch.func.functional_call(both.module, both.start, few.args, few.kwargs)

    double = any(value.dtype == torch.float64 for value in both.start.values())
    with elementary(derivatives=False, double=double):
        raw = called(first, "inputs")
    reader = Reader(raw, inputs, output, labels, positions)
    rows = reader(raw, 0)
    if rows.shape[0] != 1:
        got = f"outputs of shape {tuple(rows.shape)} for one example"
        raise ArgumentError(
            "module0", "outputs with one example per row", got, "Is the loss or a pooled value returned?"
        )
    return TorchLine(both, inputs, batch_size, reader, double)


@dataclass(frozen=True)
class MethodOfLine:
    """Computes the regime of a line.

    Attributes:
        settings: settings of the analysis.
        method: as in `regime`.
        folder: as in `regime`.
        progress: as in `regime`.
    """

    settings: RegimeSettings
    method: str
    folder: Path | None
    progress: Callable[[int], None] | None

    def __call__(self, line: TorchLine) -> Regime:
        """Returns the regime by the first method that works."""
        values = Values(line.at, "module0", self.folder, self.progress)
        notes = [*line.reader.notes, *_notes(line, values)]
        if not line.ends.move or not np.any(values.last - values.first):
            return self._finished(line, values, regimes.from_values(values, self.settings), notes)
        why: list[str] = []
        tried = ("native", "jax", "evaluations") if self.method == "auto" else (self.method,)
        for name in tried:
            try:
                return getattr(self, f"_{name}")(line, values, [*why, *notes])
            except (
                NotDifferentiableError,
                NotImplementedError,
                _check.DisagreementError,
                RuntimeError,
                ImportError,
            ) as error:
                if self.method != "auto" or name == "evaluations":
                    raise self._refused(name, error) from error
                why.append(f"not by method {name!r}: {failure(error)[:160]}")
            except ArgumentError as error:
                if self.method != "auto" or name != "jax":
                    raise
                why.append(f"not by method 'jax': {error.got[:160]}")
        raise AssertionError("the last method returns or raises")

    @staticmethod
    def _refused(name: str, error: Exception) -> ArgumentError:
        advice = "Use method='auto' or method='evaluations'."
        return ArgumentError("method", "one that is right for this module", f"{name!r} ({failure(error)})", advice)

    def _native(self, line: TorchLine, values: Values, notes: list[str]) -> Regime:
        examples = min(_COMPARED, line.inputs.rows)
        few = line.first(examples)
        order = self.settings.max_order
        known, largest = _check.compare(few, few.terms(order))
        version = library("torch").__version__
        said = [f"nested forward-mode derivatives in PyTorch {version}", _check.agreed(known, largest, order, examples)]
        source = regimes.from_values(values, self.settings, line.terms(order))
        return self._finished(line, values, source, [*said, *notes], line.local)

    def _evaluations(self, line: TorchLine, values: Values, notes: list[str]) -> Regime:
        found = regimes.from_values(values, self.settings)
        return self._finished(line, values, found, [found.computed, *notes])

    def _finished(
        self,
        line: TorchLine,
        values: Values,
        terms: Terms,
        notes: list[str],
        local: Callable[[float], np.ndarray] | None = None,
    ) -> Regime:
        source = dataclasses.replace(
            terms, computed="; ".join(filter(None, notes)), displacement=line.ends.displacement(), fixed=line.ends.fixed
        )
        return regimes.assembled(source, values, self.settings, local)

    def _jax(self, line: TorchLine, values: Values, notes: list[str]) -> Regime:
        del values
        found = _jax.regime_of(line, self.settings)
        versions = f"PyTorch {library('torch').__version__}, torchax {library('torchax').__version__}"
        computed = "; ".join(filter(None, [f"Taylor mode in JAX {metadata.version('jax')} ({versions})", *notes]))
        return dataclasses.replace(
            found, computed=computed, fixed=line.ends.fixed, displacement=line.ends.displacement()
        )


def _notes(line: TorchLine, values: Values) -> list[str]:
    """What the reader of the result should know of buffers and of the precision of the checkpoints."""
    both, found = line.ends, list[str]()
    if both.moved_buffers:
        found.append(f"buffers that move with the parameters: {listed(both.moved_buffers)}")
    if both.low and both.move:
        torch = library("torch")
        unit = max(torch.finfo(getattr(torch, name.removeprefix("torch."))).eps for name in both.low) / 2
        generator = torch.Generator().manual_seed(0)
        last = both.at(1.0)
        for name in both.move:
            signs = torch.randint(0, 2, last[name].shape, generator=generator).to(last[name]) * 2 - 1
            last[name] = last[name] * (1 + unit * signs / 3**0.5)
        change = float(np.linalg.norm(np.asarray(line.state_outputs(last), np.float64) - values.last))
        movement = float(np.linalg.norm(values.last - values.first))
        part = f"{100 * change / movement:.2g} % of the output change" if movement else f"{change:.2g}"
        stored = ", ".join(name.removeprefix("torch.") for name in both.low)
        found.append(f"checkpoints in {stored}: rounding the weights moves the outputs by {part}")
    return found
