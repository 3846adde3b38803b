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
    torch = library("torch")
    module, state = line.ends.module, line.ends.start
    seen: dict[str, tuple[Any, Any]] = {}
    handles = [
        part.register_forward_pre_hook(
            lambda _, args, kwargs, name=name: seen.setdefault(name, (args, kwargs)) and None, with_kwargs=True
        )
        for name, part in module.named_modules()
        if name
    ]
    try:
        line.at(0.0)
    finally:
        for handle in handles:
            handle.remove()
    generator = torch.Generator().manual_seed(0)

    def moved(value: Any) -> Callable[[Any], Any]:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)
            return lambda t: value + 0.3 * t * noise
        return lambda _: value

    for name in sorted(seen, key=lambda name: -name.count(".")):
        part, (args, kwargs) = module.get_submodule(name), seen[name]
        own = {key.removeprefix(name + "."): key for key in state if key.startswith(name + ".")}
        along = [moved(value) for value in args]
        along_kwargs = {key: moved(value) for key, value in kwargs.items()}

        def outputs(t: Any, part=part, own=own, along=along, along_kwargs=along_kwargs) -> Any:
            weights = {
                short: state[key] + t * line.ends.move[key] if key in line.ends.move else state[key]
                for short, key in own.items()
            }
            raw = torch.func.functional_call(
                part, weights, tuple(a(t) for a in along), {key: a(t) for key, a in along_kwargs.items()}
            )
            while isinstance(raw, tuple | list):
                raw = raw[0]
            return raw

        try:
            with _native.elementary(derivatives=True, double=line.double):
                first = next(iter(state.values()))
                found = _native.terms(outputs, max_order, torch.float64, first.device)
            terms = np.stack([term.detach().cpu().numpy() for term in found])

            def plain(t: float, outputs=outputs) -> Any:
                with torch.no_grad(), _native.elementary(derivatives=False, double=line.double):
                    return outputs(t).detach().cpu().numpy()

            if _parted(plain, terms)[2]:
                return f" in the module {name} ({type(part).__name__})"
        except Exception as error:
            if "forward AD" in str(error):
                return f" in the module {name} ({type(part).__name__})"
            continue
    return ""


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
