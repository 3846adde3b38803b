"""Comparison of nested derivatives with evaluations, and the search for the module at which they part."""

from collections.abc import Callable
from typing import Any

import numpy as np

from taylornets._regime import UNRELIABLE, Values, coefficients
from taylornets.torch import _native
from taylornets.torch._libraries import library
from taylornets.torch._line import TorchLine

_SLACK = 10.0  # times the estimated error
_FLOOR = 1e-6  # relative difference that never counts


class DisagreementError(RuntimeError):
    """Nested derivatives that differ from evaluations; the message names the module."""


def compare(line: TorchLine, terms: np.ndarray) -> tuple[int, float]:
    """Compares Taylor terms with those from evaluations, on the first examples.

    Args:
        line: the line of these examples.
        terms: their terms by nested derivatives.

    Returns:
        The highest order up to which evaluations are reliable, and the largest relative difference up to it.

    Raises:
        DisagreementError: if the terms differ by more than the estimated error.
    """
    known, largest, bad = _parted(line.at, terms)
    if bad:
        where = _culprit(line, len(terms) - 1)
        raise DisagreementError(f"order {bad} by nested derivatives differs from evaluations{where}")
    return known, largest


def _parted(outputs: Callable[[float], Any], terms: np.ndarray) -> tuple[int, float, int]:
    """The highest reliable order, the largest relative difference, and the first order that differs (or 0)."""
    values = Values(outputs)
    movement = float(np.linalg.norm(values.last - values.first))
    if not movement:
        return 0, 0.0, 0
    found = coefficients(values, len(terms) - 1)
    known, largest = 0, 0.0
    for k, error in enumerate(found.error, 1):
        if not error <= UNRELIABLE:
            break
        size = max(float(np.linalg.norm(found.terms[k])), 0.1 * movement)
        apart = float(np.linalg.norm(terms[k] - found.terms[k])) / size
        if not apart <= _SLACK * error + _FLOOR:
            return known, apart, k
        known, largest = k, max(largest, apart)
    return known, largest, 0


def _culprit(line: TorchLine, max_order: int) -> str:
    """Names the innermost module whose nested derivatives are wrong on its own inputs; empty if none is found."""
    seen: dict[str, tuple[Any, Any]] = {}

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def kept(_: Any, args: Any, kwargs: Any) -> None:
            seen.setdefault(name, (args, kwargs))

        return kept

    module = line.ends.module
    handles = [
        part.register_forward_pre_hook(hook(name), with_kwargs=True) for name, part in module.named_modules() if name
    ]
    try:
        line.at(0.0)
    finally:
        for handle in handles:
            handle.remove()
    for name in sorted(seen, key=lambda name: -name.count(".")):
        if _is_wrong(line, name, *seen[name], max_order):
            return f" in the module {name} ({type(module.get_submodule(name)).__name__})"
    return ""


def _is_wrong(line: TorchLine, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], max_order: int) -> bool:
    """Whether the nested derivatives of one module are wrong along its weights and random directions of its inputs."""
    torch = library("torch")
    both, prefix = line.ends, name + "."
    part, generator = both.module.get_submodule(name), torch.Generator().manual_seed(0)
    own = {key.removeprefix(prefix): key for key in both.start if key.startswith(prefix)}

    def moved(value: Any) -> Callable[[Any], Any]:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)
            return lambda t: value + 0.3 * t * noise
        return lambda _: value

    along, along_kwargs = [moved(value) for value in args], {key: moved(value) for key, value in kwargs.items()}

    def outputs(t: Any) -> Any:
        state = both.at(t)
        given = tuple(value(t) for value in along), {key: value(t) for key, value in along_kwargs.items()}
        raw = torch.func.functional_call(part, {short: state[key] for short, key in own.items()}, *given)
        while isinstance(raw, tuple | list):
            raw = raw[0]
        return raw

    def plain(t: float) -> Any:
        with torch.no_grad(), _native.elementary(derivatives=False, double=line.double):
            return outputs(t).detach().cpu().numpy()

    try:
        with _native.elementary(derivatives=True, double=line.double):
            found = _native.terms(outputs, max_order, torch.float64, next(iter(both.start.values())).device)
        return bool(_parted(plain, np.stack([term.detach().cpu().numpy() for term in found]))[2])
    except Exception as error:  # a module that cannot be called by itself is not named
        return "forward AD" in str(error)


def agreed(known: int, largest: float, max_order: int, examples: int) -> str:
    """States the comparison in a sentence."""
    which = "order 1 agrees" if known == 1 else f"orders 1 to {known} agree"
    said = (
        f"{which} with evaluations on {examples} examples (largest relative difference {largest:.1g})" if known else ""
    )
    if known == max_order:
        return said
    others = f"order {max_order}" if known + 1 == max_order else f"orders {known + 1} to {max_order}"
    rest = f"{others} cannot be compared (not smooth along the line)"
    return f"{said}; {rest}" if said else rest
