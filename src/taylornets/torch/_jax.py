"""PyTorch modules as JAX functions, through torchax."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets._checks import ArgumentError
from taylornets._regime import Regime, RegimeEvaluator, RegimeSettings
from taylornets.torch._libraries import library, torchax
from taylornets.torch._native import elementary
from taylornets.torch._outputs import ModuleInputs, chosen, failure, without_cache
from taylornets.torch._states import checked_module, tensors

_AGREEMENT = {8: 1e-9, 4: 1e-3}  # of both frameworks on the first inputs, relative, by bytes of a number
_FEW = 2


@cache
def _environment() -> Any:
    """An environment of torchax of our own, in which every operation keeps the dtype that PyTorch gives it."""
    module = torchax()
    environment = module.tensor.Environment()
    environment.config.internal_respect_torch_return_dtypes = True
    return environment


def array(value: Any) -> jax.Array:
    """Converts a tensor to a JAX array of the same dtype."""
    torch = library("torch")
    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:
        return jnp.asarray(value.float().numpy()).astype(jnp.bfloat16)
    found = jnp.asarray(value.numpy())
    if value.is_floating_point() and found.dtype.itemsize != value.element_size():
        raise ArgumentError(
            "module", "weights and inputs in float32, or JAX in double precision", str(value.dtype),
            "Call it under jax.enable_x64(True), or convert the module with .float().",
        )  # fmt: skip
    return found


def arrays(inputs: Any) -> Any:
    """Converts inputs to JAX arrays: a tensor, a tuple, or a dict of keywords."""
    torch = library("torch")

    def converted(value: Any) -> Any:
        return array(value) if isinstance(value, torch.Tensor) else value

    if isinstance(inputs, Mapping):
        return {str(name): converted(value) for name, value in inputs.items()}
    if isinstance(inputs, tuple | list):
        return tuple(map(converted, inputs))
    return converted(inputs)


def from_module(
    module: Any, inputs: Any, *, output: str | int | None = None
) -> tuple[Callable[..., jax.Array], dict[str, jax.Array], dict[str, jax.Array]]:
    """Turns a PyTorch module into a JAX function of its parameters, for every function of this package and of JAX.

    The function is exact: it runs the same operations in JAX (through torchax), in the dtype of the module, and can be
    differentiated, compiled and batched. Tied weights are one array. Buffers are separate: `f(params, x)` uses those of the
    module, `f(params, x, buffers=...)` any others.

    Args:
        module: a `torch.nn.Module` in evaluation mode.
        inputs: example inputs: a tensor, a tuple of tensors, or a dict of keyword arguments; both frameworks are compared
            on the first two.
        output: key or index of the output to return if the module returns several; the logits by default.

    Returns:
        `(f, params, buffers)`: `f(params, x)` with `x` like `inputs`, of JAX or NumPy arrays; dictionaries from names to
        JAX arrays. For a float64 module, call it and `f` under `jax.enable_x64(True)`.

    Raises:
        ArgumentError: for anything but a module in evaluation mode, inputs that it does not accept, operations that torchax
            does not have, or outputs that differ between PyTorch and JAX.
        ImportError: without torch or torchax (`pip install 'taylornets[torch]'`).

    Source: theory 14.

    Example:
        >>> import taylornets as tn
        >>> tn.torch.from_module("a module", None)  # doctest: +SKIP
        Traceback (most recent call last):
        taylornets.ArgumentError: module: expected a torch.nn.Module in evaluation mode, got 'a module'. ...
    """
    checked_module("module", module)
    few = ModuleInputs.of(inputs).part(0, _FEW)
    parameters = {name: value for name, value in module.named_parameters() if value.is_floating_point()}
    params = {name: array(value) for name, value in parameters.items()}
    own = {name: array(value) for name, value in tensors(module).items() if name not in parameters}

    def f(params: Mapping[str, Any], x: Any, *, buffers: Mapping[str, Any] | None = None) -> jax.Array:
        environment = _environment()
        state = environment.j2t_iso({**params, **(own if buffers is None else buffers)})
        args, kwargs = environment.j2t_iso(_arguments(x))
        with environment, without_cache(module):
            raw = library("torch").func.functional_call(module, state, args, kwargs)
            found, _ = chosen(raw, output)
        return environment.t2j_iso(found)

    _compare(module, lambda args, kwargs: f(params, kwargs or args), few, params, output)
    return f, params, own


def _arguments(x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments, NumPy arrays as JAX arrays."""

    def converted(value: Any) -> Any:
        return jnp.asarray(value) if isinstance(value, np.ndarray) else value

    if isinstance(x, Mapping):
        return (), {str(name): converted(value) for name, value in x.items()}
    return tuple(map(converted, x)) if isinstance(x, tuple | list) else (converted(x),), {}


def _compare(module: Any, call: Callable[..., Any], few: ModuleInputs, params: Mapping[str, Any], output: Any) -> None:
    """Compares both frameworks on the first examples."""
    try:
        with library("torch").no_grad(), without_cache(module):
            raw = module(*few.args, **few.kwargs)
    except Exception as error:
        raise ArgumentError("inputs", "inputs that the module accepts", failure(error)) from error
    expected = chosen(raw, output)[0].detach().double().cpu().numpy()
    try:
        found = np.asarray(call(arrays(few.args), arrays(few.kwargs)), np.float64)
    except Exception as error:
        advice = "Use tn.torch.regime or tn.regime_from_evaluations, which need no conversion."
        raise ArgumentError("module", "operations that torchax translates to JAX", failure(error), advice) from error
    size = min((a.dtype.itemsize for a in params.values()), default=4)
    limit = _AGREEMENT.get(size, 0.05) * max(float(np.max(np.abs(expected), initial=0.0)), 1e-6)
    apart = float(np.max(np.abs(found - expected), initial=0.0)) if found.shape == expected.shape else np.inf
    if not apart <= limit:
        got = f"outputs that differ by {apart:.3g}"
        raise ArgumentError("module", "the same outputs in PyTorch and in JAX", got, "Use tn.torch.regime instead.")


def regime_of(line: Any, settings: RegimeSettings) -> Regime:
    """Computes the regime of a line by Taylor mode in JAX, in float64 for this call only.

    Args:
        line: a `TorchLine`.
        settings: settings of the analysis.
    """
    torch = library("torch")
    module, reader = line.ends.module, line.reader
    with jax.enable_x64(line.double), jax.default_matmul_precision("highest"):
        start = {name: array(value) for name, value in line.ends.start.items()}
        moved = set(line.ends.move)
        end = {name: array(value) for name, value in line.ends.at(1.0).items()}
        fixed = {name: start.pop(name) for name in list(start) if name not in moved}
        environment = _environment()
        rows = np.arange(line.inputs.rows)

        def f(params: Any, x: Any) -> Any:
            index, args, kwargs = x
            state = environment.j2t_iso({**params, **fixed})
            given, named = environment.j2t_iso((args, kwargs))
            with environment, without_cache(module), elementary(derivatives=False, double=line.double):
                raw = torch.func.functional_call(module, state, given, {**named, **constants})
                return environment.t2j_iso(reader.traced(raw, environment, index))

        tensors_only = {k: v for k, v in line.inputs.kwargs.items() if isinstance(v, torch.Tensor)}
        constants = {k: v for k, v in line.inputs.kwargs.items() if k not in tensors_only}
        x = (rows, arrays(line.inputs.args), arrays(tensors_only))
        evaluator = RegimeEvaluator(f, start, x, dataclasses.replace(settings, batch_size=line.batch_size))
        return evaluator({name: end[name] for name in start})
